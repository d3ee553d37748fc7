"""The script that reckons what large jobs take: failures drawn by chance, and the parts of a step."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from types import ModuleType

import pytest

MEASURED = {
    "bytes_per_token": 5.0,
    "read": 2e6,
    "tokenize": 4e5,
    "batches": 1.8e6,
    "tag": 4e3,
    "tag_small": 4e4,
    "write": 5e5,
    "unpack": 1e6,
    "bytes_written_per_token": 10.0,
    "embed": 8e3,
    "dim": 256,
    "parameters": 1e7,
    "checkpoint_write": 1.0,
}


@pytest.fixture
def scale(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("scale")


def test_without_failures_only_checkpoints_add(scale: ModuleType) -> None:
    spent = scale.simulated(1000.0, 1e12, 100.0, 2.0, 50.0, random.Random(1))
    assert spent == pytest.approx(1000 + 10 * 2)


def test_failures_add_what_theory_says(scale: ModuleType) -> None:
    """With failures by chance, a part of x seconds takes (e^(x/m) - 1)·(m + restart) on average."""
    work, mtbf, interval, write, restart = 1e6, 5e3, 600.0, 10.0, 100.0
    spent = scale.simulated(work, mtbf, interval, write, restart, random.Random(1))
    of_a_part = (math.exp((interval + write) / mtbf) - 1) * (mtbf + restart)
    assert spent == pytest.approx(work / interval * of_a_part, rel=0.02)


def test_more_nodes_train_faster_until_reading_is_what_they_wait_for(scale: ModuleType) -> None:
    assumed = scale.Assumptions()
    rates = [scale.speed(nodes, MEASURED, assumed)["rate"] for nodes in (1, 2, 8, 64, 128)]
    assert rates == sorted(rates)
    assert rates[-1] <= MEASURED["batches"] * 1.001
    assert rates[0] <= 8 * assumed.gpu_rate


def test_the_tables_are_whole(scale: ModuleType) -> None:
    for text in [*scale.tagging(MEASURED), scale.pretraining(MEASURED), scale.failures(MEASURED)]:
        lines = text.splitlines()
        assert len(lines) >= 5
        assert len({line.count("|") for line in lines}) == 1
