"""A sentence has the same vectors alone, in any batch, in any order and a second time (docs/design.md §6)."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ner_elmo.bilm.files.directory import write_bilm
from ner_elmo.bilm.softmax import Softmax
from ner_elmo.elmo.encoder import Elmo
from ner_elmo.text.vocabulary import Vocabulary
from tests.support.small_bilms import make_model, make_options

TOKENS = ["a", "b", "in", "vocabulary"]
CLIPS = {"off": {}, "binding": {"cell_clip": 0.3, "proj_clip": 0.2}}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    places = {}
    for name, clips in CLIPS.items():
        places[name] = tmp_path_factory.mktemp("no_state") / name
        vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", *TOKENS])
        softmax = Softmax(len(vocabulary), 5)
        softmax.reset_parameters()
        write_bilm(
            places[name], make_model(make_options(**clips)), softmax, vocabulary, {"text": {"tokens": "whitespace"}}
        )
    return places


@cache
def loaded(folder: Path, batch_tokens: int | None) -> Elmo:
    """One encoder for all examples: what it did before must not matter."""
    return Elmo.load(folder, batch_tokens=batch_tokens)


@cache
def alone(folder: Path, sentence: tuple[str, ...]) -> np.ndarray:
    """By an encoder that has seen nothing else."""
    return next(Elmo.load(folder).embed([sentence]))


tokens = st.sampled_from(TOKENS) | st.text(max_size=15) | st.sampled_from(["<S>", "</S>", "", "日本語" * 20])
sentence_lists = st.lists(st.lists(tokens, max_size=10), max_size=4)


@pytest.mark.parametrize("clips", CLIPS)
@given(
    sentences=sentence_lists,
    order=st.randoms(use_true_random=False),
    batch_tokens=st.sampled_from([1, 30, None]),
    read_ahead=st.sampled_from([1, 20, 10_000]),
)
@settings(max_examples=25)
def test_alone_in_any_batch_in_any_order_and_twice(
    folders: dict[str, Path],
    clips: str,
    sentences: list[list[str]],
    order: object,
    batch_tokens: int | None,
    read_ahead: int,
) -> None:
    wanted = [alone(folders[clips], tuple(sentence)) for sentence in sentences]
    places = [i for i in range(len(sentences)) for _ in range(2)]
    order.shuffle(places)  # type: ignore[attr-defined]
    elmo = loaded(folders[clips], batch_tokens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elmo, "read_ahead_tokens", read_ahead)
        found = list(elmo.embed([sentences[i] for i in places]))
    assert len(found) == len(places)
    for i, vectors in zip(places, found, strict=True):
        assert vectors.shape == (3, len(sentences[i]), 10)
        np.testing.assert_allclose(vectors, wanted[i], atol=1e-6, rtol=0)


def test_the_published_shape_alone_and_in_batches(goldens: Path) -> None:
    """The LSTMs of the small published model: sums of 128 and 1,024 terms, whose rounding could depend on the batch."""
    folder = goldens / "encoder" / "small_shape"
    batches = json.loads((folder / "tokens.json").read_text(encoding="utf-8"))
    sentences = [*batches["mixed"], *batches["long"], *[[token] for token in batches["long"][0][:20]]]
    elmo = Elmo.load(folder / "weights.hdf5")
    together = list(elmo.embed(sentences))
    again = list(elmo.embed(reversed(sentences)))[::-1]
    for sentence, a, b in zip(sentences, together, again, strict=True):
        (single,) = elmo.embed([sentence])
        np.testing.assert_allclose(single, a, atol=1e-6, rtol=0)
        np.testing.assert_allclose(b, a, atol=1e-6, rtol=0)


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_fresh_encoders_give_the_same_bits_alone_and_in_batches(repository: Path, threads: int) -> None:
    """New tokens share their calls of the character CNN with others: with none, with a few, with a hundred."""
    rng = random.Random(5)
    letters = "abcdefghijklmnopqrstuvwxyz"
    sentences = [
        ["".join(rng.choices(letters, k=rng.randint(1, 16))) for _ in range(rng.choice([1, 2, 3, 5, 9, 25]))]
        for _ in range(100)
    ]
    elmo = Elmo.load(repository / "models" / "en")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        together = list(elmo.embed(sentences))
        for tokens, expected in zip(sentences, together, strict=True):
            elmo._types._table = elmo._types._empty()
            assert np.array_equal(next(elmo.embed([tokens])), expected)
    finally:
        torch.set_num_threads(before)
