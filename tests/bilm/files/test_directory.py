"""Every place that ``--bilm`` takes, and what is said where there is none (docs/design.md §4)."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ner_elmo.bilm.files.conversion import write_published_pair
from ner_elmo.bilm.files.directory import (
    find_bilm,
    load_bilm,
    load_softmax,
    load_vocabulary,
    tokens_seen_in_all,
    write_bilm,
)
from ner_elmo.bilm.files.weights import read_weights
from ner_elmo.bilm.options import read_options
from ner_elmo.bilm.softmax import Softmax
from ner_elmo.cli.main import main
from ner_elmo.elmo.encoder import Elmo
from ner_elmo.errors import ModelError, NerElmoError, UsageError
from ner_elmo.text.files import sha256_of_file
from ner_elmo.text.vocabulary import read_vocabulary
from tests.support.hash_count import count_hashes
from tests.support.small_bilms import copy_pair, small_bilm
from tests.support.toy_pretraining import toy_text

SENTENCES = [["a", "new", "日本"], ["b"], []]


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    small_bilm(tmp_path / "original")
    return tmp_path / "original"


def zip_of(archive: Path, files: dict[str, Path]) -> Path:
    with zipfile.ZipFile(archive, "w") as file:
        for name, path in files.items():
            file.write(path, name)
    return archive


def directory(source: Path, place: Path) -> Path:
    return Path(shutil.copytree(source, place / "m"))


def below_bilm(source: Path, place: Path) -> Path:
    shutil.copytree(source, place / "m" / "bilm")
    return place / "m"


def named_pair(source: Path, place: Path) -> Path:
    copy_pair(source, place, "elmo_2x7_5_weights.hdf5", "elmo_2x7_5_options.json")
    copy_pair(source, place, "other_weights.hdf5", "other_options.json")
    return place / "elmo_2x7_5_weights.hdf5"


def beside_options_json(source: Path, place: Path) -> Path:
    copy_pair(source, place, "x.h5")
    return place / "x.h5"


def beside_the_only_json(source: Path, place: Path) -> Path:
    copy_pair(source, place, "x.hdf5", "network.json")
    return place / "x.hdf5"


def folder_with_one_weights_file(source: Path, place: Path) -> Path:
    copy_pair(source, place / "m", "lm_weights.hdf5")
    return place / "m"


def nlpl_zip(source: Path, place: Path) -> Path:
    files = {"model.hdf5": source / "weights.hdf5", "options.json": source / "options.json"}
    return zip_of(place / "12.zip", files | {"vocab.txt": source / "vocab.txt"})


def zip_of_a_folder(source: Path, place: Path) -> Path:
    return zip_of(place / "m.zip", {f"model/{file.name}": file for file in source.iterdir()})


def zip_of_a_run(source: Path, place: Path) -> Path:
    files = {f"run/bilm/{file.name}": file for file in source.iterdir()}
    return zip_of(place / "m.zip", files | {"run/config.json": source / "options.json"})


SOURCES: list[Callable[[Path, Path], Path]] = [
    directory, below_bilm, named_pair, beside_options_json, beside_the_only_json, folder_with_one_weights_file,
    nlpl_zip, zip_of_a_folder, zip_of_a_run,
]  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_the_same_vectors(
    model_folder: Path, tmp_path: Path, source: Callable[[Path, Path], Path]
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    found = Elmo.load(source(model_folder, place)).embed(SENTENCES)
    for vectors, wanted in zip(found, Elmo.load(model_folder).embed(SENTENCES), strict=True):
        np.testing.assert_allclose(vectors, wanted, atol=1e-6)


@pytest.mark.parametrize("n_characters", [261, 262, None])
def test_261_and_262_characters_are_alike(model_folder: Path, tmp_path: Path, n_characters: int | None) -> None:
    copy_pair(model_folder, tmp_path / "pair")
    options = tmp_path / "pair" / "options.json"
    values = json.loads(options.read_text())
    values["char_cnn"]["n_characters"] = n_characters
    if n_characters is None:
        del values["char_cnn"]["n_characters"]
    options.write_text(json.dumps(values))
    (found,) = Elmo.load(tmp_path / "pair").embed([["a", "new"]])
    (wanted,) = Elmo.load(model_folder).embed([["a", "new"]])
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.fixture
def word_model(goldens: Path, tmp_path: Path) -> Path:
    """A model with word input: the token vectors of a golden as its table, over the same golden's LSTMs."""
    folder = goldens / "cached_vocab"
    case = json.loads((folder / "sentences.json").read_text(encoding="utf-8"))
    place = tmp_path / "words"
    place.mkdir()
    with h5py.File(place / "weights.hdf5", "w") as file:
        with h5py.File(folder / case["weights"]) as source:
            for direction in ("RNN_0", "RNN_1"):
                source.copy(direction, file)
        with h5py.File(folder / "token_embeddings.hdf5") as source:
            source.copy("embedding", file)
    options = json.loads((folder / case["options"]).read_text(encoding="utf-8"))
    del options["char_cnn"]
    (place / "options.json").write_text(json.dumps(options))
    shutil.copyfile(folder / "vocab.txt", place / "vocab.txt")
    return place


def test_word_input_equals_the_reference(goldens: Path, word_model: Path, tmp_path: Path) -> None:
    folder = goldens / "cached_vocab"
    sentences = json.loads((folder / "sentences.json").read_text(encoding="utf-8"))["sentences"]
    expected = dict(np.load(folder / "expected.npz"))
    archive = zip_of(tmp_path / "words.zip", {file.name: file for file in word_model.iterdir()})
    places = [word_model, word_model / "weights.hdf5", archive]
    write_published_pair(word_model, tmp_path / "again")
    assert sorted(file.name for file in (tmp_path / "again").iterdir()) == ["options.json", "vocab.txt", "weights.hdf5"]
    for place in [*places, tmp_path / "again"]:
        for row, layers in enumerate(Elmo.load(place).embed(sentences)):
            np.testing.assert_allclose(layers, expected["layers"][:, row, : len(sentences[row])], atol=2e-5, rtol=0)


def test_word_input_needs_its_vocabulary(word_model: Path, tmp_path: Path) -> None:
    with open(word_model / "vocab.txt", "a", encoding="utf-8") as file:
        file.write("surplus\n")
    with pytest.raises(ModelError, match=r"vocab\.txt: found 14 lines, but the weights have 13 words"):
        Elmo.load(word_model)
    (word_model / "vocab.txt").unlink()
    with pytest.raises(ModelError, match=r"words: found no vocab\.txt"):
        Elmo.load(word_model)
    with pytest.raises(ModelError, match=r"words: found no vocab\.txt"):
        write_published_pair(word_model, tmp_path / "out")


def test_a_written_vocabulary_equals_the_reference(goldens: Path, tmp_path: Path) -> None:
    """What ``write_bilm`` stores beside a vocabulary is bilm-tf's file of token vectors."""
    folder = goldens / "cached_vocab"
    case = json.loads((folder / "sentences.json").read_text(encoding="utf-8"))
    vocabulary = read_vocabulary(folder / "vocab.txt")
    model = read_weights(folder / case["weights"], read_options(folder / case["options"]))
    softmax = Softmax(len(vocabulary), model.options.lstm.projection_dim)
    softmax.reset_parameters()
    write_bilm(tmp_path / "bilm", model, softmax, vocabulary, {})
    with h5py.File(folder / "token_embeddings.hdf5") as wanted, h5py.File(tmp_path / "bilm/vocab_embedding.hdf5") as f:
        assert list(f) == list(wanted) == ["embedding"]
        assert f["embedding"].dtype == wanted["embedding"].dtype
        np.testing.assert_allclose(f["embedding"][()], wanted["embedding"][()], atol=1e-5, rtol=0)


def nothing(place: Path, _: Path) -> Path:
    return place / "nowhere"


def an_empty_folder(place: Path, _: Path) -> Path:
    (place / "folder").mkdir()
    return place / "folder"


def a_text(place: Path, _: Path) -> Path:
    (place / "x.txt").write_text("no model")
    return place / "x.txt"


def weights_alone(place: Path, model: Path) -> Path:
    shutil.copyfile(model / "weights.hdf5", place / "x_weights.hdf5")
    return place / "x_weights.hdf5"


def a_cut_off_zip(place: Path, model: Path) -> Path:
    archive = nlpl_zip(model, place)
    archive.write_bytes(archive.read_bytes()[:-100])
    return archive


def an_empty_zip(place: Path, _: Path) -> Path:
    return zip_of(place / "empty.zip", {})


def a_damaged_zip(place: Path, model: Path) -> Path:
    archive = nlpl_zip(model, place)
    data = bytearray(archive.read_bytes())
    data[200] ^= 0xFF
    archive.write_bytes(data)
    return archive


def options_that_are_none(place: Path, model: Path) -> Path:
    copy_pair(model, place / "m")
    (place / "m" / "options.json").write_text("{")
    return place / "m"


def changed_info(place: Path, model: Path, **changes: Any) -> Path:
    path = model / "bilm.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return model


def a_start_state(place: Path, model: Path) -> Path:
    return changed_info(place, model, initial_state="initial_state.hdf5")


def a_later_format(place: Path, model: Path) -> Path:
    return changed_info(place, model, format_version=2)


def a_listed_file_that_is_missing(place: Path, model: Path) -> Path:
    (model / "vocab.txt").unlink()
    return model


REFUSED: dict[Callable[[Path, Path], Path], tuple[type[NerElmoError], str]] = {
    nothing: (UsageError, "nowhere: no such file or directory; expected a biLM"),
    an_empty_folder: (UsageError, r"folder: found no biLM; expected options\.json and weights\.hdf5 in it"),
    a_text: (UsageError, r"x\.txt: found a file, expected a biLM directory or a weights file \(\.hdf5\)"),
    weights_alone: (UsageError, r"found no options beside it; expected x_options\.json or options\.json"),
    a_cut_off_zip: (ModelError, r"12\.zip: damaged"),
    a_damaged_zip: (ModelError, r"12\.zip: damaged"),
    an_empty_zip: (UsageError, r"empty\.zip: found no biLM"),
    options_that_are_none: (ModelError, r"options\.json: not a JSON file"),
    a_start_state: (ModelError, r"bilm\.json: found an initial_state, but this program starts every sentence from"),
    a_later_format: (ModelError, r"bilm\.json: found format_version 2, this program reads 1"),
    a_listed_file_that_is_missing: (ModelError, r"vocab\.txt: missing, though bilm\.json lists it"),
}


@pytest.mark.parametrize("source", REFUSED)
def test_what_is_no_model_is_refused(model_folder: Path, tmp_path: Path, source: Callable[[Path, Path], Path]) -> None:
    place = tmp_path / "place"
    place.mkdir()
    kind, message = REFUSED[source]
    with pytest.raises(kind, match=message):
        Elmo.load(source(place, model_folder))


def test_an_initial_state_of_null_is_none(model_folder: Path, tmp_path: Path) -> None:
    assert load_bilm(find_bilm(changed_info(tmp_path, model_folder, initial_state=None))).options.lstm.dim == 7


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({}, None),
        ({"tokens_seen": 5, "parent": None}, 5),
        ({"tokens_seen": 5, "parent": {"name": "published"}}, 5),
        ({"tokens_seen": 5, "parent": {"tokens_seen": 7}}, 12),
        ({"tokens_seen": 5, "parent": {"tokens_seen": 7, "tokens_seen_in_all": 20}}, 25),
    ],
)
def test_tokens_seen_in_all_count_the_parents(info: dict[str, Any], expected: int | None) -> None:
    assert tokens_seen_in_all(info) == expected


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_a_bilm_directory_reads_back(tmp_path: Path, storage: str) -> None:
    small_bilm(tmp_path / "bilm", storage)
    for place in (tmp_path / "bilm", tmp_path):  # the directory itself, or one that holds it
        files = find_bilm(place)
        vocabulary = load_vocabulary(files)
        assert load_softmax(files, vocabulary, 5).weight.shape == (5, 5)
        assert load_bilm(files).options.lstm.dim == 7
    stored = Elmo.load(tmp_path / "bilm")
    plain = Elmo.load(tmp_path / "bilm" / "weights.hdf5")  # the same weights, every token through its characters
    for a, b in zip(stored.embed([["a", "new"]]), plain.embed([["a", "new"]]), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_damage_is_named(tmp_path: Path) -> None:
    small_bilm(tmp_path / "bilm")
    weights = tmp_path / "bilm" / "weights.hdf5"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ModelError, match=r"weights\.hdf5: its contents differ from the digest"):
        find_bilm(tmp_path / "bilm")
    weights.unlink()
    with pytest.raises(UsageError, match="found no biLM"):
        find_bilm(tmp_path / "bilm")


@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["run", "dry run"])
def test_going_on_from_a_model_reads_each_of_its_files_once_for_its_digest(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    (tmp_path / "text").write_text("".join(f"{' '.join(sentence)}\n" for sentence in toy_text(300, 1)))
    read = count_hashes(monkeypatch)
    arguments = ["--init", model_folder, "-o", tmp_path / "run", "--max-tokens", 900, "--threads", 1, *more]
    assert main(["pretrain", str(tmp_path / "text"), *map(str, arguments)]) == 0
    names = {file.name for file in model_folder.iterdir()} - {"bilm.json"}
    assert "weights.hdf5" in names
    assert {f.name: n for f, n in read.items() if f.parent == model_folder.resolve()} == dict.fromkeys(names, 1)


def test_an_opened_model_is_taken_as_it_is(model_folder: Path, tmp_path: Path) -> None:
    opened = find_bilm(model_folder)
    assert find_bilm(opened) is opened
    weights = model_folder / "weights.hdf5"
    assert opened.digests[weights] == opened.sha256(weights) == sha256_of_file(weights)
    pair = find_bilm(zip_of_a_folder(model_folder, tmp_path))
    assert pair.sha256(pair.weights) == opened.sha256(weights)
