"""torch's own LSTM without projection or clips, in bfloat16, for inference on a CPU: over padded sentences.

oneDNN, where torch has it, computes a layer in one call, the gates of a step while they are at hand: three times as
fast as products and passes one by one. Its sums do not depend on the number of rows if their terms are a multiple of
``TERMS`` (seen on a processor with AMX). Whether that holds on this machine is tried once for each shape
(:func:`sums_alike`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from ner_elmo.nn.cell import Weights
from ner_elmo.nn.ordered_matrix import TERMS
from ner_elmo.nn.thread_count import threads_for_now

# Of many rows, a multiple of so many is computed in less time than a few rows less.
ROWS = 16
# Of rows that are computed together: the least part of the greatest length, if there are not but few; and their places.
LIKE = 0.9
FEW_ROWS = 32
POSITIONS = 2048


class PaddedLstm:
    """One direction of a layer.

    Attributes:
        n_inputs: the numbers of an input; :meth:`run` takes so many more zeros as make it a multiple of ``TERMS``.
        n_terms: those together.
    """

    def __init__(self, weights: Weights) -> None:
        self.n_inputs = len(weights.kernel) - weights.width - 1
        self.n_terms = self.n_inputs + -self.n_inputs % TERMS
        of_input, of_state, bias = weights.kernel.split([self.n_inputs, weights.width, 1])
        of_input = functional.pad(of_input.T, (0, self.n_terms - self.n_inputs))
        # As torch has them, with two biases
        parts = (of_input, of_state.T, bias[0], torch.zeros_like(bias[0]))
        self._weights = [part.bfloat16().contiguous() for part in parts]

    def run(self, x: Tensor) -> Tensor:
        """Inputs ``(time, rows, n_terms)`` in bfloat16, from the zero state, to outputs ``(time, rows, units)``, in one
        thread: several would divide the sums."""
        n_rows = x.shape[1]
        added = -n_rows % ROWS if n_rows > ROWS else 0
        if added:
            x = functional.pad(x, (0, 0, 0, added))
        zeros = x.new_zeros(1, n_rows + added, self._weights[1].shape[1])
        with threads_for_now(1):
            y = torch.lstm(x, (zeros, zeros), self._weights, True, 1, 0.0, False, False, False)[0]
        return y[:, :n_rows]


def with_zeros(x: Tensor, n_terms: int) -> Tensor:
    """``x`` (rows, n) in bfloat16, with zeros behind: ``(rows, n_terms)``."""
    wide = x.new_empty(len(x), n_terms, dtype=torch.bfloat16)
    wide[:, : x.shape[1]] = x
    wide[:, x.shape[1] :] = 0
    return wide


def like_lengths(lengths: Sequence[int]) -> list[tuple[list[int], int]]:
    """Rows in groups that are computed together, and the greatest length of each: lengths so much alike that little is
    computed for nothing, unless a group would be of few rows; empty rows are left out."""
    groups: list[tuple[list[int], int]] = []
    for row in sorted((row for row, length in enumerate(lengths) if length), key=lambda row: -lengths[row]):
        if groups:
            group, width = groups[-1]
            is_like = lengths[row] >= LIKE * width or len(group) < FEW_ROWS
            if is_like and (len(group) + 1) * width <= POSITIONS:
                group.append(row)
                continue
        groups.append(([row], lengths[row]))
    return groups


@cache
def sums_alike(n_inputs: int, n_units: int) -> bool:
    """Whether rows of this machine's LSTM of that shape are the same to the bit alone and in company, as far as some
    rows and lengths show."""
    if not torch.backends.mkldnn.is_available() or not torch.backends.mkldnn.enabled:
        return False
    with torch.inference_mode():
        kernel = _any_numbers(n_inputs + n_units + 1, 4 * n_units) / n_units**0.5
        lstm = PaddedLstm(Weights(kernel, None))
        x = _any_numbers(3 * 24, lstm.n_terms).view(3, 24, -1).bfloat16()
        x[..., n_inputs:] = 0
        together = lstm.run(x)
        tried = ((1, 3), (2, 1), (5, 3), (17, 2))
        return all(
            torch.equal(lstm.run(x[:steps, :rows].contiguous()), together[:steps, :rows]) for rows, steps in tried
        )


def _any_numbers(n_rows: int, n: int) -> Tensor:
    """From -1 to 1, the same each time, whatever the program draws at random."""
    return torch.sin(torch.arange(n_rows * n) ** 2 % 9973.0).view(n_rows, n)
