"""The quick check: its verdicts, and the baseline that only looks tokens up."""

from __future__ import annotations

from pathlib import Path

from ner_elmo.tagger.training.quick_check import look_up, quick_check, spread, verdict_on_f1
from ner_elmo.text.formats.corpus import LabelledSentence
from ner_elmo.text.tag_scheme import Span
from tests.support.devices import CPU
from tests.support.toy_language import toy_config


def test_a_loss_that_is_no_number_does_not_learn(toy: Path) -> None:
    found = quick_check(toy_config(toy, learning_rate=1e30, epochs=2), device=CPU)
    assert found["verdict"] == "does not learn"
    assert "smaller --learning-rate" in found["failure"]


def test_verdicts() -> None:
    assert verdict_on_f1(0.5, 0.4, still_rising=False) == verdict_on_f1(1.0, 1.0, still_rising=False) == "learns"
    assert verdict_on_f1(0.4, 0.5, still_rising=True) == "unclear"
    assert verdict_on_f1(0.4, 0.5, still_rising=False) == verdict_on_f1(0.0, 0.0, still_rising=True) == "does not learn"


def test_the_baseline_looks_tokens_up() -> None:
    train_part = [LabelledSentence(("Rome", "x"), (Span(0, 1, "LOC"),))] * 2
    train_part += [LabelledSentence(("Rome", "y"), (Span(0, 1, "ORG"),))]
    assert look_up(train_part, [["Rome", "z"]], "iob2") == [[Span(0, 1, "LOC")]]
    tagged = [LabelledSentence(("a", "b", "c"), (Span(0, 1, "X"), Span(1, 2, "Y"), Span(2, 3, "Y")))]
    assert look_up(tagged, [["a", "new"]], "token") == [[Span(0, 1, "X"), Span(1, 2, "Y")]]
    ten = [LabelledSentence((str(i),), ()) for i in range(10)]
    assert [sentence.tokens[0] for sentence in spread(ten, 4)] == ["0", "2", "5", "7"]
