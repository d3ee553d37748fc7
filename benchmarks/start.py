"""How long a start takes: the first answer of ``tag``, ``--help``, and what each has below it (Python, numpy, torch).

    python benchmarks/start.py [-n 5]

Prints the median of processor seconds (user and system), which other programs on the machine change less than the time
on the wall, and of the latter; the runs of the different programs take turns.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TEXT = "Angela Merkel visited Siemens in Munich.\n"
PROGRAMS = {
    "python -c pass": ["-c", "pass"],
    "import ner_elmo": ["-c", "import ner_elmo"],
    "import numpy": ["-c", "import numpy"],
    "import torch": ["-c", "import torch"],
    "ner-elmo --help": ["-m", "ner_elmo", "--help"],
    "ner-elmo tag --help": ["-m", "ner_elmo", "tag", "--help"],
    "echo … | ner-elmo tag -": ["-m", "ner_elmo", "tag", "-"],
}


def seconds_of(arguments: list[str]) -> tuple[float, float]:
    """Processor seconds and seconds on the wall of one run."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    paths = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
    subprocess.run(
        [sys.executable, *arguments],
        input=TEXT,
        text=True,
        capture_output=True,
        check=True,
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": paths},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, time.perf_counter() - begun


def main() -> None:
    """Run every program in turn and print the medians."""
    parser = argparse.ArgumentParser(description="How long a start takes.")
    parser.add_argument("-n", type=int, default=5, help="runs of each [default: 5]")
    n = parser.parse_args().n
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in PROGRAMS}
    for number in range(n + 1):
        for name, arguments in PROGRAMS.items():
            seconds = seconds_of(arguments)
            if number:  # the first only fills the system's cache of files
                runs[name].append(seconds)
    print(f"medians of {n} runs on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'':28}{'processor s':>12}{'wall s':>10}")
    for name, seconds_of_runs in runs.items():
        used, wall = (statistics.median(column) for column in zip(*seconds_of_runs, strict=True))
        print(f"{name:28}{used:12.2f}{wall:10.2f}")


if __name__ == "__main__":
    main()
