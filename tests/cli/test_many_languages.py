"""From a raw file to a trained tagger to tagged text, in seven languages, by --text alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ner_elmo.cli.main import main
from ner_elmo.text.tokenizer import resolved
from tests.support.many_languages import LANGUAGES, labelled, raw_text

MACHINE = ["--threads", "1", "--device", "cpu"]


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_from_raw_text_to_tagged_text(language: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "raw.txt").write_text(raw_text(language), encoding="utf-8")
    (tmp_path / "train.jsonl").write_text(labelled(language), encoding="utf-8")
    (tmp_path / "dev.jsonl").write_text(labelled(language, seed=2), encoding="utf-8")
    (tmp_path / "new.txt").write_text("".join(raw_text(language, seed=3).splitlines(True)[:20]), encoding="utf-8")
    bilm, tagger, out = tmp_path / "bilm", tmp_path / "tagger", tmp_path / "out.jsonl"
    size = ["--size", "tiny", "--epochs", "1"]
    assert main(["pretrain", str(tmp_path / "raw.txt"), "--language", language, "-o", str(bilm), *size, *MACHINE]) == 0
    text = json.loads((bilm / "bilm" / "bilm.json").read_text(encoding="utf-8"))["text"]
    assert (text["tokens"], text["language"]) == (resolved(language), language)
    files = [f"--{part}={tmp_path / f'{part}.jsonl'}" for part in ("train", "dev")]
    small = ["--epochs", "40", "--hidden-size", "32", "--word-dim", "16", "--batch-sentences", "8"]
    small += ["--lr", "0.005", "--dropout", "0.3"]  # so few sentences are learned by heart otherwise, or not at all
    assert main(["train-tagger", *files, "--bilm", str(bilm), "-o", str(tagger), *small, *MACHINE]) == 0
    assert json.loads((tagger / "tagger.json").read_text(encoding="utf-8"))["text"]["tokens"] == resolved(language)
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "dev.jsonl"), "-m", str(tagger), "--json", *MACHINE[2:]]) == 0
    f1 = json.loads(capsys.readouterr().out)["f1"]
    assert f1 > 0.6
    arguments = ["-m", str(tagger), "-f", "jsonl", "-o", str(out), *MACHINE]
    assert main(["tag", str(tmp_path / "new.txt"), *arguments]) == 0
    assert "does not look like" not in capsys.readouterr().err
    units = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    found = [entity for unit in units for entity in unit["entities"]]
    assert len(found) > 20
    assert all(unit["text"][e["start"] : e["end"]] == e["text"] for unit in units for e in unit["entities"])
