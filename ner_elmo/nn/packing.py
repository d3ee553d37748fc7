"""Rows of different lengths without their padding, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Packing(NamedTuple):
    """The real elements of a batch: the first of all rows, the longest row first, then the second of those that have
    one …

    Attributes:
        sizes: rows that have an element in each step.
        order: the rows of the batch, the longest first; of the same length in their order, ``(batch,)`` int64.
        ahead: for each packed element its place in the batch, ``row · time + element``, ``(positions,)`` int64.
        back: the same with every row turned round.
        turn: where among ``ahead`` each of ``back`` stands; its own inverse.
    """

    sizes: list[int]
    order: Tensor
    ahead: Tensor
    back: Tensor
    turn: Tensor

    def starts(self) -> list[int]:
        """Where each step begins."""
        return [0, *accumulate(self.sizes[:-1])] if self.sizes else []

    def previous(self) -> Tensor:
        """The packed element of the step before, for all but those of the first step."""
        pairs = zip(self.starts(), self.sizes[1:], strict=False)
        before = [torch.arange(start, start + size) for start, size in pairs]
        return torch.cat(before) if before else self.ahead[:0]


def packed(mask: Tensor) -> Packing:
    """How the elements where ``mask`` ``(batch, time)``, on a CPU, is True stand when packed; in each row they come
    first."""
    time = mask.shape[1]
    lengths, order = mask.sum(dim=1).sort(descending=True, stable=True)
    sizes, forward, backward = packing(lengths.tolist() or [0])
    # Of the real elements, the longest row's first, row after row: where each stands in the batch.
    places = (order.unsqueeze(1) * time + torch.arange(time))[mask[order]]
    position = torch.empty_like(forward)
    position[forward] = torch.arange(len(forward))
    return Packing(sizes, order, places[forward], places[backward], position[backward])


def packing(lengths: Sequence[int]) -> tuple[list[int], Tensor, Tensor]:
    """How sentences of falling ``lengths``, one after the other, are packed step by step in either direction.

    Returns:
        The rows of each step; and for each packed position its place in the sentences, reading forward and backward.
    """
    sizes = np.asarray(lengths)
    if (sizes[:-1] < sizes[1:]).any():
        raise ValueError(f"lengths must be falling, got {list(lengths)}")
    steps = np.arange(sizes[0])[:, None]
    real = steps < sizes
    ends = sizes.cumsum()
    forward = (ends - sizes + steps)[real]
    backward = (ends - 1 - steps)[real]
    return real.sum(1).tolist(), torch.from_numpy(forward), torch.from_numpy(backward)


def reversal(lengths: Tensor, time: int) -> Tensor:
    """Indices ``(time, batch)`` that reverse each sequence within its own length and leave padding where it is."""
    position = torch.arange(time, device=lengths.device).unsqueeze(1)
    return torch.where(position < lengths, lengths - 1 - position, position)


def reverse(x: Tensor, order: Tensor) -> Tensor:
    """Reorder ``x`` (time, batch, ...) by ``order`` (time, batch); applied twice it gives ``x`` back."""
    return x[order, torch.arange(x.shape[1], device=x.device)]
