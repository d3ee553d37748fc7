"""Training beside its bare LSTMs: what share of the speed of torch's own stack pretraining reaches, on a GPU.

    python benchmarks/bare_lstms.py TEXT [--shape original] [--samples 8192] [--json FILE]

The bare stack is :class:`torch.nn.LSTM` with ``proj_size``, both directions, forward and backward pass, on random
vectors of the same positions and in the same numbers as the run's; no token encoder, no softmax, no optimizer. Both
take the same batches in turn. Printed: tokens a second of each (median over the steps), their ratio, the share of the
time in which pretraining waited for text, and the most memory it held. It runs on a CPU, too (``--device cpu --shape
tiny``).
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
from torch import nn

from benchmarks.pretraining import padded_vocabulary, summary
from ner_elmo.bilm.data.batches import training_batches
from ner_elmo.bilm.data.corpus import TextSource
from ner_elmo.bilm.data.read_ahead import read_ahead
from ner_elmo.bilm.options import LstmOptions, options_to_json, size
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.trainer import BATCHES_AHEAD, Ready, new_trainer
from ner_elmo.nn.precision import TRAINING_PRECISIONS, best_precision, computing, fast_products, lstm_type

WARM_UP = 3


class BareLstms:
    """Both directions of a biLM's LSTMs as torch has them, in one type of numbers."""

    def __init__(self, options: LstmOptions, device: torch.device, precision: str) -> None:
        with computing(precision, device):
            self.dtype = lstm_type(device.type)
        projection = options.projection_dim if options.has_projection else 0
        self.width, self.device, self.precision = options.projection_dim, device, precision
        self.stacks = nn.ModuleList(
            nn.LSTM(options.projection_dim, options.dim, options.n_layers, proj_size=projection) for _ in range(2)
        ).to(device, self.dtype)

    def step(self, sentences: list[list[str]]) -> None:
        """Forward and backward over as many positions as the padded batch has."""
        time_steps = max(map(len, sentences)) + 1
        x = torch.randn(time_steps, len(sentences), self.width, device=self.device, dtype=self.dtype)
        self.stacks.zero_grad()
        with fast_products(self.precision):
            for stack in self.stacks:
                stack(x.requires_grad_())[0].sum().backward()


def timed(step: Callable[[], object], device: torch.device) -> float:
    """Seconds until the device has done it."""
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, help="tokenised, one sentence a line")
    parser.add_argument("--shape", default="original")
    parser.add_argument("--samples", type=int, default=8_192)
    parser.add_argument("--batch-tokens", type=int, default=16_384)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", choices=TRAINING_PRECISIONS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    precision = arguments.precision or best_precision(device.type)
    source = TextSource((arguments.text,), "whitespace", "utf-8")
    config = PretrainConfig(
        corpus=[str(arguments.text)],
        options=options_to_json(size(arguments.shape)),
        batch_tokens=arguments.batch_tokens,
        n_samples=arguments.samples,
        softmax="sampled",
        precision=precision,
    )
    trainer = new_trainer(config, padded_vocabulary(source), None, 10**9, device)
    bare = BareLstms(config.bilm_options.lstm, device, precision)
    speeds: dict[str, list[float]] = {"bare": [], "ner-elmo": []}
    waited = seconds = 0.0
    order = random.Random(0)
    batches = read_ahead(
        map(trainer.make_ready, training_batches(source.sentences, config.batch_tokens, 1, 0)), BATCHES_AHEAD
    )
    for number in range(arguments.steps + WARM_UP):
        found: list[Ready] = []
        waiting = timed(lambda: found.extend(islice(batches, 1)), device)  # noqa: B023 - called at once
        if not found:
            raise SystemExit(f"{arguments.text}: found text for {number} batches, expected {WARM_UP} and --steps more")
        ready = found[0]
        n_tokens = sum(map(len, ready.sentences))
        steps = {"bare": lambda: bare.step(ready.sentences), "ner-elmo": lambda: trainer.train_on(*ready)}  # noqa: B023
        for name in order.sample(sorted(steps), len(steps)):
            spent = timed(steps[name], device) + (waiting if name == "ner-elmo" else 0.0)
            if number >= WARM_UP:
                speeds[name].append(n_tokens / spent)
                if name == "ner-elmo":
                    waited, seconds = waited + waiting, seconds + spent
    batches.close()
    result = {name: summary(values) for name, values in speeds.items()}
    ratio = statistics.median(a / b for a, b in zip(speeds["ner-elmo"], speeds["bare"], strict=True))
    memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    for name, values in result.items():
        print(f"{name:10} {values['median']:12,.0f} tokens/s")
    print(f"share of the bare stack's speed {ratio:.0%}; waiting for text {waited / seconds:.1%} of the time")
    if memory is not None:
        print(f"GPU memory {memory / 1e9:.1f} GB, on {torch.cuda.get_device_name(device)}")
    if arguments.json is not None:
        facts = {
            "shape": arguments.shape,
            "samples": arguments.samples,
            "batch_tokens": arguments.batch_tokens,
            "precision": precision,
            "lstms": str(bare.dtype),
            "torch": torch.__version__,
            "cudnn": torch.backends.cudnn.version(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        }
        measured = {"ratio": ratio, "waiting": waited / seconds, "gpu_memory_bytes": memory}
        arguments.json.write_text(json.dumps(facts | result | measured, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
