"""``ner-elmo tag``: raw text in, entities out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from ner_elmo.cli import flags, show
from ner_elmo.errors import UsageError

if TYPE_CHECKING:
    from ner_elmo.tagger.tagger import Failure, Tagger
    from ner_elmo.text.documents import Document

NAME = "tag"
_UNITS = ("line", "paragraph", "file")


def command(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="text files; - is standard input")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="tagger directory or name [default: en]")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="file to write [default: standard output]")
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="text, conll, jsonl; for correction in other tools: brat, doccano, label-studio, prodigy, webanno, "
            "conllu, hf, docbin, parquet",
        ),
    ] = "text",
    tokenized: Annotated[
        bool, typer.Option("--tokenized", help="a line is a sentence, blanks separate its tokens")
    ] = False,
    text: flags.Text = None,
    dehyphenate: Annotated[
        bool, typer.Option("--dehyphenate", help="join words that are parted at a line's end (with --unit paragraph)")
    ] = False,
    fold_long_s: Annotated[bool, typer.Option("--fold-long-s", help="read the long s of old print as s")] = False,
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

    With -f doccano, label-studio and so on, people correct the entities in these tools (label-studio and prodigy show
    the scores); convert reads what they export.
    With -f jsonl: one object for each non-blank line,
    {"text", "entities": [{"start", "end", "label", "text", "score"}]}, offsets in Unicode code points.
    """
    from ner_elmo.text.files import is_folder, output_stream, require_file
    from ner_elmo.text.formats.targets import NOT_STREAMS, TARGETS
    from ner_elmo.text.formats.writers import FORMATS, OFFSETS

    names = dict.fromkeys((*FORMATS, *TARGETS))
    if format not in names:
        raise UsageError(f"-f {format}: unknown; expected one of {', '.join(names)}")
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
    if dehyphenate and unit == "line":
        raise UsageError("--dehyphenate joins the ends of lines; expected --unit paragraph or --unit file with it")
    if tokenized and (text is not None or dehyphenate):
        raise UsageError(f"--tokenized reads tokens as they are; drop it or {'--text' if text else '--dehyphenate'}")
    for path in inputs:
        if path != "-":
            require_file(path, "text file")
            if output is not None:
                flags.refuse_same(path, output)
    if output is not None and str(output) != "-":
        flags.refuse_existing(output, force)
        if is_folder(output) and format != "brat":
            raise UsageError(f"{output}: is a directory; expected the name of a file")
    if format not in FORMATS and format in NOT_STREAMS and str(output or "-") == "-":
        raise UsageError(f"-f {format}: {NOT_STREAMS[format]}; name it with -o")

    torch_device = flags.set_up_torch(device, threads)
    from ner_elmo.tagger.tagger import Tagger, find_model

    if model is None:
        show.note(f"no -m: using the model that ships, {find_model(None).name}")
    tagger = Tagger.load(model, device=torch_device, precision=precision, batch_tokens=batch_tokens, text=text)
    tagger.dehyphenate, tagger.fold_long_s = dehyphenate, fold_long_s
    units = _shown(_looked_at(read_units(inputs, unit, encoding), tagger, unit))
    results = tagger.tag_each(units, tokenized=tokenized, scores=not no_scores)
    n_failed = 0
    if format not in FORMATS:
        n_failed = _write_for_tools(results, output, format, min_score, str(model or find_model(None).name))
    else:
        with output_stream(output) as stream:
            for result in results:
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


def _write_for_tools(
    results: Iterable[Document | Failure], target: Path | None, format: str, min_score: float, model: str
) -> int:
    """Write all results in a format of other tools; the number of those that failed, which are left out."""
    from ner_elmo.tagger.tagger import Failure
    from ner_elmo.text.formats.jsonl import Unit
    from ner_elmo.text.formats.output import Output, unit_of
    from ner_elmo.text.formats.problems import strictly
    from ner_elmo.text.formats.targets import OF_TEXTS, TARGETS

    n_failed = 0

    def units() -> Iterator[Unit]:
        nonlocal n_failed
        for number, result in enumerate(results, start=1):
            if isinstance(result, Failure):
                n_failed += 1
                show.note(f"could not tag {result.text[:40]!r}: {result.error.splitlines()[0]}")
            else:
                result.entities = [e for e in result.entities if e.score is None or e.score >= min_score]
                yield unit_of(result, number, "<tagged>", with_tokens=format not in OF_TEXTS)

    output = Output("-" if target is None else target, strictly("<tagged>"), model=Path(model).name)
    TARGETS[format](units(), output)
    for line in output.notices:
        show.note(line)
    return n_failed


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


_LOOKED_AT = 200  # units
_LOOKED_AT_CHARACTERS = 20_000
_WRAPPED_LINES_LEAST = 20
_WRAPPED_MOST = 0.5  # of the lines


def _looked_at(units: Iterator[str], tagger: Tagger, unit: str) -> Iterator[str]:
    """The same units; the first ones are looked at, and what speaks against tagging them so is said."""
    first: list[str] = []
    size = 0
    for text in units:
        first.append(text)
        size += len(text)
        if len(first) >= _LOOKED_AT or size >= _LOOKED_AT_CHARACTERS:
            break
    for line in [*_not_text(first), *tagger.complaints(first)]:
        show.note(line)
    if unit == "line" and _is_wrapped(first):
        show.note("most lines end in the middle of a sentence; --unit paragraph reads them together")
    yield from chain(first, units)


def _not_text(units: list[str]) -> Iterator[str]:
    """What says that the input is no running text, a line each."""
    from ner_elmo.text.examination import form_of_lines

    form = form_of_lines([line for unit in units for line in unit.splitlines()])
    if form is not None:
        kind = {"columns": "a token with its columns", "CSV": "a row of a table (CSV)"}.get(form, form)
        yield f"nearly every line is {kind}, which is tagged as it stands; to take its text out: ner-elmo convert"
    n_nul = sum(unit.count("\0") for unit in units)
    if n_nul:
        yield f"found {n_nul:,} NUL characters in the first lines, which become tokens; is the file's --encoding right?"


def _is_wrapped(lines: list[str]) -> bool:
    """Whether most lines end without the end of a sentence and go on with a small letter."""
    if len(lines) < _WRAPPED_LINES_LEAST:
        return False
    goes_on = sum(
        one.rstrip()[-1:] not in ".!?:;\"'”’»)…。।؟" and other.lstrip()[:1].islower() for one, other in pairwise(lines)
    )
    return goes_on > _WRAPPED_MOST * (len(lines) - 1)


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
