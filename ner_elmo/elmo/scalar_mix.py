"""The learned mix of a biLM's layers: ``γ Σ_l softmax(w)_l h_l`` (Peters et al. 2018, equation 1)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

LAYER_NORM_EPSILON = 1e-13  # AllenNLP's
MIXED_ROWS = 256  # positions at a time, which fit a core's own cache


class ScalarMix(nn.Module):
    """Mix ``n_layers`` layers by softmax-normalised weights and a scale.

    The initial values, w = 0 and γ = 1, give the plain mean. With ``layer_norm`` each layer is first normalised by
    *one* mean and *one* variance over all real positions and coordinates of the batch, as the references do; or of
    each sentence by itself (what they do with a batch of one), so that nothing depends on a sentence's neighbours.

    Args:
        layer_norm: whether to normalise, and what the statistics are of; True is ``"batch"``.
        gamma: whether there is a learned scale.
    """

    def __init__(
        self, n_layers: int, layer_norm: bool | Literal["batch", "sentence"] = False, gamma: bool = True
    ) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(n_layers))
        self.gamma = nn.Parameter(torch.ones(())) if gamma else None
        self.layer_norm = layer_norm

    def normalised_weights(self) -> Tensor:
        """softmax(w), ``(n_layers,)``: each layer's share."""
        return self.weights.softmax(0)

    def forward(self, layers: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix ``layers`` (n_layers, batch, time, dim), of any floating-point type, into (batch, time, dim) float32.

        Args:
            mask: real positions ``(batch, time)``, bool; only layer normalisation looks at it.
        """
        if self.layer_norm:
            normalise = normalise_sentences if self.layer_norm == "sentence" else normalise_layer
            layers = torch.stack([normalise(layer.float(), mask) for layer in layers])
        if torch.is_grad_enabled():
            mixed: Tensor = torch.tensordot(self.normalised_weights(), layers.float(), dims=1)
            return mixed if self.gamma is None else self.gamma * mixed
        return self._mixed(layers)

    def _mixed(self, layers: Tensor) -> Tensor:
        """Number by number, so that the size of the batch does not change how they are added up."""
        weights = self.normalised_weights()
        rows = layers.flatten(1, -2)  # (n_layers, positions, dim)
        mixed = rows.new_empty(rows.shape[1:], dtype=torch.float32)
        for part, here in zip(mixed.split(MIXED_ROWS), rows.split(MIXED_ROWS, dim=1), strict=True):
            torch.mul(here[0].float(), weights[0], out=part)
            for layer, weight in zip(here[1:], weights[1:], strict=True):
                part += layer.float() * weight
            if self.gamma is not None:
                part *= self.gamma
        return mixed.view(layers.shape[1:])


def normalise_layer(layer: Tensor, mask: Tensor | None) -> Tensor:
    """``(x - mean) / sqrt(var + ε)`` of ``layer`` (batch, time, dim), the statistics taken over real positions."""
    real = layer if mask is None else layer[mask]
    variance = real.var(correction=0)
    return (layer - real.mean()) / torch.sqrt(variance + LAYER_NORM_EPSILON)


def normalise_sentences(layer: Tensor, mask: Tensor | None) -> Tensor:
    """As :func:`normalise_layer`, but each sentence of ``layer`` (batch, time, dim) by its own statistics."""
    real = layer.new_ones(layer.shape[:2]) if mask is None else mask.to(layer.dtype)
    weights = real.unsqueeze(2)  # (batch, time, 1)
    n_numbers = (weights.sum(dim=(1, 2), keepdim=True) * layer.shape[2]).clamp(min=1)
    mean = (layer * weights).sum(dim=(1, 2), keepdim=True) / n_numbers
    variance = ((layer - mean) ** 2 * weights).sum(dim=(1, 2), keepdim=True) / n_numbers
    return (layer - mean) / torch.sqrt(variance + LAYER_NORM_EPSILON)
