"""Checkpoints: the whole state of a training run, from which it goes on to the bit.

A run of several processes has one writer, and all of them read what it wrote.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ner_elmo.bilm.pretraining.trainer import Position, Trainer
from ner_elmo.errors import NerElmoError, UsageError
from ner_elmo.runs.events import Report, warning
from ner_elmo.text.files import replace_file

CHECKPOINTS_KEPT = 2


def save_checkpoint(trainer: Trainer, folder: Path) -> Path:
    """Write ``step-N.pt`` whole or not at all, in the first process alone, and drop all but the newest few.

    Raises:
        NerElmoError: it cannot be written; those before are still there.
    """
    learner, position, processes = trainer.learner, trainer.position, trainer.machine.processes
    path = folder / f"step-{position.step:08d}.pt"
    if not processes.is_first:
        return path
    values = {
        "model": learner.model.state_dict(),
        "softmax": learner.softmax.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "generator": learner.generator.get_state(),
        "position": [position.step, position.tokens, position.epoch, position.batch, position.skipped],
        "skipped_in_all": position.skipped_in_all,
        "best": position.best,
        "running_text": trainer.running_text.state_dict() if trainer.running_text is not None else None,
        "vocabulary": trainer.vocabulary.digest(),
        "processes": processes.size,
    }
    write_tensors(values, path)
    for old in sorted(folder.glob("step-*.pt"))[:-CHECKPOINTS_KEPT]:
        old.unlink()
    return path


def load_checkpoint(trainer: Trainer, folder: Path, report: Report) -> bool:
    """Set ``trainer`` to the newest sound checkpoint; a damaged one is named and the one before is tried.

    Raises:
        UsageError: the checkpoint is of a run with another vocabulary.
        NerElmoError: not all processes found the same one.
    """
    found = False
    paths = sorted(folder.glob("step-*.pt"), reverse=True)
    for path in paths:
        try:
            values = read_tensors(path)
            _set(trainer, values, path)
        except UsageError:
            raise
        except Exception as error:  # whatever a torn or foreign file makes of torch.load
            message = f"{path}: not a sound checkpoint ({type(error).__name__}); trying the one before"
            warning(report, message)
            continue
        found = True
        before, now = values.get("processes", 1), trainer.machine.processes.size
        if before != now:
            report({"event": "processes", "before": before, "now": now})
        break
    if paths and not found:
        warning(report, f"{folder}: found no sound checkpoint; starting anew")
    step, processes = trainer.position.step, trainer.machine.processes
    if processes.sum([step])[0] != step * processes.size:
        raise NerElmoError(f"{folder}: the processes found different checkpoints; -o must be a folder they all share")
    return found


def _set(trainer: Trainer, values: Mapping[str, Any], path: Path) -> None:
    """Give ``trainer`` the state of a checkpoint; nothing is changed where something is missing."""
    step, tokens, epoch, batch, skipped = values["position"]
    model, softmax, optimizer = values["model"], values["softmax"], values["optimizer"]
    generator, best = values["generator"], values["best"]
    if values.get("vocabulary", trainer.vocabulary.digest()) != trainer.vocabulary.digest():
        raise UsageError(
            f"{path}: this run has another vocabulary than its text gives now; the text or the vocabulary file has "
            "changed since; put it back, or begin anew with --force instead of --resume"
        )
    learner = trainer.learner
    learner.model.load_state_dict(model)
    learner.softmax.load_state_dict(softmax)
    learner.optimizer.load_state_dict(optimizer)
    learner.generator.set_state(generator)
    trainer.position = Position(step, tokens, epoch, batch, skipped, values.get("skipped_in_all", 0), best)
    if trainer.running_text is not None:
        trainer.running_text.load_state_dict(values["running_text"], trainer.machine.device)


def write_tensors(values: Mapping[str, Any], path: Path) -> None:
    """Write a dictionary of tensors and plain values, whole or not at all.

    Raises:
        NerElmoError: it cannot be written.
    """
    try:
        with replace_file(path) as temporary:
            torch.save(values, temporary)
    except (OSError, RuntimeError) as error:  # torch's writer makes RuntimeErrors of a full disk
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise NerElmoError(f"{path}: cannot be written ({reason}); is the disk full?") from error


def read_tensors(path: Path) -> dict[str, Any]:
    """Read back what :func:`write_tensors` wrote, with its check sums, which torch.load alone does not look at.

    Raises:
        Exception: of many kinds, for a file that is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        if (name := archive.testzip()) is not None:
            raise ValueError(f"{path}: {name} differs from its check sum")
    values = torch.load(path, map_location="cpu", weights_only=True)
    assert isinstance(values, dict)
    return values


def remove_leftovers(directory: Path) -> None:
    """Remove the temporary files that a killed run was writing."""
    for leftover in (*directory.glob(".*.tmp"), *directory.glob(".*.old"), *directory.glob("checkpoints/.*.tmp")):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def mend_log(path: Path) -> None:
    """Drop the last line of a log if it was cut off while it was written."""
    if path.is_file():
        with path.open("rb+") as log:
            log.truncate(log.read().rfind(b"\n") + 1)
