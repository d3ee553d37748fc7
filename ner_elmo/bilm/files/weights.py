"""Weight files as published for ELMo: reading, with every shape checked, and writing (docs/elmo-format.md §3).

The names and layouts of the file stop here: :func:`weight_table` says, for each dataset, which parameter it is and
how its array becomes the parameter's, in both directions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch

from ner_elmo.bilm.model import BiLm
from ner_elmo.bilm.options import BilmOptions
from ner_elmo.errors import ModelError
from ner_elmo.text.characters import N_CHARACTERS
from ner_elmo.text.hdf5 import (
    Hdf5Writer,
    check_shape,
    find_dataset,
    has_group,
    names_of_datasets,
    open_hdf5,
    read_array,
    require_numbers,
    write_array,
)


class WeightEntry(NamedTuple):
    """One dataset: its name and shape in the file, the parameter's name, and the layout's change each way."""

    dataset: str
    shape: tuple[int, ...]
    parameter: str
    from_file: Callable[[np.ndarray], np.ndarray]
    to_file: Callable[[np.ndarray], np.ndarray]


def _same(array: np.ndarray) -> np.ndarray:
    return array


def _transposed(array: np.ndarray) -> np.ndarray:
    return array.T


def weight_table(options: BilmOptions, n_words: int | None = None) -> Iterator[WeightEntry]:
    """Every dataset of a weight file with these options; a kernel W_0 stands twice, once for each half of its rows."""
    if options.char_cnn is not None:
        yield from _cnn_entries(options)
    else:
        if n_words is None:
            raise ValueError("a model with word input needs n_words")
        shape = (n_words, options.lstm.projection_dim)
        yield WeightEntry("embedding", shape, "token_encoder.embedding.weight", _same, _same)
    for direction, stack in enumerate(("forward_lstm", "backward_lstm")):
        for layer in range(options.lstm.n_layers):
            group = f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell"
            yield from _lstm_entries(options, group, f"{stack}.layers.{layer}.lstm")


def _cnn_entries(options: BilmOptions) -> Iterator[WeightEntry]:
    cnn = options.char_cnn
    assert cnn is not None
    n, prefix = cnn.n_filters, "token_encoder"
    yield WeightEntry("char_embed", (N_CHARACTERS, cnn.embedding_dim), f"{prefix}.characters.weight", _same, _same)
    for i, (width, count) in enumerate(cnn.filters):
        yield WeightEntry(
            f"CNN/W_cnn_{i}",
            (1, width, cnn.embedding_dim, count),
            f"{prefix}.convolutions.{i}.weight",  # (count, e, width)
            lambda array: array[0].transpose(2, 1, 0),
            lambda array: array.transpose(2, 1, 0)[None],
        )
        yield WeightEntry(f"CNN/b_cnn_{i}", (count,), f"{prefix}.convolutions.{i}.bias", _same, _same)
    for k in range(cnn.n_highway):
        for ours in ("carry", "transform"):
            name = f"{prefix}.highways.{k}.{ours}"
            yield WeightEntry(f"CNN_high_{k}/W_{ours}", (n, n), f"{name}.weight", _transposed, _transposed)
            yield WeightEntry(f"CNN_high_{k}/b_{ours}", (n,), f"{name}.bias", _same, _same)
    dim = options.lstm.projection_dim
    if n != dim:
        yield WeightEntry("CNN_proj/W_proj", (n, dim), f"{prefix}.projection.weight", _transposed, _transposed)
        yield WeightEntry("CNN_proj/b_proj", (dim,), f"{prefix}.projection.bias", _same, _same)


def _reorder_gates(array: np.ndarray) -> np.ndarray:
    """Swap the second and third quarter of the first axis: the file has i, j, f, o; torch has i, f, j, o."""
    i, second, third, o = np.split(array, 4, axis=0)
    return np.concatenate([i, third, second, o], axis=0)


def _lstm_entries(options: BilmOptions, group: str, prefix: str) -> list[WeightEntry]:
    dim, n_inputs = options.lstm.dim, options.lstm.projection_dim
    n_state = n_inputs if options.lstm.has_projection else dim
    kernel = (n_inputs + n_state, 4 * dim)
    entries = [
        WeightEntry(
            f"{group}/W_0", kernel, f"{prefix}.weight_ih_l0", lambda w: _reorder_gates(w[:n_inputs].T), _reorder_gates
        ),
        WeightEntry(
            f"{group}/W_0", kernel, f"{prefix}.weight_hh_l0", lambda w: _reorder_gates(w[n_inputs:].T), _reorder_gates
        ),
        WeightEntry(f"{group}/B", (4 * dim,), f"{prefix}.bias_ih_l0", _reorder_gates, _reorder_gates),
    ]
    if options.lstm.has_projection:
        entries.append(
            WeightEntry(f"{group}/W_P_0", (dim, n_inputs), f"{prefix}.weight_hr_l0", _transposed, _transposed)
        )
    return entries


def read_weights(path: str | Path, options: BilmOptions) -> BiLm:
    """Build the network of ``options`` with the weights of a file.

    Raises:
        UsageError: no such file.
        ModelError: a dataset is missing, of another shape than the options imply (the message names both shapes), or
            of a part that the options do not have.
    """
    with open_hdf5(path) as file:
        n_words = None
        if options.char_cnn is None:
            n_words = check_shape(find_dataset(file, "embedding"), (None, options.lstm.projection_dim))[0]
        table: list[WeightEntry] = []
        for entry in _as_laid_out(file, weight_table(options, n_words)):
            check_shape(find_dataset(file, entry.dataset), entry.shape)  # before anything is allocated for a claim
            table.append(entry)
        _refuse_surplus(file, table)
        require_numbers(
            file, sum(math.prod(entry.shape) for entry in {entry.dataset: entry for entry in table}.values())
        )
        model = BiLm(options, n_words)
        parameters = dict(model.named_parameters())
        arrays: dict[str, np.ndarray] = {}
        with torch.no_grad():
            for entry in table:
                if entry.dataset not in arrays:
                    arrays = {entry.dataset: read_array(file, entry.dataset, entry.shape)}
                value = np.ascontiguousarray(entry.from_file(arrays[entry.dataset]))
                parameters[entry.parameter].copy_(torch.from_numpy(value))
    return model


def _as_laid_out(file: h5py.File, table: Iterator[WeightEntry]) -> Iterator[WeightEntry]:
    """The table with the names of this file: bilm-tf leaves a group out of the path in models of one layer."""
    one_layer = has_group(file, "RNN_0/RNN/LSTMCell")
    for entry in table:
        yield entry._replace(dataset=entry.dataset.replace("MultiRNNCell/Cell0/", "")) if one_layer else entry


def _refuse_surplus(file: h5py.File, table: list[WeightEntry]) -> None:
    """A larger network's file would otherwise be read in part, and give other vectors without a word."""
    known = {entry.dataset for entry in table}
    for name in sorted(names_of_datasets(file) - known):
        if name.startswith(("CNN", "RNN_")):
            shape = find_dataset(file, name).shape
            raise ModelError(f"{file.filename}: {name}: found shape {shape}, but the options imply no such dataset")


def write_weights(model: BiLm, path: str | Path, dtype: str = "float32") -> None:
    """Write the weight file of a network: contiguous little-endian ``dtype`` ("float32", or "float16" for models
    that ship), no attributes."""
    parameters = {name: value.detach().float().cpu().numpy() for name, value in model.named_parameters()}
    halves: dict[str, list[np.ndarray]] = {}
    with Hdf5Writer(Path(path)) as file:
        for entry in weight_table(model.options, model.n_words):
            array = entry.to_file(parameters[entry.parameter])
            if entry.dataset.endswith("/W_0"):  # (4 dim, rows): two halves of the kernel's rows
                halves.setdefault(entry.dataset, []).append(array.T)
                if len(halves[entry.dataset]) < 2:
                    continue
                array = np.concatenate(halves[entry.dataset])
            assert array.shape == entry.shape, (entry.dataset, array.shape, entry.shape)
            write_array(file, entry.dataset, array, dtype)
