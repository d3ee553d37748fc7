"""Perplexity against a twin that goes word by word, and by hand."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest
import torch

from ner_elmo.bilm.perplexity import held_out_perplexity, unigram_perplexity
from ner_elmo.bilm.softmax import Softmax
from ner_elmo.text.characters import char_ids
from ner_elmo.text.vocabulary import Vocabulary
from tests.support import reference
from tests.support.small_bilms import file_arrays, make_model, make_options


def test_perplexity_equals_a_twin_that_goes_word_by_word(tmp_path: Path) -> None:
    options = make_options()
    model, softmax = make_model(options), Softmax(6, 5)
    softmax.reset_parameters()
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", "a", "bb", "ccc"])
    sentences = [["a", "bb"], ["ccc"], ["never", "a", "a", "bb"]]
    weights, cnn = file_arrays(model, tmp_path / "w.hdf5"), options.char_cnn
    assert cnn is not None
    matrix, bias = softmax.weight.detach().numpy(), softmax.bias.detach().numpy()
    sums = [0.0, 0.0]
    for sentence in sentences:
        tokens = ["<S>", *sentence, "</S>"]
        rows = char_ids(tokens, cnn.max_characters_per_token)
        vectors = [reference.token_vector(row, weights, cnn.filters, cnn.activation, cnn.n_highway) for row in rows]
        for direction, order in enumerate((1, -1)):
            top = reference.direction_layers(vectors[::order], weights, direction, 2, (None, None), True)[-1]
            for state, target in zip(top, tokens[::order][1:], strict=False):
                sums[direction] -= reference.log_softmax(matrix @ state + bias)[vocabulary.id_of(target)]
    found = held_out_perplexity(model, softmax, vocabulary, sentences, batch_tokens=9)
    assert (found.tokens, found.predictions) == (7, 10)
    assert found.unk_rate == pytest.approx(1 / 7)
    assert found.forward == pytest.approx(math.exp(sums[0] / 10), rel=1e-5)
    assert found.backward == pytest.approx(math.exp(sums[1] / 10), rel=1e-5)
    assert found.mean == pytest.approx(math.exp(sum(sums) / 20), rel=1e-5)


def test_carried_state_is_one_long_reading() -> None:
    model, softmax = make_model(make_options()), Softmax(6, 5)
    softmax.reset_parameters()
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", "a", "bb", "ccc"])
    sentences = [["a", "bb"], ["ccc"], ["never", "a", "a", "bb"]]
    found = held_out_perplexity(model, softmax, vocabulary, sentences, carry_state=True)
    sums = [0.0, 0.0]
    with torch.no_grad():
        for direction, (stack, order) in enumerate(((model.forward_lstm, 1), (model.backward_lstm, -1))):
            read = [["<S>", *sentence, "</S>"][::order] for sentence in sentences]
            inputs = [token for tokens in read for token in tokens[:-1]]  # a sentence's last symbol is only predicted
            wanted = torch.tensor([vocabulary.id_of(token) for tokens in read for token in tokens[1:]])
            vectors = model.token_encoder(torch.from_numpy(char_ids(inputs, 12)))
            outputs, _ = stack(vectors, [1] * len(vectors))
            sums[direction] = softmax.losses(outputs[-1], wanted).sum().item()
    assert found.forward == pytest.approx(math.exp(sums[0] / 10), rel=1e-5)
    assert found.backward == pytest.approx(math.exp(sums[1] / 10), rel=1e-5)
    assert found.mean != pytest.approx(held_out_perplexity(model, softmax, vocabulary, sentences).mean, rel=1e-4)


def test_unigram_perplexity_by_hand() -> None:
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", "a"])
    counts = Counter({"a": 2, "x": 1, "</S>": 1})
    # add-one over 4 words and 4 counts: a 3/8, <UNK> 2/8, </S> 2/8
    expected = math.exp(-(math.log(3 / 8) + math.log(2 / 8) + math.log(2 / 8)) / 3)
    assert unigram_perplexity(counts, vocabulary, [["a", "y"]]) == pytest.approx(expected)
