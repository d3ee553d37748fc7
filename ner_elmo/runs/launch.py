"""What ``torchrun``, or another launcher with its variables, says about this process; without importing torch."""

from __future__ import annotations

import os


def is_launched() -> bool:
    """Whether this process was started as one of several that work together."""
    return "MASTER_ADDR" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"


def is_first() -> bool:
    """Whether this process is the one that speaks and writes."""
    return not is_launched() or os.environ.get("RANK") == "0"


def processes_here() -> int:
    """How many processes share this machine's cores."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if is_launched() else 1


def rank_here() -> int:
    """The number of this process on this machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0")) if is_launched() else 0
