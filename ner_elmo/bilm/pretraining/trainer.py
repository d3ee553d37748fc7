"""Training steps: the network, its optimizer and schedule, and the loop as a sequence of steps.

:func:`training_steps` yields after every step; saving, logging and printing are its caller's
(:mod:`ner_elmo.bilm.pretraining.run`).
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ner_elmo.bilm.data.corpus import Batch, TextSource, make_batch, training_batches
from ner_elmo.bilm.data.read_ahead import read_ahead
from ner_elmo.bilm.data.running_text import RunningText, running_directions
from ner_elmo.bilm.files.directory import BilmFiles
from ner_elmo.bilm.model import BiLm
from ner_elmo.bilm.perplexity import directions
from ner_elmo.bilm.pretraining.adaptation import load_parent, start_from_unigrams
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.distributed import Processes
from ner_elmo.bilm.pretraining.optimizers import gradient_scale, make_optimizer
from ner_elmo.bilm.pretraining.schedule import (
    Part,
    Place,
    learning_rate,
    learns_by_parts,
    parts_of_network,
    rate_factor,
)
from ner_elmo.bilm.softmax import Sample, Softmax, draw_sample, tie
from ner_elmo.bilm.token_encoder import WordTable
from ner_elmo.errors import NerElmoError, UsageError, is_out_of_memory
from ner_elmo.nn.precision import computing, fast_products, product_type
from ner_elmo.text.batching import by_length
from ner_elmo.text.vocabulary import Vocabulary

# Beyond this many words the exact softmax costs more than the network, and `auto` samples.
EXACT_SOFTMAX_WORDS = 10_000
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
class Trainer:
    """What training changes, and so what a checkpoint holds. ``tokens`` counts those seen; ``batch`` those of
    ``epoch`` already used; ``running_text`` takes the place of both where state is carried; ``skipped`` the last steps
    in a row that were not finite, ``waited`` the seconds that the network waited for data since it was asked last. The
    optimizer has a group or two for each of ``parts``; without any, everything learns at one rate.

    The fields from ``device`` on belong to the machine: ``most_positions`` fit into its memory at a time."""

    config: PretrainConfig
    model: BiLm
    softmax: Softmax
    vocabulary: Vocabulary
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    total_tokens: int
    sampled: bool
    parts: list[Part] = field(default_factory=list)
    softmax_is_fresh: bool = False
    step: int = 0
    tokens: int = 0
    epoch: int = 0
    batch: int = 0
    skipped: int = 0
    skipped_in_all: int = 0
    best: float = math.inf
    running_text: RunningText | None = None
    waited: float = 0.0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    processes: Processes = field(default_factory=Processes)
    most_positions: int | None = None
    warn: Callable[[str], None] = lambda message: None

    def parameters(self) -> list[nn.Parameter]:
        return learned_parameters(self.model, self.softmax)

    @property
    def max_characters(self) -> int | None:
        return self.model.options.max_characters if self.model.options.char_cnn else None

    @property
    def place(self) -> Place:
        return Place(self.step, self.tokens, self.total_tokens)

    def rate_factors(self) -> list[float]:
        """By what the learning rate is multiplied for each of ``parts`` in the next step."""
        return [rate_factor(self.config, part, self.place, self.softmax_is_fresh) for part in self.parts]

    def make_ready(self, sentences: list[list[str]]) -> Ready:
        """What of a step can be made before its turn: this process's share of the sentences as a batch."""
        share = self.processes.share(sentences)
        if not share or self.most_positions is not None:
            return Ready(sentences, None)
        batch = make_batch(share, self.vocabulary, self.max_characters)
        return Ready(sentences, batch.pinned() if self.device.type == "cuda" else batch)

    def train_on(self, sentences: list[list[str]], batch: Batch | None = None) -> Step:
        """One step on sentences that start from the zero state, which all processes share.

        Args:
            batch: this process's share of them, if it is there already (:meth:`make_ready`).

        Raises:
            NerElmoError: a single sentence does not fit into memory.
        """
        sample = self._draw()
        return self._finish_step(*self._gradients(sentences, sample, batch), sum(map(len, sentences)))

    def train_on_running_text(self) -> Step:
        """One step on the next batch of ``running_text``; the states go on from a step that counts."""
        assert self.running_text is not None
        started = time.perf_counter()
        batch = self.running_text.next_batch(self.vocabulary, self.max_characters).to(self.device)
        self.waited += time.perf_counter() - started
        sample = self._draw()
        self._begin_step()
        with computing(self.config.precision, self.device):
            predicted, states = running_directions(self.model, batch, self.running_text.states)
        losses = self._add_gradients(predicted, sample, len(predicted[2]))
        step = self._finish_step(*losses, batch.n_tokens)
        if step.finite:
            self.running_text.keep(states)
        return step

    def _draw(self) -> Sample | None:
        """The sampled words of a step, where it samples: one draw for both directions and all processes."""
        if not self.sampled:
            return None
        return draw_sample(self.config.n_samples, len(self.vocabulary), self.generator, self.device)

    def _begin_step(self) -> None:
        """Drop the gradients, freeze what is to be frozen, and seed the dropout by the place in training and the
        process: no state of it is kept."""
        self.model.train()
        self.optimizer.zero_grad()
        for part, factor in zip(self.parts, self.rate_factors(), strict=True):
            for parameter in part.parameters:
                parameter.requires_grad_(factor > 0)  # without a gradient Adam leaves weights and moments as they are
        torch.manual_seed(random.Random(f"{self.config.seed}/{self.step}/{self.processes.rank}").getrandbits(63))

    def _finish_step(self, forward: float, backward: float, n_tokens: int) -> Step:
        """Change the weights by the gradients that the processes have; the losses are what each adds to the batch's."""
        rate, factors = learning_rate(self.config, self.place), self.rate_factors()
        forward, backward = self.processes.sum([forward, backward])
        self.processes.add_gradients(self.parameters())
        norm = float(nn.utils.clip_grad_norm_(self.parameters(), self.config.clip_norm))
        finite = math.isfinite(norm) and math.isfinite(forward + backward)
        if finite:
            for group in self.optimizer.param_groups:
                group["lr"] = rate * (factors[group["part"]] if factors else 1.0)
            self.optimizer.step()
            self.skipped = 0
        else:
            self.skipped += 1
            self.skipped_in_all += 1
        self.step += 1
        self.batch += 1
        self.tokens += n_tokens
        waited, self.waited = self.waited, 0.0
        return Step(self.step, self.tokens, forward, backward, rate, norm, finite, waited)

    def _gradients(self, sentences: list[list[str]], sample: Sample | None, batch: Batch | None) -> tuple[float, float]:
        """Set the gradients of this process's share of a batch, and return what it adds to the batch's losses.

        A share that does not fit into memory is computed in parts, as are all that follow.
        """
        n_predictions = sum(len(sentence) + 1 for sentence in sentences)
        share = self.processes.share(sentences)
        while True:
            self._begin_step()
            forward = backward = 0.0
            for part in parts_of(share, self.most_positions):
                try:
                    whole = batch if self.most_positions is None else None
                    losses = self._part_gradients(part, whole, sample, n_predictions)
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    break  # and let go of the error, which holds on to the tensors of the failed pass
                forward, backward = forward + losses[0], backward + losses[1]
            else:
                return forward, backward
            self._take_smaller_parts(part)

    def _part_gradients(
        self, sentences: list[list[str]], batch: Batch | None, sample: Sample | None, n_predictions: int
    ) -> tuple[float, float]:
        """Add the gradients of some sentences of a batch with ``n_predictions``; what they add to its losses."""
        if batch is None:
            batch = make_batch(sentences, self.vocabulary, self.max_characters)
        with computing(self.config.precision, self.device):
            predicted = directions(self.model, batch.to(self.device))
        return self._add_gradients(predicted, sample, n_predictions)

    def _add_gradients(
        self, predicted: tuple[Tensor, Tensor, Tensor, Tensor], sample: Sample | None, n_predictions: int
    ) -> tuple[float, float]:
        """Add the gradients of outputs and targets (:func:`directions`); what they add to the losses of a batch."""
        y_forward, y_backward, wanted_forward, wanted_backward = predicted
        # Both directions at once: the gradient of the whole output layer, nearly all of it zeros, is made once.
        y, wanted = torch.cat([y_forward, y_backward]).float(), torch.cat([wanted_forward, wanted_backward])
        weight = len(wanted_forward) / n_predictions
        dtype = product_type(self.config.precision, self.device)
        with fast_products(self.config.precision):
            if sample is None:
                loss, losses = self.softmax.exact_loss(y, wanted, dtype)
            else:
                loss, losses = self.softmax.sampled_loss(y, wanted, sample, dtype)
            (loss * (weight * gradient_scale(self.config))).backward()
        forward, backward = losses.view(2, -1).mean(1).tolist()
        return forward * weight, backward * weight

    def _take_smaller_parts(self, failed: list[list[str]]) -> None:
        """Halve what is computed at a time after ``failed`` did not fit.

        Raises:
            NerElmoError: it is a single sentence.
        """
        self.optimizer.zero_grad()
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
            f"out of memory at step {self.step + 1}; from here on batches are computed in parts of at most "
            f"{self.most_positions:,} tokens (the same steps, more slowly)"
        )


class Ready(NamedTuple):
    """The sentences of a step, and this process's share of them as a batch if that could be made ahead."""

    sentences: list[list[str]]
    batch: Batch | None


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
    """A network with fresh weights, or those of ``config.init`` (``parent`` if it is open already), and its
    optimizer."""
    torch.manual_seed(config.seed)
    counts = counts or Counter()
    if config.init is not None:
        model, softmax, is_fresh = load_parent(config, vocabulary, counts, parent)
    else:
        model, is_fresh = BiLm(config.bilm_options, len(vocabulary)), False
        model.reset_parameters()
        softmax = Softmax(len(vocabulary), model.options.lstm.projection_dim)
        softmax.reset_parameters()
        if counts:
            start_from_unigrams(softmax, vocabulary, counts)
    if model.options.tied:
        assert isinstance(model.token_encoder, WordTable)
        tie(softmax, model.token_encoder.embedding)
    model.to(device)
    softmax.to(device)
    parts = parts_of_network(model, softmax) if learns_by_parts(config, is_fresh) else []
    return Trainer(
        config=config,
        model=model,
        softmax=softmax,
        vocabulary=vocabulary,
        optimizer=make_optimizer(config, [part.parameters for part in parts] or [learned_parameters(model, softmax)]),
        generator=torch.Generator().manual_seed(config.seed),
        total_tokens=total_tokens,
        sampled=is_sampled(config, len(vocabulary)),
        parts=parts,
        softmax_is_fresh=is_fresh,
        device=device,
        processes=processes,
    )


def learned_parameters(model: BiLm, softmax: Softmax) -> list[nn.Parameter]:
    """What the optimizer changes; weights that both share stand once."""
    return [p for p in nn.ModuleList([model, softmax]).parameters() if p.requires_grad]


def is_sampled(config: PretrainConfig, n_words: int) -> bool:
    """Whether training samples the softmax: as asked, or for ``auto`` by the vocabulary's size.

    Raises:
        UsageError: there are not more words than samples to be drawn.
    """
    if config.softmax == "auto":
        return n_words > max(EXACT_SOFTMAX_WORDS, config.n_samples)
    if config.softmax == "sampled" and n_words <= config.n_samples:
        raise UsageError(
            f"--samples {config.n_samples}: not below the {n_words:,} words of the vocabulary; "
            "try fewer, or --softmax exact"
        )
    return config.softmax == "sampled"


def describe_softmax(config: PretrainConfig, n_words: int) -> str:
    """Which softmax training uses, and why, for the log."""
    chosen = f"sampled ({config.n_samples})" if is_sampled(config, n_words) else "exact"
    if config.softmax == "auto":
        chosen += f" (auto: sampled above {max(EXACT_SOFTMAX_WORDS, config.n_samples):,} words)"
    return chosen


def training_steps(trainer: Trainer, source: TextSource) -> Generator[Step, None, None]:
    """Train until ``total_tokens`` have been seen, yielding after every step; goes on where the trainer stands.

    Close it (:func:`contextlib.closing`) to stop before: a thread makes batches ahead.
    """
    config = trainer.config
    while trainer.running_text is not None and trainer.tokens < trainer.total_tokens:
        yield trainer.train_on_running_text()
    while trainer.tokens < trainer.total_tokens:
        read = partial(source.sentences, f"{config.seed}/{trainer.epoch}")
        batches = islice(training_batches(read, config.batch_tokens, config.seed, trainer.epoch), trainer.batch, None)
        with closing(read_ahead(map(trainer.make_ready, batches), BATCHES_AHEAD)) as ready:
            while (step := _next_step(trainer, ready)) is not None:
                yield step
                if trainer.tokens >= trainer.total_tokens:
                    return
        trainer.epoch += 1
        trainer.batch = 0


def _next_step(trainer: Trainer, ready: Iterator[Ready]) -> Step | None:
    """A step on what comes next; ``None`` at the end."""
    started = time.perf_counter()
    found = next(ready, None)
    trainer.waited += time.perf_counter() - started
    return None if found is None else trainer.train_on(*found)
