"""The moving mean of a network's weights: what it would be after training on, with steps that get ever smaller.

Polyak & Juditsky 1992; as an exponential mean, Tarvainen & Valpola 2017 (equation 1 there, their teacher).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

EVERY = 4  # steps; the mean over hundreds of them hardly sees the difference, and its passes over memory cost less


class Average:
    """After each ``EVERY`` steps mean ← mean + (weights − mean) · share, the share ``EVERY`` / (steps of the epochs).

    At first, while there have been fewer steps than that, it is the plain mean of all that there have been.

    Args:
        epochs: over how many the mean reaches.
    """

    def __init__(self, model: nn.Module, epochs: float) -> None:
        self.epochs = epochs
        self.steps = 0
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    def follow(self, model: nn.Module, steps_of_epoch: int) -> None:
        """Take in the weights after a step of an epoch that has so many."""
        self.steps += 1
        if self.steps % EVERY:
            return
        share = max(EVERY / max(1.0, self.epochs * steps_of_epoch), EVERY / self.steps)
        means: list[Tensor] = []
        news: list[Tensor] = []
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                means.append(self.weights[name])
                news.append(value.detach())
            else:
                self.weights[name].copy_(value)
        torch._foreach_lerp_(means, news, min(1.0, share))

    def put_into(self, model: nn.Module) -> None:
        """Give the model the mean."""
        model.load_state_dict(self.weights)

    def as_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"steps": self.steps, "weights": self.weights}

    def restore(self, saved: dict[str, Any]) -> None:
        """Go back to where ``saved`` (from :meth:`as_dict`) was."""
        self.steps = saved["steps"]
        for name, value in saved["weights"].items():
            self.weights[name].copy_(value)
