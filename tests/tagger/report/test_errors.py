"""Confusion, lengths and recurring errors add up to the counts of the evaluation."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.tagger.report.errors import (
    LENGTHS,
    Pair,
    Recurring,
    align,
    confusion,
    count_kinds,
    counts_by_length,
    recurring_errors,
)
from ner_elmo.tagger.report.scores import count, total
from ner_elmo.text.formats.corpus import LabelledSentence
from ner_elmo.text.tag_scheme import Span, spans

TAGS = st.lists(st.sampled_from(["O", "O", "B-X", "I-X", "B-Y", "I-Y", "B-Z"]), min_size=8, max_size=8).map(spans)
CORPUS = st.lists(st.tuples(TAGS, TAGS), max_size=5)


@given(CORPUS)
def test_every_table_adds_up(pairs: list[tuple[list[Span], list[Span]]]) -> None:
    gold, predicted = [a for a, _ in pairs], [b for _, b in pairs]
    counts = count(gold, predicted)
    found = confusion(gold, predicted)
    labels, tables = found["labels"], (found["same_bounds"], found["other_bounds"])
    for i, label in enumerate(labels):
        n_gold = sum(span.label == label for sentence in gold for span in sentence)
        n_predicted = sum(span.label == label for sentence in predicted for span in sentence)
        assert sum(sum(table[i]) for table in tables) + found["missed"][i] == n_gold
        assert sum(row[i] for table in tables for row in table) + found["spurious"][i] == n_predicted
    correct = total(counts).correct
    assert sum(found["same_bounds"][i][i] for i in range(len(labels))) == correct

    by_length = counts_by_length(gold, predicted)
    assert list(by_length) == list(LENGTHS)
    assert tuple(map(sum, zip(*by_length.values(), strict=True))) == total(counts)

    sentences = [LabelledSentence(("w",) * 8, tuple(spans)) for spans in gold]
    kinds = count_kinds(sentences, predicted)
    same_label = sum(found["other_bounds"][i][i] for i in range(len(labels)))
    both = sum(sum(row) for table in tables for row in table)
    assert kinds == {
        "missed": sum(found["missed"]),
        "spurious": sum(found["spurious"]),
        "wrong label": both - correct - same_label,
        "wrong bounds": same_label,
    }
    recurring = recurring_errors(sentences, predicted, n_most=10**6)
    assert sum(error.number for error in recurring) == sum(kinds.values())
    assert [Recurring.from_dict(error.as_dict()) for error in recurring] == recurring


@given(TAGS, TAGS)
def test_each_entity_is_in_one_pair(gold: list[Span], predicted: list[Span]) -> None:
    pairs = align(gold, predicted)
    assert [pair.gold for pair in pairs if pair.gold] == gold
    assert sorted(pair.predicted for pair in pairs if pair.predicted) == sorted(predicted)
    for one, other in pairs:
        if one and other:
            assert one.start < other.end
            assert other.start < one.end
    assert {pair.gold for pair in pairs if not pair.kind} == set(gold) & set(predicted)


def test_the_best_partner_is_taken() -> None:
    gold = [Span(0, 4, "X"), Span(5, 6, "X")]
    predicted = [Span(0, 1, "X"), Span(1, 4, "Y"), Span(5, 6, "Y")]
    assert align(gold, predicted) == [
        Pair(gold[0], predicted[1]),
        Pair(gold[1], predicted[2]),
        Pair(None, predicted[0]),
    ]
    assert [pair.kind for pair in align(gold, predicted)] == ["wrong label", "wrong label", "spurious"]
    assert Pair(Span(0, 2, "X"), Span(0, 1, "X")).kind == "wrong bounds"
    assert Pair(Span(0, 2, "X"), None).kind == "missed"


def test_a_sentence_of_very_many_entities_takes_no_longer_for_each() -> None:
    gold = [Span(3 * i, 3 * i + 2, "X") for i in range(30_000)]
    predicted = [Span(3 * i + 1, 3 * i + 3, "X") for i in range(30_000)]
    started = time.process_time()
    assert all(one and other and one.start + 1 == other.start for one, other in align(gold, predicted))
    assert time.process_time() - started < 10  # each held to each took minutes


def test_lengths() -> None:
    gold = [[Span(0, 1, "X"), Span(1, 8, "X"), Span(8, 13, "X")]]
    predicted = [[Span(0, 1, "Y"), Span(1, 8, "X"), Span(8, 10, "X")]]
    assert counts_by_length(gold, predicted) == {
        "1": [1, 1, 0], "2": [0, 1, 0], "3": [0, 0, 0], "4": [0, 0, 0], "5+": [2, 1, 1]
    }  # fmt: skip


def test_errors_are_grouped_by_kind_words_and_labels() -> None:
    def sentence(*tokens: str) -> LabelledSentence:
        return LabelledSentence(tokens, (Span(0, 1, "ORG"),))

    sentences = [sentence("Bonn", "won"), sentence("Bonn", "lost"), sentence("Bonn", "won"), sentence("Ajax", "won")]
    as_place = [Span(0, 1, "LOC")]
    errors = recurring_errors(sentences, [as_place, as_place, as_place, []], n_examples=2)
    assert [(e.number, e.kind, e.text, e.gold_label, e.predicted_label) for e in errors] == [
        (3, "wrong label", "Bonn", "ORG", "LOC"),
        (1, "missed", "Ajax", "ORG", ""),
    ]
    assert [example.tokens for example in errors[0].examples] == [("Bonn", "won"), ("Bonn", "lost")]
    assert recurring_errors(sentences, [as_place, as_place, as_place, []], n_most=1) == errors[:1]
    with pytest.raises(ValueError, match="zip"):
        recurring_errors(sentences, [])


def test_of_very_many_labels_the_most_frequent_have_rows() -> None:
    gold = [[Span(n, n + 1, f"L{n:04d}") for n in range(5000)], *[[Span(0, 1, "L0007")]] * 3]
    predicted = [[Span(n, n + 1, "L0007") for n in range(5000)], *[[]] * 3]
    found = confusion(gold, predicted)
    size = len(found["labels"]) + 1
    assert (size, found["together"]) == (51, 4950)
    assert all(len(row) == size for name in ("same_bounds", "other_bounds") for row in found[name])
    column = found["labels"].index("L0007")
    assert sum(row[column] for row in found["same_bounds"]) == 5000
    assert found["same_bounds"][-1][column] == 4950
    assert found["missed"] == [3 if n == column else 0 for n in range(size)]
    assert len(json.dumps(found)) < 30_000
