"""Frozen contextual vectors of tokenised sentences, from a biLM.

No state passes from one sentence to another: a sentence has the same vectors whatever stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ner_elmo.bilm.files import many_langs
from ner_elmo.bilm.files.directory import BilmFiles, BilmPlace, find_bilm, load_bilm, load_vocabulary
from ner_elmo.bilm.model import BiLm, Starts
from ner_elmo.bilm.token_encoder import TokenEncoder
from ner_elmo.errors import ModelError, UsageError
from ner_elmo.nn.cell import Types
from ner_elmo.nn.form_vectors import FormVectors
from ner_elmo.nn.in_threads import all_at_once, divided_in_two
from ner_elmo.nn.precision import inference_precision
from ner_elmo.nn.thread_count import begin_as_usual
from ner_elmo.runs.devices import chosen_device
from ner_elmo.text.batching import BOUNDARIES, by_length, in_chunks, shared
from ner_elmo.text.characters import BEGIN_SENTENCE, END_SENTENCE
from ner_elmo.text.hdf5 import open_hdf5, read_array
from ner_elmo.text.python_inputs import UntilError, checked_count, checked_iterable, checked_sentence
from ner_elmo.text.vocabulary import Vocabulary

Layers = Literal["all", "mean", "top"] | Sequence[int]

BATCH_TOKENS = 8192  # positions computed together on a CPU
BATCH_TOKENS_GPU = 65_536
# Sentences are grouped by length within so many tokens, but no more than have vectors of this size.
READ_AHEAD_TOKENS = 16 * BATCH_TOKENS
READ_AHEAD_BYTES = 256 << 20
TYPE_CACHE_BYTES = 256 << 20
DIVIDED_SIZE = 1 << 18  # tokens times units below which a product is not worth a second thread, a direction is


class Elmo:
    """A frozen biLM that turns tokenised sentences into vectors.

    Any number of threads may use one at once, and get the vectors that one thread gets, to the bit. It may be used
    after a fork, where torch then computes in one thread, and pickled; a copy begins with an empty cache.

    Attributes:
        path: the biLM's folder.
        options: the network's shape.
        n_layers: token layer and LSTM layers together.
        dim: width of a vector, 2 · projection_dim.
        text: the name of the tokenizer that the biLM's text went through.
        precision: how it computes: ``fp32``, ``bf16`` or ``int8``.
        batch_tokens: positions that are computed together.
        read_ahead_tokens: so many tokens are read before their vectors are given out, in order to be grouped by length.
    """

    def __init__(self, model: BiLm, files: BilmFiles, batch_tokens: int | None = None, precision: str = "fp32") -> None:
        self.model = model
        self.path = files.root
        self.files = files
        self.options = model.options
        self.n_layers = 1 + model.options.lstm.n_layers
        self.dim = model.options.output_dim
        self.text = files.tokenizer
        self.precision = precision
        self.device = next(model.parameters()).device
        self.batch_tokens = batch_tokens or (BATCH_TOKENS if self.device.type == "cpu" else BATCH_TOKENS_GPU)
        self.read_ahead_tokens = min(READ_AHEAD_TOKENS, READ_AHEAD_BYTES // (4 * self.n_layers * self.dim))
        self._boundaries = (BEGIN_SENTENCE, END_SENTENCE)
        if files.many_langs is not None:
            self._boundaries = (many_langs.BEGIN_SENTENCE, many_langs.END_SENTENCE)
        self._types = _type_vectors(model, files)
        self._starts = self._states_behind_the_boundaries()

    @classmethod
    def load(
        cls,
        place: BilmPlace,
        *,
        device: str | torch.device = "cpu",
        precision: str = "fp32",
        batch_tokens: int | None = None,
    ) -> Elmo:
        """Load a biLM from any place that :func:`ner_elmo.bilm.files.directory.find_bilm` knows, or an opened one.

        Args:
            precision: one of :data:`~ner_elmo.nn.precisions.INFERENCE`.

        Raises:
            UsageError: nothing is there, or the device or precision is unknown.
            ModelError: its files are damaged or do not fit one another.
        """
        batch_tokens = checked_count(batch_tokens, "batch_tokens")
        # What a GPU has not is said before one is looked for: this machine may have none.
        if str(device).startswith("cuda"):
            inference_precision(precision, torch.device(device))
        device = chosen_device(device)
        precision = inference_precision(precision, device)
        files = find_bilm(place)
        model = load_bilm(files).to(device)
        model.prepare_for_inference(precision)
        return cls(model, files, batch_tokens, precision)

    def embed(self, sentences: Iterable[Sequence[str]], layers: Layers = "all") -> Iterator[NDArray[np.float32]]:
        """Vectors of each sentence, in order, as they become ready.

        Args:
            sentences: lists of tokens; read ahead only as far as grouping by length needs.
            layers: ``all``, or the numbers of the layers wanted (0 is the token layer; what is above the highest is
                not computed), or ``mean`` or ``top``.

        Yields:
            float32 arrays ``(layers, tokens, dim)``; ``(tokens, dim)`` for ``mean`` and ``top``. Boundaries left out.

        Raises:
            UsageError: there are no such layers.
            ModelError: its weights make no numbers of a sentence.
            WrongTypeError: a sentence is no list of tokens, once the vectors of those before it are given out.
        """
        wanted = self._layer_numbers(layers)
        return self._embed(checked_iterable(sentences, "lists of tokens"), wanted, layers)

    def embed_half(self, sentences: Iterable[Sequence[str]], layers: Sequence[int]) -> Iterator[NDArray[np.float16]]:
        """As :meth:`embed`, with the vectors rounded to float16: what that cannot hold is infinite."""
        return self._embed(sentences, self._layer_numbers(layers), layers, torch.float16)

    def _embed(
        self,
        sentences: Iterable[Sequence[str]],
        wanted: list[int],
        layers: Layers,
        dtype: torch.dtype = torch.float32,
    ) -> Iterator[NDArray[Any]]:
        checked = UntilError(sentences, checked_sentence)
        for chunk in in_chunks(checked, self.read_ahead_tokens, BOUNDARIES):
            yield from self._embed_chunk(chunk, wanted, layers, dtype)
        checked.raise_error()

    def _layer_numbers(self, layers: Layers) -> list[int]:
        if layers in ("all", "mean"):
            return list(range(self.n_layers))
        if layers == "top":
            return [self.n_layers - 1]
        if isinstance(layers, str):
            raise UsageError(f"--layers {layers}: unknown; expected all, mean, top or numbers such as 0,1")
        for layer in layers:
            if not 0 <= layer < self.n_layers:
                raise UsageError(f"--layers {layer}: this biLM has layers 0 to {self.n_layers - 1}")
        return list(layers)

    def _embed_chunk(
        self, chunk: Sequence[Sequence[str]], wanted: list[int], layers: Layers, dtype: torch.dtype
    ) -> list[np.ndarray]:
        begin_as_usual()
        results: list[np.ndarray | None] = [None] * len(chunk)

        def compute(group: list[int]) -> None:
            array = self._encoded([chunk[i] for i in group], wanted, layers, dtype)
            start = 0
            for i in group:
                end = start + len(chunk[i])
                results[i] = array[..., start:end, :].copy()  # a view would keep the whole batch alive
                start = end

        n_tokens = sum(len(sentence) + BOUNDARIES for sentence in chunk)
        n_threads = torch.get_num_threads() if self.device.type == "cpu" else 1
        groups = list(by_length(chunk, shared(n_tokens, self.batch_tokens, n_threads)))
        jobs = [partial(compute, group[::-1]) for group in groups]  # the longest first
        if n_threads > 1 and len(jobs) == 1 and n_tokens * self.options.lstm.dim < DIVIDED_SIZE:
            with divided_in_two():
                jobs[0]()
        elif self.device.type == "cpu":
            all_at_once(jobs)
        else:
            for job in jobs:
                job()
        return results  # type: ignore[return-value]

    def _encoded(
        self, sentences: list[Sequence[str]], wanted: list[int], layers: Layers, dtype: torch.dtype
    ) -> np.ndarray:
        """Sentences of falling lengths, one after the other."""
        with torch.inference_mode():
            encoded = self._encode(sentences, max(wanted))
            if layers == "mean":
                encoded = encoded.mean(0)
            elif layers == "top":
                encoded = encoded[-1]
            elif wanted != list(range(len(encoded))):
                encoded = encoded[wanted]
            # A sum is computed five times as fast, and hides no NaN; of great numbers it may be infinite itself.
            is_sound = bool(torch.isfinite(encoded.sum())) or bool(torch.isfinite(encoded).all())
            array = encoded.to(dtype).cpu().numpy()
        if not is_sound:
            raise ModelError(f"{self.path}: the biLM computes NaN or infinity; its weights are damaged or too large")
        return array

    def _states_behind_the_boundaries(self) -> Starts:
        """With which every sentence begins. They are never changed."""
        with torch.inference_mode():
            table, ((begin, end),) = self._types.rows_of([self._boundaries])
            return self.model.starts(table[begin : begin + 1], table[end : end + 1])

    def _encode(self, sentences: Sequence[Sequence[str]], n_layers: int) -> Tensor:
        """The token layer and ``n_layers`` above it of sentences of falling lengths, one after the other:
        ``(1 + n_layers, positions, dim)``.

        Nobody sees the vectors of the boundaries, and the states behind them are the same for all sentences.
        """
        table, rows = self._types.rows_of(sentences)
        index = torch.tensor([row for sentence in rows for row in sentence], device=self.device, dtype=torch.long)
        distinct, which = torch.unique(index, return_inverse=True)
        types = Types(functional.embedding(distinct, table), which)
        vectors = functional.embedding(which, types.vectors)
        return self.model.layers(vectors, [len(row) for row in rows], n_layers, self._starts, types)


def _type_vectors(model: BiLm, files: BilmFiles) -> FormVectors:
    """Context-free vectors of tokens, ``(…, projection_dim)``; those of the vocabulary that are stored stand first."""
    dim, device = model.options.lstm.projection_dim, next(model.parameters()).device
    vocabulary = _vocabulary(model, files)
    known = None
    if model.options.char_cnn is not None and vocabulary is not None and files.vocabulary_vectors is not None:
        with open_hdf5(files.vocabulary_vectors) as file:
            rows = read_array(file, "embedding", (len(vocabulary), dim))
        known = vocabulary.tokens, torch.from_numpy(rows)
    return FormVectors(partial(_encoded_forms, model.token_encoder, vocabulary), dim, TYPE_CACHE_BYTES, device, known)


def _encoded_forms(encoder: TokenEncoder, vocabulary: Vocabulary | None, forms: list[str]) -> Tensor:
    device = next(encoder.parameters()).device
    return encoder(encoder.rows_of(forms, vocabulary).to(device))  # type: ignore[no-any-return]


def _vocabulary(model: BiLm, files: BilmFiles) -> Vocabulary | None:
    """That of a word table, or of a character CNN whose vectors are stored."""
    if files.many_langs is not None:
        return None
    if model.options.char_cnn is None:
        vocabulary = load_vocabulary(files)
        if model.n_words != len(vocabulary):
            raise ModelError(
                f"{files.vocabulary}: found {len(vocabulary)} lines, but the weights have {model.n_words} words"
            )
        return vocabulary
    return None if files.vocabulary is None or files.vocabulary_vectors is None else load_vocabulary(files)
