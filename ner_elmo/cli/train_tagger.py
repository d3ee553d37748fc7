"""``ner-elmo train-tagger``: labelled sentences (and a biLM) → a tagger directory."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ner_elmo.cli import flags
from ner_elmo.errors import UsageError

if TYPE_CHECKING:
    import torch

    from ner_elmo.tagger.training.config import TaggerConfig

NAME = "train-tagger"
# Panels of --help.
_DATA, _BILM, _WORDS, _NETWORK = "Data", "biLM layers", "Words and characters", "Network"
_TRAINING, _OUTPUT = "Training", "Output"


def command(
    train: Annotated[
        Path, typer.Option("--train", help="labelled sentences: CoNLL, or .jsonl as tag writes", rich_help_panel=_DATA)
    ],
    dev: Annotated[
        Path | None,
        typer.Option("--dev", help="chooses the best epoch [default: a tenth of --train]", rich_help_panel=_DATA),
    ] = None,
    test: Annotated[Path | None, typer.Option("--test", help="scored once, at the end", rich_help_panel=_DATA)] = None,
    train_with_dev: Annotated[
        bool,
        typer.Option(
            "--train-with-dev",
            help="train on dev too: no dev score, exactly --epochs epochs",
            rich_help_panel=_DATA,
        ),
    ] = False,
    column: Annotated[
        int, typer.Option("--column", help="column of the tags; the token is 0, -1 is the last", rich_help_panel=_DATA)
    ] = -1,
    scheme: Annotated[
        str,
        typer.Option(
            "--scheme",
            help="tag scheme of the files: auto, iob1, iob2, bioes, bmes, none (labels; without any O each token has a "
            "tag of its own: POS)",
            rich_help_panel=_DATA,
        ),
    ] = "auto",
    encoding: Annotated[
        str, typer.Option("--encoding", help="character encoding of the files", rich_help_panel=_DATA)
    ] = "utf-8",
    comments: Annotated[
        str | None,
        typer.Option("--comments", help="what comment lines begin with [default: # is a token]", rich_help_panel=_DATA),
    ] = None,
    strip_token: Annotated[
        str | None,
        typer.Option(
            "--strip-token",
            help="take away from tokens: language (de:), weibo (digits), or a regular expression",
            rich_help_panel=_DATA,
        ),
    ] = None,
    text: Annotated[
        str,
        typer.Option(
            "--text",
            help="tokenizer for raw text: en-1, characters, whitespace [auto: the biLM's]",
            rich_help_panel=_DATA,
        ),
    ] = "auto",
    bilm: Annotated[
        Path | None,
        typer.Option("--bilm", help="biLM whose frozen layers are read [default: none]", rich_help_panel=_BILM),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers", help="layers to read, e.g. 0,1 (0: tokens); no higher is computed", rich_help_panel=_BILM
        ),
    ] = None,
    mix: Annotated[
        str, typer.Option("--mix", help="learned, mean, or the number of the only layer", rich_help_panel=_BILM)
    ] = "learned",
    gamma: Annotated[
        bool, typer.Option("--gamma/--no-gamma", help="a learned mix has a learned scale", rich_help_panel=_BILM)
    ] = True,
    mix_layer_norm: Annotated[
        bool,
        typer.Option(
            "--mix-layer-norm", help="normalise each layer, sentence by sentence, before mixing", rich_help_panel=_BILM
        ),
    ] = False,
    mix_l2: Annotated[
        float,
        typer.Option("--mix-l2", min=0.0, help="weight of the penalty on mix weights", rich_help_panel=_BILM),
    ] = 0.001,
    elmo_at: Annotated[
        str,
        typer.Option(
            "--elmo-at", help="input, output or both: of the BiLSTM, each with its own mix", rich_help_panel=_BILM
        ),
    ] = "input",
    elmo_dropout: Annotated[
        float, typer.Option("--elmo-dropout", min=0.0, max=0.95, help="on the mixed layers", rich_help_panel=_BILM)
    ] = 0.5,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            help="folder that keeps layers for other runs [default: ~/.cache/ner-elmo]",
            show_default=False,
            rich_help_panel=_BILM,
        ),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="compute the layers for this run alone", rich_help_panel=_BILM)
    ] = False,
    word_vectors: Annotated[
        Path | None,
        typer.Option(
            "--word-vectors",
            help="GloVe, word2vec (text or binary) or fastText .vec [default: learned]",
            rich_help_panel=_WORDS,
        ),
    ] = None,
    max_word_vectors: Annotated[
        int,
        typer.Option(
            "--max-word-vectors", min=0, help="of the file's first rows, beside those needed", rich_help_panel=_WORDS
        ),
    ] = 400_000,
    tune_word_vectors: Annotated[
        bool,
        typer.Option(
            "--tune-word-vectors/--no-tune-word-vectors",
            help="learn on the file's vectors of training words",
            rich_help_panel=_WORDS,
        ),
    ] = True,
    word_dim: Annotated[
        int,
        typer.Option("--word-dim", min=0, help="size of learned word vectors; 0 = none", rich_help_panel=_WORDS),
    ] = 100,
    min_count: Annotated[
        int, typer.Option("--min-count", min=1, help="rarer training words count as unknown", rich_help_panel=_WORDS)
    ] = 1,
    char_cnn: Annotated[
        bool, typer.Option("--char-cnn/--no-char-cnn", help="read spelling, too", rich_help_panel=_WORDS)
    ] = True,
    char_dim: Annotated[
        int, typer.Option("--char-dim", min=1, help="size of character embeddings", rich_help_panel=_WORDS)
    ] = 25,
    char_filters: Annotated[
        int, typer.Option("--char-filters", min=1, help="filters, of width 3", rich_help_panel=_WORDS)
    ] = 128,
    hidden_size: Annotated[
        int, typer.Option("--hidden-size", min=1, help="LSTM units in each direction", rich_help_panel=_NETWORK)
    ] = 256,
    lstm_layers: Annotated[
        int, typer.Option("--lstm-layers", min=1, help="stacked LSTMs", rich_help_panel=_NETWORK)
    ] = 1,
    dropout: Annotated[
        float, typer.Option("--dropout", min=0.0, max=0.95, help="around the LSTMs", rich_help_panel=_NETWORK)
    ] = 0.5,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="at most so many [default: 50]", rich_help_panel=_TRAINING)
    ] = None,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", "--lr", min=0.0, help="Adam's", rich_help_panel=_TRAINING)
    ] = 1e-3,
    lr_patience: Annotated[
        int,
        typer.Option(
            "--lr-patience", min=0, help="epochs without a better dev F1 before it falls", rich_help_panel=_TRAINING
        ),
    ] = 2,
    lr_factor: Annotated[
        float,
        typer.Option(
            "--lr-factor",
            min=0.01,
            max=0.99,
            help="the learning rate then is so many times what it was",
            rich_help_panel=_TRAINING,
        ),
    ] = 0.5,
    patience: Annotated[
        int,
        typer.Option(
            "--patience", min=1, help="stop after so many epochs without a better dev F1", rich_help_panel=_TRAINING
        ),
    ] = 8,
    clip_norm: Annotated[
        float, typer.Option("--clip-norm", min=0.0, help="most gradient norm", rich_help_panel=_TRAINING)
    ] = 5.0,
    batch_sentences: Annotated[
        int, typer.Option("--batch-sentences", min=1, help="most sentences of a batch", rich_help_panel=_TRAINING)
    ] = 32,
    batch_tokens: Annotated[
        int,
        typer.Option(
            "--batch-tokens", min=1, help="most tokens of a batch, padding included", rich_help_panel=_TRAINING
        ),
    ] = 2048,
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            help="auto, fp32 or bf16: of the products in training; bf16 on processors that have it",
            rich_help_panel=_TRAINING,
        ),
    ] = "auto",
    max_minutes: Annotated[
        float | None,
        typer.Option("--max-minutes", min=0.0, help="begin no epoch that would end later", rich_help_panel=_TRAINING),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="on CPU it fixes everything", rich_help_panel=_TRAINING)] = 1,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds", help="a tagger for each, e.g. 1,2,3; the best on dev is kept", rich_help_panel=_TRAINING
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="go on from the newest checkpoint in the directory", rich_help_panel=_TRAINING),
    ] = False,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="train some minutes (--max-minutes [3]) on a sample, say whether it learns, write nothing",
            rich_help_panel=_TRAINING,
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="directory to write the tagger to", rich_help_panel=_OUTPUT),
    ] = None,
    storage: Annotated[
        str, typer.Option("--storage", help="float32, or float16 for half the size", rich_help_panel=_OUTPUT)
    ] = "float32",
    keep_softmax: Annotated[
        bool,
        typer.Option(
            "--keep-softmax", help="keep the biLM's output layer, to pretrain it further", rich_help_panel=_OUTPUT
        ),
    ] = False,
    licence: Annotated[
        str, typer.Option("--licence", help="terms of use, for the model card", rich_help_panel=_OUTPUT)
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="replace an output that exists", rich_help_panel=_OUTPUT)
    ] = False,
    json: Annotated[
        bool,
        typer.Option("--json", help="one JSON object on standard output, nothing else", rich_help_panel=_OUTPUT),
    ] = False,
    device: flags.Device = "auto",
    threads: flags.Threads = None,
    debug: flags.Debug = False,
) -> None:
    """Train a tagger on CoNLL files: frozen biLM layers, words and characters → BiLSTM → CRF.

    The directory then holds the tagger, its report.json and model card, the log, checkpoints, and its predictions.
    docs/tagging.md says what each option is for.
    """
    if storage not in ("float32", "float16"):
        raise UsageError(f"--storage {storage}: expected float32 or float16")
    if not quick:
        output = _checked_output(output, resume, force)
    if not clip_norm > 0:
        raise UsageError(f"--clip-norm {clip_norm}: expected a number above 0")
    if train_with_dev and epochs is None and not quick:
        raise UsageError("--train-with-dev: without a dev score nothing says when to stop; give --epochs N")
    if cache is not None and no_cache:
        raise UsageError("--cache keeps biLM layers and --no-cache does not; expected one of them")
    if cache is not None and cache.is_file():
        raise UsageError(f"--cache {cache}: is a file; expected a folder")
    chosen_layers = () if layers is None else _numbers("--layers", layers)
    chosen_seeds = (seed,) if seeds is None else _numbers("--seeds", seeds)

    from ner_elmo.elmo.feature_cache import default_folder
    from ner_elmo.tagger.training.config import TaggerConfig, chosen_precision
    from ner_elmo.tagger.training.run import run
    from ner_elmo.text.tag_scheme import canonical_name

    torch_device = flags.set_up_torch(device, threads)
    config = TaggerConfig(
        train=str(train),
        dev=_string(dev),
        test=_string(test),
        bilm=_string(bilm),
        word_vectors=_string(word_vectors),
        max_word_vectors=max_word_vectors,
        tune_word_vectors=tune_word_vectors,
        column=column,
        scheme=scheme if scheme in ("auto", "io") else canonical_name(scheme),
        encoding=encoding,
        comments=comments,
        strip_token=strip_token,
        layers=chosen_layers,
        mix=mix,
        gamma=gamma,
        mix_layer_norm=mix_layer_norm,
        mix_l2=mix_l2,
        elmo_at=elmo_at,
        text=text,
        licence=licence,
        storage=storage,
        keep_softmax=keep_softmax,
        seeds=chosen_seeds,
        word_dim=word_dim,
        min_count=min_count,
        char_dim=char_dim if char_cnn else 0,
        char_filters=char_filters,
        hidden_dim=hidden_size,
        lstm_layers=lstm_layers,
        dropout=dropout,
        elmo_dropout=elmo_dropout,
        train_with_dev=train_with_dev,
        epochs=epochs or TaggerConfig.epochs,
        learning_rate=learning_rate,
        lr_patience=lr_patience,
        lr_factor=lr_factor,
        patience=patience,
        clip_norm=clip_norm,
        batch_sentences=batch_sentences,
        batch_tokens=batch_tokens,
        precision=chosen_precision(precision, torch_device.type),
    )
    if quick:
        _quick_check(config, torch_device, max_minutes, json)
        return
    assert output is not None
    signal.signal(signal.SIGTERM, _terminate)
    with Display(tables=not json) as display:
        try:
            found = run(
                config,
                output,
                device=torch_device,
                resume=resume,
                max_minutes=max_minutes,
                cache=None if no_cache else cache or default_folder(),
                report=display.show,
            )
        except KeyboardInterrupt as stop:
            terminated = isinstance(stop, _Terminated)
            display.line(f"stopped; what was saved after the last whole epoch stays in {output}: go on with --resume")
            raise typer.Exit(143 if terminated else 130) from None
    if json:
        flags.print_json({name: value for name, value in found.items() if not name.startswith("sentences")})
    else:
        print(f"{output}: tagger written; {_dev_score(found)}", flush=True)


def _checked_output(output: Path | None, resume: bool, force: bool) -> Path:
    if output is None:
        raise UsageError("nowhere to write to; expected -o DIRECTORY, or --quick to write nothing")
    if output.is_file():
        raise UsageError(f"{output}: is a file; expected the name of a directory")
    if not resume:
        flags.refuse_existing(output, force)
    return output


def _quick_check(config: TaggerConfig, device: torch.device, minutes: float | None, json: bool) -> None:
    """Print the verdict; the exit status is 1 if this does not learn."""
    from ner_elmo.tagger.training.quick_check import DOES_NOT_LEARN, quick_check, quick_lines

    with Display(tables=False) as display:
        found = quick_check(config, device=device, minutes=minutes, report=display.show)
    if json:
        flags.print_json({"quick": found})
    else:
        print("\n".join(quick_lines(found)))
    if found["verdict"] == DOES_NOT_LEARN:
        raise typer.Exit(1)


def _dev_score(found: Mapping[str, Any]) -> str:
    from ner_elmo.tagger.report.scores import figure_name

    if found["protocol"]["trained_on_dev"]:
        return f"no dev score: {found['protocol']['dev'].removeprefix('none: ')}"
    name = figure_name(found["options"])
    return f"dev {name} {found['scores']['dev'][name.lower()]:.4f}"


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a run in the same way as Ctrl-C."""


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated


def _string(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _numbers(flag: str, value: str) -> tuple[int, ...]:
    fields = [field.strip() for field in value.split(",")]
    if not all(field.isascii() and field.isdigit() for field in fields):
        raise UsageError(f"{flag} {value}: expected whole numbers separated by commas, such as 0,1,2")
    if len(set(fields)) < len(fields):
        raise UsageError(f"{flag} {value}: names a number twice")
    return tuple(int(field) for field in fields)


class Display:
    """Shows a run's events on standard error: a progress bar on a terminal, plain lines elsewhere."""

    def __init__(self, tables: bool) -> None:
        self.tables = tables
        self.bar: Any = None
        self.task: Any = None
        self.what = ""
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self.bar = Progress(console=Console(stderr=True), transient=True)

    def __enter__(self) -> Display:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def line(self, message: str) -> None:
        """One line for the person at the terminal."""
        if self.bar is None:
            flags.note(message)
        else:
            self.bar.console.print(message, markup=False, highlight=False)

    def show(self, event: Mapping[str, Any]) -> None:
        """Show one event of :func:`ner_elmo.tagger.training.run.run`."""
        kind = event["event"]
        if kind == "note":
            self.line(event["message"])
        elif kind == "warning":
            self.line(f"warning: {event['message']}")
        elif kind == "epoch":
            self.line(_epoch_line(event))
        elif kind == "progress":
            self._advance(event)
        elif kind == "scores" and self.tables:
            print(f"{event['part']} (seed {event['seed']}):\n{event['message']}", flush=True)

    def _advance(self, event: Mapping[str, Any]) -> None:
        if self.bar is None:
            return
        if event["what"] != self.what:
            if self.task is not None:
                self.bar.remove_task(self.task)
            self.what = event["what"]
            self.task = self.bar.add_task(self.what, total=event["total"])
        self.bar.update(self.task, completed=event["done"])


def _epoch_line(event: Mapping[str, Any]) -> str:
    best = "  best so far" if event["is_best"] else ""
    if event["f1"] is None:
        score = "no dev score"
    elif event["figure"] == "F1":
        score = f"dev P {event['precision']:.4f}  R {event['recall']:.4f}  F1 {event['f1']:.4f}"
    else:
        score = f"dev {event['figure']} {event['f1']:.4f}"
    return (
        f"seed {event['seed']}  epoch {event['epoch']:3d}  loss {event['loss']:8.4f}  {score}"
        f"  lr {event['learning_rate']:.2g}"
        f"  {event['tokens_per_second']:,.0f} tokens/s  {event['seconds']:.1f} s{best}"
    )
