"""``ner-elmo pretrain``: a biLM from raw text."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ner_elmo.cli import options as shared
from ner_elmo.cli.progress import Progress
from ner_elmo.errors import DataError, NerElmoError, UsageError

if TYPE_CHECKING:
    import torch

    from ner_elmo.bilm.config import PretrainConfig

NAME = "pretrain"
# What a resumed run may change: when it stops and how often it looks up, not what it computes from the same text.
_MAY_CHANGE = (
    "max_tokens",
    "epochs",
    "checkpoint_steps",
    "checkpoint_minutes",
    "evaluations",
    "language",
    "licence",
)


# The settings that a flag decides, where that is not the one of its own name alone.
_SETTINGS = {
    "size": ("options",),
    "init": ("init", "options"),
    "vocab": ("vocabulary",),
    "vocab_size": ("vocabulary_size",),
    "checkpoint_steps": ("checkpoint_steps", "checkpoint_minutes"),
    "checkpoint_minutes": ("checkpoint_steps", "checkpoint_minutes"),
}
QUICK_MINUTES = 3.0


def command(
    context: typer.Context,
    corpus: Annotated[
        list[Path] | None,
        typer.Argument(
            help="text files (plain, .gz, .xz, .zst) or folders; several are read interleaved and shuffled in a buffer "
            "of 65,536 sentences",
            metavar="CORPUS...",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="run directory to write", show_default=False)
    ] = None,
    config_file: Annotated[
        Path | None, typer.Option("--config", help="settings of a run's config.json; flags override them")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--size",
            help="tiny, compact (for CPUs), small, medium or original [default: by the text and device]",
            rich_help_panel="Model",
        ),
    ] = None,
    options: Annotated[
        Path | None, typer.Option("--options", help="an options.json instead of a size", rich_help_panel="Model")
    ] = None,
    init: Annotated[
        Path | None, typer.Option("--init", help="go on from this biLM's weights", rich_help_panel="Model")
    ] = None,
    vocab: Annotated[Path | None, typer.Option("--vocab", help="vocabulary file", rich_help_panel="Text")] = None,
    vocab_size: Annotated[
        int | None,
        typer.Option(
            "--vocab-size",
            min=10,
            help="most frequent tokens to predict [default: by the text]",
            rich_help_panel="Text",
        ),
    ] = None,
    text: Annotated[
        str,
        typer.Option(
            "--text",
            help="tokenized (a sentence a line, blanks between tokens), raw (split as tag splits English) or "
            "characters (each Chinese character a token; Latin words and numbers whole)",
            rich_help_panel="Text",
        ),
    ] = "tokenized",
    heldout: Annotated[
        Path | None,
        typer.Option("--heldout", help="text for perplexity [default: 0.5 % of the corpus]", rich_help_panel="Text"),
    ] = None,
    encoding: shared.Encoding = "utf-8",
    language: Annotated[
        str | None, typer.Option("--language", help="recorded in the model, such as en", rich_help_panel="Text")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", help="terms of the text, recorded in the model", rich_help_panel="Text")
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs", min=1, help="[default: 10; on a CPU what half a day allows]", rich_help_panel="Training"
        ),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=1, help="stop after so many tokens", rich_help_panel="Training")
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option("--max-minutes", help="save and stop after so long", rich_help_panel="Training")
    ] = None,
    softmax: Annotated[
        str, typer.Option("--softmax", help="auto, sampled or exact", rich_help_panel="Training")
    ] = "auto",
    n_samples: Annotated[
        int, typer.Option("--samples", min=1, help="words sampled a step", rich_help_panel="Training")
    ] = 4096,
    dropout: Annotated[
        float | None, typer.Option("--dropout", help="[default: the options', 0.1]", rich_help_panel="Training")
    ] = None,
    learning_rate: Annotated[float, typer.Option("--learning-rate", rich_help_panel="Training")] = 2e-3,
    clip_norm: Annotated[
        float, typer.Option("--clip-norm", help="most gradient norm", rich_help_panel="Training")
    ] = 1.0,
    batch_tokens: Annotated[
        int, typer.Option("--batch-tokens", min=16, help="tokens a step", rich_help_panel="Training")
    ] = 3072,
    checkpoint_steps: Annotated[
        int | None,
        typer.Option(
            "--checkpoint-steps", min=1, help="steps between checkpoints [default: 500]", rich_help_panel="Training"
        ),
    ] = None,
    checkpoint_minutes: Annotated[
        float | None,
        typer.Option("--checkpoint-minutes", help="minutes between checkpoints instead", rich_help_panel="Training"),
    ] = None,
    seed: shared.Seed = 1,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the newest checkpoint in the output")] = False,
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
    device: shared.Device = "auto",
    threads: shared.Threads = None,
    as_json: shared.Json = False,
    debug: shared.Debug = False,
) -> None:
    """Train a bidirectional language model on raw text.

    The output holds bilm/ (the model), config.json, log.jsonl, curve.svg, report.json and checkpoints/. Interrupt it at
    any time (Ctrl-C) and go on with --resume.
    """
    dry_run = dry_run or quick
    if text not in ("tokenized", "raw", "characters"):
        raise UsageError(f"--text {text}: unknown; expected tokenized, raw or characters")
    if softmax not in ("auto", "sampled", "exact"):
        raise UsageError(f"--softmax {softmax}: unknown; expected auto, sampled or exact")
    positive = {"--learning-rate": learning_rate, "--clip-norm": clip_norm, "--checkpoint-minutes": checkpoint_minutes}
    for flag, value in positive.items():
        if value is not None and not value > 0:
            raise UsageError(f"{flag} {value}: expected a number above 0")
    if dropout is not None and not 0 <= dropout < 1:
        raise UsageError(f"--dropout {dropout}: expected a number from 0 to below 1")
    if output is None and not dry_run:
        raise UsageError("Missing option '-o' / '--output'. (try ner-elmo pretrain --help)")
    if output is not None and not resume and not dry_run:
        shared.refuse_existing(output, force)

    from ner_elmo.bilm import preparation, pretrain
    from ner_elmo.bilm.config import PretrainConfig, read_config
    from ner_elmo.bilm.corpus import find_files
    from ner_elmo.bilm.directory import find_bilm
    from ner_elmo.bilm.options import options_to_json, read_options
    from ner_elmo.bilm.options import size as size_options

    earlier = _earlier_config(output) if resume and output is not None else None
    base = earlier or (read_config(config_file) if config_file else None)
    if not corpus and base is None:
        raise UsageError("Missing argument 'CORPUS...'. (try ner-elmo pretrain --help)")
    network = None
    if init is not None:
        network = read_options(find_bilm(init).options)
    elif options is not None:
        network = read_options(options)
    elif size is not None:
        network = size_options(size)
    config = PretrainConfig(
        corpus=[str(path) for path in corpus or ()],
        options=options_to_json(network) if network else None,
        heldout=str(heldout) if heldout else None,
        text=text,
        encoding=encoding,
        vocabulary=str(vocab) if vocab else None,
        vocabulary_size=vocab_size,
        init=str(init) if init else None,
        dropout=dropout,
        softmax=softmax,
        n_samples=n_samples,
        learning_rate=learning_rate,
        clip_norm=clip_norm,
        batch_tokens=batch_tokens,
        epochs=epochs,
        max_tokens=max_tokens,
        checkpoint_steps=500 if checkpoint_steps is None and checkpoint_minutes is None else checkpoint_steps,
        checkpoint_minutes=checkpoint_minutes,
        seed=seed,
        language=language,
        licence=licence,
    )
    if base is not None:
        config = _with_flags(base, config, _given(context))
    find_files([*config.corpus, *filter(None, (config.heldout, config.vocabulary))])
    if earlier is not None and output is not None and (finished := _agree_with_earlier_run(output, earlier, config)):
        shared.note(f"{output}: this run is finished; nothing to resume")
        if as_json:
            shared.print_json(finished)
        return
    chosen = shared.set_up_torch(device, threads)
    count_processes = threads or shared.available_cores()
    if earlier is None:
        preparation.examine_text(config, Reporter(), force)
    if dry_run or output is None:
        minutes = (max_minutes or QUICK_MINUTES) if quick else None
        _dry_run(config, chosen, count_processes, minutes, as_json)
        return
    with StopSignals() as stop, Reporter() as report:
        result = pretrain.run(
            config,
            output,
            device=chosen,
            resume=resume,
            max_minutes=max_minutes,
            count_processes=count_processes,
            report=report,
            should_stop=lambda: stop.received is not None,
        )
    if as_json:
        shared.print_json(result)
    if stop.received is not None and not result["finished"]:
        shared.note(f"stopped; the run goes on with: ner-elmo pretrain -o {output} --resume")
        raise typer.Exit(128 + stop.received)
    if result["finished"] and not as_json:
        perplexity = result["perplexity"]
        shared.note(
            f"{output / 'bilm'}: held-out perplexity {perplexity['mean']:.1f} (forward {perplexity['forward']:.1f}, "
            f"backward {perplexity['backward']:.1f}; a unigram model's: {result['unigram_perplexity']:.1f})"
        )


def _given(context: typer.Context) -> set[str]:
    """The settings that stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    flags = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    return {setting for flag in flags for setting in _SETTINGS.get(flag, (flag,))}


def _with_flags(base: PretrainConfig, flags: PretrainConfig, given: set[str]) -> PretrainConfig:
    """The settings of ``base``, but those ``given`` on the command line."""
    names = {field.name for field in dataclasses.fields(base)} & given
    config = dataclasses.replace(base, **{name: getattr(flags, name) for name in names})
    if "dropout" in names and config.options is not None:
        config = dataclasses.replace(config, options={**config.options, "dropout": config.dropout})
    return config


def _earlier_config(output: Path) -> PretrainConfig | None:
    """The settings of the run to resume, if there is one."""
    from ner_elmo.bilm.config import read_config

    path = output / "config.json"
    if not path.is_file():
        shared.note(f"{output}: found no run to resume; starting anew")
        return None
    try:
        return read_config(path)
    except DataError as error:
        raise NerElmoError(str(error)) from None


def _agree_with_earlier_run(output: Path, before: PretrainConfig, config: PretrainConfig) -> dict[str, Any] | None:
    """The report of a run that is finished already; otherwise make sure that resuming means the same run.

    Raises:
        UsageError: a flag differs from the earlier run's.
    """
    earlier, now = dataclasses.asdict(before), dataclasses.asdict(config)
    for key in sorted(now):
        if key not in _MAY_CHANGE and earlier[key] != now[key]:
            raise UsageError(
                f"{output}: --resume with another {key} ({now[key]!r}, the run has {earlier[key]!r}); "
                "give the same flags, or none, or another -o"
            )
    report = output / "report.json"
    if report.is_file() and all(earlier[key] == now[key] for key in ("max_tokens", "epochs")):
        values = json.loads(report.read_text(encoding="utf-8"))
        return values if isinstance(values, dict) else None
    return None


def _dry_run(
    config: PretrainConfig,
    device: torch.device,
    count_processes: int,
    quick_minutes: float | None,
    as_json: bool,
) -> None:
    """Print what lies ahead; with ``quick_minutes`` the exit status is 1 if training does not help."""
    from ner_elmo.bilm.dry_run import dry_run

    with Reporter() as report:
        result = dry_run(
            config, device=device, count_processes=count_processes, quick_minutes=quick_minutes, report=report
        )
    if as_json:
        shared.print_json(result)
    else:
        print("\n".join(dry_run_lines(result)))
    if "quick" in result and result["quick"]["verdict"] == "does not learn":
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
        f"speed         {result['tokens_per_second']:,.0f} tokens/s",
        f"time          {about}{result['hours']:,.2f} hours for {result['total_tokens']:,} tokens",
        f"disk          {_size(result['disk_bytes'])} while it runs",
    ]
    if quick := result.get("quick"):
        lines.append(
            f"quick check   {quick['verdict']}: held-out perplexity {quick['perplexity']:,.1f} after "
            f"{quick['steps']:,} steps ({quick['tokens']:,} tokens, {quick['seconds']:,.0f} s), a unigram model's "
            f"{quick['unigram_perplexity']:,.1f}"
            + {
                "learns": "",
                "unclear": "; give it longer (--max-minutes)",
                "does not learn": "; try another --learning-rate, and look at the text",
            }[quick["verdict"]]
        )
    return lines


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.2f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:,.0f} MB"


class StopSignals:
    """Within the block SIGINT and SIGTERM are noted in ``received`` instead of ending the program; a second one ends
    it."""

    received: int | None = None

    def __enter__(self) -> StopSignals:
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: object) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number
        shared.note("stopping after this step; a checkpoint is written first (again: stop at once)")


class Reporter:
    """Turns the events of a run into what a person sees."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.__exit__(None, None, None)

    def __call__(self, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "step":
            self._step(event)
        else:
            message = _MESSAGES[kind](event)
            if self._progress is not None:
                self._progress.line(message)
            else:
                shared.note(message)

    def _step(self, event: Mapping[str, Any]) -> None:
        if self._progress is None:
            self._progress = Progress("pretrain", event["total_tokens"]).__enter__()
        loss = (event["forward"] + event["backward"]) / 2
        self._progress.update(event["tokens"], f"step {event['step']:,} · loss {loss:.2f}")


_MESSAGES = {
    "count": lambda e: e["message"],
    "notice": lambda e: e["message"],
    "counted": lambda e: (
        f"{e['types']:,} different tokens; {'' if e['repeated_is_exact'] else 'about '}{e['repeated_sentences']:,} "
        "sentences repeat an earlier one"
        + (f"; {e['left_out_as_heldout']:,} left out, as they are held out" if e["left_out_as_heldout"] else "")
    ),
    "warning": lambda e: f"warning: {e['message']}",
    "start": lambda e: (
        f"{e['corpus_tokens']:,} tokens in {e['corpus_sentences']:,} sentences, {e['heldout_sentences']:,} held out; "
        f"vocabulary {e['vocabulary']:,}; {e['parameters']:,} parameters; softmax {e['softmax']}; "
        f"training on {e['total_tokens']:,} tokens"
    ),
    "resume": lambda e: f"resumed at step {e['step']:,} ({e['tokens']:,} tokens seen)",
    "perplexity": lambda e: (
        f"held-out perplexity {e['mean']:.2f} (forward {e['forward']:.2f}, backward {e['backward']:.2f}, "
        f"unknown {e['unk_rate']:.2%}) after {e['tokens_seen']:,} tokens" + (" · best" if e["is_best"] else "")
    ),
    "stopped": lambda e: f"{e['checkpoint']}: saved after {e['tokens']:,} tokens",
    "finished": lambda e: f"finished after {e['tokens']:,} tokens",
}
