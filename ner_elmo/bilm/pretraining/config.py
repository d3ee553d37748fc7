"""The settings of a pretraining run: what decides its result. Each is said here, and nowhere else."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ner_elmo.bilm.options import SIZES, BilmOptions, options_to_json, parse_options, read_options, size
from ner_elmo.errors import DataError, ModelError, UsageError
from ner_elmo.settings import SettingError, Source, build, check, read_values, setting
from ner_elmo.text.files import ERRORS_HELP, REPLACE, STRICT, decoding, encoding_problem, text_problem
from ner_elmo.text.language_kinds import newest_kind
from ner_elmo.text.tokenizer import resolved

# Of each optimizer: learning rate, most gradient norm, steps of warm-up, share of the tokens over which the rate falls.
# ``adagrad`` has those of bilm-tf, at a constant rate.
OPTIMIZERS = {"adam": (2e-3, 1.0, 200, 0.4), "adamw": (2e-3, 1.0, 200, 0.4), "adagrad": (0.2, 10.0, 0, 0.0)}
OF_OPTIMIZER = ("learning_rate", "clip_norm", "warmup_steps", "decay_share")
WEIGHT_DECAY = 0.01  # of ``adamw``
CHECKPOINT_STEPS = 500
SEED_MOST = 2**32 - 1

OWN_TEXTS = ("tokenized", "raw", "characters")  # names of ``text`` besides those of kinds and languages

# Panels of --help.
MODEL, GOING_ON, TEXT, TRAINING = "Model", "Going on from a model", "Text", "Training"
RUNNING_TEXT, MACHINE = "Running text", "Machine"


@dataclass(frozen=True)
class PretrainConfig:
    """Everything that decides the result.

    What is left open (``None``) is filled in where it becomes known: what follows from other settings at once, what
    follows from the text and the device before training (:func:`ner_elmo.bilm.pretraining.defaults.settle`). ``size``
    and ``tie_embeddings`` are other words for ``options``, and ``rows`` for ``batch_tokens``; they are open afterwards.

    Raises:
        SettingError: a value that cannot be meant.
    """

    corpus: list[str] = setting(help="text files or folders", flag="", may_change=True)
    options: dict[str, Any] | None = setting(
        None,
        help="an options.json instead of a size (in a configuration file: its contents)",
        panel=MODEL,
        metavar="FILE",
        replaces=("size", "tie_embeddings"),
    )
    size: str | None = setting(
        None,
        help="the network's shape; compact is for CPUs",
        choices=tuple(SIZES),
        by_default="by the text and device",
        panel=MODEL,
        replaces=("options",),
        excludes=("options",),
    )
    tie_embeddings: bool | None = setting(
        None, help="word vectors are the softmax's weights (word input only)", panel=MODEL
    )
    init: str | None = setting(
        None,
        help="go on from this biLM, ours or a published one; its words and the text's are predicted",
        metavar="BILM",
        panel=GOING_ON,
        may_change=True,
        replaces=("options", "size"),
    )
    layer_decay: float = setting(
        1.0, help="a layer's rate is the one above's divided by this, e.g. 2.6", at_least=1, panel=GOING_ON
    )
    unfreeze: float = setting(
        0.0,
        help="layers join from the top down over this share of the tokens, e.g. 0.3; 0: all at once",
        at_least=0,
        at_most=1,
        panel=GOING_ON,
    )
    softmax_steps: int | None = setting(
        None,
        help="steps that train the softmax alone",
        at_least=0,
        by_default="5 % of the tokens if the model has none, else 0",
        panel=GOING_ON,
    )
    heldout: str | None = setting(
        None, help="text for perplexity", metavar="FILE", by_default="0.5 % of the corpus", panel=TEXT, may_change=True
    )
    text: str = setting(
        None,
        help="tokenized (a sentence a line, blanks between tokens), raw (split as tag splits English), characters "
        "(each Chinese character a token; Latin words and numbers whole), or raw text of a language by its code: de, "
        "fr, ar, ru, hi, ja, zh, th and others",
        by_default="that of --language, else tokenized",
        panel=TEXT,
    )
    encoding: str = setting("utf-8", help="character encoding of the input files", panel=TEXT, problem=encoding_problem)
    errors: str = setting(STRICT, help=ERRORS_HELP, choices=(STRICT, REPLACE), panel=TEXT)
    shard_files: bool = setting(
        False,
        help="under torchrun, each process reads files of its own instead of all (docs/scale.md)",
        panel=TEXT,
    )
    vocabulary: str | None = setting(
        None, help="vocabulary file", flag="--vocab", metavar="FILE", panel=TEXT, may_change=True
    )
    vocabulary_size: int | None = setting(
        None,
        help="most frequent tokens to predict",
        flag="--vocab-size",
        at_least=10,
        by_default="by the text",
        panel=TEXT,
    )
    min_count: int = setting(2, help="occurrences a word needs to be one", at_least=1, panel=TEXT)
    language: str | None = setting(
        None,
        help="of the text, such as en or de; recorded in the model",
        panel=TEXT,
        may_change=True,
        problem=text_problem,
    )
    licence: str | None = setting(
        None, help="terms of the text, recorded in the model", panel=TEXT, may_change=True, problem=text_problem
    )
    epochs: int | None = setting(
        None,
        help="times that the text is read",
        at_least=1,
        by_default="10; on a CPU what half a day allows",
        panel=TRAINING,
        may_change=True,
    )
    max_tokens: int | None = setting(
        None, help="stop after so many tokens", at_least=1, panel=TRAINING, may_change=True
    )
    softmax: str = setting(
        "auto",
        help="sampled, exact, or auto: by the size of the vocabulary",
        choices=("auto", "sampled", "exact"),
        panel=TRAINING,
    )
    n_samples: int = setting(4096, help="words sampled a step", flag="--samples", at_least=1, panel=TRAINING)
    dropout: float | None = setting(
        None, help="in place of the options'", at_least=0, below=1, by_default="the options', 0.1", panel=TRAINING
    )
    optimizer: str = setting(
        "adam",
        help="adam; adamw (decoupled weight decay); adagrad (as bilm-tf, at a constant rate)",
        choices=tuple(OPTIMIZERS),
        panel=TRAINING,
        replaces=(*OF_OPTIMIZER, "weight_decay"),
    )
    learning_rate: float = setting(
        None, help="the highest", above=0, by_default="0.002; adagrad 0.2", panel=TRAINING, may_change=True
    )
    schedule: str = setting(
        "linear",
        help="of the learning rate: linear (warm-up, constant, fall) or slanted (a short rise, a long fall)",
        choices=("linear", "slanted"),
        panel=TRAINING,
    )
    warmup_steps: int = setting(
        None, help="steps over which the rate rises", at_least=0, flag="", by_default="200; adagrad 0", panel=TRAINING
    )
    decay_share: float = setting(
        None,
        help="share of the tokens over which the rate falls",
        at_least=0,
        at_most=1,
        flag="",
        by_default="0.4; adagrad 0",
        panel=TRAINING,
    )
    weight_decay: float = setting(
        None, help="of adamw", at_least=0, by_default="0.01 with adamw, else 0", panel=TRAINING
    )
    clip_norm: float = setting(
        None, help="most gradient norm", above=0, by_default="1; adagrad 10", panel=TRAINING, may_change=True
    )
    batch_tokens: int = setting(3072, help="tokens a step", at_least=1, panel=TRAINING, replaces=("rows",))
    carry_state: bool = setting(
        False, help="read running text as bilm-tf does: fixed rows and steps, state carried on", panel=RUNNING_TEXT
    )
    unroll_steps: int = setting(20, help="steps of a batch", at_least=1, panel=RUNNING_TEXT)
    rows: int | None = setting(
        None,
        help="rows of a batch",
        at_least=1,
        by_default="as --batch-tokens has room",
        panel=RUNNING_TEXT,
        replaces=("batch_tokens",),
        excludes=("batch_tokens",),
    )
    order: str = setting(
        "shuffled",
        help="shuffled sentences, or text: each row reads on in a stretch of its own",
        choices=("shuffled", "text"),
        panel=RUNNING_TEXT,
    )
    heldout_tokens: int | None = setting(
        None,
        help="held-out tokens for perplexity on the way",
        at_least=1,
        flag="",
        by_default="a hundredth of the training's, 10,000 to 60,000",
        panel=TRAINING,
        may_change=True,
    )
    evaluations: int = setting(10, help="perplexities on the way", at_least=0, flag="", panel=TRAINING, may_change=True)
    checkpoint_steps: int | None = setting(
        None,
        help="steps between checkpoints",
        at_least=1,
        by_default="500",
        panel=TRAINING,
        may_change=True,
        replaces=("checkpoint_minutes",),
    )
    checkpoint_minutes: float | None = setting(
        None,
        help="minutes between checkpoints instead",
        above=0,
        panel=TRAINING,
        may_change=True,
        replaces=("checkpoint_steps",),
    )
    seed: int = setting(
        1, help="random seed; on CPU it fixes everything", at_least=0, at_most=SEED_MOST, panel=TRAINING
    )
    precision: str = setting(
        "auto",
        help="auto, fp32 or bf16: products in bfloat16, on a GPU or processor that has it (auto)",
        choices=("auto", "fp32", "bf16"),
        panel=MACHINE,
        may_change=True,
    )

    @property
    def decoding(self) -> str:
        """How the files' bytes are read."""
        return decoding(self.encoding, self.errors)

    def __post_init__(self) -> None:
        check(self)
        _check_together(self)
        for name, value in _following(self).items():
            object.__setattr__(self, name, value)  # frozen for others

    @property
    def bilm_options(self) -> BilmOptions:
        return parse_options(self.options or {})

    def tokens_to_train_on(self, n_tokens: int) -> int:
        """Of a text of ``n_tokens``: all epochs, or ``max_tokens``."""
        return int(min(self.max_tokens or math.inf, (self.epochs or 1) * n_tokens))


def _check_together(config: PretrainConfig) -> None:
    """Refuse settings that mean nothing beside the others.

    Raises:
        SettingError: for the first such.
    """
    alone: list[tuple[str, str, bool]] = [
        ("weight_decay", "with --optimizer adamw only", config.optimizer == "adamw"),
        ("layer_decay", "with --init only", config.init is not None),
        ("unfreeze", "with --init only", config.init is not None),
        ("softmax_steps", "with --init only", config.init is not None),
        ("unroll_steps", "with --carry-state only", config.carry_state or config.optimizer == "adagrad"),
        ("rows", "with --carry-state only", config.carry_state),
        ("order", "with --carry-state only", config.carry_state),
    ]
    defaults = {field.name: field.default for field in dataclasses.fields(config)} | {"weight_decay": 0.0}
    for name, when, applies in alone:
        value = getattr(config, name)
        if value not in (None, 0, defaults[name]) and not applies:
            raise SettingError(name, f"found {value}, which has a meaning {when}")
    if config.shard_files and config.carry_state:
        raise SettingError("shard_files", "and --carry-state, whose streams one process reads; expected one of them")
    if config.size is not None and config.options is not None:
        raise SettingError("size", "and options say the same thing in other words; expected one of them")
    if config.options is not None:
        _check_options(config.options)
    if config.carry_state and not config.rows and config.batch_tokens < config.unroll_steps:
        raise SettingError(
            "batch_tokens",
            f"found {config.batch_tokens}, less than one row of {config.unroll_steps} steps; try --rows 1",
        )


def _check_options(options: dict[str, Any]) -> None:
    try:
        parse_options(options, "options")
    except ModelError as error:
        raise SettingError("options", str(error).removeprefix("options: ")) from None


def _following(config: PretrainConfig) -> dict[str, Any]:
    """What follows from the other settings where it was left open, and shorter words written out."""
    of_optimizer = zip(OF_OPTIMIZER, OPTIMIZERS[config.optimizer], strict=True)
    values: dict[str, Any] = {name: default for name, default in of_optimizer if getattr(config, name) is None}
    if config.weight_decay is None:
        values["weight_decay"] = WEIGHT_DECAY if config.optimizer == "adamw" else 0.0
    if config.rows is not None:
        values |= {"rows": None, "batch_tokens": config.rows * config.unroll_steps}
    if config.checkpoint_steps is None and config.checkpoint_minutes is None:
        values["checkpoint_steps"] = CHECKPOINT_STEPS
    options = options_to_json(size(config.size)) if config.size is not None else config.options
    tie = config.tie_embeddings
    if tie and (options is not None or config.init is None):  # otherwise the parent's network is still to come
        options, tie = _tied(options), None
    if options is not None and config.dropout is not None:
        options = {**options, "dropout": config.dropout}
    values |= {"text": _text(config)}
    return values | {"options": options, "size": None, "tie_embeddings": tie}


def _text(config: PretrainConfig) -> str:
    """What ``text`` means: its own names as they are, a language's code as its kind of today; or by the language.

    Raises:
        SettingError: there is no such kind, or its package is missing.
    """
    if config.text is None:
        kind = newest_kind(config.language) if config.language is not None else None
        return "tokenized" if config.language is None or kind is None else resolved(config.language)
    if config.text in OWN_TEXTS:
        return config.text
    try:
        return resolved(config.text)
    except UsageError as error:
        raise SettingError("text", f"{error}; or tokenized, raw") from None


def _tied(options: dict[str, Any] | None) -> dict[str, Any]:
    """The options of a network that shares its word table with the softmax.

    Raises:
        SettingError: it has no word table.
    """
    if options is None or options.get("char_cnn"):
        raise SettingError(
            "tie_embeddings",
            "this network reads characters and has no word table to share; give --options with a file that has no "
            "char_cnn",
        )
    return {**options, "share_embedding_softmax": True}


def read_config(path: str | Path) -> PretrainConfig:
    """The ``config.json`` of a run.

    Raises:
        UsageError: no such file.
        DataError: not JSON, an unknown key, a value that cannot be meant, or no corpus.
    """
    values = read_values(path, PretrainConfig)
    if "corpus" not in values:
        raise DataError(f"{path}: found no 'corpus', expected the config.json of a pretraining run")
    return build(PretrainConfig, [Source(str(path), values)])


def config_from(given: dict[str, Any], *files: str | Path | None) -> PretrainConfig:
    """The settings that flags give, before those of configuration files, a later one before an earlier.

    ``options`` may be the name of an ``options.json``.

    Raises:
        UsageError, DataError: a value that cannot be meant, an unknown key, no file of that name.
        ModelError: the options are none.
    """
    sources = [Source(str(file), read_values(file, PretrainConfig)) for file in files if file is not None]
    if not any("corpus" in values for values in (given, *(source.values for source in sources))):
        raise UsageError("Missing argument 'CORPUS...'. (try ner-elmo pretrain --help)")
    if isinstance(given.get("options"), str):
        given = given | {"options": options_to_json(read_options(given["options"]))}
    return build(PretrainConfig, [*sources, Source("", given)])
