"""The published format and mathematics, held to vectors that the reference implementations computed."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from ner_elmo.bilm.files.directory import copy_bilm, encode_tokens
from ner_elmo.bilm.files.weights import read_weights
from ner_elmo.bilm.options import read_options
from ner_elmo.elmo.dump import write_embeddings
from ner_elmo.elmo.encoder import Elmo
from ner_elmo.elmo.scalar_mix import ScalarMix
from ner_elmo.text.characters import BEGIN_SENTENCE, END_SENTENCE, char_ids
from ner_elmo.text.files import sha256_of_file

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


def padded_layers(elmo: Elmo, sentences: list[list[str]]) -> torch.Tensor:
    """All layers of one batch as the references give them: ``(layers, batch, time, dim)``, 0 at padding."""
    parts = [torch.from_numpy(layers).transpose(0, 1) for layers in elmo.embed(sentences)]
    return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True).permute(2, 0, 1, 3)


def layers_with_boundaries(elmo: Elmo, sentences: list[list[str]]) -> torch.Tensor:
    """The same with the sentence boundaries' positions, two more in ``time``: read from the zero state."""
    parts = []
    with torch.inference_mode():
        for tokens in sentences:
            ids = torch.from_numpy(char_ids([BEGIN_SENTENCE, *tokens, END_SENTENCE], elmo.options.max_characters))
            parts.append(elmo.model.layers(elmo.model.token_encoder(ids), [len(ids)]).transpose(0, 1))
    return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True).permute(2, 0, 1, 3).clone()


@pytest.mark.parametrize("case", CASES)
def test_encoder_in_one_batch(goldens: Path, case: str) -> None:
    elmo, batches, expected = load_case(goldens, case)
    for name, sentences in batches.items():
        layers = padded_layers(elmo, sentences).numpy()
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


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_zero_state_is_the_reference_without_its_memory(goldens: Path) -> None:
    """The references carry state from one batch to the next; each batch of a fresh model is what is computed here."""
    folder = goldens / "stateful"
    sequence, expected = read_json(folder / "sequence.json"), dict(np.load(folder / "expected.npz"))
    elmo = Elmo.load(folder / sequence["weights"])
    for i, batch in enumerate(sequence["batches"]):
        mask = expected[f"{i}.mask"].astype(bool)
        found = padded_layers(elmo, batch).numpy()[:, mask]
        np.testing.assert_allclose(found, expected[f"{i}.stateless_layers"][:, mask], atol=2e-5, rtol=0)
    np.testing.assert_allclose(expected["0.layers"], expected["0.stateless_layers"], atol=2e-5, rtol=0)
    found = padded_layers(elmo, sequence["batches"][5]).numpy()
    np.testing.assert_array_equal(found, padded_layers(elmo, sequence["batches"][6]).numpy())  # the same text twice


def test_how_far_carried_state_is_from_ours(goldens: Path) -> None:
    """The figures of docs/design.md §6."""
    folder = goldens / "stateful"
    sequence, expected = read_json(folder / "sequence.json"), dict(np.load(folder / "expected.npz"))
    elmo = Elmo.load(folder / sequence["weights"])
    parts = []
    for i, batch in enumerate(sequence["batches"][1:], start=1):
        mask = expected[f"{i}.mask"].astype(bool)
        parts.append(np.abs(padded_layers(elmo, batch).numpy() - expected[f"{i}.layers"])[:, mask].reshape(3, -1))
    difference = np.concatenate(parts, axis=1)
    assert difference.shape[1] == 73 * 16
    np.testing.assert_allclose(difference.mean(1), [0, 0.15, 0.27], atol=0.005)
    np.testing.assert_allclose(difference.max(1), [0, 0.58, 1.23], atol=0.005)


def test_carried_state_fades_from_the_start_of_a_sentence(goldens: Path) -> None:
    """The figures of docs/design.md §6, on AllenNLP's own fixture, forward half."""
    folder = goldens / "reference_fixtures"
    expected = dict(np.load(folder / "allennlp_all_layers.npz"))
    elmo = Elmo.load(folder / "allennlp" / "lm_weights.hdf5")
    lists = read_json(folder / "allennlp" / "sentences.json")
    differences = []
    for i in range(1, 10):
        for row, layers in enumerate(elmo.embed([texts[i].split() for texts in lists])):
            differences.append(np.abs(layers - expected[f"stateful.{i}"][:, row, : layers.shape[1]]))
    every = np.concatenate(differences, axis=1).reshape(3, -1)
    np.testing.assert_allclose(every.mean(1), [0, 0.06, 0.08], atol=0.005)
    np.testing.assert_allclose(every.max(1), [0, 1.83, 2.63], atol=0.005)
    for token, wanted in ((0, 0.93), (5, 0.13), (10, 0.018), (20, 0.0004)):
        here = [d[2, token, :16].mean() for d in differences if d.shape[1] > token]
        np.testing.assert_allclose(np.mean(here), wanted, rtol=0.05)


def test_layers_with_boundaries(goldens: Path) -> None:
    """What AllenNLP returns before it takes the boundaries away, an empty sentence's among them."""
    seen = 0
    for case in CASES:
        elmo, batches, expected = load_case(goldens, case)
        for name in ("mixed", "empty_row"):
            if f"{name}.layers_with_boundaries" in expected:
                seen += 1
                layers = layers_with_boundaries(elmo, batches[name]).numpy()
                mask = expected[f"{name}.mask_with_boundaries"].astype(bool)
                wanted = expected[f"{name}.layers_with_boundaries"][:, mask]
                np.testing.assert_allclose(layers[:, mask], wanted, atol=tolerance(case), rtol=0)
    assert seen == 8


@pytest.mark.parametrize("name", ["allennlp", "bilm-tf"])
def test_the_references_own_fixtures(goldens: Path, name: str) -> None:
    folder = goldens / "reference_fixtures" / name
    elmo = Elmo.load(folder / "lm_weights.hdf5")
    sentences = folder / ("sentences.json" if name == "allennlp" else "lm_embeddings_sentences.json")
    for k, texts in enumerate(read_json(sentences)):
        (layers,) = elmo.embed([texts[0].split()])  # the first of each list was computed from the zero state
        with h5py.File(folder / f"lm_embeddings_{k}.hdf5") as file:
            forward, backward = file["0"][()]
        np.testing.assert_allclose(layers[-1], np.concatenate([forward, backward], axis=1), atol=1e-5, rtol=0)


def test_all_layers_of_the_allennlp_fixture(goldens: Path) -> None:
    folder = goldens / "reference_fixtures"
    expected = dict(np.load(folder / "allennlp_all_layers.npz"))
    elmo = Elmo.load(folder / "allennlp" / "lm_weights.hdf5")
    lists = read_json(folder / "allennlp" / "sentences.json")
    for i in range(10):
        batch = [texts[i].split() for texts in lists]
        for row, layers in enumerate(elmo.embed(batch)):
            wanted = expected[f"stateless.{i}"][:, row, : len(batch[row])]
            np.testing.assert_allclose(layers, wanted, atol=2e-5, rtol=0)


def test_token_vectors_of_a_vocabulary(goldens: Path) -> None:
    folder = goldens / "reference_fixtures" / "allennlp"
    tokens = (folder / "vocab_test.txt").read_text(encoding="utf-8").split("\n")
    model = read_weights(folder / "lm_weights.hdf5", read_options(folder / "options.json"))
    with h5py.File(folder / "elmo_token_embeddings.hdf5") as file:
        wanted = file["embedding"][()]
    found = encode_tokens(model, [token.strip() for token in tokens if token.strip()])
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5, rtol=0)


def test_cached_vocabulary(goldens: Path, tmp_path: Path) -> None:
    folder = goldens / "cached_vocab"
    case, expected = read_json(folder / "sentences.json"), dict(np.load(folder / "expected.npz"))
    weights = folder / case["weights"]
    tokens = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    with h5py.File(folder / "token_embeddings.hdf5") as file:
        wanted = file["embedding"][()]
    model = read_weights(weights, read_options(folder / case["options"]))
    np.testing.assert_allclose(encode_tokens(model, tokens).numpy(), wanted, atol=1e-5, rtol=0)
    # The same model as a directory that holds the vectors; the reference reads unknown tokens as <UNK>.
    for name, file in (("weights.hdf5", weights), ("options.json", folder / case["options"])):
        shutil.copyfile(file, tmp_path / name)
    shutil.copyfile(folder / "vocab.txt", tmp_path / "vocab.txt")
    shutil.copyfile(folder / "token_embeddings.hdf5", tmp_path / "vocab_embedding.hdf5")
    digests = {file.name: sha256_of_file(file) for file in tmp_path.iterdir()}
    info = {"format_version": 1, "text": {"tokens": "whitespace"}, "sha256": digests}
    (tmp_path / "bilm.json").write_text(json.dumps(info))
    known = [[token if token in tokens else "<UNK>" for token in sentence] for sentence in case["sentences"]]
    for place in (tmp_path, weights):
        for row, layers in enumerate(Elmo.load(place).embed(known)):
            np.testing.assert_allclose(layers, expected["layers"][:, row, : len(known[row])], atol=2e-5, rtol=0)


def test_dump_file(goldens: Path, tmp_path: Path) -> None:
    folder = goldens / "dump_file"
    lines = (folder / "dataset.txt").read_text(encoding="utf-8").splitlines()
    elmo = Elmo.load(goldens / "encoder" / "tiny_relu_hw1" / "weights.hdf5")
    write_embeddings(elmo, lines, tmp_path / "out.hdf5")
    with h5py.File(folder / "embeddings.hdf5") as expected, h5py.File(tmp_path / "out.hdf5") as found:
        for number in range(len(lines)):
            assert found[str(number)].shape == expected[str(number)].shape
        # The reference carries state from line to line; the first is the one it reads from zero.
        np.testing.assert_allclose(found["0"][()], expected["0"][()], atol=2e-5, rtol=0)


def test_weighted_layers_of_bilm_tf(goldens: Path) -> None:
    """bilm-tf mixes after the boundaries are gone, so layer normalisation does not see them."""
    folder = goldens / "weight_layers_tf"
    expected = dict(np.load(folder / "expected.npz"))
    elmo, batches, _ = load_case(goldens, "tiny_relu_hw1")
    layers, mask = padded_layers(elmo, batches["mixed"]), torch.from_numpy(expected["mask"].astype(bool))
    for number, layer_norm in (("0", False), ("1", True)):
        mix = ScalarMix(3, layer_norm)
        with torch.no_grad():
            mix.weights.copy_(torch.from_numpy(expected[f"{number}.W"]))
            mix.gamma.copy_(torch.from_numpy(expected[f"{number}.gamma"]).reshape(()))
            output = mix(layers, mask)
        np.testing.assert_allclose(output[mask], expected[f"{number}.output"][mask.numpy()], atol=2e-5, rtol=0)
    top = torch.from_numpy(expected["2.gamma"]) * layers[-1]
    np.testing.assert_allclose(top[mask], expected["2.output"][mask.numpy()], atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", ["char_word", "char_only"])
def test_elmo_for_many_langs(goldens: Path, tmp_path: Path, name: str) -> None:
    folder = goldens / "elmoformanylangs" / name
    sentences, expected = read_json(folder / "sentences.json"), dict(np.load(folder / "expected.npz"))
    shutil.make_archive(str(tmp_path / "model"), "zip", folder)
    copy_bilm(folder, tmp_path / "tagger" / "bilm")
    for place in (folder, tmp_path / "model.zip", tmp_path / "tagger"):
        for i, layers in enumerate(Elmo.load(place).embed(sentences)):
            np.testing.assert_allclose(layers, expected[str(i)], atol=2e-5, rtol=0)


def test_nlpl_zip(goldens: Path, tmp_path: Path) -> None:
    """The archives of NLPL's repository call the weights model.hdf5."""
    folder = goldens / "encoder" / "tiny_relu_hw1"
    with zipfile.ZipFile(tmp_path / "12.zip", "w") as archive:
        archive.write(folder / "weights.hdf5", "model.hdf5")
        archive.write(folder / "options.json", "options.json")
        archive.writestr("../outside.txt", "not unpacked")
    sentences = read_json(folder / "tokens.json")["mixed"]
    for found, wanted in zip(
        Elmo.load(tmp_path / "12.zip").embed(sentences),
        Elmo.load(folder / "weights.hdf5").embed(sentences),
        strict=True,
    ):
        np.testing.assert_array_equal(found, wanted)


def test_the_one_layer_layout_of_bilm_tf(goldens: Path, tmp_path: Path) -> None:
    folder = goldens / "encoder" / "layers1"
    with h5py.File(folder / "weights.hdf5") as source, h5py.File(tmp_path / "weights.hdf5", "w") as target:
        for name in source:
            source.copy(name, target)
        for direction in ("RNN_0", "RNN_1"):
            target.move(f"{direction}/RNN/MultiRNNCell/Cell0/LSTMCell", f"{direction}/RNN/LSTMCell")
            del target[f"{direction}/RNN/MultiRNNCell"]
    shutil.copyfile(folder / "options.json", tmp_path / "options.json")
    expected, batches = dict(np.load(folder / "expected.npz")), read_json(folder / "tokens.json")
    layers = padded_layers(Elmo.load(tmp_path / "weights.hdf5"), batches["mixed"]).numpy()
    mask = expected["mixed.mask"].astype(bool)
    np.testing.assert_allclose(layers[:, mask], expected["mixed.layers"][:, mask], atol=2e-5, rtol=0)


def test_elmo_module_of_allennlp(goldens: Path) -> None:
    """AllenNLP mixes before the boundaries are gone, so layer normalisation sees them."""
    folder = goldens / "elmo_module"
    meta, expected = read_json(folder / "meta.json"), dict(np.load(folder / "expected.npz"))
    elmo = Elmo.load(folder / meta["weights"])
    layers = layers_with_boundaries(elmo, meta["sentences"])
    lengths = torch.tensor([len(sentence) for sentence in meta["sentences"]])
    mask = torch.arange(layers.shape[2]) < (lengths + 2).unsqueeze(1)
    for variant in meta["variants"]:
        i = variant["index"]
        for k in range(2):
            mix = ScalarMix(3, variant["do_layer_norm"])
            with torch.no_grad():
                mix.weights.copy_(torch.from_numpy(expected[f"{i}.w{k}"]))
                mix.gamma.copy_(torch.from_numpy(expected[f"{i}.gamma{k}"]).reshape(()))
                mixed = mix(layers, mask)
            for row, length in enumerate(lengths.tolist()):
                if variant["keep_sentence_boundaries"]:
                    found, wanted = mixed[row, : length + 2], expected[f"{i}.rep{k}"][row, : length + 2]
                    if length == 0:
                        continue  # the reference drops an empty sentence's boundaries
                else:
                    found, wanted = mixed[row, 1 : length + 1], expected[f"{i}.rep{k}"][row, :length]
                np.testing.assert_allclose(found.numpy(), wanted, atol=2e-5, rtol=0)
