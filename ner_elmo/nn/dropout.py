"""Dropout (Srivastava et al. 2014), made for processors.

torch draws a double-precision number for each element there, which took an eighth of a tagger's training. Sixteen
random bits are enough: one 64-bit draw serves four elements.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 1 << 16  # what 16 bits can tell apart


class Dropout(nn.Module):
    """In training an element is 0 with probability ``p`` and otherwise multiplied by 1 / (1 − p); in inference nothing
    is done.

    On a CPU ``p`` is rounded to a multiple of 2⁻¹⁶, and the factor belongs to the rounded one. Bits come from torch's
    own generator.

    Raises:
        ValueError: ``p`` is outside of 0 to 1.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"a dropout of {p} is not a probability")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of ``x``, which may be any."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return functional.dropout(x, self.p)
        return x * _factors(x, self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def _factors(x: Tensor, p: float) -> Tensor:
    """Random 0 and 1 / (1 − p), of the shape and type of ``x``."""
    kept_levels = round((1 - p) * LEVELS)
    if kept_levels in (0, LEVELS):
        return torch.full_like(x, kept_levels / LEVELS)
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
    sixteen = bits.view(torch.int16)[: x.numel()].view(x.shape)
    factors = torch.empty(x.shape, dtype=x.dtype)
    torch.lt(sixteen, kept_levels - LEVELS // 2, out=factors)  # signed: from −LEVELS / 2 on
    return factors.mul_(LEVELS / kept_levels)
