"""Checkpoints: the whole state of a training run, from which it goes on to the bit.

A run of several processes has one writer, and all of them read what it wrote.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from ner_elmo.bilm.pretraining.trainer import Trainer
from ner_elmo.errors import NerElmoError, UsageError
from ner_elmo.runs.checkpoints import Checkpoints, require_fit, require_optimizer_fit
from ner_elmo.runs.events import Report


def checkpoints_in(folder: Path) -> Checkpoints:
    """A run's checkpoints, one after so many steps."""
    return Checkpoints(folder, "step", 8)


def save_checkpoint(trainer: Trainer, folder: Path) -> Path:
    """Write ``step-N.pt`` whole or not at all, in the first process alone, and drop all but the newest few.

    Raises:
        NerElmoError: it cannot be written; those before are still there.
    """
    checkpoints = checkpoints_in(folder)
    if not trainer.processes.is_first:
        return checkpoints.path(trainer.step)
    values = {
        "model": trainer.model.state_dict(),
        "softmax": trainer.softmax.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "generator": trainer.generator.get_state(),
        "position": [trainer.step, trainer.tokens, trainer.epoch, trainer.batch, trainer.skipped],
        "skipped_in_all": trainer.skipped_in_all,
        "best": trainer.best,
        "running_text": trainer.running_text.state_dict() if trainer.running_text is not None else None,
        "vocabulary": trainer.vocabulary.digest(),
        "processes": trainer.processes.size,
    }
    return checkpoints.save(trainer.step, values)


def load_checkpoint(trainer: Trainer, folder: Path, report: Report) -> bool:
    """Set ``trainer`` to the newest sound checkpoint; a damaged one is named and the one before is tried.

    Raises:
        UsageError: the checkpoint is of a run with another vocabulary.
        NerElmoError: not all processes found the same one.
    """
    found = checkpoints_in(folder).resume(partial(_restore, trainer, report), report)
    if trainer.processes.sum([trainer.step])[0] != trainer.step * trainer.processes.size:
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
    require_fit(path, trainer.model, model, "model")
    require_fit(path, trainer.softmax, softmax, "softmax")
    require_optimizer_fit(path, trainer.optimizer, optimizer)
    trainer.model.load_state_dict(model)
    trainer.softmax.load_state_dict(softmax)
    trainer.optimizer.load_state_dict(optimizer)
    trainer.generator.set_state(generator)
    trainer.step, trainer.tokens, trainer.epoch, trainer.batch, trainer.skipped = step, tokens, epoch, batch, skipped
    trainer.skipped_in_all = values.get("skipped_in_all", 0)
    trainer.best = best
    if trainer.running_text is not None:
        trainer.running_text.load_state_dict(values["running_text"], trainer.device)
    before, now = values.get("processes", 1), trainer.processes.size
    if before != now:
        report({"event": "processes", "before": before, "now": now})
