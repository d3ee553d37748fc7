"""The optimizers of pretraining."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ner_elmo.bilm.pretraining.config import PretrainConfig

BETAS = (0.9, 0.99)


def make_optimizer(config: PretrainConfig, parts: list[list[nn.Parameter]]) -> torch.optim.Optimizer:
    """``adam``; ``adamw``, the same with decoupled weight decay of the matrices (Loshchilov & Hutter 2019); or
    ``adagrad`` as bilm-tf has it: acc starts at 1, acc += g², p -= lr · g / √acc (docs/elmo-format.md §9).

    Each group of parameters has the number of its part of ``parts`` as ``part``."""
    rate = config.learning_rate
    groups: list[dict[str, Any]] = [{"params": parameters, "part": number} for number, parameters in enumerate(parts)]
    if config.optimizer == "adagrad":
        return torch.optim.Adagrad(groups, lr=rate, initial_accumulator_value=1.0, eps=0.0)
    if config.optimizer == "adamw":
        matrices = [
            {**group, "params": [p for p in group["params"] if p.ndim > 1], "weight_decay": config.weight_decay}
            for group in groups
        ]
        vectors = [
            {**group, "params": [p for p in group["params"] if p.ndim <= 1], "weight_decay": 0.0} for group in groups
        ]
        return torch.optim.AdamW(
            [group for group in matrices + vectors if group["params"]], lr=rate, betas=BETAS, fused=True
        )
    return torch.optim.Adam(groups, lr=rate, betas=BETAS, fused=True)


def gradient_scale(config: PretrainConfig) -> float:
    """By what the loss is multiplied before it is differentiated: bilm-tf's unroll steps with ``adagrad``, whose
    starting accumulator and clip norm belong to gradients of that size."""
    return float(config.unroll_steps) if config.optimizer == "adagrad" else 1.0
