"""The command line called in this process, and the flags of a tagger that trains in seconds."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from ner_elmo.cli.main import main

SMALL = ["--hidden-size", "12", "--word-dim", "8", "--lr", "0.02", "--dropout", "0.1", "--elmo-dropout", "0.1"]
SMALL += ["--batch-sentences", "8", "--threads", "1", "--device", "cpu"]


def ner_elmo(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of ``ner-elmo ARGUMENTS``."""
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def silent(arguments: list[str], log: Path) -> list[Any]:
    """Exit status of ``ner-elmo ARGUMENTS``, and what it said, in a fork of this process whose streams it takes."""
    with log.open("w+") as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        status = main(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    return [status, log.read_text()]
