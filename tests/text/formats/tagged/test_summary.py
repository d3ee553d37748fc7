"""The summary of what was found."""

from __future__ import annotations

from ner_elmo.text.documents import Failure
from ner_elmo.text.formats.tagged.summary import Summary
from tests.support.tagged_documents import document_of


def test_counts_and_the_most_frequent() -> None:
    summary = Summary()
    documents = [
        document_of(*([("Ann", "PER"), " "] * 12), ("Bonn\nam Rhein", "LOC")),
        document_of("nothing"),
        Failure("x", "broken"),
        document_of(("\x1b[31mred", "LOC")),
    ]
    assert list(summary.passing(documents)) == documents
    assert summary.lines() == [
        "3 texts, 1 of them without entities; 14 entities; 1 texts could not be tagged",
        "",
        "times  label",
        "   12  PER",
        "    2  LOC",
        "",
        "times  most frequent",
        "   12  Ann  (PER)",
        "    1  \\x1b[31mred  (LOC)",
        "    1  Bonn am Rhein  (LOC)",
    ]


def test_it_is_lazy() -> None:
    summary = Summary()
    stream = summary.passing(document_of(("Ann", "PER")) for _ in range(10))
    next(iter(stream))
    assert summary.n_texts == 1


def test_nothing_found() -> None:
    assert Summary().lines() == ["0 texts, 0 of them without entities; 0 entities"]


def test_a_long_entity_and_many_of_them() -> None:
    summary = Summary()
    documents = [document_of(("a" * 500, "X")), *(document_of((f"n{number}", "X")) for number in range(50))]
    for _ in summary.passing(documents):
        pass
    lines = summary.lines()
    assert len(lines) == 2 + 2 + 2 + 20
    assert max(map(len, lines)) < 80
