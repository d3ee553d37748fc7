"""Taggers that give each token a tag of its own, as parts of speech."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ner_elmo.cli.main import main
from ner_elmo.tagger.tagger import Tagger
from tests.support.command_line import SMALL, ner_elmo
from tests.support.toy_language import PEOPLE, PLACES, VERBS


def part_of_speech(token: str) -> str:
    if token in VERBS:
        return "VBZ"
    return "NNP" if token in {*PEOPLE, *PLACES, "Smith", "City"} else "." if token == "." else "I-RB"


@pytest.fixture(scope="module")
def parts_of_speech(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy files with three columns, parts of speech in the second; one tag looks like an entity's."""
    folder = tmp_path_factory.mktemp("pos")
    for part in ("train", "dev", "test"):
        lines = (toy / part).read_text().splitlines()
        rows = [line and f"{(token := line.split()[0])}\t{part_of_speech(token)}\t{line.split()[1]}" for line in lines]
        (folder / part).write_text("\n".join(rows) + "\n")
    return folder


def test_the_whole_story(parts_of_speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, dev, test = (parts_of_speech / part for part in ("train", "dev", "test"))
    column = ["--column", 1, "--scheme", "none"]
    arguments = ["train-tagger", "--train", train, "--dev", dev, "--test", test, "-o", tmp_path / "pos", *column]
    status, out, err = ner_elmo(capsys, *arguments, "--epochs", 3, *SMALL)
    assert status == 0
    assert "dev accuracy" in out.splitlines()[-1]
    assert "NNP" in err.splitlines()[0]
    report = json.loads((tmp_path / "pos" / "report.json").read_text())
    assert report["options"]["tags"] == [".", "I-RB", "NNP", "VBZ"]
    scores = report["scores"]["test"]
    assert scores["accuracy"] == scores["f1"] == scores["precision"] > 0.9
    card = (tmp_path / "pos" / "README.md").read_text()
    assert "Tags: ., I-RB, NNP, VBZ." in card
    assert f"Accuracy on test, the share of tokens with the right tag: {scores['accuracy']:.4f}." in card
    assert (tmp_path / "pos" / "predictions.dev.conll").read_text().count("\tNNP\n") > 20

    for more in ([], ["--scheme", "none"]):
        status, out, _ = ner_elmo(capsys, "evaluate", test, "-m", tmp_path / "pos", "--column", 1, "--json", *more)
        assert status == 0
        assert json.loads(out)["accuracy"] == scores["accuracy"]
    (tmp_path / "in").write_text("Ann sees Rome today .\n")
    tag = ["tag", tmp_path / "in", "-m", tmp_path / "pos", "--tokenized", "-f"]
    assert ner_elmo(capsys, *tag, "conll")[1] == "Ann\tNNP\nsees\tVBZ\nRome\tNNP\ntoday\tI-RB\n.\t.\n\n"
    entities = json.loads(ner_elmo(capsys, *tag, "jsonl")[1])["entities"]
    assert [(e["text"], e["label"]) for e in entities][:2] == [("Ann", "NNP"), ("sees", "VBZ")]
    assert all(0 < e["score"] <= 1 for e in entities)
    assert Tagger.load(tmp_path / "pos").labels == [".", "I-RB", "NNP", "VBZ"]
    status, out, _ = ner_elmo(capsys, "check", train, *column)
    assert status == 0
    assert "scheme token: declared none" in out
    assert "tags: " in out


def test_convert_keeps_a_tag_for_each_token(tmp_path: Path) -> None:
    source, there, back = tmp_path / "a", tmp_path / "b.jsonl", tmp_path / "c"
    source.write_text("a\tNN\nb\tNN\nc\tB-X\n\n")
    assert main(["convert", str(source), str(there), "--to", "jsonl", "--scheme", "none"]) == 0
    assert [e["label"] for e in json.loads(there.read_text())["entities"]] == ["NN", "NN", "B-X"]
    assert main(["convert", str(there), str(back), "--to", "token"]) == 0
    assert back.read_text() == source.read_text()
    assert main(["convert", str(source), str(back), "--to", "none", "--scheme", "none", "--force"]) == 0
    assert back.read_text() == source.read_text()


def test_other_parts_are_read_as_train_is(tmp_path: Path) -> None:
    """Labels without prefixes: train has an O, so those are entities, in a dev without any O, too."""
    (tmp_path / "train").write_text("Ann PER\nSmith PER\nsees O\n\n" * 3)
    (tmp_path / "dev").write_text("Ann PER\nSmith PER\n")
    arguments = ["train-tagger", "--train", tmp_path / "train", "--dev", tmp_path / "dev", "--scheme", "none", *SMALL]
    assert main([*map(str, arguments), "-o", str(tmp_path / "run"), "--epochs", "1"]) == 0
    data = json.loads((tmp_path / "run" / "report.json").read_text())["protocol"]["data"]
    assert (data["train"]["entities"], data["dev"]["entities"]) == (3, 1)
