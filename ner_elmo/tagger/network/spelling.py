"""What a token's spelling says: a convolution over its bytes and the maximum over the token (Kim et al. 2016).

A filter's value at a character is a sum of one number for each character of the window, which depends on that character
and its place in the window alone. So on a CPU all numbers are computed once, a table for each place, and looked up; and
as only the best window of each filter has a gradient, the way back touches few of them.

Letters in shapes: ``types`` distinct tokens, ``width`` characters of the longest, ``window`` characters that a filter
sees, ``positions`` real characters of all types.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ner_elmo.nn.packing import packed
from ner_elmo.text.characters import N_CHARACTERS, PADDING_ID


class SpellingCnn(nn.Module):
    """Character embeddings, one convolution, the maximum over the token, relu.

    Not the biLM's :class:`~ner_elmo.bilm.token_encoder.CharacterCnn`, which has filters of several widths, a boundary
    at each end of a token, and highway layers above.

    Args:
        dim: numbers in a character embedding.
        filters: of the convolution.
        window: characters that a filter sees.
    """

    def __init__(self, dim: int, filters: int, window: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(N_CHARACTERS, dim, padding_idx=PADDING_ID)
        self.convolution = nn.Conv1d(dim, filters, window, padding="same")

    def forward(self, char_ids: Tensor) -> Tensor:
        """``(types, width)`` raw ids → ``(types, filters)``. Padding counts for nothing."""
        best = self._looked_up(char_ids) if char_ids.device.type == "cpu" else self._convolved(char_ids)
        return torch.relu(best)

    def _convolved(self, char_ids: Tensor) -> Tensor:
        """As it is defined: the best value of each filter, before relu."""
        spelled = self.embedding(char_ids).transpose(1, 2)
        values = self.convolution(spelled).masked_fill((char_ids == PADDING_ID).unsqueeze(1), -torch.inf)
        best: Tensor = values.amax(dim=2)
        return best

    def _looked_up(self, char_ids: Tensor) -> Tensor:
        """The same up to the order of sums."""
        weight, bias = self.convolution.weight, self.convolution.bias
        assert bias is not None
        window = weight.shape[2]
        is_padding = torch.arange(N_CHARACTERS).unsqueeze(1) == PADDING_ID
        embedding = self.embedding.weight.masked_fill(is_padding, 0.0)  # it is not learned
        tables = torch.matmul(embedding, weight.permute(2, 1, 0))  # (window, characters, filters)
        before = (window - 1) // 2  # "same": the rest stands after
        around = functional.pad(char_ids, (before, window - 1 - before), value=PADDING_ID)
        packing = packed(char_ids != PADDING_ID)
        windows = around.unfold(1, window, 1).flatten(0, 1).index_select(0, packing.ahead)
        find = BestWindow.apply if torch.is_grad_enabled() else _best_window
        best = find(tables, windows, packing.sizes)
        in_given_order: Tensor = torch.empty_like(best).index_copy(0, packing.order, best)
        return in_given_order + bias


def _best_window(tables: Tensor, windows: Tensor, sizes: Sequence[int]) -> Tensor:
    """What :class:`BestWindow` finds, without where it stands."""
    sums = _sums_of(tables, windows.T.contiguous())
    best = sums[: sizes[0] if sizes else 0]
    start = len(best)
    for size in sizes[1:]:
        torch.maximum(best[:size], sums[start : start + size], out=best[:size])
        start += size
    return best


def _sums_of(tables: Tensor, places: Tensor) -> Tensor:
    """Of each window ``(positions, filters)``; places ``(window, positions)``."""
    sums = tables[0].index_select(0, places[0])
    for table, ids in zip(tables[1:], places[1:], strict=True):
        sums += table.index_select(0, ids)
    return sums


class BestWindow(torch.autograd.Function):
    """The highest sum of ``tables`` along a window of each type, longest type first, ``(types, filters)``.

    Shapes: tables ``(window, characters, filters)``; windows ``(positions, window)`` character ids, packed
    (:mod:`ner_elmo.nn.packing`): the first of all types, then the second of those that have one, ``sizes`` of each.
    """

    @staticmethod
    def forward(ctx: Any, tables: Tensor, windows: Tensor, sizes: Sequence[int]) -> Tensor:
        places = windows.T.contiguous()
        sums = _sums_of(tables, places)
        n_types = sizes[0] if sizes else 0
        rows = torch.arange(len(sums), dtype=torch.int32, device=sums.device).unsqueeze(1)
        best, which = sums[:n_types].clone(), rows[:n_types].expand(n_types, sums.shape[1]).clone()
        start = n_types
        for size in sizes[1:]:
            here = slice(start, start + size)
            which[:size] = torch.where(sums[here] > best[:size], rows[here], which[:size])
            torch.maximum(best[:size], sums[here], out=best[:size])
            start += size
        ctx.shape = tables.shape
        ctx.save_for_backward(places, which)
        return best

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_best: Tensor) -> tuple[Tensor | None, ...]:
        places, which = ctx.saved_tensors
        which = which.long()
        d_tables = d_best.new_zeros(ctx.shape)
        for d_table, ids in zip(d_tables, places, strict=True):
            d_table.scatter_add_(0, ids[which], d_best)
        return d_tables, None, None
