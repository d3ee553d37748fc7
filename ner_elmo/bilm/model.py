"""The bidirectional language model: one network for pretraining and inference, built from its options alone.

A sentence of n tokens is read as ``<S> w_1 … w_n </S>``, n + 2 positions, left to right by one stack of LSTMs and
right to left by another; the two share nothing but the token encoder (and, in training, the softmax).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ner_elmo.bilm.lstm import LstmStack, State
from ner_elmo.bilm.options import BilmOptions
from ner_elmo.bilm.token_encoder import CharacterCnn, WordTable


class BiLm(nn.Module):
    """Token encoder, forward stack, backward stack.

    Args:
        options: the shape of the network.
        n_words: rows of the word table, for models with word input (``options.char_cnn is None``).
        token_encoder: another encoder than the published two.
    """

    def __init__(
        self, options: BilmOptions, n_words: int | None = None, token_encoder: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.options = options
        dim = options.lstm.projection_dim
        self.token_encoder: nn.Module
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

    @property
    def n_words(self) -> int | None:
        """Rows of the word table; ``None`` for a model with characters."""
        return self.token_encoder.n_words if isinstance(self.token_encoder, WordTable) else None

    def layers(self, vectors: Tensor, lengths: Tensor, n_layers: int | None = None) -> Tensor:
        """All layers of padded sentences, from the zero state.

        Args:
            vectors: token vectors ``(batch, time, projection_dim)``, boundaries included, padded on the right.
            lengths: real positions of each sentence ``(batch,)``, boundaries included.
            n_layers: LSTM layers to compute, from below; all by default.

        Returns:
            ``(1 + n_layers, batch, time, 2 · projection_dim)``; what stands at padding has no meaning.
        """
        x = vectors.transpose(0, 1)
        order = reversal(lengths, x.shape[0])
        forward, _ = self.forward_lstm(x, n_layers=n_layers)
        backward, _ = self.backward_lstm(reverse(x, order), n_layers=n_layers)
        pairs = [(x, x), *((f, reverse(b, order)) for f, b in zip(forward, backward, strict=True))]
        return torch.stack([torch.cat(pair, dim=2) for pair in pairs]).transpose(1, 2)

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
        forward, _ = self.forward_lstm(vectors[:-1])
        backward, _ = self.backward_lstm(reversed_vectors[:-1])
        return self.forward_lstm.dropout(forward[-1]), self.backward_lstm.dropout(backward[-1])

    def running_predictions(
        self, vectors: Tensor, states: tuple[list[State] | None, list[State] | None]
    ) -> tuple[Tensor, Tensor, tuple[list[State], list[State]]]:
        """As :meth:`predictions` for sentences without padding that go on from the states the last ones left.

        Args:
            vectors: token vectors ``(time, batch, projection_dim)``, all sentences of one length.
            states: what the call before returned, forward and backward; ``None`` is the zero state.
        """
        forward, forward_states = self.forward_lstm(vectors[:-1], states[0])
        backward, backward_states = self.backward_lstm(vectors.flip(0)[:-1], states[1])
        return forward[-1], backward[-1], (forward_states, backward_states)


def reversal(lengths: Tensor, time: int) -> Tensor:
    """Indices ``(time, batch)`` that reverse each sequence within its own length and leave padding where it is."""
    position = torch.arange(time, device=lengths.device).unsqueeze(1)
    return torch.where(position < lengths, lengths - 1 - position, position)


def reverse(x: Tensor, order: Tensor) -> Tensor:
    """Reorder ``x`` (time, batch, ...) by ``order`` (time, batch); applied twice it gives ``x`` back."""
    return x[order, torch.arange(x.shape[1], device=x.device)]
