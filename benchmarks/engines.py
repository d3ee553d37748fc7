"""Tagging by engines beside plain ``tag --processes``, on the same machine and the same sentences, in turns.

    python benchmarks/engines.py TEXT -m MODEL --sentences 1000000 -o FOLDER

TEXT has a sentence on each line. It is dealt to files of JSONL in FOLDER, and each way goes through all of them with
``--workers`` workers of one thread: ``plain`` (``tag --processes``), ``ray`` (``tag --engine ray``), ``ray-data``
(``tag_dataset``), ``spark`` (``tag_frame``). Each is also run on a few sentences alone (``--start-sentences``), which
shows what its start and its end take. For each way a line of JSON is printed, and added to ``FOLDER/results.jsonl``:

* ``wall_seconds`` from the start of the command to its end, ``tokens_per_second`` of them (tokens: what blanks part);
* ``cpu_seconds`` of processors, user and system, of all its processes, the engine's own (raylet, JVM) among them; other
  load on the machine disturbs them far less than the clock, ``parts`` by what they are called;
* ``start_cpu_seconds``, the same of the run on a few sentences, and ``tokens_per_cpu_second`` with and
  ``steady_tokens_per_cpu_second`` without them; ``of_plain`` and ``steady_of_plain``: these beside those of ``plain``;
* ``worker_mb``: memory of its own (without what it shares) of the largest Python process, at ten moments;
  ``flat``: the highest in the last third of the time beside that in the middle third; ``total_mb``: of all processes
  at most;
* ``results``: whether they are those of ``plain``: the files' bytes, or texts, entities and scores row by row.

With ``--ways`` without ``plain``, the last run of it in FOLDER with as many sentences is what others are held to.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import lzma
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

HERE = Path(__file__).resolve()
WAYS = ("plain", "ray", "ray-data", "spark")
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
FILES = 16
RESULTS = "results.jsonl"
LOOK_EVERY = 0.2  # seconds
TAGS_AFTER = 2.0  # seconds of a processor, after which a Python process is one that tags, or hands out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, help="a sentence on each line, plain, .gz or .xz")
    parser.add_argument("-m", "--model", required=True, help="tagger directory or name")
    parser.add_argument("--sentences", type=int, default=1_000_000)
    parser.add_argument("--start-sentences", type=int, default=320, help="of the run that shows the start")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ways", default=",".join(WAYS), help="which, with commas")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the files")
    parser.add_argument("--worker", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--target", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        WORKERS[arguments.worker](arguments)
        return
    folder = arguments.output
    deal(arguments.text, folder / "in-start", arguments.start_sentences)
    size = deal(arguments.text, folder / "in", arguments.sentences)
    print(
        f"{size['sentences']:,} sentences of {size['tokens']:,} tokens, {arguments.workers} workers, "
        f"model {Path(arguments.model).name}",
        flush=True,
    )
    done = []
    for _ in range(arguments.rounds):
        for way in arguments.ways.split(","):
            done.append(one_way(arguments, way, size))
            print(json.dumps(done[-1], ensure_ascii=False), flush=True)
            with (folder / RESULTS).open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(done[-1], ensure_ascii=False) + "\n")
    print(table(done))


def one_way(arguments: argparse.Namespace, way: str, size: dict[str, int]) -> dict[str, Any]:
    """Run one way on a few sentences and on all, and hold its results to those of ``plain``."""
    folder = arguments.output
    command = [sys.executable, str(HERE), *sys.argv[1:], "--worker", way]
    start = measured(command, folder / "in-start", folder / f"{way}-start")
    run = measured(command, folder / "in", folder / way)
    n_start = json.loads((folder / "in-start" / ".size").read_text())["tokens"]
    steady = (size["tokens"] - n_start) / max(0.01, run["cpu_seconds"] - start["cpu_seconds"])
    facts = {
        "way": way,
        **size,
        "workers": arguments.workers,
        **run,
        "start_wall_seconds": start["wall_seconds"],
        "start_cpu_seconds": start["cpu_seconds"],
        "start_parts": start["parts"],
        "tokens_per_second": round(size["tokens"] / run["wall_seconds"]),
        "tokens_per_cpu_second": round(size["tokens"] / run["cpu_seconds"]),
        "steady_tokens_per_cpu_second": round(steady),
    }
    if way == "plain":
        return facts | {"of_plain": 1.0, "steady_of_plain": 1.0, "results": "–"}
    base = last_plain(folder / RESULTS, size["sentences"])
    for name in ("", "steady_"):
        if base is not None:
            speed = f"{name}tokens_per_cpu_second"
            facts[f"{name}of_plain"] = round(facts[speed] / base[speed], 3)
    return facts | {"results": compared(folder / "plain", folder / way, size["sentences"])}


def last_plain(results: Path, n_sentences: int) -> dict[str, Any] | None:
    """The last run of ``plain`` with so many sentences."""
    runs = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()] if results.exists() else []
    fitting = [run for run in runs if run["way"] == "plain" and run["sentences"] == n_sentences]
    return fitting[-1] if fitting else None


def table(runs: list[dict[str, Any]]) -> str:
    """The runs for docs/scale.md."""
    lines = [
        "\n| way | tokens/s | CPU s | of these to start | tokens/CPU s | of plain | without the start | of plain "
        "| MB of a worker, middle and last third | results |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for run in runs:
        cells = [
            run["way"],
            f"{run['tokens_per_second']:,}",
            f"{run['cpu_seconds']:,.0f}",
            f"{run['start_cpu_seconds']:,.1f}",
            f"{run['tokens_per_cpu_second']:,}",
            str(run.get("of_plain", "–")),
            f"{run['steady_tokens_per_cpu_second']:,}",
            str(run.get("steady_of_plain", "–")),
            f"{run['flat']['middle']:,.0f}, {run['flat']['last']:,.0f}",
            run["results"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def deal(text: Path, folder: Path, n_sentences: int) -> dict[str, int]:
    """The first sentences of a text in files of JSONL, each with its number; how many sentences and tokens."""
    mark = folder / ".size"
    if mark.is_file() and (size := json.loads(mark.read_text()))["sentences"] == n_sentences:
        return dict(size)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    streams = [(folder / f"{number:02}.jsonl").open("w", encoding="utf-8") for number in range(FILES)]
    size_of_file = -(-n_sentences // FILES)
    n_done = n_tokens = 0
    with opened(text) as lines:
        for line in lines:
            if n_done == n_sentences:
                break
            if line.strip():
                streams[n_done // size_of_file].write(json.dumps({"id": n_done, "text": line.rstrip("\n")}) + "\n")
                n_done += 1
                n_tokens += len(line.split())
    for stream in streams:
        stream.close()
    size = {"sentences": n_done, "tokens": n_tokens}
    mark.write_text(json.dumps(size))
    return size


def opened(text: Path) -> IO[str]:
    if text.suffix == ".gz":
        return gzip.open(text, "rt", encoding="utf-8")
    return lzma.open(text, "rt", encoding="utf-8") if text.suffix == ".xz" else text.open(encoding="utf-8")


def measured(command: list[str], source: Path, target: Path) -> dict[str, Any]:
    """Run a command; seconds by the clock and of processors, and memory."""
    shutil.rmtree(target, ignore_errors=True)
    started = time.monotonic()
    command = [*command, "--source", str(source), "--target", str(target)]
    # Ray gives its workers a nice of 15, with which they would wait for whatever else runs here.
    environment = os.environ | {"RAY_worker_niceness": "0"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        watch = Watch(process.pid)
        watch.start()
        _, err = process.communicate()
        wall = time.monotonic() - started
        watch.end()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: ended with status {process.returncode}\n{err[-3000:]}")
    return {"wall_seconds": round(wall, 2), **watch.facts(wall)}


class Watch(threading.Thread):
    """Looks at a process and all below it, time and again; one that was below it once is known for good."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._ours: dict[tuple[int, int], dict[str, Any]] = {}  # by number and when it began, as last seen
        self._ended = threading.Event()
        self._began = time.monotonic()
        self._sizes: list[tuple[float, float, float]] = []  # seconds; megabytes of the largest worker, and of all

    def run(self) -> None:
        while not self._ended.wait(LOOK_EVERY):
            self._look()

    def _look(self) -> None:
        found = dict(processes())
        below = {self._pid} | {pid for pid, began in self._ours if pid in found and found[pid]["began"] == began}
        while more := {pid for pid, values in found.items() if values["parent"] in below} - below:
            below |= more
        largest = total = 0.0
        for pid in below & set(found):
            values = found[pid]
            self._ours[pid, values["began"]] = values
            total += values["own"]
            if values["is_python"] and values["seconds"] > TAGS_AFTER:
                largest = max(largest, values["own"])
        self._sizes.append((time.monotonic() - self._began, largest, total))

    def facts(self, wall: float) -> dict[str, Any]:
        """What was seen: seconds of processors, and megabytes."""
        parts: dict[str, float] = {}
        for values in self._ours.values():
            parts[values["name"]] = round(parts.get(values["name"], 0) + values["seconds"], 2)
        most = sorted(parts.items(), key=lambda item: -item[1])[:8]
        thirds = [
            max((size for when, size, _ in self._sizes if begin * wall <= when < end * wall), default=0.0)
            for begin, end in ((1 / 3, 2 / 3), (2 / 3, 1))
        ]
        moments = [self._sizes[i * (len(self._sizes) - 1) // 10][1] for i in range(1, 11)] if self._sizes else []
        return {
            "cpu_seconds": round(sum(values["seconds"] for values in self._ours.values()), 2),
            "parts": dict(most),
            "worker_mb": [round(size) for size in moments],
            "flat": {"middle": round(thirds[0]), "last": round(thirds[1])},
            "total_mb": round(max((total for _, _, total in self._sizes), default=0.0)),
        }

    def end(self) -> None:
        self._ended.set()
        self.join()


def processes() -> Iterator[tuple[int, dict[str, Any]]]:
    """Every process with its parent, when it began, how long it worked, and its memory without what it shares."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            name, _, rest = (folder / "stat").read_text().rpartition(")")
            sizes = (folder / "statm").read_text().split()
        except OSError:
            continue
        fields, name = rest.split(), name.partition("(")[2]
        yield (
            int(folder.name),
            {
                "name": name,
                "is_python": name.startswith(("python", "ray::", "ray_", "pt_")),
                "parent": int(fields[1]),
                "seconds": (int(fields[11]) + int(fields[12])) / TICKS,
                "began": int(fields[19]),
                "own": (int(sizes[1]) - int(sizes[2])) * PAGE / 1e6,
            },
        )


def plain(arguments: argparse.Namespace) -> None:
    tag(arguments, ["--processes", str(arguments.workers)])


def ray(arguments: argparse.Namespace) -> None:
    tag(arguments, ["--engine", "ray", "--workers", str(arguments.workers)])


def tag(arguments: argparse.Namespace, flags: list[str]) -> None:
    from ner_elmo.cli.main import main

    to = ["-m", arguments.model, "-f", "jsonl", "-o", f"{arguments.target}/", "--from", "jsonl", *flags]
    raise SystemExit(main(["tag", str(arguments.source), *to]))


def ray_data(arguments: argparse.Namespace) -> None:
    import ray as engine

    from ner_elmo.engines.ray import tag_dataset

    # Readers and writers need a little of a processor, too.
    engine.init("local", num_cpus=arguments.workers + 1, include_dashboard=False, logging_level="ERROR")
    engine.data.DataContext.get_current().enable_progress_bars = False
    data = engine.data.read_json(str(arguments.source), override_num_blocks=FILES)
    tagged = tag_dataset(data, str(Path(arguments.model).resolve()), concurrency=arguments.workers)
    tagged.write_json(str(arguments.target))


def spark(arguments: argparse.Namespace) -> None:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    from ner_elmo.engines.spark import tag_frame

    builder = SparkSession.builder.master(f"local[{arguments.workers}]").config("spark.ui.enabled", "false")
    session = builder.config("spark.driver.memory", "1g").getOrCreate()
    frame = session.read.schema("id bigint, text string").json(str(arguments.source))
    tag_frame(frame, str(Path(arguments.model).resolve())).write.json(str(arguments.target))
    session.stop()


WORKERS = {"plain": plain, "ray": ray, "ray-data": ray_data, "spark": spark}


def compared(one: Path, other: Path, n_rows: int) -> str:
    """In words: whether two folders hold the same files, or the same rows."""
    names = [sorted(file.name for file in folder.glob("[!._]*.jsonl")) for folder in (one, other)]
    if names[0] == names[1]:
        same = sum((one / name).read_bytes() == (other / name).read_bytes() for name in names[0])
        return f"{same} of {len(names[0])} files the same to the bit"
    wanted, found = rows_of(one, n_rows), rows_of(other, n_rows)
    n_found = int(np.count_nonzero(found[:, 0]))
    spans, whole = ((wanted[:, kind] == found[:, kind]).sum() for kind in (0, 1))
    return f"{n_found:,} rows; texts and entities of {spans:,} the same, with all four decimals of scores {whole:,}"


def rows_of(folder: Path, n_rows: int) -> np.ndarray:
    """Of each row, by its number, check sums of its text and entities, without and with their scores; 0: not there.

    Raises:
        SystemExit: a row is there twice.
    """
    rows = np.zeros((n_rows, 2), np.uint64)
    for file in sorted(folder.rglob("[!._]*.json*")):
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                if rows[row["id"], 0]:
                    raise SystemExit(f"{file}: row {row['id']} is there twice")
                entities = [(e["start"], e["end"], e["label"], e["text"]) for e in row["entities"]]
                scores = [e["score"] for e in row["entities"]]
                rows[row["id"]] = digest((row["text"], entities)), digest((row["text"], entities, scores))
    return rows


def digest(value: Any) -> int:
    return int.from_bytes(hashlib.blake2b(repr(value).encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


if __name__ == "__main__":
    main()
