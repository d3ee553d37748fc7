"""Where the time of pretraining on a CPU goes, part by part, in one thread, beside what the machine multiplies at most.

    OMP_NUM_THREADS=1 python benchmarks/pretraining_parts.py TEXT [--steps 12] [--precision bf16] [--compile]
        [--json FILE]

TEXT is tokenised, one sentence a line; shape and batches are those of ``pretraining.py``. First come the tokens per
second of CPU time, the median over the steps without a profiler. Then the steps are taken once more under torch's
profiler: every operation counts, with its own time alone, to the innermost part that it was called from, and there as a
product of matrices, as a copy (conversions between numbers included) or as something else. Of each the median over the
steps is taken, and all are scaled to add up to that CPU time, since the profiler reads a clock that goes on while other
programs have the core. Last come products of the shapes that a step has, in float32 and in bfloat16, best of several:
GFLOP/s.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.pretraining import BATCH_TOKENS, OPTIONS, SAMPLES, WARM_UP, padded_vocabulary
from ner_elmo.bilm.data.batches import make_batch, training_batches
from ner_elmo.bilm.data.corpus import TextSource
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.learner import Learner
from ner_elmo.bilm.pretraining.trainer import Trainer, new_trainer
from ner_elmo.bilm.token_encoder import CharacterCnn
from ner_elmo.nn.compiled_passes import use_compiler
from ner_elmo.nn.dropout import Dropout
from ner_elmo.nn.precision import TRAINING_PRECISIONS, best_precision

# What the profiler calls what, by the first name that fits from the innermost call outwards.
PARTS = {
    "part: ": "",
    "MixedRecurrenceBackward": "LSTMs, backward",
    "MixedRecurrence": "LSTMs, forward",
    "RecurrenceBackward": "LSTMs, backward",
    "Recurrence": "LSTMs, forward",
    "_SampledCrossEntropyBackward": "softmax, its rows",
    "_SampledCrossEntropy": "softmax",
    "Optimizer.step": "optimizer",
    "Optimizer.zero_grad": "optimizer",
    "autograd::engine": "backward of all else",
}
PRODUCTS = {"aten::mm", "aten::addmm", "aten::addmm_", "aten::bmm", "mkldnn::_linear_pointwise"}
COPIES = {"aten::copy_", "aten::_to_copy", "aten::to", "aten::cat", "aten::clone", "aten::fill_", "aten::zero_"}
KINDS = ("products", "copies", "other")
# Rows, terms, columns: a step of the LSTM; its projection; the gradients of a layer; the softmax.
SHAPES = (
    (64, 288, 2048), (128, 288, 2048), (128, 512, 128), (128, 2048, 128), (256, 4200, 2048), (128, 128, 4096),
    (512, 128, 4096), (128, 512, 4096),
)  # fmt: skip


@contextmanager
def named_parts() -> Iterator[None]:
    """Within the block calls that are no operations of torch have a part of their own."""
    named: list[tuple[Any, str, Any]] = []

    def name(owner: Any, method: str, part: str) -> None:
        before = getattr(owner, method)

        def within(*arguments: Any, **options: Any) -> Any:
            with record_function(f"part: {part}"):
                return before(*arguments, **options)

        named.append((owner, method, before))
        setattr(owner, method, within)

    name(CharacterCnn, "forward", "character CNN, forward")
    name(Dropout, "forward", "dropout")
    name(Learner, "draw", "drawing of samples")
    name(Learner, "clip", "norm of the gradient")
    try:
        yield
    finally:
        for owner, method, before in named:
            setattr(owner, method, before)


def part_of(event: Any) -> str:
    """The part that an operation belongs to, from the calls that it stands in."""
    while event is not None:
        for beginning, part in PARTS.items():
            if event.name.startswith(beginning):
                return part or event.name.removeprefix(beginning)
        event = event.cpu_parent
    return "all else"


def shares(trainer: Trainer, batches: list[list[list[str]]], rate: float) -> dict[str, dict[str, float]]:
    """Milliseconds per 1,000 tokens of each part, by kind, which add up to 1,000 tokens at ``rate``; and 10⁹
    floating-point operations of its products. Each is the median over the batches."""
    steps = [share_of_step(trainer, sentences) for sentences in batches]
    found = {
        part: {kind: statistics.median(step[part][kind] for step in steps) for kind in (*KINDS, "gflop")}
        for part in set().union(*steps)
    }
    clock = sum(of_part[kind] for of_part in found.values() for kind in KINDS)
    for of_part in found.values():
        for kind in KINDS:
            of_part[kind] *= 1e6 / rate / clock
    return found


def share_of_step(trainer: Trainer, sentences: list[list[str]]) -> dict[str, dict[str, float]]:
    """Microseconds per 1,000 tokens by the clock, otherwise as above."""
    found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    batch = make_batch(sentences, trainer.vocabulary, trainer.learner.model.token_encoder)
    with named_parts(), profile(activities=[ProfilerActivity.CPU], record_shapes=True, with_flops=True) as profiled:
        trainer.train_on(sentences, batch)
    n_thousands = sum(map(len, sentences)) / 1000
    for event in profiled.events():
        kind = "products" if event.name in PRODUCTS else "copies" if event.name in COPIES else "other"
        of_part = found[part_of(event)]
        of_part[kind] += event.self_cpu_time_total / n_thousands
        of_part["gflop"] += flops_of(event) / 1e9 / n_thousands
    return found


def flops_of(event: Any) -> float:
    """Floating-point operations of a product, some of which torch does not count."""
    if event.name != "mkldnn::_linear_pointwise":
        return float(event.flops or 0)
    (rows, terms), (columns, _) = event.input_shapes[:2]
    return 2.0 * rows * terms * columns


def data_rate(trainer: Trainer, batches: list[list[list[str]]]) -> float:
    """Milliseconds of CPU time per 1,000 tokens that making a batch takes."""
    started = time.thread_time()
    for sentences in batches:
        make_batch(sentences, trainer.vocabulary, trainer.learner.model.token_encoder)
    n_tokens = sum(len(sentence) for sentences in batches for sentence in sentences)
    return 1e6 * (time.thread_time() - started) / n_tokens


def timed(trainer: Trainer, sentences: list[list[str]]) -> float:
    """Tokens per second of CPU time of one step, its batch made before."""
    batch = make_batch(sentences, trainer.vocabulary, trainer.learner.model.token_encoder)
    started = time.process_time()
    trainer.train_on(sentences, batch)
    return sum(map(len, sentences)) / (time.process_time() - started)


def best_of(call: Callable[[], object], turns: int = 7, calls: int = 10) -> float:
    """Seconds of CPU time of one call."""
    call()
    times = []
    for _ in range(turns):
        started = time.thread_time()
        for _ in range(calls):
            call()
        times.append((time.thread_time() - started) / calls)
    return min(times)


def machine_rates() -> list[dict[str, Any]]:
    """GFLOP/s of single products."""
    found = []
    for rows, terms, columns in SHAPES:
        rates: dict[str, Any] = {"rows": rows, "terms": terms, "columns": columns}
        for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
            a, b = torch.randn(rows, terms).to(dtype), torch.randn(terms, columns).to(dtype)
            out = torch.empty(rows, columns, dtype=dtype)
            seconds = best_of(lambda a=a, b=b, out=out: torch.mm(a, b, out=out))  # type: ignore[misc]
            rates[name] = 2 * rows * terms * columns / seconds / 1e9
        found.append(rates)
    return found


def show(found: dict[str, dict[str, float]]) -> None:
    total = sum(of_part[kind] for of_part in found.values() for kind in KINDS)
    print(
        f"{'ms per 1,000 tokens':24} {'all':>7} {'share':>6} {'products':>9} {'copies':>7} {'other':>7} {'GFLOP/s':>8}"
    )
    ranked = sorted(found.items(), key=lambda item: -sum(item[1][kind] for kind in KINDS))
    together = {kind: sum(of_part[kind] for of_part in found.values()) for kind in (*KINDS, "gflop")}
    for name, of_part in (*ranked, ("together", together)):
        products, copies, other = (of_part[kind] for kind in KINDS)
        rate = f"{of_part['gflop'] / products * 1000:8,.0f}" if products else ""
        every = products + copies + other
        print(f"{name:24} {every:7.2f} {every / total:6.1%} {products:9.2f} {copies:7.2f} {other:7.2f} {rate}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--precision", choices=TRAINING_PRECISIONS, default=best_precision("cpu"))
    parser.add_argument("--batch-tokens", type=int, default=BATCH_TOKENS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--compile", action="store_true", help="as `pretrain --compile`")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.compile and (why_not := use_compiler()) is not None:
        parser.error(why_not)
    source = TextSource((arguments.text,), "whitespace", "utf-8")
    config = PretrainConfig(
        corpus=[str(arguments.text)], options=OPTIONS, batch_tokens=arguments.batch_tokens, n_samples=SAMPLES,
        softmax="sampled", precision=arguments.precision,
    )  # fmt: skip
    trainer = new_trainer(config, padded_vocabulary(source), None, 10**9, torch.device("cpu"))
    drawn = list(islice(training_batches(source.sentences, config.batch_tokens, 1, 0), arguments.steps + WARM_UP))
    for sentences in drawn[:WARM_UP]:
        trainer.train_on(sentences)
    batches = drawn[WARM_UP:]
    for sentences in batches:  # code for products of new shapes is made once
        trainer.train_on(sentences)
    rate = statistics.median(timed(trainer, sentences) for sentences in batches)
    print(
        f"{rate:,.0f} tokens per second of CPU time, one thread, {arguments.precision}{' compiled' * arguments.compile}"
    )
    print(f"making a batch, which another thread does ahead: {data_rate(trainer, batches):.2f} ms per 1,000 tokens\n")
    found = shares(trainer, batches, rate)
    show(found)
    print("\nsingle products, GFLOP/s    float32  bfloat16")
    rates = machine_rates()
    for of_shape in rates:
        shape = " x ".join(str(of_shape[key]) for key in ("rows", "terms", "columns"))
        print(f"{shape:25} {of_shape['float32']:9,.0f} {of_shape['bfloat16']:9,.0f}")
    if arguments.json is not None:
        facts = {
            "tokens_per_cpu_second": rate,
            "precision": arguments.precision,
            "compiled": arguments.compile,
            "torch": torch.__version__,
        }
        facts |= {"batch_tokens": arguments.batch_tokens, "steps": arguments.steps}
        arguments.json.write_text(json.dumps({**facts, "parts": found, "products": rates}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
