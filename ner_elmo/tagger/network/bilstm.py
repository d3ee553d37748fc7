"""Stacked bidirectional LSTMs (Graves and Schmidhuber 2005) over padded sentences, which never see the padding.

In training on a CPU both directions are one :class:`~ner_elmo.nn.bi_recurrence.BiRecurrence`: most of its products come
before and after the steps instead of within, padding is not computed, and what is given has no gradient; with products
in bfloat16 it is up to twice as fast (:mod:`ner_elmo.nn.precision`). On a GPU each direction is torch's own LSTM.

A tagger that only tags prepares its weights once, in the precision that was asked for, as a biLM does
(:mod:`ner_elmo.nn.prepared`); in bfloat16 for torch's own LSTM (:mod:`ner_elmo.nn.padded_lstm`) where a sentence alone
and in company is the same to the bit so.

Letters in shapes: ``batch`` sentences, ``time`` tokens, ``units`` LSTM units in each direction.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ner_elmo.nn.bi_recurrence import BiRecurrence
from ner_elmo.nn.cell import Clips, Types, Weights, arrange
from ner_elmo.nn.dropout import Dropout
from ner_elmo.nn.in_threads import at_once
from ner_elmo.nn.packing import packed
from ner_elmo.nn.padded_lstm import PaddedLstm, like_lengths, sums_alike, with_zeros
from ner_elmo.nn.prepared import Prepared

Layer = Callable[[Tensor, nn.LSTM, nn.LSTM], Tensor]

_UNCLIPPED = Clips(None, None)


class BiLstm(nn.Module):
    """Stacked bidirectional LSTMs.

    Each direction is an LSTM of its own, and the backward one reads sentences turned round within their own lengths.
    torch's own is given padded sentences: it is much faster so than on packed sequences.
    """

    def __init__(self, input_dim: int, hidden_dim: int, n_layers: int, dropout: float) -> None:
        super().__init__()
        dims = [input_dim] + [2 * hidden_dim] * (n_layers - 1)
        self.forwards = nn.ModuleList(nn.LSTM(dim, hidden_dim, batch_first=True) for dim in dims)
        self.backwards = nn.ModuleList(nn.LSTM(dim, hidden_dim, batch_first=True) for dim in dims)
        self.dropout = Dropout(dropout)
        self.n_units = hidden_dim
        # Forward and backward of each layer, for inference, by the numbers of an input
        self._prepared: dict[int, list[tuple[Prepared, Prepared]]] = {}
        self._padded: dict[int, list[tuple[PaddedLstm, PaddedLstm]]] = {}

    def prepare_for_inference(self, precision: str = "fp32", often_zero: slice | None = None, n_typed: int = 0) -> None:
        """Arrange the weights as inference on a CPU reads them, in ``fp32``, ``bf16`` or ``int8``, once and for all.

        Args:
            often_zero: columns of the input that :meth:`forward` may be spared where they are zeros
                (:meth:`spares`).
            n_typed: the last so many columns of the input may be those of types.

        Raises:
            UsageError: torch has no 8-bit products on this processor.
        """
        self._prepared, self._padded = {}, {}
        with torch.no_grad():
            layers = [
                (_weights(ahead), _weights(back)) for ahead, back in zip(self.forwards, self.backwards, strict=True)
            ]
            firsts = [layers[0]]
            if often_zero is not None:
                firsts.append((_without(layers[0][0], often_zero), _without(layers[0][1], often_zero)))
            padded = precision == "bf16" and all(_sums_alike(lstm) for lstm in self.forwards)
            for first in firsts:
                pairs = [first, *layers[1:]]
                n_inputs = len(first[0].kernel) - first[0].width - 1
                if padded:
                    self._padded[n_inputs] = [(PaddedLstm(ahead), PaddedLstm(back)) for ahead, back in pairs]
                else:
                    typed = [n_typed] + [0] * len(layers[1:])
                    self._prepared[n_inputs] = [
                        (Prepared(arrange(ahead, n), precision), Prepared(arrange(back, n), precision))
                        for (ahead, back), n in zip(pairs, typed, strict=True)
                    ]

    def forget_prepared(self) -> None:
        """Compute in float32 again, with the weights as they are."""
        self._prepared, self._padded = {}, {}

    def spares(self, n_inputs: int) -> bool:
        """Whether inputs may be of so many numbers, those left out that are often zero."""
        return n_inputs in {*self._padded, *self._prepared} and not torch.is_grad_enabled()

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        in_bfloat16: bool = False,
        given: slice | None = None,
        types: Types | None = None,
    ) -> Tensor:
        """``(batch, time, dim)`` → ``(batch, time, 2 · units)``; mask ``(batch, time)`` bool, True = real.

        Args:
            given: columns of ``x`` that nothing learned stands before; on a CPU they are spared their gradient.
            types: further columns, behind those of ``x``; ``which`` is ``(batch, time)``.
        """
        if self._prepared and not torch.is_grad_enabled():
            return self._inferred(x, mask, types)
        if types is not None:
            x = torch.cat([x, functional.embedding(types.which, types.vectors)], dim=2)
        if self._padded and not torch.is_grad_enabled():
            return self._inferred_padded(x, mask)
        trains_on_cpu = torch.is_grad_enabled() and x.device.type == "cpu"
        if in_bfloat16 or trains_on_cpu:
            layer = self._together(mask, torch.bfloat16 if in_bfloat16 else x.dtype, given)
        else:
            layer = self._by_torch(mask)
        for number, (ahead, back) in enumerate(zip(self.forwards, self.backwards, strict=True)):
            assert isinstance(ahead, nn.LSTM)
            assert isinstance(back, nn.LSTM)
            x = layer(self.dropout(x) if number else x, ahead, back)
        return x

    def _inferred(self, x: Tensor, mask: Tensor, types: Types | None) -> Tensor:
        layers = self._prepared[x.shape[2] + (0 if types is None else types.vectors.shape[1])]
        packing = packed(mask)
        orders = packing.ahead, packing.back
        of_ahead, of_back = (types and Types(types.vectors, types.which.flatten()[order]) for order in orders)
        padded, outputs = x.flatten(0, 1), x.new_zeros(mask.numel(), 2 * self.n_units)
        for ahead, back in layers:
            # (positions, dim), each direction in its own order
            forward, backward = (padded.index_select(0, order) for order in orders)
            both = at_once(_run(ahead, forward, packing.sizes, of_ahead), _run(back, backward, packing.sizes, of_back))
            for half, order, output in zip(outputs.chunk(2, dim=1), orders, both, strict=True):
                half.index_copy_(0, order, output)
            padded, of_ahead, of_back = outputs, None, None
        return outputs.view(*mask.shape, -1)

    def _inferred_padded(self, x: Tensor, mask: Tensor) -> Tensor:
        n_rows, time = mask.shape
        rows, turned = torch.arange(n_rows).unsqueeze(0) * time, _turned(mask).T
        groups = like_lengths(mask.sum(dim=1).tolist())
        # Of each group the places in the batch, step by step, in either direction
        ahead = [rows[:, group] + torch.arange(width).unsqueeze(1) for group, width in groups]
        back = [rows[:, group] + turned[:width, group] for group, width in groups]
        for one, other in self._padded[x.shape[2]]:
            inputs = with_zeros(x.flatten(0, 1), one.n_terms)
            outputs = x.new_zeros(n_rows * time, 2 * self.n_units)
            of_one, of_other = outputs.chunk(2, dim=1)
            at_once(_run_padded(one, inputs, ahead, of_one), _run_padded(other, inputs, back, of_other))
            x = outputs.view(n_rows, time, -1)
        x[~mask] = 0
        return x

    def _by_torch(self, mask: Tensor) -> Layer:
        turned = _turned(mask).unsqueeze(2)

        def layer(x: Tensor, ahead: nn.LSTM, back: nn.LSTM) -> Tensor:
            backward, _ = back(x.gather(1, turned.expand_as(x)))
            return torch.cat([ahead(x)[0], backward.gather(1, turned.expand_as(backward))], dim=2)

        return layer

    def _together(self, mask: Tensor, dtype: torch.dtype, given: slice | None) -> Layer:
        packing = packed(mask)

        def layer(x: Tensor, ahead: nn.LSTM, back: nn.LSTM) -> Tensor:
            weights = [*joined_weights(ahead), *joined_weights(back)]
            of_layer = given if ahead is self.forwards[0] else None
            return BiRecurrence.apply(x, packing, dtype, of_layer, *weights)  # type: ignore[no-any-return]

        return layer


def _turned(mask: Tensor) -> Tensor:
    """For each token the place of its opposite in its sentence, and padding where it is: ``(batch, time)``, its own
    inverse."""
    lengths, steps = mask.sum(dim=1, keepdim=True), torch.arange(mask.shape[1], device=mask.device)
    return torch.where(mask, lengths - 1 - steps, steps)


def _run_padded(layer: PaddedLstm, inputs: Tensor, groups: list[Tensor], outputs: Tensor) -> Callable[[], None]:
    def run() -> None:
        for places in groups:
            y = layer.run(inputs.index_select(0, places.flatten()).view(*places.shape, -1))
            outputs.index_copy_(0, places.flatten(), y.flatten(0, 1).to(outputs.dtype))

    return run


def _sums_alike(lstm: nn.Module) -> bool:
    assert isinstance(lstm, nn.LSTM)
    return sums_alike(lstm.input_size, lstm.hidden_size)


def _run(layer: Prepared, x: Tensor, sizes: list[int], types: Types | None) -> Callable[[], Tensor]:
    return lambda: layer.run(x, sizes, _UNCLIPPED, types=types)


def _without(weights: Weights, columns: slice) -> Weights:
    """The weights for inputs without some columns."""
    kernel = weights.kernel
    return Weights(torch.cat([kernel[: columns.start], kernel[columns.stop :]]), None)


def _weights(lstm: nn.Module) -> Weights:
    assert isinstance(lstm, nn.LSTM)
    of_input, of_state, bias = joined_weights(lstm)
    return Weights(torch.cat([of_input.T, of_state.T, bias.unsqueeze(0)]), None)


def joined_weights(lstm: nn.LSTM) -> tuple[Tensor, Tensor, Tensor]:
    """Of one layer: to the gates from the input ``(4 · units, dim)`` and from the state ``(4 · units, units)``, and the
    sum of torch's two biases ``(4 · units,)``."""
    of_input, of_state, input_bias, state_bias = lstm.all_weights[0]
    return of_input, of_state, input_bias + state_bias
