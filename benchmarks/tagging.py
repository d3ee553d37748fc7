"""Tokens per second of tagging raw text, beside spaCy's CPU pipeline for entities, in one run.

    python benchmarks/tagging.py TEXT --train CONLL [-m en] [--lines 4000] [--json FILE]

TEXT has a sentence or document a line; spaCy's pipeline (its defaults for a CPU, entities alone) learns a little from
CONLL, since its speed does not depend on how well it knows them. Every side has two processes of one thread (``ner-elmo
tag --processes 2`` and ``n_process=2`` do so, too), and one process, which in our case has two threads. The sides take
turns on the same lines, so that what else the machine does meets all; a ratio is the median over the turns. The start,
and a first pass over other lines, are not counted. By default ``tag`` has a process for each core where files are of
more than 1 MB, and spaCy has one: that ratio has a column of its own. Then the stages, by processor time; single
sentences of 20 tokens; and the machine's rate for products of large matrices.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from worker import Worker

from ner_elmo.text.files import read_lines

SCRIPT = Path(__file__).parent / "tag_worker.py"
PRECISIONS = ("auto", "fp32", "bf16", "int8", "int8-compiled")
IN_DETAIL = ("auto", "fp32", "int8-compiled")  # with one process, too, stage by stage, and sentence by sentence
TURNS = 5
CALLS = 200
CALL_TOKENS = 20


def spacy_pipeline(conll: Path, folder: Path, n_sentences: int = 3000) -> Path:
    """spaCy's small CPU pipeline, one pass over some sentences."""
    import spacy
    from spacy.training import Example

    from ner_elmo.library.data import read_corpus

    nlp = spacy.blank("en")
    nlp.add_pipe("ner")
    examples = []
    for sentence in read_corpus(conll).sentences[:n_sentences]:
        document = nlp.make_doc(" ".join(sentence.tokens))
        starts, offset = [], 0
        for token in sentence.tokens:
            starts.append((offset, offset + len(token)))
            offset += len(token) + 1
        entities = [(starts[span.start][0], starts[span.end - 1][1], span.label) for span in sentence.spans]
        fitting = [e for e in entities if document.char_span(*e[:2]) is not None]
        examples.append(Example.from_dict(document, {"entities": fitting}))
    optimizer = nlp.initialize(lambda: examples)
    order = random.Random(0)
    order.shuffle(examples)
    for start in range(0, len(examples), 32):
        nlp.update(examples[start : start + 32], sgd=optimizer, drop=0.1)
    nlp.to_disk(folder)
    return folder


class Side:
    """Some workers that share what is to be done."""

    def __init__(self, stack: contextlib.ExitStack, n_workers: int, threads: int, **arguments: Any) -> None:
        self.workers = [
            stack.enter_context(Worker(sys.executable, SCRIPT, threads, **arguments)) for _ in range(n_workers)
        ]
        self.refused = self.workers[0].facts.get("refused")

    def tag(self, texts: Sequence[str]) -> dict[str, float]:
        """Each worker has every so-manieth text; the seconds are those of the slowest."""
        shares = [texts[number :: len(self.workers)] for number in range(len(self.workers))]
        with ThreadPoolExecutor(len(self.workers)) as pool:
            asked = [pool.submit(w.ask, "do", name="tag", texts=s) for w, s in zip(self.workers, shares, strict=True)]
            answers = [one.result() for one in asked]
        tokens, seconds = sum(a["tokens"] for a in answers), max(a["seconds"] for a in answers)
        cpu = sum(a["cpu"] for a in answers)
        return {"rate": tokens / seconds, "rate_of_cpu": tokens / cpu, "entities": sum(a["entities"] for a in answers)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--train", type=Path, required=True, help="CoNLL file for spaCy")
    parser.add_argument("-m", "--model", default="en")
    parser.add_argument("--lines", type=int, default=4000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    lines = [line for line in read_lines(arguments.text) if line.strip()][: arguments.lines]
    warm_up, rest = lines[: len(lines) // (TURNS + 1)], lines[len(lines) // (TURNS + 1) :]
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        place = str(spacy_pipeline(arguments.train, Path(temporary) / "spacy"))
        spacy = {"kind": "spacy", "folder": place}
        sides = {"spaCy, 2 processes": Side(stack, 2, 1, **spacy), "spaCy, 1 process": Side(stack, 1, 2, **spacy)}
        for precision in PRECISIONS:
            ours = {"kind": "ours", "folder": arguments.model, "precision": precision}
            sides[f"{precision}, 2 processes"] = Side(stack, 2, 1, **ours)
            if precision in IN_DETAIL:
                sides[f"{precision}, 1 process, 2 threads"] = Side(stack, 1, 2, **ours)
        sides = {name: side for name, side in sides.items() if side.refused is None}
        for side in sides.values():
            side.tag(warm_up)
        turns = [{name: side.tag(rest[turn::TURNS]) for name, side in sides.items()} for turn in range(TURNS)]
        result: dict[str, Any] = {"rates": summary(turns)}
        detailed = [name for name in IN_DETAIL if f"{name}, 2 processes" in sides]
        one = {name: sides[f"{name}, 2 processes"].workers[0] for name in detailed}
        result["stages"] = {name: worker.ask("do", name="stages", texts=rest) for name, worker in one.items()}
        sentences = [" ".join(line.split()[:CALL_TOKENS]) for line in rest if len(line.split()) >= CALL_TOKENS][:CALLS]
        for name in detailed:
            worker = sides[f"{name}, 1 process, 2 threads"].workers[0]
            times = worker.ask("do", name="calls", texts=sentences)["milliseconds"]
            result.setdefault("calls", {})[name] = {
                "p50_ms": statistics.median(times),
                "p99_ms": statistics.quantiles(times, n=100)[-1],
            }
        result["flops"] = one["auto"].ask("do", name="gemm")
        result["peak_mb"] = {
            name: round(side.workers[0].ask("do", name="memory")["peak_bytes"] / 1e6) for name, side in sides.items()
        }
    show(result)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def summary(turns: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Of each side the median rates, and the median of its ratios to spaCy with as many processes."""
    rows = {}
    for name in turns[0]:
        beside = "spaCy, 1 process" if "1 process" in name else "spaCy, 2 processes"
        rows[name] = {
            "tokens_per_second": statistics.median(turn[name]["rate"] for turn in turns),
            "per_cpu_second": statistics.median(turn[name]["rate_of_cpu"] for turn in turns),
            "times_spacy": statistics.median(turn[name]["rate"] / turn[beside]["rate"] for turn in turns),
            "times_spacy_by_default": statistics.median(
                turn[name]["rate"] / turn["spaCy, 1 process"]["rate"] for turn in turns
            ),
            "times_spacy_by_cpu": statistics.median(
                turn[name]["rate_of_cpu"] / turn[beside]["rate_of_cpu"] for turn in turns
            ),
        }
    return rows


def show(result: dict[str, Any]) -> None:
    print("| | tokens/s | times spaCy | times spaCy with 1 process | tokens per CPU second | times spaCy | peak MB |")
    print("|---|---|---|---|---|---|---|")
    for name, row in result["rates"].items():
        print(
            f"| {name} | {row['tokens_per_second']:,.0f} | {row['times_spacy']:.2f} | "
            f"{row['times_spacy_by_default']:.2f} | {row['per_cpu_second']:,.0f} | "
            f"{row['times_spacy_by_cpu']:.2f} | {result['peak_mb'][name]:,} |"
        )
    for name, measured in result["stages"].items():
        shares = ", ".join(f"{stage} {100 * s / measured['cpu']:.0f} %" for stage, s in measured["stages"].items())
        print(f"stages, {name}: {shares}")
    for name, row in result["calls"].items():
        print(
            f"one sentence of {CALL_TOKENS} tokens a call, {name}: p50 {row['p50_ms']:.1f} ms, p99 {row['p99_ms']:.1f}"
        )
    rates = ", ".join(f"{name} {rate / 1e9:,.0f} GFLOP/s" for name, rate in result["flops"].items())
    print(f"products of large matrices, one thread: {rates}")


if __name__ == "__main__":
    main()
