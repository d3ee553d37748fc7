"""Commands of several processes, as ``torchrun`` starts them: one of them speaks."""

from __future__ import annotations

import os
import time

from ner_elmo.errors import DataError, NerElmoError, UsageError

_FIRST_HAS_SPOKEN = 10.0  # seconds, after which a process no longer waits to be ended


def is_first() -> bool:
    """Whether this process is the one that speaks: any but ``torchrun``'s second and further ones."""
    return os.environ.get("RANK", "0") == "0" or not launched()


def launched() -> bool:
    """Whether ``torchrun`` started this process beside others."""
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"


def on_this_machine() -> int:
    """How many processes share this machine's cores."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if launched() else 1


def leave_to_first(error: Exception) -> bool:
    """Whether the first process says the same as ``error``, which is the user's mistake; waits until it has.

    ``torchrun`` ends all processes as soon as one ends, so a process that must not speak must not end first either.
    """
    if is_first() or (isinstance(error, NerElmoError) and not isinstance(error, UsageError | DataError)):
        return False
    time.sleep(_FIRST_HAS_SPOKEN)
    return True
