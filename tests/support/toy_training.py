"""A tagger's training on the toy language, step by step, and what it reports."""

from __future__ import annotations

from pathlib import Path

from ner_elmo.tagger.training.config import TrainingOptions
from ner_elmo.tagger.training.loop import TrainingData, TrainingState, start
from ner_elmo.tagger.training.preparation import new_model, prepare
from tests.support.devices import CPU
from tests.support.toy_language import toy_config


class Events(list[dict]):  # type: ignore[type-arg]
    """Collects a run's events."""

    def __call__(self, event: object) -> None:
        self.append(dict(event))  # type: ignore[call-overload]

    def of(self, kind: str) -> list[dict]:  # type: ignore[type-arg]
        return [event for event in self if event["event"] == kind]

    def text(self) -> str:
        return "\n".join(event["message"] for event in self if "message" in event)


def begin(toy: Path, options: TrainingOptions, **changes: object) -> tuple[TrainingState, TrainingData]:
    """A training on the toy language before its first epoch, and its data."""
    prepared = prepare(toy_config(toy, **changes), CPU, lambda event: None)
    data = TrainingData(
        prepared.examples["train"],
        prepared.examples["dev"],
        [sentence.spans for sentence in prepared.parts["dev"]],
        prepared.words,
    )
    return start(new_model(prepared, options.seed), options), data


def timeless(record: object) -> dict:  # type: ignore[type-arg]
    """The record of an epoch without what the clock says."""
    values = dict(record.as_dict())  # type: ignore[attr-defined]
    return {name: value for name, value in values.items() if name not in ("seconds", "tokens_per_second")}
