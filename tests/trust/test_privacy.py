"""What is read stays where it is: no connection goes out, and nothing is written but where it was said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ONE = "--threads 1 --device cpu"
SECRET = "Zacharias Geheimrath"

# Runs before the program: whatever connects, or is opened to be written elsewhere, ends it.
GUARD = """
import os, sys
allowed = [os.path.realpath(place) for place in os.environ["ALLOWED"].split(":")]
CONNECTS = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"}
STARTS = {"os.system", "os.exec", "os.posix_spawn", "subprocess.Popen"}
WRITES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate"}

def is_allowed(path):
    if isinstance(path, int):
        return True
    place = os.path.realpath(os.fsdecode(path))
    return place.startswith("/dev/") or any(place == one or place.startswith(one + "/") for one in allowed)

def watch(event, arguments):
    if event in CONNECTS:
        refuse(event, arguments)
    elif event in STARTS:
        if os.path.basename(os.fsdecode(arguments[0])) != "uname":  # Python's platform asks it for the processor
            refuse(event, arguments)
    elif event == "open":
        path, mode, flags = arguments
        writes = (mode and set(mode) & set("wax+")) or (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes and not is_allowed(path):
            refuse(event, arguments)
    elif event in WRITES and not is_allowed(arguments[0]):
        refuse(event, arguments)

def refuse(event, arguments):
    os.write(2, f"REFUSED {event} {arguments!r}\\n".encode())
    os._exit(70)

sys.addaudithook(watch)
"""


class Room:
    """A folder with inputs, and three where commands may write: the output, the cache, and that of temporary files."""

    def __init__(self, place: Path, repository: Path, toy: Path, bilm: Path, trained: Path) -> None:
        self.place, self.repository = place, repository
        self.toy, self.bilm, self.trained = toy, bilm, trained
        for name in ("out", "cache", "tmp", "home", "guard"):
            (place / name).mkdir()
        (place / "guard" / "sitecustomize.py").write_text(GUARD)
        (place / "text").write_text(f"Ann Smith sees Rome . {SECRET} visits Oslo .\n" * 20)
        (place / "corpus").write_text("".join(f"Ann sees w{n % 37} and w{n % 11} .\n" for n in range(300)))

    def run(self, command: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """The command, watched."""
        p = self.place
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{p / 'guard'}:{self.repository}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "ALLOWED": f"{p / 'out'}:{p / 'cache'}:{p / 'tmp'}",
            "NER_ELMO_CACHE": str(p / "cache"),
            "TMPDIR": str(p / "tmp"),
            "HOME": str(p / "home"),
            "OMP_NUM_THREADS": "1",
        }
        arguments = command.format(p=p, toy=self.toy, bilm=self.bilm, trained=self.trained).split()
        program = [*before, sys.executable, "-m", "ner_elmo", *arguments]
        return subprocess.run(program, env=environment, capture_output=True, text=True, timeout=400, cwd=p)


@pytest.fixture
def room(tmp_path: Path, repository: Path, toy: Path, bilm: Path, trained: Path) -> Room:
    return Room(tmp_path, repository, toy, bilm, trained)


SMALL = "--hidden-size 4 --word-dim 4 --char-dim 0 --epochs 1"
COMMANDS = {
    "pretrain": "pretrain {p}/corpus -o {p}/out/run --size tiny --epochs 1 --batch-tokens 512 " + ONE,
    "train-tagger": "train-tagger --train {toy}/train --bilm {bilm} -o {p}/out/run " + f"{SMALL} {ONE}",
    "tag": "tag {p}/text -m {trained} -f html -o {p}/out/x.html " + ONE,
    "tag in processes": "tag {p}/text -m {trained} -o {p}/out/all/ -f jsonl --processes 2 " + ONE,
    "embed": "embed {p}/text --bilm {bilm} -o {p}/out/x.hdf5 " + ONE,
    "check": "check {toy}/train {toy}/dev",
    "convert": "convert {toy}/train {p}/out/x.jsonl --to jsonl",
    "evaluate": "evaluate {toy}/test -m {trained} " + ONE,
    "perplexity": "perplexity {p}/text --bilm {bilm} " + ONE,
    "info": "info {trained}",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_connection_and_nothing_written_elsewhere(room: Room, name: str) -> None:
    done = room.run(COMMANDS[name])
    assert "REFUSED" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr
    assert list((room.place / "home").iterdir()) == []


def test_the_guard_sees_what_it_should(room: Room) -> None:
    """Otherwise the tests above could not fail."""
    for code in (
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "open('elsewhere', 'w')",
        "import os; os.mkdir('elsewhere')",
        "import subprocess; subprocess.run(['true'])",
    ):
        environment = {"PYTHONPATH": str(room.place / "guard"), "ALLOWED": str(room.place / "out"), "PATH": "/bin"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=room.place, timeout=60
        )
        assert "REFUSED" in done.stderr, code
        assert done.returncode == 70


def test_on_a_root_that_may_not_be_written(room: Room) -> None:
    """The same in a file system of which nothing else can be changed at all."""
    places = " ".join(f"{room.place}/{name}" for name in ("out", "cache", "tmp"))
    script = f'for d in {places}; do mount --bind $d $d; done; mount -o remount,bind,ro / && exec "$@"'
    before = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh")
    try:
        tried = subprocess.run([*before, "true"], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no unshare here")
    if tried.returncode:
        pytest.skip(f"the root cannot be made read-only here: {tried.stderr.strip()}")
    for name in ("tag", "train-tagger"):
        done = room.run(COMMANDS[name], before)
        assert done.returncode == 0, done.stderr
    assert (room.place / "out" / "x.html").is_file()


def test_no_log_holds_the_text(room: Room) -> None:
    """What a run writes beside its results says nothing of what it read; its results, which quote, say so."""
    (room.place / "train").write_text(
        "".join(f"{first} B-PER\nsees O\n{last} B-LOC\n\n" for first, last in [SECRET.split()] * 30)
    )
    command = "train-tagger --train {p}/train --dev {p}/train --bilm {bilm} -o {p}/out/run " + f"{SMALL} {ONE}"
    done = room.run(command)
    assert done.returncode == 0, done.stderr
    first, last = SECRET.split()
    for name in ("log.jsonl", "config.json", "README.md", "tagger.json"):
        text = (room.place / "out" / "run" / name).read_text()
        assert first not in text, name
        assert last not in text, name
    assert first not in done.stderr
