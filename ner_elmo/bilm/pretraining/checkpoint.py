"""Checkpoints: the whole state of a training run, from which it goes on to the bit.

A run of several processes has one writer, and all of them read what it wrote.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.trainer import Position, Trainer
from ner_elmo.errors import NerElmoError, UsageError
from ner_elmo.runs.checkpoints import Checkpoints, require_fit, require_optimizer_fit
from ner_elmo.runs.events import Report
from ner_elmo.settings import refuse_changes


def checkpoints_in(folder: Path) -> Checkpoints:
    """A run's checkpoints, one after so many steps."""
    return Checkpoints(folder, "step", 8)


def save_checkpoint(trainer: Trainer, folder: Path) -> Path:
    """Write ``step-N.pt`` whole or not at all, in the first process alone, and drop all but the newest few.

    Raises:
        NerElmoError: it cannot be written; those before are still there.
    """
    learner, position, processes = trainer.learner, trainer.position, trainer.machine.processes
    checkpoints = checkpoints_in(folder)
    if not processes.is_first:
        return checkpoints.path(position.step)
    values = {
        "model": learner.model.state_dict(),
        "softmax": learner.softmax.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "generator": learner.generator.get_state(),
        "position": [position.step, position.tokens, position.epoch, position.batch, position.skipped],
        "skipped_in_all": position.skipped_in_all,
        "best": position.best,
        "places": position.places,
        "running_text": trainer.running_text.state_dict() if trainer.running_text is not None else None,
        "vocabulary": trainer.vocabulary.digest(),
        "processes": processes.size,
        "setting": asdict(trainer.config),
        "digests": dict(trainer.digests),
    }
    return checkpoints.save(position.step, values)


def load_checkpoint(trainer: Trainer, folder: Path, report: Report) -> bool:
    """Set ``trainer`` to the newest sound checkpoint; a damaged one is named and the one before is tried.

    Raises:
        UsageError: the checkpoint is of a run with another vocabulary.
        ModelError: it does not fit the network.
        NerElmoError: not all processes found the same one.
    """
    found = checkpoints_in(folder).resume(partial(_restore, trainer, report), report)
    step, processes = trainer.position.step, trainer.machine.processes
    if processes.sum([step])[0] != step * processes.size:
        raise NerElmoError(f"{folder}: the processes found different checkpoints; -o must be a folder they all share")
    return found


def _restore(trainer: Trainer, report: Report, values: dict[str, Any], path: Path) -> None:
    """Give ``trainer`` the state of a checkpoint; nothing is changed where something is missing or does not fit."""
    step, tokens, epoch, batch, skipped = values["position"]
    model, softmax, optimizer = values["model"], values["softmax"], values["optimizer"]
    generator, best = values["generator"], values["best"]
    if values.get("vocabulary", trainer.vocabulary.digest()) != trainer.vocabulary.digest():
        raise UsageError(
            f"{path}: this run has another vocabulary than its text gives now; the text or the vocabulary file has "
            "changed since; put it back, or begin anew with --force instead of --resume"
        )
    _refuse_another_run(trainer, values, path)
    if tokens > trainer.total_tokens + trainer.config.batch_tokens:  # the last step may go a little beyond
        raise UsageError(
            f"{path}: this run has trained on {tokens:,} tokens, more than the {trainer.total_tokens:,} asked for now; "
            "give at least as many --epochs or --max-tokens as before"
        )
    before, now = values.get("processes", 1), trainer.machine.processes
    places = values.get("places")
    if trainer.config.shard_files and places is not None:
        if len(places) != now.size:
            raise UsageError(
                f"{path}: --shard-files: the run has {len(places)} processes, each with files of its own, and "
                f"cannot go on with {now.size}; start {len(places)}"
            )
        epoch, batch = places[now.rank]
    learner = trainer.learner
    require_fit(path, learner.model, model, "model")
    require_fit(path, learner.softmax, softmax, "softmax")
    require_optimizer_fit(path, learner.optimizer, optimizer)
    learner.model.load_state_dict(model)
    learner.softmax.load_state_dict(softmax)
    learner.optimizer.load_state_dict(optimizer)
    learner.generator.set_state(generator)
    trainer.position = Position(step, tokens, epoch, batch, skipped, values.get("skipped_in_all", 0), best, places)
    if trainer.running_text is not None:
        trainer.running_text.load_state_dict(values["running_text"], trainer.machine.device)
    if before != now.size:
        report({"event": "processes", "before": before, "now": now.size})


def _refuse_another_run(trainer: Trainer, values: dict[str, Any], path: Path) -> None:
    """Hold a checkpoint to the settings and the texts of the run; those of earlier versions say nothing of them.

    Raises:
        UsageError: a setting that may not change has, or a text is another.
    """
    if "setting" in values:
        refuse_changes(path, PretrainConfig(**values["setting"]), trainer.config)
    before = values.get("digests", trainer.digests)
    for what in sorted({*before, *trainer.digests}):
        if before.get(what) != trainer.digests.get(what):
            raise UsageError(
                f"{path}: --resume with another {what} than the run was begun with; put it back, or give another -o"
            )
