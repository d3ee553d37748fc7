"""What a document says of a token elsewhere: the mean of the biLM's vectors of its form in the document's other
sentences, where headlines in capitals are about the same names as the text below them.

An entity's later mentions are often bare ("Smith said"); what stood around the first one tells what it is. Chieu and Ng
(2002, "Named entity recognition: a maximum entropy approach using global information") gave a tagger such features of
the whole document; Akbik, Bergmann and Vollgraf (2019, "Pooled contextualized embeddings for named entity recognition")
pooled a language model's vectors of a word over all text seen so far. Here it is one document, so that the result
depends on nothing beside it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ner_elmo.elmo.feature_cache import StoredSentence

_COLUMNS = 64  # of the vectors that are added up at a time, since sums have twice their precision
LONGEST = 100_000  # tokens of a document that are looked at together; a longer one is cut


def contexts_of(
    tokens: Sequence[Sequence[str]], vectors: Sequence[np.ndarray], window: int | None = None
) -> list[np.ndarray]:
    """The context of every token of a document.

    Args:
        tokens: the forms of its sentences.
        vectors: of each sentence, ``(time, dim)``.
        window: how many sentences before and after a sentence are looked at; None: all of the document.

    Returns:
        For each sentence ``(time, dim)`` float16: the mean of ``vectors`` over the tokens of the same form in the other
        sentences; zeros where there are none.
    """
    lengths = [len(sentence) for sentence in tokens]
    if not sum(lengths):
        return [np.zeros((0, v.shape[1]), dtype=np.float16) for v in vectors]
    forms: dict[str, int] = {}
    types = np.fromiter((forms.setdefault(form, len(forms)) for sentence in tokens for form in sentence), np.int64)
    elsewhere = Elsewhere(types, np.repeat(np.arange(len(tokens)), lengths), window)
    rows = np.concatenate(vectors)
    means = np.zeros(rows.shape, dtype=np.float16)
    for start in range(0, rows.shape[1], _COLUMNS):
        columns = slice(start, start + _COLUMNS)
        sums = elsewhere.sums(rows[:, columns])
        np.divide(sums, elsewhere.n[:, None], out=means[:, columns], where=elsewhere.n[:, None] > 0, casting="unsafe")
    return list(np.split(means, np.cumsum(lengths)[:-1]))


class Elsewhere:
    """For each token of a document the tokens of the same type in its other sentences; ``n`` says how many they are.

    Args:
        types: a number of each token's form, ``(tokens,)``.
        sentence_of: the number of its sentence, from 0.
        window: as in :func:`contexts_of`.
    """

    def __init__(self, types: np.ndarray, sentence_of: np.ndarray, window: int | None) -> None:
        n_sentences = int(sentence_of.max()) + 1
        near = n_sentences if window is None else window
        # A place is a form in a sentence; those of a form stand together, in the order of its sentences.
        places, self._place_of, n_at = np.unique(
            types * n_sentences + sentence_of, return_inverse=True, return_counts=True
        )
        of_type, own = np.divmod(places, n_sentences)
        self._begins = np.searchsorted(places, of_type * n_sentences + np.maximum(own - near, 0))
        last = of_type * n_sentences + np.minimum(own + near, n_sentences - 1)
        self._ends = np.searchsorted(places, last, side="right")
        self._order = np.argsort(self._place_of, kind="stable")
        self._firsts = np.cumsum(n_at) - n_at
        self.n = self._around(n_at)[self._place_of]

    def sums(self, rows: np.ndarray) -> np.ndarray:
        """The sum of their rows: ``(tokens, dim)`` to ``(tokens, dim)`` float64."""
        at = np.add.reduceat(rows[self._order], self._firsts, axis=0, dtype=np.float64)
        return self._around(at)[self._place_of]

    def _around(self, at: np.ndarray) -> np.ndarray:
        """For each place the sum over those of its form in the window, without itself."""
        # Entry i of the running sum is that of the places before i.
        running = np.concatenate([np.zeros_like(at[:1]), np.cumsum(at, axis=0)])
        found: np.ndarray = running[self._ends] - running[self._begins] - at
        return found


def documents_in(documents: Sequence[Hashable | None], lengths: Sequence[int]) -> Iterator[slice]:
    """The sentences that have context from one another: of one document, as far as ``LONGEST`` goes; a sentence of no
    document (None) has nothing beside it."""
    start = 0
    for document, group in groupby(range(len(documents)), key=documents.__getitem__):
        size = len(list(group))
        if document is None:
            yield from (slice(at, at + 1) for at in range(start, start + size))
        else:
            yield from _cut(start, start + size, lengths)
        start += size


def in_whole_documents(
    sentences: Iterable[tuple[Sequence[str], Hashable | None]], most: int
) -> Iterator[list[tuple[Sequence[str], Hashable | None]]]:
    """Cut a stream of sentences, each with its document's number, into lists of ``most`` tokens or just beyond, that
    end where a document ends; one longer than ``LONGEST`` is cut as :func:`documents_in` does."""
    chunk: list[tuple[Sequence[str], Hashable | None]] = []
    held = of_document = 0
    for item in sentences:
        size = max(1, len(item[0]))
        goes_on = bool(chunk) and item[1] is not None and item[1] == chunk[-1][1] and of_document + size <= LONGEST
        if chunk and held >= most and not goes_on:
            yield chunk
            chunk, held = [], 0
        of_document = of_document + size if goes_on else size
        chunk.append(item)
        held += size
    if chunk:
        yield chunk


def _cut(start: int, end: int, lengths: Sequence[int]) -> Iterator[slice]:
    held, begin = 0, start
    for at in range(start, end):
        size = max(1, lengths[at])
        if held and held + size > LONGEST:
            yield slice(begin, at)
            held, begin = 0, at
        held += size
    yield slice(begin, end)


def document_contexts(
    tokens: Sequence[Sequence[str]],
    documents: Sequence[Hashable | None],
    layers: Sequence[np.ndarray | StoredSentence],
    folded: bool = False,
    window: int | None = None,
    top: bool = False,
) -> list[np.ndarray]:
    """The context of every token of many documents, from the mean of its biLM layers, or the top one.

    Args:
        documents: a number or name of each sentence's document; those of one stand together.
        layers: of each sentence, ``(layers, time, dim)``.
        folded: forms are the same that differ in capitals alone.
        window: as in :func:`contexts_of`.

    Returns:
        For each sentence ``(time, dim)`` float16.
    """
    found: list[np.ndarray] = []
    for part in documents_in(documents, list(map(len, tokens))):
        if part.stop - part.start == 1:  # nothing stands elsewhere
            n_tokens, dim = layers[part.start].shape[1:]
            found.append(np.broadcast_to(np.float16(0), (n_tokens, dim)))  # zeros that take no memory
        else:
            forms = tokens[part]
            if folded:
                forms = [[form.casefold() for form in sentence] for sentence in forms]
            vectors = [
                np.asarray(one)[-1].astype(np.float32) if top else np.asarray(one).mean(axis=0, dtype=np.float32)
                for one in layers[part]
            ]
            found += contexts_of(forms, vectors, window)
    return found
