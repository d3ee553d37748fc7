"""The optimizers of pretraining."""

from __future__ import annotations

import torch
from torch import nn

from ner_elmo.bilm.config import PretrainConfig

# Learning rate and most gradient norm of each, where none is asked for. ``adagrad`` has those of bilm-tf.
DEFAULTS = {"adam": (2e-3, 1.0), "adamw": (2e-3, 1.0), "adagrad": (0.2, 10.0)}
WEIGHT_DECAY = 0.01  # of ``adamw``, where none is asked for
BETAS = (0.9, 0.99)


def make_optimizer(config: PretrainConfig, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """``adam``; ``adamw``, the same with decoupled weight decay of the matrices (Loshchilov & Hutter 2019); or
    ``adagrad`` as bilm-tf has it: acc starts at 1, acc += g², p -= lr · g / √acc (docs/elmo-format.md §9)."""
    rate = config.learning_rate
    if config.optimizer == "adagrad":
        return torch.optim.Adagrad(parameters, lr=rate, initial_accumulator_value=1.0, eps=0.0)
    if config.optimizer == "adamw":
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=rate, betas=BETAS, fused=True)
    return torch.optim.Adam(parameters, lr=rate, betas=BETAS, fused=True)


def gradient_scale(config: PretrainConfig) -> float:
    """By what the loss is multiplied before it is differentiated: bilm-tf's unroll steps with ``adagrad``, whose
    starting accumulator and clip norm belong to gradients of that size."""
    return float(config.unroll_steps) if config.optimizer == "adagrad" else 1.0
