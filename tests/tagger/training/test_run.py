"""Whole runs of train-tagger: what they leave, same bytes for the same seed, resumed, several seeds, with a cache."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.errors import ModelError, UsageError
from ner_elmo.tagger.store import copy_tagger
from ner_elmo.tagger.training.resumption import checkpoints_in
from ner_elmo.tagger.training.run import train_tagger
from ner_elmo.tagger.training.run_directory import CONFIG
from ner_elmo.text.files import sha256_of_file
from tests.support.devices import CPU
from tests.support.small_bilms import small_bilm
from tests.support.toy_language import toy_config
from tests.support.toy_training import Events


def test_a_run_from_before_there_was_a_precision_goes_on_in_float32(toy: Path, tmp_path: Path) -> None:
    train_tagger(toy_config(toy, epochs=1), tmp_path, device=CPU)
    config = json.loads((tmp_path / CONFIG).read_text())
    del config["precision"]
    (tmp_path / CONFIG).write_text(json.dumps(config))
    train_tagger(toy_config(toy, epochs=2), tmp_path, device=CPU, resume=True)
    assert json.loads((tmp_path / CONFIG).read_text())["precision"] == "fp32"


def digests(folder: Path) -> dict[str, str]:
    return {file.name: sha256_of_file(file) for file in sorted(folder.iterdir())}


def test_a_whole_run_learns_and_leaves_the_bilm_bit_identical(toy: Path, bilm: Path, tmp_path: Path) -> None:
    before, events = digests(bilm), Events()
    report = train_tagger(toy_config(toy, bilm=str(bilm), epochs=6), tmp_path / "run", device=CPU, report=events)
    assert digests(bilm) == before
    inside = digests(tmp_path / "run" / "bilm")
    for name in ("options.json", "weights.hdf5", "vocab.txt", "vocab_embedding.hdf5"):
        assert inside[name] == before[name]
    assert "softmax.hdf5" not in inside

    assert report["scores"]["dev"]["f1"] > 0.9
    assert set(report["scores"]) == {"dev", "test"}
    assert sum(report["mix"]["layers"].values()) == pytest.approx(1)
    assert set(report["mix"]["layers"]) == {"0", "1", "2"}
    assert len(report["sentences"]["test"]) == 20
    assert [event["part"] for event in events.of("scores")] == ["dev", "test"]
    assert events.of("progress")[-1]["done"] == events.of("progress")[-1]["total"]
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in log] == list(range(1, 7))
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names >= {
        "tagger.json",
        "tagger.hdf5",
        "word_vectors.hdf5",
        "bilm",
        "report.json",
        "README.md",
        "config.json",
    }
    assert names >= {"checkpoints", "predictions.dev.conll", "predictions.test.conll"}
    assert not any(name.startswith(".") for name in names)
    for name in ("tagger.json", "report.json", "README.md"):
        assert str(toy) not in (tmp_path / "run" / name).read_text(), "a machine's path must not be in what ships"

    again = Events()
    train_tagger(toy_config(toy, bilm=str(bilm), epochs=6), tmp_path / "run", device=CPU, resume=True, report=again)
    assert "finished" in again.text()
    assert not again.of("epoch")

    copy_tagger(tmp_path / "run", tmp_path / "shipped")
    assert "checkpoints" not in {path.name for path in (tmp_path / "shipped").iterdir()}


def test_same_seed_same_bytes(toy: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        train_tagger(toy_config(toy, epochs=2), tmp_path / name, device=CPU)
    for file in ("tagger.hdf5", "word_vectors.hdf5", "tagger.json", "predictions.test.conll", "report.json"):
        assert sha256_of_file(tmp_path / "a" / file) == sha256_of_file(tmp_path / "b" / file), file


def test_a_linear_run_goes_on_to_the_bit_and_has_its_end_from_the_beginning(toy: Path, tmp_path: Path) -> None:
    config = toy_config(toy, schedule="linear", epochs=3)
    for number in range(3):
        train_tagger(config, tmp_path / "parts", device=CPU, resume=number > 0, max_minutes=0.0)
    whole = train_tagger(config, tmp_path / "whole", device=CPU)
    assert sha256_of_file(tmp_path / "parts" / "tagger.hdf5") == sha256_of_file(tmp_path / "whole" / "tagger.hdf5")
    rates = [one["learning_rate"] for one in whole["training"]["curve"]]
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 0.1 * config.learning_rate
    with pytest.raises(UsageError, match=r"another epochs \(4, the run has 3\), towards which the learning rate falls"):
        train_tagger(toy_config(toy, schedule="linear", epochs=4), tmp_path / "parts", device=CPU, resume=True)


def test_a_linear_run_is_left_as_it_is_where_other_epochs_are_refused(toy: Path, tmp_path: Path) -> None:
    config = toy_config(toy, schedule="linear", epochs=None)
    train_tagger(config, tmp_path, device=CPU, max_minutes=0.0)
    before = (tmp_path / "config.json").read_bytes()
    with pytest.raises(UsageError, match=r"another epochs \(4, the run has as many as by default\)"):
        train_tagger(toy_config(toy, schedule="linear", epochs=4), tmp_path, device=CPU, resume=True)
    assert (tmp_path / "config.json").read_bytes() == before
    assert train_tagger(config, tmp_path, device=CPU, resume=True, max_minutes=0.0)["training"]["epochs_run"] == 2


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_a_run_is_left_as_it_is_where_another_file_is_refused(
    toy: Path, tmp_path: Path, seeds: tuple[int, ...]
) -> None:
    config, run = toy_config(toy, epochs=2, seeds=seeds), tmp_path / "run"
    train_tagger(config, run, device=CPU, max_minutes=0.0)
    before = {path: path.read_bytes() for path in run.rglob("config.json")}
    other = tmp_path / "other"
    other.write_bytes((toy / "train").read_bytes() + b"\nx\tO\n")
    with pytest.raises(UsageError, match="another train file than the run was begun with"):
        train_tagger(toy_config(toy, epochs=2, seeds=seeds, train=str(other)), run, device=CPU, resume=True)
    assert {path: path.read_bytes() for path in run.rglob("config.json")} == before
    assert train_tagger(config, run, device=CPU, resume=True)["training"]["epochs_run"] == 2


def test_more_epochs_can_be_asked_for_later_but_other_settings_cannot(toy: Path, tmp_path: Path) -> None:
    train_tagger(toy_config(toy, epochs=2), tmp_path / "run", device=CPU)
    with pytest.raises(UsageError, match=r"another hidden_dim \(6, the run has 12\)"):
        train_tagger(toy_config(toy, epochs=3, hidden_dim=6), tmp_path / "run", device=CPU, resume=True)
    with pytest.raises(UsageError, match=r"another hidden_dim \(6, the run has 12\)"):  # a finished run, too
        train_tagger(toy_config(toy, epochs=2, hidden_dim=6), tmp_path / "run", device=CPU, resume=True)
    other = toy_config(toy, epochs=2, train=toy_config(toy).test)
    with pytest.raises(UsageError, match="another train file"):
        train_tagger(other, tmp_path / "run", device=CPU, resume=True)
    events = Events()
    train_tagger(toy_config(toy, epochs=3), tmp_path / "run", device=CPU, resume=True, report=events)
    assert [event["epoch"] for event in events.of("epoch")] == [3]
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line.get("epoch", line.get("event")) for line in log] == [1, 2, "resume", 3]
    train_tagger(toy_config(toy, epochs=3), tmp_path / "whole", device=CPU)
    assert sha256_of_file(tmp_path / "run" / "tagger.hdf5") == sha256_of_file(tmp_path / "whole" / "tagger.hdf5")


@pytest.mark.parametrize("options", [{}, {"train_with_dev": True}])
def test_a_finished_run_without_a_dev_file_is_finished(toy: Path, tmp_path: Path, options: dict[str, bool]) -> None:
    config = toy_config(toy, epochs=1, dev=None, **options)
    train_tagger(config, tmp_path / "run", device=CPU)
    events = Events()
    train_tagger(config, tmp_path / "run", device=CPU, resume=True, report=events)
    assert "finished" in events.text()


def test_several_seeds_keep_the_best_and_share_one_bilm(toy: Path, bilm: Path, tmp_path: Path) -> None:
    config = toy_config(toy, bilm=str(bilm), seeds=(1, 2, 3), epochs=1)
    report = train_tagger(config, tmp_path, device=CPU)
    f1 = report["seeds"]["f1"]["dev"]
    best = report["seed"]
    assert f1["by_seed"][str(best)] == max(f1["by_seed"].values())
    assert set(f1["by_seed"]) == {"1", "2", "3"}
    assert sorted(path.name for path in tmp_path.glob("seed-*")) == [
        f"seed-{seed}" for seed in (1, 2, 3) if seed != best
    ]
    assert not list(tmp_path.glob("seed-*/bilm"))

    from ner_elmo.tagger.tagger import Tagger

    for folder in (tmp_path, *tmp_path.glob("seed-*")):
        assert Tagger.load(folder).tag("Ann sees Rome.").sentences
    events = Events()
    train_tagger(config, tmp_path, device=CPU, resume=True, report=events)
    assert not events.of("epoch")
    assert "finished" in events.text()
    train_tagger(
        toy_config(toy, bilm=str(bilm), seeds=(1, 2, 3), epochs=2), tmp_path, device=CPU, resume=True, report=events
    )
    assert [event["epoch"] for event in events.of("epoch")] == [2, 2, 2]


def test_labels_that_train_lacks_count_as_missed(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "dev").write_text((toy / "dev").read_text() + "\nX\tB-NEW\n")
    events = Events()
    report = train_tagger(
        toy_config(toy, dev=str(tmp_path / "dev"), test=None, epochs=1), tmp_path / "run", device=CPU, report=events
    )
    assert "train lacks (NEW)" in events.text()
    assert report["scores"]["dev"]["labels"]["NEW"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}


def test_word_vectors_from_a_file(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "vectors.txt").write_text("rome 1 2 3\nann 0 0 1\nzanzibar 4 5 6\n")
    from ner_elmo.tagger.tagger import Tagger

    train_tagger(toy_config(toy, word_vectors=str(tmp_path / "vectors.txt"), epochs=1), tmp_path / "run", device=CPU)
    tagger = Tagger.load(tmp_path / "run")
    assert tagger.model.words is not None
    assert tagger.model.words.table()[tagger.words.index("Zanzibar")].tolist() == [4, 5, 6]
    assert tagger.words.n_tuned <= tagger.words.index("zanzibar")


def test_a_checkpoint_that_does_not_fit_is_named(toy: Path, tmp_path: Path) -> None:
    train_tagger(toy_config(toy, epochs=1), tmp_path, device=CPU)
    newest = checkpoints_in(tmp_path).files()[0]
    saved = torch.load(newest, weights_only=True)
    del saved["model"]["output.bias"]
    torch.save(saved, newest)
    with pytest.raises(ModelError, match="does not fit"):
        train_tagger(toy_config(toy, epochs=2), tmp_path, device=CPU, resume=True)


def test_with_and_without_a_cache_the_same_bytes(
    toy: Path, bilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where batches read from disk; and once the cache is filled, the biLM computes nothing more."""
    config = toy_config(toy, bilm=str(bilm), epochs=2)
    train_tagger(config, tmp_path / "without", device=CPU)
    events = Events()
    train_tagger(config, tmp_path / "first", device=CPU, cache=tmp_path / "cache", report=events)
    assert events.text().count("computing biLM layers") == 3
    assert events.of("progress")[0]["what"] == "biLM layers"

    def fail(*_: object) -> None:
        raise AssertionError("computed a second time")

    monkeypatch.setattr(Elmo, "embed", fail)
    train_tagger(config, tmp_path / "second", device=CPU, cache=tmp_path / "cache")
    monkeypatch.setattr("ner_elmo.tagger.training.features.IN_MEMORY_BYTES", 0)
    train_tagger(config, tmp_path / "disk", device=CPU, cache=tmp_path / "cache", report=events)
    assert "each batch read from disk" in events.text()
    for file in ("tagger.hdf5", "word_vectors.hdf5", "tagger.json", "predictions.test.conll", "report.json"):
        digest = sha256_of_file(tmp_path / "without" / file)
        assert {sha256_of_file(tmp_path / name / file) for name in ("first", "second", "disk")} == {digest}, file

    train_tagger(
        toy_config(toy, bilm=str(bilm), epochs=1, seeds=(3, 4)),
        tmp_path / "seeds",
        device=CPU,
        cache=tmp_path / "cache",
    )
    for number, changes in enumerate([{"layers": (0, 2)}, {"mix": "1"}, {"hidden_dim": 6}]):
        ablation = toy_config(toy, bilm=str(bilm), epochs=1, **changes)
        train_tagger(ablation, tmp_path / str(number), device=CPU, cache=tmp_path / "cache")


def test_without_space_for_a_cache_training_goes_on(
    toy: Path, bilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ner_elmo.elmo.feature_cache.SPARE_BYTES", 1 << 62)
    config, events = toy_config(toy, bilm=str(bilm), epochs=1), Events()
    train_tagger(config, tmp_path / "run", device=CPU, cache=tmp_path / "cache", report=events)
    assert len([event for event in events.of("warning") if "MB free" in event["message"]]) == 3
    assert (tmp_path / "run" / "tagger.json").is_file()
    assert not list((tmp_path / "cache").iterdir())


def test_another_bilm_or_other_word_vectors_are_not_gone_on_with(toy: Path, bilm: Path, tmp_path: Path) -> None:
    """Neither in the middle of a run nor on a finished one; the same ones elsewhere are the same."""
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("rome 1 2 3\nann 0 0 1\n")
    shutil.copytree(bilm, tmp_path / "moved")
    small_bilm(tmp_path / "other", seed=9)
    settings = {"bilm": str(bilm), "word_vectors": str(vectors)}
    for epochs in (2, 1):  # more to do, and nothing more to do
        folder = tmp_path / f"run-{epochs}"
        train_tagger(toy_config(toy, **settings, epochs=1), folder, device=CPU)
        other = settings | {"bilm": str(tmp_path / "other")}
        with pytest.raises(UsageError, match="--resume with another biLM than the run was begun with"):
            train_tagger(toy_config(toy, **other, epochs=epochs), folder, device=CPU, resume=True)
        vectors.write_text("rome 1 2 4\nann 0 0 1\n")
        with pytest.raises(UsageError, match="--resume with another vectors file"):
            train_tagger(toy_config(toy, **settings, epochs=epochs), folder, device=CPU, resume=True)
        vectors.write_text("rome 1 2 3\nann 0 0 1\n")
        moved = settings | {"bilm": str(tmp_path / "moved")}
        train_tagger(toy_config(toy, **moved, epochs=epochs), folder, device=CPU, resume=True)
