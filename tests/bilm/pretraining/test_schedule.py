"""Learning rates: the slanted triangle, and parts that join from the top down."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.schedule import Place, describe_rates, learning_rate, parts_of_network, rate_factor
from ner_elmo.bilm.softmax import Softmax
from tests.support.small_bilms import make_model, make_options


def test_the_slanted_triangle_is_that_of_the_paper() -> None:
    total, cut = 4000, 400
    config = PretrainConfig(["x"], schedule="slanted", learning_rate=0.01)
    for t in (0, 1, 399, 400, 401, 2000, 4000):
        p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / 0.1 - 1))  # Howard & Ruder 2018, eq. 3
        assert learning_rate(config, Place(7, t, total)) == pytest.approx(0.01 * (1 + p * 31) / 32)
    assert learning_rate(config, Place(7, total + 5, total)) == pytest.approx(0.01 / 32)


def test_parts_join_from_the_top_down_and_warm_up() -> None:
    model, softmax = make_model(make_options()), Softmax(6, 5)
    parts = parts_of_network(model, softmax)
    assert [(part.name, part.depth) for part in parts] == [
        ("softmax", 0),
        ("layer 2", 0),
        ("layer 1", 1),
        ("token encoder", 2),
    ]
    learned = [p for module in (model, softmax) for p in module.parameters() if p.requires_grad]
    assert sorted(id(p) for part in parts for p in part.parameters) == sorted(map(id, learned))
    config = PretrainConfig(["x"], init="parent", layer_decay=2.0, unfreeze=0.5, batch_tokens=100, warmup_steps=4)

    def factors(tokens: int, step: int = 0, fresh: bool = False, **changes: Any) -> list[float]:
        place = Place(step, tokens, 10_000)
        return [rate_factor(dataclasses.replace(config, **changes), part, place, fresh) for part in parts]

    assert factors(0) == factors(2499) == [1, 1, 0, 0]
    assert factors(2500) == [1, 1, 0.5 / 4, 0]
    assert factors(2700) == pytest.approx([1, 1, 0.5 * 3 / 4, 0])
    assert factors(5300) == [1, 1, 0.5, 0.25]
    assert factors(0, fresh=True) == factors(499, fresh=True) == [1, 0, 0, 0]
    assert factors(500, fresh=True) == [1, 1 / 4, 0, 0]
    assert factors(0, fresh=True, softmax_steps=0) == [1, 1, 0, 0]
    assert factors(9000, step=19, softmax_steps=20) == [1, 0, 0, 0]
    assert factors(9000, step=20, softmax_steps=20) == [1, 1 / 4, 0.5 / 4, 0.25 / 4]
    assert factors(0, unfreeze=0.0) == [1, 1, 0.5, 0.25]
    assert describe_rates(config, parts, 10_000, False) == (
        "learning rates: softmax 0.002, layer 2 0.002, layer 1 0.001 from 2,500 tokens on, "
        "token encoder 0.0005 from 5,000 tokens on"
    )
