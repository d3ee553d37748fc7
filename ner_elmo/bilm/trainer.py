"""Training steps: the network, its optimizer and schedule, and the loop as a sequence of steps.

:func:`training_steps` yields after every step; saving, logging and printing are its caller's
(:mod:`ner_elmo.bilm.pretrain`).
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ner_elmo.bilm.config import PretrainConfig
from ner_elmo.bilm.corpus import TextSource, by_length, make_batch, training_batches
from ner_elmo.bilm.directory import find_bilm, load_bilm, load_softmax, load_vocabulary
from ner_elmo.bilm.distributed import Processes
from ner_elmo.bilm.model import BiLm
from ner_elmo.bilm.perplexity import directions
from ner_elmo.bilm.softmax import Sample, Softmax, draw_sample
from ner_elmo.errors import NerElmoError, is_out_of_memory
from ner_elmo.text.vocabulary import Vocabulary

# Beyond this many words the exact softmax costs more than the network, and `auto` samples.
EXACT_SOFTMAX_WORDS = 10_000
BAD_STEPS_MOST = 10  # losses in a row that are not finite before training gives up


class Step(NamedTuple):
    """One step of training; losses in nats per prediction (of the sampled softmax, where it is sampled)."""

    step: int
    tokens: int
    forward: float
    backward: float
    learning_rate: float
    gradient_norm: float
    finite: bool  # otherwise it changed nothing


@dataclass
class Trainer:
    """What training changes, and so what a checkpoint holds. ``tokens`` counts those seen; ``batch`` those of
    ``epoch`` already used; ``skipped`` the last steps in a row that were not finite.

    The fields from ``device`` on belong to the machine: ``most_positions`` fit into its memory at a time."""

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
    skipped_in_all: int = 0
    best: float = math.inf
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    processes: Processes = field(default_factory=Processes)
    most_positions: int | None = None
    warn: Callable[[str], None] = lambda message: None

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
        """One step of the optimizer on a batch that all processes share; a step whose loss or gradient is not finite
        changes nothing and is counted.

        Raises:
            NerElmoError: a single sentence does not fit into memory.
        """
        sample = self._draw()
        return self._finish_step(*self._gradients(sentences, sample), sum(map(len, sentences)))

    def _draw(self) -> Sample | None:
        """The sampled words of a step, where it samples: one draw for both directions and all processes."""
        if not self.sampled:
            return None
        return draw_sample(self.config.n_samples, len(self.vocabulary), self.generator, self.device)

    def _finish_step(self, forward: float, backward: float, n_tokens: int) -> Step:
        """Change the weights by the gradients that the processes have; the losses are what each adds to the batch's."""
        rate = self.learning_rate()
        forward, backward = self.processes.sum([forward, backward])
        self.processes.add_gradients(self.parameters())
        norm = float(nn.utils.clip_grad_norm_(self.parameters(), self.config.clip_norm))
        finite = math.isfinite(norm) and math.isfinite(forward + backward)
        if finite:
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
            self.skipped = 0
        else:
            self.skipped += 1
            self.skipped_in_all += 1
        self.step += 1
        self.batch += 1
        self.tokens += n_tokens
        return Step(self.step, self.tokens, forward, backward, rate, norm, finite)

    def _gradients(self, sentences: list[list[str]], sample: Sample | None) -> tuple[float, float]:
        """Set the gradients of this process's share of a batch, and return what it adds to the batch's losses.

        A share that does not fit into memory is computed in parts, as are all that follow.
        """
        n_predictions = sum(len(sentence) + 1 for sentence in sentences)
        share = self.processes.share(sentences)
        self.model.train()
        while True:
            self.optimizer.zero_grad()
            # Dropout by the place in training, so that there is no state of it to save, for each process.
            torch.manual_seed(random.Random(f"{self.config.seed}/{self.step}/{self.processes.rank}").getrandbits(63))
            forward = backward = 0.0
            for part in parts_of(share, self.most_positions):
                try:
                    losses = self._part_gradients(part, sample, n_predictions)
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    break  # and let go of the error, which holds on to the tensors of the failed pass
                forward, backward = forward + losses[0], backward + losses[1]
            else:
                return forward, backward
            self._take_smaller_parts(part)

    def _part_gradients(
        self, sentences: list[list[str]], sample: Sample | None, n_predictions: int
    ) -> tuple[float, float]:
        """Add the gradients of some sentences of a batch with ``n_predictions``; what they add to its losses."""
        max_characters = self.model.options.max_characters if self.model.options.char_cnn else None
        batch = make_batch(sentences, self.vocabulary, max_characters).to(self.device)
        return self._add_gradients(directions(self.model, batch), sample, n_predictions)

    def _add_gradients(
        self, predicted: tuple[Tensor, Tensor, Tensor, Tensor], sample: Sample | None, n_predictions: int
    ) -> tuple[float, float]:
        """Add the gradients of outputs and targets (:func:`directions`); what they add to the losses of a batch."""
        y_forward, y_backward, wanted_forward, wanted_backward = predicted
        if sample is not None:
            forward = self.softmax.sampled_loss(y_forward, wanted_forward, sample)
            backward = self.softmax.sampled_loss(y_backward, wanted_backward, sample)
        else:
            forward = self.softmax.exact_loss(y_forward, wanted_forward)
            backward = self.softmax.exact_loss(y_backward, wanted_backward)
        weight = len(wanted_forward) / n_predictions
        ((forward + backward) * (weight / 2)).backward()
        return forward.item() * weight, backward.item() * weight

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
) -> Trainer:
    """A network with fresh weights, or those of ``config.init``, and its optimizer."""
    torch.manual_seed(config.seed)
    if config.init is not None:
        files = find_bilm(config.init)
        model = load_bilm(files).train().requires_grad_(True)
        for stack in (model.forward_lstm, model.backward_lstm):
            for layer in stack.layers:
                layer.lstm.bias_hh_l0.requires_grad_(False)  # type: ignore[union-attr]
        parent_vocabulary = load_vocabulary(files)
        softmax = load_softmax(files, parent_vocabulary, model.options.lstm.projection_dim)
        if vocabulary.tokens != parent_vocabulary.tokens:
            softmax = with_rows_for(softmax, parent_vocabulary, vocabulary, counts)
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
        processes=processes,
    )


def start_from_unigrams(softmax: Softmax, vocabulary: Vocabulary, counts: Counter[str]) -> None:
    """Set the output biases to log unigram probabilities, so that training does not begin by learning them."""
    weights = torch.ones(len(vocabulary))
    for token, n in counts.items():
        weights[vocabulary.id_of(token)] += n
    with torch.no_grad():
        softmax.bias.copy_((weights / weights.sum()).log())


def with_rows_for(softmax: Softmax, old: Vocabulary, new: Vocabulary, counts: Mapping[str, int] | None) -> Softmax:
    """The output layer for another vocabulary: rows of words that both have are kept.

    A new word starts as ``<UNK>``, which is how the old model wrote it, with the share of ``<UNK>``'s probability that
    the word has in ``counts``.
    """
    kept = [(i, old.id_of(token)) for i, token in enumerate(new.tokens) if token in old]
    here = torch.tensor([i for i, _ in kept])
    there = torch.tensor([j for _, j in kept])
    adapted = Softmax(len(new), softmax.weight.shape[1])
    with torch.no_grad():
        adapted.weight.copy_(softmax.weight[old.unknown_id])
        adapted.bias.copy_(softmax.bias[old.unknown_id])
        adapted.weight[here] = softmax.weight[there]
        adapted.bias[here] = softmax.bias[there]
        if counts is not None:
            n_unknown = sum(n for token, n in counts.items() if token not in old)
            for i, token in enumerate(new.tokens):
                if token not in old:
                    adapted.bias[i] += math.log(max(counts.get(token, 0), 1) / max(n_unknown, 1))
    return adapted


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
