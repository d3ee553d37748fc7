"""Two jobs on two threads behave as one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest
import torch

from ner_elmo.nn import in_threads
from ner_elmo.nn.in_threads import all_at_once, at_once, divided_in_two


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


def test_one_of_many_callers_does_not_wait_for_a_thread() -> None:
    torch.set_num_threads(2)
    held = threading.Event()
    busy = [in_threads._waiting_threads().submit(held.wait, 60) for _ in range(64)]
    try:
        with torch.no_grad():
            assert at_once(state_of_torch, state_of_torch) == ((1, False, False), (1, False, False))
    finally:
        held.set()
    assert all(one.result() for one in busy)


def test_divided_in_two() -> None:
    torch.set_num_threads(4)
    with divided_in_two():
        assert torch.get_num_threads() == 1
        meeting = threading.Barrier(2, timeout=20)
        assert sorted(at_once(meeting.wait, meeting.wait)) == [0, 1]
        assert at_once(torch.get_num_threads, torch.get_num_threads) == (1, 1)
    assert torch.get_num_threads() == 4
    torch.set_num_threads(1)
    with divided_in_two():
        here = threading.get_ident()
        assert at_once(threading.get_ident, threading.get_ident) == (here, here)


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
    assert done == ["good"] or fails == 0  # the second, which had not begun, is left out


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_all_at_once_keep_their_order_and_have_a_thread_each(threads: int) -> None:
    torch.set_num_threads(threads)
    with torch.inference_mode():
        found = all_at_once([lambda n=n: (n, *state_of_torch()) for n in range(7)])  # type: ignore[misc]
    assert found == [(n, 1, False, True) for n in range(7)]
    assert torch.get_num_threads() == threads
    assert all_at_once([state_of_torch]) == [(threads, True, False)]  # a single one has them all
    assert all_at_once([]) == []


def test_the_first_error_is_raised_and_the_rest_does_not_begin() -> None:
    torch.set_num_threads(2)
    begun: list[int] = []

    def job(n: int) -> None:
        begun.append(n)
        if n == 0:
            raise ValueError("no")
        time.sleep(0.05)

    with pytest.raises(ValueError, match="no"):
        all_at_once([partial(job, n) for n in range(50)])
    assert len(begun) < 10
    assert torch.get_num_threads() == 2
