"""The published format and mathematics, held to vectors that the reference implementations computed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ner_elmo.bilm.hdf5 import read_weights
from ner_elmo.bilm.options import read_options
from ner_elmo.elmo.encoder import Elmo
from ner_elmo.elmo.scalar_mix import ScalarMix
from ner_elmo.text.characters import char_ids

CASES = [
    "clip_asym", "clip_bind", "clip_none", "layers1", "layers3", "small_shape", "tf_maxchars12", "tf_nohighway",
    "tf_nolstmproj", "tf_noproj", "tf_noskip", "tiny_relu_hw1", "tiny_tanh_hw2",
]  # fmt: skip


def tolerance(case: str) -> float:
    """The manifest's: float32 reorderings reach a third of these, and single mistakes a multiple."""
    return 1e-4 if case.startswith("clip_") else 2e-5


def load_case(goldens: Path, case: str) -> tuple[Elmo, dict[str, list[list[str]]], dict[str, np.ndarray]]:
    folder = goldens / "encoder" / case
    tokens = json.loads((folder / "tokens.json").read_text(encoding="utf-8"))
    return Elmo.load(folder / "weights.hdf5"), tokens, dict(np.load(folder / "expected.npz"))


@pytest.mark.parametrize("case", CASES)
def test_encoder_in_one_batch(goldens: Path, case: str) -> None:
    elmo, batches, expected = load_case(goldens, case)
    for name, sentences in batches.items():
        layers = elmo.layers(sentences).numpy()
        mask = expected[f"{name}.mask"].astype(bool)
        wanted = expected[f"{name}.layers"]
        assert layers.shape == wanted.shape
        np.testing.assert_allclose(layers[:, mask], wanted[:, mask], atol=tolerance(case), rtol=0)


@pytest.mark.parametrize("case", CASES)
def test_encoder_one_sentence_at_a_time(goldens: Path, case: str) -> None:
    elmo, batches, expected = load_case(goldens, case)
    for name, sentences in batches.items():
        for i, sentence in enumerate(sentences):
            (layers,) = elmo.embed([sentence])
            wanted = expected[f"{name}.layers"][:, i, : len(sentence)]
            assert layers.shape == wanted.shape
            np.testing.assert_allclose(layers, wanted, atol=tolerance(case), rtol=0)


@pytest.mark.parametrize("case", CASES)
def test_character_ids(goldens: Path, case: str) -> None:
    _, batches, expected = load_case(goldens, case)
    for name, sentences in batches.items():
        wanted = expected[f"{name}.char_ids"]
        for row, sentence in zip(wanted, sentences, strict=True):
            if sentence:
                found = char_ids(sentence, wanted.shape[2]) + 1  # the prediction convention: 0 is "no token here"
                np.testing.assert_array_equal(found, row[: len(sentence)])
            assert not row[len(sentence) :].any()


def test_scalar_mix(goldens: Path) -> None:
    folder = goldens / "scalar_mix"
    expected = dict(np.load(folder / "expected.npz"))
    variants = json.loads((folder / "meta.json").read_text())
    layers_array, mask = expected["layers"], torch.from_numpy(expected["mask"].astype(bool))
    numbers = sorted({key.split(".")[0] for key in expected if key[0].isdigit()})
    assert numbers
    for number in numbers:
        norm = _variant(variants, number)
        mix = ScalarMix(len(layers_array), layer_norm=norm)
        with torch.no_grad():
            mix.weights.copy_(torch.from_numpy(expected[f"{number}.w"].reshape(-1)))
            mix.gamma.copy_(torch.from_numpy(expected[f"{number}.gamma"].reshape(())))
        layers = torch.from_numpy(layers_array).requires_grad_()
        output = mix(layers, mask)
        wanted = torch.from_numpy(expected[f"{number}.output"])
        torch.testing.assert_close(output[mask], wanted[mask], atol=1e-5, rtol=0)
        (output * torch.from_numpy(expected["upstream"])).sum().backward()
        for found, name in ((mix.weights, "grad_w"), (mix.gamma, "grad_gamma"), (layers, "grad_layers")):
            assert found.grad is not None
            gradient = torch.from_numpy(expected[f"{number}.{name}"]).reshape(found.shape)
            torch.testing.assert_close(found.grad, gradient, atol=1e-4, rtol=0)


def _variant(meta: object, number: str) -> bool:
    variants = meta["variants"] if isinstance(meta, dict) else meta
    variant = variants[int(number)]  # type: ignore[index]
    return bool(variant["do_layer_norm"] if isinstance(variant, dict) else variant)


def test_published_names_and_shapes_load(goldens: Path) -> None:
    folder = goldens / "encoder" / "small_shape"
    model = read_weights(folder / "weights.hdf5", read_options(folder / "options.json"))
    assert model.forward_lstm.layers[0].lstm.weight_ih_l0.shape == (4096, 128)
