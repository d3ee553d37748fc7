"""What decides what comes out of a tagger's training, and which values cannot be meant."""

from __future__ import annotations

from dataclasses import dataclass

from ner_elmo.errors import UsageError
from ner_elmo.nn.precision import PRECISIONS, best_precision
from ner_elmo.tagger.network.model import BOTH, INPUT, LEARNED_MIX, MEAN_MIX, OUTPUT
from ner_elmo.tagger.training.loop import TrainingOptions
from ner_elmo.text.files import require_file
from ner_elmo.text.tokenizer import text_kind


@dataclass(frozen=True)
class TaggerConfig:
    """Everything that decides what comes out of a run; ``config.json`` holds it.

    Attributes:
        train, dev, test: CoNLL or JSONL files; without ``dev`` a tenth of the training sentences is held out.
        bilm: where the biLM is; None = a tagger without one.
        word_vectors: a vectors file (:mod:`ner_elmo.text.word_vectors`); None = vectors learned from scratch.
        max_word_vectors: so many of its first rows are kept, and those of all words in ``train``, ``dev`` and ``test``.
        tune_word_vectors: whether the vectors of training words are learned on, or all stay as the file has them.
        column, scheme, encoding, comments, strip_token: as in :class:`ner_elmo.text.formats.conll.Reading`.
        layers: which biLM layers to read; empty = all.
        mix: ``learned``, ``mean``, or the number of the only layer.
        gamma, mix_layer_norm, elmo_at: as in :class:`TaggerOptions`.
        text: the tokenizer for raw text; ``auto`` = the biLM's, or what the training tokens look like.
        licence: terms under which the tagger may be used, for its card.
        storage: ``float32`` or ``float16``.
        keep_softmax: whether the copy of the biLM has its output layer, for perplexity and further pretraining.
        seeds: one training for each; the best on dev is kept.
        train_with_dev: dev is training data: ``epochs`` epochs are trained, the last is kept, and nothing is scored on
            dev. Without ``dev`` nothing is held out.
        precision: ``fp32`` or ``bf16`` (:func:`chosen_precision`).
    """

    train: str
    dev: str | None = None
    test: str | None = None
    bilm: str | None = None
    word_vectors: str | None = None
    max_word_vectors: int = 400_000
    tune_word_vectors: bool = True
    column: int = -1
    scheme: str = "auto"
    encoding: str = "utf-8"
    comments: str | None = None
    strip_token: str | None = None
    layers: tuple[int, ...] = ()
    mix: str = LEARNED_MIX
    gamma: bool = True
    mix_layer_norm: bool = False
    mix_l2: float = TrainingOptions.mix_l2
    elmo_at: str = INPUT
    text: str = "auto"
    licence: str = ""
    storage: str = "float32"
    keep_softmax: bool = False
    seeds: tuple[int, ...] = (1,)
    train_with_dev: bool = False
    tag_scheme: str = "bioes"
    word_dim: int = 100
    min_count: int = 1
    char_dim: int = 25
    char_filters: int = 128
    hidden_dim: int = 256
    lstm_layers: int = 1
    dropout: float = 0.5
    elmo_dropout: float = 0.5
    epochs: int = TrainingOptions.epochs
    learning_rate: float = TrainingOptions.learning_rate
    lr_patience: int = TrainingOptions.lr_patience
    lr_factor: float = TrainingOptions.lr_factor
    patience: int = TrainingOptions.patience
    clip_norm: float = TrainingOptions.clip_norm
    batch_sentences: int = TrainingOptions.batch_sentences
    batch_tokens: int = TrainingOptions.batch_tokens
    precision: str = TrainingOptions.precision

    def training_options(self, seed: int, max_minutes: float | None) -> TrainingOptions:
        """The part that the training loop needs."""
        return TrainingOptions(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            lr_patience=self.lr_patience,
            lr_factor=self.lr_factor,
            patience=self.patience,
            clip_norm=self.clip_norm,
            mix_l2=self.mix_l2,
            batch_sentences=self.batch_sentences,
            batch_tokens=self.batch_tokens,
            precision=self.precision,
            max_minutes=max_minutes,
            seed=seed,
        )


def chosen_precision(asked: str, device_type: str) -> str:
    """What ``auto``, ``fp32`` or ``bf16`` means for training on this machine.

    Raises:
        UsageError: there is no such precision, or not here.
    """
    if asked not in ("auto", *PRECISIONS):
        raise UsageError(f"--precision {asked}: unknown; expected auto, fp32 or bf16")
    # On a GPU nothing but float32 has been tried.
    best = best_precision(device_type) if device_type == "cpu" else "fp32"
    if asked == "bf16" != best:
        raise UsageError("--precision bf16: needs a processor that multiplies bfloat16; try --precision fp32")
    return best if asked == "auto" else asked


def check_config(config: TaggerConfig) -> tuple[list[int], str]:
    """The layers to read (empty = all) and how to mix them.

    Raises:
        UsageError: values that cannot be meant; a file that is not there.
    """
    for path in (config.train, config.dev, config.test, config.word_vectors):
        if path is not None and path != "-":
            require_file(path)
    if config.text != "auto":
        text_kind(config.text)
    if not (config.bilm or config.word_dim or config.char_dim):
        raise UsageError("nothing to read: give --bilm, or leave --word-dim or the character CNN on")
    if config.elmo_at not in (INPUT, OUTPUT, BOTH):
        raise UsageError(f"--elmo-at {config.elmo_at}: unknown; expected {INPUT}, {OUTPUT} or {BOTH}")
    if config.bilm and config.elmo_at == OUTPUT and not (config.word_dim or config.char_dim):
        raise UsageError("--elmo-at output: nothing is left for the input; leave --word-dim or the character CNN on")
    if config.mix_layer_norm and config.mix != LEARNED_MIX:
        raise UsageError(f"--mix-layer-norm: is part of the learned mix; found --mix {config.mix}")
    if not config.tune_word_vectors and config.word_vectors is None:
        raise UsageError("--no-tune-word-vectors: without --word-vectors FILE there is nothing to leave as it is")
    layers = list(config.layers)
    if config.mix in (LEARNED_MIX, MEAN_MIX):
        return layers, config.mix
    if not config.mix.isdecimal():
        raise UsageError(f"--mix {config.mix}: expected learned, mean, or the number of a layer such as 2")
    if layers and layers != [int(config.mix)]:
        raise UsageError(f"--mix {config.mix} reads that layer alone; leave out --layers, or use --mix learned")
    return [int(config.mix)], MEAN_MIX
