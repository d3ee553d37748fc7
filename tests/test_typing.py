"""A user's program under ``mypy --strict``: it has no errors, and what the package gives it is not ``Any``."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

PROGRAM = """
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

import ner_elmo
from ner_elmo import (
    DataError,
    Document,
    Elmo,
    Entity,
    Failure,
    LabelledSentence,
    Perplexity,
    PretrainConfig,
    Reading,
    Scores,
    Span,
    Tagger,
    TaggerConfig,
    convert,
    evaluate,
    pretrain,
    read_corpus,
    join_taggers,
    train_tagger,
)


def names(document: Document) -> list[tuple[str, str, float]]:
    assert_type(document.entities, list[Entity])
    return [(entity.text, entity.label, entity.score or 0.0) for entity in document.entities]


def tell(event: Mapping[str, Any]) -> None:
    print(event["event"])


def main(folder: Path) -> None:
    tagger = Tagger.load("en", precision="int8")
    assert_type(tagger, Tagger)
    assert_type(tagger.tag("Ann"), Document)
    assert_type(tagger.tag(["Ann", ["Bob", "."]]), Iterator[Document])
    assert_type(tagger.tag_tokens([["Ann"]]), Iterator[list[tuple[Span, float | None]]])
    assert_type(tagger.pipe(["Ann"]), Iterator[Document])
    assert_type(tagger.tag_each(["Ann"]), Iterator[Document | Failure])
    assert_type(tagger.labels, list[str])
    for document in tagger.tag(line for line in open(folder)):
        print(names(document), document.sentences[0][0].form)
    assert_type(Elmo.load(folder).embed([["Ann"]], layers=[0, 1]), Iterator[NDArray[np.float32]])
    corpus = read_corpus(folder / "train", Reading(column=1, scheme="iob2"))
    assert_type(corpus.sentences, list[LabelledSentence])
    assert_type(corpus.sentences[0].spans, tuple[Span, ...])
    scores = evaluate(tagger, [folder / "test"])
    assert_type(scores.f1, float)
    assert_type(scores.labels["PER"].support, int)
    assert_type(convert("a", folder / "b", to="bioes"), list[str])
    bilm = pretrain(PretrainConfig(corpus=["text"], size="tiny", epochs=2), folder, report=tell)
    assert_type(bilm.path, Path)
    assert_type(bilm.perplexity, Perplexity | None)
    trained = train_tagger(TaggerConfig(train="a", bilm=str(bilm.path), seeds=(1, 2)), folder / "tagger")
    assert_type(trained.dev, Scores | None)
    assert_type(join_taggers(["a", folder], folder / "joined", dev="dev").test, Scores | None)
    assert_type(ner_elmo.DataError("x").exit_status, int)
    try:
        main(folder)
    except (DataError, ner_elmo.WrongTypeError) as error:
        print(error)
"""

# What is wrong, by line, and the beginning of mypy's complaint.
MISTAKES = {
    "Tagger.load(3)": 'Argument 1 to "load" of "Tagger" has incompatible type "int"',
    "Tagger.load().tag('a').entitys": '"Document" has no attribute "entitys"',
    "TaggerConfig(train='a', epoch=3)": 'Unexpected keyword argument "epoch" for "TaggerConfig"',
    "PretrainConfig(corpus='text')": 'Argument "corpus" to "PretrainConfig" has incompatible type "str"',
    "evaluate('en', 'f').f2": '"Scores" has no attribute "f2"',
    "tagger: int = ner_elmo.Tagger.load()": 'Incompatible types in assignment (expression has type "Tagger"',
    "ner_elmo.tagg": 'Module has no attribute "tagg"',
    "convert('a', 'b')": 'Missing named argument "to" for "convert"',
}


@pytest.fixture(scope="module")
def installed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has this checkout and what it needs; mypy reads ``py.typed`` there."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "paths.pth").write_text(f"{repository}\n{sysconfig.get_path('purelib')}\n")
    return folder / "bin" / "python"


def mypy(installed: Path, program: Path) -> list[str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(installed), program.name]
    cache = ["--cache-dir", str(installed.parent / "cache")]
    done = subprocess.run([*command, *cache], capture_output=True, text=True, cwd=program.parent)
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_a_program_has_types_all_through(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    lines = mypy(installed, tmp_path / "program.py")
    assert [line for line in lines if " error: " in line] == []


@pytest.mark.slow
def test_mistakes_are_told(installed: Path, tmp_path: Path) -> None:
    names = "from ner_elmo import PretrainConfig, Tagger, TaggerConfig, convert, evaluate\nimport ner_elmo\n"
    (tmp_path / "program.py").write_text(names + "\n".join(MISTAKES) + "\n")
    found = {
        int(line.split(":")[1]) - 3: line for line in mypy(installed, tmp_path / "program.py") if " error: " in line
    }
    for number, message in enumerate(MISTAKES.values()):
        assert message in found.get(number, ""), (message, found)
