"""A run directory: what it is known by, what a killed run leaves there, what of a log is whole."""

from __future__ import annotations

import json
from pathlib import Path

from ner_elmo.runs.directory import has_run, mend_log, remove_leftovers, write_config
from ner_elmo.tagger.training.config import TaggerConfig


def test_a_run_is_known_by_its_settings(tmp_path: Path) -> None:
    assert not has_run(tmp_path)
    write_config(tmp_path, TaggerConfig(train="x", seeds=(1, 2)))
    assert has_run(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["seeds"] == [1, 2]


def test_leftovers_of_a_killed_run_go_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    ours = [".config.json.abcd_123.tmp", "checkpoints/.step-1.pt.k0x9_aaa.tmp"]
    for name in (*ours, "notes.tmp", ".mine.tmp", "checkpoints/step-1.pt"):
        (tmp_path / name).write_text("")
    (tmp_path / ".bilm.abcd1234.old").mkdir()
    (tmp_path / ".bilm.abcd1234.old" / "weights").write_text("")
    remove_leftovers(tmp_path)
    left = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file())
    assert left == [".mine.tmp", "checkpoints/step-1.pt", "notes.tmp"]


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    mend_log(log)  # there is none
    log.write_bytes(b'{"a": 1}\n{"b": ')
    mend_log(log)
    assert log.read_bytes() == b'{"a": 1}\n'
    mend_log(log)
    assert log.read_bytes() == b'{"a": 1}\n'
