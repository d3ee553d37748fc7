"""Several files read as one stream, each in proportion to what is left of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

OPEN_FILES = 8  # at a time: a compressed file may need 200 MB while it is read

Sentences = Callable[[Path], Iterator[list[str]]]


def interleaved(
    files: Sequence[Path], sizes: Sequence[int], read: Sentences, order: random.Random
) -> Iterator[list[str]]:
    """Yield the sentences of all files, each file's in its own order, the files mixed evenly from beginning to end.

    The next sentence's file is drawn in proportion to the sentences that are left of it, which is a uniformly drawn
    merge. More than ``OPEN_FILES`` files are dealt to as many lanes of about the same size, each read file after file.

    Args:
        sizes: sentences of each file.
        order: decides everything that is not given.
    """
    lanes = deal(sizes, order)
    streams = [_chained([files[i] for i in lane], read) for lane in lanes]
    left = [sum(sizes[i] for i in lane) for lane in lanes]
    while streams:
        drawn = order.random() * sum(left)
        number = 0
        while drawn >= left[number] and number < len(left) - 1:
            drawn -= left[number]
            number += 1
        sentence = next(streams[number], None)
        if sentence is None:
            del streams[number], left[number]
        else:
            left[number] = max(1, left[number] - 1)  # a file that holds more than was counted is still read to its end
            yield sentence


def deal(sizes: Sequence[int], order: random.Random) -> list[list[int]]:
    """Deal the files, largest first, to at most ``OPEN_FILES`` lanes; the order within a lane is random.

    Returns:
        For each lane the indices of its files.
    """
    lanes = dealt(sizes, min(OPEN_FILES, len(sizes)))
    for lane in lanes:
        order.shuffle(lane)
    return lanes


def dealt(sizes: Sequence[int], n_lanes: int) -> list[list[int]]:
    """Deal things of these sizes, largest first, each to the lane with the least so far: the indices of each lane."""
    lanes: list[list[int]] = [[] for _ in range(n_lanes)]
    totals = [0] * n_lanes
    for i in sorted(range(len(sizes)), key=lambda i: (-sizes[i], i)):
        smallest = min(range(len(lanes)), key=lambda lane: (totals[lane], lane))
        lanes[smallest].append(i)
        totals[smallest] += sizes[i]
    return lanes


def _chained(files: Sequence[Path], read: Sentences) -> Iterator[list[str]]:
    for file in files:
        yield from read(file)
