"""Speed and memory of the encoder beside AllenNLP's, on random weights of the published shapes, clips on.

    python benchmarks/encoder.py --allennlp-python PYTHON --text FILE... [--output FILE] [--quick]

``PYTHON`` is the interpreter of an environment with AllenNLP (``benchmarks/README.md`` says how to make one); without
it our side is measured beside the plain path alone (``plain_encoder.py``). The sides take turns on slices of the same
sentences, so that whatever else the machine does meets all; a ratio is that of the total rates over all turns.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from worker import Worker

from ner_elmo.bilm.files.weights import write_weights
from ner_elmo.bilm.model import BiLm
from ner_elmo.bilm.options import SIZES, options_to_json
from ner_elmo.text.files import read_lines

HERE = Path(__file__).parent
CLIP = 3.0  # the published models'
GAIN = 6.0  # on the LSTM kernels of random weights, so that the clip binds: for 0.2 and 1.2 % of small's forward cells
SHORTEST, LONGEST = 5, 50  # tokens of a sentence
REFERENCE_BATCH = 32
PLAIN_SENTENCES = 32  # of each turn

LSTM_SENTENCES = 1000

Measurement = dict[str, Any]  # seconds, and tokens or flops
Job = Callable[[int], Measurement]  # of a turn's number


@dataclasses.dataclass(frozen=True)
class Counts:
    """How much is measured: sentences of the stream; and, for each turn, of the reference and of single calls."""

    stream: int
    calls: int
    reference_batches: int
    reference_single: int
    turns: int = 8


COUNTS = {"small": Counts(20_000, 300, 96, 16), "original": Counts(1_500, 300, 32, 6)}
QUICK = Counts(stream=24, calls=2, reference_batches=8, reference_single=1, turns=2)


def main() -> None:
    arguments = parse_arguments()
    report: dict[str, Any] = {"machine": describe_machine(), "threads": arguments.threads, "quick": arguments.quick}
    report["device"] = arguments.device
    with tempfile.TemporaryDirectory(prefix="ner-elmo-benchmark-") as temporary:
        for shape in arguments.shape:
            counts = QUICK if arguments.quick else COUNTS[shape]
            folder = write_random_model(shape, Path(temporary) / shape)
            text = write_sentences(arguments.text, 2 * counts.stream, Path(temporary) / f"{shape}.txt")
            report[shape] = [
                measured
                for precision in arguments.precision
                if (measured := measure(folder, text, counts, precision, arguments))
            ]
            print_table(shape, counts, report[shape])
    if arguments.output:
        arguments.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--allennlp-python", "--allennlp", metavar="PYTHON", help="interpreter of an environment with AllenNLP 2.10.1"
    )
    parser.add_argument("--text", nargs="+", type=Path, required=True, help="tokenised sentences, one a line")
    parser.add_argument("--shape", nargs="+", choices=list(COUNTS), default=list(COUNTS))
    parser.add_argument("--precision", nargs="+", default=["fp32", "int8", "bf16"], help="of our side")
    parser.add_argument("--threads", type=int, default=2, help="of both sides [2]")
    parser.add_argument("--device", default="cpu", help="of our side: cpu or cuda; the others stay on the CPU [cpu]")
    parser.add_argument("--output", type=Path, help="JSON file for all figures")
    parser.add_argument("--quick", action="store_true", help="a few sentences: does it run?")
    return parser.parse_args()


def describe_machine() -> dict[str, Any]:
    names = [line.split(":", 1)[1].strip() for line in read_lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "isa": torch.backends.cpu.get_cpu_capability(),
    }


def write_random_model(shape: str, folder: Path) -> Path:
    """A published pair of files with random weights, always the same."""
    options = SIZES[shape]
    options = dataclasses.replace(options, lstm=dataclasses.replace(options.lstm, cell_clip=CLIP, proj_clip=CLIP))
    torch.manual_seed(0)
    model = BiLm(options)
    model.reset_parameters()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "weight_ih" in name or "weight_hh" in name:
                parameter.mul_(GAIN)
    folder.mkdir()
    write_weights(model, folder / "weights.hdf5")
    (folder / "options.json").write_text(json.dumps(options_to_json(options)), encoding="utf-8")
    return folder


def write_sentences(texts: Sequence[Path], n_sentences: int, path: Path) -> Path:
    """The first sentences of fitting length, one a line."""
    lines = (line for line in chain.from_iterable(map(read_lines, texts)) if SHORTEST <= len(line.split()) <= LONGEST)
    chosen = list(islice(lines, n_sentences))
    if len(chosen) < n_sentences:
        sys.exit(f"--text: found {len(chosen):,} sentences of {SHORTEST}-{LONGEST} tokens, expected {n_sentences:,}")
    path.write_text("".join(f"{line}\n" for line in chosen), encoding="utf-8")
    return path


def measure(
    folder: Path, text: Path, counts: Counts, precision: str, arguments: argparse.Namespace
) -> dict[str, Any] | None:
    """All figures of one shape and precision; ``None`` where the encoder does not offer the precision."""
    sentences = [line.split() for line in read_lines(text)]
    with contextlib.ExitStack() as stack:

        def ours() -> Worker:
            script, place = HERE / "our_encoder.py", str(folder)
            return stack.enter_context(
                Worker(
                    sys.executable,
                    script,
                    arguments.threads,
                    folder=place,
                    precision=precision,
                    device=arguments.device,
                )
            )

        worker = ours()
        if "refused" in worker.facts:
            print(f"{folder.name}, {precision}: skipped ({worker.facts['refused']})")
            return None
        plain = Worker(sys.executable, HERE / "plain_encoder.py", arguments.threads, folder=str(folder))
        references = {"plain": stack.enter_context(plain)}
        if arguments.allennlp_python:
            for name in ("batches", "single"):
                references[name] = stack.enter_context(reference_worker(folder, arguments))
        result: dict[str, Any] = {
            "precision": precision,
            "programs": [w.facts["program"] for w in (worker, *references.values())][:3],
            "difference": compare_vectors(
                worker, references.get("batches", references["plain"]), sentences[: min(REFERENCE_BATCH, counts.stream)]
            ),
            "rows": measure_rates(worker, references, sentences, text, counts),
            "memory": {name: w.ask("memory") | w.facts for name, w in references.items()},
        }
        result["memory"]["stream"] = measure_memory(ours(), text, counts)
    return result


def reference_worker(folder: Path, arguments: argparse.Namespace) -> Worker:
    files = {"options": str(folder / "options.json"), "weights": str(folder / "weights.hdf5")}
    return Worker(arguments.allennlp_python, HERE / "allennlp_encoder.py", arguments.threads, **files)


def compare_vectors(ours: Worker, reference: Worker, sentences: list[list[str]]) -> dict[str, float]:
    """Of all layers: the largest and the mean absolute difference, and the largest absolute value."""
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / f"{name}.npz") for name in ("ours", "reference")]
        for worker, file in zip((ours, reference), files, strict=True):
            worker.ask("vectors", sentences=sentences, file=file)
        found, wanted = (dict(np.load(file)) for file in files)
    differences = np.concatenate([np.abs(found[i] - wanted[i]).ravel() for i in wanted])
    return {
        "max_difference": float(differences.max()),
        "mean_difference": float(differences.mean()),
        "max_value": max(float(np.abs(array).max()) for array in wanted.values()),
    }


def measure_rates(
    worker: Worker, references: dict[str, Worker], sentences: list[list[str]], text: Path, counts: Counts
) -> dict[str, list[Measurement]]:
    """Every turn of every row. The first pass begins with an empty cache of token vectors, but for 32 sentences'."""
    beside = reference_jobs(references, sentences, counts)
    rows: dict[str, list[Measurement]] = {}
    for name in ("first pass", "second pass"):
        worker.ask("open", text=str(text), n_sentences=counts.stream)
        jobs = beside | stream_job(worker, name, counts)
        if name == "second pass":
            jobs |= other_jobs(worker, sentences, counts)
        for row, measured in take_turns(jobs, counts.turns).items():
            rows.setdefault(row, []).extend(measured)
    return rows


def reference_jobs(references: dict[str, Worker], sentences: list[list[str]], counts: Counts) -> dict[str, Job]:
    def job(worker: Worker, n_sentences: int, batch: int) -> Job:
        return lambda turn: worker.ask("run", sentences=turn_of(sentences, turn, n_sentences), batch=batch)

    sizes = {
        "plain": (min(PLAIN_SENTENCES, counts.reference_batches), REFERENCE_BATCH),
        "batches": (counts.reference_batches, REFERENCE_BATCH),
        "single": (counts.reference_single, 1),
    }
    return {f"reference, {name}": job(worker, *sizes[name]) for name, worker in references.items()}


def stream_job(worker: Worker, name: str, counts: Counts) -> dict[str, Job]:
    slices = cut(counts.stream, counts.turns)
    return {f"ours, {name}": lambda turn: worker.ask("take", n_sentences=slices[turn])}


def other_jobs(worker: Worker, sentences: list[list[str]], counts: Counts) -> dict[str, Job]:
    calls = cut(counts.calls, counts.turns)
    lstm_sentences = sentences[: min(LSTM_SENTENCES, counts.stream // counts.turns)]
    return {
        "ours, a call a sentence": lambda turn: worker.ask("calls", sentences=turn_of(sentences, turn, calls[turn])),
        "our LSTMs": lambda _: worker.ask("lstm", sentences=lstm_sentences),
        "matrix product": lambda _: worker.ask("gemm"),
    }


def take_turns(jobs: dict[str, Job], turns: int) -> dict[str, list[Measurement]]:
    measured: dict[str, list[Measurement]] = {name: [] for name in jobs}
    for turn in range(turns):
        for name, job in jobs.items():
            measured[name].append(job(turn))
    return measured


def cut(n: int, parts: int) -> list[int]:
    return [n * (i + 1) // parts - n * i // parts for i in range(parts)]


def turn_of(sentences: list[list[str]], turn: int, n: int) -> list[list[str]]:
    """``n`` sentences as they come in the stream, others in each turn."""
    start = turn * n % max(1, len(sentences) - n)
    return sentences[start : start + n]


def measure_memory(worker: Worker, text: Path, counts: Counts) -> Measurement:
    """Peak memory after the stream, and after as many sentences again, in a process that does nothing else."""
    worker.ask("open", text=str(text))
    peaks = []
    for _ in range(2):
        worker.ask("take", n_sentences=counts.stream)
        held = worker.ask("memory")
        peaks.append(held.pop("peak_bytes"))
    return held | {"loaded_bytes": worker.facts["loaded_bytes"], "peak_bytes": peaks[0], "peak_bytes_twice": peaks[1]}


def rate(measured: Sequence[Measurement], what: str = "tokens") -> float:
    """Tokens (or flops) a second over all turns."""
    return float(sum(m[what] for m in measured) / sum(m["seconds"] for m in measured))


def spread(measured: Sequence[Measurement]) -> str:
    """How far the middle half of the turns' rates lies apart, as a share of their median: the machine's unrest."""
    rates = [m["tokens"] / m["seconds"] for m in measured]
    if len(rates) < 4:
        return "-"
    low, middle, high = statistics.quantiles(rates, n=4)
    return f"{(high - low) / middle:.0%}"


def print_table(shape: str, counts: Counts, results: list[dict[str, Any]]) -> None:
    for result in results:
        print(f"\n{shape}, {result['precision']}: {counts.stream:,} sentences; {' | '.join(result['programs'])}")
        if result["difference"]:
            values = result["difference"]
            print(
                f"  difference {values['max_difference']:.1e} at most, {values['mean_difference']:.1e} on average; "
                f"largest value {values['max_value']:.2f}"
            )
        for line in rate_lines(result["rows"]):
            print(line)
        for name, memory in result["memory"].items():
            print(memory_line(name, memory))


def rate_lines(rows: dict[str, list[Measurement]]) -> Iterator[str]:
    yield f"  {'':26}{'tokens/s':>10}  {'÷ batches':>9}  {'÷ single':>9}  {'÷ plain':>9}  spread"
    for name, measured in rows.items():
        if "tokens" in measured[0]:
            ratios = (ratio(rows, name, f"reference, {other}") for other in ("batches", "single", "plain"))
            yield f"  {name:26}{rate(measured):10,.0f}  " + "  ".join(ratios) + f"  {spread(measured):>6}"
    if "reference, batches" in rows:
        share = sum(m["converting"] for m in rows["reference, batches"]) / sum(
            m["seconds"] for m in rows["reference, batches"]
        )
        yield f"  of the reference's time in batches, {share:.0%} is turning tokens into character ids"
    most, lstm = rate(rows["matrix product"], "flops"), rate(rows["our LSTMs"], "flops")
    yield f"  float32 matrix product {most / 1e9:.1f} GFLOP/s; our LSTMs {lstm / 1e9:.1f}, {lstm / most:.0%} of it"


def ratio(rows: dict[str, list[Measurement]], name: str, reference: str) -> str:
    """Our rate over the reference's; of the first pass over the turns of the reference that stood beside it."""
    if reference not in rows or name.startswith("reference"):
        return " " * 9
    beside = rows[reference]
    half = len(beside) // 2
    beside = beside[:half] if name == "ours, first pass" else beside[half:]
    return f"{rate(rows[name]) / rate(beside):9.2f}"


def memory_line(name: str, memory: Measurement) -> str:
    peak = f"{memory['peak_bytes'] / 1e6:,.0f} MB at most, {memory['loaded_bytes'] / 1e6:,.0f} MB once loaded"
    if "peak_bytes_twice" in memory:
        return f"  memory of ours: {peak}; {memory['peak_bytes_twice'] / 1e6:,.0f} MB after twice the sentences"
    return f"  memory of the reference, {name}: {peak}"


if __name__ == "__main__":
    main()
