"""A toy text to pretrain on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.toy_pretraining import toy_text


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    path = tmp_path / "toy.txt"
    path.write_text("\n".join(" ".join(sentence) for sentence in toy_text(400, 1)) + "\n")
    return path
