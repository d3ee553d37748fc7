"""A matrix in bfloat16 that many rows meet, in the order in which oneDNN reads it, where torch lets it be kept so.

A plain product orders its matrix each time anew, and of a hundred rows half the time goes there.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

# Products of so many terms, or a multiple, are made without a remainder.
TERMS = 32


@cache
def onednn_functions() -> tuple[Any, Any] | None:
    """torch's functions that order a matrix once as oneDNN reads it, and multiply by it: not of its public ones."""
    if not torch.backends.mkldnn.is_available():
        return None
    try:
        order: Any = torch.ops.mkldnn._reorder_linear_weight
        multiply: Any = torch.ops.mkldnn._linear_pointwise
        matrix = order(torch.eye(TERMS, dtype=torch.bfloat16), None)
        row = torch.ones(1, TERMS, dtype=torch.bfloat16)
        one = multiply(row, matrix, None, "sigmoid", [], "")
        both = multiply.binary(row, row, matrix, None, "add")
        works = bool(((one.float() - 0.731).abs() < 0.01).all() and (both == 2).all())
    except Exception:  # another torch, or another processor
        return None
    return (order, multiply) if works else None


class OrderedMatrix:
    """A matrix ``(outputs, terms)`` in bfloat16, as products read it fastest.

    Args:
        n_rows: those of a product, if that is known.
    """

    def __init__(self, matrix: Tensor, n_rows: int | None = None) -> None:
        self.matrix = matrix.contiguous()
        onednn = onednn_functions() if matrix.device.type == "cpu" else None
        self.is_ordered = onednn is not None
        if onednn is not None:
            self.matrix = onednn[0](self.matrix, n_rows)

    def __getstate__(self) -> dict[str, Any]:
        return {"matrix": self.matrix.to_dense() if self.is_ordered else self.matrix}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["matrix"])  # type: ignore[misc]

    def meet(self, rows: Tensor, activation: str = "none") -> Tensor:
        """The product of ``rows`` (rows, terms) and it, ``(rows, outputs)``, or its ``sigmoid``."""
        onednn = onednn_functions()
        if onednn is not None and self.is_ordered:
            return onednn[1](rows, self.matrix, None, activation, [], "")  # type: ignore[no-any-return]
        product = torch.mm(rows, self.matrix.t())
        return product if activation == "none" else product.sigmoid_()

    def meet_and_add(self, rows: Tensor, term: Tensor) -> Tensor:
        """The product and ``term``, rounded once where oneDNN makes it."""
        onednn = onednn_functions()
        if onednn is not None and self.is_ordered:
            return onednn[1].binary(rows, term, self.matrix, None, "add")  # type: ignore[no-any-return]
        return torch.mm(rows, self.matrix.t()).add_(term)
