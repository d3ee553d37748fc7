"""A text that a model was not trained for is told by one line, any other by none."""

from __future__ import annotations

from ner_elmo.text.languages import look_at
from ner_elmo.text.suitability import Known, complaint, complaint_of_words

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


WORDS = [f"{a}{b}{c}{d}" for a in "bdfgk" for b in "aeiou" for c in "lmnrst" for d in map(str, range(150))]  # 22,500


def said(tokens: list[str], known: Known) -> str:
    return complaint_of_words([tokens], known) or ""


def test_unseen_words_and_letters() -> None:
    known = Known(vocabulary=WORDS)
    usual = WORDS[:900] + [f"x{i}" for i in range(100)]  # 10 % unseen
    assert not said(usual, known)
    assert not said([word.upper() for word in usual], known)
    foreign = WORDS[:500] + ["lus"] * 500
    assert "50% of its words and" in said(foreign, known)
    assert "50% of its words" in said(foreign, Known(words=WORDS))
    assert not said(WORDS[:900] + ["xyz"] * 40, known)
    assert "10% of its letters" in said(WORDS[:900] + ["жук"] * 100, known)
    assert not said(["12.5", "%"] * 500 + WORDS[:99], known)


def test_few_words_on_either_side_say_nothing() -> None:
    foreign = WORDS[:500] + ["lus"] * 500
    assert not said(["lus"] * 99, Known(vocabulary=WORDS))
    assert not said(foreign, Known(vocabulary=WORDS[:3_999]))
    assert not said(foreign, Known(vocabulary=WORDS[:5_000]))
    assert said(["lus"] * 1_000, Known(vocabulary=WORDS[:5_000]))
    assert said(foreign, Known(vocabulary=WORDS, unknown_rate=0.1))
    assert not said(foreign, Known(vocabulary=WORDS, unknown_rate=0.13))


def test_rare_characters_and_code() -> None:
    characters = [chr(0x4E00 + i) for i in range(5_000)]
    known = Known(vocabulary=characters)
    assert not said(characters[:800] + characters[3_000:3_200], known)
    assert "50% of its characters are rare" in said(characters[:500] + characters[3_000:3_500], known)
    known = Known(vocabulary=WORDS)
    words, signs = [*WORDS[:6], *WORDS[9_000:9_004]], ["(", ")", "=", "[", "]", "_"]
    assert "as in program code" in said([*words, *signs] * 50, known)
    assert not said([*words, "(", ","] * 50, known)
    assert not said([*WORDS[:10], *signs] * 50, known)
