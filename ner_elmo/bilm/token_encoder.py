"""From tokens to context-free vectors: a character CNN with highway layers, or a table of words.

Kim et al. 2016 (character-aware language models) with the sizes of Jozefowicz et al. 2016 and Peters et al. 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ner_elmo.bilm.options import CharCnnOptions
from ner_elmo.text.characters import N_CHARACTERS, PADDING_ID

CARRY_BIAS = -2.0  # bilm-tf's initial value: a layer starts out by mostly copying its input
MIN_GROUP = 64  # tokens; fewer are not worth a group of their own
N_GROUPS = 6


class Highway(nn.Module):
    """``g = σ(x W_c + b_c); t = relu(x W_t + b_t); y = g t + (1 - g) x`` (Srivastava et al. 2015).

    The published name of the gate is "carry", though a large gate means *more* transformation.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.carry = nn.Linear(dim, dim)
        self.transform = nn.Linear(dim, dim)

    def reset_parameters(self) -> None:
        dim = self.carry.in_features
        nn.init.normal_(self.carry.weight, std=dim**-0.5)
        nn.init.constant_(self.carry.bias, CARRY_BIAS)
        nn.init.normal_(self.transform.weight, std=dim**-0.5)
        nn.init.zeros_(self.transform.bias)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.carry(x))
        return torch.lerp(x, torch.relu(self.transform(x)), gate)


class CharacterCnn(nn.Module):
    """Rows of raw character ids ``(n, max_characters)`` to token vectors ``(n, projection_dim)``.

    Padding is an ordinary learned character that takes part in the convolutions. All windows that hold nothing else
    give the same value, so only the columns up to the longest token of the call, and one such window, are computed.
    """

    def __init__(
        self,
        options: CharCnnOptions,
        projection_dim: int,
        n_characters: int = N_CHARACTERS,
        padding_id: int = PADDING_ID,
    ) -> None:
        super().__init__()
        self.options = options
        self.padding_id = padding_id
        self.characters = nn.Embedding(n_characters, options.embedding_dim)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(options.embedding_dim, count, kernel_size=width) for width, count in options.filters
        )
        self.highways = nn.ModuleList(Highway(options.n_filters) for _ in range(options.n_highway))
        self.projection = (
            nn.Linear(options.n_filters, projection_dim) if options.n_filters != projection_dim else nn.Identity()
        )

    def reset_parameters(self) -> None:
        """The initial values of bilm-tf (docs/elmo-format.md §9)."""
        options = self.options
        nn.init.uniform_(self.characters.weight, -1.0, 1.0)
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv1d)
            if options.activation == "relu":
                nn.init.uniform_(convolution.weight, -0.05, 0.05)
            else:
                width = convolution.kernel_size[0]
                nn.init.normal_(convolution.weight, std=(width * options.embedding_dim) ** -0.5)
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        for highway in self.highways:
            highway.reset_parameters()  # type: ignore[operator]
        if isinstance(self.projection, nn.Linear):
            nn.init.normal_(self.projection.weight, std=options.n_filters**-0.5)
            nn.init.zeros_(self.projection.bias)

    def forward(self, char_ids: Tensor) -> Tensor:
        lengths = (char_ids != self.padding_id).sum(1)
        if len(char_ids) < 2 * MIN_GROUP:
            return self._encode(char_ids, int(lengths.max()))
        # Long tokens are rare: encoded with all others they would make every token as wide as the longest.
        order = lengths.argsort()
        groups = order.chunk(min(N_GROUPS, len(order) // MIN_GROUP))
        vectors = torch.cat([self._encode(char_ids[group], int(lengths[group[-1]])) for group in groups])
        return vectors[order.argsort()]

    def _encode(self, char_ids: Tensor, longest: int) -> Tensor:
        # + the widest filter: one window of padding alone for every filter.
        columns = min(longest + max(width for width, _ in self.options.filters), char_ids.shape[1])
        embedded = self.characters(char_ids[:, :columns]).transpose(1, 2)  # (n, e, columns)
        features = torch.cat([_maximum(convolution(embedded)) for convolution in self.convolutions], dim=1)
        vectors = torch.relu(features) if self.options.activation == "relu" else torch.tanh(features)
        for highway in self.highways:
            vectors = highway(vectors)
        return self.projection(vectors)  # type: ignore[no-any-return]


def _maximum(windows: Tensor) -> Tensor:
    """The maximum over the last dimension; by the variant that is faster with, or without, a gradient to follow."""
    return windows.max(dim=2).values if windows.requires_grad else windows.amax(dim=2)


class WordTable(nn.Module):
    """Rows of an embedding table ``(n_words, projection_dim)`` by word id, for models without a character CNN."""

    def __init__(self, n_words: int, projection_dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_words, projection_dim)

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.embedding.weight)  # TensorFlow's default, as in bilm-tf

    @property
    def n_words(self) -> int:
        return self.embedding.num_embeddings

    def forward(self, word_ids: Tensor) -> Tensor:
        return self.embedding(word_ids)  # type: ignore[no-any-return]
