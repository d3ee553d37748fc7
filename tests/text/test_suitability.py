"""A text that a model was not trained for is told by one line, any other by none."""

from __future__ import annotations

from ner_elmo.text.languages import look_at
from ner_elmo.text.suitability import complaint, complaint_of_words

GERMAN = "Der Mann ist nicht in der Stadt, und die Frau hat das Haus für sich. " * 5
ENGLISH = "The man is not in the city, and the woman has the house to herself. " * 5


def test_script_and_language() -> None:
    english = {"tokens": "en-1", "language": "en", "script": "Latin"}
    assert complaint(english, look_at([ENGLISH])) is None
    assert complaint(english, look_at(["Acme 12"])) is None
    assert "language 'de', not 'en'" in (complaint(english, look_at([GERMAN])) or "")
    said = complaint(english, look_at(["张三在北京工作，他很高兴。"]), {"zh": "zh", "en": "en"}) or ""
    assert "100% of its letters are Han" in said
    assert said.endswith("the model zh would fit")
    assert (complaint({"tokens": "ru-sentencex1.0.32-1"}, look_at([GERMAN])) or "").endswith("no model that ships fits")
    assert complaint({"tokens": "whitespace"}, look_at([GERMAN])) is None


def test_words_that_a_large_vocabulary_lacks() -> None:
    known = {f"w{i}" for i in range(6_000)}
    assert complaint_of_words([["w1", "W2", "x"]] * 100, known) is None
    assert "100% of its tokens are not among the words" in (complaint_of_words([["x", "y"]] * 100, known) or "")
    assert complaint_of_words([["x"]] * 100, known) is None
    assert complaint_of_words([["x", "y"]] * 100, {"w"}) is None
