"""The passes over memory between the products of training in bfloat16: by torch's operations, several passes each, or
in one, compiled where that is asked for (:mod:`~ner_elmo.nn.compiled`). Both round at the same places, but not all
that they do in between.

Of a step of the LSTM as :mod:`~ner_elmo.nn.mixed_recurrence` writes it, with i, f, j, o = σ(z) and twice the cell C:

    v = i (1 − 2 j)           C_t = f C − 2 v, clipped          s = σ(C_t)           n = o (1 − 2 s)

the way back needs six factors alone (``FACTORS``), each for a product with the gradient of C_t or of n:

    of C_t, 0 where it is clipped:    i: −2 v (1 − i)    f: C f (1 − f)    j: i j (1 − j)    kept: f, for C
    of n:                             o: n (1 − o)    cell: o s (1 − s), which −2 belongs to, for C_t
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ner_elmo.nn.compiled import CompiledPasses, compiled_passes
from ner_elmo.nn.ordered_matrix import TERMS

FACTORS = 6


class Passes(Protocol):
    """What is computed between products. Tensors of a step hold its rows, the gates and factors side by side."""

    def cell_forward(
        self, z: Tensor, cell: Tensor, clip: float | None, factors: Tensor, hidden: Tensor | None, out: Tensor | None
    ) -> None:
        """One step.

        Args:
            z: the gates before activation ``(rows, 4 dim)``, bfloat16.
            cell: twice the cell ``(rows, dim)``, float32: that of the step before becomes this one's.
            clip: of twice the cell.
            factors: receives the factors ``(rows, FACTORS · dim)``, bfloat16, in an order of its own.
            hidden: receives n ``(rows, dim)``, bfloat16; or else
            out: receives −n ``(rows, dim)``, float32.
        """

    def cell_backward(
        self, factors: Tensor, d_hidden: Tensor | None, d_out: Tensor | None, d_cell: Tensor, d_gates: Tensor
    ) -> None:
        """One step's chain rule.

        Args:
            factors: of :meth:`cell_forward`.
            d_hidden: the gradient of n ``(rows, dim)``, bfloat16; or else
            d_out: that of −n, float32.
            d_cell: of C ``(rows, dim)``, float32: what the step after has left becomes that of the step before.
            d_gates: receives the products ``(rows, 4 dim)``, bfloat16.
        """

    def add_rows(self, total: Tensor, x: Tensor) -> None:
        """Add the sum of all rows of ``x`` (rows, n), bfloat16, to ``total`` (n,), float32."""

    def exponentials(self, x: Tensor) -> Tensor:
        """Exponentiate ``x`` (rows, n), bfloat16, in its place; the sum of each row ``(rows,)``, float32."""


class TorchPasses:
    """By torch's operations on any device; holds on to memory for what lies in between."""

    def __init__(self) -> None:
        self._scratch: list[Tensor] = []

    def _room(self, like: Tensor) -> list[Tensor]:
        """Two tensors of the shape of ``like`` (rows, dim), and one four times as wide, float32; all unset."""
        rows, dim = like.shape
        if not self._scratch or len(self._scratch[0]) < rows:
            self._scratch = [like.new_empty(rows, n * dim, dtype=torch.float32) for n in (1, 1, 4)]
        return [of[:rows] for of in self._scratch]

    def cell_forward(
        self, z: Tensor, cell: Tensor, clip: float | None, factors: Tensor, hidden: Tensor | None, out: Tensor | None
    ) -> None:
        sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
        t, u, gates = self._room(cell)
        i, f, j, o = gates.view(4, *cell.shape).copy_(z.unflatten(1, (4, -1)).transpose(0, 1)).sigmoid_()
        of_i, of_f, of_j, kept, of_o, of_cell = factors.view(FACTORS, *cell.shape)
        kept.copy_(f)
        of_f.copy_(sigmoid_backward(cell, f, grad_input=t))
        of_j.copy_(sigmoid_backward(i, j, grad_input=t))
        v = torch.addcmul(i, i, j, value=-2.0, out=u)
        cell.mul_(f).sub_(v, alpha=2.0)
        of_i.copy_(torch.addcmul(v, v, i, value=-1.0, out=t).mul_(-2.0))
        if clip is not None:
            clipped = cell.abs() >= clip
            cell.clamp_(-clip, clip)
            for factor in (of_i, of_f, of_j, kept):
                factor.masked_fill_(clipped, 0.0)
        s = torch.sigmoid(cell, out=t)
        n = torch.addcmul(o, o, s, value=-2.0, out=u)
        of_cell.copy_(sigmoid_backward(o, s, grad_input=t))
        if hidden is not None:
            hidden.copy_(n)
        elif out is not None:
            torch.neg(n, out=out)
        of_o.copy_(torch.addcmul(n, n, o, value=-1.0, out=t))

    def cell_backward(
        self, factors: Tensor, d_hidden: Tensor | None, d_out: Tensor | None, d_cell: Tensor, d_gates: Tensor
    ) -> None:
        d_n, t, _ = self._room(d_cell)
        if d_hidden is not None:
            d_n.copy_(d_hidden)
            rounded = d_hidden
        elif d_out is not None:
            rounded = torch.neg(d_out, out=d_n).bfloat16()
        of_i, of_f, of_j, kept, of_o, of_cell = factors.view(FACTORS, *d_cell.shape)
        i, f, j, o = d_gates.chunk(4, 1)
        torch.mul(rounded, of_o, out=o)
        rounded = d_cell.addcmul_(d_n, t.copy_(of_cell), value=-2.0).bfloat16()
        for factor, gate in ((of_i, i), (of_f, f), (of_j, j)):
            torch.mul(rounded, factor, out=gate)
        d_cell.mul_(t.copy_(kept))

    def add_rows(self, total: Tensor, x: Tensor) -> None:
        total += torch.mm(x.new_ones(TERMS, len(x)), x)[0]  # far faster than a sum

    def exponentials(self, x: Tensor) -> Tensor:
        return x.exp_().sum(1).float()


def passes_on(device: torch.device) -> Passes:
    """The fastest there are; for one caller alone."""
    compiled: CompiledPasses | None = compiled_passes() if device.type == "cpu" else None
    return compiled or TorchPasses()
