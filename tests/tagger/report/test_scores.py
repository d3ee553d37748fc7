"""Precision, recall and F1, held to seqeval and to conlleval's rules."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2

from ner_elmo.tagger.report.scores import Counts, accuracy, count, counts_as_data, scores, seqeval_report, total
from ner_elmo.text.tag_scheme import Span, spans, tags
from tests.support.conlleval_twin import chunks

LENGTH = 6
tag_lists = st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-a-b", "I-a-b"]), min_size=LENGTH, max_size=LENGTH)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(tag_lists, tag_lists), min_size=1, max_size=5))
def test_our_figures_are_those_of_seqeval(pairs: list[tuple[list[str], list[str]]]) -> None:
    gold, predicted = [spans(a) for a, _ in pairs], [spans(b) for _, b in pairs]
    if not any(gold) and not any(predicted):
        assert seqeval_report(gold, predicted, [LENGTH] * len(pairs)).startswith("no entities")
        return
    theirs = classification_report(
        [tags(sentence, LENGTH, "iob2") for sentence in gold],
        [tags(sentence, LENGTH, "iob2") for sentence in predicted],
        output_dict=True,
        zero_division=0,
    )
    ours = scores(count(gold, predicted))
    assert {name: ours[name] for name in ("precision", "recall")} == pytest.approx(
        {name: theirs["micro avg"][name] for name in ("precision", "recall")}
    )
    assert ours["f1"] == pytest.approx(theirs["micro avg"]["f1-score"])
    for label, row in ours["labels"].items():
        assert row["f1"] == pytest.approx(theirs[label]["f1-score"])
        assert row["support"] == theirs[label]["support"]


def test_seqevals_traps_change_nothing() -> None:
    """Orphan I-, an unclosed B and neighbouring U- are read as spans first: no tags that seqeval reads otherwise."""
    gold = [spans(["U-PER", "U-PER", "O"]), spans(["B-LOC", "L-LOC", "O"])]
    predicted = [spans(["I-PER", "I-PER", "O"]), spans(["B-LOC", "I-LOC", "O"])]
    assert gold[0] == [Span(0, 1, "PER"), Span(1, 2, "PER")]
    assert total(count(gold, predicted)) == Counts(gold=3, predicted=2, correct=1)
    assert "micro avg     0.5000    0.3333    0.4000         3" in seqeval_report(gold, predicted, [3, 3])


def test_sentence_counts_add_up() -> None:
    rng = random.Random(0)
    gold = [[Span(i, i + 1, rng.choice("AB")) for i in range(3)] for _ in range(20)]
    predicted = [[Span(i, i + rng.randint(1, 2), rng.choice("AB")) for i in range(0, 3, 2)] for _ in range(20)]
    counts = count(gold, predicted)
    data = counts_as_data(counts)
    assert sum(row[0] for sentence in data for row in sentence.values()) == 60
    overall = total(counts)
    assert overall.gold == 60
    assert overall.predicted == 40
    assert scores(counts)["precision"] == overall.correct / 40
    assert scores([])["f1"] == 0.0


LABELLED = st.lists(
    st.lists(
        st.sampled_from(["O", *(f"{p}-{label}" for p in "BIESMLU" for label in ("X", "Y"))]), min_size=1, max_size=9
    ),
    min_size=1,
    max_size=4,
)


@given(gold=LABELLED, seed=st.randoms(use_true_random=False))
def test_figures_equal_seqeval_in_strict_mode_and_conlleval(gold: list[list[str]], seed: random.Random) -> None:
    """On any tags, ill-formed ones too: ours, conlleval's twin, and seqeval (strict) on canonical tags."""
    predicted = [[tag if seed.random() < 0.7 else seed.choice(["O", "B-X", "I-X", "E-Y"]) for tag in s] for s in gold]
    ours = total(count(*([spans(found) for found in part] for part in (gold, predicted))))
    twin = [{(n, *chunk) for n, found in enumerate(part) for chunk in chunks(found)} for part in (gold, predicted)]
    true, guessed = twin
    assert ours == (len(true), len(guessed), len(true & guessed))
    canonical = [[tags(spans(found), len(found), "iob2") for found in part] for part in (gold, predicted)]
    if true and guessed:
        precision, recall, f1, _ = precision_recall_fscore_support(
            *canonical, average="micro", scheme=IOB2, zero_division=0
        )
        assert (ours.precision, ours.recall, ours.f1) == pytest.approx((precision, recall, f1))


def test_as_many_sentences_are_expected_of_both() -> None:
    with pytest.raises(ValueError, match="1 predicted sentences, expected as many as in the gold standard: 2"):
        count([[], []], [[]])


def test_accuracy_counts_tokens() -> None:
    gold, found = [[Span(0, 2, "A")], [Span(0, 1, "B")]], [[Span(0, 1, "A")], []]
    assert accuracy(gold, found, [3, 2]) == pytest.approx(3 / 5)
    assert accuracy([[]], [[]], [0]) == 0
