"""``ner-elmo suggest``: which sentences of unlabelled text to label next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args

import typer

from ner_elmo.cli import flags, show
from ner_elmo.errors import DataError, UsageError
from ner_elmo.runs.memory import collect_rarely
from ner_elmo.settings import Source, build
from ner_elmo.text.records import LINE, TEXT, TextReading, kind_of, read_records

if TYPE_CHECKING:
    from ner_elmo.tagger.suggestion import Suggestion
    from ner_elmo.tagger.tagger import Tagger
    from ner_elmo.text.formats.jsonl import Unit

NAME = "suggest"
EXAMPLE = "ner-elmo suggest unlabelled.txt -m my-tagger -n 100 -o to-label.txt"
Per = Literal["token", "sentence"]
_MOST_TOLD = 5  # texts that could not be read


@flags.takes_settings(TextReading, leave_out=["id_field"])
def command(
    given: dict[str, Any],
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="text files; - is standard input")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="tagger directory or name [default: en]")] = None,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="how many sentences")] = 50,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="file to write [default: standard output]")
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="text; or, with the entities that the model finds: jsonl, brat, doccano, label-studio, prodigy, "
            "webanno, conllu, hf, docbin, parquet",
        ),
    ] = TEXT,
    per: Annotated[
        str,
        typer.Option(
            "--per",
            help="token: doubt per token; or sentence: of the whole, which favours long ones",
        ),
    ] = "token",
    precision: flags.Precision = "fp32",
    device: flags.Device = "auto",
    threads: flags.Threads = None,
    batch_tokens: flags.BatchTokens = None,
    force: flags.Force = False,
    debug: flags.Debug = False,
) -> None:
    """Choose the sentences to label next: those that the model is least sure of, none much like another.

    A sentence's doubt, in jsonl "doubt", is 1 minus the probability of the model's reading of it, counted by token (its
    geometric mean) or by sentence. Sentences come in the order in which they are of most use.
    """
    from ner_elmo.text.files import output_stream, require_file
    from ner_elmo.text.formats.targets import NOT_STREAMS, TARGETS

    if format not in (TEXT, *TARGETS):
        raise UsageError(f"-f {format}: unknown; expected one of {', '.join((TEXT, *TARGETS))}")
    if per not in get_args(Per):
        raise UsageError(f"--per {per}: unknown; expected one of {', '.join(get_args(Per))}")
    if format in NOT_STREAMS and str(output or "-") == "-":
        raise UsageError(f"-f {format}: {NOT_STREAMS[format]}; name it with -o")
    reading = build(TextReading, [Source("", given)])
    for path in inputs:
        if path != "-":
            require_file(path, "text file")
            if output is not None:
                flags.refuse_same(path, output)
    if output is not None and str(output) != "-":
        flags.refuse_existing(output, force)
    torch_device = flags.set_up_torch(device, threads)
    from ner_elmo.tagger.suggestion import suggest
    from ner_elmo.tagger.tagger import Tagger, find_model, name_of_model

    show.model_in_use(model)
    tagger = Tagger.load(model, device=torch_device, precision=precision, batch_tokens=batch_tokens)
    collect_rarely()
    found = suggest(tagger, _looked_at(_texts(inputs, reading), inputs, reading, tagger), number, cast(Per, per))
    if not found:
        raise DataError(f"{', '.join(inputs)}: found no sentence, expected text")
    if format == TEXT:
        with output_stream(output) as stream:
            stream.writelines(f"{' '.join(one.document.text.split())}\n" for one in found)
        return
    _write(found, output, format, name_of_model(find_model(model)))


def _texts(inputs: Iterable[str], reading: TextReading) -> Iterator[str]:
    """The texts of all files; objects and rows without one are named and left out."""
    from ner_elmo.text.documents import Record
    from ner_elmo.text.files import shown_name

    n_failed = 0
    for path in inputs:
        for item in read_records(path, path, reading):
            if isinstance(item, Record):
                yield item.text
                continue
            n_failed += 1
            if n_failed <= _MOST_TOLD and item.origin is not None:
                show.note(f"{shown_name(path)}:{item.origin.line}: left out ({item.error})")
    if n_failed > _MOST_TOLD:
        show.note(f"{n_failed:,} objects or rows were left out, as they hold no text")


def _looked_at(texts: Iterator[str], inputs: Iterable[str], reading: TextReading, tagger: Tagger) -> Iterator[str]:
    """The same texts; what speaks against reading them so is said before the first."""
    from ner_elmo.tagger.tagging.watch import LOOKED_AT, doubts_about

    first = list(islice(texts, LOOKED_AT))
    is_of_lines = reading.unit == LINE and all(kind_of(path, reading.source) == TEXT for path in inputs)
    for line in doubts_about(first, is_of_lines, tagger) if first else ():
        show.note(line)
    return chain(first, texts)


def _write(found: Sequence[Suggestion], target: Path | None, format: str, model: str) -> None:
    from ner_elmo.text.formats.jsonl import Unit
    from ner_elmo.text.formats.output import Output, unit_of
    from ner_elmo.text.formats.problems import strictly
    from ner_elmo.text.formats.targets import OF_TEXTS, TARGETS

    def units() -> Iterator[Unit]:
        for one in found:
            unit = unit_of(one.document, one.number, "<suggested>", with_tokens=format not in (*OF_TEXTS, "jsonl"))
            yield Unit(unit.name, unit.line, {**unit.value, "doubt": round(one.doubt, 4)})

    output = Output("-" if target is None else target, strictly("<suggested>"), model=model)
    TARGETS[format](units(), output)
    for line in output.notices:
        show.note(line)
