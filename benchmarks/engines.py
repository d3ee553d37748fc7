"""Tagging by engines beside plain ``tag --processes``, on the same machine and the same sentences, in turns.

    python benchmarks/engines.py TEXT -m MODEL --sentences 1000000 -o FOLDER

TEXT has a sentence on each line. It is dealt to files of JSONL in FOLDER, and each way goes through all of them with
``--workers`` workers of one thread: ``plain`` (``tag --processes``), ``ray`` (``tag --engine ray``), ``ray-data``
(``tag_dataset``), ``spark`` (``tag_frame``). Printed are, for each way, the median over the rounds of

* sentences a second by the clock, from the start of the command to its end,
* sentences for each second that a processor worked for it: all processes, their starts and the engine's own among them,
  which other load on the machine disturbs far less than the clock,
* the memory of its largest process that tags, at the end of the first third and at most after it,

and whether its results are those of ``plain``: the files' bytes, or entities and scores row by row.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
WAYS = ("plain", "ray", "ray-data", "spark")
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
FILES = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, help="a sentence on each line, plain or .gz")
    parser.add_argument("-m", "--model", required=True, help="tagger directory or name")
    parser.add_argument("--sentences", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ways", default=",".join(WAYS), help="which, with commas")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the files")
    parser.add_argument("--worker", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        WORKERS[arguments.worker](arguments)
        return
    source = arguments.output / "in"
    n_sentences = deal(arguments.text, source, arguments.sentences)
    print(f"{n_sentences:,} sentences, {arguments.workers} workers, model {Path(arguments.model).name}", flush=True)
    ways = arguments.ways.split(",")
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    same: dict[str, str] = {}
    for _ in range(arguments.rounds):
        for way in ways:
            shutil.rmtree(arguments.output / way, ignore_errors=True)
            runs[way].append(measured([sys.executable, str(HERE), *sys.argv[1:], "--worker", way]))
            same[way] = "–" if way == ways[0] else compared(arguments.output / ways[0], arguments.output / way)
            figures = {key: round(value, 1) for key, value in runs[way][-1].items()}
            print(f"  {way}: {json.dumps(figures)} {same[way]}", flush=True)
    print("\n| way | sentences/s | sentences/CPU s | of the first | MB after a third | MB at most after | results |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for way in ways:
        wall, cpu, early, late = (
            statistics.median(run[key] for run in runs[way]) for key in ("wall", "cpu", "early", "late")
        )
        base = statistics.median(run["cpu"] for run in runs[ways[0]])
        cells = [f"{n_sentences / wall:,.0f}", f"{n_sentences / cpu:,.0f}", f"{base / cpu:.2f}", f"{early:,.0f}"]
        print(f"| {way} | {' | '.join(cells)} | {late:,.0f} | {same[way]} |")


def deal(text: Path, folder: Path, n_sentences: int) -> int:
    """The first sentences of a text in files of JSONL, each with its number; how many there are."""
    mark = folder / ".sentences"
    if mark.is_file() and mark.read_text() == str(n_sentences):
        return n_sentences
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    streams = [(folder / f"{number:02}.jsonl").open("w", encoding="utf-8") for number in range(FILES)]
    size = -(-n_sentences // FILES)
    n_done = 0
    with gzip.open(text, "rt", encoding="utf-8") if text.suffix == ".gz" else text.open(encoding="utf-8") as lines:
        for line in lines:
            if n_done == n_sentences:
                break
            if line.strip():
                streams[n_done // size].write(json.dumps({"id": n_done, "text": line.rstrip("\n")}) + "\n")
                n_done += 1
    for stream in streams:
        stream.close()
    mark.write_text(str(n_done))
    return n_done


def measured(command: list[str]) -> dict[str, float]:
    """Run a command; seconds by the clock and of processors, and the memory of its largest Python process."""
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        watch = Watch(process.pid)
        watch.start()
        _, err = process.communicate()
        wall = time.monotonic() - started
        watch.end()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: ended with status {process.returncode}\n{err[-3000:]}")
    third = wall / 3
    early = [size for when, size in watch.sizes if when <= third]
    late = [size for when, size in watch.sizes if when > third]
    return {"wall": wall, "cpu": watch.seconds(), "early": early[-1], "late": max(late)}


class Watch(threading.Thread):
    """Looks at a process and all below it, time and again."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._ticks: dict[tuple[int, int], int] = {}  # of each process, known by its number and when it began
        self._ended = threading.Event()
        self._began = time.monotonic()
        self.sizes: list[tuple[float, float]] = []  # seconds, megabytes

    def run(self) -> None:
        while not self._ended.wait(0.25):
            self._look()

    def _look(self) -> None:
        found = dict(processes())
        below = {self._pid}
        while more := {pid for pid, values in found.items() if values["parent"] in below} - below:
            below |= more
        largest = 0.0
        for pid in below & set(found):
            values = found[pid]
            self._ticks[pid, values["began"]] = values["ticks"]
            if values["name"] != "java" and values["ticks"] > TICKS:
                largest = max(largest, values["pages"] * PAGE / 1e6)
        self.sizes.append((time.monotonic() - self._began, largest))

    def seconds(self) -> float:
        """Of processors, in all."""
        return sum(self._ticks.values()) / TICKS

    def end(self) -> None:
        self._ended.set()
        self.join()


def processes() -> Iterator[tuple[int, dict[str, Any]]]:
    """Every process with its parent, when it began, how long it worked, and its memory."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                name, _, rest = (folder / "stat").read_text().rpartition(")")
            except OSError:
                continue
            fields = rest.split()
            yield (
                int(folder.name),
                {
                    "name": name.partition("(")[2],
                    "parent": int(fields[1]),
                    "ticks": int(fields[11]) + int(fields[12]),
                    "began": int(fields[19]),
                    "pages": int(fields[21]),
                },
            )


def plain(arguments: argparse.Namespace) -> None:
    tag(arguments, "plain", ["--processes", str(arguments.workers)])


def ray(arguments: argparse.Namespace) -> None:
    tag(arguments, "ray", ["--engine", "ray", "--workers", str(arguments.workers)])


def tag(arguments: argparse.Namespace, way: str, flags: list[str]) -> None:
    from ner_elmo.cli.main import main

    to = ["-m", arguments.model, "-f", "jsonl", "-o", f"{arguments.output / way}/", "--from", "jsonl", *flags]
    raise SystemExit(main(["tag", str(arguments.output / "in"), *to]))


def ray_data(arguments: argparse.Namespace) -> None:
    import ray as engine

    from ner_elmo.engines.ray import tag_dataset

    # Readers and writers need a little of a processor, too.
    engine.init(num_cpus=arguments.workers + 1, include_dashboard=False, logging_level="ERROR")
    data = engine.data.read_json(str(arguments.output / "in"), override_num_blocks=FILES)
    tagged = tag_dataset(data, str(Path(arguments.model).resolve()), concurrency=arguments.workers)
    tagged.write_json(str(arguments.output / "ray-data"))


def spark(arguments: argparse.Namespace) -> None:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    from ner_elmo.engines.spark import tag_frame

    builder = SparkSession.builder.master(f"local[{arguments.workers}]").config("spark.ui.enabled", "false")
    session = builder.config("spark.driver.memory", "1g").getOrCreate()
    frame = session.read.schema("id bigint, text string").json(str(arguments.output / "in"))
    tag_frame(frame, str(Path(arguments.model).resolve())).write.json(str(arguments.output / "spark"))
    session.stop()


WORKERS = {"plain": plain, "ray": ray, "ray-data": ray_data, "spark": spark}


def compared(one: Path, other: Path) -> str:
    """In words: whether two folders hold the same files, or the same rows."""
    names = [sorted(file.name for file in folder.glob("[!._]*.jsonl")) for folder in (one, other)]
    if names[0] == names[1]:
        same = sum((one / name).read_bytes() == (other / name).read_bytes() for name in names[0])
        return f"{same} of {len(names[0])} files the same to the bit"
    rows = [rows_of(folder) for folder in (one, other)]
    spans = sum(rows[1].get(number, ("", ""))[0] == row[0] for number, row in rows[0].items())
    whole = sum(rows[1].get(number, ("", ""))[1] == row[1] for number, row in rows[0].items())
    n_other = len(rows[1])
    return f"{n_other:,} rows; entities of {spans:,} the same, with all four decimals of scores {whole:,}"


def rows_of(folder: Path) -> dict[int, tuple[bytes, bytes]]:
    """Of each row, by its number, check sums of its entities, without and with their scores.

    Raises:
        SystemExit: a row is there twice.
    """
    rows: dict[int, tuple[bytes, bytes]] = {}
    for file in sorted(folder.rglob("[!._]*.json*")):
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                if row["id"] in rows:
                    raise SystemExit(f"{file}: row {row['id']} is there twice")
                entities = [(e["start"], e["end"], e["label"], e["text"]) for e in row["entities"]]
                scores = [e["score"] for e in row["entities"]]
                rows[row["id"]] = (digest(entities), digest((entities, scores)))
    return rows


def digest(value: Any) -> bytes:
    return hashlib.blake2b(repr(value).encode("utf-8", "surrogatepass"), digest_size=8).digest()


if __name__ == "__main__":
    main()
