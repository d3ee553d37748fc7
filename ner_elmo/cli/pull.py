"""``ner-elmo pull``: a model from a model hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ner_elmo.cli import flags, show

NAME = "pull"
EXAMPLE = "ner-elmo pull my-name/my-tagger -o my-tagger"


def command(
    repository: Annotated[str, typer.Argument(help="OWNER/NAME")],
    output: Annotated[Path, typer.Option("--output", "-o", help="folder to write")],
    revision: Annotated[
        str | None, typer.Option("--revision", help="a branch, tag or commit [default: newest]")
    ] = None,
    force: flags.Force = False,
    as_json: flags.Json = False,
    debug: flags.Debug = False,
) -> None:
    """Fetch a tagger or a biLM from a model hub (Hugging Face's, or that of HF_ENDPOINT).

    Of the repository only files of a model are fetched. The folder is there once all of it is, with the right digests.
    """
    from ner_elmo.library.hub import pull

    flags.refuse_existing(output, force)
    pull(repository, output, revision=revision)
    if as_json:
        show.print_json({"folder": str(output)})
    else:
        show.note(f"{output}: fetched; its terms and figures: ner-elmo info {output}")
