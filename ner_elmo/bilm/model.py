"""The bidirectional language model: one network for pretraining and inference, built from its options alone.

A sentence of n tokens is read as ``<S> w_1 … w_n </S>``, n + 2 positions, left to right by one stack of LSTMs and
right to left by another; the two share nothing but the token encoder (and, in training, the softmax).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ner_elmo.bilm.lstm import LstmStack, prepare_for_inference
from ner_elmo.bilm.options import BilmOptions
from ner_elmo.bilm.token_encoder import CharacterCnn, TokenEncoder, WordTable
from ner_elmo.nn.cell import State, States, Types
from ner_elmo.nn.in_threads import at_once
from ner_elmo.nn.packing import packing, reversal, reverse

# The states that the layers of each direction begin with, forward and backward.
Starts = tuple[list[State], list[State]]


class BiLm(nn.Module):
    """Token encoder, forward stack, backward stack.

    Args:
        options: the shape of the network.
        n_words: rows of the word table, for models with word input (``options.char_cnn is None``).
        token_encoder: another encoder than the published two.
    """

    def __init__(
        self, options: BilmOptions, n_words: int | None = None, token_encoder: TokenEncoder | None = None
    ) -> None:
        super().__init__()
        self.options = options
        dim = options.lstm.projection_dim
        self.token_encoder: TokenEncoder
        if token_encoder is not None:
            self.token_encoder = token_encoder
        elif options.char_cnn is not None:
            self.token_encoder = CharacterCnn(options.char_cnn, dim)
        elif n_words is not None:
            self.token_encoder = WordTable(n_words, dim)
        else:
            raise ValueError("a model with word input needs n_words")
        self.forward_lstm = LstmStack(options.lstm, options.dropout)
        self.backward_lstm = LstmStack(options.lstm, options.dropout)

    def reset_parameters(self) -> None:
        """Draw initial values; a new network holds whatever torch put there."""
        assert isinstance(self.token_encoder, CharacterCnn | WordTable)
        self.token_encoder.reset_parameters()
        self.forward_lstm.reset_parameters()
        self.backward_lstm.reset_parameters()

    def prepare_for_inference(self, precision: str = "fp32") -> None:
        """Arrange the recurrent weights as inference reads them, in ``fp32``, ``bf16`` or ``int8``, once and for all.

        Raises:
            UsageError: torch has no 8-bit products on this processor.
        """
        if next(self.parameters()).device.type != "cpu":  # cuDNN wants the weights as they are
            return
        self.token_encoder.prepare_for_inference(precision)
        prepare_for_inference(self.forward_lstm, self.backward_lstm, precision)

    @property
    def n_words(self) -> int | None:
        """Rows of the word table; ``None`` for a model with characters."""
        return self.token_encoder.n_words if isinstance(self.token_encoder, WordTable) else None

    def layers(
        self,
        vectors: Tensor,
        lengths: Sequence[int],
        n_layers: int | None = None,
        starts: Starts | None = None,
        types: Types | None = None,
    ) -> Tensor:
        """All layers of whole sentences, each from the same state. Nothing is padded.

        Args:
            vectors: token vectors ``(positions, projection_dim)``, one sentence after the other.
            lengths: positions of each sentence, **falling**; they add up to ``positions``.
            n_layers: LSTM layers to compute, from below; all by default.
            starts: where each direction begins (:meth:`starts`, for sentences without their boundaries); the zero
                state by default, for sentences with them.
            types: which of ``vectors`` are the same, if that is known.

        Returns:
            ``(1 + n_layers, positions, 2 · projection_dim)``, in the order of ``vectors``.
        """
        dim = vectors.shape[1]
        n_layers = self.options.lstm.n_layers if n_layers is None else n_layers
        layers = vectors.new_empty(1 + n_layers, vectors.shape[0], 2 * dim)
        if not len(vectors):
            return layers
        batch_sizes, there, back = packing(lengths)
        layers[0, :, :dim] = vectors
        layers[0, :, dim:] = vectors
        orders = there.to(vectors.device), back.to(vectors.device)
        outputs = self._both(vectors, batch_sizes, orders, n_layers, starts, types)
        columns = layers[..., :dim], layers[..., dim:]
        for of_direction, order, direction_outputs in zip(columns, orders, outputs, strict=True):
            for number, output in enumerate(direction_outputs, start=1):
                of_direction[number].index_copy_(0, order, output)
        return layers

    def starts(self, begin: Tensor, end: Tensor) -> Starts:
        """The states that every sentence begins with once its boundary has been read from the zero state.

        Args:
            begin, end: the boundaries' token vectors ``(1, projection_dim)``, for forward and backward.

        Returns:
            For forward and backward a state a layer, h ``(1, projection_dim)`` and c ``(1, dim)``.
        """
        return self.forward_lstm(begin, [1])[1], self.backward_lstm(end, [1])[1]

    def _both(
        self,
        vectors: Tensor,
        batch_sizes: list[int],
        orders: tuple[Tensor, Tensor],
        n_layers: int,
        starts: Starts | None,
        types: Types | None,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The packed outputs of each layer in each direction, each direction by itself."""

        def run_one(direction: int) -> list[Tensor]:
            stack = (self.forward_lstm, self.backward_lstm)[direction]
            states = None if starts is None else [_repeat(state, batch_sizes[0]) for state in starts[direction]]
            order = orders[direction]
            packed = None if types is None else Types(types.vectors, types.which.index_select(0, order))
            return stack(vectors.index_select(0, order), batch_sizes, states, n_layers, packed)[0]  # type: ignore[no-any-return]

        if vectors.device.type != "cpu":
            return run_one(0), run_one(1)
        return at_once(lambda: run_one(0), lambda: run_one(1))

    def predictions(self, vectors: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What each direction knows before each of its n + 1 predictions.

        Args:
            vectors: token vectors ``(time, batch, projection_dim)`` of positions 0 … n + 1.
            lengths: real positions ``(batch,)``, boundaries included.

        Returns:
            Forward ``(time - 1, batch, projection_dim)``: row t predicts position t + 1. Backward, of the same shape,
            in its own reading order: row t predicts position n - t, the (t + 1)-th of the reversed sentence.
        """
        reversed_vectors = reverse(vectors, reversal(lengths, vectors.shape[0]))
        forward, _ = _run_padded(self.forward_lstm, vectors[:-1])
        backward, _ = _run_padded(self.backward_lstm, reversed_vectors[:-1])
        return self.forward_lstm.dropout(forward), self.backward_lstm.dropout(backward)

    def running_predictions(
        self, forward_vectors: Tensor, backward_vectors: Tensor, states: States
    ) -> tuple[Tensor, Tensor, States]:
        """What each direction knows after each symbol of text that goes on from where the last call left it.

        Args:
            forward_vectors: token vectors ``(time, batch, projection_dim)`` that the forward direction reads.
            backward_vectors: those that the backward direction reads, its first one first.
            states: what the call before returned, forward and backward; ``None`` is the zero state.

        Returns:
            Forward and backward outputs ``(time, batch, projection_dim)``, and the states after the last step.
        """
        forward, forward_states = _run_padded(self.forward_lstm, forward_vectors, states[0])
        backward, backward_states = _run_padded(self.backward_lstm, backward_vectors, states[1])
        outputs = self.forward_lstm.dropout(forward), self.backward_lstm.dropout(backward)
        return *outputs, (forward_states, backward_states)


def _repeat(state: State, n_rows: int) -> State:
    """The state of one row for ``n_rows``; it may be overwritten."""
    return state[0].repeat(n_rows, 1), state[1].repeat(n_rows, 1)


def _run_padded(stack: LstmStack, x: Tensor, states: Sequence[State] | None = None) -> tuple[Tensor, list[State]]:
    """The top layer's outputs for ``x`` (time, batch, projection_dim), all rows of one length, and the last states."""
    time, batch, dim = x.shape
    outputs, last_states = stack(x.reshape(time * batch, dim), [batch] * time, states)
    return outputs[-1].view(time, batch, dim), last_states
