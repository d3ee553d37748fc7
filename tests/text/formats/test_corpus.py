"""Labelled files as one corpus, whatever their format."""

from __future__ import annotations

from pathlib import Path

from ner_elmo.text.formats.corpus import load_corpus
from ner_elmo.text.tag_scheme import TOKEN, Span, labels_of, read_tags, tag_set, tags


def test_each_token_is_a_span_of_its_own(tmp_path: Path) -> None:
    sequence = ["NN", "NN", "B-X", "O"]
    found = read_tags(sequence, TOKEN)
    assert found == [Span(i, i + 1, tag) for i, tag in enumerate(sequence)]
    assert tags(found, 4, TOKEN) == sequence
    assert tag_set(["NN", "B-X", "O"], TOKEN) == labels_of(["NN", "O", "B-X"], TOKEN) == ["B-X", "NN", "O"]
    (tmp_path / "pos").write_text("a NN\nb NN\n\nc NN\n")
    for scheme in ("none", "token"):
        corpus = load_corpus(tmp_path / "pos", scheme=scheme)
        assert corpus.scheme == TOKEN
        assert corpus.sentences[0].spans == (Span(0, 1, "NN"), Span(1, 2, "NN"))
    assert load_corpus(tmp_path / "pos", scheme="io").sentences[0].spans == (Span(0, 2, "NN"),)
    (tmp_path / "a.jsonl").write_text('{"text": "Ann sees", "entities": [{"start": 0, "end": 3, "label": "NNP"}]}\n')
    assert load_corpus(tmp_path / "a.jsonl", scheme="token").sentences[0].spans == (Span(0, 1, "NNP"), Span(1, 2, "O"))
