"""Raw text of any language: the language's rules, exact offsets in every script, versions that do not fit."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.tokenizers import GOLD, scores
from ner_elmo.errors import UsageError
from ner_elmo.text.language_kinds import language_of
from ner_elmo.text.languages import look_at
from ner_elmo.text.tokenizer import resolved, sentence_forms, sentences, text_kind, tokenize

LANGUAGES = ["de", "fr", "it", "tr", "he", "ar", "fa", "ru", "hi", "ja", "ko", "zh", "th", "km", "my", "am", "xh"]
SCRIPTS = st.text(
    alphabet=st.one_of(
        st.characters(),
        st.sampled_from("l'’dqu-.?! 3Oktober,\u00ad\u200b\u200c\u200d\ufeff\u0301।។。「」“”\nгдعאקะก្កကあアé\ud800"),
    ),
    max_size=60,
)


def split(text: str, language: str) -> list[str]:
    return ["|".join(token.form for token in sentence) for sentence in sentences(text, resolved(language))]


@pytest.mark.parametrize("language", LANGUAGES)
@given(text=SCRIPTS)
def test_every_script_keeps_its_offsets(language: str, text: str) -> None:
    kind = resolved(language)
    tokens = tokenize(text, kind)
    covered = 0
    for token in tokens:
        assert covered <= token.start < token.end <= len(text)
        assert token.form
        assert not token.form.isspace()
        assert all(not c.isprintable() or c.isspace() for c in text[covered : token.start])
        covered = token.end
    assert all(not c.isprintable() or c.isspace() for c in text[covered:])
    assert [token for sentence in sentences(text, kind) for token in sentence] == tokens


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("fr", "L’entreprise d'Alice, qu'il aime.", ["L'|entreprise|d'|Alice|,|qu'|il|aime|."]),
        ("fr", "Aujourd'hui, M. Roux part. Dit-il vrai ?", ["Aujourd'hui|,|M.|Roux|part|.", "Dit|-il|vrai|?"]),
        ("de", "Am 3. Oktober z.B. kam er. Die 2. Liga.", ["Am|3.|Oktober|z.B.|kam|er|.", "Die|2.|Liga|."]),
        ("es", "Los EE.UU. y el Sr. Gil. ¿Sí?", ["Los|EE.UU.|y|el|Sr.|Gil|.", "¿|Sí|?"]),
        ("ru", "Он из г. Москва. Всё.", ["Он|из|г.|Москва|.", "Всё|."]),
        ("hi", "डॉ. राम गया। सीता आई।", ["डॉ.|राम|गया|।", "सीता|आई|।"]),
        ("tr", "Bursa'ya gitti.", ["Bursa|'ya|gitti|."]),
        ("uk", "П'ять хлопців.", ["П'ять|хлопців|."]),
        ("ja", "「はい。」と言った。ABC社。", ["「|は|い|。|」|と|言|っ|た|。", "ABC|社|。"]),
        ("zh", "好！2024年。", ["好|！", "2024|年|。"]),
        ("km", "ខ្ញុំ។ គាត់។", ["ខ្ញុំ|។", "គា|ត់|។"]),
        ("ko", "루카는 KBS에.", ["루|카|는|KBS|에|."]),
        ("he", 'צה"ל הודיע.', ['צה"ל|הודיע|.']),
    ],
)
def test_a_languages_own_rules(language: str, text: str, expected: Sequence[str]) -> None:
    assert split(text, language) == expected


def test_chinese_words_are_jiebas() -> None:
    pytest.importorskip("jieba")
    assert split("我来到北京清华大学。他走了！", "zh-words") == ["我|来到|北京|清华大学|。", "他|走|了|！"]


@pytest.mark.parametrize("language", sorted(path.stem for path in GOLD.glob("*.txt")))
def test_gold_texts_are_read_as_measured(language: str) -> None:
    of_sentences, of_tokens = scores(language)
    assert min(of_sentences) >= 0.7
    assert of_tokens is None or min(of_tokens) >= 0.95


def test_names_are_exact_and_others_are_refused_with_what_to_do() -> None:
    kind = resolved("fr")
    assert resolved(kind) == kind
    assert resolved("pt-BR").startswith("pt-sentencex")
    assert resolved("en") == "en-1"
    assert (language_of(kind), language_of("en-1"), language_of("characters")) == ("fr", "en", None)
    with pytest.raises(UsageError, match=r"needs sentencex 0\.6\.1, found .*pip install 'sentencex==0\.6\.1'"):
        text_kind("fr-sentencex0.6.1-1")
    with pytest.raises(UsageError, match=r"needs rules 99 of this program, .* try a newer ner-elmo"):
        text_kind(kind.rsplit("-", 1)[0] + "-99")
    with pytest.raises(UsageError, match=r"unknown kind of text 'klingon'.* a language's code such as de"):
        resolved("klingon")


def test_blanks_are_tokens_where_data_has_them() -> None:
    assert list(sentence_forms(" 아 비  가다. ", "characters-blanks")) == [["아", " ", "비", " ", " ", "가", "다", "."]]


def test_unclosed_quotes_and_long_texts_cost_no_more_than_their_length() -> None:
    text = '«„( " ' * 20_000 + "a. B. " * 2_000 + "wort " * 20_000
    started = time.process_time()
    assert [t for s in sentences(text, resolved("de")) for t in s] == tokenize(text, resolved("de"))
    assert time.process_time() - started < 5
    text = "Das ist ein Satz. " * 5_000
    assert len(sentences(text, resolved("de"))) == 5_000


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Der Mann ist nicht in der Stadt, und die Frau hat das Haus für sich.", "de"),
        ("L'équipe est dans la ville et le maire n'est pas là avec les autres.", "fr"),
        ("佐野さんはきのう青葉駅にいきました。", "ja"),
        ("张三在北京工作。", "zh"),
        ("วันนี้มานีไปเชียงราย", "th"),
        ("루카는 어제 한빛시에서 왔다.", "ko"),
        ("Он не знал, что она и его брат были в городе, но это так.", "ru"),
        ("Ann Lee", None),
        ("123 …", None),
    ],
)
def test_a_text_is_known_by_its_look(text: str, language: str | None) -> None:
    assert look_at([text]).language == language
