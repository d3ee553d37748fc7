"""Signals: at once where nothing would be lost, after the step where something is to be written first."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest

from ner_elmo.runs.stop import Stopped, StopSignals, unswallowed_interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_work_at_once(number: signal.Signals) -> None:
    said: list[str] = []
    with pytest.raises(Stopped) as stopped, StopSignals(said.append):
        os.kill(os.getpid(), number)
    assert stopped.value.number == number
    assert said == []


def test_a_deferred_signal_is_noted_and_a_second_one_ends_the_work() -> None:
    said: list[str] = []
    with StopSignals(said.append) as stop:
        with pytest.raises(Stopped), stop.deferred():  # noqa: PT012 - two signals
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.received == signal.SIGTERM
            assert len(said) == 1
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.received == signal.SIGTERM


def test_signals_are_what_they_were_afterwards() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with StopSignals(lambda message: None), StopSignals(lambda message: None):
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_one_of_several_processes_leaves_a_second_signal_to_its_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with StopSignals(lambda message: None) as stop, stop.deferred():
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received == signal.SIGTERM


def test_an_interrupt_that_something_swallows_still_ends_the_block() -> None:
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where a shell began us in background
    before = signal.getsignal(signal.SIGINT)
    ends = []
    with pytest.raises(KeyboardInterrupt), unswallowed_interrupts():  # noqa: PT012 - what swallows it is part of it
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)  # here, not in whatever thread the system picks
        ends.append(signal.getsignal(signal.SIGINT) is before)
    assert ends == [False]
    assert signal.getsignal(signal.SIGINT) is before
    with unswallowed_interrupts():
        pass
    signal.signal(signal.SIGINT, outside)
