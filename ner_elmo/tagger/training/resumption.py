"""Going on with a training: what is finished already, which settings must be the same, the newest sound checkpoint."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ner_elmo.errors import ModelError, UsageError
from ner_elmo.runs.events import Report, note, warning
from ner_elmo.tagger.store import INFO, REPORT
from ner_elmo.tagger.training.config import TaggerConfig
from ner_elmo.tagger.training.loop import TrainingState, load_checkpoint
from ner_elmo.tagger.training.preparation import Prepared
from ner_elmo.tagger.training.run_directory import CHECKPOINTS, CONFIG
from ner_elmo.text.files import require_file, sha256_of_file

_DEFAULTS = asdict(TaggerConfig(train=""))


def finished_report(directory: Path, config: TaggerConfig) -> dict[str, Any] | None:
    """``report.json`` of a run that needs no more epochs, or None."""
    try:
        found = json.loads((directory / REPORT).read_text(encoding="utf-8"))
        training = found["training"]
        complete = training["stopped"] == "patience" or (
            training["stopped"] == "epochs" and training["epochs_run"] >= config.epochs
        )
        all_seeds = set(found["protocol"]["seeds"]) == set(config.seeds)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if complete and all_seeds and (directory / INFO).is_file() else None


def setting(config: TaggerConfig, prepared: Prepared) -> dict[str, Any]:
    """What must not change when a run is resumed: the options that matter and the labelled files."""
    return _options(asdict(config)) | _digests(prepared.protocol)


def _options(values: dict[str, Any]) -> dict[str, Any]:
    """All options of a configuration but where the files lie and when to stop.

    Without a dev score the learning rate falls towards the last epoch, which then has to stay.
    """
    free = ["train", "dev", "test", "bilm", "word_vectors", "patience", "licence", "storage", "text"]
    free += [] if values.get("train_with_dev") else ["epochs"]
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    return {name: value for name, value in plain.items() if name not in free}


def _digests(protocol: dict[str, Any]) -> dict[str, Any]:
    """The check sums of the labelled files that are learned from."""
    return {part: protocol["data"][part]["sha256"] for part in ("train", "dev") if part in protocol["data"]}


def settings_before(directory: Path, done: dict[str, Any]) -> dict[str, Any]:
    """:func:`setting` of a finished run, from what it left."""
    return _options(json.loads((directory / CONFIG).read_text(encoding="utf-8"))) | _digests(done["protocol"])


def settings_now(config: TaggerConfig, before: dict[str, Any]) -> dict[str, Any]:
    """:func:`setting` before anything is read: what was held out ``before`` is of the training file still."""
    files = {"train": config.train, "dev": config.dev or (config.train if "dev" in before else None)}
    return _options(asdict(config)) | {
        part: None if file == "-" else sha256_of_file(require_file(file)) for part, file in files.items() if file
    }


def refuse_changes(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise UsageError if settings that must not change have."""
    before, now = _options(_DEFAULTS) | before, _options(_DEFAULTS) | now  # an older run lacks newer settings
    changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if changed:
        raise UsageError(
            f"{folder}: was begun with other settings ({', '.join(changed)}); resume with the same ones, or begin anew "
            "with --force and without --resume"
        )


def restore(state: TrainingState, folder: Path, device: torch.device, report: Report) -> bool:
    """Go on from the newest sound checkpoint, if there is one."""
    saved, damaged = load_checkpoint(folder / CHECKPOINTS, device)
    for file in damaged:
        warning(report, f"{file}: damaged; trying the one before")
    if saved is None:
        note(report, f"{folder}: no checkpoint to resume from; starting anew")
        return False
    refuse_changes(folder, saved["setting"], state.setting)
    try:
        state.restore(saved)
    except (KeyError, RuntimeError, ValueError):
        raise ModelError(f"{folder / CHECKPOINTS}: does not fit this data; begin anew with --force") from None
    note(report, f"{folder}: resuming after epoch {state.epoch}")
    return True
