"""A look ahead: what a run would train, how long, and in how much memory; and whether it learns at all."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from ner_elmo.bilm.data.corpus import find_files
from ner_elmo.bilm.files.directory import BilmFiles
from ner_elmo.bilm.perplexity import held_out_perplexity, unigram_perplexity
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.preparation import PreparedText, count_facts, prepare
from ner_elmo.bilm.pretraining.trainer import Trainer, new_trainer, training_steps
from ner_elmo.runs.checkpoints import KEPT
from ner_elmo.runs.events import Report, silent
from ner_elmo.runs.quick import DOES_NOT_LEARN, LEARNS, UNCLEAR, even_sample
from ner_elmo.text.files import characters_in_file
from ner_elmo.text.vocabulary import Vocabulary

SAMPLE_CHARACTERS = 32_000_000  # of text that is counted; smaller texts are counted whole
WARM_UP_STEPS = 3
TIMED_STEPS = 20
QUICK_HELDOUT_TOKENS = 20_000
LEARNS_BELOW = 0.8  # of the unigram perplexity
STEPS_LEAST = 100  # before which nothing speaks against a configuration


def dry_run(
    config: PretrainConfig,
    *,
    device: torch.device,
    count_processes: int = 1,
    quick_minutes: float | None = None,
    report: Report = silent,
    parent: BilmFiles | None = None,
) -> dict[str, Any]:
    """Read a sample, build the model, time some steps; write nothing.

    Args:
        quick_minutes: then train for so long, with a schedule that ends there, and compare with a unigram model.
        parent: the model of ``config.init`` if it is open already.

    Returns:
        Figures, in tokens, bytes, seconds and hours; those of a text that was not counted whole are estimates.

    Raises:
        UsageError, DataError: as :func:`ner_elmo.bilm.pretraining.preparation.prepare`.
    """
    sample, scale = sample_sizes(find_files(config.corpus), config.decoding)
    prepared = prepare(config, device.type, report, count_processes, sample, scale, parent)
    if scale > 1:
        prepared = replace(prepared, vocabulary=_as_large_as_expected(prepared))
    unfrozen = replace(prepared, config=replace(prepared.config, unfreeze=0.0, softmax_steps=0))
    trainer = _trainer(unfrozen, prepared.total_tokens, device)  # most steps are those of the whole network
    speed, waiting = _speed(trainer, prepared)
    result: dict[str, Any] = {
        "dry_run": True,
        "is_estimate": scale > 1,
        **count_facts(prepared.count),
        "corpus_tokens": prepared.n_tokens,
        "total_tokens": prepared.total_tokens,
        "vocabulary": len(prepared.vocabulary),
        "unk_rate": _unknown_rate(prepared),
        "parameters": sum(p.numel() for p in trainer.learner.model.parameters()),
        "softmax_parameters": sum(p.numel() for p in trainer.learner.softmax.parameters()),
        "tokens_per_second": speed,
        "waiting": waiting,
        "hours": prepared.total_tokens / speed / 3600,
        "peak_memory_bytes": peak_memory(),
        "gpu_memory_bytes": torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        "disk_bytes": disk_bytes(trainer),
    }
    if quick_minutes is not None:
        result["quick"] = train_briefly(prepared, device, round(60 * quick_minutes * speed))
    return result


def sample_sizes(files: Sequence[Path], encoding: str) -> tuple[list[int] | None, float]:
    """How many characters of each file to read, and how many times that the text is; ``None``: all, once."""
    sizes = [characters_in_file(file, encoding) for file in files]
    if sum(sizes) <= SAMPLE_CHARACTERS:
        return None, 1.0
    scale = sum(sizes) / SAMPLE_CHARACTERS
    return [max(1, round(size / scale)) for size in sizes], scale


def _as_large_as_expected(prepared: PreparedText) -> Vocabulary:
    """A sample's vocabulary with as many placeholders as the whole text is expected to have more words.

    By Heaps' law the number of words grows about as the square root of the text.
    """
    if prepared.config.vocabulary_size is None:  # a given one
        return prepared.vocabulary
    tokens = prepared.vocabulary.tokens
    expected = min(prepared.config.vocabulary_size, round(len(tokens) * prepared.scale**0.5))
    return Vocabulary([*tokens, *(f"\0{number}" for number in range(expected - len(tokens)))])


def _trainer(prepared: PreparedText, total_tokens: int, device: torch.device) -> Trainer:
    return new_trainer(
        prepared.config, prepared.vocabulary, prepared.counts, total_tokens, device, parent=prepared.parent
    )


def _speed(trainer: Trainer, prepared: PreparedText) -> tuple[float, float]:
    """Tokens a second of ``TIMED_STEPS`` steps after some to warm up (of fewer, where there is little to train on), and
    the share of the time in which the network waited for its data."""
    start, tokens_before, waited = time.perf_counter(), 0, 0.0
    with closing(training_steps(trainer, prepared.source)) as steps:
        for step in islice(steps, WARM_UP_STEPS + TIMED_STEPS):
            waited += step.waited
            if step.step <= WARM_UP_STEPS and step.tokens < trainer.total_tokens:
                start, tokens_before, waited = time.perf_counter(), step.tokens, 0.0
        seconds = time.perf_counter() - start
    return (trainer.position.tokens - tokens_before) / seconds, min(1.0, waited / seconds)


def _unknown_rate(prepared: PreparedText) -> float:
    """The share of held-out tokens that the vocabulary does not have."""
    tokens = [token for sentence in prepared.heldout for token in sentence]
    return sum(token not in prepared.vocabulary for token in tokens) / max(1, len(tokens))


def peak_memory() -> int | None:
    """The most memory that this process has held so far, in bytes; ``None`` where the system does not say (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def disk_bytes(trainer: Trainer) -> int:
    """What a run directory holds at most: checkpoints (one more while it is written), best weights, the model."""
    weights = 4 * sum(
        p.numel() for module in (trainer.learner.model, trainer.learner.softmax) for p in module.parameters()
    )
    moments = sum(
        value.numel() * value.element_size()
        for state in trainer.learner.optimizer.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor)
    )
    cached_vectors = 4 * len(trainer.vocabulary) * trainer.learner.model.options.lstm.projection_dim
    return (KEPT + 1) * (weights + moments) + 2 * weights + cached_vectors


def train_briefly(prepared: PreparedText, device: torch.device, n_tokens: int) -> dict[str, Any]:
    """Train on ``n_tokens``, at most what the run itself would see, with a schedule that ends there, and compare with a
    unigram model."""
    trainer = _trainer(prepared, max(1, min(n_tokens, prepared.total_tokens)), device)
    start = time.perf_counter()
    for _ in training_steps(trainer, prepared.source):
        pass
    seconds = time.perf_counter() - start
    heldout = even_sample(prepared.heldout, QUICK_HELDOUT_TOKENS)
    perplexity = held_out_perplexity(trainer.learner.model, trainer.learner.softmax, trainer.vocabulary, heldout)
    unigram = unigram_perplexity(prepared.counts, trainer.vocabulary, heldout)
    return {
        "tokens": trainer.position.tokens,
        "steps": trainer.position.step,
        "seconds": seconds,
        "perplexity": perplexity.mean,
        "unigram_perplexity": unigram,
        "verdict": verdict_on_perplexity(perplexity.mean, unigram, trainer.position.step),
    }


def verdict_on_perplexity(perplexity: float, unigram: float, steps: int) -> str:
    """``learns``, ``unclear`` or ``does not learn``, by the held-out perplexity after so many steps."""
    if perplexity < LEARNS_BELOW * unigram:
        return LEARNS
    return UNCLEAR if perplexity < unigram or steps < STEPS_LEAST else DOES_NOT_LEARN
