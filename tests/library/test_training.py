"""pretrain and train_tagger from Python: what the commands make, with results that have types, and nothing printed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ner_elmo import Elmo, PretrainConfig, Scores, Tagger, UsageError, pretrain, train_tagger
from ner_elmo.cli.main import main
from ner_elmo.text.files import sha256_of_file
from tests.support.devices import one_thread
from tests.support.toy_language import toy_config
from tests.support.toy_pretraining import toy_text


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("text") / "text"
    file.write_text("\n".join(" ".join(sentence) for sentence in toy_text(300, 0)) + "\n")
    return file


def settings_for(text: Path) -> PretrainConfig:
    return PretrainConfig(
        corpus=[str(text)], size="tiny", epochs=1, batch_tokens=256, precision="fp32", vocabulary_size=40
    )


def test_pretrain_makes_what_the_command_makes(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events: list[Mapping[str, Any]] = []
    # Text of made-up words does not look tokenised to everyone: --force, as in the command below.
    bilm = pretrain(settings_for(text), tmp_path / "ours", device="cpu", force=True, report=events.append)
    assert capsys.readouterr() == ("", "")
    assert bilm.finished
    assert bilm.perplexity is not None
    written = json.loads((tmp_path / "ours" / "report.json").read_text())
    assert (bilm.tokens, bilm.perplexity.mean) == (written["tokens"], written["perplexity"]["mean"])
    assert bilm.unigram_perplexity == written["unigram_perplexity"]
    assert {"counted", "start", "step", "perplexity", "finished"} <= {event["event"] for event in events}
    assert Elmo.load(bilm.path).n_layers == 3

    flags = ["--size", "tiny", "--epochs", "1", "--batch-tokens", "256", "--precision", "fp32", "--vocab-size", "40"]
    command = ["pretrain", str(text), "-o", str(tmp_path / "theirs"), *flags, "--force", "--device", "cpu"]
    assert main(command) == 0
    theirs = tmp_path / "theirs" / "bilm" / "weights.hdf5"
    assert sha256_of_file(bilm.path / "weights.hdf5") == sha256_of_file(theirs)

    assert pretrain(None, tmp_path / "ours", resume=True) == bilm  # finished: nothing is done again


def test_a_pretraining_that_was_stopped_goes_on(text: Path, tmp_path: Path) -> None:
    steps: list[int] = []
    answers = iter([False, False, True])
    begun = pretrain(settings_for(text), tmp_path / "run", device="cpu", force=True, should_stop=lambda: next(answers))
    assert not begun.finished
    assert begun.perplexity is None

    def note_step(event: Mapping[str, Any]) -> None:
        if event["event"] == "step":
            steps.append(event["step"])

    done = pretrain(None, tmp_path / "run", device="cpu", resume=True, report=note_step)
    assert steps[0] == 4
    assert done.finished
    with pytest.raises(UsageError, match="seed"):
        pretrain(replace(settings_for(text), seed=9), tmp_path / "run", resume=True)


def test_train_tagger_makes_what_the_command_makes(toy: Path, bilm: Path, tmp_path: Path, trained: Path) -> None:
    with one_thread():
        made = train_tagger(toy_config(toy, bilm=str(bilm), seeds=(9,)), tmp_path / "tagger", device="cpu")
    for name in ("tagger.hdf5", "word_vectors.hdf5"):  # `trained` is of the same settings
        assert sha256_of_file(made.path / name) == sha256_of_file(trained / name)
    report = json.loads((made.path / "report.json").read_text())
    assert made.dev == Scores.of(report["scores"]["dev"])
    assert made.test == Scores.of(report["scores"]["test"])
    assert made.report["seed"] == report["seed"]
    assert Tagger.load(made.path).labels == ["LOC", "PER"]
    assert train_tagger(None, made.path, device="cpu", resume=True).dev == made.dev


def test_without_parts_there_are_no_scores_of_them(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = toy_config(toy, test=None, train_with_dev=True, epochs=1)
    made = train_tagger(config, tmp_path / "tagger", device="cpu", cache=tmp_path / "cache")
    assert (made.dev, made.test) == (None, None)
    assert capsys.readouterr() == ("", "")


def test_what_stands_there_is_not_replaced_unasked(toy: Path, text: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        train_tagger(toy_config(toy), tmp_path)
    with pytest.raises(UsageError, match="exists already"):
        pretrain(settings_for(text), tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        pretrain(settings_for(text), tmp_path / "mine")
    for begin in (pretrain, train_tagger):
        with pytest.raises(UsageError, match="found no run to resume"):
            begin(None, tmp_path / "new", resume=True)
    with pytest.raises(UsageError, match="nothing: no such"):
        train_tagger(toy_config(toy, train="nothing"), tmp_path / "new")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mine"]
