"""The moving mean of the weights, beside one that is computed from all of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ner_elmo.tagger.training.averaging import EVERY, Average


def steps_of(model: nn.Linear, average: Average, n: int, steps_of_epoch: int) -> list[torch.Tensor]:
    """Random steps; the weights after each ``EVERY`` of them."""
    kept = []
    for step in range(1, n + 1):
        with torch.no_grad():
            model.weight.add_(torch.randn_like(model.weight))
        average.follow(model, steps_of_epoch)
        if step % EVERY == 0:
            kept.append(model.weight.detach().clone())
    return kept


def test_at_first_it_is_the_plain_mean() -> None:
    torch.manual_seed(1)
    model = nn.Linear(3, 2)
    average = Average(model, epochs=2.0)
    kept = steps_of(model, average, 40, steps_of_epoch=100)
    average.put_into(model)
    torch.testing.assert_close(model.weight.detach(), torch.stack(kept).mean(0))


def test_later_it_forgets_exponentially() -> None:
    torch.manual_seed(2)
    model = nn.Linear(3, 2)
    average = Average(model, epochs=1.0)
    kept = steps_of(model, average, 200, steps_of_epoch=40)
    expected = torch.zeros_like(kept[0])
    for number, weights in enumerate(kept, start=1):
        share = max(1 / number, EVERY / 40)
        expected = (1 - share) * expected + share * weights
    average.put_into(model)
    torch.testing.assert_close(model.weight.detach(), expected)


def test_it_goes_on_from_a_checkpoint() -> None:
    torch.manual_seed(3)
    model = nn.Linear(3, 2)
    average = Average(model, epochs=1.0)
    steps_of(model, average, 18, steps_of_epoch=40)
    other = Average(nn.Linear(3, 2), epochs=1.0)
    other.restore(average.as_dict())
    state = torch.get_rng_state()
    copy = nn.Linear(3, 2)
    copy.load_state_dict(model.state_dict())
    torch.set_rng_state(state)
    steps_of(model, average, 30, 40)
    torch.set_rng_state(state)
    steps_of(copy, other, 30, 40)
    assert average.steps == other.steps == 48
    torch.testing.assert_close(other.weights, average.weights, rtol=0, atol=0)


@pytest.mark.parametrize("epochs", [0.001, 5.0])
def test_whole_numbers_are_taken_as_they_are(epochs: float) -> None:
    model = nn.BatchNorm1d(2)
    average = Average(model, epochs)
    for _ in range(EVERY):
        model(torch.randn(4, 2))
        average.follow(model, 10)
    assert int(average.weights["num_batches_tracked"]) == EVERY
