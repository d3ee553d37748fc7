"""Tagging text: offsets, scores, units as they come, whatever the text."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ner_elmo.bilm.files import directory
from ner_elmo.errors import UsageError, WrongTypeError
from ner_elmo.tagger.tagger import Failure, Tagger, find_model, name_of_model
from ner_elmo.text.documents import Document
from tests.support.marginals import token_marginals


@pytest.fixture(scope="module")
def tagger(trained: Path) -> Tagger:
    return Tagger.load(trained)


def test_a_text(tagger: Tagger) -> None:
    document = tagger.tag("  Ann Smith sees Rome City today.\n\nBob visits Oslo.")
    assert [(entity.text, entity.label) for entity in document.entities] == [
        ("Ann Smith", "PER"),
        ("Rome City", "LOC"),
        ("Bob", "PER"),
        ("Oslo", "LOC"),
    ]
    assert all(document.text[entity.start : entity.end] == entity.text for entity in document.entities)
    assert all(0.3 < entity.score <= 1 for entity in document.entities)
    assert tagger.labels == ["LOC", "PER"]


def test_scores_are_the_share_of_tag_sequences_that_hold_the_span(tagger: Tagger) -> None:
    """By sampling nothing: the token marginals of a span's tags bound its probability, and one token's equals it."""
    from ner_elmo.tagger.network.inputs import Example, collate, elmo_layers

    tokens = ["Ann", "sees", "Rome"]
    (found,) = tagger.tag_tokens([tokens])
    assert tagger.elmo is not None
    (layers,) = elmo_layers(tagger.elmo, [tokens], [0, 1, 2], average=False)
    batch = collate([Example(tuple(tokens), tagger.words.indices(tokens), layers)])
    with torch.no_grad():  # as the tagger computes
        emissions = tagger.model(batch)
    marginals = token_marginals(tagger.model.crf, emissions, batch.mask)[0]
    assert [span for span, _ in found] == [(0, 1, "PER"), (2, 3, "LOC")]
    for span, score in found:
        assert score == pytest.approx(
            float(marginals[span.start, tagger.model.options.tags.index(f"S-{span.label}")]), abs=1e-5
        )


def test_many_units_in_order_and_the_same_as_alone(tagger: Tagger) -> None:
    units = [
        "Ann sees Rome.",
        "",
        "Bob Smith leaves Lima City today today .",
        ["Eva", "visits", "Bonn"],
        [],
        " \n ",
    ] * 7
    together = list(tagger.tag(units))
    assert [document.text for document in together[:6]] == [*units[:3], "Eva visits Bonn", "", " \n "]
    for unit, document in zip(units[:6], together, strict=False):
        alone = next(tagger.tag([unit]))
        assert alone.sentences == document.sentences
        assert [entity.text for entity in alone.entities] == [entity.text for entity in document.entities]
        for one, other in zip(alone.entities, document.entities, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-4)
    assert [entity.text for entity in together[3].entities] == ["Eva", "Bonn"]


def test_without_scores_the_entities_are_the_same(tagger: Tagger) -> None:
    units = ["Ann sees Rome.", "", ["Bob", "leaves", "Oslo"]]
    for one, other in zip(tagger.tag(units), tagger.tag(units, scores=False), strict=True):
        assert [replace(entity, score=None) for entity in one.entities] == other.entities
    assert [entity.score for entity in tagger.tag("Ann sees Rome.", scores=False).entities] == [None, None]


def test_a_temperature_makes_scores_less_extreme_and_changes_no_entity(trained: Path) -> None:
    tagger = Tagger.load(trained)
    tokens = ["Ann", "Smith", "sees", "Rome", "today", "."]
    (before,) = tagger.tag_tokens([tokens])
    tagger.temperature = 5.0
    (after,) = tagger.tag_tokens([tokens])
    assert [span for span, _ in before] == [span for span, _ in after]
    assert all(a > b for (_, a), (_, b) in zip(before, after, strict=True))


def test_tokenized_lines_keep_their_tokens_and_offsets(tagger: Tagger) -> None:
    document = tagger.tag("Ann  sees\tRome .\nBob,  leaves", tokenized=True)
    assert [[token.form for token in sentence] for sentence in document.sentences] == [
        ["Ann", "sees", "Rome", "."],
        ["Bob,", "leaves"],
    ]
    assert [document.text[entity.start : entity.end] for entity in document.entities][:2] == ["Ann", "Rome"]


def test_units_are_read_only_as_needed(tagger: Tagger) -> None:
    read = 0

    def units() -> Iterator[str]:
        nonlocal read
        for _ in range(10**9):
            read += 1
            yield "Ann sees Rome. " * 50

    first = next(tagger.tag(units()))
    assert len(first.entities) == 100
    assert read < 200


def test_a_long_sentence_is_no_trouble(tagger: Tagger) -> None:
    (found,) = tagger.tag_tokens([["Ann", "sees", "Rome", "."] * 700])
    assert {span.start // 4 for span, _ in found} == set(range(700))  # each of the sentences has something
    assert all(math.isfinite(score) for _, score in found)


def test_one_bad_unit_does_not_end_the_others(tagger: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = tagger._read

    def read(unit: str, tokenized: bool) -> Document:
        if unit == "bad":
            raise RuntimeError("no memory for this one")
        return honest(unit, tokenized)

    monkeypatch.setattr(tagger, "_read", read)
    results = list(tagger.tag_each(["Ann sees Rome.", "bad", "Bob leaves Oslo."]))
    assert results[1] == Failure("bad", "no memory for this one")
    assert [len(result.entities) for result in results if isinstance(result, Document)] == [2, 2]


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_can_be_tagged(tagger: Tagger, text: str) -> None:
    document = tagger.tag(text)
    assert document.text == text
    for entity in document.entities:
        assert text[entity.start : entity.end] == entity.text
        assert 0 <= entity.score <= 1
    tagger.tag(text, tokenized=True)


def test_finding_a_model(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_model(trained) == trained
    with pytest.raises(UsageError, match="klingon: no such tagger"):
        find_model("klingon")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        find_model(tmp_path / "file")
    home = tmp_path / "repository"
    (home / "models" / "xx").mkdir(parents=True)
    (home / "models" / "xx" / "tagger.json").write_text("{}")
    monkeypatch.setattr(directory.shipped_models, "__defaults__", (home / "ner_elmo",))
    assert find_model("xx") == home / "models" / "xx"
    with pytest.raises(UsageError, match="that ship are xx"):
        find_model("yy")


def test_an_installed_model_is_called_by_the_name_that_finds_it(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "ner_elmo_model_xx"
    package.mkdir()
    (package / "tagger.json").write_text("{}")
    monkeypatch.setattr(directory, "installed_models", lambda: {"xx": package})
    monkeypatch.setattr(directory.shipped_models, "__defaults__", (tmp_path / "nowhere" / "ner_elmo",))
    assert find_model("xx") == package
    assert name_of_model(package) == "xx"
    assert name_of_model(trained) == trained.name


def test_pipe_answers_each_text_when_it_comes(trained: Path) -> None:
    tagger = Tagger.load(trained)
    texts = ["Ann sees Rome .", "Bob waits .", ["Eve", "sees", "Oslo", "."]]
    answered = threading.Event()
    answered.set()

    def source() -> Iterator[str | list[str]]:
        for text in texts:
            assert answered.wait(60)  # the next one comes only once this one is answered
            answered.clear()
            yield text

    found = []
    for document in tagger.pipe(source(), scores=False):
        found.append(document)
        answered.set()
    assert found == list(tagger.tag(texts, scores=False))


def test_pipe_raises_what_the_source_raises_in_its_place(trained: Path) -> None:
    def source() -> Iterator[object]:
        yield "Ann sees Rome ."
        yield 3.5

    documents = Tagger.load(trained).pipe(source())  # type: ignore[arg-type]
    assert next(documents).text == "Ann sees Rome ."
    with pytest.raises(WrongTypeError, match="text 1: found float"):
        next(documents)
    with pytest.raises(WrongTypeError, match="many texts"):
        Tagger.load(trained).pipe("one text")


def test_documents_that_end_before_their_sentences(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tagger, "reads_documents", True)
    tagger = Tagger.load(trained)
    with pytest.raises(UsageError, match="documents: ended after 1, expected one for each sentence"):
        list(tagger.tag_tokens([["Ann"], ["Bob"]], documents=[1]))
    with pytest.raises(UsageError, match="found int, expected documents: one for each sentence"):
        tagger.tag_tokens([["Ann"]], documents=1)  # type: ignore[arg-type]
