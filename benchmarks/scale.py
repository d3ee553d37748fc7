"""What large jobs take: reckoned from rates that are measured, and from failures that are drawn by chance.

    python benchmarks/scale.py measure TEXT -m models/en -o benchmarks/results/scale.json    # some minutes, one core
    python benchmarks/scale.py tables benchmarks/results/scale.json                # the tables of docs/scale.md

``measure`` takes seconds of the processor, not of the clock, so that it holds on a machine that does other work, too.
What is not measured is an assumption; all of them stand in :class:`Assumptions`.
"""

from __future__ import annotations

import argparse
import json
import math
import pickle
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

HOUR, DAY = 3600.0, 86_400.0
REPEATS = 3  # of what is measured


@dataclass(frozen=True)
class Assumptions:
    """What nobody measured here.

    Attributes:
        core_price, gpu_price: in dollars an hour.
        disk, network: bytes a second of a machine.
        latency: seconds for each of the two rounds of a sum of gradients, times the logarithm of the machines.
        gpu_rate: tokens a second of one H200 that trains the shape of ``models/en`` in bfloat16 (docs/design.md §7).
        gpus: of a node.
        batch: tokens of each GPU in a step.
        rows: of the output layer that a step touches, which are sent, too.
        mtbf: hours between two failures of one node: careful hands (a year), and machines that may be taken away.
        restart: seconds until all nodes are there again and have read the newest checkpoint.
    """

    core_price: float = 0.04
    gpu_price: float = 3.0
    disk: float = 500e6
    network: float = 1.25e9
    latency: float = 1e-3
    gpu_rate: float = 145_000.0
    gpus: int = 8
    batch: int = 8192
    rows: int = 16_384
    mtbf: tuple[float, ...] = (8760.0, 100.0)
    restart: float = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("text", type=Path, help="a sentence on each line, plain or compressed")
    measuring.add_argument("-m", "--model", type=Path, required=True, help="tagger directory with a biLM")
    measuring.add_argument("--small", type=Path, help="tagger directory without one")
    measuring.add_argument("--sentences", type=int, default=2000, help="that are tagged")
    measuring.add_argument("-o", "--output", type=Path, required=True)
    tables = commands.add_parser("tables")
    tables.add_argument("measured", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "measure":
        measure(arguments)
    else:
        measured = json.loads(arguments.measured.read_text(encoding="utf-8"))
        print("\n\n".join([*tagging(measured), pretraining(measured), failures(measured)]))


# ---- rates ----------------------------------------------------------------------------------------------------------


def measure(arguments: argparse.Namespace) -> None:
    """Rates of one core, in tokens for each second of the processor."""
    import torch

    from ner_elmo.bilm.data.batches import training_batches
    from ner_elmo.elmo.encoder import Elmo
    from ner_elmo.tagger.tagger import Tagger
    from ner_elmo.text.files import read_lines
    from ner_elmo.text.formats.writers import write_jsonl
    from ner_elmo.text.tokenizer import sentence_forms

    torch.set_num_threads(1)
    lines = list(islice(read_lines(arguments.text), 100_000))
    n_bytes = sum(len(line.encode()) + 1 for line in lines)
    sentences = [line.split() for line in lines if line.strip()]
    n_tokens = sum(map(len, sentences))
    rates: dict[str, float] = {"bytes_per_token": n_bytes / n_tokens}
    rates["read"] = n_tokens / seconds(lambda: sum(1 for _ in islice(read_lines(arguments.text), 100_000)))
    rates["tokenize"] = n_tokens / seconds(lambda: [list(sentence_forms(line, "en-1")) for line in lines])
    rates["batches"] = n_tokens / seconds(lambda: sum(1 for _ in training_batches(lambda: iter(sentences), 8192, 1, 0)))
    some = lines[: arguments.sentences]
    n_some = sum(len(line.split()) for line in some)
    for name, model in (("tag", arguments.model), ("tag_small", arguments.small)):
        if model is None:
            continue
        tagger = Tagger.load(model)
        list(tagger.tag(some[:50]))
        rates[name] = n_some / seconds(lambda t=tagger: list(t.tag(some)))
        documents = list(tagger.tag(some))
        packed = pickle.dumps(documents, 5)
        rates["unpack"] = n_some / seconds(lambda p=packed: pickle.loads(p))
        with tempfile.TemporaryFile("w+") as stream:
            rates["write"] = n_some / seconds(lambda d=documents, s=stream: [write_jsonl(one, s) for one in d])
            rates["bytes_written_per_token"] = stream.tell() / n_some / REPEATS
    elmo = Elmo.load(arguments.model)
    rates["embed"] = n_some / seconds(lambda: sum(1 for _ in elmo.embed((line.split() for line in some), "mean")))
    rates["dim"] = elmo.dim
    rates["parameters"] = sum(parameter.numel() for parameter in parameters_of(arguments.model))
    rates["checkpoint_write"], rates["checkpoint_bytes"] = checkpoint(int(rates["parameters"]))
    arguments.output.write_text(json.dumps({name: round(value, 4) for name, value in rates.items()}, indent=1) + "\n")
    print(arguments.output.read_text(), end="")


def seconds(work: Callable[[], object]) -> float:
    """Of the processor, for some work; the least of some repetitions."""
    times = []
    for _ in range(REPEATS):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def parameters_of(model: Path) -> Iterable[Any]:
    """Those that are sent between machines at each step: of the biLM without its output layer."""
    from ner_elmo.bilm.model import BiLm
    from ner_elmo.bilm.options import parse_options

    return BiLm(parse_options(json.loads((model / "bilm" / "options.json").read_text(encoding="utf-8")))).parameters()


def checkpoint(n_parameters: int) -> tuple[float, float]:
    """Seconds of the clock for writing the network and Adam's two moments to disk, and the bytes."""
    import os

    import torch

    values = [torch.zeros(n_parameters) for _ in range(3)]
    with tempfile.NamedTemporaryFile(dir=".") as file:
        begun = time.monotonic()
        torch.save(values, file)
        file.flush()
        os.fsync(file.fileno())
        return time.monotonic() - begun, float(file.tell())


# ---- tagging --------------------------------------------------------------------------------------------------------


def tagging(measured: dict[str, float], assumed: Assumptions = Assumptions()) -> Iterator[str]:
    """The tables of tagging and embedding."""
    rows = []
    for name, size in (("100 GB", 1e11), ("1 TB", 1e12), ("10 TB", 1e13)):
        tokens = size / measured["bytes_per_token"]
        hours = {stage: tokens / measured[stage] / HOUR for stage in ("read", "tokenize", "tag", "tag_small", "write")}
        light = sum(hours[stage] for stage in ("read", "tokenize", "write"))
        rows.append(
            [
                name,
                f"{tokens / 1e9:,.0f}",
                f"{light:,.0f}",
                *(f"{hours[kind]:,.0f}" for kind in ("tag_small", "tag")),
                *(days((light + hours["tag"]) * HOUR / cores) for cores in (16, 256, 4096)),
                f"{(light + hours['tag']) * assumed.core_price:,.0f}",
            ]
        )
    head = ["text", "billion tokens", "core hours: read, tokenise, write", "tag without biLM", "tag with biLM"]
    yield table([*head, "16 cores", "256 cores", "4,096 cores", "dollars"], rows)

    driver = 1 / (1 / measured["read"] + 1 / measured["unpack"] + 1 / measured["write"])
    rows = []
    for kind, name in (("tag_small", "without biLM"), ("tag", "with biLM")):
        rate = 1 / (1 / measured["tokenize"] + 1 / measured[kind])
        bytes_out = measured["bytes_written_per_token"]
        disk = assumed.disk / (measured["bytes_per_token"] + bytes_out)
        rows.append([f"tag, {name}", f"{rate:,.0f}", f"{driver / rate:,.0f}", f"{disk / rate:,.0f}"])
    vectors = 4 * measured["dim"]
    disk = assumed.disk / (measured["bytes_per_token"] + vectors)
    rate = measured["embed"]
    rows.append(["embed, mean, float32", f"{rate:,.0f}", "–", f"{disk / rate:,.0f}"])
    head = ["job", "tokens/s of a core", "cores that one reader and writer feeds", "cores that one disk feeds"]
    yield table(head, rows)
    sizes = [
        [name, f"{size / measured['bytes_per_token'] * vectors / 1e12:,.0f}"]
        for name, size in (("100 GB", 1e11), ("1 TB", 1e12), ("10 TB", 1e13))
    ]
    yield table(["text", "TB of vectors (mean, float32)"], sizes)


# ---- pretraining ----------------------------------------------------------------------------------------------------


def pretraining(measured: dict[str, float], assumed: Assumptions = Assumptions()) -> str:
    """Ten passes over the one billion words, by nodes."""
    tokens = 10 * 0.83e9
    rows = []
    for nodes in (1, 8, 64):
        found = speed(nodes, measured, assumed)
        rows.append(
            [
                str(nodes),
                f"{nodes * assumed.gpus:,}",
                f"{found['compute'] * 1e3:,.0f}",
                f"{found['sum'] * 1e3:,.0f}",
                f"{found['read'] * 1e3:,.0f}",
                f"{found['rate'] / 1e6:,.2f}",
                days(tokens / found["rate"]),
                f"{found['rate'] / (nodes * assumed.gpus * assumed.gpu_rate):.0%}",
                f"{tokens / found['rate'] / HOUR * nodes * assumed.gpus * assumed.gpu_price:,.0f}",
            ]
        )
    head = ["nodes", "GPUs", "ms of a step: network", "sum of gradients", "batches", "million tokens/s", "time"]
    return table([*head, "of GPUs' own", "dollars"], rows)


def speed(nodes: int, measured: dict[str, float], assumed: Assumptions) -> dict[str, float]:
    """The seconds of a step's parts, and tokens a second of all.

    Every process goes through the batches of all (docs/pretraining.md), beside the network, so the slower of the two
    counts; the sum of gradients comes after the backward pass. It is a ring over the nodes.
    """
    gpus = nodes * assumed.gpus
    compute = assumed.batch / assumed.gpu_rate
    values = measured["parameters"] + assumed.rows * measured["dim"] / 2
    sent = 2 * (nodes - 1) / nodes * 4 * values / assumed.network if nodes > 1 else 0.0
    added = sent + 2 * assumed.latency * math.log2(gpus)
    read = gpus * assumed.batch / measured["batches"]
    step = max(compute + added, read)
    return {"compute": compute, "sum": added, "read": read, "rate": gpus * assumed.batch / step}


# ---- failures -------------------------------------------------------------------------------------------------------


def failures(measured: dict[str, float], assumed: Assumptions = Assumptions()) -> str:
    """What failures add to a training of a week, by how often checkpoints are written: 200 runs each, by chance."""
    write = measured["checkpoint_write"]
    rows = []
    for mtbf in assumed.mtbf:
        for nodes in (1, 8, 64):
            of_all = mtbf * HOUR / nodes
            cells = []
            for interval in (60.0, 600.0, 3600.0):
                runs = [
                    simulated(7 * DAY, of_all, interval, write, assumed.restart, random.Random(f"{mtbf}/{nodes}/{n}"))
                    for n in range(200)
                ]
                cells.append(f"+{sum(runs) / len(runs) / (7 * DAY) - 1:.1%}")
            best = math.sqrt(2 * write * of_all)
            rows.append([f"{mtbf:,.0f} h", str(nodes), f"{of_all / HOUR:,.1f} h", *cells, minutes(best)])
    head = ["a node fails every", "nodes", "one of them every", "checkpoint every minute", "10 minutes", "hour"]
    return table([*head, "best interval"], rows)


def simulated(work: float, mtbf: float, interval: float, write: float, restart: float, rng: random.Random) -> float:
    """Seconds until ``work`` seconds of training are done, if any failure ends all processes, and what was done since
    the newest checkpoint is done again."""
    clock = saved = 0.0
    next_failure = rng.expovariate(1 / mtbf)
    while saved < work:
        part = min(interval, work - saved)
        if clock + part + write <= next_failure:
            clock += part + write
            saved += part
        else:
            clock = next_failure + restart
            next_failure = clock + rng.expovariate(1 / mtbf)
    return clock


def table(head: list[str], rows: list[list[str]]) -> str:
    """In Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def days(seconds: float) -> str:
    """A time in the unit that fits it."""
    if seconds >= 3 * DAY:
        return f"{seconds / DAY:,.0f} days"
    return f"{seconds / HOUR:,.1f} h" if seconds >= 2 * HOUR else minutes(seconds)


def minutes(seconds: float) -> str:
    return f"{seconds / 60:,.0f} min" if seconds >= 120 else f"{seconds:,.0f} s"


if __name__ == "__main__":
    main()
