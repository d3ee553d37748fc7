"""The optimizers of pretraining, told apart by what they do to weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ner_elmo.bilm.pretraining.trainer import new_trainer
from ner_elmo.text.counting import count_text
from ner_elmo.text.vocabulary import most_frequent
from tests.support.devices import CPU
from tests.support.toy_pretraining import make_config


def test_adamw_without_decay_is_adam_and_with_it_is_not(toy: Path) -> None:
    def weights(**changes: Any) -> torch.Tensor:
        config = make_config(toy, **changes)
        counts = count_text((toy,), "whitespace").counts
        trainer = new_trainer(config, most_frequent(counts, 50), counts, 10**6, CPU)
        for _ in range(3):
            trainer.train_on([["w1", "w4"], ["w3", "w10", "w5"]])
        return torch.cat([p.detach().flatten() for p in trainer.parameters()])

    plain = weights(optimizer="adam")
    assert torch.equal(weights(optimizer="adamw", weight_decay=0.0), plain)
    assert not torch.equal(weights(optimizer="adamw", weight_decay=0.5), plain)
