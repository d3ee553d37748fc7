"""Pretraining: a biLM from raw text, interruptible and resumable.

:func:`run` is the whole of it: prepare, loop, stop. :func:`training_steps` is the loop as a sequence; saving,
logging and printing are its caller's.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from ner_elmo.bilm.corpus import (
    TEXT_KINDS,
    TextSource,
    describe,
    find_files,
    make_batch,
    read_sentences,
    training_batches,
)
from ner_elmo.bilm.directory import find_bilm, load_bilm, load_softmax, load_vocabulary, write_bilm
from ner_elmo.bilm.model import BiLm
from ner_elmo.bilm.options import BilmOptions, parse_options
from ner_elmo.bilm.perplexity import directions, held_out_perplexity, unigram_perplexity
from ner_elmo.bilm.softmax import Softmax, draw_sample
from ner_elmo.errors import DataError, NerElmoError
from ner_elmo.text.files import replace_file, sha256_of_file
from ner_elmo.text.vocabulary import Vocabulary, count_tokens, most_frequent, read_vocabulary, write_vocabulary

# Beyond this many words the exact softmax costs more than the network, and `auto` samples.
EXACT_SOFTMAX_WORDS = 10_000
BAD_STEPS_MOST = 10  # losses in a row that are not finite before training gives up
CHECKPOINTS_KEPT = 2

Report = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class PretrainConfig:
    """Everything that decides the result. ``options`` is the dictionary of an ``options.json``."""

    corpus: list[str]
    options: dict[str, Any]
    heldout: str | None = None
    text: str = "tokenized"
    encoding: str = "utf-8"
    vocabulary: str | None = None
    vocabulary_size: int = 50_000
    init: str | None = None
    softmax: str = "auto"
    n_samples: int = 4096
    learning_rate: float = 2e-3
    warmup_steps: int = 200
    decay_share: float = 0.4
    clip_norm: float = 1.0
    batch_tokens: int = 3072
    epochs: int = 10
    max_tokens: int | None = None
    heldout_tokens: int = 60_000
    evaluations: int = 10
    checkpoint_steps: int = 500
    seed: int = 1
    language: str | None = None
    licence: str | None = None

    @property
    def bilm_options(self) -> BilmOptions:
        return parse_options(self.options)


class Step(NamedTuple):
    """One step of training; losses in nats per prediction (of the sampled softmax, where it is sampled)."""

    step: int
    tokens: int
    forward: float
    backward: float
    learning_rate: float
    gradient_norm: float


@dataclass
class Trainer:
    """What training changes, and so what a checkpoint holds. ``tokens`` counts those seen; ``batch`` those of
    ``epoch`` already used."""

    config: PretrainConfig
    model: BiLm
    softmax: Softmax
    vocabulary: Vocabulary
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    total_tokens: int
    sampled: bool
    step: int = 0
    tokens: int = 0
    epoch: int = 0
    batch: int = 0
    skipped: int = 0
    best: float = math.inf
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def parameters(self) -> list[nn.Parameter]:
        return [p for module in (self.model, self.softmax) for p in module.parameters() if p.requires_grad]

    def learning_rate(self) -> float:
        """Linear warm-up, a constant stretch, and a linear fall to zero over the last ``decay_share`` of the tokens."""
        config = self.config
        warmup = max(1, min(config.warmup_steps, self.total_tokens // config.batch_tokens // 10))  # for short runs
        warm = min(1.0, (self.step + 1) / warmup)
        left = max(0.0, 1.0 - self.tokens / self.total_tokens)
        return config.learning_rate * warm * min(1.0, left / max(config.decay_share, 1e-9))

    def train_on(self, sentences: list[list[str]]) -> Step:
        """One step of the optimizer; a step whose loss or gradient is not finite changes nothing and is counted."""
        max_characters = self.model.options.max_characters if self.model.options.char_cnn else None
        batch = make_batch(sentences, self.vocabulary, max_characters).to(self.device)
        rate = self.learning_rate()
        self.model.train()
        y_forward, y_backward, wanted_forward, wanted_backward = directions(self.model, batch)
        if self.sampled:
            # One draw serves both directions of the step.
            sample = draw_sample(self.config.n_samples, len(self.vocabulary), self.generator, self.device)
            forward = self.softmax.sampled_loss(y_forward, wanted_forward, sample)
            backward = self.softmax.sampled_loss(y_backward, wanted_backward, sample)
        else:
            forward = self.softmax.exact_loss(y_forward, wanted_forward)
            backward = self.softmax.exact_loss(y_backward, wanted_backward)
        loss = (forward + backward) / 2
        self.optimizer.zero_grad()
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(self.parameters(), self.config.clip_norm))
        if math.isfinite(norm) and math.isfinite(loss.item()):
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
            self.skipped = 0
        else:
            self.skipped += 1
            if self.skipped >= BAD_STEPS_MOST:
                raise NerElmoError(
                    f"the loss was not finite in {self.skipped} steps in a row (step {self.step}); "
                    "try a smaller --learning-rate, and --resume from the checkpoint before"
                )
        self.step += 1
        self.batch += 1
        self.tokens += batch.n_tokens
        return Step(self.step, self.tokens, forward.item(), backward.item(), rate, norm)


def new_trainer(
    config: PretrainConfig, vocabulary: Vocabulary, counts: Counter[str] | None, total_tokens: int, device: torch.device
) -> Trainer:
    """A network with fresh weights, or those of ``config.init``, and its optimizer."""
    torch.manual_seed(config.seed)
    if config.init is not None:
        files = find_bilm(config.init)
        model = load_bilm(files).train().requires_grad_(True)
        for stack in (model.forward_lstm, model.backward_lstm):
            for layer in stack.layers:
                layer.lstm.bias_hh_l0.requires_grad_(False)  # type: ignore[union-attr]
        softmax = load_softmax(files, vocabulary, model.options.lstm.projection_dim)
    else:
        model = BiLm(config.bilm_options, len(vocabulary))
        model.reset_parameters()
        softmax = Softmax(len(vocabulary), model.options.lstm.projection_dim)
        softmax.reset_parameters()
        if counts is not None:
            start_from_unigrams(softmax, vocabulary, counts)
    model.to(device)
    softmax.to(device)
    parameters = [p for module in (model, softmax) for p in module.parameters() if p.requires_grad]
    return Trainer(
        config=config,
        model=model,
        softmax=softmax,
        vocabulary=vocabulary,
        optimizer=torch.optim.Adam(parameters, lr=config.learning_rate, betas=(0.9, 0.99), fused=True),
        generator=torch.Generator().manual_seed(config.seed),
        total_tokens=total_tokens,
        sampled=is_sampled(config, len(vocabulary)),
        device=device,
    )


def start_from_unigrams(softmax: Softmax, vocabulary: Vocabulary, counts: Counter[str]) -> None:
    """Set the output biases to log unigram probabilities, so that training does not begin by learning them."""
    weights = torch.ones(len(vocabulary))
    for token, n in counts.items():
        weights[vocabulary.id_of(token)] += n
    with torch.no_grad():
        softmax.bias.copy_((weights / weights.sum()).log())


def is_sampled(config: PretrainConfig, n_words: int) -> bool:
    """Whether training samples the softmax: as asked, or for ``auto`` by the vocabulary's size."""
    if config.softmax == "auto":
        return n_words > max(EXACT_SOFTMAX_WORDS, config.n_samples)
    return config.softmax == "sampled"


def training_steps(trainer: Trainer, source: TextSource) -> Iterator[Step]:
    """Train until ``total_tokens`` have been seen, yielding after every step; goes on where the trainer stands."""
    config = trainer.config
    while trainer.tokens < trainer.total_tokens:
        batches = training_batches(source.sentences, config.batch_tokens, config.seed, trainer.epoch)
        for sentences in islice(batches, trainer.batch, None):
            yield trainer.train_on(sentences)
            if trainer.tokens >= trainer.total_tokens:
                return
        trainer.epoch += 1
        trainer.batch = 0


# --- checkpoints ------------------------------------------------------------------------------------------------------


def save_checkpoint(trainer: Trainer, folder: Path) -> Path:
    """Write ``step-N.pt`` whole or not at all, and drop all but the newest few."""
    path = folder / f"step-{trainer.step:08d}.pt"
    values = {
        "model": trainer.model.state_dict(),
        "softmax": trainer.softmax.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "generator": trainer.generator.get_state(),
        "random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "position": [trainer.step, trainer.tokens, trainer.epoch, trainer.batch, trainer.skipped],
        "best": trainer.best,
    }
    with replace_file(path) as temporary:
        torch.save(values, temporary)
    for old in sorted(folder.glob("step-*.pt"))[:-CHECKPOINTS_KEPT]:
        old.unlink()
    return path


def load_checkpoint(trainer: Trainer, folder: Path, report: Report) -> bool:
    """Set ``trainer`` to the newest sound checkpoint; a damaged one is named and the one before is tried."""
    for path in sorted(folder.glob("step-*.pt"), reverse=True):
        try:
            values = torch.load(path, map_location="cpu", weights_only=True)
            trainer.model.load_state_dict(values["model"])
            trainer.softmax.load_state_dict(values["softmax"])
            trainer.optimizer.load_state_dict(values["optimizer"])
            trainer.generator.set_state(values["generator"])
            torch.set_rng_state(values["random"])
            if trainer.device.type == "cuda":
                torch.cuda.set_rng_state_all(values["cuda_random"])
            trainer.step, trainer.tokens, trainer.epoch, trainer.batch, trainer.skipped = values["position"]
            trainer.best = values["best"]
        except Exception as error:  # whatever a torn or foreign file makes of torch.load
            report(
                {
                    "event": "warning",
                    "message": f"{path}: not a sound checkpoint ({type(error).__name__}); trying the one before",
                }
            )
            continue
        return True
    return False


# --- the whole run ----------------------------------------------------------------------------------------------------


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
    if config.init is not None:
        vocabulary = load_vocabulary(find_bilm(config.init))
    elif config.vocabulary is not None:
        vocabulary = read_vocabulary(config.vocabulary)
    else:
        vocabulary = most_frequent(counts, config.vocabulary_size)
    return Prepared(source, heldout, vocabulary, counts)


def run(
    config: PretrainConfig,
    directory: Path,
    *,
    device: torch.device,
    resume: bool = False,
    max_minutes: float | None = None,
    report: Report = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Pretrain into ``directory``, a run directory that ends up as a biLM directory.

    Args:
        report: is handed every event (counts, steps, evaluations) as a dictionary with an ``event``.
        should_stop: asked after every step; if true, a checkpoint is written and the run ends early.

    Returns:
        The final report: ``finished``, tokens seen, held-out perplexities.

    Raises:
        UsageError, DataError: bad input, before anything is written.
        NerElmoError: the loss stays infinite.
    """
    checkpoints = directory / "checkpoints"
    prepared = prepare(config, report)
    total = min(config.max_tokens or math.inf, config.epochs * prepared.n_tokens)
    trainer = new_trainer(config, prepared.vocabulary, prepared.counts, int(total), device)
    directory.mkdir(parents=True, exist_ok=True)
    if not resume:
        shutil.rmtree(checkpoints, ignore_errors=True)  # an earlier run's, which --force replaces
        (directory / "report.json").unlink(missing_ok=True)
    log = (directory / "log.jsonl").open("a" if resume else "w", encoding="utf-8")

    def record(event: Mapping[str, Any]) -> None:
        log.write(json.dumps(event, ensure_ascii=False) + "\n")
        log.flush()
        report(event)

    with log:
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
            return {"finished": False, "step": trainer.step, "tokens": trainer.tokens}
        save_checkpoint(trainer, checkpoints)
        return _finish(trainer, prepared, directory, record)


def _start_event(trainer: Trainer, prepared: Prepared) -> dict[str, Any]:
    return {
        "event": "start",
        "corpus_tokens": prepared.n_tokens,
        "corpus_sentences": prepared.counts["</S>"],
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
        if step.step % config.checkpoint_steps == 0:
            save_checkpoint(trainer, checkpoints)
        if should_stop() or (max_minutes is not None and seconds > 60 * max_minutes):
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


def _evaluate(trainer: Trainer, sample: list[list[str]], checkpoints: Path, record: Report) -> None:
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


def _finish(trainer: Trainer, prepared: Prepared, directory: Path, record: Report) -> dict[str, Any]:
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
    return report


def _facts(trainer: Trainer, prepared: Prepared, report: Mapping[str, Any]) -> dict[str, Any]:
    config = trainer.config
    return {
        "text": {"tokens": prepared.source.tokenizer, "normalization": None, "language": config.language},
        "state": "zero",
        "softmax": {"tied": False, "sampled": config.n_samples if trainer.sampled else None},
        "training_data": [{"name": file.name, "sha256": sha256_of_file(file)} for file in prepared.source.files],
        "corpus_tokens": prepared.n_tokens,
        "tokens_seen": trainer.tokens,
        "steps": trainer.step,
        "licence": config.licence,
        "parent": config.init,
        "perplexity": report["perplexity"],
        "unigram_perplexity": report["unigram_perplexity"],
    }
