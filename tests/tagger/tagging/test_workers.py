"""Several processes: order, the same results, and what happens when one is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ner_elmo.tagger.tagger import Tagger
from ner_elmo.tagger.tagging.workers import tag_in_processes
from ner_elmo.text.documents import Document, Failure, Origin, Record


class Chunks:
    def __init__(self, chunks: Sequence[Sequence[Any]]) -> None:
        self._chunks = list(chunks)

    def has_any(self) -> bool:
        return True

    def take(self) -> Sequence[Any]:
        return self._chunks.pop(0) if self._chunks else []


def test_the_same_in_the_same_order(trained: Path) -> None:
    tagger = Tagger.load(trained)
    texts = [f"Ann sees Rome {n} times ." for n in range(40)]
    chunks = [texts[start : start + 3] for start in range(0, 40, 3)]
    done = list(tag_in_processes(tagger, Chunks(chunks), 2, lambda: None, scores=False))
    assert done == list(tagger.tag(texts, scores=False))


class Deadly(Tagger):
    """Kills its process at the word ``die``: always, or where ``once`` is not there yet."""

    once: Path | None = None

    def tag_chunk(self, chunk: Any, **flags: bool) -> Any:
        if any("die" in unit.text for unit in chunk) and (self.once is None or not self.once.exists()):
            if self.once is not None:
                self.once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().tag_chunk(chunk, **flags)


def records(texts: Sequence[str]) -> list[list[Record]]:
    return [[Record(text, Origin("f", number))] for number, text in enumerate(texts, start=1)]


def test_what_a_killed_process_had_is_done_again_once(trained: Path, tmp_path: Path) -> None:
    tagger = Deadly.load(trained)
    tagger.once = tmp_path / "died"
    texts = ["Ann sees Rome .", "Bob may die .", "Eve sees Oslo .", "Ann waits ."]
    results = list(tag_in_processes(tagger, Chunks(records(texts)), 2, lambda: None))
    assert [result.text for result in results] == texts
    assert all(isinstance(result, Document) for result in results)
    assert tagger.once.exists()


def test_a_text_that_kills_twice_fails_alone(trained: Path) -> None:
    tagger = Deadly.load(trained)
    texts = ["Ann sees Rome .", "Bob may die .", "Eve sees Oslo ."]
    results = list(tag_in_processes(tagger, Chunks(records(texts)), 2, lambda: None))
    assert [isinstance(result, Failure) for result in results] == [False, True, False]
    assert results[1] == Failure(texts[1], "the process that tagged it was killed (signal 9), twice", Origin("f", 2))


def test_what_has_failed_already_stays(trained: Path) -> None:
    failure = Failure("", "found nothing", Origin("f", 1))
    chunk = [failure, Record("Ann sees Rome .", Origin("f", 2))]
    one, other = tag_in_processes(Tagger.load(trained), Chunks([chunk]), 1, lambda: None)
    assert one == failure
    assert isinstance(other, Document)
    assert other.origin == Origin("f", 2)


def test_an_error_of_ours_is_raised(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tagger = Tagger.load(trained)
    with pytest.raises(TypeError):
        list(tag_in_processes(tagger, Chunks([[3]]), 1, lambda: None))
