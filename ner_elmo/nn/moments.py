"""Adam's moments of what has no gradient for long, such as the vector of a rare word: they shrink from step to step
until they are too small for a processor to compute with at its usual speed (subnormal), and Adam takes several times as
long."""

from __future__ import annotations

import torch
from torch.nn import functional

EVERY = 100  # steps; in so many a first moment shrinks to 3e-5 of what it was
# By name, what counts as nothing: with Adam's ε of 1e-8 a weight would move by 1e-22 of its rate, and the other moment
# is lost beside ε.
NOTHING = {"exp_avg": 1e-30, "exp_avg_sq": 1e-32}


def drop_tiny_moments(optimizer: torch.optim.Optimizer) -> None:
    """Let moments that are as good as nothing be 0, where the optimizer has any."""
    for state in optimizer.state.values():
        for name, bound in NOTHING.items():
            if name in state:
                state[name].copy_(functional.hardshrink(state[name], bound))
