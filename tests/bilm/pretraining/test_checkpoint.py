"""Checkpoints: what stands in them, and a disk without space for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ner_elmo.bilm.pretraining import checkpoint
from ner_elmo.errors import NerElmoError
from ner_elmo.runs.checkpoints import read_tensors
from tests.support.toy_pretraining import make_trainer


def test_a_full_disk_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(NerElmoError, match=r"step-00000000\.pt: cannot be written \(No space left on device\)"):
        checkpoint.save_checkpoint(make_trainer(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_checkpoints_have_the_names_of_the_model(tmp_path: Path) -> None:
    one = make_trainer()
    values = read_tensors(checkpoint.save_checkpoint(one, tmp_path))
    assert set(values["model"]) == set(one.model.state_dict())
    assert not any(name.startswith("module.") for name in values["model"])
