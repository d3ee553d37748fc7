"""Two jobs on two threads behave as one after the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from ner_elmo.nn.two_threads import at_once


@pytest.fixture(autouse=True)
def restored_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def state_of_torch() -> tuple[int, bool, bool]:
    return torch.get_num_threads(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()


@pytest.mark.parametrize(("threads", "shares"), [(1, (1, 1)), (2, (1, 1)), (5, (3, 2))])
def test_each_has_its_share_of_the_threads_and_the_callers_modes(threads: int, shares: tuple[int, int]) -> None:
    torch.set_num_threads(threads)
    for mode in (torch.inference_mode, torch.no_grad, torch.enable_grad):
        with mode():
            before = state_of_torch()
            found = at_once(state_of_torch, state_of_torch)
            assert found == tuple((share, *before[1:]) for share in shares)
            assert state_of_torch() == before


def test_they_run_beside_one_another() -> None:
    torch.set_num_threads(2)
    meeting = threading.Barrier(2, timeout=20)
    assert sorted(at_once(meeting.wait, meeting.wait)) == [0, 1]


@pytest.mark.parametrize("fails", [0, 1])
@pytest.mark.parametrize("threads", [1, 2])
def test_what_one_raises_is_raised(fails: int, threads: int) -> None:
    torch.set_num_threads(threads)
    done: list[str] = []

    def good() -> None:
        done.append("good")

    def bad() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        at_once(*((bad, good) if fails == 0 else (good, bad)))
    assert torch.get_num_threads() == threads
    assert done == ["good"] or (threads == 1 and fails == 0)
