"""``ner-elmo info``: what a model is, without loading it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from ner_elmo.cli import flags, show

NAME = "info"
EXAMPLE = "ner-elmo info my-tagger"


def command(
    model: Annotated[
        Path, typer.Argument(help="a tagger, run or biLM directory, a weights file, or a shipped model's name")
    ],
    as_json: flags.Json = False,
    debug: flags.Debug = False,
) -> None:
    """Say what a model is: its shape, its training, its figures. Its files are checked against their digests."""
    from ner_elmo.bilm.files.directory import describe_options, find_bilm, load_options
    from ner_elmo.runs.directory import REPORT
    from ner_elmo.tagger import store
    from ner_elmo.tagger.report.summary import read_report, summary
    from ner_elmo.tagger.tagger import find_model
    from ner_elmo.text.files import is_there

    facts: dict[str, Any] = {}
    path = model if is_there(model) else find_model(str(model))
    if (path / store.INFO).is_file():
        facts["tagger"] = store.read_info(path)
        store.verify_files(path, facts["tagger"]["files"])
    if not facts or (path / "bilm").is_dir():
        files = find_bilm(path)
        facts["bilm"] = {"shape": describe_options(load_options(files)), **files.info}
    if as_json:
        show.print_json(facts)
    else:
        width = min(120, max(60, shutil.get_terminal_size((100, 24)).columns))
        print(show.printable(summary(path.name, facts, read_report(path / REPORT), width)))
