"""A biLM in other formats holds the same numbers, and says who cannot read it."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from ner_elmo.bilm.files.conversion import convert_bilm, write_published_pair
from ner_elmo.bilm.files.directory import find_bilm, load_bilm, load_options
from ner_elmo.bilm.files.weights import write_weights
from ner_elmo.bilm.options import options_to_json
from ner_elmo.cli.main import main
from ner_elmo.errors import ModelError
from tests.support.hdf5_files import datasets
from tests.support.small_bilms import copy_pair, make_model, make_options, small_bilm


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    small_bilm(tmp_path / "original")
    return tmp_path / "original"


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_the_published_pair_holds_the_stored_numbers(tmp_path: Path, storage: str) -> None:
    small_bilm(tmp_path / "bilm", storage)
    assert main(["convert", str(tmp_path / "bilm"), str(tmp_path / "pair"), "--to", "bilm-tf"]) == 0
    stored, pair = datasets(tmp_path / "bilm" / "weights.hdf5"), datasets(tmp_path / "pair" / "weights.hdf5")
    assert stored.keys() == pair.keys()
    for name, array in stored.items():
        assert pair[name].dtype == np.float32
        np.testing.assert_array_equal(pair[name], array.astype(np.float32))
    write_published_pair(tmp_path / "pair", tmp_path / "again")  # read ∘ write, by the command's own function
    for name, array in datasets(tmp_path / "again" / "weights.hdf5").items():
        assert array.tobytes() == pair[name].tobytes()


def test_the_published_pair_has_the_keys_that_the_references_insist_on(model_folder: Path, tmp_path: Path) -> None:
    write_published_pair(model_folder, tmp_path / "pair")
    values = json.loads((tmp_path / "pair" / "options.json").read_text())
    lstm = {"dim", "projection_dim", "n_layers", "cell_clip", "proj_clip", "use_skip_connections"}
    assert values["lstm"].keys() == lstm
    cnn = {"activation", "embedding", "filters", "max_characters_per_token", "n_characters", "n_highway"}
    assert values["char_cnn"].keys() == cnn
    assert values["char_cnn"]["n_characters"] == 262


LIMITS = {
    "words": ({}, {"words": True}, "AllenNLP will not read it: its input is words"),
    "skips": ({"use_skip_connections": False}, {}, "AllenNLP will not read it: use_skip_connections is false"),
    "projection": ({"dim": 5}, {}, r"no LSTM projection \(dim = projection_dim\)"),
    "few filters": ({"dim": 20, "projection_dim": 9}, {}, "bilm-tf will not read it: 7 filters, fewer than"),
    "characters": ({}, {}, "AllenNLP will not read it: max_characters_per_token is 12, not 50"),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_networks_that_a_reference_cannot_read_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], limit: str
) -> None:
    lstm, words, message = LIMITS[limit]
    options = make_options(**lstm)
    options = dataclasses.replace(options, char_cnn=None) if words else options
    (tmp_path / "m").mkdir()
    write_weights(make_model(options, n_words=3 if words else None), tmp_path / "m" / "weights.hdf5")
    (tmp_path / "m" / "options.json").write_text(json.dumps(options_to_json(options)))
    (tmp_path / "m" / "vocab.txt").write_text("<S>\n</S>\n<UNK>\n")
    assert main(["convert", str(tmp_path / "m"), str(tmp_path / "out"), "--to", "bilm-tf"]) == 0
    assert re.search(message, capsys.readouterr().err)
    assert load_options(find_bilm(tmp_path / "out")).lstm == options.lstm


def test_half_precision_needs_a_whole_model(model_folder: Path, tmp_path: Path) -> None:
    copy_pair(model_folder, tmp_path / "pair")
    with pytest.raises(ModelError, match=r"pair: found no vocab\.txt"):
        convert_bilm(tmp_path / "pair", tmp_path / "out", "float16")
    assert not (tmp_path / "out").exists()


def test_float32_after_float16_is_the_same_numbers(model_folder: Path, tmp_path: Path) -> None:
    convert_bilm(model_folder, tmp_path / "half", "float16")
    convert_bilm(tmp_path / "half", tmp_path / "whole", "float32")
    half, whole = (load_bilm(find_bilm(tmp_path / name)) for name in ("half", "whole"))
    for (name, a), (_, b) in zip(half.named_parameters(), whole.named_parameters(), strict=True):
        assert torch.equal(a, b), name
