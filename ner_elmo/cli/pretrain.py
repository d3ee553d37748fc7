"""``ner-elmo pretrain``: a biLM from raw text."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ner_elmo.bilm.pretraining.config import PretrainConfig, config_from, read_config
from ner_elmo.cli import flags, show
from ner_elmo.errors import DataError, NerElmoError
from ner_elmo.runs import quick as quick_checks
from ner_elmo.runs.directory import BILM, CONFIG, has_run
from ner_elmo.runs.stop import Stopped, StopSignals
from ner_elmo.runs.trackers import require_tracker, tracked
from ner_elmo.settings import not_applied, refuse_changes

if TYPE_CHECKING:
    import torch

    from ner_elmo.bilm.files.directory import BilmFiles

NAME = "pretrain"
EXAMPLE = """\
ner-elmo pretrain my-text/ -o my-bilm
ner-elmo pretrain my-text/ -o my-bilm --init en     # go on from a model
ner-elmo pretrain -o my-bilm --resume                      # after an interruption
"""


@flags.takes_settings(PretrainConfig)
def command(
    given: dict[str, Any],
    corpus: Annotated[
        list[Path] | None,
        typer.Argument(
            help="text files (plain, .gz, .xz, .zst) or folders; several are read interleaved and shuffled in a buffer "
            "of 65,536 sentences",
            metavar="CORPUS...",
            show_default=False,
        ),
    ] = None,
    output: flags.RunDirectory = None,
    config: flags.Config = None,
    resume: flags.Resume = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="say what would be trained, how long and in how much memory; write nothing"),
    ] = False,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="a dry run that trains some minutes (--max-minutes [3]) and says whether it learns"
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="replace an output that exists; train on text that looks wrong")
    ] = False,
    track: flags.Track = None,
    max_minutes: flags.MaxMinutes = None,
    device: flags.Device = "auto",
    threads: flags.Threads = None,
    compile: flags.Compile = False,
    as_json: flags.Json = False,
    debug: flags.Debug = False,
) -> None:
    """Train a bidirectional language model on raw text.

    The output holds bilm/ (the model), config.json, log.jsonl, curve.svg, report.json and checkpoints/. Interrupt it at
    any time (Ctrl-C) and go on with --resume. Several processes: torchrun --nproc-per-node N -m ner_elmo pretrain ...
    """
    writes = not (dry_run or quick)
    if track is not None:
        require_tracker(track)
    output = flags.checked_run_directory(output, resume, force) if writes else output
    if corpus:
        given["corpus"] = [str(path) for path in corpus]
    before = _earlier_config(output) if resume and output is not None else None
    settings, parent = _settings(given, config, before, output)
    if before is not None and output is not None:
        from ner_elmo.bilm.pretraining.run import finished_report

        refuse_changes(output, before, settings)
        if (finished := finished_report(output, before, settings)) is not None:
            show.note(f"{output}: this run is finished; nothing to resume")
            if left := not_applied(before, settings):
                show.note(f"{output}: {left}")
            if as_json:
                show.print_json(finished)
            return
    chosen = flags.set_up_torch(device, threads)
    settings = flags.with_precision_of(settings, chosen, given.get("precision"))
    if (untold := flags.compile_if_asked(compile, chosen.type)) is not None:
        show.note(untold)
    count_processes = threads or flags.available_cores()
    if not writes or output is None:
        minutes = (max_minutes or quick_checks.MINUTES) if quick else None
        _dry_run(settings, chosen, count_processes, minutes, as_json, _Examination(force, before is not None), parent)
        return
    examination = _Examination(force, before is not None)
    _train(settings, output, chosen, count_processes, resume, max_minutes, as_json, examination, parent, track)


@dataclasses.dataclass(frozen=True)
class _Examination:
    """Whether the text is looked at before training: not again for a run that goes on."""

    force: bool
    is_done: bool

    def run(self, config: PretrainConfig, report: Any, **processes: Any) -> None:
        if not self.is_done:
            from ner_elmo.bilm.pretraining.preparation import examine_text

            examine_text(config, report, self.force, **processes)


def _settings(
    given: dict[str, Any], file: Path | None, before: PretrainConfig | None, output: Path | None
) -> tuple[PretrainConfig, BilmFiles | None]:
    """The settings of flags, before those of the run to resume or of a configuration file; what they name is there.
    And the model of ``--init``, if it had to be opened for its network.

    Raises:
        UsageError, DataError, ModelError: a value that cannot be meant, or a file that is missing.
    """
    from ner_elmo.bilm.pretraining.adaptation import with_parent

    earlier = None if before is None or output is None else output / CONFIG
    return with_parent(config_from(given, earlier, file))


def _earlier_config(output: Path) -> PretrainConfig | None:
    """The settings of the run to resume, if there is one."""
    if not has_run(output):
        show.note(f"{output}: found no run to resume; starting anew")
        return None
    try:
        return read_config(output / CONFIG)
    except DataError as error:
        raise NerElmoError(str(error)) from None


def _train(
    config: PretrainConfig,
    output: Path,
    device: torch.device,
    count_processes: int,
    resume: bool,
    max_minutes: float | None,
    as_json: bool,
    examination: _Examination,
    parent: BilmFiles | None,
    track: str | None,
) -> None:
    """Train, and say how it ended."""
    from ner_elmo.bilm.pretraining.distributed import joined
    from ner_elmo.bilm.pretraining.run import pretrain
    from ner_elmo.runs.events import silent

    with (
        joined(device) as processes,
        StopSignals(show.note) as stop,
        show.Display() as display,
        tracked(display, track if processes.is_first else None, output, dataclasses.asdict(config)) as report,
    ):
        try:
            examination.run(config, display if processes.is_first else silent, processes=processes)
            result = pretrain(
                config,
                output,
                device=device,
                processes=processes,
                resume=resume,
                max_minutes=max_minutes,
                count_processes=count_processes,
                report=report,
                should_stop=lambda: stop.received is not None,
                deferred=stop.deferred,
                parent=parent,
            )
        except Stopped as stopped:
            flags.say_how_to_go_on(NAME, output)
            raise typer.Exit(128 + stopped.number) from None
        if not result["finished"]:  # a signal to one process stops them all
            stop.received = processes.highest(stop.received)
    if as_json:
        show.print_json(result)
    if stop.received is not None and not result["finished"]:
        flags.say_how_to_go_on(NAME, output)
        raise typer.Exit(128 + stop.received)
    if result["finished"] and not as_json:
        perplexity = result["perplexity"]
        show.note(
            f"{output / BILM}: held-out perplexity {perplexity['mean']:.1f} (forward {perplexity['forward']:.1f}, "
            f"backward {perplexity['backward']:.1f}; a unigram model's: {result['unigram_perplexity']:.1f})"
        )


def _dry_run(
    config: PretrainConfig,
    device: torch.device,
    count_processes: int,
    quick_minutes: float | None,
    as_json: bool,
    examination: _Examination,
    parent: BilmFiles | None,
) -> None:
    """Print what lies ahead; with ``quick_minutes`` the exit status is 1 if training does not help."""
    from ner_elmo.bilm.pretraining.dry_run import dry_run

    with show.Display() as display:
        examination.run(config, display)
        result = dry_run(
            config,
            device=device,
            count_processes=count_processes,
            quick_minutes=quick_minutes,
            report=display,
            parent=parent,
        )
    if as_json:
        show.print_json(result)
    else:
        print("\n".join(dry_run_lines(result)))
    if "quick" in result and result["quick"]["verdict"] == quick_checks.DOES_NOT_LEARN:
        raise typer.Exit(1)


def dry_run_lines(result: Mapping[str, Any]) -> list[str]:
    """The figures of a dry run for a person."""
    about = "about " if result["is_estimate"] else ""
    gpu = result["gpu_memory_bytes"]
    peak = result["peak_memory_bytes"]
    lines = [
        f"text          {about}{result['corpus_tokens']:,} tokens"
        + (" (a sample was counted)" if result["is_estimate"] else ""),
        f"vocabulary    {about}{result['vocabulary']:,} words",
        f"unknown       {result['unk_rate']:.2%} of held-out tokens",
        f"parameters    {result['parameters']:,}, and {result['softmax_parameters']:,} of the output layer",
        f"peak memory   {_size(peak) if peak else 'not known here'}" + (f"; GPU {_size(gpu)}" if gpu else ""),
        f"speed         {result['tokens_per_second']:,.0f} tokens/s"
        f" (waiting for text {result['waiting']:.1%} of the time)",
        f"time          {about}{result['hours']:,.2f} hours for {result['total_tokens']:,} tokens",
        f"disk          {_size(result['disk_bytes'])} while it runs",
    ]
    if quick := result.get("quick"):
        hints = {
            quick_checks.UNCLEAR: "give it longer (--max-minutes)",
            quick_checks.DOES_NOT_LEARN: "try another --learning-rate, and look at the text",
        }
        lines.append(
            f"quick check   {quick['verdict']}: held-out perplexity {quick['perplexity']:,.1f} after "
            f"{quick['steps']:,} steps ({quick['tokens']:,} tokens, {quick['seconds']:,.0f} s), a unigram model's "
            f"{quick['unigram_perplexity']:,.1f}{quick_checks.advice(quick['verdict'], hints)}"
        )
    return lines


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.2f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:,.0f} MB"
