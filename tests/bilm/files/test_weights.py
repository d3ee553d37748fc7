"""Weight files: what does not fit is refused by name and shape; what is written is what the references read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from ner_elmo.bilm.files.weights import read_weights, write_weights
from ner_elmo.bilm.options import BilmOptions, read_options
from ner_elmo.errors import ModelError
from tests.support.hdf5_files import datasets
from tests.support.small_bilms import make_model, make_options

LSTM = "RNN_1/RNN/MultiRNNCell/Cell1/LSTMCell"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    write_weights(make_model(make_options()), tmp_path / "a.hdf5")
    return tmp_path / "a.hdf5"


# Each kind of dataset with another shape than (7, 5, 2 layers; filters (1, 3), (3, 4); e 2; 1 highway) implies.
SHAPES = {
    "char_embed": (261, 2),
    "CNN/W_cnn_1": (1, 3, 2, 4),
    "CNN/b_cnn_0": (3,),
    "CNN_high_0/W_carry": (7, 7),
    "CNN_high_0/W_transform": (7, 7),
    "CNN_high_0/b_carry": (7,),
    "CNN_high_0/b_transform": (7,),
    "CNN_proj/W_proj": (7, 5),
    "CNN_proj/b_proj": (5,),
    f"{LSTM}/W_0": (10, 28),
    f"{LSTM}/B": (28,),
    f"{LSTM}/W_P_0": (7, 5),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("change", ["larger", "flattened", "missing"])
def test_a_dataset_that_does_not_fit_is_named_with_both_shapes(weights: Path, name: str, change: str) -> None:
    implied = SHAPES[name]
    found = {"larger": (*implied[:-1], implied[-1] + 1), "flattened": (int(np.prod(implied)), 1)}.get(change)
    with h5py.File(weights, "a") as file:
        assert file[name].shape == implied
        del file[name]
        if found is not None:
            file[name] = np.zeros(found, np.float32)
    with pytest.raises(ModelError) as refusal:
        read_weights(weights, make_options())
    if found is None:
        assert str(refusal.value) == f"{weights}: found no dataset {name}"
    else:
        assert str(refusal.value) == f"{weights}: {name}: found shape {found}, but the options imply {implied}"


SURPLUS: dict[str, tuple[Callable[[BilmOptions], BilmOptions], str]] = {
    "layers": (lambda o: dataclasses.replace(o, lstm=dataclasses.replace(o.lstm, n_layers=1)), "Cell1/LSTMCell/B"),
    "highway": (lambda o: dataclasses.replace(o, char_cnn=dataclasses.replace(o.char_cnn, n_highway=0)), "CNN_high_0"),
}


@pytest.mark.parametrize("part", SURPLUS)
def test_a_file_of_a_larger_network_is_not_read_in_part(weights: Path, part: str) -> None:
    fewer, name = SURPLUS[part]
    with pytest.raises(ModelError, match=rf"{name}.*found shape \(\d+, ?\d*\), but the options imply no such dataset"):
        read_weights(weights, fewer(make_options()))


def test_a_projection_that_the_options_do_not_have_is_refused(weights: Path) -> None:
    options = make_options(dim=5)
    write_weights(make_model(options), weights)
    with h5py.File(weights, "a") as file:
        file[f"{LSTM}/W_P_0"] = np.zeros((5, 5), np.float32)
    with pytest.raises(ModelError, match=r"W_P_0: found shape \(5, 5\), but the options imply no such dataset"):
        read_weights(weights, options)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.float32(1), r"embedding: found shape \(\), but the options imply \(any, 5\)"),
        (np.zeros((9, 4), np.float32), r"embedding: found shape \(9, 4\), but the options imply \(any, 5\)"),
        (np.zeros((9, 5), np.int32), "embedding: found int32, expected floating-point numbers"),
        (None, "found no dataset embedding"),
    ],
)
def test_word_tables_that_do_not_fit_are_refused(
    word_options: BilmOptions, tmp_path: Path, value: Any, message: str
) -> None:
    write_weights(make_model(word_options, n_words=9), tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5", "a") as file:
        del file["embedding"]
        if value is not None:
            file["embedding"] = value
    with pytest.raises(ModelError, match=message):
        read_weights(tmp_path / "a.hdf5", word_options)


def test_claims_beyond_the_file_allocate_nothing(weights: Path) -> None:
    with pytest.raises(ModelError, match="but the options imply"):
        read_weights(weights, make_options(dim=10**9))
    with pytest.raises(ModelError, match="found no dataset RNN_0/RNN/MultiRNNCell/Cell2/LSTMCell/W_0"):
        read_weights(weights, make_options(n_layers=10**9))
    with h5py.File(weights, "a") as file:
        del file["char_embed"]
        file.create_dataset("char_embed", (2**40, 2), np.float32, chunks=(2**20, 2))
    with pytest.raises(ModelError, match=r"char_embed: claims shape \(1099511627776, 2\), more than the file can hold"):
        read_weights(weights, make_options())


def test_chunks_compression_and_half_precision_are_read(weights: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.hdf5"
    with h5py.File(other, "w") as file:
        for name, array in datasets(weights).items():
            file.create_dataset(name, data=array, compression="gzip", shuffle=True, fletcher32=True, dtype=">f8")
    a, b = (read_weights(path, make_options()) for path in (weights, other))
    for (name, value), (_, found) in zip(a.named_parameters(), b.named_parameters(), strict=True):
        assert torch.equal(value, found), name


GENUINE = [
    "encoder/clip_asym", "encoder/layers1", "encoder/layers3", "encoder/small_shape", "encoder/tf_maxchars12",
    "encoder/tf_nohighway", "encoder/tf_nolstmproj", "encoder/tf_noproj", "encoder/tiny_tanh_hw2",
    "reference_fixtures/allennlp/lm_weights.hdf5", "reference_fixtures/bilm-tf/lm_weights.hdf5",
    "training/dumped_weights.hdf5",
]  # fmt: skip


@pytest.mark.parametrize("case", GENUINE)
def test_a_file_of_the_references_is_written_back_to_the_bit(goldens: Path, tmp_path: Path, case: str) -> None:
    source = goldens / case if case.endswith(".hdf5") else goldens / case / "weights.hdf5"
    options = source.with_name("options_inference.json" if "training" in case else "options.json")
    write_weights(read_weights(source, read_options(options)), tmp_path / "out.hdf5")
    wanted, found = datasets(source), datasets(tmp_path / "out.hdf5")
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_written_datasets_are_plain(weights: Path, tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "b.hdf5"
    write_weights(read_weights(weights, make_options()), path, dtype)

    def check(name: str, node: h5py.Group | h5py.Dataset) -> None:
        assert not node.attrs
        if isinstance(node, h5py.Dataset):
            assert node.dtype == np.dtype(dtype).newbyteorder("<")
            assert node.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS

    with h5py.File(path) as file:
        assert len(datasets(path)) == 1 + 4 + 4 + 2 + 12  # §3: 1 + 2 · filters + 4 · highways + projection + LSTMs
        file.visititems(check)
    again = tmp_path / "c.hdf5"
    write_weights(read_weights(path, make_options()), again, dtype)
    assert {n: a.tobytes() for n, a in datasets(path).items()} == {n: a.tobytes() for n, a in datasets(again).items()}
