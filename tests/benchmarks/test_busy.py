"""What a fair scheduler leaves of a speed beside burners."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest


@pytest.mark.parametrize(
    ("threads", "burners", "cores", "share"),
    [(1, 0, 2, 1), (1, 1, 2, 1), (1, 2, 2, 2 / 3), (2, 2, 2, 1 / 2), (2, 1, 2, 2 / 3), (2, 2, 4, 1), (4, 4, 2, 1 / 2)],
)
def test_the_share_that_is_left(
    script: Callable[[str], ModuleType], threads: int, burners: int, cores: int, share: float
) -> None:
    assert script("busy").share_left(threads, burners, cores) == pytest.approx(share)
