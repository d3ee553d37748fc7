"""``ner-elmo check``: what is in labelled files, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ner_elmo.cli import flags, show
from ner_elmo.errors import UsageError, without_excerpts
from ner_elmo.settings import Source, build
from ner_elmo.text.formats.conll import Reading

if TYPE_CHECKING:
    from ner_elmo.text.formats.check import FileReport

NAME = "check"
EXAMPLE = "ner-elmo check train.conll dev.conll test.conll"
_SHOWN = 3  # problems of a kind; --json has more of them


@flags.takes_settings(Reading)
def command(
    given: dict[str, Any],
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILES...", help="labelled files, train first; - is standard input"),
    ],
    fix: Annotated[
        Path | None, typer.Option("--fix", help="write the file with its ill-formed tags repaired", metavar="FILE")
    ] = None,
    force: flags.Force = False,
    json: flags.Json = False,
    debug: flags.Debug = False,
) -> None:
    """Check labelled files, each by itself and later ones (dev, test) against the first (train).

    Errors, with which nothing can be trained, end with exit status 3; warnings do not. Problems are told as
    file:line: what was found, what was expected.
    """
    from ner_elmo.text.formats.check import check_files
    from ner_elmo.text.formats.recognition import recognize

    if fix is not None:
        if len(files) > 1 or files[0] == "-" or recognize(files[0], str(given.get("source", "auto"))) != "conll":
            raise UsageError("--fix: repairs one CoNLL file at a time; give one, not from standard input")
        flags.refuse_existing(fix, force)
    reading = build(Reading, [Source("", given)])
    reports = check_files(files, reading)
    if json:
        show.print_json({"files": [report.as_dict() for report in reports]})
    else:
        for report in reports:
            print(without_excerpts("\n".join(_lines(report))))
    n_errors = sum(report.errors.total for report in reports)
    if n_errors:
        unrepaired = f"; {fix} is not written, as these cannot be repaired without you" if fix is not None else ""
        show.note(f"ner-elmo: {_count(n_errors, 'error')} in {_count(len(files), 'file')}{unrepaired}")
        raise typer.Exit(3)
    if fix is not None:
        _fix(files[0], reading, fix)


def _fix(file: str, reading: Reading, fix: Path) -> None:
    from ner_elmo.text.files import output_stream
    from ner_elmo.text.formats.conll import ConllFile
    from ner_elmo.text.formats.conversion import retag

    with output_stream(fix) as stream:
        n_changed = retag(ConllFile(file, reading), None, stream)
    show.note(f"{fix}: written, {_count(n_changed, 'tag')} repaired")


def _lines(report: FileReport) -> list[str]:
    from ner_elmo.text.formats.labels import counted, visible
    from ner_elmo.text.formats.problems import summary

    n_entities = sum(report.entities.values())
    labels = counted(report.entities)
    length, line = report.longest
    lines = [
        report.file,
        f"  {_count(report.sentences, 'sentence')}, {_count(report.tokens, 'token')}; the longest sentence has "
        f"{_count(length, 'token')} (line {line})",
        f"  {_count(n_entities, 'tag' if report.scheme == 'token' else 'entity')}{': ' if labels else ''}{labels}",
        f"  scheme {report.scheme or 'unknown'}: {report.evidence or 'the file cannot be read'}",
    ]
    if report.unseen:
        common = " ".join(visible(character) for character, _ in report.unseen.most_common(10))
        kinds, tokens = _count(len(report.unseen), "character"), _count(sum(report.unseen.values()), "time")
        lines.append(f"  {kinds} not in the first file, {tokens}: {common}")
    for what, problems in (("error", report.errors), ("warning", report.warnings)):
        lines.append(f"  {_count(problems.total, what)}")
        lines += summary(report.file, problems, _SHOWN, problems.counts)
    return lines


def _count(number: int, what: str) -> str:
    plural = what[:-1] + "ies" if what.endswith("y") else what + "s"
    return f"{number:,} {what if number == 1 else plural}"
