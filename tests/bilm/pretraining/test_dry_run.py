"""The look ahead: its figures against those of the run itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from ner_elmo.bilm.pretraining import dry_run
from ner_elmo.bilm.pretraining.dry_run import sample_sizes, train_briefly, verdict_on_perplexity
from ner_elmo.bilm.pretraining.preparation import prepare
from ner_elmo.bilm.pretraining.run import pretrain
from ner_elmo.errors import DataError
from tests.support.devices import CPU
from tests.support.toy_pretraining import make_config, toy_text


def test_a_dry_run_says_what_the_run_will_be(toy: Path, tmp_path: Path) -> None:
    config = make_config(toy, epochs=3)
    before = sorted(tmp_path.rglob("*"))
    found = dry_run.dry_run(config, device=CPU)
    assert sorted(tmp_path.rglob("*")) == before
    events: dict[str, dict[str, object]] = {}
    pretrain(config, tmp_path / "run", device=CPU, report=lambda event: events.setdefault(event["event"], {**event}))
    start = events["start"]
    for key in ("corpus_tokens", "corpus_sentences", "vocabulary", "parameters", "total_tokens", "repeated_sentences"):
        assert found[key] == start[key], key
    assert not found["is_estimate"]
    assert found["unk_rate"] == 0
    assert found["tokens_per_second"] > 0
    assert found["hours"] == pytest.approx(found["total_tokens"] / found["tokens_per_second"] / 3600)
    assert found["peak_memory_bytes"] > 50e6
    written = sum(file.stat().st_size for file in (tmp_path / "run").rglob("*") if file.is_file())
    assert 0.5 * written < found["disk_bytes"] < 2.5 * written  # one checkpoint more is there while it is written


def test_a_large_text_is_estimated_from_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [" ".join(sentence) for sentence in toy_text(3000, 4)]
    for name, part in (("a", lines[:1000]), ("b", lines[1000:])):
        (tmp_path / name).write_text("\n".join(part) + "\n")
    config = make_config(tmp_path, epochs=1, vocabulary_size=1000)
    whole = dry_run.dry_run(config, device=CPU)
    monkeypatch.setattr(dry_run, "SAMPLE_CHARACTERS", 10_000)
    files = sorted(tmp_path.iterdir())
    sizes, scale = sample_sizes(files, "utf-8")
    assert scale == pytest.approx(sum(file.stat().st_size for file in files) / 10_000)
    assert sizes is not None
    assert sum(sizes) == pytest.approx(10_000, abs=2)
    sample = dry_run.dry_run(config, device=CPU)
    assert sample["is_estimate"]
    assert sample["corpus_tokens"] == pytest.approx(whole["corpus_tokens"], rel=0.05)
    assert sample["vocabulary"] >= whole["vocabulary"]


def test_the_quick_check_tells_what_learns_from_what_does_not(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "STEPS_LEAST", 10)
    good = prepare(make_config(toy, epochs=30), "cpu", lambda event: None)
    found = train_briefly(good, CPU, 15_000)
    assert found["verdict"] == "learns"
    assert found["perplexity"] < 0.8 * found["unigram_perplexity"]
    assert 15_000 <= found["tokens"] < 15_200
    bad = prepare(make_config(toy, learning_rate=2.0), "cpu", lambda event: None)
    assert train_briefly(bad, CPU, 2_000)["verdict"] == "does not learn"


def test_verdict() -> None:
    values = (79, 80, 99, 100, float("nan"))
    assert [verdict_on_perplexity(value, 100, steps=100) for value in values] == [
        "learns",
        *["unclear"] * 2,
        *["does not learn"] * 2,
    ]
    assert [verdict_on_perplexity(value, 100, steps=99) for value in values] == ["learns", *["unclear"] * 4]


def test_an_empty_text_is_an_error_here_too(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("\n")
    with pytest.raises(DataError, match="found no sentence"):
        dry_run.dry_run(make_config(tmp_path / "x"), device=CPU)
