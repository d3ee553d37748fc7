"""A whole tagger training: read the files, compute the frozen features once, train every seed, write the best one."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ner_elmo.nn.precision import chosen_precision
from ner_elmo.runs.directory import BILM, CONFIG, LOG, has_run, held, remove_leftovers, write_config
from ner_elmo.runs.events import Report, note, silent
from ner_elmo.runs.events import progress as tell_progress
from ner_elmo.runs.log import RunLog
from ner_elmo.runs.memory import keep_memory
from ner_elmo.runs.stop import Stopped
from ner_elmo.settings import not_applied, refuse_changes
from ner_elmo.tagger.network.joined import joined, members_of
from ner_elmo.tagger.report.facts import learning_curve
from ner_elmo.tagger.report.scores import figure_name
from ner_elmo.tagger.store import StoredBilm, load_tagger, store_bilm
from ner_elmo.tagger.training.config import TaggerConfig, read_config
from ner_elmo.tagger.training.loop import TrainingData, TrainingState, start, train
from ner_elmo.tagger.training.preparation import PreparedData, new_model, prepare
from ner_elmo.tagger.training.results import ScoredData, number_of_parameters, training_of_members, write_results
from ner_elmo.tagger.training.resumption import (
    checkpoints_in,
    finished_report,
    refuse_another_run,
    refuse_other_epochs,
    require_same_run,
    restore,
    setting,
    settings_before,
    settings_now,
)
from ner_elmo.tagger.training.run_directory import clear_run, cut_log
from ner_elmo.tagger.training.seeds import choose_best, reopen, summary
from ner_elmo.tagger.training.side_by_side import start_method, train_side_by_side
from ner_elmo.text.languages import look_at, scripts_of
from ner_elmo.text.suitability import trained_for


def _nothing_received() -> int | None:
    return None


def train_tagger(
    config: TaggerConfig,
    directory: Path,
    *,
    device: torch.device,
    resume: bool = False,
    max_minutes: float | None = None,
    cache: Path | None = None,
    report: Report = silent,
    received: Callable[[], int | None] = lambda: None,
    jobs: int = 1,
) -> dict[str, Any]:
    """Train a tagger into ``directory``, a run directory that ends up as a tagger directory.

    Args:
        cache: a folder that keeps the frozen features for other runs; without it they are computed for this one alone.
        report: is handed every event as a dictionary with an ``event``: ``note`` and ``warning`` (``message``),
            ``progress`` (``what``, ``done``, ``total``), ``epoch`` (a record and its ``seed``), ``scores`` (``part``,
            ``message``: seqeval's report).
        received: asked after every epoch: the number of the signal that should have ended it, if there was one.
        jobs: so many seeds are trained side by side, each in a process with one thread; the results are those of one
            after the other in one thread, to the bit.

    Returns:
        What ``report.json`` says.

    Raises:
        UsageError, DataError, ModelError: bad input, before anything is written.
        NerElmoError: the loss is not a number.
    """
    begun = time.monotonic()
    config = dataclasses.replace(config, precision=_precision(config, directory, device, resume))
    if resume and has_run(directory):
        was = read_config(directory / CONFIG)
        refuse_changes(directory, was, config)
        refuse_other_epochs(directory, was, config)
    if resume and (done := finished_report(directory, config)) is not None:
        before = settings_before(directory, done)
        refuse_another_run(directory, before, settings_now(config, before))
        note(report, f"{directory}: this run is finished; nothing to do")
        if kept := not_applied(read_config(directory / CONFIG), config):
            note(report, f"{directory}: {kept}")
        return done
    with held(directory):
        return _train_all(config, directory, device, resume, max_minutes, cache, report, received, jobs, begun)


def _train_all(
    config: TaggerConfig,
    directory: Path,
    device: torch.device,
    resume: bool,
    max_minutes: float | None,
    cache: Path | None,
    report: Report,
    received: Callable[[], int | None],
    jobs: int,
    begun: float,
) -> dict[str, Any]:
    """Prepare, and train every seed; the process is to keep its memory from now on."""
    keep_memory()
    prepared = prepare(config, device, report, cache)
    if resume:
        for seed in config.seeds:
            one = dataclasses.replace(config, seeds=(seed,), join=False)
            require_same_run(_folder_of(seed, config, directory), setting(one, prepared))
        reopen(directory)
    else:
        clear_run(directory)
    directory.mkdir(parents=True, exist_ok=True)
    remove_leftovers(directory)
    write_config(directory, config)
    stored = None if prepared.bilm is None else store_bilm(prepared.bilm, directory, config.keep_softmax)
    until = None if max_minutes is None else begun + 60 * max_minutes
    work = partial(_done_seed, config, prepared, directory, stored, device, resume, until)
    if jobs > 1 and len(config.seeds) > 1:
        reports = train_side_by_side(work, config.seeds, jobs, start_method(device.type), report, received)
    else:
        reports = {seed: work(seed, report=report, received=received) for seed in config.seeds}
    if config.join:
        return _join(config, prepared, directory, stored, device, reports, report)
    return choose_best(config, directory, reports, report)


def _folder_of(seed: int, config: TaggerConfig, directory: Path) -> Path:
    return directory if len(config.seeds) == 1 else directory / f"seed-{seed}"


def _done_seed(
    config: TaggerConfig,
    prepared: PreparedData,
    directory: Path,
    stored: StoredBilm | None,
    device: torch.device,
    resume: bool,
    until: float | None,
    seed: int,
    *,
    report: Report,
    received: Callable[[], int | None] = _nothing_received,
) -> dict[str, Any]:
    """The report of one seed of the run, trained unless it was before; ``until`` is a time of the monotonic clock."""
    folder = _folder_of(seed, config, directory)
    bilm = stored if stored is None or folder == directory else stored._replace(place=f"../{BILM}")
    left = None if until is None else max(0.0, (until - time.monotonic()) / 60)
    one = dataclasses.replace(config, seeds=(seed,), join=False)
    done = finished_report(folder, one) if resume else None
    return done or _train_seed(one, prepared, folder, bilm, device, resume, left, report, received)


def _precision(config: TaggerConfig, directory: Path, device: torch.device, resume: bool) -> str:
    """In what numbers to train: as asked, and where nothing was asked for as the run that goes on, or the fastest."""
    asked = config.precision
    if asked == "auto" and resume and has_run(directory):
        asked = read_config(directory / CONFIG).precision
    return chosen_precision(asked, device.type)


def _train_seed(
    config: TaggerConfig,
    prepared: PreparedData,
    folder: Path,
    bilm: StoredBilm | None,
    device: torch.device,
    resume: bool,
    max_minutes: float | None,
    report: Report,
    received: Callable[[], int | None],
) -> dict[str, Any]:
    """Train one seed into ``folder`` and write its tagger, report and predictions."""
    seed = config.seeds[0]
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    options = config.training_options(seed, max_minutes, len(prepared.examples["train"]) + len(prepared.unlabelled))
    state = start(new_model(prepared, seed).to(device), options)
    state.setting = setting(config, prepared)
    resumed = resume and restore(state, folder, report)
    write_config(folder, config)
    cut_log(folder / LOG, state.epoch)
    data = TrainingData(
        prepared.examples["train"] + prepared.unlabelled,
        prepared.examples.get("dev", []),
        [sentence.spans for sentence in prepared.parts.get("dev", [])],
        prepared.words,
        None if prepared.teacher is None else prepared.teacher.crf.to(device),
    )
    epoch_of = {"epoch": state.epoch + 1}

    def progress(done: int, total: int) -> None:
        tell_progress(report, f"seed {seed}, epoch {epoch_of['epoch']}", done, total)

    figure = figure_name(prepared.options.as_dict())
    with RunLog(folder, append=True, report=report) as record:
        if resumed:
            record({"event": "resume", "step": state.epoch})
        for epoch in train(state, data, options, device, checkpoints_in(folder), progress):
            epoch_of["epoch"] = epoch.epoch + 1
            record({"event": "epoch", "seed": seed, "figure": figure, **epoch.as_dict()})
            if (signal := received()) is not None:
                raise Stopped(signal)
    return _finish(config, prepared, state, folder, bilm, device, report)


def _finish(
    config: TaggerConfig,
    prepared: PreparedData,
    state: TrainingState,
    folder: Path,
    bilm: StoredBilm | None,
    device: torch.device,
    report: Report,
) -> dict[str, Any]:
    """Score the best epoch on dev and test and write everything down."""
    training = {
        "epochs_run": state.epoch,
        "best_epoch": state.best_epoch,
        "stopped": state.stopped,
        "parameters": number_of_parameters(state.model),
        "curve": learning_curve(folder / LOG),
    }
    data = ScoredData(
        prepared.parts, prepared.examples, prepared.words, 1.0 if prepared.protocol["trained_on_dev"] else None
    )
    facts = _facts_of(config, prepared, training)
    with state.model.prepared("fp32") if device.type == "cpu" else nullcontext():
        return write_results(
            folder, state.model, data, facts, _info_of(config, prepared), config.storage, bilm, device, report
        )


def _join(
    config: TaggerConfig,
    prepared: PreparedData,
    directory: Path,
    bilm: StoredBilm | None,
    device: torch.device,
    reports: Mapping[int, Mapping[str, Any]],
    report: Report,
) -> dict[str, Any]:
    """Join the taggers of all seeds, which stay where they are, into one in ``directory`` itself."""
    stored = [load_tagger(directory / f"seed-{seed}") for seed in config.seeds]
    model = joined([member for one in stored for member in members_of(one.model)])
    data = ScoredData(
        prepared.parts, prepared.examples, prepared.words, 1.0 if prepared.protocol["trained_on_dev"] else None
    )
    facts = _facts_of(config, prepared, training_of_members(model, list(reports.values())))
    facts["members"] = {"number": len(reports), **summary(reports)}
    return write_results(
        directory, model.to(device), data, facts, _info_of(config, prepared), config.storage, bilm, device, report
    )


def _facts_of(config: TaggerConfig, prepared: PreparedData, training: dict[str, Any]) -> dict[str, Any]:
    """What a report says of a training, beside what it came to."""
    return {
        "seed": config.seeds[0],
        "protocol": prepared.protocol | {"seeds": list(config.seeds)},
        "training": training,
        "config": _without_paths(config),
        "licence": config.licence,
    }


def _info_of(config: TaggerConfig, prepared: PreparedData) -> dict[str, Any]:
    """What ``tagger.json`` says of a training."""
    teacher = prepared.protocol["teacher"]
    return {
        "text": _text_of(prepared),
        "licence": config.licence,
        "data": prepared.protocol["data"],
        **({} if teacher is None else {"teacher": teacher, "unlabelled": prepared.protocol["unlabelled"]}),
    }


def _without_paths(config: TaggerConfig) -> dict[str, Any]:
    """The configuration without the folders of the machine it ran on."""
    values = asdict(config)
    for name in ("train", "dev", "test", "bilm", "word_vectors", "teacher"):
        values[name] = None if values[name] is None else Path(values[name]).name
    values["unlabelled"] = values["unlabelled"] and [Path(path).name for path in values["unlabelled"]]
    return values


def _text_of(prepared: PreparedData) -> dict[str, Any]:
    """What the tagger reads: the kind of raw text, and the language and script of its training data."""
    look = look_at(" ".join(sentence.tokens) for sentence in prepared.parts["train"])
    of_bilm = None if prepared.bilm is None else trained_for(prepared.bilm.info.get("text") or {})[0]
    # A biLM of another language than the data's does not make the tagger one of that language.
    language = look.language or (of_bilm if look.script is None or look.script in scripts_of(of_bilm or "en") else None)
    return {"tokens": prepared.text, "language": language, "script": look.script}
