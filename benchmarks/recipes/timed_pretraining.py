"""Pretrain for so many seconds of steps, on a GPU whose time is short: how the second half of ``models/en`` and all of
``models/zh``'s biLM were made.

    SECONDS_OF_STEPS=215 python benchmarks/recipes/timed_pretraining.py pretrain TEXT... --device cuda --threads 1 \\
        --epochs 100 --max-tokens 1000000000 -o RUN [flags of pretrain]

It is ``ner-elmo pretrain`` but for two things. Batches are made by other processes (``MAKERS``, 2),
as one thread cannot make them as fast as such a GPU takes them. And the schedule of the learning rate runs over the
seconds, not over ``--max-tokens``: how many tokens that makes is known at the end. It cannot be resumed.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import Any

import torch

from ner_elmo.bilm.data.batches import Batch, make_batch, training_batches
from ner_elmo.bilm.data.corpus import TextSource
from ner_elmo.bilm.pretraining import run, trainer
from ner_elmo.bilm.pretraining.schedule import Place
from ner_elmo.bilm.pretraining.trainer import Step, Trainer
from ner_elmo.bilm.token_encoder import TokenEncoder
from ner_elmo.cli.main import main
from ner_elmo.text.vocabulary import Vocabulary

SECONDS_OF_STEPS = float(os.environ.get("SECONDS_OF_STEPS", "60"))
MAKERS = int(os.environ.get("MAKERS", "2"))
AHEAD = 12  # batches that a maker has ready
FIRST_SECONDS = 3.0  # in which the speed is not known yet


class Clock:
    """When the first step began."""

    began: float | None = None


def seconds() -> float:
    """Since the first step began."""
    return 0.0 if Clock.began is None else time.perf_counter() - Clock.began


def place(self: Trainer) -> Place:
    """As far as training has come in time, in tokens of the speed so far."""
    seen = max(1, self.position.tokens)
    if seconds() < FIRST_SECONDS:
        return Place(self.position.step, self.position.tokens, 1_000_000_000)
    total = max(seen + 1, int(seen * SECONDS_OF_STEPS / seconds())) if seconds() < SECONDS_OF_STEPS else seen
    return Place(self.position.step, self.position.tokens, total)


def make(
    queue: Any,
    read: Callable[[str], Iterable[list[str]]],
    batch_tokens: int,
    seed: int,
    vocabulary: Vocabulary,
    encoder: TokenEncoder,
    number: int,
) -> None:
    """In a process of its own: every ``MAKERS``-th batch, for ever."""
    torch.set_num_threads(1)
    epoch = 0
    while True:
        batches = training_batches(partial(read, f"{seed}/{epoch}"), batch_tokens, seed, epoch)
        for position, sentences in enumerate(batches):
            if position % MAKERS == number:
                batch = make_batch(sentences, vocabulary, encoder)
                queue.put(
                    ([len(sentence) for sentence in sentences], [part.numpy() for part in batch[:4]], batch.n_tokens)
                )
        epoch += 1


def training_steps(trainer: Trainer, source: TextSource) -> Generator[Step, None, None]:
    """As :func:`ner_elmo.bilm.pretraining.trainer.training_steps`, until the seconds are over."""
    processes = multiprocessing.get_context("fork")
    queues = [processes.Queue(AHEAD) for _ in range(MAKERS)]
    config, encoder = trainer.config, trainer.learner.model.token_encoder
    fixed = (source.sentences, config.batch_tokens, config.seed, trainer.vocabulary, encoder)
    makers = [processes.Process(target=make, args=(queue, *fixed, n), daemon=True) for n, queue in enumerate(queues)]
    for maker in makers:
        maker.start()
    try:
        turn = 0
        while seconds() < SECONDS_OF_STEPS:
            lengths, arrays, n_tokens = queues[turn].get()
            if Clock.began is None:
                Clock.began = time.perf_counter()
            batch = Batch(*map(torch.from_numpy, arrays), n_tokens)
            if trainer.machine.device.type == "cuda":
                batch = batch.pinned()
            # Of the sentences a step asks no more than their lengths where the batch is there.
            yield trainer.train_on([range(length) for length in lengths], batch)  # type: ignore[misc]
            turn = (turn + 1) % MAKERS
        trainer.total_tokens = trainer.position.tokens
    finally:
        for maker in makers:
            maker.kill()


if __name__ == "__main__":
    Trainer.place = property(place)  # type: ignore[method-assign,assignment]
    trainer.training_steps = run.training_steps = training_steps
    sys.exit(main())
