"""Small biLMs with random weights, made on the spot: options, networks, model directories."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch

from ner_elmo.bilm.files.directory import write_bilm
from ner_elmo.bilm.files.weights import write_weights
from ner_elmo.bilm.model import BiLm
from ner_elmo.bilm.options import BilmOptions, CharCnnOptions, LstmOptions
from ner_elmo.bilm.softmax import Softmax
from ner_elmo.text.vocabulary import Vocabulary
from tests.support.hdf5_files import datasets


def make_options(**lstm: object) -> BilmOptions:
    """A biLM with two convolutions, of ``dim`` 7 and ``projection_dim`` 5 unless ``lstm`` says otherwise."""
    shape = {"dim": 7, "projection_dim": 5, "n_layers": 2} | lstm
    return BilmOptions(
        lstm=LstmOptions(**shape),  # type: ignore[arg-type]
        char_cnn=CharCnnOptions(filters=((1, 3), (3, 4)), embedding_dim=2, max_characters_per_token=12),
        dropout=0.0,
    )


def make_model(options: BilmOptions, seed: int = 0, n_words: int | None = None) -> BiLm:
    """A network for inference; biases too are random."""
    torch.manual_seed(seed)
    model = BiLm(options, n_words)
    model.reset_parameters()
    with torch.no_grad():  # initial biases are zero and would hide mistakes
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return model.eval()


def small_bilm(folder: Path, storage: str = "float32", seed: int = 0) -> None:
    """Writes a biLM directory of five words."""
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", "a", "b"])
    softmax = Softmax(5, 5)
    softmax.reset_parameters()
    write_bilm(
        folder, make_model(make_options(), seed), softmax, vocabulary, {"text": {"tokens": "whitespace"}}, storage
    )


def file_arrays(model: BiLm, path: Path) -> dict[str, np.ndarray]:
    """The arrays of the weight file that ``model`` is written to, as float64."""
    write_weights(model, path)
    return {name: array.astype(float) for name, array in datasets(path).items()}


def copy_pair(source: Path, target: Path, weights: str = "weights.hdf5", options: str = "options.json") -> None:
    """The two published files of a biLM directory, under these names."""
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / "weights.hdf5", target / weights)
    shutil.copyfile(source / "options.json", target / options)
