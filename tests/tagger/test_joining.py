"""Taggers joined: in one training or one by one, the same; what does not fit is refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import pytest

from ner_elmo.cli.main import main
from ner_elmo.errors import ModelError, UsageError
from ner_elmo.tagger.joining import join
from ner_elmo.tagger.network.joined import members_of
from ner_elmo.tagger.store import INFO, WEIGHTS, load_tagger, read_info
from ner_elmo.tagger.tagger import Tagger
from ner_elmo.tagger.training.run import train_tagger
from tests.support.devices import CPU, one_thread
from tests.support.hostile_models import digests_recomputed, rewrite
from tests.support.toy_language import toy_config


@pytest.fixture(scope="module")
def run(toy: Path, bilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of two seeds that were joined; do not change it."""
    folder = tmp_path_factory.mktemp("joined") / "run"
    with one_thread():
        train_tagger(toy_config(toy, bilm=str(bilm), seeds=(1, 2), epochs=2, join=True), folder, device=CPU)
    return folder


def test_joined_at_once_or_later_it_is_the_same(run: Path, toy: Path, tmp_path: Path) -> None:
    seeds = [str(run / f"seed-{seed}") for seed in (1, 2)]
    scored = ["--dev", str(toy / "dev"), "--test", str(toy / "test")]
    assert main(["join", *seeds, "-o", str(tmp_path / "joined"), *scored, "--device", "cpu"]) == 0
    for name in (WEIGHTS, "word_vectors.hdf5", "predictions.dev.conll", "predictions.test.conll"):
        assert (tmp_path / "joined" / name).read_bytes() == (run / name).read_bytes(), name
    ours, theirs = (json.loads((folder / "report.json").read_text()) for folder in (tmp_path / "joined", run))
    for name in ("scores", "calibration", "mix", "options", "sentences"):
        assert ours[name] == theirs[name], name
    assert ours["members"]["f1"]["dev"]["mean"] == theirs["members"]["f1"]["dev"]["mean"]
    assert read_info(run)["members"] == read_info(tmp_path / "joined")["members"] == 2


def test_it_gives_back_its_members(run: Path) -> None:
    each = [load_tagger(run / f"seed-{seed}").model for seed in (1, 2)]
    for found, wanted in zip(members_of(load_tagger(run).model), each, strict=True):
        ours, theirs = found.state_dict(), wanted.state_dict()
        assert ours.keys() == theirs.keys()
        assert all(ours[name].equal(theirs[name]) for name in ours)


def test_a_run_that_was_joined_goes_on_and_is_finished(run: Path, tmp_path: Path, toy: Path, bilm: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    config = toy_config(toy, bilm=str(bilm), seeds=(1, 2), epochs=3, join=True)
    with one_thread():
        train_tagger(config, tmp_path / "run", device=CPU, resume=True)
        train_tagger(config, tmp_path / "whole", device=CPU)
    assert (tmp_path / "run" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    epochs: list[object] = []
    train_tagger(config, tmp_path / "run", device=CPU, resume=True, report=epochs.append)
    assert "finished" in str(epochs)


def test_commands_take_it(run: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text").write_text("Ann Smith sees Rome City today.\n", encoding="utf-8")
    model = ["-m", str(run), "--device", "cpu"]
    for precision in ("fp32", "int8"):
        assert main(["tag", str(tmp_path / "text"), *model, "--precision", precision]) == 0
    assert main(["evaluate", str(toy / "dev"), *model]) == 0
    assert main(["suggest", str(tmp_path / "text"), *model, "-n", "1"]) == 0
    assert main(["info", str(run)]) == 0
    assert main(["compare", str(run), str(run / "seed-1")]) == 0
    out = capsys.readouterr().out
    assert "2 networks" in out


def test_what_differs_is_named(run: Path, toy: Path, bilm: Path, tmp_path: Path) -> None:
    first = run / "seed-1"
    with pytest.raises(UsageError, match="at least two"):
        join([first])
    with pytest.raises(UsageError, match="named twice"):
        join([first, run / "seed-2" / ".." / "seed-1"])
    with one_thread():
        train_tagger(toy_config(toy, bilm=str(bilm), hidden_dim=6, epochs=1), tmp_path / "small", device=CPU)
        train_tagger(toy_config(toy, bilm=str(bilm), train=str(toy / "test"), epochs=1), tmp_path / "else", device=CPU)
        train_tagger(toy_config(toy, epochs=1), tmp_path / "without", device=CPU)
    for name, message in (
        ("small", "small: found hidden_dim 6, expected 12"),
        ("else", "else: it has other words"),
        ("without", "without: found elmo_dim 0"),
    ):
        with pytest.raises(UsageError, match=message):
            join([first, tmp_path / name])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": 3}, "no dataset members.2"),
        ({"members": 1}, "members: found 1, expected a whole number from 2 to 64"),
        ({"members": True}, "members: found True"),
        ({"members": 10**9}, "members: found 1000000000"),
        ({"format_version": 1}, "no dataset mix.weights"),
        ({"format_version": 3}, "format_version 3"),
    ],
)
def test_what_does_not_fit_is_refused(run: Path, tmp_path: Path, changes: dict[str, object], message: str) -> None:
    shutil.copytree(run, tmp_path / "copy")
    rewrite(tmp_path / "copy", **changes)
    with pytest.raises(ModelError, match=message):
        load_tagger(tmp_path / "copy")


def test_a_member_without_its_words_is_refused(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "copy")
    with h5py.File(tmp_path / "copy" / WEIGHTS, "r+") as file:
        del file["members.1.words.tuned.weight"]
    digests_recomputed(tmp_path / "copy")
    with pytest.raises(ModelError, match=r"members\.1\.words\.tuned\.weight"):
        load_tagger(tmp_path / "copy")


def test_without_dev_the_temperature_is_the_mean(run: Path, tmp_path: Path) -> None:
    seeds = [str(run / f"seed-{seed}") for seed in (1, 2)]
    assert main(["join", *seeds, "-o", str(tmp_path / "joined"), "--device", "cpu", "--storage", "float16"]) == 0
    assert Tagger.load(tmp_path / "joined").tag("Ann sees Rome.").sentences
    card = (tmp_path / "joined" / "README.md").read_text(encoding="utf-8")
    assert "seed-1 (seed 1), seed-2 (seed 2)" in card
    assert "joined without dev" in card
    assert main(["join", *seeds, "-o", str(tmp_path / "joined")]) == 2
    assert main(["join", *seeds, "-o", str(run), "--force"]) == 2  # a run, with checkpoints and all
    assert (run / INFO).is_file()
