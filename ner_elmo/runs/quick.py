"""Quick checks of both stages: a sample of the data, and what they say in the end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

LEARNS, UNCLEAR, DOES_NOT_LEARN = "learns", "unclear", "does not learn"
MINUTES = 3.0  # by default

T = TypeVar("T", bound=Sequence[str])


def even_sample(sentences: list[T], n_tokens: int) -> list[T]:
    """Sentences at equal distances that hold about ``n_tokens`` together, so that all parts of a text have their share;
    all of them where there are no more."""
    n_all = sum(map(len, sentences))
    return sentences[:: max(1, math.ceil(n_all / n_tokens))]


def advice(verdict: str, hints: Mapping[str, str]) -> str:
    """What to do after ``verdict``, as the end of a sentence."""
    return f"; {hints[verdict]}" if verdict in hints else ""
