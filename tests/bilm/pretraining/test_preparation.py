"""What precedes pretraining: what is held out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ner_elmo.bilm.pretraining.preparation import prepare
from tests.support.toy_pretraining import make_config


def test_lines_of_the_held_out_file_are_not_trained_on(toy: Path, tmp_path: Path) -> None:
    lines = toy.read_text().splitlines()
    (tmp_path / "out.txt").write_text("\n".join(lines[:30]))
    events: list[Any] = []
    prepared = prepare(make_config(toy, heldout=str(tmp_path / "out.txt")), "cpu", events.append)
    out = {tuple(sentence) for sentence in prepared.heldout}
    kept = [tuple(sentence) for sentence in prepared.source.sentences()]
    assert len(prepared.heldout) == 30
    assert not out & set(kept)
    assert kept == [words for words in map(tuple, map(str.split, lines)) if words not in out]
    (counted,) = [event for event in events if event["event"] == "counted"]
    assert counted["left_out_as_heldout"] == 400 - len(kept) >= 30
    assert counted["repeated_sentences"] == 400 - len(set(lines))
