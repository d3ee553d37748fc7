"""A resumed run takes the count of its first start, and only where that is of the same text."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ner_elmo.bilm.pretraining import preparation
from ner_elmo.bilm.pretraining.kept_count import count_key, keep_count, read_count
from ner_elmo.bilm.pretraining.preparation import prepare
from ner_elmo.bilm.pretraining.run import pretrain
from ner_elmo.runs.events import silent
from ner_elmo.text.heldout import Split
from tests.support.toy_pretraining import make_config

CPU = torch.device("cpu")


@pytest.fixture
def checkpoints(toy: Path, tmp_path: Path) -> Path:
    """Those of a run that was stopped after its first step."""
    pretrain(make_config(toy), tmp_path / "run", device=CPU, should_stop=lambda: True)
    return tmp_path / "run" / "checkpoints"


def resumed_notes(toy: Path, checkpoints: Path) -> list[str]:
    """What a second start says before it trains."""
    events: list[Any] = []
    pretrain(
        make_config(toy),
        checkpoints.parent,
        device=CPU,
        resume=True,
        should_stop=lambda: True,
        report=events.append,
    )
    return [event["message"] for event in events if event["event"] == "note"]


def test_a_second_start_does_not_count_again(toy: Path, checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(toy)
    counted = prepare(config, "cpu", silent)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("counted again")

    monkeypatch.setattr(preparation, "count_text", refuse)
    kept = prepare(config, "cpu", silent, checkpoints=checkpoints)
    assert kept.was_kept
    assert list(kept.counts.items()) == list(counted.counts.items())  # in the same order, which ranks words
    assert kept.count.to_dict() == counted.count.to_dict()
    assert kept.vocabulary.tokens == counted.vocabulary.tokens
    assert (kept.heldout, kept.source, kept.config) == (counted.heldout, counted.source, counted.config)
    assert "the text is as it was counted before" in resumed_notes(toy, checkpoints)


def test_a_count_holds_what_json_can_lose(toy: Path, checkpoints: Path) -> None:
    count = prepare(make_config(toy), "cpu", silent).count
    count.counts.update(["\ud800", "a\u2028b", '"', "\x00"])
    keep_count(checkpoints, "key", count)
    kept = read_count(checkpoints, "key")
    assert kept is not None
    assert kept.to_dict() == count.to_dict()
    assert read_count(checkpoints, "another") is None


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def with_a_wrong_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)


def nested_deeply(file: Path) -> None:
    file.write_bytes(gzip.compress(b"[" * 100_000))


def of_other_words(file: Path) -> None:
    file.write_bytes(gzip.compress(json.dumps({"counts": [1, 2]}).encode()))


def no_gzip(file: Path) -> None:
    file.write_text("nothing")


@pytest.mark.parametrize("harm", [Path.unlink, cut_off, with_a_wrong_byte, nested_deeply, of_other_words, no_gzip])
def test_a_count_that_cannot_be_read_is_made_again(toy: Path, checkpoints: Path, harm: Callable[[Path], None]) -> None:
    file = checkpoints / "count.json.gz"
    before = gzip.decompress(file.read_bytes())
    harm(file)
    assert any(note.startswith("counting tokens") for note in resumed_notes(toy, checkpoints))
    assert gzip.decompress(file.read_bytes()) == before


def test_no_wrong_byte_is_read_over(toy: Path, checkpoints: Path) -> None:
    count, file = prepare(make_config(toy), "cpu", silent).count, checkpoints / "count.json.gz"
    keep_count(checkpoints, "key", count)
    content = file.read_bytes()
    head = content.index(0, 10) + 1  # with the time and a name, which do not matter
    for place in range(head, len(content), max(1, len(content) // 300)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        assert read_count(checkpoints, "key") is None, place


def test_the_count_of_another_text_is_not_taken(toy: Path) -> None:
    source = prepare(make_config(toy), "cpu", silent).source
    others = [
        count_key(source, ["another text"]),
        count_key(replace(source, tokenizer="en-1"), ["a text"]),
        count_key(replace(source, encoding="latin-1"), ["a text"]),
        count_key(replace(source, split=Split(0.5)), ["a text"]),
        count_key(replace(source, split=Split(elsewhere=frozenset({1}))), ["a text"]),
    ]
    assert len({count_key(source, ["a text"]), *others}) == 6
