"""Stacked bidirectional LSTMs (Graves and Schmidhuber 2005) over padded sentences, which never see the padding.

In float32 each direction is torch's own LSTM. Training may take :class:`BiRecurrence` with products in bfloat16, most
of them before and after the steps instead of within: up to twice as fast where a processor multiplies bfloat16
(:mod:`ner_elmo.nn.precision`).

Letters in shapes: ``batch`` sentences, ``time`` tokens, ``positions`` real tokens of all, ``units`` LSTM units in each
direction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ner_elmo.nn.cell import gates_of
from ner_elmo.nn.dropout import Dropout
from ner_elmo.nn.packing import Packing, packed
from ner_elmo.nn.recurrence import cell_backward, tanh_

Layer = Callable[[Tensor, nn.LSTM, nn.LSTM], Tensor]


class BiLstm(nn.Module):
    """Stacked bidirectional LSTMs.

    Each direction is an LSTM of its own over padded sentences, the backward one over sentences turned round within
    their own lengths: torch is much faster so than on packed sequences.
    """

    def __init__(self, input_dim: int, hidden_dim: int, n_layers: int, dropout: float) -> None:
        super().__init__()
        dims = [input_dim] + [2 * hidden_dim] * (n_layers - 1)
        self.forwards = nn.ModuleList(nn.LSTM(dim, hidden_dim, batch_first=True) for dim in dims)
        self.backwards = nn.ModuleList(nn.LSTM(dim, hidden_dim, batch_first=True) for dim in dims)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, in_bfloat16: bool = False) -> Tensor:
        """``(batch, time, dim)`` → ``(batch, time, 2 · units)``; mask ``(batch, time)`` bool, True = real."""
        layer = self._in_bfloat16(mask) if in_bfloat16 else self._in_float32(mask)
        for number, (ahead, back) in enumerate(zip(self.forwards, self.backwards, strict=True)):
            assert isinstance(ahead, nn.LSTM)
            assert isinstance(back, nn.LSTM)
            x = layer(self.dropout(x) if number else x, ahead, back)
        return x

    def _in_float32(self, mask: Tensor) -> Layer:
        lengths, steps = mask.sum(dim=1, keepdim=True), torch.arange(mask.shape[1], device=mask.device)
        turned = torch.where(mask, lengths - 1 - steps, steps).unsqueeze(2)  # (batch, time, 1), its own inverse

        def layer(x: Tensor, ahead: nn.LSTM, back: nn.LSTM) -> Tensor:
            backward, _ = back(x.gather(1, turned.expand_as(x)))
            return torch.cat([ahead(x)[0], backward.gather(1, turned.expand_as(backward))], dim=2)

        return layer

    def _in_bfloat16(self, mask: Tensor) -> Layer:
        packing = packed(mask)

        def layer(x: Tensor, ahead: nn.LSTM, back: nn.LSTM) -> Tensor:
            weights = [*joined_weights(ahead), *joined_weights(back)]
            return BiRecurrence.apply(x, packing, torch.bfloat16, *weights)  # type: ignore[no-any-return]

        return layer


def joined_weights(lstm: nn.LSTM) -> tuple[Tensor, Tensor, Tensor]:
    """Of one layer: to the gates from the input ``(4 · units, dim)`` and from the state ``(4 · units, units)``, and the
    sum of torch's two biases ``(4 · units,)``."""
    of_input, of_state, bias, other = lstm.all_weights[0]
    return of_input, of_state, bias + other


class BiRecurrence(torch.autograd.Function):
    """Both directions of a layer ``(batch, time, 2 · units)``, 0 at padding, with a gradient for everything learned.

    What torch's LSTM computes. All inputs of both directions meet their weights in one product before the first step,
    and the gradients of inputs and weights are each one product after the last; within a step both directions are one.
    The products, and the numbers that meet in them, are of ``dtype``; gates, cells and their gradients are of the type
    of ``x``.

    Weights are those of torch's two LSTMs (:func:`joined_weights`), the forward one's first.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, packing: Packing, dtype: torch.dtype, *weights: Tensor) -> Tensor:
        batch, time, dim = x.shape
        of_input = torch.cat([one.to(dtype) for one in weights[0::3]])  # (2 · 4 · units, dim)
        of_state = torch.stack([one.to(dtype) for one in weights[1::3]])  # (2, 4 · units, units)
        inputs = x.view(-1, dim).index_select(0, packing.ahead).to(dtype)
        n_positions, units = len(inputs), of_state.shape[2]
        z = _directions(inputs @ of_input.T, packing, x.dtype)
        z += torch.stack(weights[2::3]).unsqueeze(1)
        y, cells, shown = (x.new_empty(2, n_positions, units) for _ in range(3))
        to_gates = of_state.transpose(1, 2)
        before = slice(0, 0)
        for start, size in zip(packing.starts(), packing.sizes, strict=True):
            rows = slice(start, start + size)
            gates, cell, tanh_cell = gates_of(z[:, rows]), cells[:, rows], shown[:, rows]
            if start:
                gates.whole.add_(torch.bmm(y[:, before][:, :size].to(dtype), to_gates))
            gates.inner.sigmoid_()
            tanh_(gates.j)
            gates.o.sigmoid_()
            torch.mul(gates.i, gates.j, out=cell)
            if start:
                cell.addcmul_(gates.f, cells[:, before][:, :size])
            torch.mul(gates.o, tanh_(tanh_cell.copy_(cell)), out=y[:, rows])
            before = rows
        ctx.packing, ctx.shape = packing, x.shape
        ctx.save_for_backward(of_input, of_state, inputs, z, cells, shown, y)
        out = x.new_zeros(batch * time, 2, units)
        out[:, 0].index_copy_(0, packing.ahead, y[0])
        out[:, 1].index_copy_(0, packing.back, y[1])
        return out.view(batch, time, 2 * units)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        """The chain rule from the last step to the first. The gradients of the gates take the gates' place, so that
        torch refuses a second pass."""
        of_input, of_state, inputs, z, cells, shown, y = ctx.saved_tensors
        packing, dtype, units = ctx.packing, of_state.dtype, of_state.shape[2]
        d_out = d_out.reshape(-1, 2, units)
        d_y = torch.stack([d_out[:, 0].index_select(0, packing.ahead), d_out[:, 1].index_select(0, packing.back)])
        d_gates = z if z.dtype == dtype else torch.empty_like(z, dtype=dtype)
        d_cells = y.new_zeros(2, packing.sizes[0], units)
        scratch = [y.new_empty(2, packing.sizes[0], units) for _ in range(2)]
        following = slice(0, 0)
        sizes = packing.sizes
        for start, size, before_size in reversed(list(zip(packing.starts(), sizes, [0, *sizes], strict=False))):
            rows = slice(start, start + size)
            d_hidden = d_y[:, rows]
            n_following = following.stop - following.start
            if n_following:
                d_hidden[:, :n_following] += torch.bmm(d_gates[:, following], of_state)
            before = cells[:, start - before_size : start][:, :size] if start else None
            t, u = (one[:, :size] for one in scratch)
            cell_backward(
                gates_of(z[:, rows]), cells[:, rows], shown[:, rows], before, d_hidden, d_cells[:, :size], (t, u), None
            )
            if d_gates is not z:
                d_gates[:, rows] = z[:, rows]
            following = rows
        d_joined = torch.cat([d_gates[0], d_gates[1].index_select(0, packing.turn)], dim=1)
        d_x = None
        if ctx.needs_input_grad[0]:
            d_x = y.new_zeros(ctx.shape)
            d_x.view(-1, d_x.shape[2]).index_copy_(0, packing.ahead, (d_joined @ of_input).to(y.dtype))
        d_of_input = (d_joined.T @ inputs).to(y.dtype).chunk(2)
        met = y.index_select(1, packing.previous()).to(dtype)
        d_of_state = torch.bmm(d_gates[:, packing.sizes[0] :].transpose(1, 2), met).to(y.dtype)
        d_bias = z.sum(dim=1)
        d_weights = [one for both in zip(d_of_input, d_of_state, d_bias, strict=True) for one in both]
        return d_x, None, None, *d_weights


def _directions(joined: Tensor, packing: Packing, dtype: torch.dtype) -> Tensor:
    """Gates of both directions side by side, as ``ahead`` stands, to ``(2, positions, 4 · units)``, each in its own
    order."""
    ahead, back = joined.chunk(2, dim=1)
    z = torch.empty(2, *ahead.shape, dtype=dtype, device=joined.device)
    z[0] = ahead
    z[1] = back.index_select(0, packing.turn)
    return z
