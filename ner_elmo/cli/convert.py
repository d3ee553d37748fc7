"""``ner-elmo convert``: a model in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ner_elmo.cli import options as shared
from ner_elmo.errors import UsageError

NAME = "convert"
FORMATS = ("float16", "float32", "bilm-tf")


def command(
    source: Annotated[Path, typer.Argument(help="biLM, run or tagger directory, or a weights file", metavar="IN")],
    target: Annotated[Path, typer.Argument(help="directory to write", metavar="OUT")],
    to: Annotated[str, typer.Option("--to", help=", ".join(FORMATS))],
    force: shared.Force = False,
    debug: shared.Debug = False,
) -> None:
    """Write a biLM in another format.

    float16 halves a biLM directory, float32 undoes that (not the rounding), and bilm-tf writes the options.json and
    weights.hdf5 that bilm-tf and AllenNLP read.
    """
    if to not in FORMATS:
        raise UsageError(f"--to {to}: unknown; expected {', '.join(FORMATS)}")
    shared.refuse_existing(target, force)
    from ner_elmo.bilm.directory import convert_bilm, write_published_pair

    if to == "bilm-tf":
        write_published_pair(source, target)
    else:
        convert_bilm(source, target, to)
    shared.note(f"{target}: written as {to}")
