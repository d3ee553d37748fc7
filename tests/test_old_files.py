"""What version 0.1 wrote before the code had rooms: its runs go on, its models and checkpoints load.

``tests/fixtures/version-0.1`` holds a pretraining run that was stopped (``stopped``) and the same one finished
(``pretrain``), a tagger's run stopped after its first epoch and the same one finished, a run of two seeds, and what the
finished tagger found. Sums may differ in their last digits from one processor to another, hence the tolerances.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from ner_elmo.cli.main import main
from ner_elmo.elmo.encoder import Elmo
from ner_elmo.tagger.tagger import Tagger

pytestmark = pytest.mark.long

FIXTURES = Path(__file__).parent / "fixtures" / "version-0.1"


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to work in; the runs name their files from there."""
    shutil.copytree(FIXTURES, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    return tmp_path / "old"


def require_close(one: Path, other: Path) -> None:
    with h5py.File(one) as file, h5py.File(other) as expected:
        names: list[str] = []
        expected.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
        assert names
        for name in names:
            np.testing.assert_allclose(file[name][()], expected[name][()], atol=1e-3, err_msg=name)


def test_a_stopped_pretraining_goes_on_to_the_same_end(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", "-o", "stopped", "--resume", "--device", "cpu", "--threads", "1"]) == 0
    assert "resumed at step 82 (3,707 tokens seen)" in capsys.readouterr().err
    require_close(old / "stopped" / "bilm" / "weights.hdf5", old / "pretrain" / "bilm" / "weights.hdf5")
    before = json.loads((FIXTURES / "pretrain" / "report.json").read_text())
    now = json.loads((old / "stopped" / "report.json").read_text())
    assert now["step"] == before["step"]
    assert now["perplexity"]["mean"] == pytest.approx(before["perplexity"]["mean"], rel=1e-3)


def test_a_finished_pretraining_is_finished(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", "-o", "pretrain", "--resume", "--device", "cpu"]) == 0
    assert "this run is finished" in capsys.readouterr().err
    assert main(["pretrain", "-o", "pretrain", "--resume", "--seed", "9"]) == 2
    assert "--resume with another seed (9, the run has 1)" in capsys.readouterr().err


def test_a_stopped_tagger_goes_on_to_the_same_end(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--epochs", "12", "--device", "cpu", "--threads", "1", "--no-cache"]
    assert main(["train-tagger", "-o", "tagger-stopped", "--resume", *flags]) == 0
    assert "resuming after epoch 1" in capsys.readouterr().err
    require_close(old / "tagger-stopped" / "tagger.hdf5", old / "tagger" / "tagger.hdf5")
    now, before = (json.loads((old / name / "report.json").read_text()) for name in ("tagger-stopped", "tagger"))
    assert [row["epoch"] for row in now["training"]["curve"]] == [row["epoch"] for row in before["training"]["curve"]]


@pytest.mark.parametrize("name", ["tagger", "seeds"])
def test_a_finished_tagger_is_finished(old: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train-tagger", "-o", name, "--resume", "--device", "cpu"]) == 0
    assert "this run is finished" in capsys.readouterr().err


def test_models_load_and_find_what_they_found(old: Path) -> None:
    tagger = Tagger.load(old / "tagger")
    for line in (old / "tagged.jsonl").read_text(encoding="utf-8").splitlines():
        expected = json.loads(line)
        entities = tagger.tag(expected["text"]).entities
        assert [(e.start, e.end, e.label, e.text) for e in entities] == [
            (e["start"], e["end"], e["label"], e["text"]) for e in expected["entities"]
        ]
        scores = [entity["score"] for entity in expected["entities"]]
        assert [e.score for e in entities] == pytest.approx(scores, abs=1e-3)
    assert next(Elmo.load(old / "pretrain").embed([["Berlin"]])).shape == (3, 1, 16)
