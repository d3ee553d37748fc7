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
    sentence_of = np.repeat(np.arange(len(tokens)), lengths)
    sums, n = elsewhere(np.concatenate(vectors), types, sentence_of, window)
    means = np.where(n[:, None] > 0, sums / np.maximum(n, 1)[:, None], 0.0).astype(np.float16)
    return list(np.split(means, np.cumsum(lengths)[:-1]))


def elsewhere(
    rows: np.ndarray, types: np.ndarray, sentence_of: np.ndarray, window: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """For each token of a document, what stands at tokens of the same type in other sentences.

    Args:
        rows: ``(tokens, dim)``.
        types: a number of each token's form.
        sentence_of: the number of its sentence.
        window: as in :func:`contexts_of`.

    Returns:
        The sum of their rows, ``(tokens, dim)`` float64, and how many they are, ``(tokens,)``.
    """
    n_sentences = int(sentence_of.max()) + 1
    near = n_sentences if window is None else window
    # A place is a form in a sentence; those of a form stand together, in the order of its sentences.
    places, place_of, n_at = np.unique(types * n_sentences + sentence_of, return_inverse=True, return_counts=True)
    at = _sums(rows, place_of, len(places))
    type_of, own = np.divmod(places, n_sentences)
    begins = np.searchsorted(places, type_of * n_sentences + np.maximum(own - near, 0))
    ends = np.searchsorted(places, type_of * n_sentences + np.minimum(own + near, n_sentences - 1), side="right")
    # Entry i of a running sum is that of the places before i; what the own sentence has is taken away.
    running = np.concatenate([np.zeros((1, at.shape[1])), np.cumsum(at, axis=0)])
    n_running = np.concatenate([[0], np.cumsum(n_at)])
    sums = running[ends] - running[begins] - at
    return sums[place_of], (n_running[ends] - n_running[begins] - n_at)[place_of]


def _sums(rows: np.ndarray, groups: np.ndarray, n: int) -> np.ndarray:
    """The sums of the rows of each group, ``(n, dim)`` float64; each group has one."""
    order = np.argsort(groups, kind="stable")
    begins = np.searchsorted(groups[order], np.arange(n))
    return np.add.reduceat(rows[order], begins, axis=0, dtype=np.float64)


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
) -> list[np.ndarray]:
    """The context of every token of many documents, from the mean of its biLM layers.

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
            means = [np.asarray(one).mean(axis=0, dtype=np.float32) for one in layers[part]]
            found += contexts_of(forms, means, window)
    return found
