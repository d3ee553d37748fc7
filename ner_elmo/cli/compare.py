"""``ner-elmo compare``: runs side by side, from their reports alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ner_elmo.cli import flags, show
from ner_elmo.errors import UsageError

NAME = "compare"
EXAMPLE = "ner-elmo compare runs/with-bilm runs/without-bilm --html comparison.html"


def command(
    reports: Annotated[list[Path], typer.Argument(metavar="REPORTS...", help="run directories, or their report.json")],
    html: Annotated[
        Path | None, typer.Option("--html", help="write one page with curves and F1 by length, side by side")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="file for the tables: .md, .html, .csv or .tex, by its ending [default: Markdown on standard output]",
        ),
    ] = None,
    force: flags.Force = False,
    json: flags.Json = False,
    debug: flags.Debug = False,
) -> None:
    """Compare runs of train-tagger (F1), or biLMs (perplexity), with the first one.

    Taggers: precision, recall and F1 on test, mean and spread over seeds, the difference and whether chance explains
    it (paired bootstrap). Of biLMs, run directories of pretrain or what perplexity --json printed.

    Figures over different data or vocabularies are refused (status 3). No model is read.
    """
    from ner_elmo.pages.page import to_html, to_markdown
    from ner_elmo.pages.tables import to_csv, to_latex
    from ner_elmo.tagger.report import comparison, comparison_page
    from ner_elmo.text.files import is_folder, output_stream, replace_file

    if len(reports) < 2:
        raise UsageError("found one report to compare, expected two or more")
    if json and output is not None:
        raise UsageError("-o takes tables and --json prints none; expected one of them")
    for path in (html, output):
        if path is not None:
            flags.refuse_existing(path, force)
            if is_folder(path):
                raise UsageError(f"{path}: is a directory; expected the name of a file")
    runs = comparison.read_runs(reports)
    found = comparison.compare(runs)
    title = " and ".join(run.name for run in runs) if len(runs) == 2 else f"{len(runs)} runs compared"
    blocks = list(comparison_page.comparison_blocks(found))
    if html is not None:
        pictures = list(comparison_page.picture_blocks(runs, found["part"])) if found["kind"] == "taggers" else []
        with replace_file(html) as temporary:
            temporary.write_text(to_html(title, blocks + pictures), encoding="utf-8")
    if json:
        show.print_json(found)
        return
    kind = output.suffix.lower() if output is not None else ""
    writers = {
        ".html": lambda: to_html(title, blocks),
        ".csv": lambda: to_csv(blocks),
        ".tex": lambda: to_latex(blocks),
    }
    with output_stream(output) as stream:
        stream.write(writers.get(kind, lambda: to_markdown(title, blocks))())
