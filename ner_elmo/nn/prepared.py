"""One direction of an LSTM layer as inference computes it, in the precision that was asked for."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ner_elmo.nn.bfloat16 import Bf16Weights, run_bf16
from ner_elmo.nn.cell import Arranged, Clips, State, Types
from ner_elmo.nn.compiled_int8 import CompiledInt8Weights, run_compiled_int8
from ner_elmo.nn.inference import run_one
from ner_elmo.nn.int8 import Int8Weights, run_int8


class Prepared:
    """The weights of one layer, arranged once and for all.

    Args:
        precision: ``fp32``, ``bf16``, ``int8`` or ``int8-compiled``.

    Raises:
        UsageError: there are no 8-bit products for this processor, or nothing to compile them.
    """

    def __init__(self, weights: Arranged, precision: str = "fp32") -> None:
        self._int8 = Int8Weights(weights) if precision == "int8" else None
        self._compiled = CompiledInt8Weights(weights) if precision == "int8-compiled" else None
        self._bf16 = Bf16Weights(weights) if precision == "bf16" else None
        self._arranged = weights if precision == "fp32" else None
        self._n_inputs = weights.n_inputs

    def run(
        self,
        x: Tensor,
        batch_sizes: Sequence[int],
        clips: Clips,
        state: State | None = None,
        types: Types | None = None,
    ) -> Tensor:
        """Packed inputs ``(positions, inputs)`` to outputs ``(positions, width)``; the state's c is overwritten
        (:func:`~ner_elmo.nn.inference.run_one`). The numbers that types have may be left out of ``x``."""
        if self._int8 is not None:
            return run_int8(x, batch_sizes, self._int8, clips, state, types)
        if self._compiled is not None:
            return run_compiled_int8(x, batch_sizes, self._compiled, clips, state, types)
        if self._bf16 is not None:
            if types is not None and x.shape[1] < self._n_inputs:
                x = types.behind(x)
            return run_bf16(x, batch_sizes, self._bf16, clips, state)
        assert self._arranged is not None
        if types is not None:
            x = x[:, : self._n_inputs - types.vectors.shape[1]]
        return run_one(x, batch_sizes, self._arranged, clips, state, types)
