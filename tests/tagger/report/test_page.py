"""What train-tagger writes for people and for compare."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ner_elmo.tagger.store import copy_tagger, load_tagger
from tests.support.html_reader import read_page
from tests.support.reports import report_of


def test_the_report_holds_what_the_pages_need(plain: Path, trained: Path) -> None:
    report = report_of(plain)
    assert report["schema_version"] == 1
    assert [row["epoch"] for row in report["training"]["curve"]] == [1, 2]
    for part, counts in report["sentences"].items():
        gold = sum(values[0] for sentence in counts for values in sentence.values())
        analysis = report["analysis"][part]
        low, high = analysis["intervals"]["f1"]
        assert low <= report["scores"][part]["f1"] <= high
        assert sum(values[0] for values in analysis["by_length"].values()) == gold
        found = analysis["confusion"]
        assert sum(map(sum, found["same_bounds"])) + sum(map(sum, found["other_bounds"])) + sum(found["missed"]) == gold
        assert len(report["protocol"]["data"][part]["gold_sha256"]) == 64
    errors = json.loads((plain / "errors.json").read_text("utf-8"))
    assert errors["part"] == "test"
    assert sum(errors["kinds"].values()) > 0
    text = (plain / "report.json").read_text("utf-8")
    assert "Smith" not in text, "report.json ships: it must hold no text of the corpus"
    assert "Smith" not in (plain / "README.md").read_text("utf-8")
    assert "expected calibration error" in (plain / "README.md").read_text("utf-8")
    assert report_of(trained)["mix"] is not None


def test_the_pages_say_what_the_report_says(plain: Path, trained: Path, tmp_path: Path) -> None:
    for folder in (plain, trained):
        report = report_of(folder)
        html, markdown = ((folder / f"report.{kind}").read_text("utf-8") for kind in ("html", "md"))
        page = read_page(html)
        words = "".join(page.words)
        f1 = f"{100 * report['scores']['test']['f1']:.2f}"
        for said in (f1, "Protocol", "By label", "Labels taken for one another", "By length", "temperature", "missed"):
            assert said in words
            assert said in markdown
        assert "script" not in page.seen
        assert page.seen.count("svg") >= 6
        assert not set(re.findall(r"https?://[^\s\"'<]+", html)) - {"http://www.w3.org/2000/svg"}
        assert ("Learned weights" in words) == (report["mix"] is not None)
    assert "<mark class=gold>" in (plain / "report.html").read_text("utf-8")
    copy_tagger(plain, tmp_path / "shipped")
    shipped = {path.name for path in (tmp_path / "shipped").iterdir()}
    assert not shipped & {"report.html", "report.md", "errors.json"}


def test_the_temperature_is_stored_and_used(plain: Path, tmp_path: Path) -> None:
    report, info = report_of(plain), json.loads((plain / "tagger.json").read_text("utf-8"))
    assert info["calibration"]["temperature"] == report["calibration"]["temperature"] == load_tagger(plain).temperature
    assert info["calibration"]["ece"]["test"] == report["calibration"]["test"]["ece"]


def test_several_seeds_are_summed_up(seeds: Path) -> None:
    report = report_of(seeds)
    assert set(report["seeds"]) == {"f1", "precision", "recall"}
    alone = [report] + [report_of(folder) for folder in seeds.glob("seed-*")]
    for part in ("dev", "test"):
        expected = [sum(r["sentences"][part][0]["PER"][i] for r in alone) for i in range(3)]
        assert report["sentences_of_all_seeds"][part][0]["PER"] == expected
    assert "Over 3 seeds" in (seeds / "report.md").read_text("utf-8")
    assert all((folder / "report.html").is_file() for folder in seeds.glob("seed-*"))
