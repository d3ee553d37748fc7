"""Tokens per second of pretraining on a CPU, beside a plain PyTorch implementation, in one run.

    python benchmarks/pretraining.py TEXT [--steps 12] [--threads 2] [--cpu-time] [--json FILE]

TEXT is tokenised, one sentence a line. The shape is 2x512_128 with 512 filters, 60,000 words, 4,096 samples, 4,200
tokens a step. The plain implementation and ours, in float32 and, where the processor has it, in bfloat16, without and,
where there is a compiler, with ``--compile``, take the same batches in turn, step by step, so that what else the
machine does falls on all alike; each figure is the median over the steps.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from benchmarks.plain_bilm import PlainBilm
from ner_elmo.bilm.data.batches import make_batch, training_batches
from ner_elmo.bilm.data.corpus import TextSource
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.trainer import new_trainer
from ner_elmo.bilm.softmax import draw_sample
from ner_elmo.bilm.token_encoder import CharacterCnn
from ner_elmo.nn import compiled_passes as compiled
from ner_elmo.nn.compiled_passes import use_compiler
from ner_elmo.nn.precision import TRAINING_PRECISIONS, multiplies_bf16
from ner_elmo.text.counting import count_text
from ner_elmo.text.vocabulary import SPECIALS, Vocabulary, most_frequent

OPTIONS = {
    "lstm": {"dim": 512, "projection_dim": 128, "n_layers": 2, "cell_clip": None, "proj_clip": None},
    "char_cnn": {
        "filters": [[1, 32], [2, 32], [3, 64], [4, 128], [5, 256]],
        "embedding": {"dim": 16},
        "n_highway": 1,
        "max_characters_per_token": 50,
        "n_characters": 262,
        "activation": "relu",
    },
    "dropout": 0.1,
}
WORDS, SAMPLES, BATCH_TOKENS = 60_000, 4_096, 4_200
WARM_UP = 2


def padded_vocabulary(source: TextSource) -> Vocabulary:
    """The text's words, and made-up ones up to ``WORDS``: the cost does not depend on which they are."""
    found = most_frequent(count_text(source.files, source.tokenizer).counts, WORDS, min_count=1)
    made_up = [f"made-up-{n}" for n in range(WORDS - len(found))]
    return Vocabulary([*SPECIALS, *(t for t in found.tokens if t not in SPECIALS), *made_up])


def plain_step(vocabulary: Vocabulary, config: PretrainConfig) -> Callable[[list[list[str]]], None]:
    """One step of the plain implementation, its batch made by the package's code."""
    torch.manual_seed(1)
    options = config.bilm_options
    model = PlainBilm(options, len(vocabulary)).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    generator = torch.Generator().manual_seed(1)
    assert options.char_cnn is not None
    encoder = CharacterCnn(options.char_cnn, options.lstm.projection_dim)  # for the rows of its tokens alone

    def step(sentences: list[list[str]]) -> None:
        batch = make_batch(sentences, vocabulary, encoder)
        sample = draw_sample(SAMPLES, len(vocabulary), generator)
        optimizer.zero_grad()
        model.loss(batch, sample).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def uncompiled(step: Callable[[list[list[str]]], object]) -> Callable[[list[list[str]]], object]:
    """``step`` by torch's operations alone."""

    def by_torch(sentences: list[list[str]]) -> None:
        before, compiled._InUse.passes = compiled._InUse.passes, None
        step(sentences)
        compiled._InUse.passes = before

    return by_torch


def timed(step: Callable[[list[list[str]]], object], sentences: list[list[str]], clock: Callable[[], float]) -> float:
    """Tokens per second of one step."""
    start = clock()
    step(sentences)
    return sum(map(len, sentences)) / (clock() - start)


def summary(rates: Sequence[float]) -> dict[str, float]:
    low, median, high = statistics.quantiles(rates, n=4)
    return {"median": median, "lower_quartile": low, "upper_quartile": high}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true", help="per second of CPU time, where others use the machine")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    source = TextSource((arguments.text,), "whitespace", "utf-8")
    vocabulary = padded_vocabulary(source)
    config = PretrainConfig(
        corpus=[str(arguments.text)], options=OPTIONS, batch_tokens=BATCH_TOKENS, n_samples=SAMPLES, softmax="sampled"
    )
    compiles = use_compiler() is None
    steps: dict[str, Callable[[list[list[str]]], object]] = {"plain": plain_step(vocabulary, config)}
    for precision in TRAINING_PRECISIONS if multiplies_bf16("cpu") else ("fp32",):
        trainer = new_trainer(replace(config, precision=precision), vocabulary, None, 10**9, torch.device("cpu"))
        steps[f"ner-elmo {precision}"] = uncompiled(trainer.train_on)
        if precision == "bf16" and compiles:
            steps["ner-elmo bf16 compiled"] = new_trainer(
                replace(config, precision=precision), vocabulary, None, 10**9, torch.device("cpu")
            ).train_on
    rates: dict[str, list[float]] = {name: [] for name in steps}
    batches = islice(training_batches(source.sentences, BATCH_TOKENS, 1, 0), arguments.steps + WARM_UP)
    order = random.Random(0)
    for number, sentences in enumerate(batches):
        for name in order.sample(sorted(steps), len(steps)):
            rate = timed(steps[name], sentences, clock)
            if number >= WARM_UP:
                rates[name].append(rate)
    result = {name: summary(values) for name, values in rates.items()}
    ratios = {
        name: statistics.median(a / b for a, b in zip(values, rates["plain"], strict=True))
        for name, values in rates.items()
        if name != "plain"
    }
    unit = f"tokens/s{' of CPU time' if arguments.cpu_time else ''} ({arguments.threads} threads)"
    for name, values in result.items():
        times = f", {ratios[name]:.2f} times the plain one (median over pairs)" if name in ratios else ""
        print(f"{name:22} {values['median']:8,.0f} {unit}{times}")
    if arguments.json is not None:
        facts = {
            "threads": arguments.threads,
            "cpu_time": arguments.cpu_time,
            "steps": arguments.steps,
            "torch": torch.__version__,
        }
        arguments.json.write_text(json.dumps({**facts, **result, "ratios": ratios}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
