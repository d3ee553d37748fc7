"""Training steps: the settings, what learns and the place in training, and the loop as a sequence of steps.

:func:`training_steps` yields after every step; saving, logging and printing are its caller's
(:mod:`ner_elmo.bilm.pretraining.run`).
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import NamedTuple

import torch

from ner_elmo.bilm.data.batches import Batch, make_batch, training_batches
from ner_elmo.bilm.data.corpus import TextSource
from ner_elmo.bilm.data.read_ahead import read_ahead
from ner_elmo.bilm.data.running_text import RunningText
from ner_elmo.bilm.files.directory import BilmFiles
from ner_elmo.bilm.predictions import directions, running_directions
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.distributed import Processes
from ner_elmo.bilm.pretraining.learner import Learner, new_learner
from ner_elmo.bilm.pretraining.schedule import Place, learning_rate, rate_factor
from ner_elmo.bilm.softmax import Sample
from ner_elmo.errors import NerElmoError, is_out_of_memory
from ner_elmo.nn.moments import EVERY, drop_tiny_moments
from ner_elmo.nn.precision import computing
from ner_elmo.runs.memory import keep_memory
from ner_elmo.text.batching import by_length
from ner_elmo.text.vocabulary import Vocabulary

BAD_STEPS_MOST = 10  # losses in a row that are not finite before training gives up
BATCHES_AHEAD = 8  # made while the network computes


class Step(NamedTuple):
    """One step of training; losses in nats per prediction (of the sampled softmax, where it is sampled)."""

    step: int
    tokens: int
    forward: float
    backward: float
    learning_rate: float  # of the top layer
    gradient_norm: float
    finite: bool  # otherwise it changed nothing
    waited: float  # seconds in which the network had to wait for its data


@dataclass
class Position:
    """How far a run has come, as a checkpoint holds it.

    Attributes:
        tokens: those seen, of all epochs.
        batch: batches of ``epoch`` already used. :class:`RunningText` takes the place of both where state is carried.
            With files of its own (``shard_files``) a process has an epoch and a batch of its own, too.
        places: then the epoch and the batch of every process.
        skipped: the last steps in a row that were not finite.
        best: the lowest held-out perplexity on the way.
    """

    step: int = 0
    tokens: int = 0
    epoch: int = 0
    batch: int = 0
    skipped: int = 0
    skipped_in_all: int = 0
    best: float = math.inf
    places: list[list[int]] | None = None


@dataclass
class Machine:
    """What a run computes on: no part of its result, but for rounding.

    Attributes:
        most_positions: fit into its memory at a time; ``None``: whole batches do, as far as is known.
        warn: told what the user should know.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    processes: Processes = field(default_factory=Processes)
    most_positions: int | None = None
    warn: Callable[[str], None] = lambda message: None

    def take_smaller_parts(self, failed: list[list[str]], step: int) -> None:
        """Halve what is computed at a time after ``failed``, sentences of ``step``, did not fit.

        Raises:
            NerElmoError: it is a single sentence.
        """
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        longest = max(map(len, failed))
        if len(failed) == 1:
            raise NerElmoError(
                f"out of memory: a single sentence of {longest} tokens does not fit; try a smaller --size, or a "
                "smaller --batch-tokens, which cuts sentences, too"
            )
        self.most_positions = (longest + 2) * ((len(failed) + 1) // 2)
        self.warn(
            f"out of memory at step {step}; from here on batches are computed in parts of at most "
            f"{self.most_positions:,} tokens (the same steps, more slowly)"
        )


class Ready(NamedTuple):
    """The sentences of a step, and this process's share of them as a batch if that could be made ahead."""

    sentences: list[list[str]]
    batch: Batch | None


@dataclass
class Trainer:
    """A run's settings (``config``, ``total_tokens``, ``vocabulary``), what learns, and the place in training: the
    position, and with it ``running_text`` where state is carried. A step changes the last three."""

    config: PretrainConfig
    total_tokens: int
    vocabulary: Vocabulary
    learner: Learner
    machine: Machine = field(default_factory=Machine)
    position: Position = field(default_factory=Position)
    running_text: RunningText | None = None
    digests: Mapping[str, str] = field(default_factory=dict)  # of the texts and models that the run reads

    @property
    def place(self) -> Place:
        return Place(self.position.step, self.position.tokens, self.total_tokens)

    def rate_factors(self) -> list[float]:
        """By what the learning rate is multiplied for each of the learner's parts in the next step."""
        learner = self.learner
        return [rate_factor(self.config, part, self.place, learner.softmax_is_fresh) for part in learner.parts]

    def make_ready(self, sentences: list[list[str]]) -> Ready:
        """What of a step can be made before its turn: this process's share of the sentences as a batch."""
        machine = self.machine
        share = self._share(sentences)
        if not share or machine.most_positions is not None:
            return Ready(sentences, None)
        batch = make_batch(share, self.vocabulary, self.learner.model.token_encoder)
        return Ready(sentences, batch.pinned() if machine.device.type == "cuda" else batch)

    def _share(self, sentences: list[list[str]]) -> list[list[str]]:
        """What this process computes of them: all, where they come from its own files."""
        return sentences if self.config.shard_files else self.machine.processes.share(sentences)

    def train_on(self, sentences: list[list[str]], batch: Batch | None = None, waited: float = 0.0) -> Step:
        """One step on sentences that start from the zero state, which all processes share, or which are this one's part
        of the step (``shard_files``).

        Args:
            batch: this process's share of them, if it is there already (:meth:`make_ready`).
            waited: seconds that it took to come by them.

        Raises:
            NerElmoError: a single sentence does not fit into memory.
        """
        sample = self.learner.draw(self.config.n_samples, self.machine.device)
        forward, backward = self._gradients(sentences, sample, batch)
        return self._finish_step(forward, backward, sum(map(len, sentences)), waited)

    def train_on_running_text(self) -> Step:
        """One step on the next batch of ``running_text``; the states go on from a step that counts."""
        assert self.running_text is not None
        model, device = self.learner.model, self.machine.device
        started = time.perf_counter()
        batch = self.running_text.next_batch(self.vocabulary, model.token_encoder).to(device)
        waited = time.perf_counter() - started
        sample = self.learner.draw(self.config.n_samples, device)
        self._begin_step()
        with computing(self.config.precision, device):
            predicted, states = running_directions(model, batch, self.running_text.states)
        forward, backward = self.learner.add_gradients(self.config, predicted, sample, len(predicted.forward_targets))
        step = self._finish_step(forward, backward, batch.n_tokens, waited)
        if step.finite:
            self.running_text.keep(states)
        return step

    def _begin_step(self) -> None:
        """Drop the gradients, freeze what is to be frozen, and seed the dropout by the place in training and the
        process: no state of it is kept."""
        self.learner.prepare(self.rate_factors())
        seed = f"{self.config.seed}/{self.position.step}/{self.machine.processes.rank}"
        torch.manual_seed(random.Random(seed).getrandbits(63))

    def _finish_step(self, forward: float, backward: float, n_tokens: int, waited: float) -> Step:
        """Change the weights by the gradients that the processes have; the losses are what each adds to the batch's."""
        position, processes = self.position, self.machine.processes
        rate, factors = learning_rate(self.config, self.place), self.rate_factors()
        forward, backward, n_tokens = self._sums(forward, backward, n_tokens)
        processes.add_gradients(self.learner.parameters())
        norm = self.learner.clip(self.config.clip_norm)
        finite = math.isfinite(norm) and math.isfinite(forward + backward)
        if finite:
            self.learner.change(rate, factors)
            position.skipped = 0
        else:
            position.skipped += 1
            position.skipped_in_all += 1
        position.step += 1
        position.batch += 1
        position.tokens += n_tokens
        if position.step % EVERY == 0:
            drop_tiny_moments(self.learner.optimizer)
        return Step(position.step, position.tokens, forward, backward, rate, norm, finite, waited)

    def _sums(self, forward: float, backward: float, n_tokens: int) -> tuple[float, float, int]:
        """The losses and the tokens of all processes' shares of a step; and where each stands after it, if that is not
        the same for all."""
        position, processes = self.position, self.machine.processes
        if not self.config.shard_files:
            forward, backward = processes.sum([forward, backward])
            return forward, backward, n_tokens
        here = 2 * processes.rank
        places = [0.0] * (2 * processes.size)
        places[here : here + 2] = position.epoch, position.batch + 1
        forward, backward, tokens, *places = processes.sum([forward, backward, n_tokens, *places])
        position.places = [[int(places[i]), int(places[i + 1])] for i in range(0, len(places), 2)]
        return forward, backward, int(tokens)

    def _gradients(self, sentences: list[list[str]], sample: Sample | None, batch: Batch | None) -> tuple[float, float]:
        """Set the gradients of this process's share of a batch, and return what it adds to the batch's losses.

        A share that does not fit into memory is computed in parts, as are all that follow.
        """
        machine = self.machine
        n_predictions = sum(len(sentence) + 1 for sentence in sentences)
        if self.config.shard_files:
            n_predictions = int(machine.processes.sum([n_predictions])[0])
        share = self._share(sentences)
        while True:
            self._begin_step()
            forward = backward = 0.0
            for part in parts_of(share, machine.most_positions):
                try:
                    whole = batch if machine.most_positions is None else None
                    losses = self._part_gradients(part, whole, sample, n_predictions)
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    break  # and let go of the error, which holds on to the tensors of the failed pass
                forward, backward = forward + losses[0], backward + losses[1]
            else:
                return forward, backward
            self.learner.optimizer.zero_grad()
            machine.take_smaller_parts(part, self.position.step + 1)

    def _part_gradients(
        self, sentences: list[list[str]], batch: Batch | None, sample: Sample | None, n_predictions: int
    ) -> tuple[float, float]:
        """Add the gradients of some sentences of a batch with ``n_predictions``; what they add to its losses."""
        model, device = self.learner.model, self.machine.device
        if batch is None:
            batch = make_batch(sentences, self.vocabulary, model.token_encoder)
        with computing(self.config.precision, device):
            predicted = directions(model, batch.to(device))
        return self.learner.add_gradients(self.config, predicted, sample, n_predictions)


def parts_of(sentences: list[list[str]], most_positions: int | None) -> Iterator[list[list[str]]]:
    """A batch in parts of at most ``most_positions`` tokens, padding and boundaries included; ``None``: whole."""
    if most_positions is None:
        yield from [sentences] if sentences else []
    else:
        for group in by_length(sentences, most_positions):
            yield [sentences[i] for i in group]


def new_trainer(
    config: PretrainConfig,
    vocabulary: Vocabulary,
    counts: Counter[str] | None,
    total_tokens: int,
    device: torch.device,
    processes: Processes = Processes(),  # noqa: B008 - immutable
    parent: BilmFiles | None = None,
) -> Trainer:
    """A run at its beginning (:func:`~ner_elmo.bilm.pretraining.learner.new_learner`); the process is to keep its
    memory from now on."""
    keep_memory()
    learner = new_learner(config, vocabulary, counts, device, parent)
    return Trainer(config, total_tokens, vocabulary, learner, Machine(device, processes))


def training_steps(trainer: Trainer, source: TextSource) -> Generator[Step, None, None]:
    """Train until ``total_tokens`` have been seen, yielding after every step; goes on where the trainer stands.

    Close it (:func:`contextlib.closing`) to stop before: a thread makes batches ahead.
    """
    position = trainer.position
    while trainer.running_text is not None and position.tokens < trainer.total_tokens:
        yield trainer.train_on_running_text()
    while position.tokens < trainer.total_tokens:
        seed, most = _order_of(trainer)
        read = partial(source.sentences, f"{seed}/{position.epoch}")
        batches = training_batches(read, most, seed, position.epoch)
        unused = islice(batches, position.batch, None)
        with closing(read_ahead(map(trainer.make_ready, unused), BATCHES_AHEAD)) as made_ready:
            for ready, waited in _timed(made_ready):
                yield trainer.train_on(*ready, waited)
                if position.tokens >= trainer.total_tokens:
                    return
        position.epoch += 1
        position.batch = 0


def _order_of(trainer: Trainer) -> tuple[int | str, int]:
    """What the order of the batches is drawn by, and how many tokens each has: with files of its own, a process's part
    of a step."""
    config, processes = trainer.config, trainer.machine.processes
    if not config.shard_files:
        return config.seed, config.batch_tokens
    return f"{config.seed}/of-{processes.size}/{processes.rank}", max(3, config.batch_tokens // processes.size)


def _timed(made_ready: Iterator[Ready]) -> Iterator[tuple[Ready, float]]:
    """What comes next, with the seconds that it had to be waited for."""
    while True:
        started = time.perf_counter()
        ready = next(made_ready, None)
        if ready is None:
            return
        yield ready, time.perf_counter() - started
