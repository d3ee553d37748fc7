"""Which sentences are held out: those of a file, or a share chosen by a hash; equal sentences are never parted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


def sentence_digest(tokens: Sequence[str]) -> int:
    """A 64-bit hash of a sentence's tokens, the same in every process and on every machine."""
    digest = hashlib.blake2b(" ".join(tokens).encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def is_heldout(tokens: Sequence[str], share: float) -> bool:
    """Whether a sentence is among the ``share`` (0..1) that is held out: by a hash of its tokens, so that repeated
    sentences stay on one side, in whatever order the files are read."""
    return sentence_digest(tokens) < share * 2**64


@dataclass(frozen=True)
class Split:
    """Training and held-out text: a ``share`` (0..1) of the sentences is held out, or those of another file are, whose
    digests stand in ``elsewhere``. Either way no sentence is on both sides."""

    share: float = 0.0
    elsewhere: frozenset[int] = frozenset()

    def holds_out(self, digest: int) -> bool:
        """Whether sentences with this digest are held out of the text itself."""
        return digest < self.share * 2**64

    def trains_on(self, digest: int) -> bool:
        """Whether sentences with this digest are training text."""
        return not self.holds_out(digest) and digest not in self.elsewhere

    def training(self, sentences: Iterable[list[str]]) -> Iterable[list[str]]:
        """The training text among ``sentences``."""
        if not self.share and not self.elsewhere:
            return sentences
        return (tokens for tokens in sentences if self.trains_on(sentence_digest(tokens)))
