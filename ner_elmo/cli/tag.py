"""``ner-elmo tag``: raw text in, entities out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from ner_elmo.cli import flags, show
from ner_elmo.errors import UsageError

if TYPE_CHECKING:
    from ner_elmo.tagger.tagger import Failure
    from ner_elmo.text.documents import Document

NAME = "tag"
_UNITS = ("line", "paragraph", "file")


def command(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="text files; - is standard input")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="tagger directory or name [default: en]")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="file to write [default: standard output]")
    ] = None,
    format: Annotated[str, typer.Option("--format", "-f", help="text, conll or jsonl")] = "text",
    tokenized: Annotated[
        bool, typer.Option("--tokenized", help="a line is a sentence, blanks separate its tokens")
    ] = False,
    unit: Annotated[str, typer.Option("--unit", help="what becomes one document: line, paragraph or file")] = "line",
    min_score: Annotated[
        float, typer.Option("--min-score", min=0.0, max=1.0, help="leave out entities less probable than this")
    ] = 0.0,
    no_scores: Annotated[
        bool, typer.Option("--no-scores", help="compute no probabilities, which is faster; the entities are the same")
    ] = False,
    offsets: Annotated[
        str, typer.Option("--offsets", help="what -f jsonl counts in: char (code points), utf16 or byte")
    ] = "char",
    precision: flags.Precision = "fp32",
    encoding: flags.Encoding = "utf-8",
    device: flags.Device = "auto",
    threads: flags.Threads = None,
    batch_tokens: flags.BatchTokens = None,
    force: flags.Force = False,
    debug: flags.Debug = False,
) -> None:
    """Find the entities of text files, each with its probability.

    With -f jsonl: one object for each non-blank line,
    {"text", "entities": [{"start", "end", "label", "text", "score"}]}, offsets in Unicode code points.
    """
    from ner_elmo.text.files import is_folder, output_stream, require_file
    from ner_elmo.text.formats.writers import FORMATS, OFFSETS

    if format not in FORMATS:
        raise UsageError(f"-f {format}: unknown; expected one of {', '.join(FORMATS)}")
    if offsets not in OFFSETS:
        raise UsageError(f"--offsets {offsets}: unknown; expected one of {', '.join(OFFSETS)}")
    if offsets != "char" and format != "jsonl":
        raise UsageError(f"--offsets {offsets}: only -f jsonl has offsets")
    if no_scores and min_score:
        raise UsageError(
            f"--min-score {min_score:g} needs probabilities and --no-scores computes none; drop one of them"
        )
    if unit not in _UNITS:
        raise UsageError(f"--unit {unit}: unknown; expected one of {', '.join(_UNITS)}")
    for path in inputs:
        if path != "-":
            require_file(path, "text file")
            if output is not None:
                flags.refuse_same(path, output)
    if output is not None and str(output) != "-":
        flags.refuse_existing(output, force)
        if is_folder(output):
            raise UsageError(f"{output}: is a directory; expected the name of a file")

    torch_device = flags.set_up_torch(device, threads)
    from ner_elmo.tagger.tagger import Tagger, find_model

    if model is None:
        show.note(f"no -m: using the model that ships, {find_model(None).name}")
    tagger = Tagger.load(model, device=torch_device, precision=precision, batch_tokens=batch_tokens)
    units = _shown(read_units(inputs, unit, encoding))
    n_failed = 0
    with output_stream(output) as stream:
        for result in tagger.tag_each(units, tokenized=tokenized, scores=not no_scores):
            n_failed += not _write(result, stream, format, min_score, offsets)
    if n_failed:
        show.note(f"{n_failed} units could not be tagged")
        raise typer.Exit(1)


def _write(result: Document | Failure, stream: IO[str], format: str, min_score: float, offsets: str) -> bool:
    """Write one result; False if it is a failure."""
    from ner_elmo.tagger.tagger import Failure
    from ner_elmo.text.formats.writers import FORMATS, with_offsets

    if isinstance(result, Failure):
        if format == "jsonl":
            stream.write(json.dumps({"text": result.text, "error": result.error}, ensure_ascii=False) + "\n")
        show.note(f"could not tag {result.text[:40]!r}: {result.error.splitlines()[0]}")
        return False
    result.entities = [entity for entity in result.entities if entity.score is None or entity.score >= min_score]
    FORMATS[format](result if offsets == "char" else with_offsets(result, offsets), stream)
    return True


def read_units(inputs: Iterable[str], unit: str, encoding: str) -> Iterator[str]:
    """The units of the inputs that are not blank: lines, paragraphs (lines up to a blank one), or whole files."""
    from ner_elmo.text.files import read_lines

    for path in inputs:
        lines: list[str] = []
        for line in read_lines(path, encoding):
            ends = unit == "line" or (unit == "paragraph" and not line.strip())
            if unit == "line" or not ends:
                lines.append(line)
            if ends:
                yield from _unless_blank(lines)
                lines = []
        yield from _unless_blank(lines)


def _unless_blank(lines: list[str]) -> Iterator[str]:
    text = "\n".join(lines)
    if text.strip():
        yield text


def _shown(units: Iterator[str]) -> Iterator[str]:
    """The same units; on a terminal that does not show the results themselves, with a count of them."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield from units
        return
    number = 0
    for number, unit in enumerate(units, start=1):
        if number % 100 == 0:
            print(f"\r{number:,} read", end="", file=sys.stderr, flush=True)
        yield unit
    print(f"\r{number:,} read", file=sys.stderr, flush=True)
