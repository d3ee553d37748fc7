"""A step of training in bfloat16 beside the one in float32."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ner_elmo.bilm.options import options_to_json, size
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.trainer import Trainer, new_trainer
from ner_elmo.text.vocabulary import SPECIALS, Vocabulary
from tests.support.devices import CPU

WORDS = [f"word{n}" for n in range(60)]


def trainer_in(numbers: str, clip: float | None = None) -> Trainer:
    options = options_to_json(size("tiny"))
    options["lstm"] |= {"cell_clip": clip, "proj_clip": clip}
    config = PretrainConfig(
        corpus=["x"], options=options, dropout=0.0, softmax="sampled", n_samples=16, precision=numbers
    )
    config = replace(config, options={**options, "dropout": 0.0})
    return new_trainer(config, Vocabulary([*SPECIALS, *WORDS]), None, 10_000, CPU)


@pytest.mark.parametrize("clip", [None, 3.0])
def test_a_step_in_bfloat16_is_nearly_the_one_in_float32(clip: float | None) -> None:
    sentences = [WORDS[n : n + 7] for n in range(0, 50, 5)]
    exact, mixed = trainer_in("fp32", clip), trainer_in("bf16", clip)
    for _ in range(3):
        step, nearly = exact.train_on(sentences), mixed.train_on(sentences)
        assert nearly.finite
        assert nearly.forward == pytest.approx(step.forward, rel=5e-3)
        assert nearly.backward == pytest.approx(step.backward, rel=5e-3)
        assert nearly.forward != step.forward  # it is another arithmetic
    assert all(parameter.dtype == torch.float32 for parameter in mixed.learner.parameters())
