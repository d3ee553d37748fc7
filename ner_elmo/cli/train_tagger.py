"""``ner-elmo train-tagger``: labelled sentences (and a biLM) → a tagger directory."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ner_elmo.cli import flags, show
from ner_elmo.errors import DataError, NerElmoError, UsageError
from ner_elmo.runs import quick as quick_checks
from ner_elmo.runs.directory import CONFIG, has_run
from ner_elmo.runs.stop import Stopped, StopSignals
from ner_elmo.runs.trackers import require_tracker, tracked
from ner_elmo.tagger.network.options import BILM_LAYERS
from ner_elmo.tagger.training.config import TaggerConfig, config_from, read_config
from ner_elmo.tagger.training.schedule import PLATEAU_EPOCHS

if TYPE_CHECKING:
    import torch

NAME = "train-tagger"
EXAMPLE = "ner-elmo train-tagger --train train.conll --dev dev.conll --bilm my-bilm -o my-tagger"


@flags.takes_settings(TaggerConfig)
def command(
    given: dict[str, Any],
    output: flags.RunDirectory = None,
    config: flags.Config = None,
    resume: flags.Resume = False,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="train some minutes (--max-minutes [3]) on a sample, say whether it learns, write nothing"
        ),
    ] = False,
    force: flags.Force = False,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            help="folder that keeps layers for other runs [default: ~/.cache/ner-elmo]",
            show_default=False,
            rich_help_panel=BILM_LAYERS,
        ),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="compute the layers for this run alone", rich_help_panel=BILM_LAYERS)
    ] = False,
    track: flags.Track = None,
    max_minutes: flags.MaxMinutes = None,
    device: flags.Device = "auto",
    threads: flags.Threads = None,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            min=1,
            help="seeds trained side by side, each in a process with one thread",
            rich_help_panel="Machine",
        ),
    ] = 1,
    as_json: flags.Json = False,
    debug: flags.Debug = False,
) -> None:
    """Train a tagger on CoNLL files: frozen biLM layers, words and characters → BiLSTM → CRF.

    The directory then holds the tagger, its report.json and model card, the log, checkpoints, and its predictions.
    docs/tagging.md says what each option is for. Interrupt it at any time (Ctrl-C) and go on with --resume.
    """
    if cache is not None and no_cache:
        raise UsageError("--cache keeps biLM layers and --no-cache does not; expected one of them")
    if cache is not None and cache.is_file():
        raise UsageError(f"--cache {cache}: is a file; expected a folder")
    if track is not None:
        require_tracker(track)
    if quick:
        if jobs > 1:
            raise UsageError("--jobs: --quick trains the first seed alone; drop one of them")
        settings = config_from(given, config, epochs=PLATEAU_EPOCHS)
        _quick_check(settings, flags.set_up_torch(device, threads), max_minutes, as_json)
        return
    output = flags.checked_run_directory(output, resume, force)
    before = output / CONFIG if resume and _is_begun(output) else None
    settings = config_from(given, before, config)
    chosen = flags.set_up_torch(device, threads)
    settings = flags.with_precision_of(settings, chosen, given.get("precision"))
    if jobs > 1 and len(settings.seeds) == 1:
        show.note(f"--jobs {jobs}: there is one seed, and so one job")
    _train(settings, output, chosen, resume, max_minutes, _cache_folder(cache, no_cache), jobs, as_json, track)


def _is_begun(output: Path) -> bool:
    """Whether there is a run to resume, whose settings are sound."""
    if not has_run(output):
        show.note(f"{output}: found no run to resume; starting anew")
        return False
    try:
        read_config(output / CONFIG)
    except DataError as error:
        raise NerElmoError(str(error)) from None
    return True


def _cache_folder(cache: Path | None, no_cache: bool) -> Path | None:
    from ner_elmo.elmo.feature_cache import default_folder

    return None if no_cache else cache or default_folder()


def _train(
    config: TaggerConfig,
    output: Path,
    device: torch.device,
    resume: bool,
    max_minutes: float | None,
    cache: Path | None,
    jobs: int,
    as_json: bool,
    track: str | None,
) -> None:
    """Train, and say how it ended."""
    from ner_elmo.tagger.training.run import train_tagger

    with (
        StopSignals(show.note) as stop,
        show.Display(tables=not as_json) as display,
        tracked(display, track, output, dataclasses.asdict(config)) as report,
    ):
        try:
            found = train_tagger(
                config,
                output,
                device=device,
                resume=resume,
                max_minutes=max_minutes,
                cache=cache,
                report=report,
                received=lambda: stop.received,
                jobs=jobs,
            )
        except Stopped as stopped:
            flags.say_how_to_go_on(NAME, output)
            raise typer.Exit(128 + stopped.number) from None
    if as_json:
        show.print_json({name: value for name, value in found.items() if not name.startswith("sentences")})
    else:
        print(f"{output}: tagger written; {_dev_score(found)}", flush=True)


def _quick_check(config: TaggerConfig, device: torch.device, minutes: float | None, as_json: bool) -> None:
    """Print the verdict; the exit status is 1 if this does not learn."""
    from ner_elmo.tagger.training.quick_check import quick_check, quick_lines

    with show.Display() as display:
        found = quick_check(config, device=device, minutes=minutes, report=display)
    if as_json:
        show.print_json({"quick": found})
    else:
        print("\n".join(quick_lines(found)))
    if found["verdict"] == quick_checks.DOES_NOT_LEARN:
        raise typer.Exit(1)


def _dev_score(found: Mapping[str, Any]) -> str:
    from ner_elmo.tagger.report.scores import figure_name

    if found["protocol"]["trained_on_dev"]:
        return f"no dev score: {found['protocol']['dev'].removeprefix('none: ')}"
    name = figure_name(found["options"])
    return f"dev {name} {found['scores']['dev'][name.lower()]:.4f}"
