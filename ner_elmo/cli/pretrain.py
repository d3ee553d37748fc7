"""``ner-elmo pretrain``: a biLM from raw text."""

from __future__ import annotations

import dataclasses
import json
import math
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ner_elmo.cli import flags
from ner_elmo.cli.show import Progress
from ner_elmo.errors import DataError, NerElmoError, UsageError
from ner_elmo.runs.launch import is_launched

if TYPE_CHECKING:
    import torch

    from ner_elmo.bilm.files.directory import BilmFiles
    from ner_elmo.bilm.options import BilmOptions
    from ner_elmo.bilm.pretraining.config import PretrainConfig

NAME = "pretrain"
# What a resumed run may change: when it stops, how often it looks up, and what helps where losses are not finite.
_MAY_CHANGE = (
    "max_tokens",
    "epochs",
    "checkpoint_steps",
    "checkpoint_minutes",
    "evaluations",
    "language",
    "licence",
    "learning_rate",
    "clip_norm",
    "precision",
)

# The settings that a flag decides, where that is not the one of its own name alone.
_SETTINGS = {
    "size": ("options",),
    "tie_embeddings": ("options",),
    "init": ("init", "options"),
    "vocab": ("vocabulary",),
    "vocab_size": ("vocabulary_size",),
    "rows": ("batch_tokens",),
    "optimizer": ("optimizer", "learning_rate", "clip_norm", "weight_decay", "warmup_steps", "decay_share"),
    "checkpoint_steps": ("checkpoint_steps", "checkpoint_minutes"),
    "checkpoint_minutes": ("checkpoint_steps", "checkpoint_minutes"),
}
QUICK_MINUTES = 3.0
_ADAPTATION = "Going on from a model"


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
    tie_embeddings: Annotated[
        bool,
        typer.Option(
            "--tie-embeddings", help="word vectors are the softmax's weights (word input only)", rich_help_panel="Model"
        ),
    ] = False,
    init: Annotated[
        Path | None,
        typer.Option(
            "--init",
            help="go on from this biLM, ours or a published one; its words and the text's are predicted",
            rich_help_panel=_ADAPTATION,
        ),
    ] = None,
    layer_decay: Annotated[
        float | None,
        typer.Option(
            "--layer-decay",
            help="a layer's rate is the one above's divided by this, e.g. 2.6 [default: 1]",
            rich_help_panel=_ADAPTATION,
        ),
    ] = None,
    unfreeze: Annotated[
        float | None,
        typer.Option(
            "--unfreeze",
            help="layers join from the top down over this share of the tokens, e.g. 0.3 [default: 0, all at once]",
            rich_help_panel=_ADAPTATION,
        ),
    ] = None,
    softmax_steps: Annotated[
        int | None,
        typer.Option(
            "--softmax-steps",
            min=0,
            help="steps that train the softmax alone [default: 5 % of the tokens if the model has none, else 0]",
            rich_help_panel=_ADAPTATION,
        ),
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
    min_count: Annotated[
        int, typer.Option("--min-count", min=1, help="occurrences a word needs to be one", rich_help_panel="Text")
    ] = 2,
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
    encoding: flags.Encoding = "utf-8",
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
    carry_state: Annotated[
        bool,
        typer.Option(
            "--carry-state",
            help="read running text as bilm-tf does: fixed rows and steps, state carried on",
            rich_help_panel="Running text",
        ),
    ] = False,
    unroll_steps: Annotated[
        int | None,
        typer.Option("--unroll-steps", min=1, help="steps of a batch [default: 20]", rich_help_panel="Running text"),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows",
            min=1,
            help="rows of a batch [default: as --batch-tokens has room]",
            rich_help_panel="Running text",
        ),
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(
            "--order",
            help="shuffled sentences, or text: each row reads on in a stretch of its own [default: shuffled]",
            rich_help_panel="Running text",
        ),
    ] = None,
    softmax: Annotated[
        str,
        typer.Option(
            "--softmax", help="sampled, exact, or auto: by the size of the vocabulary", rich_help_panel="Training"
        ),
    ] = "auto",
    n_samples: Annotated[
        int, typer.Option("--samples", min=1, help="words sampled a step", rich_help_panel="Training")
    ] = 4096,
    dropout: Annotated[
        float | None, typer.Option("--dropout", help="[default: the options', 0.1]", rich_help_panel="Training")
    ] = None,
    optimizer: Annotated[
        str,
        typer.Option(
            "--optimizer",
            help="adam; adamw (decoupled weight decay); adagrad (as bilm-tf, at a constant rate)",
            rich_help_panel="Training",
        ),
    ] = "adam",
    learning_rate: Annotated[
        float | None,
        typer.Option("--learning-rate", help="[default: 0.002; adagrad 0.2]", rich_help_panel="Training"),
    ] = None,
    schedule: Annotated[
        str,
        typer.Option(
            "--schedule",
            help="of the learning rate: linear (warm-up, constant, fall) or slanted (a short rise, a long fall)",
            rich_help_panel="Training",
        ),
    ] = "linear",
    weight_decay: Annotated[
        float | None, typer.Option("--weight-decay", help="of adamw [default: 0.01]", rich_help_panel="Training")
    ] = None,
    clip_norm: Annotated[
        float | None,
        typer.Option("--clip-norm", help="most gradient norm [default: 1; adagrad 10]", rich_help_panel="Training"),
    ] = None,
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
    seed: flags.Seed = 1,
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
    device: flags.Device = "auto",
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            help="auto, fp32 or bf16: products in bfloat16, on a GPU or processor that has it (auto)",
            rich_help_panel="Machine",
        ),
    ] = "auto",
    threads: flags.Threads = None,
    as_json: flags.Json = False,
    debug: flags.Debug = False,
) -> None:
    """Train a bidirectional language model on raw text.

    The output holds bilm/ (the model), config.json, log.jsonl, curve.svg, report.json and checkpoints/. Interrupt it at
    any time (Ctrl-C) and go on with --resume. Several processes: torchrun --nproc-per-node N -m ner_elmo pretrain ...
    """
    dry_run = dry_run or quick
    if text not in ("tokenized", "raw", "characters"):
        raise UsageError(f"--text {text}: unknown; expected tokenized, raw or characters")
    if softmax not in ("auto", "sampled", "exact"):
        raise UsageError(f"--softmax {softmax}: unknown; expected auto, sampled or exact")
    if precision not in ("auto", "fp32", "bf16"):
        raise UsageError(f"--precision {precision}: unknown; expected auto, fp32 or bf16")
    if optimizer not in ("adam", "adamw", "adagrad"):
        raise UsageError(f"--optimizer {optimizer}: unknown; expected adam, adamw or adagrad")
    if weight_decay is not None and (optimizer != "adamw" or not weight_decay >= 0):
        raise UsageError(f"--weight-decay {weight_decay}: expected a number of at least 0, and --optimizer adamw")
    if schedule not in ("linear", "slanted"):
        raise UsageError(f"--schedule {schedule}: unknown; expected linear or slanted")
    if layer_decay is not None and not 1 <= layer_decay < math.inf:
        raise UsageError(f"--layer-decay {layer_decay}: expected a number of at least 1")
    if unfreeze is not None and not 0 <= unfreeze <= 1:
        raise UsageError(f"--unfreeze {unfreeze}: expected a number from 0 to 1")
    _check_running_text(carry_state, unroll_steps, rows, order)
    positive = {"--learning-rate": learning_rate, "--clip-norm": clip_norm, "--checkpoint-minutes": checkpoint_minutes}
    for flag, value in positive.items():
        if value is not None and not value > 0:
            raise UsageError(f"{flag} {value}: expected a number above 0")
    if dropout is not None and not 0 <= dropout < 1:
        raise UsageError(f"--dropout {dropout}: expected a number from 0 to below 1")
    if output is None and not dry_run:
        raise UsageError("Missing option '-o' / '--output'. (try ner-elmo pretrain --help)")
    if output is not None and not resume and not dry_run:
        flags.refuse_existing(output, force)

    from ner_elmo.bilm.data.corpus import find_files
    from ner_elmo.bilm.options import options_to_json, read_options
    from ner_elmo.bilm.options import size as size_options
    from ner_elmo.bilm.pretraining import preparation
    from ner_elmo.bilm.pretraining import run as pretrain
    from ner_elmo.bilm.pretraining.adaptation import find_parent
    from ner_elmo.bilm.pretraining.config import PretrainConfig, read_config
    from ner_elmo.bilm.pretraining.distributed import joined
    from ner_elmo.bilm.pretraining.optimizers import DEFAULTS, WEIGHT_DECAY

    earlier = _earlier_config(output) if resume and output is not None else None
    base = earlier or (read_config(config_file) if config_file else None)
    if not corpus and base is None:
        raise UsageError("Missing argument 'CORPUS...'. (try ner-elmo pretrain --help)")
    network = None
    parent = None if init is None else find_parent(init)
    if parent is not None:
        network = read_options(parent.options)
    elif options is not None:
        network = read_options(options)
    elif size is not None:
        network = size_options(size)
    if tie_embeddings:
        network = _tied(network, init)
    steps = unroll_steps or PretrainConfig.unroll_steps
    if carry_state and (rows or batch_tokens // steps) < 1:
        raise UsageError(f"--batch-tokens {batch_tokens}: less than one row of {steps} steps; try --rows 1")
    default_rate, default_clip = DEFAULTS[optimizer]
    constant_rate = optimizer == "adagrad"  # as in bilm-tf; the others warm up and fall
    config = PretrainConfig(
        corpus=[str(path) for path in corpus or ()],
        options=options_to_json(network) if network else None,
        heldout=str(heldout) if heldout else None,
        text=text,
        encoding=encoding,
        vocabulary=str(vocab) if vocab else None,
        vocabulary_size=vocab_size,
        min_count=min_count,
        init=str(init) if init else None,
        dropout=dropout,
        softmax=softmax,
        n_samples=n_samples,
        carry_state=carry_state,
        unroll_steps=steps,
        order=order or PretrainConfig.order,
        optimizer=optimizer,
        learning_rate=learning_rate or default_rate,
        weight_decay=0.0 if optimizer != "adamw" else WEIGHT_DECAY if weight_decay is None else weight_decay,
        clip_norm=clip_norm or default_clip,
        batch_tokens=rows * steps if rows else batch_tokens,
        epochs=epochs,
        max_tokens=max_tokens,
        checkpoint_steps=500 if checkpoint_steps is None and checkpoint_minutes is None else checkpoint_steps,
        checkpoint_minutes=checkpoint_minutes,
        seed=seed,
        precision=precision,
        language=language,
        licence=licence,
        schedule=schedule,
        layer_decay=PretrainConfig.layer_decay if layer_decay is None else layer_decay,
        unfreeze=PretrainConfig.unfreeze if unfreeze is None else unfreeze,
        softmax_steps=softmax_steps,
        warmup_steps=0 if constant_rate else PretrainConfig.warmup_steps,
        decay_share=0.0 if constant_rate else PretrainConfig.decay_share,
    )
    if base is not None:
        config = _with_flags(base, config, _given(context))
    _check_adaptation(config)
    find_files([*config.corpus, *filter(None, (config.heldout, config.vocabulary))])
    if earlier is not None and output is not None and (finished := _agree_with_earlier_run(output, earlier, config)):
        flags.note(f"{output}: this run is finished; nothing to resume")
        if as_json:
            flags.print_json(finished)
        return
    chosen = flags.set_up_torch(device, threads)
    config = _with_precision_of(config, chosen, precision)
    count_processes = threads or flags.available_cores()
    if dry_run or output is None:
        if earlier is None:
            preparation.examine_text(config, Reporter(), force)
        minutes = (max_minutes or QUICK_MINUTES) if quick else None
        _dry_run(config, chosen, count_processes, minutes, as_json, parent)
        return
    with joined(chosen) as processes, StopSignals() as stop, Reporter() as report:
        if earlier is None:
            preparation.examine_text(config, report if processes.is_first else _silent, force)
        result = pretrain.run(
            config,
            output,
            device=chosen,
            processes=processes,
            resume=resume,
            max_minutes=max_minutes,
            count_processes=count_processes,
            report=report,
            should_stop=lambda: stop.received is not None,
            parent=parent,
        )
        if not result["finished"]:  # a signal to one process stops them all
            stop.received = processes.highest(stop.received)
    if as_json:
        flags.print_json(result)
    if stop.received is not None and not result["finished"]:
        flags.note(f"stopped; the run goes on with: ner-elmo pretrain -o {output} --resume")
        raise typer.Exit(128 + stop.received)
    if result["finished"] and not as_json:
        perplexity = result["perplexity"]
        flags.note(
            f"{output / 'bilm'}: held-out perplexity {perplexity['mean']:.1f} (forward {perplexity['forward']:.1f}, "
            f"backward {perplexity['backward']:.1f}; a unigram model's: {result['unigram_perplexity']:.1f})"
        )


def _check_running_text(carry_state: bool, unroll_steps: int | None, rows: int | None, order: str | None) -> None:
    if order not in (None, "shuffled", "text"):
        raise UsageError(f"--order {order}: unknown; expected shuffled or text")
    for flag, value in (("--unroll-steps", unroll_steps), ("--rows", rows), ("--order", order)):
        if value is not None and not carry_state:
            raise UsageError(f"{flag} {value}: has a meaning with --carry-state only")


def _check_adaptation(config: PretrainConfig) -> None:
    if config.init is not None:
        return
    for flag, value, neutral in (
        ("--layer-decay", config.layer_decay, 1.0),
        ("--unfreeze", config.unfreeze, 0.0),
        ("--softmax-steps", config.softmax_steps, None),
    ):
        if value != neutral:
            raise UsageError(f"{flag} {value}: has a meaning with --init only")


def _with_precision_of(config: PretrainConfig, device: torch.device, asked: str) -> PretrainConfig:
    """The settings with a precision that ``device`` has: a run from another machine may have to go on in float32.

    Raises:
        UsageError: another one was asked for.
    """
    from ner_elmo.nn.precision import best_precision

    if config.precision != "bf16" or best_precision(device.type) == "bf16":
        return config
    if asked == "bf16":
        raise UsageError("--precision bf16: this machine computes no bfloat16; try --precision fp32")
    flags.note("this run was in bfloat16, which this machine does not compute; it goes on in float32")
    return dataclasses.replace(config, precision="fp32")


def _tied(network: BilmOptions | None, init: Path | None) -> BilmOptions:
    """The options of a network that shares its word table with the softmax.

    Raises:
        UsageError: it has no word table, or its weights are there already and apart.
    """
    if network is None or network.char_cnn is not None:
        raise UsageError(
            "--tie-embeddings: this network reads characters and has no word table to share; "
            "give --options with a file that has no char_cnn"
        )
    if init is not None and not network.tied:
        raise UsageError(f"--tie-embeddings: {init} has a word table and a softmax of its own; leave the flag out")
    return dataclasses.replace(network, extra={**network.extra, "share_embedding_softmax": True})


def _silent(event: Mapping[str, Any]) -> None:
    """Report nothing: one of several processes speaks."""


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
    from ner_elmo.bilm.pretraining.config import read_config

    path = output / "config.json"
    if not path.is_file():
        flags.note(f"{output}: found no run to resume; starting anew")
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
    parent: BilmFiles | None,
) -> None:
    """Print what lies ahead; with ``quick_minutes`` the exit status is 1 if training does not help."""
    from ner_elmo.bilm.pretraining.dry_run import dry_run

    with Reporter() as report:
        result = dry_run(
            config,
            device=device,
            count_processes=count_processes,
            quick_minutes=quick_minutes,
            report=report,
            parent=parent,
        )
    if as_json:
        flags.print_json(result)
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
        f"speed         {result['tokens_per_second']:,.0f} tokens/s"
        f" (waiting for text {result['waiting']:.1%} of the time)",
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
            if is_launched():
                return  # torchrun passes on what a terminal has sent already, and ends by force what does not stop
            raise KeyboardInterrupt
        self.received = number
        flags.note("stopping after this step; a checkpoint is written first (again: stop at once)")


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
                flags.note(message)

    def _step(self, event: Mapping[str, Any]) -> None:
        if self._progress is None:
            self._progress = Progress("pretrain", event["total_tokens"]).__enter__()
        loss = (event["forward"] + event["backward"]) / 2
        self._progress.update(event["tokens"], f"step {event['step']:,} · loss {loss:.2f}")


def _processes(event: Mapping[str, Any]) -> str:
    return f" in {event['processes']} processes" if event["processes"] > 1 else ""


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
        f"training on {e['total_tokens']:,} tokens" + _processes(e)
    ),
    "resume": lambda e: f"resumed at step {e['step']:,} ({e['tokens']:,} tokens seen){_processes(e)}",
    "processes": lambda e: (
        f"the run had {e['before']} process(es) and goes on with {e['now']}: the same batches and steps, "
        "equal to rounding, not to the bit"
    ),
    "skipped": lambda e: f"step {e['step']:,} skipped: its loss was not finite ({e['in_all']} skipped in all)",
    "perplexity": lambda e: (
        f"held-out perplexity {e['mean']:.2f} (forward {e['forward']:.2f}, backward {e['backward']:.2f}, "
        f"unknown {e['unk_rate']:.2%}) "
        + (f"after {e['tokens_seen']:,} tokens" if e["tokens_seen"] else "before training")
        + (" · best" if e["is_best"] and e["tokens_seen"] else "")
    ),
    "stopped": lambda e: f"{e['checkpoint']}: saved after {e['tokens']:,} tokens",
    "finished": lambda e: f"finished after {e['tokens']:,} tokens",
}
