from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from ner_elmo.tagger.network.inputs import (
    UNKNOWN_INDEX,
    Example,
    collate,
    drop_singletons,
    initial_vectors,
    make_examples,
    make_words,
)
from ner_elmo.tagger.network.model import TaggerModel, TaggerOptions, WordVectors
from ner_elmo.text.formats.corpus import LabelledSentence
from ner_elmo.text.tag_scheme import Span, tag_set

TAGS = tag_set(["A", "B"], "bioes")


def example(*tokens: str, layers: int = 0) -> Example:
    rng = np.random.default_rng(len(tokens))
    words = make_words(Counter({"a": 2, "b": 2}))
    frozen = rng.normal(size=(layers, len(tokens), 4)).astype(np.float16) if layers else None
    return Example(tokens, words.indices(tokens), frozen, np.zeros(len(tokens), dtype=np.int64))


def test_words_are_found_exactly_then_lower_cased_then_unknown() -> None:
    words = make_words(Counter({"the": 3, "Apple": 2, "rare": 1}), min_count=2)
    assert words.words == ["<pad>", "<unk>", "the", "Apple"]
    assert [words.index(form) for form in ("the", "THE", "Apple", "apple", "rare")] == [2, 2, 3, 1, 1]


def test_words_of_a_vectors_file_follow_and_start_from_its_vectors() -> None:
    words = make_words(Counter({"Rome": 2, "new": 1, "seen": 1}), min_count=1, known=["rome", "seen", "paris"])
    assert words.n_tuned == 5
    assert words.words[5:] == ["rome", "paris"]
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    table = initial_vectors(words, 2, ["rome", "seen", "paris"], vectors, seed=1)
    assert table[words.index("Rome")].tolist() == [0, 1]  # by its lower-case form
    assert table[words.index("seen")].tolist() == [2, 3]
    assert table[words.index("paris")].tolist() == [4, 5]
    assert not table[0].any()
    assert table[words.index("new")].any()


def test_only_singletons_are_dropped() -> None:
    words = make_words(Counter({"a": 2, "b": 1}))
    batch = collate([Example(("a", "b") * 50, words.indices(("a", "b") * 50))])
    torch.manual_seed(0)
    dropped = drop_singletons(batch, words, 0.5).word_ids[0]
    assert (dropped[::2] == words.index("a")).all()
    assert 10 < int((dropped[1::2] == UNKNOWN_INDEX).sum()) < 40


def test_tags_of_unknown_labels_become_outside() -> None:
    sentence = LabelledSentence(("x", "y", "z"), (Span(0, 1, "A"), Span(1, 3, "NEW")))
    (made,) = make_examples([sentence], make_words(Counter()), {tag: i for i, tag in enumerate(TAGS)}, "bioes")
    assert made.tag_ids is not None
    assert [TAGS[i] for i in made.tag_ids] == ["S-A", "O", "O"]


def tiny_model(**changes: object) -> TaggerModel:
    torch.manual_seed(0)
    values: dict[str, object] = {"tags": TAGS, "n_words": 4, "n_tuned_words": 4, "word_dim": 3, "hidden_dim": 5}
    values |= {"char_dim": 4, "char_filters": 6}
    return TaggerModel(TaggerOptions(**(values | changes))).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("layers", [0, 3])
def test_padding_and_neighbours_change_nothing(layers: int) -> None:
    elmo = {"elmo_dim": 4, "elmo_layers": [0, 1, 2]} if layers else {}
    model = tiny_model(**elmo)
    examples = [
        example("a", "b", "something-very-long", layers=layers),
        example(layers=layers),
        example("b", layers=layers),
        example("ü", "日本", "a", "b", "a", "", layers=layers),
    ]
    together = collate(examples)
    emissions, losses = model(together), model.crf.neg_log_likelihood(model(together), together.tag_ids, together.mask)
    for row, one in enumerate(examples):
        alone = collate([one])
        found = model(alone)
        torch.testing.assert_close(found[0], emissions[row, : len(one.tokens)])
        torch.testing.assert_close(model.crf.neg_log_likelihood(found, alone.tag_ids, alone.mask)[0], losses[row])
    assert model.loss(together).isfinite()


def test_vectors_beyond_the_tuned_ones_stay_as_they_are() -> None:
    vectors = WordVectors(TaggerOptions(tags=TAGS, n_words=5, n_tuned_words=3, word_dim=2))
    table = torch.arange(10.0).reshape(5, 2)
    vectors.set_table(table)
    ids = torch.tensor([[2, 3, 4, 1]])
    out = vectors(ids)
    torch.testing.assert_close(out[0], table[ids[0]])
    out.sum().backward()
    assert list(vectors.state_dict()) == ["tuned.weight"]
    assert vectors.tuned.weight.grad is not None
    assert vectors.tuned.weight.grad.tolist() == [[0, 0], [1, 1], [1, 1]]
    torch.testing.assert_close(vectors.table(), table)


def test_one_mix_layer_needs_no_mix() -> None:
    assert tiny_model(elmo_dim=4, elmo_layers=[1], mix="mean").mix_weights() is None
    shares = tiny_model(elmo_dim=4, elmo_layers=[0, 2]).mix_weights()
    assert shares is not None
    assert list(shares["layers"]) == ["0", "2"]
    assert shares["gamma"] == 1.0
