"""Small networks, made on the spot."""

from __future__ import annotations

import dataclasses

import pytest

from ner_elmo.bilm.options import BilmOptions
from tests.support.small_bilms import make_options


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
