"""Training a tagger: a sequence of epochs to iterate over. Printing and writing the model are the caller's."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from ner_elmo.errors import NerElmoError
from ner_elmo.nn.moments import EVERY, drop_tiny_moments
from ner_elmo.runs.checkpoints import Checkpoints
from ner_elmo.tagger.decoding import predict
from ner_elmo.tagger.network.crf import ConstrainedCrf
from ner_elmo.tagger.network.inputs import Example, TaggerBatch, Words, collate, drop_contexts, drop_singletons
from ner_elmo.tagger.network.model import TaggerModel
from ner_elmo.tagger.report.scores import Counts, count, total
from ner_elmo.tagger.training.averaging import Average
from ner_elmo.tagger.training.config import TrainingOptions
from ner_elmo.tagger.training.schedule import LINEAR, PLATEAU, linear_factor
from ner_elmo.text.batching import batches_by_length
from ner_elmo.text.tag_scheme import Span


@dataclass(frozen=True)
class EpochRecord:
    """What happened in one epoch: one line of ``log.jsonl``. Scores are on dev, as fractions of 1; None without one."""

    epoch: int
    loss: float
    precision: float | None
    recall: float | None
    f1: float | None
    learning_rate: float
    tokens_per_second: float
    seconds: float
    is_best: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)


@dataclass
class TrainingData:
    """Training examples, and dev examples with their gold entities; without any, nothing chooses an epoch. With a
    ``teacher``, the CRF above its emissions, training examples have these (``taught``) and need no tags."""

    train: list[Example]
    dev: list[Example]
    dev_spans: Sequence[Sequence[Span]]
    words: Words
    teacher: ConstrainedCrf | None = None


@dataclass
class TrainingState:
    """A training between two epochs: all that the next one depends on."""

    model: TaggerModel
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.ReduceLROnPlateau
    average: Average | None = None  # of the weights, if dev is scored with it
    epoch: int = 0
    best_epoch: int = 0
    best_f1: float = -1.0
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    setting: dict[str, Any] = field(default_factory=dict)  # what a resumed run must have in common with this one
    stopped: str = ""  # "epochs", "patience" or "max-minutes", once training has ended

    def as_dict(self) -> dict[str, Any]:
        """Plain dicts, numbers and tensors, for ``torch.save``."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "average": None if self.average is None else self.average.as_dict(),
            "epoch": self.epoch,
            "best_epoch": self.best_epoch,
            "best_f1": self.best_f1,
            "best_weights": self.best_weights,
            "setting": self.setting,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go back to where ``saved`` (from :meth:`as_dict`) was."""
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scheduler.load_state_dict(saved["scheduler"])
        if self.average is not None:
            self.average.restore(saved["average"])
        self.epoch, self.best_epoch, self.best_f1 = saved["epoch"], saved["best_epoch"], saved["best_f1"]
        self.best_weights = saved["best_weights"]

    def restore_best(self) -> None:
        """Put the best epoch's weights into the model; without dev the last ones, or their mean."""
        if self.best_weights:
            self.model.load_state_dict(self.best_weights)
        elif self.average is not None:
            self.average.put_into(self.model)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """For a while the model has the mean of its weights, if there is one."""
        if self.average is None:
            yield
            return
        last = copy.deepcopy(self.model.state_dict())
        self.average.put_into(self.model)
        try:
            yield
        finally:
            self.model.load_state_dict(last)


def start(model: TaggerModel, options: TrainingOptions) -> TrainingState:
    """The state before the first epoch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=options.learning_rate, fused=True)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        mode="max",
        factor=options.lr_factor,
        patience=options.lr_patience,
        threshold=0.0,
        threshold_mode="abs",
    )
    average = Average(model, options.average) if options.average else None
    return TrainingState(model, optimizer, scheduler, average)


def train(
    state: TrainingState,
    data: TrainingData,
    options: TrainingOptions,
    device: torch.device | str = "cpu",
    checkpoints: Checkpoints | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[EpochRecord]:
    """Train from ``state`` on and yield a record after each epoch; at the end the model holds its best epoch's weights.

    Without dev examples the last epoch is kept, and a plateau's learning rate falls linearly from epoch to epoch.
    ``checkpoints`` receive the state of each epoch before its record is yielded. ``progress`` is
    told (tokens done, tokens in all) after each batch.
    """
    begun = time.monotonic()
    while not (stopped := _reason_to_stop(state, options)):
        epoch_begun = time.monotonic()
        record = _run_epoch(state, data, options, device, progress)
        if checkpoints is not None:
            checkpoints.save(state.epoch, state.as_dict())
        yield record
        now = time.monotonic()
        if options.max_minutes is not None and (now - begun) + (now - epoch_begun) > 60 * options.max_minutes:
            stopped = _reason_to_stop(state, options) or "max-minutes"
            break
    state.stopped = stopped
    state.restore_best()


def _reason_to_stop(state: TrainingState, options: TrainingOptions) -> str:
    if state.epoch >= options.epochs:
        return "epochs"
    waited = 0 if options.patience is None else state.epoch - state.best_epoch - options.patience + 1
    return "patience" if state.best_f1 > 0 and waited > 0 else ""


def _run_epoch(
    state: TrainingState,
    data: TrainingData,
    options: TrainingOptions,
    device: torch.device | str,
    progress: Callable[[int, int], None] | None,
) -> EpochRecord:
    state.epoch += 1
    # Each epoch has random numbers of its own: a resumed run needs no generator's state to equal an unbroken one.
    torch.manual_seed(options.seed * 1_000_003 + state.epoch)
    rng = np.random.default_rng([options.seed, state.epoch])
    if options.schedule == PLATEAU and not data.dev:
        _set_rate(state, options.learning_rate * (1 - (state.epoch - 1) / options.epochs))
    begun = time.monotonic()
    loss, n_tokens = _train_once(state, data, options, device, rng, progress)
    learning_rate = state.optimizer.param_groups[0]["lr"]
    trained = time.monotonic()
    counts = _score(state, data, options, device) if data.dev else None
    if counts is None:
        state.best_epoch = state.epoch
    return EpochRecord(
        state.epoch,
        loss,
        precision=None if counts is None else counts.precision,
        recall=None if counts is None else counts.recall,
        f1=None if counts is None else counts.f1,
        learning_rate=learning_rate,
        tokens_per_second=n_tokens / max(1e-9, trained - begun),
        seconds=time.monotonic() - begun,
        is_best=counts is not None and state.best_epoch == state.epoch,
    )


def _set_rate(state: TrainingState, learning_rate: float) -> None:
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate


def _score(state: TrainingState, data: TrainingData, options: TrainingOptions, device: torch.device | str) -> Counts:
    """Score the epoch on dev, keep its weights if they are the best so far, and let the learning rate follow."""
    # As the tagger will compute, and twice as fast as its parts as they are trained
    on_cpu, precision = torch.device(device).type == "cpu", "bf16" if options.precision == "bf16" else "fp32"
    with state.averaged(), state.model.prepared(precision) if on_cpu else nullcontext():
        counts = total(count(data.dev_spans, predict(state.model, data.dev, device)))
        if counts.f1 > state.best_f1:
            state.best_weights = copy.deepcopy(state.model.state_dict())
    if options.schedule == PLATEAU and max(counts.f1, state.best_f1) > 0:
        state.scheduler.step(counts.f1)
    if counts.f1 > state.best_f1:
        state.best_f1, state.best_epoch = counts.f1, state.epoch
    return counts


def _train_once(
    state: TrainingState,
    data: TrainingData,
    options: TrainingOptions,
    device: torch.device | str,
    rng: np.random.Generator,
    progress: Callable[[int, int], None] | None,
) -> tuple[float, int]:
    """One pass over the training examples: mean loss of a sentence, and how many tokens were read."""
    state.model.train()
    lengths = [len(example.tokens) for example in data.train]
    losses, done, total_tokens = 0.0, 0, sum(lengths)
    batches = list(batches_by_length(lengths, options.batch_tokens, options.batch_sentences, rng))
    for number, indices in enumerate(batches):
        if options.schedule == LINEAR:
            share = (state.epoch - 1 + (number + 0.5) / len(batches)) / options.epochs
            _set_rate(state, options.learning_rate * linear_factor(share))
        batch = collate([data.train[index] for index in indices])
        batch = drop_singletons(batch, data.words, options.singleton_dropout)
        batch = drop_contexts(batch, options.context_dropout).to(device)
        loss = _step(state, batch, options, data.teacher)
        if number % EVERY == EVERY - 1:
            drop_tiny_moments(state.optimizer)
        if not math.isfinite(loss):
            raise NerElmoError(f"epoch {state.epoch}: the loss is {loss}; try a smaller --learning-rate")
        if state.average is not None:
            state.average.follow(state.model, len(batches))
        losses += loss * len(indices)
        done += sum(lengths[index] for index in indices)
        if progress is not None:
            progress(done, total_tokens)
    return losses / max(1, len(data.train)), done


def _step(state: TrainingState, batch: TaggerBatch, options: TrainingOptions, teacher: ConstrainedCrf | None) -> float:
    in_bfloat16 = options.precision == "bf16"
    if teacher is None:
        loss = state.model.loss(batch, in_bfloat16)
    else:
        loss = state.model.taught_loss(batch, teacher, options.teacher_weight, in_bfloat16)
    objective = loss
    if state.model.mix is not None or state.model.output_mix is not None:
        objective = loss + options.mix_l2 * state.model.mix_penalty()
    state.optimizer.zero_grad()
    objective.backward()
    _clip(list(state.model.parameters()), options.clip_norm)
    state.optimizer.step()
    return float(loss.detach())


def _clip(parameters: list[nn.Parameter], most: float) -> None:
    """Cut the norm of all gradients together to ``most``.

    torch's own function multiplies them in any case, mostly by 1, so as not to wait for a GPU to say how large they
    are; on a CPU that is a pass over memory for nothing.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = get_total_norm(gradients)
    if norm.device.type != "cpu" or not norm <= most:
        clip_grads_with_norm_(parameters, most, norm)
