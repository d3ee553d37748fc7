"""The command line called in this process, and the flags of a tagger that trains in seconds."""

from __future__ import annotations

import pytest

from ner_elmo.cli.main import main

SMALL = ["--hidden-size", "12", "--word-dim", "8", "--lr", "0.02", "--dropout", "0.1", "--elmo-dropout", "0.1"]
SMALL += ["--batch-sentences", "8", "--threads", "1", "--device", "cpu"]


def ner_elmo(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of ``ner-elmo ARGUMENTS``."""
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err
