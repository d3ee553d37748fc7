"""Tag schemes: what each allows, and spans there and back."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.errors import UsageError
from ner_elmo.text import tag_scheme
from ner_elmo.text.tag_scheme import SCHEMES, Span
from tests.support.conlleval_twin import chunks

PREFIXED = [scheme for scheme in SCHEMES if scheme != "none"]
ANY_TAG = st.sampled_from(["O", *(f"{prefix}-{label}" for prefix in "BIMELSU" for label in ("PER", "LOC"))])


@st.composite
def labelled_sentences(draw: st.DrawFn) -> tuple[list[Span], int]:
    """Spans that do not overlap, and the number of tokens of their sentence."""
    spans, position = [], 0
    for _ in range(draw(st.integers(0, 5))):
        start = position + draw(st.integers(0, 2))
        position = start + draw(st.integers(1, 4))
        spans.append(Span(start, position, draw(st.sampled_from(["PER", "LOC", "PER.NOM", "creative-work"]))))
    return spans, position + draw(st.integers(0, 2))


@pytest.mark.parametrize("scheme", PREFIXED)
@given(sentence=labelled_sentences())
def test_written_spans_are_read_back(scheme: str, sentence: tuple[list[Span], int]) -> None:
    spans, n_tokens = sentence
    tags = tag_scheme.tags(spans, n_tokens, scheme)
    assert len(tags) == n_tokens
    assert tag_scheme.spans(tags) == spans
    assert tag_scheme.ill_formed(tags, scheme) == []


@given(st.lists(ANY_TAG, max_size=12))
def test_any_mixture_is_read_as_by_conlleval(tags: list[str]) -> None:
    assert tag_scheme.spans(tags) == chunks(tags)


@pytest.mark.parametrize("scheme", PREFIXED)
def test_a_sequence_is_allowed_exactly_if_it_is_what_the_scheme_writes(scheme: str) -> None:
    tag_set = tag_scheme.tag_set(["PER", "LOC"], scheme)
    for length in range(5):
        for sequence in product(tag_set, repeat=length):
            path = [None, *sequence, None]
            allowed = all(tag_scheme.allowed(a, b, scheme) for a, b in pairwise(path))
            canonical = tag_scheme.tags(tag_scheme.spans(sequence), length, scheme)
            assert allowed == (canonical == list(sequence)), sequence


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("iob1", "I-A I-A B-A I-B O"),
        ("iob2", "B-A I-A B-A B-B O"),
        ("bioes", "B-A E-A S-A S-B O"),
        ("bmes", "B-A E-A S-A S-B O"),
        ("bilou", "B-A E-A S-A S-B O"),
        ("none", "A A A B O"),
    ],
)
def test_each_scheme_by_hand(scheme: str, expected: str) -> None:
    spans = [Span(0, 2, "A"), Span(2, 3, "A"), Span(3, 4, "B")]
    assert tag_scheme.tags(spans, 5, scheme) == expected.split()


def test_tags_without_prefixes_are_read_in_runs() -> None:
    assert tag_scheme.spans(["PER", "PER", "O", "LOC"]) == [Span(0, 2, "PER"), Span(3, 4, "LOC")]


@pytest.mark.parametrize("spans", [[Span(0, 2, "A"), Span(1, 3, "B")], [Span(2, 4, "A")], [Span(1, 1, "A")]])
def test_impossible_spans_are_refused(spans: list[Span]) -> None:
    with pytest.raises(ValueError, match="overlaps"):
        tag_scheme.tags(spans, 3, "iob2")


def test_ill_formed_tags_are_those_that_would_be_written_differently() -> None:
    assert tag_scheme.ill_formed(["I-PER", "I-PER", "O"], "iob2") == [0]
    assert tag_scheme.ill_formed(["B-PER", "O"], "iob1") == [0]
    assert tag_scheme.ill_formed(["B-PER", "I-PER", "O"], "bioes") == [1]
    assert tag_scheme.ill_formed(["B-PER", "L-PER", "U-PER"], "bioes") == []


def test_tag_set_has_outside_first_then_labels_in_order() -> None:
    assert tag_scheme.tag_set(["B", "A"], "bioes") == ["O", "B-A", "I-A", "E-A", "S-A", "B-B", "I-B", "E-B", "S-B"]
    assert tag_scheme.tag_set(["B", "A"], "none") == ["O", "A", "B"]


@pytest.mark.parametrize(
    ("scheme", "lines"),
    [
        ("iob1", ["I-A I-A B-A O", "O I-B"]),
        ("iob2", ["B-A I-A B-A O", "O B-B"]),
        ("iob2", ["B-A I-A O", "I-A O", "B-B I-B O B-B"]),  # one mistake does not make it IOB1
        ("bioes", ["B-A E-A S-A O"]),
        ("bioes", ["B-A I-A L-A U-A O"]),
        ("bmes", ["B-A M-A E-A S-A O"]),
        ("iob2", ["O O"]),
        ("none", ["A A O B"]),
    ],
)
def test_the_scheme_is_found_from_all_sentences(scheme: str, lines: list[str]) -> None:
    assert tag_scheme.detect(line.split() for line in lines).scheme == scheme


def test_detection_counts_tags_of_no_scheme() -> None:
    assert tag_scheme.detect([["B-A", "B_A", "B_A", "PER"]]).unknown == {"B_A": 2, "PER": 1}


def test_names_and_aliases() -> None:
    assert [tag_scheme.canonical_name(name) for name in ("BIO", "iobes", "BILOU", "IOB1")] == [
        "iob2",
        "bioes",
        "bioes",
        "iob1",
    ]
    with pytest.raises(UsageError, match=r"unknown tag scheme 'xml'; expected one of iob1, iob2"):
        tag_scheme.canonical_name("xml")
