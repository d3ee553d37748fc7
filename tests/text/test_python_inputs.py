"""What a Python program hands in of a wrong type is named with its position, after the results of what precedes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.errors import UsageError
from ner_elmo.tagger.tagger import Tagger

UNIT = "expected a str or a list of tokens"


@pytest.fixture(scope="module")
def tagger(trained: Path) -> Tagger:
    return Tagger.load(trained)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (float("nan"), f"text 1: found float, {UNIT}"),
        (None, f"text 1: found NoneType, {UNIT}"),
        (b"Ulm", f"text 1: found bytes, {UNIT}"),
        ({"a": 1}, f"text 1: found dict, {UNIT}"),
        (np.zeros((2, 2)), f"text 1: found ndarray, {UNIT}"),
        (["In", 1998], "text 1, token 1: found int, expected a str"),
        (["In", None], "text 1, token 1: found NoneType, expected a str"),
    ],
)
def test_a_unit_of_a_wrong_type(tagger: Tagger, wrong: Any, message: str) -> None:
    for tag in (tagger.tag, tagger.tag_each):
        documents = tag(["Ann sees Rome.", wrong, "Bob"])
        assert next(documents).text == "Ann sees Rome."  # type: ignore[union-attr]
        with pytest.raises(TypeError, match=f"^{message}$") as caught:
            next(documents)
        assert isinstance(caught.value, UsageError)


@pytest.mark.parametrize("wrong", [None, b"Ulm", 3.5, Path("x")])
def test_a_single_value_of_a_wrong_type_is_refused_at_once(tagger: Tagger, wrong: Any) -> None:
    name = type(wrong).__name__
    for call in (tagger.tag, tagger.tag_each, tagger.tag_tokens, tagger.elmo.embed):  # type: ignore[union-attr]
        with pytest.raises(TypeError, match=f"^found {name}, expected "):
            call(wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("Lena Vogt", "sentence 1: found a str, expected a list of tokens"),
        (None, "sentence 1: found NoneType, expected a list of tokens"),
        ([b"Lena"], "sentence 1, token 0: found bytes, expected a str"),
    ],
)
def test_a_sentence_of_a_wrong_type(tagger: Tagger, wrong: Any, message: str) -> None:
    assert isinstance(tagger.elmo, Elmo)
    for call in (tagger.tag_tokens, tagger.elmo.embed):
        found: Iterator[object] = call([["Ann", "sees"], wrong])
        next(found)
        with pytest.raises(TypeError, match=f"^{message}$"):
            next(found)
    for one_text in (tagger.tag_tokens, tagger.elmo.embed):
        with pytest.raises(TypeError, match=r"^found a str, expected lists of tokens$"):
            one_text("Lena Vogt")


def test_arrays_generators_and_tuples_are_as_good_as_lists(tagger: Tagger) -> None:
    texts = ["Ann sees Rome.", "Bob leaves."]
    wanted = list(tagger.tag(texts))
    assert list(tagger.tag(np.array(texts))) == wanted
    assert list(tagger.tag(text for text in texts)) == wanted
    assert tagger.tag(np.str_(texts[0])) == wanted[0]
    for tokens in (("Ann", "sees"), np.array(["Ann", "sees"])):
        assert list(tagger.tag([tokens])) == list(tagger.tag([["Ann", "sees"]]))


def test_the_error_of_an_iterator_comes_after_what_it_gave(tagger: Tagger) -> None:
    def texts() -> Iterator[str]:
        yield "Ann sees Rome."
        raise OSError("the line is down")

    documents = tagger.tag(texts())
    assert next(documents).text == "Ann sees Rome."
    with pytest.raises(OSError, match="the line is down"):
        next(documents)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "x"}, "device x: unknown"),
        ({"device": 1.5}, "device 1.5: unknown"),
        ({"batch_tokens": 0}, "batch_tokens: found 0, expected at least 1"),
        ({"batch_tokens": "9"}, "batch_tokens: found a str, expected an int"),
        ({"batch_tokens": True}, "batch_tokens: found bool, expected an int"),
    ],
)
def test_arguments_that_cannot_be_meant_when_loading(trained: Path, arguments: dict[str, Any], message: str) -> None:
    for load in (Tagger.load, Elmo.load):
        with pytest.raises(UsageError, match=message):
            load(trained, **arguments)


def test_names_of_other_types_when_loading(trained: Path) -> None:
    for load in (Tagger.load, Elmo.load):
        with pytest.raises(TypeError, match=r"^found int, expected "):
            load(5)
    with pytest.raises(TypeError, match=r"^text: found int, expected a str$"):
        Tagger.load(trained, text=5)  # type: ignore[arg-type]
