"""``ner-elmo pretrain``: a biLM from raw text."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ner_elmo.bilm.launch import is_launched
from ner_elmo.cli import options as shared
from ner_elmo.cli.progress import Progress
from ner_elmo.errors import NerElmoError, UsageError

if TYPE_CHECKING:
    from ner_elmo.bilm.config import PretrainConfig
    from ner_elmo.bilm.options import BilmOptions

NAME = "pretrain"
# What a resumed run may change: when it stops, how often it looks up, and what helps where losses are not finite.
_MAY_CHANGE = (
    "max_tokens",
    "epochs",
    "checkpoint_steps",
    "evaluations",
    "language",
    "licence",
    "learning_rate",
    "clip_norm",
)


def command(
    corpus: Annotated[
        list[Path], typer.Argument(help="text files (plain, .gz, .xz, .zst) or folders", metavar="CORPUS...")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="run directory to write")],
    size: Annotated[
        str, typer.Option("--size", help="tiny, small, medium or original", rich_help_panel="Model")
    ] = "small",
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
        Path | None, typer.Option("--init", help="go on from this biLM's weights", rich_help_panel="Model")
    ] = None,
    vocab: Annotated[Path | None, typer.Option("--vocab", help="vocabulary file", rich_help_panel="Text")] = None,
    vocab_size: Annotated[
        int, typer.Option("--vocab-size", min=10, help="most frequent tokens to predict", rich_help_panel="Text")
    ] = 50_000,
    min_count: Annotated[
        int, typer.Option("--min-count", min=1, help="occurrences a word needs to be one", rich_help_panel="Text")
    ] = 2,
    text: Annotated[
        str, typer.Option("--text", help="tokenized, raw or characters", rich_help_panel="Text")
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
    epochs: Annotated[int, typer.Option("--epochs", min=1, rich_help_panel="Training")] = 10,
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
    checkpoint_steps: Annotated[int, typer.Option("--checkpoint-steps", min=1, rich_help_panel="Training")] = 500,
    seed: shared.Seed = 1,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the newest checkpoint in the output")] = False,
    force: shared.Force = False,
    device: shared.Device = "auto",
    threads: shared.Threads = None,
    as_json: shared.Json = False,
    debug: shared.Debug = False,
) -> None:
    """Train a bidirectional language model on raw text.

    The output holds bilm/ (the model), log.jsonl, report.json and checkpoints/. Interrupt it at any time (Ctrl-C) and
    go on with --resume. Several processes: torchrun --nproc-per-node N -m ner_elmo pretrain ...
    """
    if text not in ("tokenized", "raw", "characters"):
        raise UsageError(f"--text {text}: unknown; expected tokenized, raw or characters")
    if softmax not in ("auto", "sampled", "exact"):
        raise UsageError(f"--softmax {softmax}: unknown; expected auto, sampled or exact")
    if optimizer not in ("adam", "adamw", "adagrad"):
        raise UsageError(f"--optimizer {optimizer}: unknown; expected adam, adamw or adagrad")
    if weight_decay is not None and (optimizer != "adamw" or not weight_decay >= 0):
        raise UsageError(f"--weight-decay {weight_decay}: expected a number of at least 0, and --optimizer adamw")
    _check_running_text(carry_state, unroll_steps, rows, order)
    for flag, value in (("--learning-rate", learning_rate), ("--clip-norm", clip_norm)):
        if value is not None and not value > 0:
            raise UsageError(f"{flag} {value}: expected a number above 0")
    if dropout is not None and not 0 <= dropout < 1:
        raise UsageError(f"--dropout {dropout}: expected a number from 0 to below 1")
    if not resume:
        shared.refuse_existing(output, force)

    from ner_elmo.bilm import pretrain
    from ner_elmo.bilm.config import PretrainConfig
    from ner_elmo.bilm.corpus import find_files
    from ner_elmo.bilm.directory import find_bilm
    from ner_elmo.bilm.distributed import joined
    from ner_elmo.bilm.optimizers import DEFAULTS, WEIGHT_DECAY
    from ner_elmo.bilm.options import options_to_json, read_options
    from ner_elmo.bilm.options import size as size_options

    find_files([*corpus, *([heldout] if heldout else []), *([vocab] if vocab else [])])
    if init is not None:
        network = read_options(find_bilm(init).options)
    else:
        network = read_options(options) if options else size_options(size)
    if dropout is not None:
        network = dataclasses.replace(network, dropout=dropout)
    if tie_embeddings:
        network = _tied(network, init)
    steps = unroll_steps or PretrainConfig.unroll_steps
    if carry_state and (rows or batch_tokens // steps) < 1:
        raise UsageError(f"--batch-tokens {batch_tokens}: less than one row of {steps} steps; try --rows 1")
    default_rate, default_clip = DEFAULTS[optimizer]
    constant_rate = optimizer == "adagrad"  # as in bilm-tf; the others warm up and fall
    config = PretrainConfig(
        corpus=[str(path) for path in corpus],
        options=options_to_json(network),
        heldout=str(heldout) if heldout else None,
        text=text,
        encoding=encoding,
        vocabulary=str(vocab) if vocab else None,
        vocabulary_size=vocab_size,
        min_count=min_count,
        init=str(init) if init else None,
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
        checkpoint_steps=checkpoint_steps,
        seed=seed,
        language=language,
        licence=licence,
        warmup_steps=0 if constant_rate else PretrainConfig.warmup_steps,
        decay_share=0.0 if constant_rate else PretrainConfig.decay_share,
    )
    if resume and (finished := _agree_with_earlier_run(output, config)) is not None:
        shared.note(f"{output}: this run is finished; nothing to resume")
        if as_json:
            shared.print_json(finished)
        return
    chosen = shared.set_up_torch(device, threads)
    with joined(chosen) as processes, StopSignals() as stop, Reporter() as report:
        result = pretrain.run(
            config,
            output,
            device=chosen,
            processes=processes,
            resume=resume,
            max_minutes=max_minutes,
            report=report,
            should_stop=lambda: stop.received is not None,
        )
        if not result["finished"]:  # a signal to one process stops them all
            stop.received = processes.highest(stop.received)
    if as_json:
        shared.print_json(result)
    if stop.received is not None and not result["finished"]:
        shared.note(f"stopped; the run goes on with: ner-elmo pretrain ... -o {output} --resume")
        raise typer.Exit(128 + stop.received)
    if result["finished"] and not as_json:
        perplexity = result["perplexity"]
        shared.note(
            f"{output / 'bilm'}: held-out perplexity {perplexity['mean']:.1f} (forward {perplexity['forward']:.1f}, "
            f"backward {perplexity['backward']:.1f}; a unigram model's: {result['unigram_perplexity']:.1f})"
        )


def _check_running_text(carry_state: bool, unroll_steps: int | None, rows: int | None, order: str | None) -> None:
    if order not in (None, "shuffled", "text"):
        raise UsageError(f"--order {order}: unknown; expected shuffled or text")
    for flag, value in (("--unroll-steps", unroll_steps), ("--rows", rows), ("--order", order)):
        if value is not None and not carry_state:
            raise UsageError(f"{flag} {value}: has a meaning with --carry-state only")


def _tied(network: BilmOptions, init: Path | None) -> BilmOptions:
    """The options of a network that shares its word table with the softmax.

    Raises:
        UsageError: it has no word table, or its weights are there already and apart.
    """
    if network.char_cnn is not None:
        raise UsageError(
            "--tie-embeddings: this network reads characters and has no word table to share; "
            "give --options with a file that has no char_cnn"
        )
    if init is not None and not network.tied:
        raise UsageError(f"--tie-embeddings: {init} has a word table and a softmax of its own; leave the flag out")
    return dataclasses.replace(network, extra={**network.extra, "share_embedding_softmax": True})


def _agree_with_earlier_run(output: Path, config: PretrainConfig) -> dict[str, Any] | None:
    """The report of a run that is finished already; otherwise make sure that resuming means the same run.

    Raises:
        UsageError: a flag differs from the earlier run's.
        NerElmoError: the earlier run's files are damaged.
    """
    path = output / "config.json"
    if not path.is_file():
        shared.note(f"{output}: found no run to resume; starting anew")
        return None
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise NerElmoError(f"{path}: damaged ({error})") from None
    # What the earlier run knew nothing of was as it is by default.
    earlier = {field.name: field.default for field in dataclasses.fields(config)} | earlier
    now = dataclasses.asdict(config)
    for key in sorted(now):
        if key not in _MAY_CHANGE and earlier.get(key) != now[key]:
            raise UsageError(
                f"{output}: --resume with another {key} ({now[key]!r}, the run has {earlier.get(key)!r}); "
                "give the same flags, or another -o"
            )
    report = output / "report.json"
    if report.is_file() and all(earlier.get(key) == now[key] for key in ("max_tokens", "epochs")):
        values = json.loads(report.read_text(encoding="utf-8"))
        return values if isinstance(values, dict) else None
    return None


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
        shared.note("stopping after this step; a checkpoint is written first (again: stop at once)")


class Reporter:
    """Turns the events of a run into what a person sees."""

    def __enter__(self) -> Reporter:
        self._progress: Progress | None = None
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


def _processes(event: Mapping[str, Any]) -> str:
    return f" in {event['processes']} processes" if event["processes"] > 1 else ""


_MESSAGES = {
    "count": lambda e: e["message"],
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
        f"unknown {e['unk_rate']:.2%}) after {e['tokens_seen']:,} tokens" + (" · best" if e["is_best"] else "")
    ),
    "stopped": lambda e: f"{e['checkpoint']}: saved after {e['tokens']:,} tokens",
    "finished": lambda e: f"finished after {e['tokens']:,} tokens",
}
