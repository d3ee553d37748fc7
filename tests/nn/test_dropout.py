"""Dropout from sixteen bits an element: what stays, by how much it is multiplied, and how often."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ner_elmo.nn.dropout import LEVELS, Dropout


def dropped(x: torch.Tensor, p: float, seed: int = 1) -> torch.Tensor:
    torch.manual_seed(seed)
    return Dropout(p)(x)


@settings(max_examples=30, deadline=None)
@given(p=st.floats(0, 1), rows=st.integers(0, 5), columns=st.integers(0, 9))
def test_an_element_is_nothing_or_multiplied(p: float, rows: int, columns: int) -> None:
    x = torch.arange(1.0, rows * columns + 1).view(rows, columns)
    found = dropped(x, p)
    kept = round((1 - p) * LEVELS) / LEVELS
    assert found.shape == x.shape
    survivors = found != 0
    torch.testing.assert_close(found[survivors] * kept, x[survivors])


@pytest.mark.parametrize("p", [0.0001, 0.1, 0.5, 0.9])
def test_so_many_are_dropped(p: float) -> None:
    n = 2_000_000
    rate = float((dropped(torch.ones(1000, 2000), p) == 0).float().mean())
    assert abs(rate - p) < 5 * (p * (1 - p) / n) ** 0.5  # five standard deviations


def test_neighbours_do_not_depend_on_each_other() -> None:
    """Four elements share a draw: their bits must not."""
    kept = (dropped(torch.ones(4_000_000), 0.5) > 0).view(-1, 4)
    patterns = (kept.long() * torch.tensor([1, 2, 4, 8])).sum(dim=1)
    shares = patterns.bincount(minlength=16) / len(patterns)
    assert (shares - 1 / 16).abs().max() < 5 * (1 / 16 * 15 / 16 / len(patterns)) ** 0.5


def test_nothing_and_everything() -> None:
    x = torch.randn(3, 7)
    assert dropped(x, 0.0) is x
    assert not dropped(x, 1.0).any()
    assert torch.equal(dropped(x, 1e-7), x)
    assert Dropout(0.5).eval()(x) is x


def test_the_gradient_meets_the_same_factors() -> None:
    x = torch.randn(50, 7, requires_grad=True)
    found = dropped(x, 0.3)
    found.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad * x, found)


def test_the_seed_fixes_it_and_views_are_taken() -> None:
    x = torch.randn(6, 4).T
    assert torch.equal(dropped(x, 0.5), dropped(x, 0.5))
    assert not torch.equal(dropped(x, 0.5), dropped(x, 0.5, seed=2))
    assert dropped(x.bfloat16(), 0.5).dtype == torch.bfloat16


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_no_probability(p: float) -> None:
    with pytest.raises(ValueError, match="not a probability"):
        Dropout(p)
