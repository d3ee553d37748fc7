"""Rows of different lengths without their padding, step by step."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from ner_elmo.bilm.model import packing


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
