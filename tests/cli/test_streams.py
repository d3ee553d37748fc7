"""Inputs and outputs that are not plain files: texts for names, pipes, devices, links, full and closed streams."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.command_line import ner_elmo

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its pipes and devices are others")
LABELLED = "Ann B-PER\nsees O\nRome B-LOC\n\n" * 3
TEXT = "Ann Smith sees Rome in May . " * 60


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    (tmp_path / "in.conll").write_text(LABELLED)
    return tmp_path / "in.conll"


def run(command: str, folder: Path, repository: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """``ner-elmo COMMAND`` by a shell, which may redirect."""
    program = f"{sys.executable} -m ner_elmo {command}"
    values = os.environ | {"PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"} | environment
    return subprocess.run(
        program, shell=True, cwd=folder, env=values, capture_output=True, encoding="utf-8", timeout=120
    )


@pytest.mark.parametrize("name", [TEXT, "Ann Smith\nsees Rome"])
@pytest.mark.parametrize("command", [["tag"], ["check"], ["evaluate"], ["embed", "--bilm", "x", "-o", "y"]])
def test_a_text_instead_of_a_name(capsys: pytest.CaptureFixture[str], command: list[str], name: str) -> None:
    status, out, err = ner_elmo(capsys, *command, name)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert len(err) < 200
    assert err.startswith("ner-elmo: Ann Smith")
    assert "(to tag text itself: echo TEXT | ner-elmo tag -)" in err


def test_no_terminal_obeys_a_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("a\x1b[31mb", os.fsdecode(b"\xff\xfe")):
        for command in ("check", "info", "tag"):
            status, _, err = ner_elmo(capsys, command, str(tmp_path / name))
            assert status == 2
            assert err.strip().isprintable()


@pytest.mark.parametrize("place", ["in.conll/out", "/proc/out", "x" * 300])
def test_a_place_that_cannot_be_written(
    labelled: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(labelled.parent)
    status, out, err = ner_elmo(capsys, "convert", labelled, place, "--to", "bioes")
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert "cannot be written (" in err
    assert [file.name for file in labelled.parent.iterdir()] == ["in.conll"]


@pytest.mark.parametrize("command", ["check in.conll", "convert in.conll - --to jsonl", "--help"])
def test_standard_output_that_is_full(labelled: Path, repository: Path, command: str) -> None:
    done = run(f"{command} > /dev/full", labelled.parent, repository)
    assert done.returncode == 1
    assert done.stderr == "ner-elmo: standard output: cannot be written (No space left on device)\n"


def test_closed_streams(labelled: Path, repository: Path) -> None:
    assert run("check in.conll <&-", labelled.parent, repository).returncode == 0
    closed = run("check in.conll >&-", labelled.parent, repository)
    assert (closed.returncode, closed.stderr) == (0, "")
    silent = run("convert in.conll - --to iob2 2>&-", labelled.parent, repository)
    assert (silent.returncode, silent.stdout) == (0, LABELLED)
    assert run("check nothing 2>&-", labelled.parent, repository).stdout == ""


def test_a_reader_that_goes_away(labelled: Path, repository: Path) -> None:
    labelled.write_text(LABELLED * 20_000)
    done = run("convert in.conll - --to iob2 | head -1", labelled.parent, repository)
    assert (done.stdout, done.stderr) == ("Ann B-PER\n", "")


@pytest.mark.parametrize("encoding", ["cp1252", "latin1", "ascii"])
def test_output_that_is_not_utf_8(labelled: Path, repository: Path, encoding: str) -> None:
    labelled.write_text("한빛은 B-인물\n입니다 O\n\n" * 2, encoding="utf-8")
    done = run("check in.conll in.conll", labelled.parent, repository, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\uc778\\ubb3c" in done.stdout


def test_a_pipe_and_a_device_are_written_to(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipe = labelled.parent / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    assert ner_elmo(capsys, "convert", labelled, pipe, "--to", "iob2")[0] == 0
    reader.join(20)
    assert read == [LABELLED]
    assert pipe.is_fifo()
    assert ner_elmo(capsys, "convert", labelled, "/dev/null", "--to", "iob2")[0] == 0
    assert not Path("/dev/null").is_file()


def test_a_link_is_followed(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real, link = labelled.parent / "real", labelled.parent / "link"
    real.write_text("old")
    link.symlink_to("real")
    assert ner_elmo(capsys, "convert", labelled, link, "--to", "iob2")[0] == 2
    assert ner_elmo(capsys, "convert", labelled, link, "--to", "iob2", "--force")[0] == 0
    assert link.is_symlink()
    assert real.read_text() == LABELLED


def test_force_takes_nothing_that_is_not_ours(labelled: Path, bilm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = labelled.parent / "folder"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    for source, to in ((bilm, "float16"), (labelled, "brat")):
        status, _, err = ner_elmo(capsys, "convert", source, folder, "--to", to, "--force")
        assert status == 2
        assert "notes.txt; choose another name" in err
    assert (folder / "notes.txt").read_text() == "mine"
    for source, to in ((bilm, "float16"), (labelled, "bioes")):
        status, _, err = ner_elmo(capsys, "convert", source, source, "--to", to, "--force")
        assert status == 2
        assert "is what is read" in err
    assert labelled.read_text() == LABELLED
