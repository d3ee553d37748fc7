"""Slow, obvious twins of what the package does fast; tests hold the one to the other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Array = np.ndarray


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def lstm_step(
    x: Array,
    h: Array,
    c: Array,
    w: Array,
    b: Array,
    w_p: Array | None,
    cell_clip: float | None,
    proj_clip: float | None,
) -> tuple[Array, Array]:
    """One step of the published cell, on arrays as the weight file holds them (gates i, j, f, o)."""
    i, j, f, o = np.split(np.concatenate([x, h]) @ w + b, 4)
    c = sigmoid(f + 1.0) * c + sigmoid(i) * np.tanh(j)
    if cell_clip is not None:
        c = np.clip(c, -cell_clip, cell_clip)
    m = sigmoid(o) * np.tanh(c)
    if w_p is not None:
        m = m @ w_p
        if proj_clip is not None:
            m = np.clip(m, -proj_clip, proj_clip)
    return m, c


def token_vector(
    row: Sequence[int], weights: dict[str, Array], filters: Sequence[tuple[int, int]], activation: str, n_highway: int
) -> Array:
    """The character CNN of one token, window by window, padding and all."""
    embedded = weights["char_embed"][list(row)]
    features: list[float] = []
    for i, (width, count) in enumerate(filters):
        kernel, bias = weights[f"CNN/W_cnn_{i}"][0], weights[f"CNN/b_cnn_{i}"]
        for k in range(count):
            best = max(float((embedded[at : at + width] * kernel[:, :, k]).sum()) for at in range(len(row) - width + 1))
            value = best + float(bias[k])
            features.append(max(value, 0.0) if activation == "relu" else math.tanh(value))
    x = np.array(features)
    for k in range(n_highway):
        group = f"CNN_high_{k}"
        gate = sigmoid(x @ weights[f"{group}/W_carry"] + weights[f"{group}/b_carry"])
        x = gate * np.maximum(x @ weights[f"{group}/W_transform"] + weights[f"{group}/b_transform"], 0) + (1 - gate) * x
    if "CNN_proj/W_proj" in weights:
        x = x @ weights["CNN_proj/W_proj"] + weights["CNN_proj/b_proj"]
    return x


def direction_layers(
    vectors: Sequence[Array],
    weights: dict[str, Array],
    direction: int,
    n_layers: int,
    clips: tuple[float | None, float | None],
    skip: bool,
) -> list[list[Array]]:
    """Outputs of each layer of one direction, in the order of reading, from the zero state."""
    inputs, layers = list(vectors), []
    for layer in range(n_layers):
        group = f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell"
        w, b, w_p = weights[f"{group}/W_0"], weights[f"{group}/B"], weights.get(f"{group}/W_P_0")
        h, c = np.zeros(len(w) - len(inputs[0])), np.zeros(len(b) // 4)
        outputs = []
        for x in inputs:
            h, c = lstm_step(x, h, c, w, b, w_p, *clips)
            outputs.append(h + x if skip and layer > 0 else h)
        layers.append(outputs)
        inputs = outputs
    return layers


def log_softmax(logits: Array) -> Array:
    return logits - logits.max() - math.log(np.exp(logits - logits.max()).sum())
