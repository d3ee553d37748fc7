"""A toy text, a pretraining on it that takes seconds, and the weights that a run leaves."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from ner_elmo.bilm.options import options_to_json
from ner_elmo.bilm.pretraining import trainer
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.trainer import Trainer
from ner_elmo.text.vocabulary import Vocabulary
from tests.support.devices import CPU
from tests.support.small_bilms import make_options


def toy_text(n_sentences: int, seed: int) -> list[list[str]]:
    """A language in which a word mostly decides the next, so that there is something to learn."""
    rng = random.Random(seed)
    words = [f"w{n}" for n in range(20)]
    sentences = []
    for _ in range(n_sentences):
        at, sentence = rng.randrange(20), []
        for _ in range(rng.randint(1, 9)):
            sentence.append(words[at])
            at = (3 * at + 1) % 20 if rng.random() < 0.9 else rng.randrange(20)
        sentences.append(sentence)
    return sentences


def make_config(toy: Path, **changes: Any) -> PretrainConfig:
    """A pretraining on ``toy`` that learns within seconds."""
    values: dict[str, Any] = {
        "corpus": [str(toy)],
        "options": options_to_json(make_options(dim=16, projection_dim=8)) | {"dropout": 0.1},
        "batch_tokens": 128,
        "epochs": 12,
        "learning_rate": 0.02,
        "warmup_steps": 5,
        "checkpoint_steps": 4,
        "evaluations": 3,
    }
    return PretrainConfig(**(values | changes))


def weights_of(directory: Path) -> dict[str, bytes]:
    """The weights of a run, to be compared to the bit."""
    return {name: (directory / "bilm" / name).read_bytes() for name in ("weights.hdf5", "softmax.hdf5")}


def make_trainer(softmax: str = "exact", **changes: Any) -> Trainer:
    config = make_config(Path("toy"), softmax=softmax, n_samples=8, **changes)
    config.options["dropout"] = 0.0
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", *(f"w{n}" for n in range(20))])
    return trainer.new_trainer(config, vocabulary, None, 10_000, CPU)
