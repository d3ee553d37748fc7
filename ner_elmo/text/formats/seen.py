"""Where sentences stood first and what their entities were, of very many of them in little memory.

A sentence is known by eight bytes of a digest of its tokens; what is kept of it are numbers in arrays, some 60 bytes
where it has two entities.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from typing import NamedTuple

from ner_elmo.text.tag_scheme import Span

MOST = 1_000_000  # different sentences that are remembered
_MOST_SPANS = 5  # for each of these, on average
_FEWEST_SLOTS = 1024


class Seen(NamedTuple):
    """Where a sentence stood first, and its entities."""

    file: str
    line: int
    spans: tuple[Span, ...]


class SeenSentences:
    """Remembers the first place of each different sentence, of :data:`MOST` of them at most."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._digests = array("Q")
        self._files = array("I")
        self._lines = array("Q")
        self._ends = array("Q", [0])  # where in ``_spans`` the entities of a sentence end: those of the next begin
        self._spans = array("I")  # start, end and number of the label, of one entity after the other
        self._slots = array("I", bytes(4 * _FEWEST_SLOTS))  # a hash table: numbers of sentences from 1, 0 is free
        self._names: dict[str, int] = {}
        self._labels: dict[str, int] = {}
        self._name_of: list[str] = []
        self._label_of: list[str] = []

    @property
    def is_full(self) -> bool:
        """Whether no further sentence is remembered."""
        return len(self._digests) >= self.most or len(self._spans) >= 3 * _MOST_SPANS * self.most

    def first(self, tokens: Sequence[str], file: str, line: int, spans: Sequence[Span]) -> Seen | None:
        """Where the same tokens stood before; None if they did not, and then this is their first place."""
        text = "\n".join(tokens).encode("utf-8", "surrogatepass")
        digest = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
        slot = self._slot_of(digest)
        if self._slots[slot]:
            return self._at(self._slots[slot] - 1)
        if not self.is_full:
            self._keep(digest, file, line, spans)
            self._slots[slot] = len(self._digests)
            if 2 * len(self._digests) > len(self._slots):
                self._grow()
        return None

    def _slot_of(self, digest: int) -> int:
        """The place of a digest in the table, or the free one where it belongs."""
        slots, last = self._slots, len(self._slots) - 1
        slot = digest & last
        while slots[slot] and self._digests[slots[slot] - 1] != digest:
            slot = (slot + 1) & last
        return slot

    def _grow(self) -> None:
        self._slots = array("I", bytes(8 * len(self._slots)))
        for number, digest in enumerate(self._digests, start=1):
            self._slots[self._slot_of(digest)] = number

    def _keep(self, digest: int, file: str, line: int, spans: Sequence[Span]) -> None:
        self._digests.append(digest)
        self._files.append(_number(file, self._names, self._name_of))
        self._lines.append(line)
        for start, end, label in spans:
            self._spans.extend((start, end, _number(label, self._labels, self._label_of)))
        self._ends.append(len(self._spans))

    def _at(self, index: int) -> Seen:
        values = self._spans[self._ends[index] : self._ends[index + 1]]
        triples = zip(values[::3], values[1::3], values[2::3], strict=True)
        spans = tuple(Span(start, end, self._label_of[label]) for start, end, label in triples)
        return Seen(self._name_of[self._files[index]], self._lines[index], spans)


def _number(name: str, numbers: dict[str, int], names: list[str]) -> int:
    """The number of a name, a new one if it has none."""
    number = numbers.setdefault(name, len(names))
    if number == len(names):
        names.append(name)
    return number
