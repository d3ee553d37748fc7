"""How often each label and each entity was found, in memory that does not grow with the text."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

MOST_HELD = 200_000  # different entities
# White space, with the exception of what :mod:`~ner_elmo.pages.visible` writes otherwise; tagged.js folds the same.
_WHITE_SPACE = re.compile("[ \t\n\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")


class Frequent(NamedTuple):
    """An entity, and how often it was found."""

    label: str
    text: str
    times: int


class EntityCounts:
    """Counts entities: two are one where label and words agree, whatever white space stands between these.

    Labels are counted exactly. Of the entities, those seen least often are forgotten when more than ``most_held``
    different ones are there: then each count may be too low by at most :attr:`missed`.
    """

    def __init__(self, most_held: int = MOST_HELD) -> None:
        self.labels: Counter[str] = Counter()
        self.missed = 0
        self._most_held = most_held
        self._times: dict[tuple[str, str], int] = {}

    def add(self, label: str, text: str) -> None:
        """Count an entity."""
        self.labels[label] += 1
        key = (label, folded(text))
        self._times[key] = self._times.get(key, 0) + 1
        if len(self._times) > self._most_held:
            self._forget()

    @property
    def total(self) -> int:
        """How many entities there are."""
        return sum(self.labels.values())

    @property
    def is_exact(self) -> bool:
        """Whether none was forgotten."""
        return self.missed == 0

    def most_frequent(self, number: int) -> list[Frequent]:
        """The most frequent entities, the most frequent first; those found as often in the order of their names."""
        found = sorted(self._times.items(), key=lambda one: (-one[1], one[0]))
        return [Frequent(label, text, times) for (label, text), times in found[:number]]

    def note(self) -> str:
        """What is to be said where counts are not exact; empty where they are."""
        if self.is_exact:
            return ""
        return (
            f"There are more than {self._most_held:,} different entities: the counts of single ones are approximate, "
            f"too low by {self.missed:,} at most."
        )

    def _forget(self) -> None:
        """Forget the rarer half. Whatever is forgotten was seen at most ``missed`` times by then."""
        by_times = sorted(self._times.items(), key=lambda one: one[1], reverse=True)
        kept = by_times[: self._most_held // 2]
        # One that comes again begins anew, so what it lost adds up.
        self.missed += by_times[len(kept)][1]
        self._times = dict(kept)


def folded(text: str) -> str:
    """An entity's words with one blank for each stretch of white space."""
    return _WHITE_SPACE.sub(" ", text).strip(" ")
