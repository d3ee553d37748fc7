"""Training speed of one process and of several on the same cores, in tokens a second.

    python benchmarks/processes.py TEXT --options benchmarks/recipes/en.options.json

Prints one line for each of 1 process with 1 thread, 1 with 2 threads, and 2 with 1 each, over the same steps of the
same global batch, in turns so that other load on the machine falls on all of them. With them stands the share of the
time that went into the sum of gradients, waiting for the slower process included: what overlapping it with the backward
pass could save at most.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

WARM_UP = 3  # steps before the clock is started
SETTINGS = ((1, 1), (1, 2), (2, 1))  # processes, threads of each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, help="tokenised text, one sentence a line")
    parser.add_argument("--options", type=Path, required=True, help="an options.json")
    parser.add_argument("--vocab", type=Path, help="vocabulary file [default: the text's most frequent words]")
    parser.add_argument("--vocab-size", type=int, default=84_000)
    parser.add_argument("--samples", type=int, default=4096)
    parser.add_argument("--batch-tokens", type=int, default=3072)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="as `pretrain --compile`")
    parser.add_argument("--precision", default="fp32", help="fp32 or bf16")
    parser.add_argument("--worker", type=int, metavar="THREADS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments)
        return
    found: dict[tuple[int, int], list[dict[str, float]]] = {setting: [] for setting in SETTINGS}
    for _ in range(arguments.rounds):
        for setting in SETTINGS:
            found[setting].append(speed_of(*setting))
    for (processes, threads), runs in found.items():
        speeds, shares = ([run[key] for run in runs] for key in ("tokens_per_second", "share_of_sums"))
        rounds = ", ".join(f"{value:,.0f}" for value in speeds)
        sums = f"; sums of gradients {statistics.median(shares):.1%}" if processes > 1 else ""
        print(f"{processes} x {threads} threads: {statistics.median(speeds):,.0f} tokens/s (rounds: {rounds}){sums}")


def speed_of(processes: int, threads: int) -> dict[str, float]:
    """Run this script's worker in that many processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *launcher, *sys.argv, "--worker", str(threads)]
    root = Path(__file__).resolve().parents[1]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(root)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def work(arguments: argparse.Namespace) -> None:
    """One process: train some steps; the first prints the speed of all together."""
    import torch

    from ner_elmo.bilm.data.batches import training_batches
    from ner_elmo.bilm.data.corpus import TextSource
    from ner_elmo.bilm.pretraining.config import PretrainConfig
    from ner_elmo.bilm.pretraining.distributed import joined
    from ner_elmo.bilm.pretraining.trainer import new_trainer
    from ner_elmo.nn.compiled_passes import use_compiler
    from ner_elmo.text.counting import count_text
    from ner_elmo.text.vocabulary import most_frequent, read_vocabulary

    torch.set_num_threads(arguments.worker)
    if arguments.compile and (why_not := use_compiler()) is not None:
        raise SystemExit(why_not)
    device = torch.device("cpu")
    source = TextSource((arguments.text,))
    if arguments.vocab:
        vocabulary = read_vocabulary(arguments.vocab)
    else:
        vocabulary = most_frequent(count_text(source.files, source.tokenizer).counts, arguments.vocab_size)
    config = PretrainConfig(
        corpus=[str(arguments.text)],
        options=json.loads(arguments.options.read_text()),
        batch_tokens=arguments.batch_tokens,
        n_samples=arguments.samples,
        precision=arguments.precision,
    )
    with joined(device) as processes:
        trainer = new_trainer(config, vocabulary, None, 10**9, device, processes)
        batches = training_batches(source.sentences, config.batch_tokens, config.seed, 0)
        for sentences in islice(batches, WARM_UP):
            trainer.train_on(sentences)
        summed = Summed(trainer.machine.processes)
        trainer.machine.processes = summed
        processes.wait()
        started, before = time.perf_counter(), trainer.position.tokens
        for sentences in islice(batches, arguments.steps):
            trainer.train_on(sentences)
        if processes.is_first:
            seconds = time.perf_counter() - started
            speed = (trainer.position.tokens - before) / seconds
            print(json.dumps({"tokens_per_second": speed, "share_of_sums": summed.seconds / seconds}))


class Summed:
    """The processes of a run, and how long they took to add up gradients."""

    def __init__(self, processes: Any) -> None:
        self._processes = processes
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processes, name)

    def add_gradients(self, parameters: Any) -> None:
        started = time.perf_counter()
        self._processes.add_gradients(parameters)
        self.seconds += time.perf_counter() - started


if __name__ == "__main__":
    main()
