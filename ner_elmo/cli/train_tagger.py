"""``ner-elmo train-tagger``: labelled sentences (and a biLM) → a tagger directory."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from ner_elmo.cli import options
from ner_elmo.errors import UsageError

NAME = "train-tagger"
_DATA, _MODEL, _TRAINING = "Data", "Model", "Training"


def command(
    train: Annotated[
        Path, typer.Option("--train", help="labelled sentences: CoNLL, or .jsonl as tag writes", rich_help_panel=_DATA)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="directory to write the tagger to")],
    dev: Annotated[
        Path | None,
        typer.Option("--dev", help="chooses the best epoch [default: a tenth of --train]", rich_help_panel=_DATA),
    ] = None,
    test: Annotated[Path | None, typer.Option("--test", help="scored once, at the end", rich_help_panel=_DATA)] = None,
    bilm: Annotated[
        Path | None,
        typer.Option("--bilm", help="biLM whose frozen layers are read; without it words and characters only"),
    ] = None,
    word_vectors: Annotated[
        Path | None, typer.Option("--word-vectors", help="vectors in GloVe's text format [default: learned]")
    ] = None,
    column: Annotated[
        int, typer.Option("--column", help="column of the tags; the token is 0, -1 is the last", rich_help_panel=_DATA)
    ] = -1,
    scheme: Annotated[
        str,
        typer.Option(
            "--scheme", help="tag scheme of the files: auto, iob1, iob2, bioes, bmes, none", rich_help_panel=_DATA
        ),
    ] = "auto",
    encoding: options.Encoding = "utf-8",
    comments: options.Comments = None,
    strip_token: options.StripToken = None,
    layers: Annotated[
        str | None,
        typer.Option("--layers", help="biLM layers to read, e.g. 0,1,2 [default: all]", rich_help_panel=_MODEL),
    ] = None,
    mix: Annotated[
        str, typer.Option("--mix", help="learned, mean, or the number of the only layer", rich_help_panel=_MODEL)
    ] = "learned",
    hidden_size: Annotated[
        int, typer.Option("--hidden-size", min=1, help="LSTM units in each direction", rich_help_panel=_MODEL)
    ] = 256,
    lstm_layers: Annotated[int, typer.Option("--lstm-layers", min=1, help="stacked LSTMs", rich_help_panel=_MODEL)] = 1,
    word_dim: Annotated[
        int,
        typer.Option("--word-dim", min=0, help="size of learned word vectors; 0 = none", rich_help_panel=_MODEL),
    ] = 100,
    min_count: Annotated[
        int, typer.Option("--min-count", min=1, help="rarer training words count as unknown", rich_help_panel=_MODEL)
    ] = 1,
    char_cnn: Annotated[
        bool, typer.Option("--char-cnn/--no-char-cnn", help="read spelling, too", rich_help_panel=_MODEL)
    ] = True,
    dropout: Annotated[
        float, typer.Option("--dropout", min=0.0, max=0.95, help="around the LSTM", rich_help_panel=_MODEL)
    ] = 0.5,
    elmo_dropout: Annotated[
        float, typer.Option("--elmo-dropout", min=0.0, max=0.95, help="on the mixed layers", rich_help_panel=_MODEL)
    ] = 0.5,
    text: Annotated[
        str,
        typer.Option(
            "--text",
            help="tokenizer for raw text: en-1, characters, whitespace [auto: the biLM's]",
            rich_help_panel=_MODEL,
        ),
    ] = "auto",
    storage: Annotated[
        str, typer.Option("--storage", help="float32, or float16 for half the size", rich_help_panel=_MODEL)
    ] = "float32",
    keep_softmax: Annotated[
        bool,
        typer.Option("--keep-softmax", help="keep the biLM's output layer, to pretrain it further from the result"),
    ] = False,
    licence: Annotated[
        str, typer.Option("--licence", help="terms of use, for the model card", rich_help_panel=_MODEL)
    ] = "",
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="at most so many", rich_help_panel=_TRAINING)] = 50,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", "--lr", min=0.0, help="Adam's", rich_help_panel=_TRAINING)
    ] = 1e-3,
    patience: Annotated[
        int,
        typer.Option(
            "--patience", min=1, help="stop after so many epochs without a better dev F1", rich_help_panel=_TRAINING
        ),
    ] = 8,
    batch_sentences: Annotated[
        int, typer.Option("--batch-sentences", min=1, help="sentences of a batch", rich_help_panel=_TRAINING)
    ] = 32,
    max_minutes: Annotated[
        float | None,
        typer.Option("--max-minutes", min=0.0, help="begin no epoch that would end later", rich_help_panel=_TRAINING),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="go on from the newest checkpoint in the directory", rich_help_panel=_TRAINING),
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            help="folder that keeps biLM layers for other runs [default: ~/.cache/ner-elmo]",
            show_default=False,
        ),
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="compute the biLM layers for this run alone")] = False,
    seed: options.Seed = 1,
    seeds: Annotated[
        str | None, typer.Option("--seeds", help="train one tagger for each, e.g. 1,2,3; the best on dev is kept")
    ] = None,
    json: options.Json = False,
    device: options.Device = "auto",
    threads: options.Threads = None,
    batch_tokens: options.BatchTokens = None,
    force: options.Force = False,
    debug: options.Debug = False,
) -> None:
    """Train a tagger on CoNLL files: frozen biLM layers, words and characters → BiLSTM → CRF.

    The directory then holds the tagger, its report.json and model card, the log, checkpoints, and its predictions.
    """
    if storage not in ("float32", "float16"):
        raise UsageError(f"--storage {storage}: expected float32 or float16")
    if output.is_file():
        raise UsageError(f"{output}: is a file; expected the name of a directory")
    if not resume:
        options.refuse_existing(output, force)
    if cache is not None and no_cache:
        raise UsageError("--cache keeps biLM layers and --no-cache does not; expected one of them")
    if cache is not None and cache.is_file():
        raise UsageError(f"--cache {cache}: is a file; expected a folder")
    chosen_layers = () if layers is None else _numbers("--layers", layers)
    chosen_seeds = (seed,) if seeds is None else _numbers("--seeds", seeds)

    from ner_elmo.elmo.feature_cache import default_folder
    from ner_elmo.tagger.run import TaggerConfig, run
    from ner_elmo.text.tag_scheme import canonical_name

    config = TaggerConfig(
        train=str(train),
        dev=_string(dev),
        test=_string(test),
        bilm=_string(bilm),
        word_vectors=_string(word_vectors),
        column=column,
        scheme=scheme if scheme == "auto" else canonical_name(scheme),
        encoding=encoding,
        comments=comments,
        strip_token=strip_token,
        layers=chosen_layers,
        mix=mix,
        text=text,
        licence=licence,
        storage=storage,
        keep_softmax=keep_softmax,
        seeds=chosen_seeds,
        word_dim=word_dim,
        min_count=min_count,
        char_dim=TaggerConfig.char_dim if char_cnn else 0,
        hidden_dim=hidden_size,
        lstm_layers=lstm_layers,
        dropout=dropout,
        elmo_dropout=elmo_dropout,
        epochs=epochs,
        learning_rate=learning_rate,
        patience=patience,
        batch_sentences=batch_sentences,
        batch_tokens=batch_tokens or TaggerConfig.batch_tokens,
    )
    torch_device = options.set_up_torch(device, threads)
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
        options.print_json({name: value for name, value in found.items() if not name.startswith("sentences")})
    else:
        print(f"{output}: tagger written; dev F1 {found['scores']['dev']['f1']:.4f}", flush=True)


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
            options.note(message)
        else:
            self.bar.console.print(message, markup=False, highlight=False)

    def show(self, event: Mapping[str, Any]) -> None:
        """Show one event of :func:`ner_elmo.tagger.run.run`."""
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
    return (
        f"seed {event['seed']}  epoch {event['epoch']:3d}  loss {event['loss']:8.4f}  dev P {event['precision']:.4f}"
        f"  R {event['recall']:.4f}  F1 {event['f1']:.4f}  lr {event['learning_rate']:.2g}"
        f"  {event['tokens_per_second']:,.0f} tokens/s  {event['seconds']:.1f} s{best}"
    )
