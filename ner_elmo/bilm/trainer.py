"""Training steps: the network, its optimizer and schedule, and the loop as a sequence of steps.

:func:`training_steps` yields after every step; saving, logging and printing are its caller's
(:mod:`ner_elmo.bilm.pretrain`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import NamedTuple

import torch
from torch import nn

from ner_elmo.bilm.config import PretrainConfig
from ner_elmo.bilm.corpus import TextSource, make_batch, training_batches
from ner_elmo.bilm.directory import find_bilm, load_bilm, load_softmax, load_vocabulary
from ner_elmo.bilm.model import BiLm
from ner_elmo.bilm.perplexity import directions
from ner_elmo.bilm.softmax import Softmax, draw_sample
from ner_elmo.errors import NerElmoError
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
        read = partial(source.sentences, f"{config.seed}/{trainer.epoch}")
        batches = training_batches(read, config.batch_tokens, config.seed, trainer.epoch)
        for sentences in islice(batches, trainer.batch, None):
            yield trainer.train_on(sentences)
            if trainer.tokens >= trainer.total_tokens:
                return
        trainer.epoch += 1
        trainer.batch = 0
