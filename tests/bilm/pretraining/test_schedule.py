"""Learning rates by hand: the two schedules, the parts of the network, and when each begins to learn."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.schedule import (
    Place,
    describe_rates,
    learning_rate,
    learns_by_parts,
    parts_of_network,
    rate_factor,
)
from ner_elmo.bilm.softmax import Softmax, tie
from ner_elmo.bilm.token_encoder import WordTable
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


@pytest.mark.parametrize(
    ("step", "tokens", "expected"),
    [
        (0, 0, 0.01 / 4),  # the first of four steps to warm up
        (1, 100, 0.01 * 2 / 4),
        (3, 300, 0.01),
        (50, 5_000, 0.01),
        (60, 6_000, 0.01),  # 40 % are left: here the fall begins
        (80, 8_000, 0.01 / 2),
        (99, 9_900, 0.01 / 40),
        (100, 10_000, 0.0),
        (101, 10_050, 0.0),  # the last batch may go beyond
    ],
)
def test_the_linear_schedule_by_hand(step: int, tokens: int, expected: float) -> None:
    config = PretrainConfig(["x"], learning_rate=0.01, warmup_steps=4, decay_share=0.4, batch_tokens=100)
    assert learning_rate(config, Place(step, tokens, 10_000)) == pytest.approx(expected)


def test_short_runs_warm_up_for_a_tenth_of_their_steps_at_most() -> None:
    config = PretrainConfig(["x"], learning_rate=1.0, warmup_steps=200, decay_share=0.0, batch_tokens=100)
    assert learning_rate(config, Place(0, 0, 5_000)) == pytest.approx(1 / 5)  # 50 steps
    assert learning_rate(config, Place(4, 400, 5_000)) == 1.0
    assert learning_rate(config, Place(0, 0, 100)) == 1.0  # a single step
    assert learning_rate(config, Place(0, 0, 10**9)) == pytest.approx(1 / 200)
    never = dataclasses.replace(config, warmup_steps=0)
    assert learning_rate(never, Place(0, 0, 10**9)) == 1.0


@pytest.mark.parametrize(
    ("changes", "softmax_is_fresh", "expected"),
    [
        ({}, False, False),
        ({}, True, True),  # the new output layer comes first
        ({"softmax_steps": 0}, True, False),
        ({"softmax_steps": 3}, False, True),
        ({"unfreeze": 0.1}, False, True),
        ({"layer_decay": 1.3}, False, True),
        ({"schedule": "slanted"}, False, False),  # the same rate for all
    ],
)
def test_all_parts_learn_alike_unless_asked(changes: dict[str, Any], softmax_is_fresh: bool, expected: bool) -> None:
    assert learns_by_parts(PretrainConfig(["x"], init="parent", **changes), softmax_is_fresh) is expected


def test_a_table_that_is_the_output_layers_weights_learns_with_it() -> None:
    model = make_model(dataclasses.replace(make_options(), char_cnn=None), n_words=6)
    softmax = Softmax(6, 5)
    assert [part.name for part in parts_of_network(model, softmax)] == [
        "softmax",
        "layer 2",
        "layer 1",
        "token encoder",
    ]
    assert isinstance(model.token_encoder, WordTable)
    tie(softmax, model.token_encoder.embedding)
    parts = parts_of_network(model, softmax)
    assert [part.name for part in parts] == ["softmax", "layer 2", "layer 1"]
    assert [part.is_softmax for part in parts] == [True, False, False]
