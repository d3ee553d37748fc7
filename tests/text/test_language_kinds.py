"""Raw text of any language: the language's rules, exact offsets in every script, versions that do not fit."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.tokenizers import GOLD, read_gold, scores
from ner_elmo.errors import UsageError
from ner_elmo.text import language_kinds
from ner_elmo.text.language_kinds import language_of
from ner_elmo.text.language_rules import rules_of
from ner_elmo.text.languages import look_at
from ner_elmo.text.quotations import without_single_quotes
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


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        # A quote without a partner, and one that does not nest, hide no ends between the next ones.
        ("tr", '"Gel" der, "ne bu? Ali geldi. O "Peki." diyerek gitti. Son.', 4),
        ("de", "Er sagte (leise. Dann ging er. Sie blieb (lange). Ende.", 4),
        ("de", "“Komm. Geh.” Dann ging er.", 2),
        ("ru", "Он играл за ``Ротор'' год. Потом ушёл.", 2),
        # Units after a number end a sentence that began well before; where it begins they do not.
        ("ru", "Пара завоевала титул чемпионов города в 2010 г. Потом уехала.", 2),
        ("ru", "В мае 1990 г. Иванов был болен.", 1),
        ("ru", "Он жил тихо и умер в XIX в. Потом забыли.", 2),
        ("ru", "Дом, сад, поле и т. д. Потом лес.", 2),
        # Words that sentencex takes for abbreviations, of the language or of English.
        ("es", "No me encuentro bien. Luego iré.", 2),
        ("it", "È andata via. «Non vengo», disse.", 2),
        ("sv", "Det var me. Sedan kom Dr. Berg hit.", 2),
        # After a quotation with its own end.
        ("de", "„Komm!“ rief sie. Er kam.", 2),
        ("hi", '"चलो!" उसने कहा। उसने कहा, "चलो!" वह गया।', 3),
        ("zh", "王五问：“你几岁了？”他八岁。他说：“好。”然后走了。", 3),
    ],
)
def test_how_many_sentences(language: str, text: str, expected: int) -> None:
    assert len(split(text, language)) == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("it", "La Dott.ssa Neri nel '93, l'11 marzo", "La|Dott.ssa|Neri|nel|'93|,|l'|11|marzo"),
        ("fr", "le n° 2 de l'«Aube»", "le|n°|2|de|l'|«|Aube|»"),
        ("de", "z. B. in Rot a. d. Lahn", "z.|B.|in|Rot|a.|d.|Lahn"),
        ("tr", "saat 15.30'da Ali'den", "saat|15.30|'da|Ali|'den"),
        ("ru", "``Ротор''", "``|Ротор|''"),
        ("hi", "डॉ. वर्मा, आए", "डॉ.|वर्मा|,|आए"),
    ],
)
def test_tokens(language: str, text: str, expected: str) -> None:
    assert "|".join(token.form for token in tokenize(text, resolved(language))) == expected


@given(SCRIPTS, st.sampled_from(["de", "fr", "it", "tr", "he", "ar", "ru", "hi"]))
def test_the_quick_pattern_gives_what_the_general_one_gives(text: str, language: str) -> None:
    if language_kinds._ANY_ALONE.search(text):
        return
    slow = language_kinds._word_pattern(rules_of(language), language, alone=language_kinds._ALONE)
    # Without its first alternative, which is there to be quick.
    slow_pattern = slow.pattern.replace("(?P<plain>", "(?P<plain>(?!)", 1)
    slow = language_kinds.re.compile(slow_pattern, language_kinds.re.VERBOSE)
    quick = language_kinds._word_pattern(rules_of(language), language, alone="")
    assert [m.span() for m in quick.finditer(text)] == [m.span() for m in slow.finditer(text)]


@given(st.text(alphabet="ab. \"'«»“”„()[]`’\n", max_size=40))
@example("']'a")
def test_masking_quotes_keeps_every_place_and_all_else(text: str) -> None:
    masked = without_single_quotes(text)
    assert len(masked) == len(text)
    assert all(new in (old, " ") for new, old in zip(masked, text, strict=True))
    assert without_single_quotes(masked) == masked
    assert without_single_quotes('(a. “b”) «c» "d" l\'un') == '(a. “b”) «c» "d" l\'un'


def test_chinese_words_are_jiebas() -> None:
    pytest.importorskip("jieba")
    assert split("我来到北京清华大学。他走了！", "zh-words") == ["我|来到|北京|清华大学|。", "他|走|了|！"]


@pytest.mark.parametrize("language", sorted(path.stem for path in GOLD.glob("*.txt")))
def test_gold_texts_are_read_as_measured(language: str) -> None:
    of_sentences, of_tokens = scores(read_gold(language), language)
    assert min(of_sentences) >= 0.95
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
