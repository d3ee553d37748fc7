"""The dump file: its vectors, and when they are written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ner_elmo.elmo import dump, encoder
from ner_elmo.elmo.dump import write_embeddings
from ner_elmo.elmo.encoder import Elmo


def test_lines_are_written_as_they_come(bilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of many lines is never in memory as a whole, nor are its vectors."""
    monkeypatch.setattr(encoder, "READ_AHEAD_BYTES", 8 * 4 * 3 * 10)  # 8 tokens
    events: list[str] = []
    create_dataset = h5py.Group.create_dataset

    def lines() -> Iterator[str]:
        for number in range(6):
            events.append(f"read {number}")
            yield "a b"

    def recorded(group: h5py.Group, name: str, *arguments: Any, **options: Any) -> h5py.Dataset:
        events.append(f"write {name}")
        return create_dataset(group, name, *arguments, **options)

    monkeypatch.setattr(h5py.Group, "create_dataset", recorded)
    assert write_embeddings(Elmo.load(bilm), lines(), tmp_path / "x.hdf5") == (6, 12)
    for number in range(4):
        assert events.index(f"write {number}") < events.index(f"read {number + 2}")


def test_dump_file(elmo: Elmo, tmp_path: Path) -> None:
    lines = ["a b", "", "new a b", "a b"]
    assert dump.write_embeddings(elmo, lines, tmp_path / "x.hdf5") == (4, 7)
    with h5py.File(tmp_path / "x.hdf5") as file:
        assert file["1"].shape == (3, 0, 10)
        assert file["2"].dtype == np.float32
        assert json.loads(file["sentence_to_index"][0]) == {"a b": "0", "": "1", "new a b": "2"}
        np.testing.assert_allclose(file["0"][()], file["3"][()])
