"""Several files as one stream: each sentence once, evenly mixed, the same for the same seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ner_elmo.bilm.data import corpus
from ner_elmo.bilm.data.corpus import TextSource
from ner_elmo.bilm.data.interleave import OPEN_FILES, deal, interleaved
from ner_elmo.text.characters import char_ids
from ner_elmo.text.counting import count_text
from ner_elmo.text.vocabulary import Vocabulary
from tests.support.toy_pretraining import toy_text


def written(folder: Path, sizes: list[int]) -> tuple[Path, ...]:
    """Files of so many sentences, each sentence its file's name and a number."""
    for name, size in enumerate(sizes):
        (folder / f"{name:02}.txt").write_text("".join(f"{name} {number}\n" for number in range(size)))
    return tuple(sorted(folder.iterdir()))


def test_files_are_mixed_evenly_and_each_keeps_its_order(tmp_path: Path) -> None:
    sizes = [600, 200, 0, 1]
    source = TextSource(written(tmp_path, sizes), sizes=tuple(sizes))
    found = list(source.sentences("1/0"))
    assert Counter(name for name, _ in found) == {"0": 600, "1": 200, "3": 1}
    for name in "01":
        numbers = [int(number) for file, number in found if file == name]
        assert numbers == sorted(numbers)
    for start in range(0, 800, 200):  # a quarter of every quarter is from the second file
        share = sum(name == "1" for name, _ in found[start : start + 200]) / 200
        assert share == pytest.approx(0.25, abs=0.1)
    assert list(source.sentences("1/0")) == found
    assert list(source.sentences("1/1")) != found
    assert [name for name, _ in source.sentences()] == ["0"] * 600 + ["1"] * 200 + ["3"]


def test_a_single_file_is_read_as_it_is(tmp_path: Path) -> None:
    source = TextSource(written(tmp_path, [30]))
    assert list(source.sentences("1/0")) == list(source.sentences())


def test_few_of_many_files_are_open_at_a_time(tmp_path: Path) -> None:
    sizes = [random.Random(1).randint(1, 30) for _ in range(60)]
    files = written(tmp_path, sizes)
    open_now: set[Path] = set()
    most = 0

    def read(file: Path) -> Iterator[list[str]]:
        nonlocal most
        open_now.add(file)
        most = max(most, len(open_now))
        for line in file.read_text().splitlines():
            yield line.split()
        open_now.remove(file)

    found = list(interleaved(files, sizes, read, random.Random(5)))
    assert len(found) == sum(sizes)
    assert len({tuple(sentence) for sentence in found}) == len(found)
    assert most == OPEN_FILES


def test_lanes_are_of_about_the_same_size_and_a_large_file_has_its_own() -> None:
    sizes = [1000, *[10] * 100]
    lanes = deal(sizes, random.Random(1))
    assert sorted(i for lane in lanes for i in lane) == list(range(101))
    assert [0] in lanes
    others = [len(lane) for lane in lanes if lane != [0]]
    assert max(others) - min(others) <= 1


def test_a_file_that_grew_since_it_was_counted_is_read_to_its_end(tmp_path: Path) -> None:
    source = TextSource(written(tmp_path, [50, 50]), sizes=(10, 50))
    assert len(list(source.sentences("1/0"))) == 100


def test_sizes_are_those_of_training_sentences(tmp_path: Path) -> None:
    source = TextSource(written(tmp_path, [400, 100])).holding_out()
    count = count_text(source.files, "whitespace", split=source.split)
    assert sum(count.sentences) + len(count.heldout) == 500
    assert sum(count.sentences) == len(list(source.sentences()))


def test_batches_hold_every_sentence_once_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "SHUFFLE_BUFFER", 50)
    sentences = toy_text(173, 2)

    def batches(epoch: int) -> list[list[list[str]]]:
        return list(corpus.training_batches(lambda: (list(s) for s in sentences), 40, 1, epoch))

    found = batches(0)
    assert sorted(sentence for batch in found for sentence in batch) == sorted(sentences)
    assert all(len(batch) * (max(map(len, batch)) + 2) <= 40 for batch in found)
    assert batches(0) == found
    assert batches(1) != found


def test_long_sentences_are_cut_for_training() -> None:
    found = list(corpus.training_batches(lambda: [["x"] * 95], 32, 1, 0))
    assert sorted(len(sentence) for batch in found for sentence in batch) == [5, 30, 30, 30]


def test_make_batch() -> None:
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", "a", "b"])
    batch = corpus.make_batch([["a", "zz"], ["b"]], vocabulary, 10)
    assert batch.targets.t().tolist() == [[0, 3, 2, 1], [0, 4, 1, 1]]
    assert batch.lengths.tolist() == [4, 3]
    assert batch.n_tokens == 3
    assert len(batch.types) == 5
    wanted = char_ids(["<S>", "a", "zz", "</S>"], 10)
    np.testing.assert_array_equal(batch.types[batch.tokens[:, 0]].numpy(), wanted)


def test_held_out_sentences_are_not_trained_on(toy: Path) -> None:
    source = corpus.TextSource((toy,)).holding_out()
    kept, out = list(source.sentences()), count_text(source.files, "whitespace", split=source.split).heldout
    assert out
    assert len(kept) + len(out) == 400
    assert not {tuple(s) for s in kept} & {tuple(s) for s in out}
