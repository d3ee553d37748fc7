"""One direction of the biLM: stacked LSTMs with a recurrent projection, clips and residuals.

docs/elmo-format.md §5, steps 6 and 7; Sak et al. 2014 (LSTM with projection); Peters et al. 2018 §3.1. For the input
x_t and the state (c, h):

    i, f, j, o = W_ih x_t + W_hh h + B          f gets a forget bias of 1
    c = clip(σ(f) c + σ(i) tanh(j))
    h = clip(W_hr (σ(o) tanh(c)))               h = σ(o) tanh(c) where there is no projection
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ner_elmo.bilm.options import LstmOptions
from ner_elmo.nn.cell import Arranged, Clips, State, Types, Weights, arrange
from ner_elmo.nn.dropout import Dropout
from ner_elmo.nn.mixed_recurrence import MixedRecurrence
from ner_elmo.nn.precision import as_it_is, is_mixed, lstm_type
from ner_elmo.nn.prepared import Prepared
from ner_elmo.nn.recurrence import Recurrence, last_outputs
from ner_elmo.nn.room import Room

FORGET_BIAS = 1.0

# torch says so at the first call on every CPU, where it is not asked to run them.
warnings.filterwarnings("ignore", message="LSTM with projections is not supported with oneDNN")
# And this at the first call on every GPU: the weights are made anew for each call, in its own numbers.
warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk of memory")


class LstmLayer(nn.Module):
    """One layer. Its parameters lie in a :class:`torch.nn.LSTM`, whose fused code runs it where nothing is clipped.

    The second of torch's two biases is not learned: it holds the forget bias, which the weight file leaves out.
    """

    def __init__(self, options: LstmOptions) -> None:
        super().__init__()
        self.cell_clip = options.cell_clip
        self.proj_clip = options.proj_clip if options.has_projection else None
        self.dim = options.dim
        # Any: torch does not say which of a module's attributes are parameters.
        self.lstm: Any = nn.LSTM(
            options.projection_dim, options.dim, proj_size=options.projection_dim if options.has_projection else 0
        )
        forget_bias = torch.zeros(4 * options.dim)
        forget_bias[options.dim : 2 * options.dim] = FORGET_BIAS
        self.lstm.bias_hh_l0 = nn.Parameter(forget_bias, requires_grad=False)
        self.width = options.projection_dim
        self._prepared: Prepared | None = None
        self._room = Room()

    def reset_parameters(self) -> None:
        """Glorot-uniform kernels (over inputs and state together, as TensorFlow has them) and zero biases."""
        n_inputs = self.lstm.weight_ih_l0.shape[1] + self.lstm.weight_hh_l0.shape[1]
        bound = (6.0 / (n_inputs + 4 * self.dim)) ** 0.5
        nn.init.uniform_(self.lstm.weight_ih_l0, -bound, bound)
        nn.init.uniform_(self.lstm.weight_hh_l0, -bound, bound)
        nn.init.zeros_(self.lstm.bias_ih_l0)
        if self.lstm.proj_size:
            nn.init.xavier_uniform_(self.lstm.weight_hr_l0)

    def forward(
        self, x: Tensor, batch_sizes: Sequence[int], state: State | None = None, types: Types | None = None
    ) -> tuple[Tensor, State]:
        """Packed inputs ``(positions, projection_dim)`` to outputs of the same shape and each row's last state.

        ``types`` says which inputs are the same, if that is known.

        On a GPU torch's own code runs what has no clips. Everything else is
        :mod:`ner_elmo.nn.recurrence`, and without a gradient :mod:`ner_elmo.nn.inference`.
        """
        if x.device.type == "cuda" and self.cell_clip is None and self.proj_clip is None:
            return self._fused(x, batch_sizes, state)
        if is_mixed(x.device.type):
            return self._mixed(x, batch_sizes, state)
        if torch.is_grad_enabled() and self._prepared is None:
            h, c = state if state is not None else (None, None)
            y, c = Recurrence.apply(x, *self.weights(), h, c, batch_sizes, self.clips)
        else:
            h, c = self._start(x, batch_sizes, state)
            prepared = self._prepared or Prepared(arrange(self.weights()))
            y = prepared.run(x, batch_sizes, self.clips, (h, c), types)
        return y, (last_outputs(y, batch_sizes), c)

    def _start(self, x: Tensor, batch_sizes: Sequence[int], state: State | None) -> State:
        """A state that may be overwritten."""
        if state is not None:
            return state[0], state[1].clone()
        return x.new_zeros(batch_sizes[0], self.width), x.new_zeros(batch_sizes[0], self.dim)

    def _mixed(self, x: Tensor, batch_sizes: Sequence[int], state: State | None) -> tuple[Tensor, State]:
        """By :mod:`ner_elmo.nn.mixed_recurrence`, its products in bfloat16."""
        h, c = state if state is not None else (None, None)
        with as_it_is(x.device.type):
            y, c = MixedRecurrence.apply(x.float(), *self._mixed_weights(), h, c, batch_sizes, self.clips, self._room)
        return y, (last_outputs(y, batch_sizes), c)

    def _fused(self, x: Tensor, batch_sizes: Sequence[int], state: State | None) -> tuple[Tensor, State]:
        """By :func:`torch.lstm`. The outputs are of its type, the states float32."""
        lstm = self.lstm
        dtype = lstm_type(x.device.type)
        with as_it_is(x.device.type):
            weights = [weight.to(dtype) for weight in lstm.all_weights[0]]
            if state is None:
                zeros = x.new_zeros(2, 1, batch_sizes[0], max(self.width, self.dim), dtype=dtype)
                h, c = zeros[0, ..., : self.width].contiguous(), zeros[1, ..., : self.dim].contiguous()
            else:
                h, c = (part.unsqueeze(0).to(dtype) for part in state)
            sizes = torch.tensor(batch_sizes)
            y, h, c = torch.lstm(x.to(dtype), sizes, (h, c), weights, True, 1, 0.0, self.training, False)
        return y, (h.squeeze(0).float(), c.squeeze(0).float())

    def use(self, weights: Arranged, precision: str = "fp32") -> None:
        """Compute with these from now on, which hold this layer's values; its own are let go.

        Raises:
            UsageError: torch has no such products on this processor.
        """
        self._prepared = Prepared(weights, precision)
        for parameter in self.lstm.parameters():
            parameter.data = parameter.data.new_empty(0)

    @property
    def clips(self) -> Clips:
        return Clips(self.cell_clip, self.proj_clip)

    def weights(self) -> Weights:
        """Kernel and projection as :mod:`ner_elmo.nn.recurrence` trains them."""
        lstm = self.lstm
        projection = lstm.weight_hr_l0.t() if lstm.proj_size else None
        bias = (lstm.bias_ih_l0 + lstm.bias_hh_l0).unsqueeze(0)
        return Weights(torch.cat([lstm.weight_ih_l0.t(), lstm.weight_hh_l0.t(), bias]), projection)

    def _mixed_weights(self) -> Weights:
        """The same, but the kernel stands in memory as torch's weights do, which takes no turn of them."""
        lstm = self.lstm
        bias = (lstm.bias_ih_l0 + lstm.bias_hh_l0).unsqueeze(1)
        kernel = torch.cat([lstm.weight_ih_l0, lstm.weight_hh_l0, bias], dim=1).t()
        return Weights(kernel, lstm.weight_hr_l0.t() if lstm.proj_size else None)


class LstmStack(nn.Module):
    """The layers of one direction. From the second on, a layer's output is its h plus its input, if so configured."""

    def __init__(self, options: LstmOptions, dropout: float = 0.0) -> None:
        super().__init__()
        self.use_skip_connections = options.use_skip_connections
        self.layers = nn.ModuleList(LstmLayer(options) for _ in range(options.n_layers))
        self.dropout = Dropout(dropout)

    def reset_parameters(self) -> None:
        for layer in self.layers:
            assert isinstance(layer, LstmLayer)
            layer.reset_parameters()

    def forward(
        self,
        x: Tensor,
        batch_sizes: Sequence[int],
        states: Sequence[State] | None = None,
        n_layers: int | None = None,
        types: Types | None = None,
    ) -> tuple[list[Tensor], list[State]]:
        """Run packed inputs ``(positions, projection_dim)``, a sentence's first position first, through the lowest
        ``n_layers`` layers. ``types`` says which inputs are the same, if that is known.

        Returns:
            The outputs of each layer, lowest first, of the shape of ``x``; and each layer's last states.
        """
        outputs: list[Tensor] = []
        last_states: list[State] = []
        for number, layer in enumerate(self.layers[:n_layers]):
            x = self.dropout(x)
            y, state = layer(x, batch_sizes, states[number] if states else None, None if number else types)
            if number > 0 and self.use_skip_connections:
                y = y + x
            outputs.append(y)
            last_states.append(state)
            x = y
        return outputs, last_states


def prepare_for_inference(forward: LstmStack, backward: LstmStack, precision: str = "fp32") -> None:
    """Arrange the weights as inference reads them, in ``precision``; the layers let go of their own.

    Those of both directions lie in one place: so a few rows met them in half the time that they took in two (seen).

    Raises:
        UsageError: torch has no such products on this processor.
    """
    with torch.no_grad():
        for pair in zip(forward.layers, backward.layers, strict=True):
            layers = [layer for layer in pair if isinstance(layer, LstmLayer)]
            weights = arrange(_stacked([layer.weights() for layer in layers]))
            for direction, layer in enumerate(layers):
                layer.use(weights.of(direction), precision)


def _stacked(weights: list[Weights]) -> Weights:
    kernels, projections = zip(*weights, strict=True)
    return Weights(torch.stack(kernels), None if projections[0] is None else torch.stack(projections))
