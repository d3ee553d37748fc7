"""train-tagger, and its tagger in evaluate and tag, as a person meets them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ner_elmo.cli.main import main
from tests.support.command_line import SMALL, ner_elmo
from tests.support.toy_language import write_toy


def test_a_folder_of_brat_is_trained_on_and_gone_on_with_while_it_is_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("train", "dev"):
        (tmp_path / folder / "below").mkdir(parents=True)
        for n in range(8):
            file = tmp_path / folder / ("below" if n % 2 else "") / f"{n}.txt"
            file.write_text(f"Ann{n} sees Rome .\n")
            file.with_suffix(".ann").write_text(f"T1\tPER 0 4\tAnn{n}\n")
    command = ["train-tagger", "--train", tmp_path / "train", "--dev", tmp_path / "dev", "-o", tmp_path / "run", *SMALL]
    command += ["--schedule", "plateau"]
    assert ner_elmo(capsys, *command, "--epochs", 1)[0] == 0
    assert json.loads((tmp_path / "run" / "report.json").read_text())["protocol"]["data"]["train"]["entities"] == 8
    assert ner_elmo(capsys, *command, "--epochs", 2, "--resume")[0] == 0
    (tmp_path / "train" / "below" / "1.txt").write_text("Ann1 sees Oslo .\n")
    status, _, error = ner_elmo(capsys, *command, "--epochs", 3, "--resume")
    assert (status, "train file" in error) == (2, True)
    status, _, error = ner_elmo(capsys, *command[:2], tmp_path, *command[3:], "--from", "conll", "--force")
    assert (status, "is a directory; expected a file" in error) == (2, True)


def test_the_whole_story(toy: Path, bilm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model"
    arguments = ["train-tagger", "--train", toy / "train", "--dev", toy / "dev", "--test", toy / "test", "--bilm", bilm]
    arguments += ["-o", model, "--epochs", 6, *SMALL]
    status, out, err = ner_elmo(capsys, *arguments)
    assert status == 0
    assert "micro avg" in out
    assert "dev (seed 1)" in out
    assert "test (seed 1)" in out
    assert err.count("epoch") == 6
    assert "\r" not in err

    status, out, err = ner_elmo(capsys, "evaluate", toy / "test", "-m", model, "--json", "--threads", 1)
    figures = json.loads(out)
    trained = json.loads((model / "report.json").read_text())["scores"]["test"]
    assert status == 0
    assert {name: figures[name] for name in trained} == trained
    sizes = {"sentences", "tokens", "tokens_per_second"}
    assert set(figures) == {"precision", "recall", "f1", "accuracy", "labels"} | sizes
    status, out, err = ner_elmo(capsys, "evaluate", toy / "test", "-m", model, "--threads", 1)
    assert status == 0
    assert "micro avg" in out

    text = tmp_path / "in.txt"
    text.write_text("Ann Smith sees Rome City today.\r\n\n  Bob leaves \U0001f600 Oslo.\n", encoding="utf-8")
    status, out, err = ner_elmo(capsys, "tag", text, "-m", model, "-f", "jsonl", "--threads", 1)
    documents = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert [document["text"] for document in documents] == text.read_text("utf-8").split("\n")[0:3:2]
    for document in documents:
        for entity in document["entities"]:
            assert document["text"][entity["start"] : entity["end"]] == entity["text"]
            assert 0 < entity["score"] <= 1
    assert [entity["text"] for entity in documents[0]["entities"]] == ["Ann Smith", "Rome City"]

    status, out, err = ner_elmo(capsys, "tag", text, "-m", model, "-f", "jsonl", "--no-scores", "--threads", 1)
    assert status == 0
    for document in documents:
        for entity in document["entities"]:
            del entity["score"]
    assert [json.loads(line) for line in out.splitlines()] == documents
    status, out, err = ner_elmo(capsys, "info", model)
    assert status == 0
    assert "temperature" in out
    assert "calibration error dev" in out

    status, out, err = ner_elmo(capsys, "tag", text, "-m", model, "-f", "conll", "-o", tmp_path / "out", "--threads", 1)
    assert status == 0
    assert out == ""
    assert (tmp_path / "out").read_text("utf-8").startswith("Ann\tB-PER\nSmith\tI-PER\n")
    status, out, err = ner_elmo(capsys, "tag", text, "-m", model, "--min-score", 1, "--threads", 1)
    assert status == 0
    assert "[" not in out
    status, out, err = ner_elmo(capsys, *arguments, "--resume")
    assert status == 0
    assert "finished" in err
    one_epoch = [*arguments, "--epochs", 1, "--force"]
    for more, read, computed in [([], 3, 0), (["--no-cache"], 0, 1), (["--cache", tmp_path / "cache"], 0, 3)]:
        status, out, err = ner_elmo(capsys, *one_epoch, *more)
        assert status == 0
        assert (err.count("read from"), err.count("computing biLM layers")) == (read, computed)


def test_mistakes_give_one_clear_line(
    toy: Path, bilm: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, words, existing = tmp_path / "empty", tmp_path / "words", tmp_path / "existing"
    empty.write_text("")
    words.write_text("Berlin\nRome\n")
    existing.mkdir()
    (existing / "something").write_text("")
    no_entity = tmp_path / "no-entity"
    no_entity.write_text("a\tO\n\nb\tO\n")
    train = ["train-tagger", "--train", toy / "train", "--dev", toy / "dev", "-o", tmp_path / "x", *SMALL]
    mistakes: list[tuple[int, str, list[object]]] = [
        (2, "no such", ["train-tagger", "--train", tmp_path / "none", "-o", tmp_path / "x"]),
        (2, "is a directory", ["train-tagger", "--train", tmp_path, "-o", tmp_path / "x"]),
        (3, "found no sentence", ["train-tagger", "--train", empty, "-o", tmp_path / "x"]),
        (3, "words:1: found 1 column", ["train-tagger", "--train", words, "-o", tmp_path / "x"]),
        (3, "--column takes 1 to 1", [*train, "--column", 5]),
        (3, "found no entity", ["train-tagger", "--train", no_entity, "--dev", no_entity, "-o", tmp_path / "x"]),
        (2, "exists already", ["train-tagger", "--train", toy / "train", "-o", existing]),
        (2, "is a file", ["train-tagger", "--train", toy / "train", "-o", empty, "--force"]),
        (2, "expected one of auto, iob1", [*train, "--scheme", "xyz"]),
        (2, "expected whole numbers", [*train, "--seeds", "1,two"]),
        (2, "each once", [*train, "--seeds", "1,1"]),
        (2, "layers 0 (tokens) to 2", [*train, "--bilm", bilm, "--layers", "0,7"]),
        (2, "no such file or directory", [*train, "--bilm", tmp_path / "none"]),
        (2, "expected float32 or float16", [*train, "--storage", "int4"]),
        (2, "expected one of them", [*train, "--bilm", bilm, "--cache", tmp_path, "--no-cache"]),
        (2, "expected a folder", [*train, "--bilm", bilm, "--cache", empty]),
        (2, "no such", ["tag", tmp_path / "none", "-m", trained]),
        (2, "expected one of text, conll, jsonl", ["tag", words, "-m", trained, "-f", "xml"]),
        (2, "expected line, paragraph or file", ["tag", words, "-m", trained, "--unit", "page"]),
        (2, "exists already", ["tag", words, "-m", trained, "-o", empty]),
        (2, "--no-scores computes none", ["tag", words, "-m", trained, "--no-scores", "--min-score", "0.5"]),
        (2, "no such tagger", ["tag", words, "-m", "klingon"]),
        (2, "not a tagger directory", ["evaluate", toy / "test", "-m", existing]),
        (2, "--precision", ["tag", words, "-m", trained, "--precision", "int1"]),
    ]
    for status, message, arguments in mistakes:
        found, out, err = ner_elmo(capsys, *arguments)
        assert (found, out) == (status, ""), (arguments, err)
        assert message in err, (arguments, err)
        assert err.count("\n") == 1, (arguments, err)
    assert not (tmp_path / "x").exists()


def test_force_replaces_a_run_and_nothing_else(toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train-tagger", "--train", toy / "train", "--dev", toy / "dev", "-o", tmp_path, *SMALL, "--epochs", 1]
    for _ in range(2):
        status, out, _ = ner_elmo(capsys, *arguments, "--force", "--json")
        assert status == 0
        assert json.loads(out)["training"]["epochs_run"] == 1
        (tmp_path / "notes.txt").write_text("mine")
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_a_signal_leaves_the_last_checkpoint(toy: Path, tmp_path: Path, number: int, status: int) -> None:
    write_toy(tmp_path / "train", 600, 7)
    command = [sys.executable, "-m", "ner_elmo", "train-tagger", "--train", tmp_path / "train", "--dev", toy / "dev"]
    command += ["-o", tmp_path / "run", "--epochs", "500", "--patience", "500", *SMALL]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            for _ in range(600):
                if list(tmp_path.glob("run/checkpoints/epoch-*.pt")) or process.poll() is not None:
                    break
                time.sleep(0.05)
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == status
    assert "Traceback" not in err
    assert "--resume" in err.splitlines()[-1]
    assert list(tmp_path.glob("run/checkpoints/epoch-*.pt"))
    assert not (tmp_path / "run" / "tagger.json").exists()


def test_leakage_is_said_at_the_start(toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = ["train-tagger", "--train", str(toy / "train"), "--dev", str(toy / "train"), "-o", str(tmp_path / "m")]
    assert main([*train, *SMALL, "--epochs", "1"]) == 0
    assert "warning: dev: 120 sentences stand in an earlier part, too" in capsys.readouterr().err


def test_flags_reach_the_run(toy: Path, bilm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = "--elmo-at both --mix-layer-norm --no-gamma --mix-l2 0.5 --clip-norm 2 --lr-patience 7 --lr-factor 0.25"
    flags += " --char-dim 3 --char-filters 5 --batch-tokens 99 --max-word-vectors 12 --epochs 1 --patience 3"
    command = ["train-tagger", "--train", toy / "train", "--dev", toy / "dev", "--bilm", bilm, "-o", tmp_path / "run"]
    assert ner_elmo(capsys, *command, *flags.split(), *SMALL)[0] == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    expected = {"elmo_at": "both", "mix_layer_norm": True, "gamma": False, "mix_l2": 0.5, "clip_norm": 2}
    expected |= {"lr_patience": 7, "lr_factor": 0.25, "char_dim": 3, "char_filters": 5, "batch_tokens": 99}
    expected |= {"max_word_vectors": 12, "patience": 3, "epochs": 1}
    assert {name: config[name] for name in expected} == expected
    mistakes = [
        ("give --epochs", ["--train-with-dev"]),
        ("expected input, output or both", ["--elmo-at", "top"]),
        ("leave --word-dim or the character CNN on", ["--elmo-at", "output", "--word-dim", "0", "--no-char-cnn"]),
        ("part of the learned mix", ["--mix", "mean", "--mix-layer-norm"]),
        ("without --word-vectors FILE", ["--no-tune-word-vectors"]),
        ("expected a number above 0", ["--clip-norm", 0]),
    ]
    for message, wrong in mistakes:
        status, out, err = ner_elmo(capsys, *command[:-1], tmp_path / "x", *SMALL, *wrong)
        assert (status, out) == (2, ""), wrong
        assert message in err
        assert err.count("\n") == 1
    assert "expected -o DIRECTORY" in (ner_elmo(capsys, *command[:-2])[2])
    assert not (tmp_path / "x").exists()


def test_a_quick_check_says_whether_it_learns_and_writes_nothing(
    toy: Path, bilm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dev = tmp_path / "dev"
    # Names to be known by their places.
    dev.write_text((toy / "dev").read_text().replace("Ann", "Zoe").replace("Rome", "Cairo"))
    command = ["train-tagger", "--train", toy / "train", "--dev", dev, "--bilm", bilm, *SMALL, "--quick"]
    before = {path: path.stat().st_mtime for path in Path(toy).iterdir()}
    status, out, err = ner_elmo(capsys, *command, "--epochs", 8)
    assert status == 0
    assert "quick check   learns: dev F1" in out
    assert "120 of 120 training sentences" in out
    assert err.count("epoch") >= 3
    status, out, _ = ner_elmo(capsys, *command, "--epochs", 3, "--lr", 1e-9, "--json")
    found = json.loads(out)["quick"]
    assert (status, found["verdict"]) == (1, "does not learn")
    assert found["dev"] < found["baseline"] < 0.95
    assert list(tmp_path.iterdir()) == [dev]
    assert {path: path.stat().st_mtime for path in Path(toy).iterdir()} == before
