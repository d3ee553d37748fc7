"""SIGKILL at random moments: what was finished stays, nothing is half written, and a second start ends as if
nothing had happened."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from ner_elmo.cli.main import main
from tests.support.command_line import SMALL
from tests.support.devices import one_thread
from tests.support.soak import cases, generator, tell
from tests.support.toy_pretraining import toy_text

pytestmark = pytest.mark.long

ONE = ["--threads", "1", "--device", "cpu"]


class Work:
    """A command, what it writes, and how to begin it again.

    Attributes:
        results: what it wrote, once it is done, to be compared.
    """

    def __init__(self, first: list[str], again: list[str], results: Callable[[], dict[str, bytes]]) -> None:
        self.first, self.again, self.results = first, again, results


def started(arguments: list[str], log: Path) -> int:
    """A fork of this process that runs the command, in a group of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12 on, where there are threads
        child = os.fork()
    if child:
        return child
    with contextlib.suppress(BaseException):
        os.setpgid(0, 0)
        with log.open("a") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
            sys.stdout = os.fdopen(1, "w", closefd=False)
            sys.stderr = os.fdopen(2, "w", closefd=False)
            status = main(arguments)
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
    os._exit(99)


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed(arguments: list[str], log: Path, after: float) -> bool:
    """Whether the command was ended by SIGKILL before its own end."""
    child = started(arguments, log)
    time.sleep(after)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    return ended(child) == -signal.SIGKILL


def contents(folder: Path, *names: str) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


def pretraining(place: Path, bilm: Path, trained: Path, toy: Path) -> Work:
    text = place / "text"
    text.write_text("".join(" ".join(sentence) + "\n" for sentence in toy_text(400, 1)))
    options = {
        "lstm": {"dim": 12, "projection_dim": 6, "n_layers": 1},
        "char_cnn": {"activation": "relu", "embedding": {"dim": 3}, "filters": [[1, 4], [2, 4]],
                     "max_characters_per_token": 8, "n_characters": 261, "n_highway": 1},
    }  # fmt: skip
    (place / "options.json").write_text(json.dumps(options))
    run = place / "run"
    flags = ["--options", str(place / "options.json"), "--epochs", "3", "--batch-tokens", "128", "--min-count", "1"]
    first = ["pretrain", str(text), "-o", str(run), *flags, "--checkpoint-steps", "4", "--precision", "fp32", *ONE]
    return Work(
        first,
        [
            "pretrain",
            str(text),
            "-o",
            str(run),
            *flags,
            "--checkpoint-steps",
            "4",
            "--precision",
            "fp32",
            "--resume",
            *ONE,
        ],
        lambda: contents(run / "bilm", "weights.hdf5", "softmax.hdf5", "vocab.txt"),
    )


def training(place: Path, bilm: Path, trained: Path, toy: Path) -> Work:
    run = place / "run"
    first = ["train-tagger", "--train", str(toy / "train"), "--dev", str(toy / "dev"), "--bilm", str(bilm)]
    first += ["-o", str(run), "--epochs", "3", "--precision", "fp32", "--no-cache", *SMALL]
    return Work(first, [*first, "--resume"], lambda: contents(run, "tagger.hdf5", "word_vectors.hdf5"))


def caching(place: Path, bilm: Path, trained: Path, toy: Path) -> Work:
    """The layers that are kept for other runs."""
    run, cache = place / "run", place / "cache"
    first = ["train-tagger", "--train", str(toy / "train"), "--dev", str(toy / "dev"), "--bilm", str(bilm)]
    first += ["-o", str(run), "--epochs", "1", "--precision", "fp32", "--cache", str(cache), *SMALL]

    def results() -> dict[str, bytes]:
        found = contents(run, "tagger.hdf5")
        for file in sorted(cache.glob("features-*.hdf5")):
            with h5py.File(file) as opened:
                found[file.name] = opened["features"][()].tobytes()
        return found

    return Work(first, [*first, "--resume"], results)


def saving(place: Path, bilm: Path, trained: Path, toy: Path) -> Work:
    """A model in another storage."""
    out = place / "out"
    first = ["convert", str(bilm), str(out), "--to", "float16"]
    return Work(first, [*first, "--force"], lambda: {file.name: file.read_bytes() for file in sorted(out.iterdir())})


def tagging(place: Path, bilm: Path, trained: Path, toy: Path) -> Work:
    texts, out = place / "texts", place / "out"
    texts.mkdir()
    for number in range(12):
        (texts / f"{number}.txt").write_text(f"Ann Smith sees Rome City {number} .\nBob visits Oslo .\n" * 20)
    first = ["tag", str(texts), "-m", str(trained), "-f", "jsonl", "-o", f"{out}/", "--resume", *ONE]
    # The list of what is done is no result: after a kill it has a line more.
    return Work(first, first, lambda: {file.name: file.read_bytes() for file in sorted(out.glob("[0-9]*.jsonl"))})


def converting(place: Path, bilm: Path, trained: Path, toy: Path) -> Work:
    source, out = place / "in.conll", place / "out.jsonl"
    source.write_text((toy / "train").read_text().rstrip() + "\n\n")
    source.write_text(source.read_text() * 40)
    first = ["convert", str(source), str(out), "--to", "jsonl"]
    return Work(first, [*first, "--force"], lambda: contents(place, "out.jsonl"))


def embedding(place: Path, bilm: Path, trained: Path, toy: Path) -> Work:
    source, out = place / "text", place / "out.hdf5"
    source.write_text("".join(f"Ann sees Rome {number} times .\n" for number in range(400)))
    first = ["embed", str(source), "--bilm", str(bilm), "-o", str(out), *ONE]
    return Work(first, [*first, "--force"], lambda: contents(place, "out.hdf5"))


def exploring(place: Path, bilm: Path, trained: Path, toy: Path) -> Work:
    """The index that explore keeps, of which parts that are finished stay."""
    source, index = place / "text", place / "index"
    source.write_text("".join(f"Ann sees Rome {number} times .\n" for number in range(400)))
    first = ["explore", "Ann [sees]", "--text", str(source), "--bilm", str(bilm), "--index", str(index), *ONE]

    def results() -> dict[str, bytes]:
        if not json.loads((index / "index.json").read_text())["finished"]:
            return {}  # what it holds is cut to what it says when it goes on
        return {file.name: file.read_bytes() for file in sorted(index.iterdir())}

    return Work(first, first, results)


WORKS = [pretraining, training, caching, saving, tagging, converting, embedding, exploring]


def is_whole(work: Work, expected: dict[str, bytes]) -> bool:
    """Whether all results are there; those that are there are the ones expected."""
    try:
        found = work.results()
    except (OSError, KeyError):
        return False
    for name, data in found.items():
        assert data == expected.get(name), f"{name}: half written, or another result"
    return found.keys() == expected.keys()


@pytest.mark.parametrize("make", WORKS)
def test_kills(make: Callable[..., Work], bilm: Path, trained: Path, toy: Path, tmp_path: Path) -> None:
    rng = generator(f"kills/{make.__name__}")
    log = tmp_path / "log"
    with one_thread():
        (tmp_path / "place").mkdir()
        work = make(tmp_path / "place", bilm, trained, toy)
        begun = time.monotonic()
        assert ended(started(work.first, log)) == 0, log.read_text()
        took = time.monotonic() - begun
        expected = work.results()
        assert expected
        n_killed = 0
        for number in range(cases(1, 10)):
            shutil.rmtree(tmp_path / "place")
            (tmp_path / "place").mkdir()
            work = make(tmp_path / "place", bilm, trained, toy)
            n_killed += _one(work, expected, took, rng, log, f"{make.__name__} {number}")
            left = [file for file in (tmp_path / "place").rglob(".*") if file.name.endswith((".tmp", ".old"))]
            assert left == [], f"{make.__name__} {number}: {left}"
    tell(f"{make.__name__}: {n_killed} kills, each to the same end")


def _one(work: Work, expected: dict[str, bytes], took: float, rng: random.Random, log: Path, case: str) -> int:
    """Kill it once or several times at random moments, and let it come to its end."""
    n_killed = 0
    arguments = work.first
    for _ in range(rng.choice([1, 1, 2])):
        if not killed(arguments, log, rng.uniform(0.02, 1.05) * took):
            break
        n_killed += 1
        is_whole(work, expected)
        arguments = work.again
    if arguments is work.first and not n_killed:
        arguments = work.again  # it came to its end; once more does no harm
    status = ended(started(arguments, log))
    assert status == 0, f"{case}: {log.read_text()[-3000:]}"
    assert is_whole(work, expected), f"{case}: not the same end"
    return n_killed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_anything_is_loaded(number: int, repository: Path) -> None:
    """Ctrl-C right after the start: one line, no traceback of Python's own."""

    environment = os.environ | {"PYTHONPATH": str(repository)}
    for after in (0.0, 0.02, 0.05, 0.1, 0.3, 0.8):
        process = subprocess.Popen(
            [sys.executable, "-m", "ner_elmo", "tag", "-"], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        time.sleep(after)
        process.send_signal(number)
        _, error = process.communicate(timeout=120)
        if "Traceback" in error and "in run" not in error:
            continue  # Python itself had not come to our first line
        assert "Traceback" not in error, f"after {after} s: {error}"


COUNTS = """
import sys
from pathlib import Path
from ner_elmo.text import counting
if __name__ == "__main__":
    counting.LITTLE_TEXT = 0
    counting.BLOCK_CHARACTERS = 1000
    while True:
        counting.count_text([Path(sys.argv[1])], "whitespace", processes=2)
        print("counted", flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc")
def test_workers_do_not_outlive_a_killed_program(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("Ann sees Rome .\n" * 3000)
    (tmp_path / "count.py").write_text(COUNTS)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "count.py"), str(tmp_path / "text")],
        env=os.environ | {"PYTHONPATH": str(repository)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "counted\n"
        task = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        workers: list[str] = []
        end = time.monotonic() + 120
        while len(workers) < 3 and time.monotonic() < end:  # two, and what tracks their resources
            workers = task.read_text().split()
    finally:
        process.kill()
    assert len(workers) >= 2
    end = time.monotonic() + 120
    while (left := [one for one in workers if _is_alive(one)]) and time.monotonic() < end:
        time.sleep(0.1)
    assert left == []
    process.stdout.close()
    process.wait()


def _is_alive(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
