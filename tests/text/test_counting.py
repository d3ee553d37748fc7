"""Counting in one pass: against a count by hand, by one process or several, and what is held out."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ner_elmo.text import counting
from ner_elmo.text.counting import RepeatedSentences, TextCount, count_text
from ner_elmo.text.heldout import Split, sentence_digest
from ner_elmo.text.tokenizer import sentences

RAW = "Mr. Smith didn't go. He stayed in the U.S. Senate! Why?"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    rng = random.Random(3)
    lines = [" ".join(f"w{int(rng.paretovariate(0.7)) % 90}" for _ in range(rng.randint(0, 9))) for _ in range(900)]
    paths = [tmp_path / name for name in ("a.txt", "b.txt", "c.txt")]
    for number, path in enumerate(paths):
        path.write_text("\n".join([*lines[300 * number : 300 * number + 300], RAW, "again and again"]) + "\n")
    return paths


def facts(count: counting.TextCount) -> tuple[object, ...]:
    return list(count.counts.items()), count.sentences, count.heldout, count.n_elsewhere, count.repeated.number()


@pytest.mark.parametrize("kind", ["whitespace", "en-1"])
def test_the_count_is_that_by_hand_in_one_process_or_several(
    files: list[Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = Split(0.1, frozenset([sentence_digest(["again", "and", "again"])]))
    whole = count_text(files, kind, split=split)
    tokens = Counter[str]()
    found = []
    for file in files:
        for line in file.read_text().splitlines():
            found += [[token.form for token in sentence] for sentence in sentences(line, kind)]
    training = [sentence for sentence in found if split.trains_on(sentence_digest(sentence))]
    for sentence in training:
        tokens.update(sentence)
    assert whole.counts == tokens | {"</S>": len(training)}
    assert whole.n_tokens == tokens.total()
    assert sum(whole.sentences) == len(training)
    assert whole.heldout == [sentence for sentence in found if split.holds_out(sentence_digest(sentence))]
    assert whole.heldout
    assert whole.n_elsewhere == 3
    assert whole.repeated.number() == len(found) - len({tuple(sentence) for sentence in found})
    monkeypatch.setattr(counting, "BLOCK_CHARACTERS", 700)
    monkeypatch.setattr(counting, "LITTLE_TEXT", 0)
    assert facts(count_text(files, kind, split=split)) == facts(whole)
    assert facts(count_text(files, kind, split=split, processes=2)) == facts(whole)


def test_no_sentence_is_on_both_sides(files: list[Path]) -> None:
    split = Split(0.2)
    count = count_text([*files, *files], "whitespace", split=split)  # every line at least twice
    out = {tuple(sentence) for sentence in count.heldout}
    kept = set()
    for file in files:
        kept |= {tuple(tokens) for tokens in split.training(line.split() for line in file.read_text().splitlines())}
    assert out
    assert kept
    assert not out & kept
    assert count.repeated.number() > sum(count.sentences) / 2


def test_the_number_of_held_out_sentences_is_bounded(files: list[Path]) -> None:
    whole = count_text(files, "whitespace", split=Split(0.5)).heldout
    assert count_text(files, "whitespace", split=Split(0.5), heldout_most=7).heldout == whole[:7]


def test_a_sample_is_the_beginning_of_each_file(files: list[Path]) -> None:
    count = count_text(files, "whitespace", most_characters=[1, 50, 10**9])
    lines = files[0].read_text().splitlines()
    assert count.sentences[0] == bool(lines[0].split())
    assert 1 <= count.sentences[1] < 20
    assert count.sentences[2] > 250


def test_special_strings_are_not_counted(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a <UNK> <S>\nb </S>\n")
    assert count_text([tmp_path / "x"], "whitespace").counts == {"a": 1, "b": 1, "</S>": 2}


@pytest.mark.parametrize("most", [counting.DIGESTS_MOST, 40])
def test_parts_counted_apart_are_the_whole(files: list[Path], monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(RepeatedSentences.__init__, "__defaults__", (most,))
    split = Split(share=0.1)
    whole = count_text(files, "whitespace", split=split, heldout_most=50)
    total = counting.TextCount(Counter(), [0] * 3)
    for numbers in ([0, 2], [1]):
        part = count_text([files[number] for number in numbers], "whitespace", split=split, heldout_most=50)
        total.add(part, numbers, 50)
    assert total.counts == whole.counts
    assert (total.sentences, total.n_elsewhere) == (whole.sentences, whole.n_elsewhere)
    assert len(total.heldout) == len(whole.heldout) == 50
    assert (total.repeated.number(), total.repeated.is_exact) == (whole.repeated.number(), whole.repeated.is_exact)


def test_repeated_sentences_are_counted_exactly_and_then_estimated() -> None:
    rng = np.random.default_rng(1)
    distinct = rng.integers(0, 2**64, 20_000, dtype=np.uint64)
    digests = rng.permutation(np.repeat(distinct, 3))
    exact, bounded = RepeatedSentences(most=20_000), RepeatedSentences(most=1_000)
    for start in range(0, len(digests), 700):
        exact.add(digests[start : start + 700])
        bounded.add(digests[start : start + 700])
    assert exact.is_exact
    assert exact.number() == 40_000
    assert not bounded.is_exact
    assert bounded.number() == pytest.approx(40_000, rel=0.2)
    assert len(bounded._digests) <= 1_000


def test_memory_is_bounded_however_many_forms_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "FORMS_MOST", 1_000)
    monkeypatch.setattr(counting, "BLOCK_CHARACTERS", 2_000)
    path = tmp_path / "text.txt"
    path.write_text("".join(f"the old n{i} the k{i % 40}\n" for i in range(20_000)))
    most = 0

    class Watched(Counter[str]):
        def update(self, *counts: object) -> None:  # type: ignore[override]
            nonlocal most
            super().update(*counts)
            most = max(most, len(self))

    monkeypatch.setattr(counting, "Counter", Watched)
    count = count_text([path], "whitespace")
    assert most < 1_000 + 200  # the forms of one block
    assert count.n_tokens == 100_000
    assert count.n_forgotten > 10_000
    assert (count.counts["the"], count.counts["old"], count.counts["k7"]) == (40_000, 20_000, 500)
    assert count.counts["</S>"] == 20_000


def test_a_count_can_be_sent_as_json(files: list[Path]) -> None:
    count = count_text(files, "whitespace", split=Split(share=0.2), heldout_most=5)
    again = TextCount.from_dict(json.loads(json.dumps(count.to_dict())))
    assert list(again.counts.items()) == list(count.counts.items())
    assert (again.sentences, again.heldout) == (count.sentences, count.heldout)
    assert again.to_dict() == count.to_dict()
    assert again.repeated.number() == count.repeated.number()
