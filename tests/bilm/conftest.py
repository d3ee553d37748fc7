"""Small networks, made on the spot."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from ner_elmo.bilm.model import BiLm
from ner_elmo.bilm.options import BilmOptions, CharCnnOptions, LstmOptions


def make_options(**lstm: object) -> BilmOptions:
    shape = {"dim": 7, "projection_dim": 5, "n_layers": 2} | lstm
    return BilmOptions(
        lstm=LstmOptions(**shape),  # type: ignore[arg-type]
        char_cnn=CharCnnOptions(filters=((1, 3), (3, 4)), embedding_dim=2, max_characters_per_token=12),
        dropout=0.0,
    )


def make_model(options: BilmOptions, seed: int = 0, n_words: int | None = None) -> BiLm:
    torch.manual_seed(seed)
    model = BiLm(options, n_words)
    model.reset_parameters()
    with torch.no_grad():  # initial biases are zero and would hide mistakes
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return model.eval()


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
