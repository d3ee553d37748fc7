"""The settings of a tagger's training: what decides its result. Each is said here, and nowhere else.

How labelled files are read is said in :class:`~ner_elmo.text.formats.conll.Reading`, what the network is made of in
:class:`~ner_elmo.tagger.network.options.NetworkSettings`. No tensor is met here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ner_elmo.errors import DataError, UsageError
from ner_elmo.runs.directory import CONFIG
from ner_elmo.settings import SettingError, Source, build, check, part_of, read_values, setting
from ner_elmo.tagger.network.options import (
    BILM_LAYERS,
    EXACT,
    LEARNED_MIX,
    MEAN_LAYER,
    MEAN_MIX,
    NO_CONTEXT,
    OUTPUT,
    WORDS,
    NetworkSettings,
)
from ner_elmo.tagger.training.schedule import (
    LEAST_BATCH,
    LEAST_EPOCHS,
    LINEAR,
    MOST_BATCH,
    MOST_EPOCHS,
    PLATEAU,
    PLATEAU_EPOCHS,
    PLATEAU_PATIENCE,
    STEPS,
    TOKENS_OF_SENTENCE,
    WITHOUT_BILM,
    batch_for,
    epochs_for,
)
from ner_elmo.text.files import require_file, text_problem
from ner_elmo.text.formats.conll import DATA, Reading, resolved_text
from ner_elmo.text.formats.recognition import require_labelled
from ner_elmo.text.tag_scheme import canonical_name

SEED_MOST = 2**32 - 1

# Of settings that came later: what runs without them did.
AS_BEFORE: dict[str, Any] = {
    "precision": "fp32",
    "context_dropout": 0.0,
    "average": 0.0,
    "schedule": PLATEAU,
    "context_forms": EXACT,
    "context_layers": MEAN_LAYER,
}

# Panels of --help.
TRAINING, TEACHER, OUTPUT_PANEL = "Training", "Teacher", "Output"

TEACHER_WEIGHT = 0.5


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What a user chooses of the training loop."""

    epochs: int | None = setting(
        None,
        help="at most so many",
        at_least=1,
        by_default=f"{STEPS:,} steps, {LEAST_EPOCHS} to {MOST_EPOCHS} epochs, without a biLM {WITHOUT_BILM} times as "
        f"many steps; plateau: {PLATEAU_EPOCHS}",
        panel=TRAINING,
        may_change=True,
    )
    schedule: str = setting(
        LINEAR,
        help="linear: the learning rate rises at first and falls to 0 with the last step; plateau: it falls when dev "
        "F1 has not risen",
        choices=(LINEAR, PLATEAU),
        panel=TRAINING,
    )
    learning_rate: float = setting(3e-3, help="Adam's, at its highest", above=0, panel=TRAINING)
    lr_patience: int = setting(
        2, help="plateau: epochs without a better dev F1 before the rate falls", at_least=0, panel=TRAINING
    )
    lr_factor: float = setting(
        0.5, help="plateau: the rate then is so many times what it was", at_least=0.01, at_most=0.99, panel=TRAINING
    )
    patience: int | None = setting(
        None,
        help="stop after so many epochs without a better dev F1",
        at_least=1,
        by_default=f"never; plateau: {PLATEAU_PATIENCE}",
        panel=TRAINING,
        may_change=True,
    )
    clip_norm: float = setting(5.0, help="most gradient norm", above=0, panel=TRAINING)
    batch_sentences: int | None = setting(
        None,
        help="most sentences of a batch",
        at_least=1,
        by_default=f"{LEAST_BATCH} to {MOST_BATCH}, by the training sentences",
        panel=TRAINING,
    )
    batch_tokens: int | None = setting(
        None,
        help="most tokens of a batch, padding included",
        at_least=1,
        by_default=f"{TOKENS_OF_SENTENCE} for each of its sentences",
        panel=TRAINING,
    )
    average: float = setting(
        0.5,
        help="score on dev and keep the moving mean of the weights over about so many epochs; 0 = the last weights",
        at_least=0,
        panel=TRAINING,
    )
    context_dropout: float = setting(
        0.3,
        help="share of sentences trained on as if their document had no others; with --context document",
        at_least=0,
        at_most=1,
        panel=BILM_LAYERS,
    )
    mix_l2: float = setting(0.001, help="weight of the penalty on mix weights", at_least=0, panel=BILM_LAYERS)
    teacher_weight: float = setting(
        TEACHER_WEIGHT,
        help="what the teacher counts for in a labelled sentence; the labels count for the rest",
        at_least=0,
        at_most=1,
        panel=TEACHER,
    )
    precision: str = setting(
        "auto",
        help="auto, fp32 or bf16: of the products in training; bf16 on processors that have it",
        choices=("auto", "fp32", "bf16"),
        panel=TRAINING,
        may_change=True,
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(TrainingSettings):
    """How one tagger is trained, to the last number.

    Attributes:
        singleton_dropout: how often a word seen once is taken for unknown.
        max_minutes: no epoch is begun that would probably end later than this.
        seed: fixes everything on CPU.
    """

    epochs: int = LEAST_EPOCHS
    batch_sentences: int = MOST_BATCH
    batch_tokens: int = MOST_BATCH * TOKENS_OF_SENTENCE
    singleton_dropout: float = 0.5
    max_minutes: float | None = None
    seed: int = 1


@dataclass(frozen=True, kw_only=True)
class TaggerConfig(NetworkSettings, TrainingSettings, Reading):
    """Everything that decides what comes out of a run; ``config.json`` holds it.

    ``seed`` is another word for ``seeds``, and ``char_cnn`` for ``char_dim``; ``seed`` is open afterwards.

    Raises:
        SettingError: a value that cannot be meant.
    """

    train: str = setting(
        help="labelled sentences: CoNLL, or .jsonl as tag writes", metavar="FILE", panel=DATA, may_change=True
    )
    dev: str | None = setting(
        None,
        help="chooses the best epoch",
        by_default="a tenth of --train",
        metavar="FILE",
        panel=DATA,
        may_change=True,
    )
    test: str | None = setting(None, help="scored once, at the end", metavar="FILE", panel=DATA, may_change=True)
    train_with_dev: bool = setting(False, help="train on dev too: no dev score, exactly --epochs epochs", panel=DATA)
    bilm: str | None = setting(
        None,
        help="biLM whose frozen layers are read",
        by_default="none",
        metavar="BILM",
        panel=BILM_LAYERS,
        may_change=True,
    )
    layers: tuple[int, ...] = setting(
        (), help="layers to read, e.g. 0,1 (0: tokens); no higher is computed", at_least=0, panel=BILM_LAYERS
    )
    word_vectors: str | None = setting(
        None,
        help="GloVe, word2vec (text or binary) or fastText .vec",
        by_default="learned",
        metavar="FILE",
        panel=WORDS,
        may_change=True,
    )
    max_word_vectors: int = setting(
        400_000, help="of the file's first rows, beside those needed", at_least=0, panel=WORDS
    )
    tune_word_vectors: bool = setting(
        True,
        help="learn on the file's vectors of training words",
        flag="--tune-word-vectors/--no-tune-word-vectors",
        panel=WORDS,
    )
    min_count: int = setting(1, help="rarer training words count as unknown", at_least=1, panel=WORDS)
    char_cnn: bool = setting(True, help="read spelling, too", flag="--char-cnn/--no-char-cnn", panel=WORDS)
    tag_scheme: str = setting(
        "bioes",
        help="the scheme that the network learns",
        choices=("bioes", "bmes", "iob1", "iob2"),
        flag="",
        panel=TRAINING,
    )
    seeds: tuple[int, ...] = setting(
        (1,),
        help="a tagger for each, e.g. 1,2,3; the best on dev is kept",
        at_least=0,
        at_most=SEED_MOST,
        panel=TRAINING,
        replaces=("seed",),
    )
    seed: int | None = setting(
        None,
        help="on CPU it fixes everything",
        at_least=0,
        at_most=SEED_MOST,
        by_default="1",
        panel=TRAINING,
        replaces=("seeds",),
        excludes=("seeds",),
    )
    join: bool = setting(
        False, help="join the taggers of all seeds into one, instead of keeping the best", panel=TRAINING
    )
    teacher: str | None = setting(
        None,
        help="tagger directory or name: learn its distribution of tags, too",
        by_default="none",
        metavar="TAGGER",
        panel=TEACHER,
        may_change=True,
    )
    unlabelled: list[str] | None = setting(
        None,
        help="text of which the teacher alone says the tags: a sentence a line, tokens parted by blanks; may be "
        "repeated",
        by_default="none",
        metavar="FILE",
        panel=TEACHER,
        repeats=True,
        may_change=True,
    )
    unlabelled_sentences: int | None = setting(
        None, help="the first so many of them", at_least=1, by_default="all", panel=TEACHER
    )
    storage: str = setting(
        "float32",
        help="float32, or float16 for half the size",
        choices=("float32", "float16"),
        panel=OUTPUT_PANEL,
        may_change=True,
    )
    keep_softmax: bool = setting(False, help="keep the biLM's output layer, to pretrain it further", panel=OUTPUT_PANEL)
    licence: str = setting(
        "", help="terms of use, for the model card", panel=OUTPUT_PANEL, may_change=True, problem=text_problem
    )

    def __post_init__(self) -> None:
        check(self)
        _check_together(self)
        for name, value in _following(self).items():
            object.__setattr__(self, name, value)  # frozen for others

    def training_options(self, seed: int, max_minutes: float | None, n_sentences: int) -> TrainingOptions:
        """The part that the training loop needs, with what follows from the number of training sentences."""
        chosen = part_of(self, TrainingSettings)
        batch = self.batch_sentences or batch_for(n_sentences)
        chosen |= {
            "batch_sentences": batch,
            "batch_tokens": self.batch_tokens or TOKENS_OF_SENTENCE * batch,
            "epochs": self.epochs or epochs_for(n_sentences, batch, self.schedule, self.bilm is not None),
        }
        if self.patience is None and self.schedule == PLATEAU:
            chosen["patience"] = PLATEAU_PATIENCE
        return TrainingOptions(**chosen, seed=seed, max_minutes=max_minutes)

    def reading(self, **changes: Any) -> Reading:
        """How labelled files are read."""
        return Reading(**(part_of(self, Reading) | changes))


def _following(config: TaggerConfig) -> dict[str, Any]:
    """What follows from the other settings, and shorter words written out."""
    values: dict[str, Any] = {"seed": None, "text": resolved_text(config.text)}
    if config.seed is not None:
        values["seeds"] = (config.seed,)
    if config.scheme not in ("auto", "io"):
        values["scheme"] = canonical_name(config.scheme)
    if not config.char_cnn:
        values["char_dim"] = 0
    return values | {"char_cnn": config.char_cnn and config.char_dim > 0}


def _check_together(config: TaggerConfig) -> None:
    """Refuse settings that mean nothing beside the others.

    Raises:
        SettingError: for the first such.
    """
    reads_tokens = bool(config.word_dim or (config.char_cnn and config.char_dim))
    if config.train_with_dev and config.epochs is None:
        raise SettingError("train_with_dev", "without a dev score nothing says when to stop; give --epochs N")
    if not (config.bilm or reads_tokens):
        raise SettingError("bilm", "nothing to read: give a biLM, or leave --word-dim or the character CNN on")
    if config.bilm and config.elmo_at == OUTPUT and not reads_tokens:
        raise SettingError(
            "elmo_at", "found output: nothing is left for the input; leave --word-dim or the character CNN on"
        )
    if config.mix_layer_norm and config.mix != LEARNED_MIX:
        raise SettingError("mix_layer_norm", f"is part of the learned mix; found --mix {config.mix}")
    if config.context_window is not None and config.context == NO_CONTEXT:
        raise SettingError("context_window", "is a part of a document's context; give --context document with it")
    if not config.tune_word_vectors and config.word_vectors is None:
        raise SettingError("tune_word_vectors", "without --word-vectors FILE there is nothing to leave as it is")
    if config.join and len(config.seeds) < 2:
        raise SettingError("join", "one seed makes one tagger; give several, such as --seeds 1,2,3")
    _check_teacher(config)
    if not config.seeds:
        raise SettingError("seeds", "found none, expected at least one")
    if config.mix in (LEARNED_MIX, MEAN_MIX):
        return
    if not (config.mix.isascii() and config.mix.isdecimal() and len(config.mix) < 4):
        found = repr(config.mix[:60])
        raise SettingError("mix", f"found {found}, expected learned, mean, or the number of a layer such as 2")
    if config.layers not in ((), (int(config.mix),)):
        raise SettingError("mix", f"{config.mix} reads that layer alone; leave out --layers, or use --mix learned")


def _check_teacher(config: TaggerConfig) -> None:
    if config.teacher is None and config.unlabelled is not None:
        raise SettingError("unlabelled", "without --teacher TAGGER nothing says what is in it")
    if config.teacher is None and config.teacher_weight != TEACHER_WEIGHT:
        raise SettingError("teacher_weight", "without --teacher TAGGER there is nothing to weigh")
    if config.unlabelled is None and config.unlabelled_sentences is not None:
        raise SettingError("unlabelled_sentences", "without --unlabelled FILE there are none")


def layers_and_mix(config: TaggerConfig) -> tuple[list[int], str]:
    """The layers to read (empty = all) and how to mix them."""
    if config.mix in (LEARNED_MIX, MEAN_MIX):
        return list(config.layers), config.mix
    return [int(config.mix)], MEAN_MIX


def require_files(config: TaggerConfig) -> None:
    """Make sure that the files are there before anything is read.

    Raises:
        UsageError: one is not.
    """
    for path in (config.train, config.dev, config.test):
        if path is not None and path != "-":
            require_labelled(path, config.source)
    if config.word_vectors is not None:
        require_file(config.word_vectors)


def config_from(given: dict[str, Any], *files: str | Path | None, epochs: int | None = None) -> TaggerConfig:
    """The settings that flags give, before those of configuration files, a later one before an earlier.

    Args:
        epochs: where no source says how many.

    Raises:
        UsageError, DataError: a value that cannot be meant, an unknown key, no file of that name, no training data.
    """
    sources = [Source(str(file), read_values(file, TaggerConfig)) for file in files if file is not None]
    if not any("train" in values for values in (given, *(source.values for source in sources))):
        raise UsageError("Missing option '--train'. (try ner-elmo train-tagger --help)")
    lowest = [Source("", {} if epochs is None else {"epochs": epochs})]
    if any(file is not None and Path(file).name == CONFIG for file in files):  # a run's, maybe of before
        lowest.append(Source("", {name: value for name, value in AS_BEFORE.items() if name != "precision"}))
    return build(TaggerConfig, [*lowest, *sources, Source("", given)])


def read_config(path: str | Path) -> TaggerConfig:
    """The ``config.json`` of a run. What it does not name did not exist then (:data:`AS_BEFORE`).

    Raises:
        UsageError: no such file.
        DataError: not JSON, an unknown key, a value that cannot be meant, or no training data.
    """
    values = read_values(path, TaggerConfig)
    if "train" not in values:
        raise DataError(f"{path}: found no 'train', expected the config.json of a tagger's training")
    return build(TaggerConfig, [Source(str(path), AS_BEFORE | values)])
