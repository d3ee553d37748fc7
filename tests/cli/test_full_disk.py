"""A full disk ends either stage with one line, and what was saved before goes on when there is room again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.disks import Disk

pytestmark = pytest.mark.long

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "version-0.1"


PRETRAIN = ["pretrain", "text.txt", "--options", "options.json", "--epochs", "40", "--batch-tokens", "64"]
PRETRAIN += ["--checkpoint-steps", "10", "--precision", "fp32"]
TAGGER = ["train-tagger", "--train", "train.conll", "--bilm", "pretrain", "--word-dim", "8", "--char-dim", "4"]
TAGGER += ["--char-filters", "8", "--hidden-size", "8", "--epochs", "4", "--precision", "fp32", "--no-cache"]


@pytest.mark.parametrize("command", [PRETRAIN, TAGGER], ids=["pretrain", "train-tagger"])
@pytest.mark.parametrize("kilobytes", [100, 350])
def test_a_full_disk_is_one_line(
    command: list[str], kilobytes: int, disk: Disk, repository: Path, tmp_path: Path
) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "ner_elmo", *arguments, "--threads", "1", "--device", "cpu"]
        environment = {"PYTHONPATH": str(repository), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        return subprocess.run(program, cwd=FIXTURES, env=environment, capture_output=True, text=True)

    place = disk.of(kilobytes)
    done = run(*command, "-o", str(place / "run"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ner-elmo: {place / 'run'}")
    assert "space" in last or "is the disk full?" in last
    assert not list(place.rglob("*.tmp"))

    disk.of(5000)
    again = run(command[0], "-o", str(place / "run"), "--resume")
    assert again.returncode == 0, again.stderr
    assert (place / "run" / "report.json").is_file()
