"""--track: what the trackers have afterwards, read back by their own means; a tracker that fails stops nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ner_elmo.errors import UsageError
from ner_elmo.runs import trackers
from ner_elmo.runs.trackers import figures_of, require_tracker, tracked

STEP = {"event": "step", "step": 1, "tokens": 64, "forward": 4.0, "backward": 6.0, "learning_rate": 0.001}
PERPLEXITY = {"event": "perplexity", "step": 2, "mean": 80.0, "forward": 81.0, "backward": 79.0}
EPOCH = {
    "event": "epoch",
    "seed": 3,
    "epoch": 1,
    "loss": 0.5,
    "learning_rate": 0.001,
    "tokens_per_second": 900.0,
    "precision": 0.9,
    "recall": 0.8,
    "f1": 0.85,
}
EVENTS = [STEP, {"event": "note", "message": "hello"}, PERPLEXITY, EPOCH]


def run(name: str | None, directory: Path) -> list[Mapping[str, Any]]:
    told: list[Mapping[str, Any]] = []
    with tracked(told.append, name, directory, {"size": "small"}) as report:
        for event in EVENTS:
            report(event)
    return told


def test_figures() -> None:
    assert figures_of(STEP) == (
        {"train/forward": 4.0, "train/backward": 6.0, "train/learning_rate": 0.001, "train/tokens": 64.0}
        | {"train/loss": 5.0},
        1,
    )
    assert figures_of(PERPLEXITY)[0]["heldout/perplexity"] == 80.0
    assert figures_of(EPOCH)[0]["seed-3/dev/f1"] == 0.85
    assert "seed-3/dev/f1" not in figures_of(EPOCH | {"f1": None})[0]
    assert figures_of(EVENTS[1]) == ({}, 0)


def test_without_one_nothing_changes(tmp_path: Path) -> None:
    assert run(None, tmp_path) == EVENTS
    assert not list(tmp_path.iterdir())


def test_tensorboard(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert run("tensorboard", tmp_path) == EVENTS
    found = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in found.Scalars("train/loss")] == [(1, 5.0)]
    assert [(e.step, e.value) for e in found.Scalars("heldout/perplexity")] == [(2, 80.0)]
    assert [e.step for e in found.Scalars("seed-3/dev/f1")] == [1]


def test_weights_and_biases_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    assert run("wandb", tmp_path) == EVENTS
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    assert run("mlflow", tmp_path / "my-run") == EVENTS
    (found,) = mlflow.MlflowClient().search_runs([mlflow.get_experiment_by_name("ner-elmo").experiment_id])
    assert found.info.run_name == "my-run"
    assert found.data.params == {"size": "small"}
    assert found.data.metrics["train/loss"] == 5.0
    assert found.data.metrics["seed-3/dev/f1"] == 0.85


@pytest.mark.parametrize("where", ["begin", "put", "close"])
def test_one_that_fails_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    class Failing:
        def __init__(self, directory: Path, settings: Mapping[str, Any]) -> None:
            self.fail("begin")

        def fail(self, at: str) -> None:
            if at == where:
                raise RuntimeError("no connection\nand more")

        def put(self, figures: Mapping[str, float], step: int) -> None:
            self.fail("put")

        def close(self) -> None:
            self.fail("close")

    monkeypatch.setitem(trackers.TRACKERS, "tensorboard", (Failing, "tensorboard"))
    told = run("tensorboard", tmp_path)
    warnings = [event["message"] for event in told if event["event"] == "warning"]
    assert warnings == ["--track tensorboard: RuntimeError: no connection; the run goes on without it"]
    assert [event for event in told if event["event"] != "warning"] == EVENTS


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="--track nothing: unknown; expected tensorboard, wandb, mlflow"):
        require_tracker("nothing")
    monkeypatch.setitem(trackers.TRACKERS, "wandb", (trackers.WeightsAndBiases, "no_such_package"))
    with pytest.raises(UsageError, match=r"needs the no_such_package package; try: pip install 'ner-elmo\[wandb\]'"):
        require_tracker("wandb")
