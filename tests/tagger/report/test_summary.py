"""What ``info`` says of a model: everything is there, nothing is cut, and damaged facts are no traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.tagger.report.summary import BAR, bar, read_report, summary

TAGGER = {
    "tags": ["O", "B-LOC", "I-LOC", "S-PER"],
    "text": {"tokens": "en-1", "language": "en"},
    "data": {"train": {"file": "a.conll", "sha256": "0" * 64, "sentences": 1234, "tokens": 5, "entities": 6}},
    "options": {"lstm_layers": 1, "hidden_dim": 64, "n_words": 1000, "word_dim": 50, "context": "document"},
    "calibration": {"temperature": 1.5, "ece": {"dev": 0.01}},
    "licence": "terms " * 60,
    "storage": "float16",
    "created_by": "ner-elmo",
}
BILM = {
    "shape": "2x512",
    "text": {"tokens": "whitespace"},
    "training_data": [{"name": "a.txt", "sha256": "1" * 64}],
    "tokens_seen": 10,
    "corpus_tokens": 20,
    "parent": {"name": "en", "tokens_seen": 9},
    "perplexity": {"mean": 99.5, "tokens": 100},
    "unigram_perplexity": 1000.0,
    "sha256": {"weights.hdf5": "2" * 64},
}
REPORT = {
    "scores": {"dev": {"f1": 0.9, "precision": 0.8, "recall": 1.0, "labels": {"LOC": {"f1": 0.7}}}},
    "mix": {"layers": {"0": 0.25, "1": 0.75}, "gamma": 0.5},
    "training": {"best_epoch": 3, "epochs_run": 7, "parameters": 123_456},
    "seed": 1,
}


def test_everything_is_said() -> None:
    said = summary("toy", {"tagger": TAGGER, "bilm": BILM}, REPORT, 80)
    lines = said.splitlines()
    for words in (
        "toy: a tagger",
        "LOC, PER",
        "1,234 sentences",
        "0" * 64,
        "F1 90.00%, precision 80.00%, recall 100.00%",
        "LOC 70.00%",
        f"{'██████':{BAR}} 0.250",
        "context document",
        "123,456 parameters",
        "epoch 3 of 7",
        "error dev 1.00%",
        "its biLM",
        "1" * 64,
        "went on from",
        "99.5 on 100 held-out tokens",
        "2" * 64,
    ):
        assert words in said, words
    assert said.count("terms terms") >= 1
    assert sum(line.count("terms") for line in lines) >= 60  # not cut
    assert max(map(len, lines)) <= 90  # digests cannot be broken


def test_several_mixes() -> None:
    mix = {"input": {"layers": {"0": 1.0}, "gamma": 1.0}, "output": {"layers": {"0": 0.5}, "gamma": 2.0}}
    said = summary("toy", {"tagger": TAGGER}, {"mix": mix})
    assert "mix input" in said
    assert "mix output" in said


def test_bars() -> None:
    assert bar(1.0) == "█" * BAR
    assert bar(0.0) == " " * BAR
    assert bar(0.5).strip() == "█" * (BAR // 2)
    assert all(len(bar(i / 97)) == BAR for i in range(98))
    assert bar(7.0) == bar(1.0)
    assert bar(-1.0) == bar(0.0)


values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def changed(whole: Any, draw: Any) -> Any:
    """A copy in which some values are others."""
    if isinstance(whole, dict):
        return {
            key: draw(values) if draw(st.integers(0, 5)) == 0 else changed(value, draw) for key, value in whole.items()
        }
    return whole


@given(st.data())
def test_damaged_facts_are_left_out(data: Any) -> None:
    facts = {"tagger": changed(TAGGER, data.draw), "bilm": changed(BILM, data.draw)}
    assert isinstance(summary("toy", facts, changed(REPORT, data.draw)), str)


def test_reports_that_are_none(tmp_path: Path) -> None:
    assert read_report(tmp_path / "missing.json") == {}
    for text in ("[]", "{", ""):
        (tmp_path / "report.json").write_text(text)
        assert read_report(tmp_path / "report.json") == {}
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    assert read_report(tmp_path / "report.json") == REPORT
