"""The figures of a run in TensorBoard, Weights & Biases or MLflow, from the events that its log is made of.

A tracker listens; it never stops a run. What goes wrong in it is said once, and then it is left alone. TensorBoard's
files are in the run's own folder. Weights & Biases and MLflow write where their own settings say (``WANDB_MODE``,
``MLFLOW_TRACKING_URI`` and so on), which may be on another machine: the one place where a run sends anything away.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from ner_elmo.errors import UsageError
from ner_elmo.runs.events import Report, warning
from ner_elmo.runs.log import EVERY_STEP_UNTIL, LOG_SECONDS

PROJECT = "ner-elmo"


class Tracker(Protocol):
    """What takes figures."""

    def put(self, figures: Mapping[str, float], step: int) -> None:
        """Take figures of a step, or of an epoch."""

    def close(self) -> None:
        """Write what is held."""


class TensorBoard:
    """Event files in the folder ``tensorboard`` of the run."""

    def __init__(self, directory: Path, settings: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(directory / "tensorboard"))
        rows = "\n".join(f"    {name}: {value}" for name, value in settings.items())
        self._writer.add_text("settings", rows)

    def put(self, figures: Mapping[str, float], step: int) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """A run of the project ``ner-elmo``."""

    def __init__(self, directory: Path, settings: Mapping[str, Any]) -> None:
        import wandb

        self._run: Any = wandb.init(
            project=PROJECT, name=directory.resolve().name, dir=str(directory), config=dict(settings)
        )

    def put(self, figures: Mapping[str, float], step: int) -> None:
        self._run.log({**figures, "step": step})

    def close(self) -> None:
        self._run.finish()


class MlFlow:
    """A run of the experiment ``ner-elmo``."""

    def __init__(self, directory: Path, settings: Mapping[str, Any]) -> None:
        import mlflow

        self._mlflow: Any = mlflow
        mlflow.set_experiment(PROJECT)
        self._id = mlflow.start_run(run_name=directory.resolve().name).info.run_id
        mlflow.log_params({name: str(value)[:500] for name, value in settings.items()})

    def put(self, figures: Mapping[str, float], step: int) -> None:
        self._mlflow.log_metrics(dict(figures), step=step, run_id=self._id)

    def close(self) -> None:
        self._mlflow.end_run()


# By the word of --track: the class, and the package that it needs.
TRACKERS: dict[str, tuple[Callable[[Path, Mapping[str, Any]], Tracker], str]] = {
    "tensorboard": (TensorBoard, "tensorboard"),
    "wandb": (WeightsAndBiases, "wandb"),
    "mlflow": (MlFlow, "mlflow"),
}


def require_tracker(name: str) -> None:
    """Make sure that it is known and its package is there.

    Raises:
        UsageError: it is not.
    """
    if name not in TRACKERS:
        raise UsageError(f"--track {name}: unknown; expected {', '.join(TRACKERS)}")
    package = TRACKERS[name][1]
    if importlib.util.find_spec(package) is None:
        raise UsageError(f"--track {name}: needs the {package} package; try: pip install 'ner-elmo[{name}]'")


@contextmanager
def tracked(report: Report, name: str | None, directory: Path, settings: Mapping[str, Any]) -> Iterator[Report]:
    """``report`` that also tells the tracker of this name, if there is one.

    Args:
        settings: of the run, which the tracker shows beside its figures.
    """
    if name is None:
        yield report
        return
    listener = _Listener(report, name, directory, settings)
    try:
        yield listener
    finally:
        listener.close()


class _Listener:
    """Hands each event on, and its figures to the tracker, which begins with the first."""

    def __init__(self, report: Report, name: str, directory: Path, settings: Mapping[str, Any]) -> None:
        self._report = report
        self._name = name
        self._begin = lambda: TRACKERS[name][0](directory, settings)
        self._tracker: Tracker | None = None
        self._is_given_up = False
        self._last = 0.0

    def __call__(self, event: Mapping[str, Any]) -> None:
        self._report(event)
        if self._is_given_up or (event["event"] == "step" and not self._is_due(event["step"])):
            return
        figures, step = figures_of(event)
        if figures:
            self._try(lambda: self._put(figures, step))

    def _is_due(self, step: int) -> bool:
        """As often as the log."""
        now = time.monotonic()
        if step > EVERY_STEP_UNTIL and now - self._last < LOG_SECONDS:
            return False
        self._last = now
        return True

    def _put(self, figures: Mapping[str, float], step: int) -> None:
        if self._tracker is None:
            self._tracker = self._begin()
        self._tracker.put(figures, step)

    def _try(self, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:  # whatever a foreign program may raise: the run goes on without it
            self._is_given_up = True
            first = (str(error).strip().splitlines() or [""])[0][:200]
            warning(self._report, f"--track {self._name}: {type(error).__name__}: {first}; the run goes on without it")

    def close(self) -> None:
        if self._tracker is not None and not self._is_given_up:
            self._try(self._tracker.close)


def figures_of(event: Mapping[str, Any]) -> tuple[dict[str, float], int]:
    """The figures of an event by name, and the step or epoch that they are of; none of most events."""
    kind = event["event"]
    if kind == "step":
        names = ("forward", "backward", "learning_rate", "gradient_norm", "tokens_per_second", "tokens")
        figures = {f"train/{name}": float(event[name]) for name in names if name in event}
        figures["train/loss"] = (event["forward"] + event["backward"]) / 2
        return figures, event["step"]
    if kind == "perplexity":
        figures = {f"heldout/perplexity_{name}": float(event[name]) for name in ("forward", "backward")}
        return {"heldout/perplexity": float(event["mean"])} | figures, event["step"]
    if kind == "epoch":
        seed = f"seed-{event['seed']}/"
        figures = {f"{seed}train/{name}": float(event[name]) for name in ("loss", "learning_rate", "tokens_per_second")}
        dev = {f"{seed}dev/{name}": event[name] for name in ("precision", "recall", "f1")}
        return figures | {name: float(value) for name, value in dev.items() if value is not None}, event["epoch"]
    return {}, 0
