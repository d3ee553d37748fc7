"""The network against a one-step NumPy twin, on the arrays of its own weight file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ner_elmo.bilm.files.weights import read_weights, write_weights
from ner_elmo.bilm.options import BilmOptions, options_to_json, parse_options
from ner_elmo.errors import ModelError
from ner_elmo.nn.packing import reversal, reverse
from ner_elmo.text.characters import char_ids
from tests.support import reference
from tests.support.small_bilms import file_arrays, make_model, make_options

TOKENS = ["<S>", "Ein", "Haus", "am", "Übergangsbahnhof", "", "</S>"]


def test_layers_equal_the_numpy_twin(options: BilmOptions, tmp_path: Path) -> None:
    model = make_model(options)
    weights = file_arrays(model, tmp_path / "weights.hdf5")
    cnn, lstm = options.char_cnn, options.lstm
    assert cnn is not None
    ids = char_ids(TOKENS, cnn.max_characters_per_token)
    vectors = [reference.token_vector(row, weights, cnn.filters, cnn.activation, cnn.n_highway) for row in ids]
    with torch.no_grad():
        found_vectors = model.token_encoder(torch.from_numpy(ids))
        others = torch.randn(3, found_vectors.shape[1])  # a shorter sentence beside it changes nothing
        found = model.layers(torch.cat([found_vectors, others]), [len(TOKENS), 3])[:, : len(TOKENS)]
    np.testing.assert_allclose(found_vectors.numpy(), np.stack(vectors), atol=1e-5)
    clips = lstm.cell_clip, lstm.proj_clip
    forward = reference.direction_layers(vectors, weights, 0, lstm.n_layers, clips, lstm.use_skip_connections)
    backward = reference.direction_layers(vectors[::-1], weights, 1, lstm.n_layers, clips, lstm.use_skip_connections)
    np.testing.assert_allclose(found[0].numpy(), np.concatenate([np.stack(vectors)] * 2, axis=1), atol=1e-5)
    for layer in range(lstm.n_layers):
        twin = np.concatenate([np.stack(forward[layer]), np.stack(backward[layer][::-1])], axis=1)
        np.testing.assert_allclose(found[layer + 1].numpy(), twin, atol=1e-5)


def test_fewer_layers_are_the_lower_ones() -> None:
    model = make_model(make_options(n_layers=3))
    vectors, lengths = torch.randn(10, 5), [6, 4]
    with torch.no_grad():
        torch.testing.assert_close(model.layers(vectors, lengths)[:2], model.layers(vectors, lengths, n_layers=1))


def test_predictions_see_nothing_of_what_they_predict() -> None:
    model = make_model(make_options())
    lengths = torch.tensor([6, 4])
    vectors = torch.randn(6, 2, 5)
    with torch.no_grad():
        forward, backward = model.predictions(vectors, lengths)
        for position in range(6):
            changed = vectors.clone()
            changed[position] += 1.0
            forward_after, backward_after = model.predictions(changed, lengths)
            # Forward row t knows positions 0 … t; backward row t of a sentence of length L knows L-1 … L-1-t.
            torch.testing.assert_close(forward_after[:position], forward[:position])
            for column, length in enumerate(lengths.tolist()):
                rows = max(0, length - 1 - position)
                torch.testing.assert_close(backward_after[:rows, column], backward[:rows, column])
                if position < length and rows < length - 1:
                    assert not torch.allclose(backward_after[rows, column], backward[rows, column])


def test_reversing_twice_is_nothing() -> None:
    x, lengths = torch.randn(5, 3, 2), torch.tensor([5, 1, 3])
    order = reversal(lengths, 5)
    assert torch.equal(reverse(reverse(x, order), order), x)
    assert torch.equal(reverse(x, order)[:3, 2], x[:3, 2].flip(0))


def test_many_tokens_are_encoded_as_each_alone() -> None:
    model = make_model(make_options())
    rows = torch.from_numpy(char_ids([f"w{'x' * (n % 13)}{n}" for n in range(300)], 12))
    with torch.no_grad():
        together = model.token_encoder(rows)
        alone = torch.cat([model.token_encoder(row.unsqueeze(0)) for row in rows])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


def test_weights_round_trip_to_the_bit(options: BilmOptions, tmp_path: Path) -> None:
    model = make_model(options)
    write_weights(model, tmp_path / "a.hdf5")
    again = read_weights(tmp_path / "a.hdf5", options)
    for (name, value), (_, found) in zip(model.named_parameters(), again.named_parameters(), strict=True):
        assert torch.equal(value, found), name
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert file["char_embed"].shape == (261, 2)
        assert file["char_embed"].dtype == "<f4"
        assert file["char_embed"].chunks is None


def test_word_input_round_trip(word_options: BilmOptions, tmp_path: Path) -> None:
    model = make_model(word_options, n_words=9)
    write_weights(model, tmp_path / "a.hdf5")
    again = read_weights(tmp_path / "a.hdf5", word_options)
    assert again.n_words == 9
    assert torch.equal(model.token_encoder(torch.arange(9)), again.token_encoder(torch.arange(9)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": 8}, r"W_0: found shape \(10, 28\), but the options imply \(10, 32\)"),
        ({"n_layers": 3}, "found no dataset RNN_0/RNN/MultiRNNCell/Cell2/LSTMCell/W_0"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, int], message: str) -> None:
    write_weights(make_model(make_options()), tmp_path / "a.hdf5")
    with pytest.raises(ModelError, match=message):
        read_weights(tmp_path / "a.hdf5", make_options(**change))


def test_links_in_weight_files_are_refused(tmp_path: Path) -> None:
    write_weights(make_model(make_options()), tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5", "a") as file:
        del file["char_embed"]
        file["char_embed"] = h5py.ExternalLink("elsewhere.hdf5", "/x")
    with pytest.raises(ModelError, match="found a link"):
        read_weights(tmp_path / "a.hdf5", make_options())
    (tmp_path / "b.hdf5").write_text("not HDF5")
    with pytest.raises(ModelError, match="not an HDF5 file"):
        read_weights(tmp_path / "b.hdf5", make_options())


def test_options_round_trip(options: BilmOptions) -> None:
    assert parse_options(options_to_json(options)) == options


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "no 'lstm' section"),
        ({"lstm": {"dim": "big", "projection_dim": 3}}, "lstm.dim: found 'big'"),
        ({"lstm": {"dim": 4, "projection_dim": 3, "cell_clip": -1}}, "cell_clip: found -1"),
        (
            {"lstm": {"dim": 4, "projection_dim": 3}, "char_cnn": {"filters": [[1, 2]], "activation": "gelu"}},
            "activation: found 'gelu', expected one of relu, tanh",
        ),
    ],
)
def test_impossible_options_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse_options(values)


def test_a_clip_of_zero_is_off() -> None:
    assert (
        parse_options({"lstm": {"dim": 4, "projection_dim": 3, "cell_clip": 0, "proj_clip": None}}).lstm.cell_clip
        is None
    )
