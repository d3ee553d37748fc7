"""How many cases are tried: a sample in every run of the tests, the full counts by ``make soak``; seeded, both."""

from __future__ import annotations

import os
import random
from pathlib import Path

FULL = "NER_ELMO_SOAK"  # a file that figures are added to; its presence asks for the full counts
SEED = "NER_ELMO_SEED"


def cases(sample: int, full: int) -> int:
    """So many cases of one kind."""
    return full if os.environ.get(FULL) else sample


def generator(name: str) -> random.Random:
    """Random numbers for the test ``name``, the same in every run with the same seed."""
    return random.Random(f"{os.environ.get(SEED, '0')}/{name}")


def tell(figures: str) -> None:
    """Note what was found, as ``make soak`` shows it."""
    print(figures)
    if file := os.environ.get(FULL):
        with Path(file).open("a", encoding="utf-8") as stream:
            stream.write(figures + "\n")
