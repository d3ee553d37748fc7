"""The model that ships: whole, within its size, as good as its card says, its biLM worth having."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ner_elmo import Tagger
from ner_elmo.cli.main import main


@pytest.fixture(scope="session")
def english(repository: Path) -> Path:
    return repository / "models" / "en"


def test_it_loads_by_default_and_finds_plain_names() -> None:
    tagger = Tagger.load()
    assert set(tagger.labels) == {"PER", "LOC", "ORG", "MISC"}
    text = "Yesterday Angela Merkel flew from Berlin to London ."
    document = tagger.tag(text)
    found = {(entity.text, entity.label) for entity in document.entities}
    assert {("Angela Merkel", "PER"), ("Berlin", "LOC"), ("London", "LOC")} <= found
    assert all(text[entity.start : entity.end] == entity.text for entity in document.entities)


def test_the_chinese_one_finds_plain_names() -> None:
    tagger = Tagger.load("zh")
    assert set(tagger.labels) == {"PER", "LOC", "ORG"}
    text = "王芳从北京大学毕业后，在深圳加入了华为技术有限公司。"
    document = tagger.tag(text)
    found = [(entity.text, entity.label) for entity in document.entities]
    assert found == [("王芳", "PER"), ("北京大学", "ORG"), ("深圳", "LOC"), ("华为技术有限公司", "ORG")]
    assert all(text[entity.start : entity.end] == entity.text for entity in document.entities)


def test_its_size(repository: Path) -> None:
    files = [file for file in (repository / "models").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 60_000_000


def test_its_card_names_data_and_terms(english: Path) -> None:
    card = (english / "README.md").read_text(encoding="utf-8")
    for part in ("eng.train", "en.news.train.txt.xz", "research", "tokens_seen", "perplexity", "| test | all |"):
        assert part in card


@pytest.mark.slow
def test_its_score_is_the_one_on_its_card(english: Path, shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A feature-based CRF gets 82.50 on these files; a plain BiLSTM-CRF with characters 85.2."""
    assert main(["evaluate", str(shared / "data" / "ner" / "conll2003" / "eng.testb"), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    reported = json.loads((english / "report.json").read_text(encoding="utf-8"))["scores"]["test"]
    assert measured["f1"] >= 0.84
    assert measured["f1"] == pytest.approx(reported["f1"], abs=0.002)  # reported before rounding to float16


def test_its_bilm_beats_a_unigram_model_by_far(english: Path) -> None:
    facts = json.loads((english / "bilm" / "bilm.json").read_text(encoding="utf-8"))
    assert facts["unigram_perplexity"] / facts["perplexity"]["mean"] >= 5
    assert facts["tokens_seen"] >= 5_000_000


@pytest.mark.slow
def test_its_perplexity_is_the_one_on_its_card(english: Path, shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shared / "data" / "lm" / "en.heldout.txt.xz"
    assert main(["perplexity", str(text), "--bilm", str(english), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    reported = json.loads((english / "bilm" / "bilm.json").read_text(encoding="utf-8"))["perplexity"]
    assert measured["predictions"] == reported["predictions"]
    assert measured["mean"] == pytest.approx(reported["mean"], rel=0.005)  # reported before rounding to float16
