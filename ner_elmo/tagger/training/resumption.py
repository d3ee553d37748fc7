"""Going on with a training: what is finished already, what must be the same, the newest sound checkpoint."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ner_elmo.bilm.files.directory import find_bilm, load_options
from ner_elmo.elmo.feature_cache import bilm_digest
from ner_elmo.errors import UsageError
from ner_elmo.runs.checkpoints import Checkpoints, require_fit, require_optimizer_fit
from ner_elmo.runs.directory import CHECKPOINTS, CONFIG, REPORT
from ner_elmo.runs.events import Report, silent
from ner_elmo.settings import refuse_changes, settings_of
from ner_elmo.tagger.store import INFO, digest_of_tagger
from ner_elmo.tagger.tagger import find_model
from ner_elmo.tagger.training.config import AS_BEFORE, TaggerConfig, read_config
from ner_elmo.tagger.training.loop import TrainingState
from ner_elmo.tagger.training.preparation import PreparedData
from ner_elmo.tagger.training.schedule import LINEAR
from ner_elmo.text.files import json_of, require_file, sha256_of_file
from ner_elmo.text.formats.corpus import sha256_of_labelled
from ner_elmo.text.formats.recognition import require_labelled

# What is learned from, which must be the same, and what it is called.
LEARNED_FROM = {
    "train": "train file",
    "dev": "dev file",
    "bilm": "biLM",
    "word_vectors": "vectors file",
    "teacher": "teacher",
    "unlabelled": "unlabelled text",
}
_NOT_NAMED = dict.fromkeys(("bilm", "word_vectors", "teacher", "unlabelled"))  # by digest instead, where there are any


def checkpoints_in(folder: Path) -> Checkpoints:
    """A run's checkpoints, one after each epoch."""
    return Checkpoints(folder / CHECKPOINTS, "epoch", 4)


def finished_report(directory: Path, config: TaggerConfig) -> dict[str, Any] | None:
    """``report.json`` of a run that needs no more epochs, or None."""
    try:
        found = json_of(directory / REPORT)
        training = found["training"]
        complete = training["stopped"] == "patience" or (
            training["stopped"] == "epochs" and (config.epochs is None or training["epochs_run"] >= config.epochs)
        )
        all_seeds = set(found["protocol"]["seeds"]) == set(config.seeds)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if complete and all_seeds and (directory / INFO).is_file() else None


def setting(config: TaggerConfig, prepared: PreparedData) -> dict[str, Any]:
    """What a checkpoint says of its run: the settings, with the check sums of the files in place of their names."""
    return plain(config) | _NOT_NAMED | _digests(prepared.protocol)


def plain(config: TaggerConfig) -> dict[str, Any]:
    """The settings as plain values."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}


def _digests(protocol: dict[str, Any]) -> dict[str, Any]:
    digests = {part: protocol["data"][part]["sha256"] for part in ("train", "dev") if part in protocol["data"]}
    for part, key in (
        ("bilm", "digest"),
        ("word_vectors", "sha256"),
        ("teacher", "sha256"),
        ("unlabelled", "sha256"),
    ):
        if protocol.get(part):
            digests[part] = protocol[part].get(key)
    return digests


def refuse_another_run(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Hold what a checkpoint or a finished run says of itself (:func:`setting`) to the run that is to go on.

    Raises:
        UsageError: a setting that may not change has, or a file that is learned from is another.
    """
    was, is_now = _settings(before), _settings(now)
    refuse_changes(folder, was, is_now)
    refuse_other_epochs(folder, was, is_now)
    for part, what in LEARNED_FROM.items():
        # Checkpoints of earlier versions say nothing of biLM and vectors; they had no teacher.
        is_known = part in before or part not in ("bilm", "word_vectors")
        if is_known and before.get(part) != now.get(part):
            raise UsageError(
                f"{folder}: --resume with another {what} than the run was begun with; put it back, or give another -o"
            )


def _settings(values: dict[str, Any]) -> TaggerConfig:
    """The settings of :func:`setting`; what they do not name did not exist then."""
    known = settings_of(TaggerConfig)
    kept = {name: value for name, value in values.items() if name in known}
    tuples = {name: tuple(kept[name]) for name in ("layers", "seeds") if name in kept}
    settings: dict[str, Any] = AS_BEFORE | kept | tuples | {"train": "-"}
    return TaggerConfig(**settings)


def refuse_other_epochs(folder: Path, was: TaggerConfig, is_now: TaggerConfig) -> None:
    """Linear, or without a dev score, the learning rate falls towards the last epoch, which has to stay.

    Raises:
        UsageError: it has not.
    """
    if (is_now.train_with_dev or is_now.schedule == LINEAR) and was.epochs != is_now.epochs:
        asked, had = (one.epochs or "as many as by default" for one in (is_now, was))
        raise UsageError(
            f"{folder}: --resume with another epochs ({asked}, the run has {had}), towards which the "
            "learning rate falls; give the same, or another -o"
        )


def settings_before(directory: Path, done: dict[str, Any]) -> dict[str, Any]:
    """:func:`setting` of a finished run, from what it left."""
    return plain(read_config(directory / CONFIG)) | _NOT_NAMED | _digests(done["protocol"])


def settings_now(config: TaggerConfig, before: dict[str, Any]) -> dict[str, Any]:
    """:func:`setting` before anything is read: what was held out ``before`` is of the training file still."""
    files = {"train": config.train, "dev": config.dev or (config.train if before.get("dev") else None)}
    digests: dict[str, Any] = {
        part: None if file in (None, "-") else sha256_of_labelled(require_labelled(file, config.source), config.source)
        for part, file in files.items()
    }
    # The run has a copy of its own of what it needs of these two, so they need not be there any more.
    for part, place in (("bilm", config.bilm), ("word_vectors", config.word_vectors)):
        if place is None or Path(place).exists():
            digests[part] = place and _digest_of(part, place)
        else:
            digests[part] = before.get(part)
    return plain(config) | digests | _digests_of_teaching(config, before)


def _digests_of_teaching(config: TaggerConfig, before: dict[str, Any]) -> dict[str, Any]:
    """Those of teacher and unlabelled text; of what is not there any more, as ``before``."""
    try:
        teacher = config.teacher and digest_of_tagger(find_model(config.teacher))
    except (OSError, UsageError):
        teacher = before.get("teacher")
    paths = config.unlabelled
    unlabelled = paths and [sha256_of_file(path) for path in paths if Path(path).is_file()]
    if paths and len(unlabelled or []) < len(paths):
        unlabelled = before.get("unlabelled")
    return {"teacher": teacher, "unlabelled": unlabelled}


def _digest_of(part: str, place: str) -> str:
    if part == "word_vectors":
        return sha256_of_file(require_file(place))
    files = find_bilm(place)
    return bilm_digest(files, load_options(files))


def require_same_run(folder: Path, now: dict[str, Any]) -> None:
    """Hold the newest sound checkpoint, if there is one, to the run that is to go on, before anything is written.

    Raises:
        UsageError: it is of another run.
    """
    checkpoints_in(folder).resume(lambda saved, _: refuse_another_run(folder, saved["setting"], now), silent)


def restore(state: TrainingState, folder: Path, report: Report) -> bool:
    """Go on from the newest sound checkpoint, if there is one.

    Raises:
        UsageError: it is of another run.
        ModelError: it does not fit this data.
    """

    def take(saved: dict[str, Any], path: Path) -> None:
        refuse_another_run(folder, saved["setting"], state.setting)
        require_fit(path, state.model, saved["model"], "model")
        if saved["best_weights"]:
            require_fit(path, state.model, saved["best_weights"], "best weights")
        if state.average is not None:
            require_fit(path, state.model, saved["average"]["weights"], "mean of the weights")
        require_optimizer_fit(path, state.optimizer, saved["optimizer"])
        state.restore(saved)

    return checkpoints_in(folder).resume(take, report)
