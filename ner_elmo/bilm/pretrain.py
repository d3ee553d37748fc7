"""Pretraining: a biLM from raw text, interruptible and resumable.

:func:`run` is the whole of it: prepare, loop, stop. The steps are :mod:`ner_elmo.bilm.trainer`'s.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ner_elmo.bilm.checkpoint import Report, load_checkpoint, save_checkpoint
from ner_elmo.bilm.config import PretrainConfig
from ner_elmo.bilm.directory import write_bilm
from ner_elmo.bilm.perplexity import held_out_perplexity, unigram_perplexity
from ner_elmo.bilm.preparation import Prepared, count_facts, prepare
from ner_elmo.bilm.run_log import RunLog
from ner_elmo.bilm.trainer import Trainer, new_trainer, training_steps
from ner_elmo.text.files import replace_file, sha256_of_file
from ner_elmo.text.vocabulary import write_vocabulary


def run(
    config: PretrainConfig,
    directory: Path,
    *,
    device: torch.device,
    resume: bool = False,
    max_minutes: float | None = None,
    count_processes: int = 1,
    report: Report = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Pretrain into ``directory``, a run directory that ends up as a biLM directory.

    Args:
        count_processes: that count tokens (:func:`ner_elmo.text.counting.count_text`).
        report: is handed every event (counts, steps, evaluations) as a dictionary with an ``event``.
        should_stop: asked after every step; if true, a checkpoint is written and the run ends early.

    Returns:
        The final report: ``finished``, tokens seen, held-out perplexities.

    Raises:
        UsageError, DataError: bad input, before anything is written.
        NerElmoError: the loss stays infinite.
    """
    checkpoints = directory / "checkpoints"
    prepared = prepare(config, report, device.type, count_processes)
    config = prepared.config
    trainer = new_trainer(config, prepared.vocabulary, prepared.counts, prepared.total_tokens, device)
    directory.mkdir(parents=True, exist_ok=True)
    if not resume:
        shutil.rmtree(checkpoints, ignore_errors=True)  # an earlier run's, which --force replaces
        (directory / "report.json").unlink(missing_ok=True)
    with RunLog(directory, resume, report) as record:
        if resume and load_checkpoint(trainer, checkpoints, report):
            record({"event": "resume", "step": trainer.step, "tokens": trainer.tokens})
        else:
            write_vocabulary(prepared.vocabulary, directory / "vocab.txt")
            with replace_file(directory / "config.json") as temporary:
                temporary.write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")
            record(_start_event(trainer, prepared))
        checkpoints.mkdir(exist_ok=True)
        stopped = _train(trainer, prepared, checkpoints, record, should_stop, max_minutes)
        if stopped:
            path = save_checkpoint(trainer, checkpoints)
            record({"event": "stopped", "step": trainer.step, "tokens": trainer.tokens, "checkpoint": str(path)})
            record.draw()
            return {"finished": False, "step": trainer.step, "tokens": trainer.tokens}
        save_checkpoint(trainer, checkpoints)
        return _finish(trainer, prepared, directory, record)


def _start_event(trainer: Trainer, prepared: Prepared) -> dict[str, Any]:
    return {
        "event": "start",
        **count_facts(prepared.count),
        "heldout_sentences": len(prepared.heldout),
        "vocabulary": len(prepared.vocabulary),
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "softmax": f"sampled ({trainer.config.n_samples})" if trainer.sampled else "exact",
        "total_tokens": trainer.total_tokens,
    }


def _train(
    trainer: Trainer,
    prepared: Prepared,
    checkpoints: Path,
    record: RunLog,
    should_stop: Callable[[], bool],
    max_minutes: float | None,
) -> bool:
    """The loop; true if it was stopped before its end."""
    config = trainer.config
    sample = first_tokens(prepared.heldout, config.heldout_tokens)
    evaluate_every = max(1, trainer.total_tokens // max(1, config.evaluations))
    started, tokens_at_start, tokens_before = time.monotonic(), trainer.tokens, trainer.tokens
    saved = started
    for step in training_steps(trainer, prepared.source):
        seconds = time.monotonic() - started
        speed = (step.tokens - tokens_at_start) / seconds
        record(
            {
                "event": "step",
                **step._asdict(),
                "total_tokens": trainer.total_tokens,
                "tokens_per_second": round(speed, 1),
                "seconds": round(seconds, 1),
            }
        )
        if step.tokens // evaluate_every > tokens_before // evaluate_every and step.tokens < trainer.total_tokens:
            _evaluate(trainer, sample, checkpoints, record)
        tokens_before = step.tokens
        if checkpoint_is_due(config, step.step, time.monotonic() - saved):
            save_checkpoint(trainer, checkpoints)
            saved = time.monotonic()
        if should_stop() or (max_minutes is not None and seconds > 60 * max_minutes):
            return trainer.tokens < trainer.total_tokens
    return False


def checkpoint_is_due(config: PretrainConfig, step: int, seconds: float) -> bool:
    """Whether to save after ``step``, ``seconds`` after the checkpoint before: by steps, by minutes, or by either."""
    by_steps = config.checkpoint_steps is not None and step % config.checkpoint_steps == 0
    return by_steps or (config.checkpoint_minutes is not None and seconds >= 60 * config.checkpoint_minutes)


def first_tokens(sentences: list[list[str]], n_tokens: int) -> list[list[str]]:
    """The first sentences that hold ``n_tokens`` together; at least one."""
    chosen: list[list[str]] = []
    for sentence in sentences:
        chosen.append(sentence)
        n_tokens -= len(sentence)
        if n_tokens <= 0:
            break
    return chosen


def _evaluate(trainer: Trainer, sample: list[list[str]], checkpoints: Path, record: RunLog) -> None:
    perplexity = held_out_perplexity(trainer.model, trainer.softmax, trainer.vocabulary, sample)
    is_best = perplexity.mean < trainer.best
    if is_best:
        trainer.best = perplexity.mean
        with replace_file(checkpoints / "best.pt") as temporary:
            torch.save({"model": trainer.model.state_dict(), "softmax": trainer.softmax.state_dict()}, temporary)
    record(
        {
            "event": "perplexity",
            "step": trainer.step,
            "tokens_seen": trainer.tokens,
            "is_best": is_best,
            **perplexity.to_json(),
        }
    )
    record.draw()


def _finish(trainer: Trainer, prepared: Prepared, directory: Path, record: RunLog) -> dict[str, Any]:
    """Take the best weights, measure them on all held-out text, and write the biLM directory's files."""
    checkpoints = directory / "checkpoints"
    _evaluate(trainer, first_tokens(prepared.heldout, trainer.config.heldout_tokens), checkpoints, record)
    best = torch.load(checkpoints / "best.pt", map_location="cpu", weights_only=True)
    trainer.model.load_state_dict(best["model"])
    trainer.softmax.load_state_dict(best["softmax"])
    perplexity = held_out_perplexity(trainer.model, trainer.softmax, trainer.vocabulary, prepared.heldout)
    unigram = unigram_perplexity(prepared.counts, trainer.vocabulary, prepared.heldout)
    report = {
        "finished": True,
        "step": trainer.step,
        "tokens": trainer.tokens,
        "perplexity": perplexity.to_json(),
        "unigram_perplexity": unigram,
    }
    write_bilm(
        directory / "bilm", trainer.model, trainer.softmax, trainer.vocabulary, _facts(trainer, prepared, report)
    )
    (directory / "vocab.txt").unlink(missing_ok=True)  # the biLM directory has it now
    with replace_file(directory / "report.json") as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    record({"event": "finished", **report})
    record.draw()
    return report


def _facts(trainer: Trainer, prepared: Prepared, report: Mapping[str, Any]) -> dict[str, Any]:
    config = trainer.config
    return {
        "text": {"tokens": prepared.source.tokenizer, "normalization": None, "language": config.language},
        "state": "zero",
        "softmax": {"tied": False, "sampled": config.n_samples if trainer.sampled else None},
        "training_data": [{"name": file.name, "sha256": sha256_of_file(file)} for file in prepared.source.files],
        "corpus_tokens": prepared.n_tokens,
        "repeated_sentences": prepared.count.repeated.number(),
        "tokens_seen": trainer.tokens,
        "steps": trainer.step,
        "licence": config.licence,
        "parent": config.init,
        "perplexity": report["perplexity"],
        "unigram_perplexity": report["unigram_perplexity"],
    }
