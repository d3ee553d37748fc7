"""What a document says of a token elsewhere, beside a slow and obvious twin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.tagger.network import context
from ner_elmo.tagger.network.context import contexts_of, document_contexts, in_whole_documents

DIM = 3
SENTENCES = st.lists(st.lists(st.sampled_from("abcd"), max_size=5), max_size=6)


def vectors_of(tokens: Sequence[Sequence[str]], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(len(sentence), DIM)).astype(np.float32) for sentence in tokens]


def twin(tokens: Sequence[Sequence[str]], vectors: Sequence[np.ndarray], window: int | None = None) -> list[np.ndarray]:
    found = []
    for here, sentence in enumerate(tokens):
        rows = np.zeros((len(sentence), DIM))
        for place, form in enumerate(sentence):
            elsewhere = [
                vectors[there][at]
                for there, other in enumerate(tokens)
                for at, token in enumerate(other)
                if there != here and token == form and (window is None or abs(there - here) <= window)
            ]
            if elsewhere:
                rows[place] = np.mean(elsewhere, axis=0)
        found.append(rows)
    return found


@given(SENTENCES, st.integers(0, 3), st.none() | st.integers(1, 8))
def test_as_the_twin(tokens: list[list[str]], seed: int, window: int | None) -> None:
    vectors = vectors_of(tokens, seed)
    found, expected = contexts_of(tokens, vectors, window), twin(tokens, vectors, window)
    assert len(found) == len(tokens)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.float16
        np.testing.assert_allclose(one, other, atol=2e-3)


@given(SENTENCES, SENTENCES)
def test_a_document_depends_on_nothing_beside_it(one: list[list[str]], other: list[list[str]]) -> None:
    layers = [v[None] for v in vectors_of([*one, *other])]
    numbers = [1] * len(one) + [2] * len(other)
    together = document_contexts([*one, *other], numbers, layers)
    alone = document_contexts(other, [7] * len(other), layers[len(one) :])
    for a, b in zip(together[len(one) :], alone, strict=True):
        np.testing.assert_array_equal(a, b)


FORMS = st.lists(
    st.lists(st.sampled_from(["ESSEX", "Essex", "essex", "Straße", "STRASSE", "b"]), max_size=5), max_size=6
)


@given(FORMS)
def test_folded_forms_differ_in_capitals_alone(tokens: list[list[str]]) -> None:
    vectors = vectors_of(tokens)
    numbers, layers = [1] * len(tokens), [v[None] for v in vectors]
    folded = twin([[form.casefold() for form in sentence] for sentence in tokens], vectors)
    for found, expected in (
        (document_contexts(tokens, numbers, layers, folded=True), folded),
        (document_contexts(tokens, numbers, layers), twin(tokens, vectors)),
    ):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-3)


def test_of_several_layers_the_mean_or_the_top_one() -> None:
    tokens = [["Kew", "won"], ["Kew", "Kew", "lost"]]
    low = vectors_of(tokens)
    high = [2 * one + 1 for one in low]
    layers = [np.stack(both) for both in zip(low, high, strict=True)]
    middle = [(one + other) / 2 for one, other in zip(low, high, strict=True)]
    for top, wanted in ((True, high), (False, middle)):
        found = document_contexts(tokens, [1, 1], layers, top=top)
        for one, other in zip(found, document_contexts(tokens, [1, 1], [v[None] for v in wanted]), strict=True):
            np.testing.assert_allclose(one, other, atol=2e-3, rtol=2e-3)


def test_sentences_of_no_document_have_none() -> None:
    tokens = [["a"], ["a"], ["a"], ["a"]]
    found = document_contexts(tokens, [None, None, 1, 1], [v[None] for v in vectors_of(tokens)])
    assert [bool(one.any()) for one in found] == [False, False, True, True]


def test_a_document_that_is_too_long_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "LONGEST", 2)
    tokens = [["a"], ["a"], ["a"], ["a", "b", "c"], ["a"]]
    found = document_contexts(tokens, [1] * 5, [v[None] for v in vectors_of(tokens)])
    assert [bool(one.any()) for one in found] == [True, True, False, False, False]


@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from([None, 1, 2])), max_size=20),
    st.integers(1, 8),
    st.integers(1, 12),
)
def test_chunks_end_where_a_document_ends(sizes: list[tuple[int, int | None]], most: int, longest: int) -> None:
    """Contexts are the same chunk by chunk, wherever the chunks end."""
    items = [(["a"] * size, number) for size, number in sizes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "LONGEST", longest)
        chunks = list(in_whole_documents(items, most))
        assert [item for chunk in chunks for item in chunk] == items
        tokens, numbers = [item[0] for item in items], [item[1] for item in items]
        layers = [v[None] for v in vectors_of(tokens)]
        whole = document_contexts(tokens, numbers, layers)
        start = 0
        for chunk in chunks:
            end = start + len(chunk)
            part = document_contexts([item[0] for item in chunk], [item[1] for item in chunk], layers[start:end])
            for a, b in zip(whole[start:end], part, strict=True):
                np.testing.assert_array_equal(a, b)
            start = end
