"""The optimizers' steps by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.optimizers import gradient_scale, make_optimizer
from ner_elmo.bilm.pretraining.trainer import new_trainer
from ner_elmo.text.counting import count_text
from ner_elmo.text.vocabulary import most_frequent
from tests.support.devices import CPU
from tests.support.toy_pretraining import make_config


def after_steps(gradients: list[float], value: float = 1.0, matrix: bool = True, **changes: Any) -> float:
    """A weight after steps with these gradients."""
    weight = nn.Parameter(torch.full((1, 1) if matrix else (1,), value))
    optimizer = make_optimizer(PretrainConfig(["x"], **changes), [[weight]])
    for gradient in gradients:
        weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
    return weight.item()


def test_adagrads_first_steps_are_bilm_tfs() -> None:
    # acc = 1 + 3², then + 4²; no epsilon
    assert after_steps([3.0], optimizer="adagrad", learning_rate=0.2) == pytest.approx(1 - 0.2 * 3 / math.sqrt(10))
    expected = 1 - 0.2 * 3 / math.sqrt(10) - 0.2 * 4 / math.sqrt(26)
    assert after_steps([3.0, 4.0], optimizer="adagrad", learning_rate=0.2) == pytest.approx(expected)
    assert after_steps([0.0], optimizer="adagrad", learning_rate=0.2) == 1.0


def test_adams_first_steps_by_hand() -> None:
    assert after_steps([5.0], learning_rate=0.1) == pytest.approx(0.9)  # as long as the rate, whatever the gradient
    assert after_steps([-0.01], learning_rate=0.1) == pytest.approx(1.1, abs=1e-5)
    first, second = 0.9, 0.99
    mean = (first * (1 - first) * 2 + (1 - first) * 1) / (1 - first**2)
    square = (second * (1 - second) * 4 + (1 - second) * 1) / (1 - second**2)
    expected = 0.9 - 0.1 * mean / math.sqrt(square)
    assert after_steps([2.0, 1.0], learning_rate=0.1) == pytest.approx(expected)


def test_adamw_shrinks_matrices_alone() -> None:
    settings = {"optimizer": "adamw", "learning_rate": 0.1, "weight_decay": 0.5}
    assert after_steps([0.0], value=2.0, **settings) == pytest.approx(2 * (1 - 0.1 * 0.5))
    assert after_steps([0.0], value=2.0, matrix=False, **settings) == 2.0
    assert after_steps([1.0], value=2.0, **settings) == pytest.approx(2 * (1 - 0.1 * 0.5) - 0.1)


def network() -> list[list[nn.Parameter]]:
    generator = torch.Generator().manual_seed(2)
    shapes = [[(3, 4), (4,)], [(2, 2)], [(5,)]]
    return [[nn.Parameter(torch.randn(shape, generator=generator)) for shape in part] for part in shapes]


def trained(**changes: Any) -> Tensor:
    parts = network()
    optimizer = make_optimizer(PretrainConfig(["x"], learning_rate=0.01, **changes), parts)
    generator = torch.Generator().manual_seed(3)
    for _ in range(5):
        for parameter in (parameter for part in parts for parameter in part):
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()
    return torch.cat([parameter.detach().flatten() for part in parts for parameter in part])


def test_without_decay_adamw_is_adam_to_the_bit() -> None:
    adam = trained(optimizer="adam")
    assert torch.equal(trained(optimizer="adamw", weight_decay=0.0), adam)
    assert not torch.equal(trained(optimizer="adamw", weight_decay=0.5), adam)
    assert not torch.equal(trained(optimizer="adagrad"), adam)


@pytest.mark.parametrize(("optimizer", "parts"), [("adam", [0, 1, 2]), ("adagrad", [0, 1, 2]), ("adamw", [0, 1, 0, 2])])
def test_groups_know_their_part(optimizer: str, parts: list[int]) -> None:
    config = PretrainConfig(["x"], optimizer=optimizer)
    groups = make_optimizer(config, network()).param_groups
    assert [group["part"] for group in groups] == parts  # adamw: matrices first, then vectors, none of them empty
    if optimizer == "adamw":
        assert [group["weight_decay"] for group in groups] == [0.01, 0.01, 0.0, 0.0]


def test_adagrads_gradients_are_of_bilm_tfs_size() -> None:
    assert gradient_scale(PretrainConfig(["x"], optimizer="adagrad", unroll_steps=20)) == 20.0
    assert gradient_scale(PretrainConfig(["x"], optimizer="adam", unroll_steps=20)) == 1.0


def test_a_run_with_adamw_without_decay_is_one_with_adam(toy: Path) -> None:
    def weights(**changes: Any) -> torch.Tensor:
        config = make_config(toy, **changes)
        counts = count_text((toy,), "whitespace").counts
        trainer = new_trainer(config, most_frequent(counts, 50), counts, 10**6, CPU)
        for _ in range(3):
            trainer.train_on([["w1", "w4"], ["w3", "w10", "w5"]])
        return torch.cat([p.detach().flatten() for p in trainer.learner.parameters()])

    plain = weights(optimizer="adam")
    assert torch.equal(weights(optimizer="adamw", weight_decay=0.0), plain)
    assert not torch.equal(weights(optimizer="adamw", weight_decay=0.5), plain)
