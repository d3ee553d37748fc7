"""The learned mix of a biLM's layers: ``γ Σ_l softmax(w)_l h_l`` (Peters et al. 2018, equation 1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LAYER_NORM_EPSILON = 1e-13  # AllenNLP's


class ScalarMix(nn.Module):
    """Mix ``n_layers`` layers by softmax-normalised weights and a scale.

    The initial values, w = 0 and γ = 1, give the plain mean. With ``layer_norm`` each layer is first normalised by
    *one* mean and *one* variance over all real positions and coordinates of the batch, as the references do.
    """

    def __init__(self, n_layers: int, layer_norm: bool = False) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(n_layers))
        self.gamma = nn.Parameter(torch.ones(()))
        self.layer_norm = layer_norm

    def normalised_weights(self) -> Tensor:
        """softmax(w), ``(n_layers,)``: each layer's share."""
        return self.weights.softmax(0)

    def forward(self, layers: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix ``layers`` (n_layers, batch, time, dim) into (batch, time, dim).

        Args:
            mask: real positions ``(batch, time)``, bool; only layer normalisation looks at it.
        """
        if self.layer_norm:
            layers = torch.stack([normalise_layer(layer, mask) for layer in layers])
        mixed: Tensor = self.gamma * torch.tensordot(self.normalised_weights(), layers, dims=1)
        return mixed


def normalise_layer(layer: Tensor, mask: Tensor | None) -> Tensor:
    """``(x - mean) / sqrt(var + ε)`` of ``layer`` (batch, time, dim), the statistics taken over real positions."""
    real = layer if mask is None else layer[mask]
    variance = real.var(correction=0)
    return (layer - real.mean()) / torch.sqrt(variance + LAYER_NORM_EPSILON)
