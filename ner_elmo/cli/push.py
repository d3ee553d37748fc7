"""``ner-elmo push``: a model to a model hub."""

from __future__ import annotations

from typing import Annotated

import typer

from ner_elmo.cli import flags, show

NAME = "push"
EXAMPLE = "ner-elmo push my-tagger my-name/my-tagger --private"


def command(
    model: Annotated[str, typer.Argument(help="a tagger or biLM directory, or the name of a model that ships")],
    repository: Annotated[str, typer.Argument(help="OWNER/NAME, made if it is not there")],
    private: Annotated[bool, typer.Option("--private", help="a repository that is made is for you alone")] = False,
    as_json: flags.Json = False,
    debug: flags.Debug = False,
) -> None:
    """Put a model on a model hub (Hugging Face's, or that of HF_ENDPOINT).

    The model's own files go there, and its card as README.md; nothing else of a run directory does. Read the card's
    terms first: the texts that a model was made from may forbid it. The hub knows you by HF_TOKEN, or hf auth login.
    """
    from ner_elmo.library.hub import push

    address = push(model, repository, private=private)
    if as_json:
        show.print_json({"commit": address})
    else:
        print(show.printable(address))
