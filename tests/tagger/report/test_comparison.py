"""The comparison of runs, by the command compare: of taggers, of earlier reports, of perplexities."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ner_elmo.tagger.report.comparison import compare_taggers, read_runs
from ner_elmo.tagger.training.run import train_tagger
from tests.support.command_line import ner_elmo
from tests.support.devices import CPU
from tests.support.html_reader import read_page
from tests.support.reports import report_of
from tests.support.toy_language import toy_config, write_toy


def test_compare(plain: Path, trained: Path, seeds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = ner_elmo(capsys, "compare", plain, trained, seeds / "report.json", "--json")
    found = json.loads(out)
    assert (status, err) == (0, "")
    first, second, third = found["runs"]
    assert [row["name"] for row in found["runs"]] == ["plain", "tagger", "seeds"]
    assert found["part"] == "test"
    f1 = [report_of(folder)["scores"]["test"]["f1"] for folder in (plain, trained)]
    assert "difference" not in first
    assert second["difference"]["f1"] == pytest.approx(f1[1] - f1[0])
    assert second["difference"]["error_reduction"] == pytest.approx((f1[1] - f1[0]) / (1 - f1[0]))
    assert 0 < second["difference"]["p"] <= 1
    assert third["seeds"] == ["1", "2", "3"]
    summary = report_of(seeds)["seeds"]
    assert third["f1"] == {name: summary["f1"]["test"][name] for name in ("mean", "standard_deviation")}
    assert any("bilm" in note for note in second["notes"])

    page = tmp_path / "page.html"
    status, out, _ = ner_elmo(capsys, "compare", plain, trained, "--html", page, "-o", tmp_path / "table.md")
    assert (status, out) == (0, "")
    assert "| plain | 1 |" in (tmp_path / "table.md").read_text("utf-8")
    words = "".join(read_page(page.read_text("utf-8")).words)
    for said in ("Learning curves", "by length of the entity", "plain", "tagger", "paired bootstrap"):
        assert said in words
    assert ner_elmo(capsys, "compare", plain, trained, "--html", page)[0] == 2


def test_a_run_and_itself_do_not_differ(plain: Path, tmp_path: Path) -> None:
    same, other = read_runs([plain, plain])
    assert same.name == other.name == str(plain)
    found = compare_taggers([same, other])["runs"][1]["difference"]
    assert (found["f1"], found["p"], found["error_reduction"]) == (0, 1.0, 0)


def test_no_model_is_needed(plain: Path, trained: Path, tmp_path: Path) -> None:
    for name, folder in (("a", plain), ("b", trained)):
        (tmp_path / f"{name}.json").write_bytes((folder / "report.json").read_bytes())
    program = (
        "import sys; from ner_elmo.cli.main import main; status = main(sys.argv[1:]); "
        "assert 'torch' not in sys.modules; sys.exit(status)"
    )
    command = [sys.executable, "-c", program, "compare", "a.json", "b.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=_environment())
    assert done.returncode == 0, done.stderr
    assert "| a | 1 |" in done.stdout


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}


def test_other_data_are_refused(plain: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_toy(tmp_path / "test", 20, 99)
    other = tmp_path / "other"
    train_tagger(toy_config(toy, epochs=1, test=str(tmp_path / "test")), other, device=CPU)
    status, out, err = ner_elmo(capsys, "compare", plain, other)
    assert (status, out) == (3, "")
    assert "figures over different data cannot be compared" in err
    assert err.count("\n") == 1


def test_reports_of_earlier_versions_are_compared(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = report_of(plain)
    for part in old["protocol"]["data"].values():
        del part["gold_sha256"]
    for name in ("analysis", "calibration"):
        del old[name]
    del old["training"]["curve"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    changed = copy.deepcopy(old)
    changed["sentences"]["test"][0]["PER"][0] += 1
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    status, _, err = ner_elmo(capsys, "compare", plain, tmp_path / "old.json", "--html", tmp_path / "page.html")
    assert (status, err) == (0, "")
    assert "without curves and lengths: old" in (tmp_path / "page.html").read_text("utf-8")
    assert ner_elmo(capsys, "compare", plain, tmp_path / "changed.json")[0] == 3


def perplexity(mean: float, vocabulary: str = "abc", tokens: int = 100) -> dict[str, Any]:
    figures = {"tokens": tokens, "predictions": tokens + 9, "forward": mean, "backward": mean, "mean": mean}
    return figures | {"unk_rate": 0.01, "vocabulary": vocabulary, "state": "zero"}


def test_perplexities(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    first = {"finished": True, "step": 3, "perplexity": perplexity(200.0), "unigram_perplexity": 900.0}
    (tmp_path / "run" / "report.json").write_text(json.dumps(first))
    for name, values in (
        ("better", perplexity(150.0)),
        ("words", perplexity(150.0, vocabulary="xyz")),
        ("text", perplexity(150.0, tokens=90)),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps(values))
    status, out, _ = ner_elmo(capsys, "compare", tmp_path / "run", tmp_path / "better.json", "--json")
    assert status == 0
    assert json.loads(out)["runs"][1]["change"] == pytest.approx(-0.25)
    status, out, _ = ner_elmo(capsys, "compare", tmp_path / "run", tmp_path / "better.json")
    assert "| better | 150.00 | 150.00 | 150.00 | -25.0 % | zero |" in out
    for name, said in (("words", "different vocabularies cannot be compared"), ("text", "measure both on the same")):
        status, out, err = ner_elmo(capsys, "compare", tmp_path / "run", tmp_path / f"{name}.json")
        assert (status, out) == (3, "")
        assert said in err


def test_mistakes_give_one_clear_line(plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "torn.json").write_text('{"a')
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "lm.json").write_text(json.dumps(perplexity(3.0)))
    without = {name: value for name, value in report_of(plain).items() if name != "sentences"}
    (tmp_path / "without.json").write_text(json.dumps(without))
    mistakes: list[tuple[int, str, list[object]]] = [
        (3, "found no sentences.dev, expected a report", [plain, tmp_path / "without.json"]),
        (2, "expected two or more", [plain]),
        (2, "no such run", [plain, tmp_path / "none"]),
        (2, "has no report.json", [plain, tmp_path / "empty"]),
        (2, "is a directory", [plain, plain, "--html", tmp_path / "empty"]),
        (2, "expected one of them", [plain, plain, "--json", "-o", tmp_path / "x"]),
        (3, "neither scores nor a perplexity", [plain, tmp_path / "list.json"]),
        (3, "found no JSON", [plain, tmp_path / "torn.json"]),
        (3, "found no JSON", [plain, tmp_path / "deep.json"]),
        (3, "found a biLM's perplexity, expected a tagger's report", [plain, tmp_path / "lm.json"]),
    ]
    for status, message, arguments in mistakes:
        found, out, err = ner_elmo(capsys, "compare", *arguments)
        assert (found, out) == (status, ""), (arguments, err)
        assert message in err, (arguments, err)
        assert err.count("\n") == 1, (arguments, err)
