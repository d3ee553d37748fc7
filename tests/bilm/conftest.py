"""Options of small networks, and a toy text to pretrain on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ner_elmo.bilm.options import BilmOptions
from tests.support.small_bilms import make_options
from tests.support.toy_pretraining import toy_text


@pytest.fixture(
    params=[
        {},
        {"cell_clip": 0.3, "proj_clip": 0.2},
        {"dim": 5},
        {"n_layers": 1},
        {"n_layers": 3, "use_skip_connections": False},
    ],
    ids=["plain", "clipped", "no-projection", "one-layer", "three-without-skips"],
)
def options(request: pytest.FixtureRequest) -> BilmOptions:
    return make_options(**request.param)


@pytest.fixture
def word_options() -> BilmOptions:
    return dataclasses.replace(make_options(), char_cnn=None)


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    path = tmp_path / "toy.txt"
    path.write_text("\n".join(" ".join(sentence) for sentence in toy_text(400, 1)) + "\n")
    return path
