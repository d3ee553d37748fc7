"""tag over many files: folders, outputs of their own, going on after a kill, objects and rows, live streams."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.command_line import ner_elmo
from tests.support.processes import STEP_LIMIT, environment

pytestmark = [pytest.mark.long, pytest.mark.skipif(sys.platform == "win32", reason="its signals and pipes are others")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"a.txt": "Ann sees Rome .\n", "b/a.txt": "Bob waits .\nEve sees Oslo .\n", "c.txt": ""}.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def tag(capsys: pytest.CaptureFixture[str], trained: Path, *arguments: object) -> tuple[int, str, str]:
    return ner_elmo(capsys, "tag", "-m", trained, "--threads", 1, *arguments)


def objects(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_output_for_each_input(trained: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "out"
    assert tag(capsys, trained, folder / "in", "-f", "jsonl", "-o", f"{out}/")[0] == 0
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*.jsonl") if path.name[0] != ".")
    assert written == ["a.txt.jsonl", "b/a.txt.jsonl", "c.txt.jsonl"]
    bob, eve = objects(out / "b/a.txt.jsonl")
    assert (bob["text"], bob["file"], bob["line"]) == ("Bob waits .", str(folder / "in/b/a.txt"), 1)
    assert (eve["text"], eve["line"]) == ("Eve sees Oslo .", 2)
    assert objects(out / "c.txt.jsonl") == []
    status, _, error = tag(capsys, trained, folder / "in", "-f", "jsonl", "-o", out)
    assert (status, "exists already (and 2 more)" in error, "--resume to go on" in error) == (2, True, True)


def test_resume_does_what_has_changed(trained: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "out"
    arguments = [folder / "in", "-f", "jsonl", "-o", f"{out}/"]
    assert tag(capsys, trained, *arguments)[0] == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.txt.jsonl")}
    (folder / "in/a.txt").write_text("Ann sees Oslo .\n")
    (folder / "in/new.txt").write_text("Ann waits .\n")
    (out / "c.txt.jsonl").unlink()
    status, _, error = tag(capsys, trained, *arguments, "--resume")
    assert (status, "1 of 4 files are done already" in error) == (0, True)
    assert objects(out / "a.txt.jsonl")[0]["text"] == "Ann sees Oslo ."
    assert (out / "c.txt.jsonl").exists()
    assert (out / "new.txt.jsonl").exists()
    assert (out / "b/a.txt.jsonl").stat().st_mtime_ns == before[out / "b/a.txt.jsonl"]
    status, _, error = tag(capsys, trained, *arguments, "--resume")
    assert "4 of 4 files are done already" in error
    status, _, error = tag(capsys, trained, *arguments, "--resume", "--min-score", 0.5)
    assert (status, "done already" in error) == (0, False)


def test_resume_takes_nothing_that_is_not_ours(trained: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "out").mkdir()
    (folder / "out/a.txt.jsonl").write_text("mine")
    status, _, error = tag(capsys, trained, folder / "in", "-f", "jsonl", "-o", folder / "out", "--resume")
    assert (status, "a.txt.jsonl: exists already" in error) == (2, True)
    assert (folder / "out/a.txt.jsonl").read_text() == "mine"
    assert tag(capsys, trained, folder / "in", "-f", "jsonl", "-o", folder / "out", "--force")[0] == 0


def test_a_file_that_cannot_be_read_does_not_end_the_others(
    trained: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "in/b/bad.txt").write_bytes(b"Ann sees Rome .\nBob \xff\n")
    status, _, error = tag(capsys, trained, folder / "in", "-f", "conll", "-o", f"{folder}/out/")
    assert status == 1
    assert "bad.txt:2: found byte 0xff" in error
    assert "1 files could not be read" in error
    written = sorted(path.name for path in (folder / "out").rglob("*.conll"))
    assert written == ["a.txt.conll", "a.txt.conll", "c.txt.conll"]


@pytest.mark.parametrize("format", ["brat", "doccano", "label-studio", "webanno", "conllu", "text"])
def test_other_formats_have_an_output_for_each(
    trained: Path, folder: Path, capsys: pytest.CaptureFixture[str], format: str
) -> None:
    (folder / "in/c.txt").unlink()  # a CoNLL-U file, say, has to hold something
    status, _, error = tag(capsys, trained, folder / "in", "-f", format, "-o", f"{folder}/out/", "--unit", "file")
    assert status == 0, error
    if format == "brat":
        assert (folder / "out/b/a.txt").read_text() == "Bob waits .\nEve sees Oslo ."
        assert "Oslo" in (folder / "out/b/a.ann").read_text()
    else:
        (written,) = [path for path in (folder / "out/b").iterdir() if path.is_file()]
        assert "Oslo" in written.read_text()


def test_brat_writes_over_no_input_and_no_pipe_has_an_output_in_a_folder(
    trained: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = folder / "in/a.txt"
    arguments = ["-f", "brat", "--unit", "file", "--force"]
    assert tag(capsys, trained, source, *arguments, "-o", folder / "in/a.ann")[0] == 2
    assert source.read_text() == "Ann sees Rome .\n"
    os.mkfifo(folder / "pipe")
    status, _, error = tag(capsys, trained, folder / "pipe", *arguments, "-o", f"{folder}/out/")
    assert (status, "a pipe has no output in a folder" in error) == (2, True)


def test_objects_pass_their_keys_through(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 3, "body": "Ann sees Rome .", "tags": ["x"]}\n{"id": 4, "body": null}\n')
    status, out, error = tag(capsys, trained, tmp_path / "a.jsonl", "--text-field", "body", "-f", "jsonl")
    one, other = [json.loads(line) for line in out.splitlines()]
    assert status == 1
    assert "a.jsonl:2: could not be tagged (body: found nothing, expected text)" in error
    assert (one["text"], one["id"], one["tags"], one["line"]) == ("Ann sees Rome .", 3, ["x"], 1)
    assert [entity["text"] for entity in one["entities"]] == ["Ann", "Rome"]
    assert (other["id"], "error" in other, "entities" in other) == (4, True, False)


def test_a_clash_of_keys_is_refused_before_the_first_line(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ['{"text": "Ann sees Rome ."}'] * 3 + ['{"text": "Bob waits .", "entities": []}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    status, out, error = tag(capsys, trained, tmp_path / "a.jsonl", "-f", "jsonl")
    assert (status, out) == (3, "")
    assert "a.jsonl:4: found a key 'entities'" in error
    assert tag(capsys, trained, tmp_path / "a.jsonl", "-f", "conll")[0] == 0  # which passes nothing through


def test_processes_write_the_same(trained: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [folder / "in", "-f", "conll", "--no-scores"]
    alone = tag(capsys, trained, *arguments)
    assert alone[0] == 0
    assert tag(capsys, trained, *arguments, "--processes", 2)[:2] == alone[:2]


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(trained: Path, repository: Path) -> Iterator[Start]:
    """Starts ``ner-elmo tag`` in a process of its own, which is ended and closed afterwards."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "ner_elmo", "tag", "-m", trained, "--threads", "1", *arguments]
        process = subprocess.Popen(
            [str(part) for part in command],
            env=environment(PYTHONPATH=str(repository)),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A shell lets what it starts in the background ignore Ctrl-C, and so would the tests' processes.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


def lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    while line := process.stdout.readline():
        yield line


@pytest.mark.parametrize("more", [[], ["--processes", "2"]])
def test_a_line_is_answered_when_it_comes(start: Start, more: list[str]) -> None:
    process = start("-", "-f", "jsonl", *more)
    assert process.stdin is not None
    answers = lines_of(process)
    for text in ("Ann sees Rome .", "Bob waits .", "Eve sees Oslo ."):
        process.stdin.write(text + "\n")
        process.stdin.flush()  # the next line is only written once this one is answered
        assert json.loads(next(answers))["text"] == text
    process.stdin.close()
    assert process.wait(STEP_LIMIT) == 0


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_named_pipe_is_read_once_and_as_it_comes(start: Start, tmp_path: Path, is_packed: bool) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    process = start(pipe, "-f", "jsonl")
    texts = ["Ann sees Rome .", "Bob waits ."] * 200  # more than is looked at to see what it is
    with open(pipe, "wb") as stream:
        if is_packed:
            stream.write(gzip.compress("\n".join(texts).encode()))
        else:
            stream.write(f"{texts[0]}\n".encode())
            stream.flush()
            assert json.loads(next(lines_of(process)))["text"] == texts.pop(0)
            stream.write("\n".join(texts).encode())
    out, error = process.communicate(timeout=STEP_LIMIT)
    assert (process.returncode, "Traceback" in error) == (0, False)
    assert [json.loads(line)["text"] for line in out.splitlines()] == texts


def test_a_reader_that_has_gone_ends_it_quietly(start: Start) -> None:
    process = start("-")
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write("Ann sees Rome .\n")
    process.stdin.flush()
    assert process.stdout.readline() == "[Ann PER] sees [Rome LOC] .\n"
    process.stdout.close()
    process.stdin.write("Bob waits .\n")
    process.stdin.flush()  # its input stays open: it ends because nobody reads
    assert process.wait(STEP_LIMIT) in (0, 1)
    assert process.stderr.read() == ""


def test_ctrl_c_while_it_waits(start: Start) -> None:
    process = start("-")
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write("Ann sees Rome .\n")
    process.stdin.flush()
    assert next(lines_of(process)) == "[Ann PER] sees [Rome LOC] .\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(STEP_LIMIT) == 130
    assert "Traceback" not in process.stderr.read()


def test_killed_in_the_middle_and_resumed(start: Start, tmp_path: Path) -> None:
    source, out, whole = tmp_path / "in", tmp_path / "out", tmp_path / "whole"
    source.mkdir()
    for number in range(300):
        (source / f"{number:04d}.txt").write_text(f"Ann sees Rome {number} .\nBob waits .\n" * 20)
    killed = start(source, "-f", "conll", "-o", f"{out}/")
    deadline = time.monotonic() + STEP_LIMIT
    while len(list(out.glob("*.conll"))) < 40 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    n_before = len(list(out.glob("*.conll")))
    assert 40 <= n_before < 300
    times = {path.name: path.stat().st_mtime_ns for path in out.glob("*.conll")}
    resumed = start(source, "-f", "conll", "-o", f"{out}/", "--resume")
    _, error = resumed.communicate(timeout=STEP_LIMIT)
    assert (resumed.returncode, "of 300 files are done already" in error) == (0, True)
    again = start(source, "-f", "conll", "-o", f"{whole}/")
    again.communicate(timeout=STEP_LIMIT)
    assert again.returncode == 0
    names = sorted(path.name for path in whole.glob("*.conll"))
    assert names == sorted(path.name for path in out.glob("*.conll"))
    assert len(names) == 300
    assert all((out / name).read_bytes() == (whole / name).read_bytes() for name in names)
    same = sum((out / name).stat().st_mtime_ns == time for name, time in times.items())
    assert same >= n_before - 1  # the last one may have been renamed, and not yet noted
    assert not list(out.glob(".*.tmp"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["in/a.txt", "--text-field", "body"], "--text-field: names a key or column, and the input is text alone"),
        (["in", "--id-field", "id"], "--id-field: names a key or column, and the input is text alone"),
        (["in/a.txt", "--pattern", "*.md"], "--pattern: says which files of a folder are read"),
        (["a.jsonl", "--unit", "file"], "--unit file: is for text files"),
    ],
)
def test_what_concerns_no_input_is_refused(
    trained: Path, folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    (folder / "a.jsonl").write_text('{"text": "Ann sees Rome ."}\n')
    status, out, error = tag(capsys, trained, folder / arguments[0], *arguments[1:])
    assert (status, out, error.count("\n"), said in error) == (2, "", 1, True)


def test_numbers_that_json_lacks_and_the_name_of_what_failed(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ['{"text": "Ann sees Rome .", "id": "r1", "n": [NaN, 1e999]}', '{"text": 5, "id": "r2", "n": -Infinity}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    status, out, error = tag(capsys, trained, tmp_path / "a.jsonl", "--id-field", "id", "-f", "jsonl")
    values = [json.loads(line, parse_constant=lambda word: pytest.fail(word)) for line in out.splitlines()]
    assert (status, [value["n"] for value in values]) == (1, [[None, None], None])
    assert error.count("null is passed through") == 1
    assert "a.jsonl:1 (r1): found NaN or Infinity" in error
    assert "a.jsonl:2 (r2): could not be tagged" in error


def test_a_pair_for_brat_has_the_labels_beside_it(
    trained: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tag(capsys, trained, folder / "in/a.txt", "-f", "brat", "-o", folder / "x.ann")[0] == 0
    assert (folder / "annotation.conf").read_text().startswith("[entities]\nLOC\nPER\n")
    (folder / "annotation.conf").write_text("mine")
    assert tag(capsys, trained, folder / "in/a.txt", "-f", "brat", "-o", folder / "x.ann", "--force")[0] == 0
    assert (folder / "annotation.conf").read_text() == "mine"
