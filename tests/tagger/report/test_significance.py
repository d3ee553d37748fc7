"""The bootstrap against a loop over the same drawings, and on cases whose answer is known."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ner_elmo.tagger.report.scores import Counts, SentenceCounts, total, total_by_label
from ner_elmo.tagger.report.significance import f1_intervals, paired_bootstrap, resamples

COUNTS = st.integers(0, 4).flatmap(
    lambda correct: st.builds(Counts, st.integers(correct, 6), st.integers(correct, 6), st.just(correct))
)
SENTENCES = st.lists(st.dictionaries(st.sampled_from(["A", "B"]), COUNTS, max_size=2), min_size=1, max_size=12)


def drawn_sentences(sentences: list[SentenceCounts], times: np.ndarray) -> list[SentenceCounts]:
    return [sentence for sentence, n in zip(sentences, times, strict=True) for _ in range(n)]


@settings(max_examples=30, deadline=None)
@given(SENTENCES)
def test_intervals_equal_those_of_a_loop(sentences: list[SentenceCounts]) -> None:
    found = f1_intervals(sentences, n_resamples=40, seed=7)
    overall, by_label = [], {label: [] for sentence in sentences for label in sentence}  # type: ignore[var-annotated]
    for times in resamples(len(sentences), 40, seed=7):
        drawn = drawn_sentences(sentences, times)
        overall.append(total(drawn).f1)
        totals = total_by_label(drawn)
        for label, values in by_label.items():
            values.append(totals.get(label, Counts()).f1)
    assert found["f1"] == pytest.approx(list(np.percentile(overall, [2.5, 97.5])))
    assert set(found["labels"]) == set(by_label)
    for label, values in by_label.items():
        assert found["labels"][label] == pytest.approx(list(np.percentile(values, [2.5, 97.5])))


def test_each_drawing_has_as_many_sentences_and_a_seed_fixes_them() -> None:
    one, again, other = (list(resamples(50, 20, seed)) for seed in (1, 1, 2))
    assert all(times.sum() == 50 for times in one)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@settings(max_examples=20, deadline=None)
@given(SENTENCES, SENTENCES)
def test_the_paired_test_equals_a_loop(first: list[SentenceCounts], second: list[SentenceCounts]) -> None:
    n = min(len(first), len(second))
    first, second = first[:n], second[:n]
    found = paired_bootstrap(first, second, n_resamples=50, seed=3)
    observed = total(second).f1 - total(first).f1
    differences = [
        total(drawn_sentences(second, times)).f1 - total(drawn_sentences(first, times)).f1
        for times in resamples(n, 50, seed=3)
    ]
    as_large = sum(abs(d - observed) >= abs(observed) - 1e-9 for d in differences)
    assert found.difference == pytest.approx(observed)
    assert found.p == pytest.approx((1 + as_large) / 51)
    assert [found.low, found.high] == pytest.approx(list(np.percentile(differences, [2.5, 97.5])))


def run_of(n: int, right: float, seed: int) -> list[SentenceCounts]:
    rng = random.Random(seed)
    return [{"A": Counts(2, 2, sum(rng.random() < right for _ in range(2)))} for _ in range(n)]


def test_the_same_run_twice_is_no_difference() -> None:
    one = run_of(200, 0.8, 1)
    assert paired_bootstrap(one, one, 200) == (0, 0, 0, 1.0)


def test_better_on_every_sentence_is_significant_in_either_order() -> None:
    worse: list[SentenceCounts] = [{"A": Counts(2, 2, 1)} for _ in range(200)]
    better: list[SentenceCounts] = [{"A": Counts(2, 2, 2)} for _ in range(200)]
    for pair, sign in (((worse, better), 1), ((better, worse), -1)):
        found = paired_bootstrap(*pair, 999)
        assert found.difference == sign * 0.5
        assert found.p == pytest.approx(1 / 1000)


def test_p_tells_a_clear_difference_from_chance() -> None:
    base, slightly, clearly = run_of(400, 0.80, 1), run_of(400, 0.80, 2), run_of(400, 0.90, 3)
    assert paired_bootstrap(base, slightly, 500).p > 0.05
    assert paired_bootstrap(base, clearly, 500).p < 0.01


def test_as_many_sentences_are_expected() -> None:
    one = run_of(3, 0.5, 1)
    for pair in ((one, one[:2]), ([], [])):
        with pytest.raises(ValueError, match="expected as many of both"):
            paired_bootstrap(*pair)
    assert f1_intervals([]) == {}
    assert paired_bootstrap([{}, {}], [{}, {}], 10).p == 1.0


def test_of_very_many_labels_the_most_frequent_have_intervals() -> None:
    sentences = [{f"L{n:04d}": Counts(2 if n == 9 else 1, 1, n % 2)} for n in range(1000)]
    found = f1_intervals(sentences, 50)
    assert (len(found["labels"]), "L0009" in found["labels"]) == (50, True)
    alone: list[SentenceCounts] = [{"one": counts} for sentence in sentences for counts in sentence.values()]
    assert found["f1"] == f1_intervals(alone, 50)["f1"]
