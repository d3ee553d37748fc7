"""The passes over memory between the products of training: by torch's operations, several passes each, or in one,
compiled where that is asked for (:mod:`~ner_elmo.nn.compiled_passes`). In bfloat16 both round at the same places, but
not all that they do in between.

Of a step of the LSTM written with σ alone, with i, f, j, o = σ(z) and twice the cell C:

    v = i (1 − 2 j)           C_t = f C − 2 v, clipped          s = σ(C_t)           n = o (1 − 2 s)

In float32 (``gates_forward``) gates, cell and s are kept for the way back, where the gradient for z takes the place of
the gates; its quarters lack factors (``SCALES``), powers of two or their negatives, so that it does not matter when
they are multiplied. In bfloat16 (``cell_forward``) the way back needs six factors alone (``FACTORS``), each for a
product with the gradient of C_t or of n:

    of C_t, 0 where it is clipped:    i: −2 v (1 − i)    f: C f (1 − f)    j: i j (1 − j)    kept: f, for C
    of n:                             o: n (1 − o)    cell: o s (1 − s), which −2 belongs to, for C_t
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ner_elmo.nn.compiled_passes import CompiledPasses, compiled_passes
from ner_elmo.nn.ordered_matrix import TERMS

FACTORS = 6
DOUBLED = (1.0, 1.0, 2.0, 1.0)  # quarters of the weights that give z: tanh(x) = 2 σ(2x) − 1
SCALES = (-2.0, 1.0, 8.0, 1.0)  # what the quarters of a gradient lack, the doubling of the candidate among it


class Passes(Protocol):
    """What is computed between products. Tensors of a step hold its rows, the gates and factors side by side; those in
    float32 may have a first dimension for directions."""

    def gates_forward(
        self, z: Tensor, before: Tensor | None, cell: Tensor, squashed: Tensor, minus: Tensor, clip: float | None
    ) -> None:
        """One step in float32.

        Args:
            z: the gates before activation ``(rows, 4 dim)``; then after it.
            before: twice the cell of the step before ``(rows, dim)``; ``None`` for zeros.
            cell, squashed, minus: receive C_t, s_t and n_t ``(rows, dim)``.
            clip: of twice the cell.
        """

    def gates_backward(
        self,
        z: Tensor,
        before: Tensor | None,
        cell: Tensor,
        squashed: Tensor,
        d_minus: Tensor,
        d_cell: Tensor,
        clip: float | None,
    ) -> None:
        """One step's chain rule in float32.

        Args:
            z: the gates after activation; receives the gradient before it, without ``SCALES``.
            before, cell, squashed, clip: as of :meth:`gates_forward`.
            d_minus: the gradient of n.
            d_cell: of C: what the step after has left becomes that of the step before.
        """

    def shifted_exponentials(self, x: Tensor, shift: Tensor) -> Tensor:
        """Take ``shift`` (rows,) from ``x`` (rows, n), float32, and exponentiate it in its place; the sum of each row
        ``(rows,)``. The shift is the row's greatest number, where that is greater, from then on."""

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
        self._pair: list[Tensor] = []
        self._logits: Tensor | None = None

    def _two(self, like: Tensor) -> list[Tensor]:
        """Two tensors of the shape of ``like``, unset."""
        n = like.numel()
        if not self._pair or len(self._pair[0]) < n:
            self._pair = [like.new_empty(n) for _ in range(2)]
        return [of[:n].view(like.shape) for of in self._pair]

    def gates_forward(
        self, z: Tensor, before: Tensor | None, cell: Tensor, squashed: Tensor, minus: Tensor, clip: float | None
    ) -> None:
        i, f, j, o = z.sigmoid_().chunk(4, -1)
        if before is None:
            torch.mul(i, j, out=cell).mul_(4.0).sub_(i, alpha=2.0)
        else:
            torch.mul(f, before, out=cell).addcmul_(i, j, value=4.0).sub_(i, alpha=2.0)
        if clip is not None:
            cell.clamp_(-clip, clip)
        torch.addcmul(o, o, torch.sigmoid(cell, out=squashed), value=-2.0, out=minus)

    def gates_backward(
        self,
        z: Tensor,
        before: Tensor | None,
        cell: Tensor,
        squashed: Tensor,
        d_minus: Tensor,
        d_cell: Tensor,
        clip: float | None,
    ) -> None:
        sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
        i, f, j, o = z.chunk(4, -1)
        t, u = self._two(d_cell)
        # d C += −2 d n · o · σ'(C)
        d_cell.sub_(sigmoid_backward(torch.mul(d_minus, o, out=t), squashed, grad_input=t), alpha=2.0)
        if clip is not None:
            d_cell.masked_fill_(cell.abs() >= clip, 0.0)
        # d o = d n · (1 − 2 s) · σ'(o)
        sigmoid_backward(torch.addcmul(d_minus, d_minus, squashed, value=-2.0, out=t), o, grad_input=o)
        # d j = 4 d C · i · σ'(j), without the 4; d i = d C · (4 j − 2) · σ'(i), without the −2
        torch.mul(d_cell, i, out=t)
        torch.addcmul(d_cell, d_cell, j, value=-2.0, out=u)
        sigmoid_backward(t, j, grad_input=j)
        sigmoid_backward(u, i, grad_input=i)
        # d f = d C · C before · σ'(f), d C before = d C · f
        if before is None:
            f.zero_()
        else:
            torch.mul(d_cell, before, out=t)
            d_cell.mul_(f)
            sigmoid_backward(t, f, grad_input=f)

    def shifted_exponentials(self, x: Tensor, shift: Tensor) -> Tensor:
        torch.maximum(x.amax(1), shift, out=shift)
        if self._logits is None or self._logits.shape != x.shape:
            self._logits = torch.empty_like(x)
        exp_of_negative_(x.sub_(shift.unsqueeze(1)), self._logits)
        return x.sum(1)

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


def exp_of_negative_(x: Tensor, scratch: Tensor | None = None) -> Tensor:
    """exp(x) of numbers that are not positive, in their place: σ(x) / (1 − σ(x)), which torch computes several times
    faster on a CPU, with an error of some 1e-6 of the value. ``scratch`` is of the shape of ``x``, and overwritten."""
    x.sigmoid_()
    return x.div_(torch.sub(x.new_ones(()), x, out=scratch))


def passes_on(device: torch.device) -> Passes:
    """The fastest there are; for one caller alone."""
    compiled: CompiledPasses | None = compiled_passes() if device.type == "cpu" else None
    return compiled or TorchPasses()
