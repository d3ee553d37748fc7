"""One direction of the biLM: stacked LSTMs with a recurrent projection, clips and residuals.

docs/elmo-format.md §5, steps 6 and 7; Sak et al. 2014 (LSTM with projection); Peters et al. 2018 §3.1. For the input
x_t and the state (c, h):

    i, f, j, o = W_ih x_t + W_hh h + B          f gets a forget bias of 1
    c = clip(σ(f) c + σ(i) tanh(j))
    h = clip(W_hr (σ(o) tanh(c)))               h = σ(o) tanh(c) where there is no projection
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ner_elmo.bilm.options import LstmOptions

FORGET_BIAS = 1.0

# torch says so at the first call on every CPU; its own implementation is the one that is wanted.
warnings.filterwarnings("ignore", message="LSTM with projections is not supported with oneDNN")

State = tuple[Tensor, Tensor]  # h (batch, projection_dim), c (batch, dim)


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

    def reset_parameters(self) -> None:
        """Glorot-uniform kernels (over inputs and state together, as TensorFlow has them) and zero biases."""
        n_inputs = self.lstm.weight_ih_l0.shape[1] + self.lstm.weight_hh_l0.shape[1]
        bound = (6.0 / (n_inputs + 4 * self.dim)) ** 0.5
        nn.init.uniform_(self.lstm.weight_ih_l0, -bound, bound)
        nn.init.uniform_(self.lstm.weight_hh_l0, -bound, bound)
        nn.init.zeros_(self.lstm.bias_ih_l0)
        if self.lstm.proj_size:
            nn.init.xavier_uniform_(self.lstm.weight_hr_l0)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """``x`` (time, batch, projection_dim) to the outputs of the same shape and the state after the last step."""
        if self.cell_clip is None and self.proj_clip is None:
            hx = None if state is None else (state[0].unsqueeze(0), state[1].unsqueeze(0))
            y, (h, c) = self.lstm(x, hx)
            return y, (h.squeeze(0), c.squeeze(0))
        return self._clipped(x, state)

    def _clipped(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        lstm = self.lstm
        batch = x.shape[1]
        inputs = functional.linear(x, lstm.weight_ih_l0, lstm.bias_ih_l0 + lstm.bias_hh_l0)  # (time, batch, 4 dim)
        h, c = state or (x.new_zeros(batch, lstm.weight_hh_l0.shape[1]), x.new_zeros(batch, self.dim))
        outputs = []
        for step in inputs.unbind(0):
            i, f, j, o = torch.addmm(step, h, lstm.weight_hh_l0.t()).chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(j)
            if self.cell_clip is not None:
                c = c.clamp(-self.cell_clip, self.cell_clip)
            h = torch.sigmoid(o) * torch.tanh(c)
            if lstm.proj_size:
                h = functional.linear(h, lstm.weight_hr_l0)
            if self.proj_clip is not None:
                h = h.clamp(-self.proj_clip, self.proj_clip)
            outputs.append(h)
        return torch.stack(outputs), (h, c)


class LstmStack(nn.Module):
    """The layers of one direction. From the second on, a layer's output is its h plus its input, if so configured."""

    def __init__(self, options: LstmOptions, dropout: float = 0.0) -> None:
        super().__init__()
        self.use_skip_connections = options.use_skip_connections
        self.layers = nn.ModuleList(LstmLayer(options) for _ in range(options.n_layers))
        self.dropout = nn.Dropout(dropout)

    def reset_parameters(self) -> None:
        for layer in self.layers:
            assert isinstance(layer, LstmLayer)
            layer.reset_parameters()

    def forward(
        self, x: Tensor, states: list[State] | None = None, n_layers: int | None = None
    ) -> tuple[list[Tensor], list[State]]:
        """Run ``x`` (time, batch, projection_dim), its first step first, through the lowest ``n_layers`` layers.

        Returns:
            The outputs of each layer, lowest first, of the shape of ``x``; and each layer's last state.
        """
        outputs: list[Tensor] = []
        last_states: list[State] = []
        for number, layer in enumerate(self.layers[:n_layers]):
            x = self.dropout(x)
            y, state = layer(x, states[number] if states else None)
            if number > 0 and self.use_skip_connections:
                y = y + x
            outputs.append(y)
            last_states.append(state)
            x = y
        return outputs, last_states
