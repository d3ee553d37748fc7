"""``ner-elmo join``: several taggers → one, which tags by the mean of their scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ner_elmo.cli import flags, show
from ner_elmo.errors import UsageError
from ner_elmo.settings import Source, build
from ner_elmo.text.formats.conll import Reading

NAME = "join"
EXAMPLE = "ner-elmo join run-1 run-2 run-3 -o joined --dev dev.conll --test test.conll"


@flags.takes_settings(Reading, leave_out=["text"])
def command(
    given: dict[str, Any],
    taggers: Annotated[list[str], typer.Argument(metavar="TAGGERS...", help="tagger directories, at least two")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="directory to write", show_default=False)
    ] = None,
    dev: Annotated[
        str | None, typer.Option("--dev", metavar="FILE", help="labelled sentences; fits the probabilities")
    ] = None,
    test: Annotated[str | None, typer.Option("--test", metavar="FILE", help="labelled sentences; scored once")] = None,
    storage: Annotated[
        str, typer.Option("--storage", metavar="NAME", help="float32, or float16 for half the size")
    ] = "float32",
    force: flags.Force = False,
    device: flags.Device = "auto",
    threads: flags.Threads = None,
    json: flags.Json = False,
    debug: flags.Debug = False,
) -> None:
    """Join taggers into one of several members, which tags by the mean of their scores.

    They have the same biLM, settings and training words, and differ in their weights: seeds of one training, say
    (train-tagger --seeds 1,2,3 --join does it at once). The biLM's layers are computed once for all of them. Without
    --dev the temperature of its probabilities is the mean of theirs.
    """
    from ner_elmo.library.joining import join_taggers

    if output is None:
        raise UsageError("Missing option '--output' / '-o'. (try ner-elmo join --help)")
    if storage not in ("float32", "float16"):
        raise UsageError(f"--storage: found {storage!r}, expected float32 or float16")
    reading = build(Reading, [Source("", given)])
    flags.set_up_torch(device, threads)
    with show.Display(tables=not json) as display:
        found = join_taggers(
            taggers,
            output,
            dev=dev,
            test=test,
            reading=reading,
            storage=storage,
            device=device,
            force=force,
            report=display,
        )
    if json:
        show.print_json({name: value for name, value in found.report.items() if not name.startswith("sentences")})
    else:
        scored = "".join(f"; {part} F1 {s.f1:.4f}" for part, s in (("dev", found.dev), ("test", found.test)) if s)
        print(f"{output}: tagger of {len(taggers)} written{scored}", flush=True)
