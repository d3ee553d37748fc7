"""What goes wrong around a program: full disks, folders that may not be written, inputs that change, two at once."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.elmo.feature_cache import FeatureCache, default_folder
from ner_elmo.errors import NerElmoError, UsageError
from ner_elmo.runs.directory import held
from ner_elmo.tagger.network.model import TaggerModel
from ner_elmo.tagger.tagger import Tagger
from tests.support.attempts import ANSWERED, attempt
from tests.support.command_line import SMALL, ner_elmo, silent
from tests.support.devices import one_thread
from tests.support.disks import Disk
from tests.support.soak import cases, generator, tell

pytestmark = pytest.mark.long

ONE = ["--threads", "1", "--device", "cpu"]


def writers(place: Path, toy: Path, bilm: Path, trained: Path, text: Path) -> dict[str, list[str]]:
    """Commands that write to ``place``."""
    labelled = ["train-tagger", "--train", str(toy / "train"), "--dev", str(toy / "dev"), "--bilm", str(bilm)]
    return {
        "convert": ["convert", str(toy / "train"), str(place / "out.jsonl"), "--to", "jsonl"],
        "a biLM": ["convert", str(bilm), str(place / "bilm"), "--to", "float16"],
        "embed": ["embed", str(text), "--bilm", str(bilm), "-o", str(place / "out.hdf5"), *ONE],
        "explore": ["explore", "[a] b", "--text", str(text), "--bilm", str(bilm), "--index", str(place / "i"), *ONE],
        "tag": ["tag", str(text), "-m", str(trained), "-f", "jsonl", "-o", str(place / "out.jsonl"), *ONE],
        "tag to a folder": ["tag", str(text), "-m", str(trained), "-f", "csv", "-o", f"{place}/out/", *ONE],
        "html": ["tag", str(text), "-m", str(trained), "-f", "html", "-o", str(place / "out.html"), *ONE],
        "train-tagger": [*labelled, "-o", str(place / "run"), "--epochs", "1", "--no-cache", *SMALL],
        "pretrain": ["pretrain", str(text), "-o", str(place / "run"), "--size", "tiny", "--epochs", "1", *ONE],
        "join": ["join", str(trained), str(text.parent / "twin"), "-o", str(place / "joined")],
        "suggest": ["suggest", str(text), "-m", str(trained), "-o", str(place / "out.jsonl"), *ONE],
        "compare": ["compare", str(trained), str(trained), "-o", str(place / "out.html")],
    }


@pytest.fixture
def text(tmp_path: Path, trained: Path) -> Path:
    """A text, and beside it a copy of the tagger, to be joined with it."""
    shutil.copytree(trained, tmp_path / "twin")
    (tmp_path / "text.txt").write_text("".join(f"Ann Smith sees Rome City {number} times .\n" for number in range(300)))
    return tmp_path / "text.txt"


NAMES = list(writers(Path(), Path(), Path(), Path(), Path()))


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk(name: str, disk: Disk, toy: Path, bilm: Path, trained: Path, text: Path, tmp_path: Path) -> None:
    """One line, nothing half written, nothing left behind; and it ends well once there is space."""
    rng = generator(f"full/{name}")
    with one_thread():
        for _ in range(cases(1, 10)):
            place = disk.of(rng.choice([8, 16, 24, 40]))
            command = writers(place, toy, bilm, trained, text)[name]
            found = attempt(lambda command=command: silent(command, tmp_path / "log"), 60)
            assert found.kind == ANSWERED, found
            status, said = found.value
            if status:
                assert status == 1, said
                assert "Traceback" not in said
                assert "space" in said.splitlines()[-1] or "disk full" in said.splitlines()[-1], said
                kept = {"log.jsonl", ".ner-elmo.jsonl"}  # what is done, and written anew or gone on with
                assert not [f for f in place.rglob("*") if f.name.endswith((".tmp", ".jsonl")) and f.name not in kept]
            for one in place.iterdir():
                shutil.rmtree(one) if one.is_dir() else one.unlink()
        place = disk.of(20_000)
        status, said = attempt(
            lambda: silent(writers(place, toy, bilm, trained, text)[name], tmp_path / "log"), 60
        ).value
        assert status == 0, said


@pytest.mark.parametrize("name", NAMES)
def test_a_place_that_may_not_be_written(
    name: str, disk: Disk, toy: Path, bilm: Path, trained: Path, text: Path, tmp_path: Path
) -> None:
    disk.of(100)
    place = disk.read_only()
    with one_thread():
        command = writers(place, toy, bilm, trained, text)[name]
        found = attempt(lambda: silent(command, tmp_path / "log"), 60)
    status, said = found.value
    assert status == 1
    assert said.splitlines()[-1].startswith("ner-elmo: ")
    assert "Read-only file system" in said
    assert "Traceback" not in said


def test_a_full_folder_for_temporary_files(
    disk: Disk, bilm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models in a zip are unpacked there."""
    archive = shutil.make_archive(str(tmp_path / "model"), "zip", bilm)
    monkeypatch.setattr(tempfile, "tempdir", str(disk.of(8)))
    status, _, err = ner_elmo(capsys, "info", archive)
    assert status == 1
    assert err.count("\n") == 1
    assert "model.zip: cannot be unpacked into" in err
    assert "No space left on device" in err
    disk.of(2000)
    assert ner_elmo(capsys, "info", archive)[0] == 0


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "NER_ELMO_CACHE"):
        monkeypatch.delenv(name, raising=False)

    def fail(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", fail)
    assert default_folder() == Path(tempfile.gettempdir()) / f"ner-elmo-cache-{os.getuid()}"


def test_a_cache_on_a_full_disk_is_done_without(disk: Disk, bilm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other programs may take the space that was free a moment ago."""
    monkeypatch.setattr("ner_elmo.elmo.feature_cache.SPARE_BYTES", -(1 << 40))
    warned: list[str] = []
    with one_thread():
        cache = FeatureCache(Elmo.load(bilm), disk.of(1100), warn=warned.append)
        sentences = [[f"token{number}", "sees", "Rome"] for number in range(3000)]
        assert cache.features(sentences, [0, 1, 2]) is None
    assert len(warned) == 1
    assert "No space left on device" in warned[0]
    assert not list(disk.place.iterdir())


def test_two_processes_on_one_cold_cache(bilm: Path, tmp_path: Path) -> None:
    sentences = [[f"token{number}", "sees", "Rome"] for number in range(200)]

    def compute() -> list[Any]:
        warned: list[str] = []
        found = FeatureCache(Elmo.load(bilm), tmp_path / "cache", warn=warned.append).features(sentences, [0, 2])
        assert found is not None
        return [warned, [float(array.astype("float64").sum()) for array in found]]

    with one_thread():
        answers: list[Any] = [None, None]

        def run(number: int) -> None:
            answers[number] = attempt(compute, 60)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(answer.kind == ANSWERED for answer in answers), answers
    assert answers[0].value == answers[1].value
    assert answers[0].value[0] == []
    assert len(list((tmp_path / "cache").iterdir())) == 1


@pytest.mark.parametrize("command", ["train-tagger", "pretrain"])
def test_two_runs_on_one_directory(
    command: str, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is refused, and changes nothing."""
    monkeypatch.setattr("ner_elmo.runs.directory._WAIT", 0.2)
    run = tmp_path / "run"
    source = ["--train", str(toy / "train")] if command == "train-tagger" else [str(toy / "train"), "--size", "tiny"]
    with held(run):
        (run / "config.json").write_text('{"train": "x", "corpus": ["x"]}')
        status, _, err = ner_elmo(capsys, command, *source, "-o", run, "--force", *ONE)
        assert status in (2, 3), err
        assert "another run is writing there" in err or status == 3
        assert (run / "config.json").read_text() == '{"train": "x", "corpus": ["x"]}'


def test_a_run_lets_go_of_its_directory(tmp_path: Path) -> None:
    with held(tmp_path / "run"):
        pass
    assert not (tmp_path / "run").exists()
    with held(tmp_path / "run"):
        (tmp_path / "run" / "file").write_text("")
    with held(tmp_path / "run"):
        pass
    assert (tmp_path / "run" / "file").exists()


def test_force_replaces_runs_and_nothing_else(toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = tmp_path / "project"
    (project / "checkpoints").mkdir(parents=True)
    (project / "README.md").write_text("mine")
    (project / "checkpoints" / "best.ckpt").write_text("mine, too")
    for command in (["train-tagger", "--train"], ["pretrain"]):
        status, _, err = ner_elmo(capsys, *command, toy / "train", "-o", project, "--force", *ONE)
        assert status == 2
        assert "holds files, and no run that could be replaced" in err
    flags = [*SMALL, "--epochs", "1", "--no-cache"]
    run = tmp_path / "run"
    assert ner_elmo(capsys, "train-tagger", "--train", toy / "train", "-o", run, *flags)[0] == 0
    (run / "checkpoints" / "best.ckpt").write_text("mine, too")
    assert ner_elmo(capsys, "train-tagger", "--train", toy / "train", "-o", run, "--force", *flags)[0] == 0
    assert (run / "checkpoints" / "best.ckpt").read_text() == "mine, too"
    status, _, err = ner_elmo(capsys, "train-tagger", "--train", toy / "train", "-o", run, "--force", "--resume")
    assert status == 2
    assert "expected one of them" in err


@pytest.mark.parametrize("kind", ["gone", "cut", "longer"])
def test_a_text_that_changes_while_it_is_read(
    kind: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is tagged, or the file is an error; nothing else."""
    text = tmp_path / "text.txt"
    lines = [f"Ann Smith sees Rome {number} .\n" for number in range(3000)]
    text.write_text("".join(lines))
    honest = Tagger._documents
    done: list[int] = []

    def change(self: Tagger, *arguments: Any) -> Any:
        if not done:
            done.append(1)
            if kind == "gone":
                text.unlink()
            elif kind == "cut":
                os.truncate(text, 40_000)
            else:
                text.write_text("".join(lines) + "Bob .\n")
        return honest(self, *arguments)

    monkeypatch.setattr(Tagger, "_documents", change)
    with one_thread():
        status, out, err = ner_elmo(capsys, "tag", text, "-m", trained, "-f", "jsonl", *ONE)
    assert done
    assert status in (0, 1, 3), err
    assert "Traceback" not in err
    assert len(out.splitlines()) <= 3001


def test_a_clock_that_goes_backwards(
    toy: Path, bilm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but dates depends on it."""
    flags = [
        "--train",
        toy / "train",
        "--dev",
        toy / "dev",
        *SMALL,
        "--epochs",
        "2",
        "--no-cache",
        "--precision",
        "fp32",
    ]
    with one_thread():
        assert ner_elmo(capsys, "train-tagger", *flags, "-o", tmp_path / "a")[0] == 0
        now = [time.time()]

        def backwards() -> float:
            now[0] -= 3600.0
            return now[0]

        monkeypatch.setattr(time, "time", backwards)
        status, _, err = ner_elmo(capsys, "train-tagger", *flags, "-o", tmp_path / "b")
        assert status == 0, err
    assert (tmp_path / "a" / "tagger.hdf5").read_bytes() == (tmp_path / "b" / "tagger.hdf5").read_bytes()


def test_no_memory_for_a_batch(
    toy: Path, trained: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    """One line, and what a run saved before goes on."""
    honest, left = TaggerModel.forward, [6]

    def hungry(self: TaggerModel, *arguments: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")
        return honest(self, *arguments)

    flags = ["--train", toy / "train", *SMALL, "--epochs", "2", "--no-cache", "-o", tmp_path / "run"]
    with one_thread():
        with monkeypatch.context() as patch:
            patch.setattr(TaggerModel, "forward", hungry)
            left[0] = 20
            status, _, err = ner_elmo(capsys, "train-tagger", *flags)
            assert (status, "out of memory" in err.splitlines()[-1], "Traceback" in err) == (1, True, False), err
            left[0] = 0
            status, _, err = ner_elmo(capsys, "tag", text, "-m", trained, *ONE)
            assert (status, "out of memory" in err, "Traceback" in err) == (1, True, False), err
        assert ner_elmo(capsys, "train-tagger", "--resume", "-o", tmp_path / "run", *ONE)[0] == 0


def test_streams_that_are_closed(trained: Path, text: Path, repository: Path) -> None:
    program = f"{sys.executable} -m ner_elmo tag {text} -m {trained} --threads 1 --device cpu"
    environment = os.environ | {"PYTHONPATH": str(repository)}

    def run(redirection: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            f"{program} {redirection}", shell=True, env=environment, capture_output=True, text=True, timeout=240
        )

    whole = run("")
    assert whole.returncode == 0
    assert run("<&-").stdout == whole.stdout
    silent_run = run("2>&-")
    assert (silent_run.returncode, silent_run.stdout) == (0, whole.stdout)
    closed = run(">&-")
    assert (closed.returncode, "Traceback" in closed.stderr) == (0, False)
    full = run(">/dev/full")
    assert full.returncode == 1
    assert full.stderr.splitlines()[-1] == "ner-elmo: standard output: cannot be written (No space left on device)"
    text.write_text('{"a": 1}\n' * 300)  # about which something would be said
    whole = run("")
    assert "nearly every line is JSON" in whole.stderr
    silent_run = run("2>/dev/full")
    assert (silent_run.returncode, silent_run.stdout) == (0, whole.stdout)
    assert run("--device none 2>/dev/full").returncode == 2


def test_a_server_whose_log_cannot_be_written(trained: Path, repository: Path) -> None:
    """It starts, answers, and ends as it would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = f"exec {sys.executable} -m ner_elmo serve -m {trained} --port {port} --threads 1"
    for redirection in ("2>/dev/full", "2>&-", ">&- 2>&-"):
        environment = os.environ | {"PYTHONPATH": str(repository)}
        with subprocess.Popen(f"{command} {redirection}", shell=True, env=environment) as process:
            try:
                for _ in range(3):
                    assert _asked(port, process) == 200, redirection
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0, redirection
            finally:
                process.kill()


def _asked(port: int, process: subprocess.Popen[bytes]) -> int:
    """The status of one request, once the server listens."""
    while True:
        assert process.poll() is None, "it ended"
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as asked:
                asked.request("POST", "/tag", b'{"text": "Ann sees Rome ."}', {"Content-Type": "application/json"})
                return asked.getresponse().status
        except ConnectionError:
            time.sleep(0.2)


@pytest.mark.parametrize("command", ["check", "convert", "train", "config", "pretrain", "perplexity", "embed"])
def test_pipes_are_not_waited_for(command: str, bilm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a file is read more than once, what went through a pipe would be lost."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    arguments = {
        "check": ["check", pipe],
        "convert": ["convert", pipe, tmp_path / "out", "--to", "jsonl"],
        "train": ["train-tagger", "--train", pipe, "-o", tmp_path / "out"],
        "config": ["train-tagger", "--config", pipe, "-o", tmp_path / "out"],
        "pretrain": ["pretrain", pipe, "-o", tmp_path / "out"],
        "perplexity": ["perplexity", pipe, "--bilm", bilm],
        "embed": ["embed", pipe, "--bilm", bilm, "-o", tmp_path / "out"],
    }[command]
    status, _, err = ner_elmo(capsys, *arguments)
    assert status == 2
    assert f"{pipe}: is a pipe or device" in err
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_no_text(toy: Path, bilm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files of other systems have names that are not UTF-8; they are recorded, and read back."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/n\xff"))
    folder.mkdir()
    shutil.copyfile(toy / "train", folder / "train")
    shutil.copytree(bilm, folder / "bilm")
    flags = [*SMALL, "--epochs", "1", "--no-cache"]
    run = ["train-tagger", "--train", folder / "train", "--bilm", folder / "bilm", "-o", folder / "run"]
    status, _, err = ner_elmo(capsys, *run, *flags)
    assert status == 0, err
    status, _, err = ner_elmo(capsys, *run, *flags, "--resume")
    assert (status, "this run is finished" in err) == (0, True), err
    (folder / "text").write_text("Ann sees Rome .\n")
    status, _, err = ner_elmo(capsys, "tag", folder / "text", "-m", folder / "run", "-f", "jsonl", *ONE)
    assert status == 0, err
    assert ner_elmo(capsys, "info", folder / "run", "--json")[0] == 0


def test_what_cannot_be_meant_is_refused(trained: Path, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flags in (["--threads", "999999999999"], ["--encoding", "zlib"], ["--batch-tokens", "-1"], ["--device", "x"]):
        status, _, err = ner_elmo(capsys, "tag", text, "-m", trained, *flags)
        assert status == 2, err
        assert "Traceback" not in err
    for flags in (["--seed", "-1"], ["--encoding", "rot13"], ["--threads", "0"]):
        assert ner_elmo(capsys, "train-tagger", "--train", text, "-o", "nowhere", *flags)[0] == 2
    assert issubclass(UsageError, NerElmoError)
    assert torch.get_num_threads() >= 1
    tell("what cannot be meant: refused")
