"""Loops that torch compiles: that they are, and what happens where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ner_elmo.nn import inference_few_rows as few_rows
from ner_elmo.nn import scripted as module
from ner_elmo.nn.int8_steps import run_steps
from ner_elmo.nn.scripted import scripted
from ner_elmo.tagger.network import crf, lattice

LOOPS = [few_rows._steps, run_steps, lattice._before, lattice._after, crf._best_tags]


@pytest.mark.parametrize("loop", LOOPS)
def test_the_packages_loops_are_compiled_once(loop: Callable[..., Any]) -> None:
    assert isinstance(scripted(loop), torch.jit.ScriptFunction)
    assert scripted(loop) is scripted(loop)


def not_for_torch(x: Tensor) -> Tensor:
    return max([x], key=lambda y: float(y))  # torch compiles no lambda


def test_what_torch_cannot_compile_stays_as_it_is() -> None:
    assert scripted(not_for_torch) is not_for_torch


def test_a_torch_without_its_compiler_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    emissions, moves = torch.randn(3, 5, 4), torch.randn(4, 4)
    lengths, starts, ends = torch.tensor([5, 2, 1]), torch.randn(4), torch.randn(4)
    expected = scripted(crf._best_tags)(emissions, lengths, starts, ends, moves, 8)
    weights = emissions.double()
    transitions = lattice.Transitions(starts.double(), ends.double(), moves.double())
    mask = torch.arange(5) < lengths.unsqueeze(1)
    messages = [lattice.messages_before(weights, transitions, small) for small in (True, False)]
    messages += [lattice.messages_after(weights, mask, transitions, small) for small in (True, False)]
    monkeypatch.delattr(torch.jit, "script")
    module._compiled.cache_clear()
    try:
        assert scripted(crf._best_tags) is crf._best_tags
        assert torch.equal(scripted(crf._best_tags)(emissions, lengths, starts, ends, moves, 8), expected)
        again = [lattice.messages_before(weights, transitions, small) for small in (True, False)]
        again += [lattice.messages_after(weights, mask, transitions, small) for small in (True, False)]
        assert all(map(torch.equal, again, messages))
    finally:
        module._compiled.cache_clear()
