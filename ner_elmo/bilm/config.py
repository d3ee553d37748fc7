"""The settings of a pretraining run: what decides its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ner_elmo.bilm.options import BilmOptions, parse_options


@dataclass(frozen=True)
class PretrainConfig:
    """Everything that decides the result. ``options`` is the dictionary of an ``options.json``.

    With ``carry_state`` a batch has ``batch_tokens // unroll_steps`` rows (:mod:`ner_elmo.bilm.running_text`).
    """

    corpus: list[str]
    options: dict[str, Any]
    heldout: str | None = None
    text: str = "tokenized"
    encoding: str = "utf-8"
    vocabulary: str | None = None
    vocabulary_size: int = 50_000
    min_count: int = 2
    init: str | None = None
    softmax: str = "auto"
    n_samples: int = 4096
    carry_state: bool = False
    unroll_steps: int = 20
    order: str = "shuffled"
    optimizer: str = "adam"
    weight_decay: float = 0.0
    learning_rate: float = 2e-3
    warmup_steps: int = 200
    decay_share: float = 0.4
    clip_norm: float = 1.0
    batch_tokens: int = 3072
    epochs: int = 10
    max_tokens: int | None = None
    heldout_tokens: int = 60_000
    evaluations: int = 10
    checkpoint_steps: int = 500
    seed: int = 1
    language: str | None = None
    licence: str | None = None

    @property
    def bilm_options(self) -> BilmOptions:
        return parse_options(self.options)
