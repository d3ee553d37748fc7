"""Vectors of forms: each computed once, whoever asks, and never more than fit."""

from __future__ import annotations

import pickle
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from ner_elmo.nn import form_vectors
from ner_elmo.nn.form_vectors import FormVectors

asked: Counter[str] = Counter()


def lengths_of(forms: list[str]) -> Tensor:
    asked.update(forms)
    return torch.tensor([[float(len(form)), float(ord(form[0]))] for form in forms])


@pytest.fixture(autouse=True)
def _nothing_asked() -> None:
    asked.clear()


def vectors_of(table: FormVectors, sentences: list[list[str]]) -> list[Tensor]:
    rows, places = table.rows_of(sentences)
    return [rows[of_sentence] for of_sentence in places]


def test_each_form_is_computed_once() -> None:
    table = FormVectors(lengths_of, 2, 1 << 20)
    sentences = [["a", "bb", "a"], [], ["bb", "ccc"]]
    for _ in range(2):
        for found, forms in zip(vectors_of(table, sentences), sentences, strict=True):
            assert found.tolist() == [[len(form), ord(form[0])] for form in forms]
    assert asked == {"a": 1, "bb": 1, "ccc": 1}


def test_a_full_table_begins_anew_and_what_was_given_out_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form_vectors, "LEAST_ROWS", 4)
    known = ["k"], torch.tensor([[7.0, 8.0]])
    table = FormVectors(lengths_of, 2, 0, known=known)
    rows, (places,) = table.rows_of([["k", "a", "b", "c", "d"]])
    before = rows[places].clone()
    assert vectors_of(table, [["e", "k", "f"]])[0].tolist() == [[1.0, ord("e")], [7.0, 8.0], [1.0, ord("f")]]
    assert len(table._table.index) == 3  # "k" stays, "a" to "d" have gone
    assert torch.equal(rows[places], before)
    assert "k" not in asked
    # More at once than are kept are computed all the same.
    assert len(vectors_of(table, [[chr(n) for n in range(200, 300)]])[0]) == 100


def test_rows_may_be_asked_for_in_any_mode_of_torch() -> None:
    table = FormVectors(lengths_of, 2, 1 << 20)
    with torch.inference_mode():
        vectors_of(table, [["a"]])
    with torch.no_grad():
        vectors_of(table, [["bb"]])
    assert vectors_of(table, [["a", "bb", "c"]])[0].tolist() == [[1.0, 97.0], [2.0, 98.0], [1.0, 99.0]]


def test_threads_get_what_one_thread_gets() -> None:
    table = FormVectors(lengths_of, 2, 1 << 20)
    sentences = [[chr(97 + (7 * n + k) % 2000) * (1 + k % 3) for k in range(50)] for n in range(200)]
    with ThreadPoolExecutor(8) as pool:
        for found, forms in zip(pool.map(lambda one: vectors_of(table, [one])[0], sentences), sentences, strict=True):
            assert found.tolist() == [[len(form), ord(form[0])] for form in forms]
    assert set(asked.values()) == {1}


def test_a_copy_begins_with_what_is_known() -> None:
    table = FormVectors(lengths_of, 2, 1 << 20, known=(["k"], torch.tensor([[7.0, 8.0]])))
    vectors_of(table, [["a"]])
    copied = pickle.loads(pickle.dumps(table))
    assert list(copied._table.index) == ["k"]
    assert vectors_of(copied, [["a", "k"]])[0].tolist() == [[1.0, 97.0], [7.0, 8.0]]
