"""``ner-elmo serve``: a model behind HTTP, with a page."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ner_elmo.cli import flags, show
from ner_elmo.errors import UsageError
from ner_elmo.service.settings import ServeSettings
from ner_elmo.settings import Source, build

NAME = "serve"
EXAMPLE = """\
ner-elmo serve -m my-tagger --port 8000
curl localhost:8000/tag -d '{"text": "Maria Sanchez flew to Lima."}'
"""


@flags.takes_settings(ServeSettings)
def command(
    given: dict[str, Any],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="tagger directory or name; several: repeated [default: en]"),
    ] = None,
    device: flags.Device = "auto",
    threads: flags.Threads = None,
    debug: flags.Debug = False,
) -> None:
    """Answer requests for the entities of texts, and show a page to paste texts into.

    POST /tag with {"text": "..."} gives the object of tag -f jsonl, with {"texts": [...]} as many. The page is at /,
    all paths are at /docs. Annotation tools ask at /label-studio, /doccano and /inception. Listens on this machine
    alone unless --host says otherwise.
    """
    settings = build(ServeSettings, [Source("", given)])
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UsageError(f"serve needs the {error.name} package; try: pip install 'ner-elmo[serve]'") from None
    from ner_elmo.service.exploring import open_exploring
    from ner_elmo.service.figures import Figures
    from ner_elmo.service.guard import read_keys
    from ner_elmo.service.models import load_models
    from ner_elmo.service.server import listen, serve

    read_keys(settings.api_key_file)  # or say at once what is wrong with it
    listening = listen(settings)
    torch_device = flags.set_up_torch(device, threads)
    figures = Figures()
    wanted: list[str | None] = [*model] if model else [None]
    for name in wanted:
        show.model_in_use(name)
    models = load_models(wanted, settings, torch_device, figures)
    exploring = None if settings.explore is None else open_exploring(settings.explore, models)
    names = ", ".join(one.name for one in models)
    if settings.host not in ("127.0.0.1", "localhost", "::1") and settings.api_key_file is None:
        show.note("warning: other machines can reach this server, and it asks for no key (--api-key-file)")
    serve(models, settings, figures, listening, lambda address: show.note(f"serving {names} at {address}"), exploring)
