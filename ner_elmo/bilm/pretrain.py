"""Pretraining: a biLM from raw text, interruptible and resumable.

:func:`run` is the whole of it: prepare, loop, stop. The steps are :mod:`ner_elmo.bilm.trainer`'s.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import torch

from ner_elmo.bilm.checkpoint import (
    Report,
    load_checkpoint,
    mend_log,
    read_tensors,
    remove_leftovers,
    save_checkpoint,
    write_tensors,
)
from ner_elmo.bilm.config import PretrainConfig
from ner_elmo.bilm.corpus import TEXT_KINDS, TextSource, describe, find_files, read_sentences
from ner_elmo.bilm.directory import find_bilm, load_vocabulary, write_bilm
from ner_elmo.bilm.distributed import Processes
from ner_elmo.bilm.perplexity import Perplexity, held_out_perplexity, unigram_perplexity
from ner_elmo.bilm.running_text import require_enough_text, running_text
from ner_elmo.bilm.trainer import BAD_STEPS_MOST, Trainer, describe_softmax, new_trainer, training_steps
from ner_elmo.errors import DataError, NerElmoError, UsageError
from ner_elmo.text.files import replace_file, sha256_of_file
from ner_elmo.text.vocabulary import Vocabulary, count_tokens, most_frequent, read_vocabulary, write_vocabulary


@dataclass
class Prepared:
    """The text as counted before training. ``counts`` has the number of sentences under ``</S>``."""

    source: TextSource
    heldout: list[list[str]]
    vocabulary: Vocabulary
    counts: Counter[str]

    @property
    def n_tokens(self) -> int:
        return sum(self.counts.values()) - self.counts["</S>"]


def prepare(config: PretrainConfig, report: Report) -> Prepared:
    """Find the text, count it, settle the vocabulary and the held-out sentences.

    Raises:
        UsageError: a file is missing.
        DataError: no sentence in the text, or none left to hold out.
    """
    source = TextSource(tuple(find_files(config.corpus)), TEXT_KINDS[config.text], config.encoding)
    if config.heldout is None:
        source = source.holding_out()
    report({"event": "count", "message": f"counting tokens in {describe(source.files)}"})
    counts = count_tokens(source.sentences())
    if not counts["</S>"]:
        raise DataError(f"{describe(source.files)}: found no sentence; expected text, one sentence a line")
    if config.heldout is not None:
        heldout = list(read_sentences(find_files([config.heldout]), source.tokenizer, config.encoding))
    else:
        heldout = source.heldout_sentences()
    if not heldout:
        raise DataError("found no sentence to hold out for perplexity; give more text, or --heldout FILE")
    if config.vocabulary is not None:
        vocabulary = read_vocabulary(config.vocabulary)
    elif config.init is not None:
        vocabulary = load_vocabulary(find_bilm(config.init))
    else:
        vocabulary = most_frequent(counts, config.vocabulary_size, config.min_count)
    if config.carry_state:
        require_enough_text(config, sum(counts.values()) - counts["</S>"], counts["</S>"])
    return Prepared(source, heldout, vocabulary, counts)


def run(
    config: PretrainConfig,
    directory: Path,
    *,
    device: torch.device,
    processes: Processes = Processes(),  # noqa: B008 - immutable
    resume: bool = False,
    max_minutes: float | None = None,
    report: Report = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Pretrain into ``directory``, a run directory that ends up as a biLM directory.

    Args:
        processes: those that train together; the first alone writes and reports, but for warnings.
        report: is handed every event (counts, steps, evaluations) as a dictionary with an ``event``.
        should_stop: asked after every step; if true in any process, a checkpoint is written and the run ends early.

    Returns:
        The final report: ``finished``, tokens seen, held-out perplexities.

    Raises:
        UsageError, DataError: bad input, before anything is written.
        NerElmoError: the loss stays infinite, memory or disk are too small, or another process is gone.
    """
    checkpoints = directory / "checkpoints"
    report_first = report if processes.is_first else _nothing
    prepared = prepare(config, report_first)
    total = min(config.max_tokens or math.inf, config.epochs * prepared.n_tokens)
    trainer = new_trainer(config, prepared.vocabulary, prepared.counts, int(total), device, processes)
    if config.carry_state:
        if processes.size > 1:
            raise UsageError("--carry-state: its streams are read by one process; start it without torchrun")
        trainer.running_text = running_text(config, prepared.source)
    with _open_log(directory, checkpoints, resume, processes) as log:

        def record(event: Mapping[str, Any]) -> None:
            if processes.is_first:
                log.write(json.dumps(event, ensure_ascii=False) + "\n")
                log.flush()
                report(event)

        trainer.warn = _warner(processes, record, report)
        resumed = resume and load_checkpoint(trainer, checkpoints, report_first)
        if processes.is_first:
            _write_start(config, prepared, directory)
        if resumed:
            record({"event": "resume", "step": trainer.step, "tokens": trainer.tokens, "processes": processes.size})
        else:
            record(_start_event(trainer, prepared))
        stopped = _train(trainer, prepared, checkpoints, record, should_stop, max_minutes)
        path = save_checkpoint(trainer, checkpoints)
        if stopped:
            record({"event": "stopped", "step": trainer.step, "tokens": trainer.tokens, "checkpoint": str(path)})
            return {"finished": False, "step": trainer.step, "tokens": trainer.tokens}
        return _finish(trainer, prepared, directory, record)


def _nothing(event: Mapping[str, Any]) -> None:
    """Report nothing."""


def _warner(processes: Processes, record: Report, report: Report) -> Callable[[str], None]:
    """How a process warns: the first into the log, too, and the others saying which they are."""

    def warn(message: str) -> None:
        if processes.is_first:
            record({"event": "warning", "message": message})
        else:
            report({"event": "warning", "message": f"process {processes.rank}: {message}"})

    return warn


def _open_log(directory: Path, checkpoints: Path, resume: bool, processes: Processes) -> TextIO:
    """Make the run directory ready, less what is left of an earlier or a killed run, and open its log."""
    if not processes.is_first:
        return open(os.devnull, "w", encoding="utf-8")
    checkpoints.mkdir(parents=True, exist_ok=True)
    remove_leftovers(directory)
    if resume:
        mend_log(directory / "log.jsonl")
    else:
        shutil.rmtree(checkpoints)  # an earlier run's, which --force replaces
        checkpoints.mkdir()
        (directory / "report.json").unlink(missing_ok=True)
    return (directory / "log.jsonl").open("a" if resume else "w", encoding="utf-8")


def _write_start(config: PretrainConfig, prepared: Prepared, directory: Path) -> None:
    write_vocabulary(prepared.vocabulary, directory / "vocab.txt")
    with replace_file(directory / "config.json") as temporary:
        temporary.write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")


def _start_event(trainer: Trainer, prepared: Prepared) -> dict[str, Any]:
    return {
        "event": "start",
        "corpus_tokens": prepared.n_tokens,
        "corpus_sentences": prepared.counts["</S>"],
        "heldout_sentences": len(prepared.heldout),
        "vocabulary": len(prepared.vocabulary),
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "softmax": describe_softmax(trainer.config, len(prepared.vocabulary)),
        "total_tokens": trainer.total_tokens,
        "processes": trainer.processes.size,
    }


def _train(
    trainer: Trainer,
    prepared: Prepared,
    checkpoints: Path,
    record: Report,
    should_stop: Callable[[], bool],
    max_minutes: float | None,
) -> bool:
    """The loop; true if it was stopped before its end."""
    config = trainer.config
    sample = first_tokens(prepared.heldout, config.heldout_tokens)
    evaluate_every = max(1, trainer.total_tokens // max(1, config.evaluations))
    started, tokens_at_start, tokens_before = time.monotonic(), trainer.tokens, trainer.tokens
    for step in training_steps(trainer, prepared.source):
        seconds = time.monotonic() - started
        speed = (step.tokens - tokens_at_start) / seconds
        figures = {
            "total_tokens": trainer.total_tokens,
            "tokens_per_second": round(speed, 1),
            "seconds": round(seconds, 1),
        }
        if step.finite:
            record({"event": "step", **step._asdict(), **figures})
        else:
            record({"event": "skipped", "step": step.step, "tokens": step.tokens, "in_all": trainer.skipped_in_all})
        if trainer.skipped >= BAD_STEPS_MOST:
            path = save_checkpoint(trainer, checkpoints)
            raise NerElmoError(
                f"the loss was not finite in {trainer.skipped} steps in a row (up to step {step.step}); {path} holds "
                "the weights from before them: go on with --resume and a smaller --learning-rate or --clip-norm"
            )
        if step.tokens // evaluate_every > tokens_before // evaluate_every and step.tokens < trainer.total_tokens:
            _evaluate(trainer, sample, checkpoints, record)
        tokens_before = step.tokens
        if step.step % config.checkpoint_steps == 0:
            save_checkpoint(trainer, checkpoints)
        if trainer.processes.any(should_stop() or (max_minutes is not None and seconds > 60 * max_minutes)):
            return trainer.tokens < trainer.total_tokens
    return False


def first_tokens(sentences: list[list[str]], n_tokens: int) -> list[list[str]]:
    """The first sentences that hold ``n_tokens`` together; at least one."""
    chosen: list[list[str]] = []
    for sentence in sentences:
        chosen.append(sentence)
        n_tokens -= len(sentence)
        if n_tokens <= 0:
            break
    return chosen


def _perplexity(trainer: Trainer, sentences: list[list[str]]) -> Perplexity:
    """Held-out perplexity, each process reading its share."""
    processes = trainer.processes
    share = sentences[processes.rank :: processes.size]
    return held_out_perplexity(
        trainer.model,
        trainer.softmax,
        trainer.vocabulary,
        share,
        carry_state=trainer.config.carry_state,
        combine=processes.sum,
    )


def _evaluate(trainer: Trainer, sample: list[list[str]], checkpoints: Path, record: Report) -> None:
    perplexity = _perplexity(trainer, sample)
    is_best = perplexity.mean < trainer.best
    if is_best:
        trainer.best = perplexity.mean
        if trainer.processes.is_first:
            weights = {"model": trainer.model.state_dict(), "softmax": trainer.softmax.state_dict()}
            write_tensors(weights, checkpoints / "best.pt")
    record(
        {
            "event": "perplexity",
            "step": trainer.step,
            "tokens_seen": trainer.tokens,
            "is_best": is_best,
            **perplexity.to_json(),
        }
    )


def _finish(trainer: Trainer, prepared: Prepared, directory: Path, record: Report) -> dict[str, Any]:
    """Take the best weights, measure them on all held-out text, and write the biLM directory's files."""
    checkpoints = directory / "checkpoints"
    _evaluate(trainer, first_tokens(prepared.heldout, trainer.config.heldout_tokens), checkpoints, record)
    _take_best_weights(trainer, checkpoints / "best.pt")
    perplexity = _perplexity(trainer, prepared.heldout)
    unigram = unigram_perplexity(prepared.counts, trainer.vocabulary, prepared.heldout)
    report = {
        "finished": True,
        "step": trainer.step,
        "tokens": trainer.tokens,
        "skipped_steps": trainer.skipped_in_all,
        "perplexity": perplexity.to_json(),
        "unigram_perplexity": unigram,
    }
    if not trainer.processes.is_first:
        return report
    write_bilm(
        directory / "bilm", trainer.model, trainer.softmax, trainer.vocabulary, _facts(trainer, prepared, report)
    )
    (directory / "vocab.txt").unlink(missing_ok=True)  # the biLM directory has it now
    with replace_file(directory / "report.json") as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    record({"event": "finished", **report})
    return report


def _take_best_weights(trainer: Trainer, path: Path) -> None:
    """Set the weights to the best by held-out perplexity; to the last, with a warning, if their file is damaged."""
    trainer.processes.wait()  # until they are written
    best: dict[str, Any] = {}
    try:
        best = read_tensors(path)
    except Exception as error:  # whatever a torn file makes of torch.load
        trainer.warn(f"{path}: damaged ({type(error).__name__}); taking the last weights instead of the best")
    if trainer.processes.any(not best):
        return
    trainer.model.load_state_dict(best["model"])
    trainer.softmax.load_state_dict(best["softmax"])


def _facts(trainer: Trainer, prepared: Prepared, report: Mapping[str, Any]) -> dict[str, Any]:
    config = trainer.config
    return {
        "text": {"tokens": prepared.source.tokenizer, "normalization": None, "language": config.language},
        "state": "carried" if config.carry_state else "zero",
        "softmax": {"tied": trainer.model.options.tied, "sampled": config.n_samples if trainer.sampled else None},
        "training_data": [{"name": file.name, "sha256": sha256_of_file(file)} for file in prepared.source.files],
        "corpus_tokens": prepared.n_tokens,
        "tokens_seen": trainer.tokens,
        "steps": trainer.step,
        "licence": config.licence,
        "parent": config.init,
        "perplexity": report["perplexity"],
        "unigram_perplexity": report["unigram_perplexity"],
    }
