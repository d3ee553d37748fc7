"""What precedes training: parts, layers and the tokenizer of raw text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ner_elmo.errors import DataError, UsageError
from ner_elmo.tagger.training.preparation import choose_text, prepare
from tests.support.devices import CPU
from tests.support.toy_language import toy_config, write_toy
from tests.support.toy_training import Events


def test_without_dev_a_tenth_is_held_out_and_duplicates_stay_together(toy: Path, tmp_path: Path) -> None:
    events = Events()
    prepared = prepare(toy_config(toy, dev=None), CPU, events)
    train_tokens = {sentence.tokens for sentence in prepared.parts["train"]}
    dev_tokens = {sentence.tokens for sentence in prepared.parts["dev"]}
    assert not train_tokens & dev_tokens
    assert dev_tokens
    assert len(prepared.parts["train"]) + len(prepared.parts["dev"]) == 120
    assert "held out" in events.text()
    assert "tenth" in prepared.protocol["dev"]
    write_toy(tmp_path / "one", 1, 0)
    with pytest.raises(DataError, match="--dev FILE"):
        prepare(toy_config(toy, train=str(tmp_path / "one"), dev=None), CPU, events)


def test_layers_and_mix(toy: Path, bilm: Path) -> None:
    def options(**changes: object) -> object:
        return prepare(toy_config(toy, bilm=str(bilm), **changes), CPU, lambda event: None).options

    assert options(layers=(0, 2)).elmo_layers == [0, 2]  # type: ignore[attr-defined]
    assert options(mix="1").elmo_layers == [1]  # type: ignore[attr-defined]
    assert options(mix="mean").n_mixed_layers == 1  # type: ignore[attr-defined]
    for changes, message in [
        ({"layers": (3,)}, "layers 0 .* to 2"),
        ({"mix": "top"}, "expected learned, mean"),
        ({"mix": "1", "layers": (0, 1)}, "leave out --layers"),
        ({"bilm": None, "word_dim": 0, "char_dim": 0}, "nothing to read"),
        ({"text": "klingon"}, "klingon"),
        ({"train": str(toy / "none")}, "no such"),
    ]:
        with pytest.raises(UsageError, match=message):
            prepare(toy_config(toy, **({"bilm": str(bilm)} | changes)), CPU, lambda event: None)


def test_the_tokenizer_for_raw_text() -> None:
    assert choose_text(None, "characters", [["word"]]) == "characters"
    assert choose_text(None, "whitespace", [["many", "words", "."]]) == "en-1"
    assert choose_text(None, None, [["日", "本"]]) == "characters"
    assert choose_text("whitespace", "en-1", []) == "whitespace"
    assert choose_text(None, "characters-words", [["在", "GDP"], ["日"]]) == "characters-words"
    assert choose_text(None, "characters-words", [["在", "G", "D", "P"], ["日"]]) == "characters"


def test_tokens_with_punctuation_on_them_are_told_of(toy: Path, tmp_path: Path) -> None:
    """Split at blanks alone, as nothing splits raw text unless that is asked for."""
    attached = re.sub(r"(?=\s+\S*LOC$)", ",", (toy / "train").read_text(), flags=re.MULTILINE)
    (tmp_path / "train").write_text(attached)

    def said(**changes: str) -> str:
        events = Events()
        prepare(toy_config(toy, **changes), CPU, events)
        return events.text()

    assert "of the training tokens end in punctuation, of which en-1" in said(train=str(tmp_path / "train"))
    assert "end in punctuation" not in said(train=str(tmp_path / "train"), text="whitespace")
    assert "end in punctuation" not in said()
