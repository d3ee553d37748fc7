"""Pretraining: a biLM from raw text, interruptible and resumable.

:func:`pretrain` is the whole of it: prepare, loop, stop. The steps are :mod:`ner_elmo.bilm.pretraining.trainer`'s.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any

import torch

from ner_elmo.bilm.data.running_text import running_text
from ner_elmo.bilm.files.directory import BilmFiles, tokens_seen_in_all, write_bilm
from ner_elmo.bilm.perplexity import Perplexity, held_out_perplexity, unigram_perplexity
from ner_elmo.bilm.pretraining.checkpoint import load_checkpoint, save_checkpoint
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.curve import draw_curve
from ner_elmo.bilm.pretraining.distributed import Processes
from ner_elmo.bilm.pretraining.kept_count import keep_count
from ner_elmo.bilm.pretraining.learner import describe_softmax
from ner_elmo.bilm.pretraining.preparation import PreparedText, count_facts, prepare, rows_of
from ner_elmo.bilm.pretraining.schedule import describe_rates
from ner_elmo.bilm.pretraining.trainer import BAD_STEPS_MOST, Trainer, new_trainer, training_steps
from ner_elmo.errors import NerElmoError, UsageError
from ner_elmo.runs.checkpoints import read_tensors, write_tensors
from ner_elmo.runs.directory import (
    BILM,
    CHECKPOINTS,
    LOG,
    REPORT,
    held,
    mend_log,
    remove_checkpoints,
    remove_leftovers,
    write_config,
)
from ner_elmo.runs.events import Report, note, silent, warning
from ner_elmo.runs.log import RunLog
from ner_elmo.runs.quick import even_sample
from ner_elmo.text.files import json_of, write_json
from ner_elmo.text.language_kinds import language_of
from ner_elmo.text.languages import look_at
from ner_elmo.text.vocabulary import write_vocabulary


def pretrain(
    config: PretrainConfig,
    directory: Path,
    *,
    device: torch.device,
    processes: Processes = Processes(),  # noqa: B008 - immutable
    resume: bool = False,
    max_minutes: float | None = None,
    count_processes: int = 1,
    report: Report = silent,
    should_stop: Callable[[], bool] = lambda: False,
    deferred: Callable[[], AbstractContextManager[None]] = nullcontext,
    parent: BilmFiles | None = None,
) -> dict[str, Any]:
    """Pretrain into ``directory``, a run directory that ends up as a biLM directory.

    Args:
        processes: those that train together; the first alone writes and reports, but for warnings.
        count_processes: that count tokens (:func:`ner_elmo.text.counting.count_text`).
        report: is handed every event (counts, steps, evaluations) as a dictionary with an ``event``.
        should_stop: asked after every step; if true in any process, a checkpoint is written and the run ends early.
        deferred: the block in which that is so (:meth:`ner_elmo.runs.stop.StopSignals.deferred`).
        parent: the model of ``config.init`` if it is open already.

    Returns:
        The final report: ``finished``, tokens seen, held-out perplexities.

    Raises:
        UsageError, DataError: bad input, before anything is written.
        NerElmoError: the loss stays infinite, memory or disk are too small, or another process is gone.
    """
    if config.carry_state and processes.size > 1:
        raise UsageError("--carry-state: its streams are read by one process; start it without torchrun")
    with held(directory) if processes.is_first else nullcontext():
        return _pretrain(
            config,
            directory,
            device,
            processes,
            resume,
            max_minutes,
            count_processes,
            report,
            should_stop,
            deferred,
            parent,
        )


def _pretrain(
    config: PretrainConfig,
    directory: Path,
    device: torch.device,
    processes: Processes,
    resume: bool,
    max_minutes: float | None,
    count_processes: int,
    report: Report,
    should_stop: Callable[[], bool],
    deferred: Callable[[], AbstractContextManager[None]],
    parent: BilmFiles | None,
) -> dict[str, Any]:
    checkpoints = directory / CHECKPOINTS
    report_first = report if processes.is_first else silent
    prepared = prepare(
        config,
        device.type,
        report_first,
        count_processes,
        parent=parent,
        processes=processes,
        checkpoints=checkpoints if resume else None,
    )
    config = prepared.config
    trainer = new_trainer(
        config, prepared.vocabulary, prepared.counts, prepared.total_tokens, device, processes, prepared.parent
    )
    trainer.digests = prepared.digests()
    if config.carry_state:
        trainer.running_text = running_text(prepared.source, rows_of(config))
    if processes.is_first:
        _make_ready(directory, checkpoints, resume)
    with RunLog(directory if processes.is_first else None, resume, report_first, draw_curve) as record:
        trainer.machine.warn = _warner(processes, record, report)
        resumed = resume and load_checkpoint(trainer, checkpoints, report_first)
        if processes.is_first:
            _write_start(config, prepared, directory, checkpoints)
        if resumed:
            record(
                {
                    "event": "resume",
                    "step": trainer.position.step,
                    "tokens": trainer.position.tokens,
                    "processes": processes.size,
                }
            )
        else:
            record(_start_event(trainer, prepared))
            _show_start(trainer, prepared, checkpoints, record)
        with deferred():
            stopped = _train(trainer, prepared, checkpoints, record, should_stop, max_minutes)
            path = save_checkpoint(trainer, checkpoints)
        if stopped:
            record(
                {
                    "event": "stopped",
                    "step": trainer.position.step,
                    "tokens": trainer.position.tokens,
                    "checkpoint": str(path),
                }
            )
            record.draw()
            return {"finished": False, "step": trainer.position.step, "tokens": trainer.position.tokens}
        return _finish(trainer, prepared, directory, record)


def finished_report(directory: Path, before: PretrainConfig, now: PretrainConfig) -> dict[str, Any] | None:
    """The report of a run with nothing left to do; ``before`` are its settings, ``now`` those to go on with."""
    report = directory / REPORT
    if not report.is_file() or (before.max_tokens, before.epochs) != (now.max_tokens, now.epochs):
        return None
    try:
        values = json_of(report)
    except (OSError, ValueError):
        return None  # it is made again, from the last checkpoint
    sound = isinstance(values, dict) and {"finished", "tokens", "perplexity"} <= values.keys()
    return values if sound else None


def _warner(processes: Processes, record: Report, report: Report) -> Callable[[str], None]:
    """How a process warns: the first into the log, too, and the others saying which they are."""

    def warn(message: str) -> None:
        if processes.is_first:
            record({"event": "warning", "message": message})
        else:
            warning(report, f"process {processes.rank}: {message}")

    return warn


def _make_ready(directory: Path, checkpoints: Path, resume: bool) -> None:
    """Make the run directory, less what is left of an earlier or a killed run."""
    checkpoints.mkdir(parents=True, exist_ok=True)
    remove_leftovers(directory)
    if resume:
        mend_log(directory / LOG)
    else:
        remove_checkpoints(directory)  # an earlier run's, which --force replaces
        checkpoints.mkdir(exist_ok=True)
        (directory / REPORT).unlink(missing_ok=True)


def _write_start(config: PretrainConfig, prepared: PreparedText, directory: Path, checkpoints: Path) -> None:
    if not prepared.was_kept:
        keep_count(checkpoints, prepared.count_key, prepared.count)
    write_vocabulary(prepared.vocabulary, directory / "vocab.txt")
    write_config(directory, config)


def _start_event(trainer: Trainer, prepared: PreparedText) -> dict[str, Any]:
    return {
        "event": "start",
        **count_facts(prepared.count),
        "heldout_sentences": len(prepared.heldout),
        "vocabulary": len(prepared.vocabulary),
        "parameters": sum(p.numel() for p in trainer.learner.model.parameters()),
        "softmax": describe_softmax(trainer.config, len(prepared.vocabulary)),
        "total_tokens": trainer.total_tokens,
        "processes": trainer.machine.processes.size,
    }


def _show_start(trainer: Trainer, prepared: PreparedText, checkpoints: Path, record: RunLog) -> None:
    """How the parts of the network learn, if not all alike; and where a run begins that goes on from another model.

    That perplexity and the later ones are over the same vocabulary. The parent's own need not be.
    """
    config = trainer.config
    if trainer.learner.parts:
        rates = describe_rates(config, trainer.learner.parts, trainer.total_tokens, trainer.learner.softmax_is_fresh)
        note(record, rates)
    if config.init is not None:
        _evaluate(trainer, _sample(prepared), checkpoints, record)


def _train(
    trainer: Trainer,
    prepared: PreparedText,
    checkpoints: Path,
    record: RunLog,
    should_stop: Callable[[], bool],
    max_minutes: float | None,
) -> bool:
    """The loop; true if it was stopped before its end."""
    config = trainer.config
    sample = _sample(prepared)
    evaluate_every = max(1, trainer.total_tokens // max(1, config.evaluations))
    started, tokens_at_start, tokens_before = time.monotonic(), trainer.position.tokens, trainer.position.tokens
    saved, waited = started, 0.0
    with closing(training_steps(trainer, prepared.own_source)) as steps:
        for step in steps:
            seconds = time.monotonic() - started
            waited += step.waited
            speed = (step.tokens - tokens_at_start) / seconds
            figures = {
                "total_tokens": trainer.total_tokens,
                "tokens_per_second": round(speed, 1),
                "seconds": round(seconds, 1),
                "waiting": round(waited / seconds, 4),
            }
            if step.finite:
                record({"event": "step", **step._asdict(), **figures})
            else:
                record(
                    {
                        "event": "skipped",
                        "step": step.step,
                        "tokens": step.tokens,
                        "in_all": trainer.position.skipped_in_all,
                    }
                )
            if trainer.position.skipped >= BAD_STEPS_MOST:
                path = save_checkpoint(trainer, checkpoints)
                raise NerElmoError(
                    f"the loss was not finite in {trainer.position.skipped} steps in a row (up to step {step.step}); "
                    f"{path} holds the weights from before them: go on with --resume and a smaller --learning-rate or "
                    "--clip-norm"
                )
            if step.tokens // evaluate_every > tokens_before // evaluate_every and step.tokens < trainer.total_tokens:
                _evaluate(trainer, sample, checkpoints, record)
            tokens_before = step.tokens
            if checkpoint_is_due(config, step.step, time.monotonic() - saved):
                save_checkpoint(trainer, checkpoints)
                saved = time.monotonic()
            if trainer.machine.processes.any(should_stop() or (max_minutes is not None and seconds > 60 * max_minutes)):
                return trainer.position.tokens < trainer.total_tokens
    return False


def checkpoint_is_due(config: PretrainConfig, step: int, seconds: float) -> bool:
    """Whether to save after ``step``, ``seconds`` after the checkpoint before: by steps, by minutes, or by either."""
    by_steps = config.checkpoint_steps is not None and step % config.checkpoint_steps == 0
    return by_steps or (config.checkpoint_minutes is not None and seconds >= 60 * config.checkpoint_minutes)


def _sample(prepared: PreparedText) -> list[list[str]]:
    """The held-out sentences for perplexity on the way."""
    assert prepared.config.heldout_tokens is not None  # settled
    return even_sample(prepared.heldout, prepared.config.heldout_tokens)


def _perplexity(trainer: Trainer, sentences: list[list[str]]) -> Perplexity:
    """Held-out perplexity, each process reading its share."""
    processes = trainer.machine.processes
    share = sentences[processes.rank :: processes.size]
    return held_out_perplexity(
        trainer.learner.model,
        trainer.learner.softmax,
        trainer.vocabulary,
        share,
        carry_state=trainer.config.carry_state,
        combine=processes.sum,
    )


def _evaluate(trainer: Trainer, sample: list[list[str]], checkpoints: Path, record: RunLog) -> None:
    perplexity = _perplexity(trainer, sample)
    is_best = perplexity.mean < trainer.position.best
    if is_best:
        trainer.position.best = perplexity.mean
        if trainer.machine.processes.is_first:
            weights = {"model": trainer.learner.model.state_dict(), "softmax": trainer.learner.softmax.state_dict()}
            write_tensors(weights, checkpoints / "best.pt")
    record(
        {
            "event": "perplexity",
            "step": trainer.position.step,
            "tokens_seen": trainer.position.tokens,
            "is_best": is_best,
            **perplexity.to_json(),
        }
    )
    record.draw()


def _finish(trainer: Trainer, prepared: PreparedText, directory: Path, record: RunLog) -> dict[str, Any]:
    """Take the best weights, measure them on all held-out text, and write the biLM directory's files."""
    checkpoints = directory / CHECKPOINTS
    _evaluate(trainer, _sample(prepared), checkpoints, record)
    if not math.isfinite(trainer.position.best):
        raise NerElmoError(
            f"{directory}: held-out perplexity was never finite, so there is no model to write; begin anew with a "
            "smaller --learning-rate"
        )
    _take_best_weights(trainer, checkpoints / "best.pt")
    perplexity = _perplexity(trainer, prepared.heldout)
    unigram = unigram_perplexity(prepared.counts, trainer.vocabulary, prepared.heldout)
    report = {
        "finished": True,
        "step": trainer.position.step,
        "tokens": trainer.position.tokens,
        "skipped_steps": trainer.position.skipped_in_all,
        "perplexity": perplexity.to_json(),
        "unigram_perplexity": unigram,
    }
    if not trainer.machine.processes.is_first:
        return report
    learner, facts = trainer.learner, _facts(trainer, prepared, report)
    write_bilm(directory / BILM, learner.model, learner.softmax, trainer.vocabulary, facts)
    (directory / "vocab.txt").unlink(missing_ok=True)  # the biLM directory has it now
    write_json(directory / REPORT, report)
    record({"event": "finished", **report})
    record.draw()
    return report


def _take_best_weights(trainer: Trainer, path: Path) -> None:
    """Set the weights to the best by held-out perplexity; to the last, with a warning, if their file is damaged."""
    trainer.machine.processes.wait()  # until they are written
    best: dict[str, Any] = {}
    try:
        best = read_tensors(path)
    except Exception as error:  # whatever a torn file makes of torch.load
        trainer.machine.warn(f"{path}: damaged ({type(error).__name__}); taking the last weights instead of the best")
    if trainer.machine.processes.any(not best):
        return
    trainer.learner.model.load_state_dict(best["model"])
    trainer.learner.softmax.load_state_dict(best["softmax"])


def _parent(path: Path, files: BilmFiles) -> dict[str, Any]:
    """What a model says of the one that it goes on from: no place on a machine."""
    name = path.resolve().parent.name if path.name == "bilm" else path.resolve().name
    if not path.exists():
        return {"name": name}
    return {
        "name": name,
        "tokens_seen": files.info.get("tokens_seen"),
        "tokens_seen_in_all": tokens_seen_in_all(files.info),
        "weights_sha256": files.sha256(files.weights),
    }


def _facts(trainer: Trainer, prepared: PreparedText, report: Mapping[str, Any]) -> dict[str, Any]:
    config = trainer.config
    look = look_at(" ".join(tokens) for tokens in prepared.heldout)
    return {
        "text": {
            "tokens": prepared.source.tokenizer,
            "normalization": None,
            "language": config.language or language_of(prepared.source.tokenizer) or look.language,
            "script": look.script,
        },
        "state": "carried" if config.carry_state else "zero",
        "softmax": {
            "tied": trainer.learner.model.options.tied,
            "sampled": config.n_samples if trainer.learner.sampled else None,
        },
        "training_data": [
            {"name": file.name, "sha256": digest}
            for file, digest in zip(prepared.source.files, prepared.file_digests, strict=True)
        ],
        "corpus_tokens": prepared.n_tokens,
        "repeated_sentences": prepared.count.repeated.number(),
        "tokens_seen": trainer.position.tokens,
        "steps": trainer.position.step,
        "licence": config.licence,
        "parent": _parent(Path(config.init), prepared.parent) if config.init and prepared.parent else None,
        "perplexity": report["perplexity"],
        "unigram_perplexity": report["unigram_perplexity"],
    }
