"""From tokens to context-free vectors: a character CNN with highway layers, or a table of words.

Kim et al. 2016 (character-aware language models) with the sizes of Jozefowicz et al. 2016 and Peters et al. 2018.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ner_elmo.bilm.options import CharCnnOptions
from ner_elmo.nn.cell import LANES
from ner_elmo.nn.compiled_int8 import CompiledInt8Linear
from ner_elmo.nn.ordered_sums import MANY_ROWS, product_in_order
from ner_elmo.nn.thread_count import threads_for_now
from ner_elmo.text.characters import N_CHARACTERS, PADDING_ID, char_ids
from ner_elmo.text.vocabulary import Vocabulary

CARRY_BIAS = -2.0  # bilm-tf's initial value: a layer starts out by mostly copying its input
MIN_GROUP = 64  # tokens; fewer are not worth a group of their own
N_GROUPS = 6
# Of so many in training, where the first is filled up by copies of its shortest token: on a processor that multiplies
# bfloat16 a product's code is made anew for each number of rows, so there are few such numbers.
GROUP = 256


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
        return torch.lerp(x.to(gate.dtype), torch.relu(self.transform(x)), gate)  # less than float32 if mixed


class TokenEncoder(nn.Module, abc.ABC):
    """Tokens to context-free vectors, in two steps: a row says all that the network knows of a token
    (:meth:`rows_of`), and ``forward`` makes the rows' vectors ``(n, projection_dim)``.

    This is the one place where it is decided how a token becomes the network's input.
    """

    def prepare_for_inference(self, precision: str = "fp32") -> None:
        """Arrange the weights for a CPU as inference reads them; they must not change any more. In ``int8-compiled``
        products are in 8 bits, otherwise in float32."""

    @abc.abstractmethod
    def rows_of(self, tokens: Sequence[str], vocabulary: Vocabulary | None = None) -> Tensor:
        """A row for each token ``(n, ...)`` int64, on the CPU; the weights are not touched, so that any thread may ask.

        Args:
            tokens: any, the sentence boundaries included.
            vocabulary: gives word ids to a word table, which needs it; others do not look at it.
        """


class CharacterCnn(TokenEncoder):
    """Rows of raw character ids ``(n, max_characters)`` to token vectors ``(n, projection_dim)``.

    Padding is an ordinary learned character that takes part in the convolutions. All windows that hold nothing else
    give the same value, so only the windows that begin within the longest token of the call, and one such window, are
    computed.
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
        self._arranged: _Arranged | None = None

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

    def rows_of(self, tokens: Sequence[str], vocabulary: Vocabulary | None = None) -> Tensor:
        """The bytes of each token as raw character ids ``(n, max_characters)`` (:mod:`ner_elmo.text.characters`)."""
        return torch.from_numpy(char_ids(tokens, self.options.max_characters_per_token))

    def prepare_for_inference(self, precision: str = "fp32") -> None:
        with torch.no_grad():
            self._arranged = _arrange(self, in_8_bits=precision == "int8-compiled")

    def forward(self, rows: Tensor) -> Tensor:
        """The token vectors, in float32 on a CPU; once prepared, a token's are the same in any company, to the bit."""
        if self._arranged is not None and len(rows) < MANY_ROWS:
            more = rows[:1].expand(MANY_ROWS - len(rows), -1)
            return self(torch.cat([rows, more]))[: len(rows)]  # type: ignore[no-any-return]
        lengths = (rows != self.padding_id).sum(1)
        if len(rows) < 2 * MIN_GROUP:
            return self._encode(rows, int(lengths.max()))
        # Long tokens are rare: encoded with all others they would make every token as wide as the longest.
        order = lengths.argsort()
        if self._reads_in_order():
            groups = order.chunk(min(N_GROUPS, len(order) // MIN_GROUP))
            vectors = torch.cat([self._encode(rows[group], int(lengths[group[-1]])) for group in groups])
            return vectors[order.argsort()]
        added = -len(order) % GROUP
        groups = torch.cat([order[:1].expand(added), order]).split(GROUP)
        kernel = self.kernel()
        sums = torch.cat([self._maxima(rows[group], int(lengths[group[-1]]), kernel) for group in groups])
        return self._vectors(sums + self.biases())[added:][order.argsort()]

    def _reads_in_order(self) -> bool:
        return self._arranged is not None and not torch.is_grad_enabled()

    def _encode(self, rows: Tensor, longest: int) -> Tensor:
        if self._reads_in_order():
            assert self._arranged is not None
            return self._encode_in_order(rows, longest, self._arranged)
        return self._vectors(self._maxima(rows, longest, self.kernel()) + self.biases())

    def _vectors(self, features: Tensor) -> Tensor:
        """All that follows the filters' features ``(n, n_filters)``."""
        vectors = torch.relu(features) if self.options.activation == "relu" else torch.tanh(features)
        for highway in self.highways:
            vectors = highway(vectors)
        return self.projection(vectors)  # type: ignore[no-any-return]

    def _encode_in_order(self, rows: Tensor, longest: int, arranged: _Arranged) -> Tensor:
        """The same, by sums that have one order however many rows there are."""
        windows = self._windows(rows, longest)
        sums = arranged.kernel(windows).view(len(rows), longest + 1, -1)
        beyond = self._beyond(rows.shape[1], longest + 1, sums.device)
        if beyond is not None:
            sums[:, :, : beyond.shape[1]].masked_fill_(beyond, -torch.inf)
        vectors = _maximum(sums) + arranged.biases
        activation = torch.relu_ if self.options.activation == "relu" else torch.tanh_
        with threads_for_now(1):  # several would cut the numbers anywhere, and torch computes the ends in another way
            activation(vectors)
        for carry, transform in arranged.highways:
            gate, changed = carry(vectors), transform(vectors)
            with threads_for_now(1):
                vectors = torch.lerp(vectors, changed.relu_(), gate.sigmoid_())
        if arranged.projection is None:
            return vectors[:, : self.options.n_filters]
        return arranged.projection(vectors)

    def _maxima(self, rows: Tensor, longest: int, kernel: Tensor) -> Tensor:
        """The maximum of each filter over its windows ``(n, n_filters)``, by one matrix product for all filters."""
        sums = self._windows(rows, longest) @ kernel
        sums = sums.view(len(rows), longest + 1, -1)  # (n, longest + 1, n_filters)
        beyond = self._beyond(rows.shape[1], longest + 1, sums.device)
        return _maximum(sums if beyond is None else sums.masked_fill(beyond, -torch.inf))

    def _windows(self, rows: Tensor, longest: int) -> Tensor:
        """What the filters see ``(n · (longest + 1), widest · e)``.

        A window is as wide as the widest filter; the weights of narrower ones are zero at its end. The last window
        begins after the longest token: it holds padding alone, as all windows after it would.
        """
        widest = self._widest
        columns, room = longest + widest, rows.shape[1]
        if columns > room:
            rows = functional.pad(rows, (0, columns - room), value=self.padding_id)
        embedded: Tensor = self.characters(rows[:, :columns])  # (n, columns, e)
        e = embedded.shape[2]
        return embedded.flatten(1).unfold(1, widest * e, e).reshape(-1, widest * e)

    @property
    def _widest(self) -> int:
        return max(width for width, _ in self.options.filters)

    def biases(self) -> Tensor:
        """Of all filters ``(n_filters,)``."""
        return torch.cat([convolution.bias for convolution in self.convolutions])  # type: ignore[misc]

    def kernel(self) -> Tensor:
        """The weights of all filters ``(widest · e, n_filters)``."""
        widest = self._widest
        parts = []
        for convolution in self.convolutions:
            weight: Tensor = convolution.weight  # type: ignore[assignment]  # (count, e, width)
            padded = functional.pad(weight, (0, widest - weight.shape[2]))
            parts.append(padded.permute(2, 1, 0).flatten(0, 1))
        return torch.cat(parts, dim=1)

    def _beyond(self, room: int, n_windows: int, device: torch.device) -> Tensor | None:
        """Which windows ``(n_windows, n_filters)`` would reach beyond a row of ``room`` characters, where a filter has
        none; None if all are within."""
        if n_windows - 1 + self._widest <= room:
            return None
        widths = torch.tensor([width for width, count in self.options.filters for _ in range(count)], device=device)
        return torch.arange(n_windows, device=device).unsqueeze(1) + widths > room


class _Linear(NamedTuple):
    matrix: Tensor  # (inputs, outputs)
    bias: Tensor | None

    def __call__(self, rows: Tensor) -> Tensor:
        return product_in_order(self.bias, rows, self.matrix)


_Product = CompiledInt8Linear | _Linear  # rows (n, inputs) to (n, outputs)


class _Arranged(NamedTuple):
    """A character CNN as inference reads it: filters added, of zeros, up to a multiple of ``LANES``."""

    kernel: _Product
    biases: Tensor
    highways: list[tuple[_Product, _Product]]  # carry and transform
    projection: _Product | None


def _arrange(encoder: CharacterCnn, in_8_bits: bool) -> _Arranged:
    added = -encoder.options.n_filters % LANES

    def product(matrix: Tensor, bias: Tensor | None) -> _Product:
        return CompiledInt8Linear(matrix, bias) if in_8_bits else _Linear(matrix, bias)

    def linear(layer: nn.Linear, added_outputs: int) -> _Product:
        matrix = functional.pad(layer.weight.t(), (0, added_outputs, 0, added))
        return product(matrix.contiguous(), functional.pad(layer.bias, (0, added_outputs)))

    highways = [highway for highway in encoder.highways if isinstance(highway, Highway)]
    projection = encoder.projection
    return _Arranged(
        product(functional.pad(encoder.kernel(), (0, added)), None),
        functional.pad(encoder.biases(), (0, added)),
        [(linear(highway.carry, added), linear(highway.transform, added)) for highway in highways],
        linear(projection, 0) if isinstance(projection, nn.Linear) else None,
    )


def _maximum(windows: Tensor) -> Tensor:
    """The maximum over the windows ``(n, windows, filters)``, by what is faster with, or without, a gradient.

    torch pools pictures whose channels stand together ten times as fast as it finds a maximum and where it was.
    """
    if not windows.requires_grad:
        return windows.amax(dim=1)
    picture = windows.permute(0, 2, 1).unsqueeze(2)  # (n, filters, 1, windows)
    # (n, 1, 1, filters): a gradient of this order is what torch reads without a copy
    return functional.max_pool2d(picture, (1, windows.shape[1])).permute(0, 2, 3, 1).flatten(1)


class WordTable(TokenEncoder):
    """Rows of an embedding table ``(n_words, projection_dim)`` by word id, for models without a character CNN."""

    def __init__(self, n_words: int, projection_dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_words, projection_dim)

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.embedding.weight)  # TensorFlow's default, as in bilm-tf

    @property
    def n_words(self) -> int:
        return self.embedding.num_embeddings

    def rows_of(self, tokens: Sequence[str], vocabulary: Vocabulary | None = None) -> Tensor:
        """The id of each token ``(n,)``, that of ``<UNK>`` where the vocabulary does not have it."""
        assert vocabulary is not None
        return torch.from_numpy(np.array([vocabulary.id_of(token) for token in tokens], dtype=np.int64))

    def forward(self, rows: Tensor) -> Tensor:
        return self.embedding(rows)  # type: ignore[no-any-return]
