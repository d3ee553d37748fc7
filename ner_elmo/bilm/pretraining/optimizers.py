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
    groups: list[dict[str, Any]] = [{"params": parameters, "part": number} for number, parameters in enumerate(parts)]
    return MAKERS[config.optimizer](groups, config)


def _adam(groups: list[dict[str, Any]], config: PretrainConfig) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=config.learning_rate, betas=BETAS, fused=True)


def _adamw(groups: list[dict[str, Any]], config: PretrainConfig) -> torch.optim.Optimizer:
    matrices = [
        {**group, "params": [p for p in group["params"] if p.ndim > 1], "weight_decay": config.weight_decay}
        for group in groups
    ]
    vectors = [
        {**group, "params": [p for p in group["params"] if p.ndim <= 1], "weight_decay": 0.0} for group in groups
    ]
    filled = [group for group in matrices + vectors if group["params"]]
    return torch.optim.AdamW(filled, lr=config.learning_rate, betas=BETAS, fused=True)


def _adagrad(groups: list[dict[str, Any]], config: PretrainConfig) -> torch.optim.Optimizer:
    return torch.optim.Adagrad(groups, lr=config.learning_rate, initial_accumulator_value=1.0, eps=0.0)


# What makes each of :data:`ner_elmo.bilm.pretraining.config.OPTIMIZERS`.
MAKERS = {"adam": _adam, "adamw": _adamw, "adagrad": _adagrad}


def gradient_scale(config: PretrainConfig) -> float:
    """By what the loss is multiplied before it is differentiated: bilm-tf's unroll steps with ``adagrad``, whose
    starting accumulator and clip norm belong to gradients of that size."""
    return float(config.unroll_steps) if config.optimizer == "adagrad" else 1.0
