"""train-tagger, evaluate and tag as a person meets them."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.command_line import SMALL, ner_elmo
from tests.support.toy_language import write_toy


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
    assert '"temperature"' in out
    assert '"ece": {"dev"' in out

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


def test_standard_input_units_and_tokens(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tag(text: str, *arguments: str) -> list[str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        status, out, _ = ner_elmo(capsys, "tag", "-", "-m", trained, "-f", "jsonl", "--threads", 1, *arguments)
        assert status == 0
        return [json.loads(line)["text"] for line in out.splitlines()]

    text = "Ann sees\nRome.\n\n\nBob leaves Oslo.\n"
    assert tag(text) == ["Ann sees", "Rome.", "Bob leaves Oslo."]
    assert tag(text, "--unit", "paragraph") == ["Ann sees\nRome.", "Bob leaves Oslo."]
    assert tag(text, "--unit", "file") == ["Ann sees\nRome.\n\n\nBob leaves Oslo."]
    assert tag("Ann sees Rome .\n", "--tokenized") == ["Ann sees Rome ."]
    assert tag("") == []


def test_gold_labels_that_the_model_does_not_know(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gold").write_text("Ann\tB-PER\nthing\tB-NEW\n")
    status, out, err = ner_elmo(capsys, "evaluate", tmp_path / "gold", "-m", trained, "--json", "--threads", 1)
    assert status == 0
    assert err.count("warning") == 1
    assert "NEW" in err
    assert json.loads(out)["labels"]["NEW"]["recall"] == 0


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
        (2, "unknown tag scheme", [*train, "--scheme", "xyz"]),
        (2, "expected whole numbers", [*train, "--seeds", "1,two"]),
        (2, "names a number twice", [*train, "--seeds", "1,1"]),
        (2, "layers 0 (tokens) to 2", [*train, "--bilm", bilm, "--layers", "0,7"]),
        (2, "no such file or directory", [*train, "--bilm", tmp_path / "none"]),
        (2, "expected float32 or float16", [*train, "--storage", "int4"]),
        (2, "expected one of them", [*train, "--bilm", bilm, "--cache", tmp_path, "--no-cache"]),
        (2, "expected a folder", [*train, "--bilm", bilm, "--cache", empty]),
        (2, "no such", ["tag", tmp_path / "none", "-m", trained]),
        (2, "expected one of text, conll, jsonl", ["tag", words, "-m", trained, "-f", "xml"]),
        (2, "expected one of line, paragraph, file", ["tag", words, "-m", trained, "--unit", "page"]),
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
    (tmp_path / "notes.txt").write_text("mine")
    arguments = ["train-tagger", "--train", toy / "train", "--dev", toy / "dev", "-o", tmp_path, *SMALL, "--epochs", 1]
    for _ in range(2):
        status, out, _ = ner_elmo(capsys, *arguments, "--force", "--json")
        assert status == 0
        assert json.loads(out)["training"]["epochs_run"] == 1
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
    assert "go on with --resume" in err.splitlines()[-1]
    assert list(tmp_path.glob("run/checkpoints/epoch-*.pt"))
    assert not (tmp_path / "run" / "tagger.json").exists()


def test_tagging_imports_neither_seqeval_nor_scikit_learn(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("Ann sees Rome.\n")
    program = (
        "import sys; from ner_elmo.cli.main import main; status = main(sys.argv[1:]); "
        "assert not {'seqeval', 'sklearn'} & set(sys.modules); sys.exit(status)"
    )
    command = [sys.executable, "-c", program, "tag", str(tmp_path / "in"), "-m", str(trained), "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[Ann PER] sees [Rome LOC].\n"
