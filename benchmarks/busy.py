"""Beside other work: does speed fall as the share of the cores falls that is left?

    PYTHONPATH=. python benchmarks/busy.py TEXT [-m en] [--burners 2] [--json benchmarks/results/busy.json]

TEXT has a sentence on each line. ``tag`` with one and two threads and with two processes, and calls of
:meth:`ner_elmo.Elmo.embed` and :meth:`ner_elmo.Tagger.tag_tokens` with one sentence of 20 tokens, in turns: all of them
alone, then all beside ``stress-ng --cpu 2`` (https://github.com/ColinIanKing/stress-ng; ``apt-get install stress-ng``),
and so on. A ratio is the median over the turns of the speed beside the burner to the speed alone. With it stands the
share that a fair scheduler leaves: of c cores, n threads beside b burners have n c / (n + b), one each at most, where
they had min(n, c). Wants a machine without other work; takes two minutes. The start is not counted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.worker import Worker
from ner_elmo.text.files import read_lines

SCRIPT = Path(__file__).parent / "busy_worker.py"
TURNS = 5
CALL_TOKENS = 20
TAGGING = {  # name: threads, processes
    "tag, 1 thread": (1, 1),
    "tag, 2 threads": (2, 1),
    "tag, 2 processes": (1, 2),
}
CALLS = {"Tagger.tag_tokens": "tag", "Elmo.embed": "embed"}  # of one sentence


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("-m", "--model", default="en")
    parser.add_argument("--burners", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=15_000, help="tagged in a turn")
    parser.add_argument("--calls", type=int, default=60, help="with one sentence, in a turn")
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if shutil.which("stress-ng") is None:
        raise SystemExit("stress-ng: not found; expected it on the path (apt-get install stress-ng)")
    found = measure(arguments)
    show(found)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    texts, sentences = some_text(arguments.text, arguments.tokens, arguments.calls)
    with contextlib.ExitStack() as stack:
        workers = {
            threads: stack.enter_context(Worker(sys.executable, SCRIPT, threads, model=arguments.model))
            for threads in (1, 2)
        }
        one_turn(workers[1], workers[2], texts[:20], sentences[:5])  # to warm up
        alone, beside = [], []
        for _ in range(arguments.turns):
            alone.append(one_turn(workers[1], workers[2], texts, sentences))
            with burner(arguments.burners):
                beside.append(one_turn(workers[1], workers[2], texts, sentences))
    rows = {name: summary([turn[name] for turn in alone], [turn[name] for turn in beside]) for name in alone[0]}
    cores = len(os.sched_getaffinity(0))
    for name, row in rows.items():
        row["share_left"] = round(share_left(workers_of(name), arguments.burners, cores), 3)
    return {"cores": cores, "burners": arguments.burners, "turns": arguments.turns, "rows": rows}


def some_text(path: Path, n_tokens: int, n_calls: int) -> tuple[list[str], list[list[str]]]:
    """Lines with so many tokens, and sentences of ``CALL_TOKENS``, none twice."""
    lines: list[str] = []
    sentences: list[list[str]] = []
    held = 0
    for line in read_lines(path):
        tokens = line.split()
        if held < n_tokens:
            lines.append(line)
            held += len(tokens)
        elif len(tokens) >= CALL_TOKENS:
            sentences.append(tokens[:CALL_TOKENS])
        if len(sentences) == n_calls:
            break
    return lines, sentences


def one_turn(one: Worker, two: Worker, texts: list[str], sentences: list[list[str]]) -> dict[str, dict[str, float]]:
    """Each way once: work done a second, and the milliseconds of the calls."""
    found: dict[str, dict[str, float]] = {}
    for name, (threads, processes) in TAGGING.items():
        answer = (one if threads == 1 else two).ask("tag", texts=texts, processes=processes)
        found[name] = {"rate": answer["tokens"] / answer["seconds"]}
    for name, kind in CALLS.items():
        for threads, worker in ((1, one), (2, two)):
            times = worker.ask("calls", kind=kind, sentences=sentences)["milliseconds"]
            found[f"{name}, {threads} thread{'s' * (threads > 1)}"] = {
                "rate": 1000 * len(times) / sum(times),
                "p50_ms": statistics.median(times),
                "p99_ms": statistics.quantiles(times, n=100, method="inclusive")[-1],
            }
    return found


@contextlib.contextmanager
def burner(n: int) -> Iterator[None]:
    """``stress-ng --cpu n`` for a while."""
    process = subprocess.Popen(["stress-ng", "--quiet", "--cpu", str(n)], stdout=subprocess.DEVNULL)
    try:
        time.sleep(1)  # until it burns
        yield
    finally:
        process.terminate()
        process.wait()


def workers_of(name: str) -> int:
    """Threads that compute at once."""
    return 2 if "2" in name else 1


def share_left(n: int, burners: int, cores: int) -> float:
    """What a fair scheduler leaves of the speed of ``n`` threads beside so many burners."""
    return min(n, cores * n / (n + burners)) / min(n, cores)


def summary(alone: list[dict[str, float]], beside: list[dict[str, float]]) -> dict[str, float]:
    """Medians over the turns; a ratio is of neighbours."""
    ratios = [b["rate"] / a["rate"] for a, b in zip(alone, beside, strict=True)]
    row = {"ratio": round(statistics.median(ratios), 3), "least": round(min(ratios), 3), "most": round(max(ratios), 3)}
    for key in alone[0]:
        for when, turns in (("alone", alone), ("beside", beside)):
            row[f"{key}_{when}"] = round(statistics.median(turn[key] for turn in turns), 2)
    return row


def show(found: dict[str, Any]) -> None:
    print("| | alone | beside the burner | ratio (from, to) | fair share | p50, p99 ms alone | beside |")
    print("|---|---|---|---|---|---|---|")
    for name, row in found["rows"].items():
        unit = "tokens/s" if name in TAGGING else "calls/s"
        times = [
            f"{row[f'p50_ms_{when}']:.1f}, {row[f'p99_ms_{when}']:.1f}" if "p50_ms_alone" in row else ""
            for when in ("alone", "beside")
        ]
        print(
            f"| {name} | {row['rate_alone']:,.0f} {unit} | {row['rate_beside']:,.0f} | {row['ratio']:.2f} "
            f"({row['least']:.2f}, {row['most']:.2f}) | {row['share_left']:.2f} | {times[0]} | {times[1]} |"
        )


if __name__ == "__main__":
    main()
