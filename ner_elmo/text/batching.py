"""Sentences cut into what is held at once, and grouped into what is computed at once.

A stream is first cut into chunks (:func:`in_chunks`), so that memory stays bounded however long it is. Within a chunk
sentences of like length stand together (:func:`by_length`, :func:`batches_by_length`), so that little of a batch is
padding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import TypeVar

import numpy as np

BOUNDARIES = 2  # positions that a biLM reads beside a sentence's tokens: its begin and its end
# Sentences of similar length are found within a pool of so many batches, so that batches still differ every epoch.
POOL_BATCHES = 50
LEAST_SHARE = 256  # tokens that a thread has to itself: fewer are not worth another one
_POOL_SENTENCES = 32  # of a batch, where their number is not limited

Item = TypeVar("Item", bound=Sized)


def in_chunks(items: Iterable[Item], most: int, boundaries: int = 0) -> Iterator[list[Item]]:
    """Cut a stream into lists of consecutive items whose lengths add up to ``most``, or just beyond.

    Args:
        items: sentences, by their tokens, or texts, by their characters; an empty one counts as 1.
        boundaries: counted to each item's length: ``BOUNDARIES``, 1 where sentences share them, 0 where there are none.
    """
    chunk: list[Item] = []
    held = 0
    for item in items:
        chunk.append(item)
        held += max(1, len(item) + boundaries)
        if held >= most:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def by_length(sentences: Sequence[Sized], batch_tokens: int) -> Iterator[list[int]]:
    """Group sentences of like length, shortest first, so that padded positions, the boundaries of each sentence
    included, stay within ``batch_tokens``.

    Yields:
        Indices into ``sentences``; a sentence longer than the budget is alone in its group.
    """
    widths = [len(sentence) + BOUNDARIES for sentence in sentences]
    return _cut(sorted(range(len(widths)), key=widths.__getitem__), widths, batch_tokens)


def shared(n_tokens: int, batch_tokens: int, n_threads: int) -> int:
    """Tokens of a batch, no more than ``batch_tokens``, such that each thread has a batch of its own to compute, if
    there are enough."""
    return min(batch_tokens, max(LEAST_SHARE, -(-n_tokens // n_threads)))


def batches_by_length(
    lengths: Sequence[int],
    batch_tokens: int,
    batch_sentences: int | None = None,
    rng: np.random.Generator | None = None,
) -> list[list[int]]:
    """Indices of sentences in batches of similar length that hold at most ``batch_tokens`` tokens with their padding.

    A longer sentence is a batch of its own. With ``rng`` the order is random: similar lengths are then sought within
    pools. Without it the longest come first.
    """
    widths = [max(1, length) for length in lengths]
    order = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
    pool = len(order) or 1
    if rng is not None:
        pool = POOL_BATCHES * (batch_sentences or _POOL_SENTENCES)
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        longest_first = sorted(order[start : start + pool].tolist(), key=lambda index: -lengths[index])
        batches += _cut(longest_first, widths, batch_tokens, batch_sentences)
    if rng is not None:
        rng.shuffle(batches)
    return batches


def _cut(
    order: Iterable[int], widths: Sequence[int], batch_tokens: int, batch_sentences: int | None = None
) -> Iterator[list[int]]:
    """Cut ``order``, indices by rising or falling width, into batches: (sentences) · (greatest width) is at most
    ``batch_tokens``, or the batch is a single sentence; it has at most ``batch_sentences``."""
    batch: list[int] = []
    widest = 0
    for index in order:
        widest = max(widest, widths[index])
        if batch and ((len(batch) + 1) * widest > batch_tokens or len(batch) == batch_sentences):
            yield batch
            batch, widest = [], widths[index]
        batch.append(index)
    if batch:
        yield batch
