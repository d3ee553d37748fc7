"""``ner-elmo explore``: an index once, then answers; mistakes in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ner_elmo.cli.main import main

QUERY = "Ann [sees] Rome ."


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("Ann sees Rome .\nBob sees Oslo again .\nEve waits .\n")
    return path


def test_asks_twice(trained: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--bilm", str(trained), "--index", str(tmp_path / "index"), "--threads", "1"]
    assert main(["explore", QUERY, "--text", str(corpus), *common]) == 0
    first = capsys.readouterr()
    assert "layer 1, in context" in first.out
    assert "making an index" in first.err
    assert "tagger's word vectors" in first.out
    assert "token layer" in first.out
    assert main(["explore", QUERY, *common, "--json", "--html", str(tmp_path / "page.html"), "--neighbours", "1"]) == 0
    second = capsys.readouterr()
    found = json.loads(second.out)
    assert found["tokens_searched"] == 12
    assert "making" not in second.err
    assert [len(layer["neighbours"]) for layer in found["layers"]] == [1, 1]
    assert (tmp_path / "page.html").read_text().count("<svg") == 2


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["no mark", "--text", "{text}"], 2, "found no word between [ and ]"),
        ([QUERY], 2, "expected --text CORPUS, or --index"),
        ([QUERY, "--text", "{text}", "--kind", "klingon"], 2, "klingon"),
        ([QUERY, "--text", "missing.txt"], 2, "missing.txt"),
        ([QUERY, "--text", "{text}", "--html", "{text}"], 2, "--force"),
        ([QUERY, "--text", "{text}", "--word-vectors", "missing.vec"], 2, "missing.vec"),
        ([QUERY, "--index", "{folder}"], 2, "found no index"),
        ([QUERY, "--text", "{text}", "--index", "{folder}"], 2, "holds other things"),
    ],
)
def test_mistakes(
    trained: Path,
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    said: str,
) -> None:
    places = {"{text}": str(corpus), "{folder}": str(tmp_path)}
    filled = [places.get(argument, argument) for argument in arguments]
    assert main(["explore", "--bilm", str(trained), "--threads", "1", *filled]) == status
    output = capsys.readouterr()
    assert said in output.err
    assert not output.out
    assert len([line for line in output.err.splitlines() if line.startswith("ner-elmo:")]) == 1
