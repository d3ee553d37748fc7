"""A toy language that a tiny tagger learns in seconds."""

from __future__ import annotations

import random
from pathlib import Path

from ner_elmo.tagger.training.config import TaggerConfig

PEOPLE = ["Ann", "Bob", "Carl", "Dora", "Eva"]
PLACES = ["Rome", "Oslo", "Bonn", "Lima"]
VERBS = ["sees", "visits", "leaves"]

BILM_OPTIONS = {
    "lstm": {
        "projection_dim": 4,
        "dim": 6,
        "n_layers": 2,
        "cell_clip": None,
        "proj_clip": None,
        "use_skip_connections": True,
    },
    "char_cnn": {
        "activation": "relu",
        "embedding": {"dim": 4},
        "filters": [[1, 4], [2, 4]],
        "max_characters_per_token": 50,
        "n_characters": 261,
        "n_highway": 1,
    },
}


def toy_sentence(rng: random.Random) -> list[tuple[str, str]]:
    """``Ann B-PER · Smith I-PER · sees O · Rome B-LOC · . O`` and the like."""
    person = [(rng.choice(PEOPLE), "B-PER")] + [("Smith", "I-PER")] * rng.randint(0, 1)
    place = [(rng.choice(PLACES), "B-LOC")] + [("City", "I-LOC")] * rng.randint(0, 1)
    return [*person, (rng.choice(VERBS), "O"), *place, *[("today", "O")] * rng.randint(0, 3), (".", "O")]


def write_toy(path: Path, n_sentences: int, seed: int) -> Path:
    """A CoNLL file of the toy language."""
    rng = random.Random(seed)
    sentences = ["".join(f"{token}\t{tag}\n" for token, tag in toy_sentence(rng)) for _ in range(n_sentences)]
    path.write_text("\n".join(sentences), encoding="utf-8")
    return path


def toy_config(toy: Path, **changes: object) -> TaggerConfig:
    """A training that takes a second or two."""
    values: dict[str, object] = {
        "train": str(toy / "train"),
        "dev": str(toy / "dev"),
        "test": str(toy / "test"),
        "word_dim": 8,
        "char_dim": 4,
        "char_filters": 8,
        "hidden_dim": 12,
        "dropout": 0.1,
        "elmo_dropout": 0.1,
        "learning_rate": 0.02,
        "batch_sentences": 8,
        "epochs": 4,
        "schedule": "plateau",
    }
    return TaggerConfig(**(values | changes))  # type: ignore[arg-type]
