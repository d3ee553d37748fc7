"""A tagger's directory: gives back what was written, refuses what is damaged or does not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ner_elmo.cli.main import main
from ner_elmo.errors import ModelError, UsageError
from ner_elmo.tagger.network.model import TaggerModel
from ner_elmo.tagger.store import StoredBilm, load_tagger, read_info, write_tagger
from ner_elmo.tagger.tagger import Tagger
from ner_elmo.tagger.training.run import train_tagger
from tests.support.devices import CPU
from tests.support.hash_count import count_hashes
from tests.support.hostile_models import rewrite
from tests.support.toy_language import toy_config

TEXT = "Ann Smith sees Rome City today."


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def test_a_directory_is_self_contained_and_gives_back_what_was_written(copied: Path, bilm: Path) -> None:
    stored = load_tagger(copied)
    assert stored.bilm == copied / "bilm"
    assert stored.text == "en-1"
    assert not stored.model.training
    write_tagger(copied, stored.model, stored.words, {"text": stored.info["text"]}, bilm=StoredBilm({}))
    again = load_tagger(copied)
    assert again.words.words == stored.words.words
    assert again.words.n_tuned == stored.words.n_tuned
    for name, value in stored.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_half_precision_is_half_the_size_and_hardly_differs(toy: Path, tmp_path: Path) -> None:
    for storage in ("float32", "float16"):
        train_tagger(toy_config(toy, storage=storage, epochs=3), tmp_path / storage, device=CPU)
    whole, half = (Tagger.load(tmp_path / storage) for storage in ("float32", "float16"))
    ours, theirs = whole.tag(TEXT).entities, half.tag(TEXT).entities
    assert [entity.text for entity in ours] == [entity.text for entity in theirs] == ["Ann Smith", "Rome City"]
    assert [entity.score for entity in ours] == pytest.approx([entity.score for entity in theirs], abs=0.01)
    assert read_info(tmp_path / "float16")["storage"] == "float16"
    sizes = [(tmp_path / storage / "tagger.hdf5").stat().st_size for storage in ("float32", "float16")]
    assert sizes[1] < 0.7 * sizes[0]


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_a_run_reads_each_file_of_its_bilm_once_for_its_digest(
    toy: Path, bilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeds: tuple[int, ...]
) -> None:
    """However many labelled files, caches, reports and seeds say which biLM it was; the copy is known by its source."""
    for part in ("train", "dev"):
        assert main(["convert", str(toy / part), str(tmp_path / f"{part}.jsonl"), "--to", "jsonl"]) == 0
    read = count_hashes(monkeypatch)
    changes = {"train": str(tmp_path / "train.jsonl"), "dev": str(tmp_path / "dev.jsonl"), "test": None}
    config = toy_config(toy, bilm=str(bilm), epochs=1, seeds=seeds, **changes)
    train_tagger(config, tmp_path / "run", device=CPU, cache=tmp_path / "cache")
    names = ("options.json", "weights.hdf5", "vocab.txt", "vocab_embedding.hdf5", "softmax.hdf5")
    assert {file.name: n for file, n in read.items() if file.parent == bilm.resolve()} == dict.fromkeys(names, 1)
    copied = (tmp_path / "run" / "bilm").resolve()
    assert sum(n for file, n in read.items() if file.parent == copied) == 0
    load_tagger(tmp_path / "run")  # and the digests are right


def listed(folder: Path) -> list[str]:
    return [*read_info(folder)["files"], "tagger.json"]


def test_every_file_that_tagging_reads_is_under_a_digest(trained: Path) -> None:
    assert set(listed(trained)) == {
        "tagger.json",
        "tagger.hdf5",
        "word_vectors.hdf5",
        *(
            f"bilm/{name}"
            for name in ("bilm.json", "options.json", "weights.hdf5", "vocab.txt", "vocab_embedding.hdf5")
        ),
    }


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_or_missing_file_is_named(copied: Path, damage: str) -> None:
    for name in listed(copied):
        file = copied / name
        content = file.read_bytes()
        if damage == "flip":
            file.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
        elif damage == "cut":
            file.write_bytes(content[: len(content) // 2])
        else:
            file.unlink()
        with pytest.raises((ModelError, UsageError), match=r"not a tagger|" + file.name.replace(".", r"\.")):
            load_tagger(copied)
        file.write_bytes(content)
    load_tagger(copied)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 99}, "format_version 99"),
        ({"files": {"../secret": "0"}}, "outside"),
        ({"files": {"/etc/passwd": "0"}}, "outside"),
        ({"bilm": "../../elsewhere"}, "outside"),
        ({"options": {"tags": ["O"], "surprise": 1}}, "unknown options surprise"),
        ({"options": {"tags": ["O", "B-X"], "scheme": "iob2"}}, "not those of the scheme"),
        ({"options": None}, "damaged"),
        ({"text": None}, "damaged"),
        ({"calibration": {"temperature": 0}}, "its temperature is 0"),
        ({"calibration": {"temperature": "NaN"}}, "its temperature is 'NaN'"),
        ({"calibration": {"temperature": float("nan")}}, "its temperature is nan"),
        ({"calibration": [1]}, "damaged"),
    ],
)
def test_what_does_not_fit_is_refused(copied: Path, changes: dict[str, object], message: str) -> None:
    rewrite(copied, **changes)
    with pytest.raises(ModelError, match=message):
        load_tagger(copied)


def test_weights_that_do_not_fit_the_options_are_refused(copied: Path) -> None:
    options = json.loads((copied / "tagger.json").read_text())["options"]
    rewrite(copied, options=options | {"hidden_dim": 13})
    with pytest.raises(ModelError, match="the options imply"):
        load_tagger(copied)


def test_not_a_tagger(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such"):
        load_tagger(tmp_path / "none")
    with pytest.raises(UsageError, match="not a tagger directory"):
        load_tagger(tmp_path)
    (tmp_path / "tagger.json").write_text("[1, 2")
    with pytest.raises(ModelError, match="damaged"):
        load_tagger(tmp_path)


def test_no_file_is_a_pickle(trained: Path) -> None:
    for name in listed(trained):
        start = (trained / name).read_bytes()[:8]
        assert start.startswith((b"\x89HDF", b"{", b"<S>")), name


def test_word_vectors_are_what_was_trained(trained: Path) -> None:
    stored = load_tagger(trained)
    assert stored.model.words is not None
    table = stored.model.words.table()
    assert table.shape == (len(stored.words), 8)
    assert np.isfinite(table.numpy()).all()


def test_a_tagger_that_is_read_draws_no_weights(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Orthogonal matrices would be most of the time it takes."""

    def fail(*_: object) -> None:
        raise AssertionError("weights were drawn")

    monkeypatch.setattr(TaggerModel, "reset_parameters", fail)
    monkeypatch.setattr(torch.nn.init, "orthogonal_", fail)
    assert load_tagger(trained).model.options.tags
