"""Rows of different lengths without their padding, step by step."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

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
        before = [torch.arange(start, start + size, device=self.ahead.device) for start, size in pairs]
        return torch.cat(before) if before else self.ahead[:0]


def packed(mask: Tensor) -> Packing:
    """How the elements where ``mask`` ``(batch, time)`` is True stand when packed; in each row they come first."""
    n_rows, time = mask.shape
    lengths, order = mask.sum(dim=1).sort(descending=True, stable=True)
    steps = torch.arange(time, device=mask.device).unsqueeze(1)
    is_real = steps < lengths  # (time, batch)
    ahead = (order * time + steps)[is_real]
    back = (order * time + lengths - 1 - steps)[is_real]
    position = torch.zeros(n_rows * time, dtype=torch.int64, device=mask.device)
    position[ahead] = torch.arange(len(ahead), device=mask.device)
    sizes = [size for size in is_real.sum(dim=1).tolist() if size]
    return Packing(sizes, order, ahead, back, position[back])
