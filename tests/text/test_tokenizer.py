"""Sentences and tokens: offsets kept, nothing lost, quickly."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.errors import UsageError
from ner_elmo.text import tokenizer
from ner_elmo.text.tokenizer import TEXT_KINDS, sentence_forms, sentences, tokenize

INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
TRICKY = st.text(alphabet=st.sampled_from("aB1é\u0301 .'’`-–—…@:/\"“,&\n\u00a0\u200b\u00ad中。” sntd"), max_size=40)


def english(text: str) -> str:
    return " ".join(token.form for token in tokenize(text, "en-1"))


def split(text: str, kind: str = "en-1") -> list[str]:
    return [" ".join(token.form for token in sentence) for sentence in sentences(text, kind)]


@pytest.mark.parametrize("kind", TEXT_KINDS)
@given(text=st.text() | TRICKY)
def test_tokens_cover_the_text_once_and_in_order(kind: str, text: str) -> None:
    covered = 0
    for token in tokenize(text, kind):
        assert covered <= token.start < token.end <= len(text)
        assert token.form
        skipped = text[covered : token.start]
        assert all(not c.isprintable() or c.isspace() for c in skipped)
        covered = token.end
    assert all(not c.isprintable() or c.isspace() for c in text[covered:])


@pytest.mark.parametrize("kind", TEXT_KINDS)
@given(text=st.text() | TRICKY)
def test_sentences_are_the_same_tokens(kind: str, text: str) -> None:
    found = sentences(text, kind)
    assert all(found)
    assert [token for sentence in found for token in sentence] == tokenize(text, kind)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I can't, he didn’t; Iraq's DOGS' they'VE", "I ca n't , he did n't ; Iraq 's DOGS ' they 'VE"),
        ("wouldn't've n't 's", "would n't 've n't 's"),
        ("$16.2bn (£8.7bn) 25% A$4.25", "$ 16.2 bn ( £ 8.7 bn ) 25 % A $ 4.25"),
        (
            "1,000.50 1996-08-30 3-2 8:30 21st 50km 1860s 25-year-old 2,000.",
            "1,000.50 1996-08-30 3-2 8:30 21st 50km 1860s 25-year-old 2,000 .",
        ),
        (
            "The U.S. at 5 a.m. Mr. J. Smith of Acme Inc., No. 17",
            "The U.S. at 5 a.m. Mr. J. Smith of Acme Inc. , No. 17",
        ),
        ("He said no. April. 548p.", "He said no . April . 548 p ."),
        ("AT&T left-hander O'Brien and/or U.S.-led", "AT&T left-hander O'Brien and/or U.S.-led"),
        ("“Oh…” «no» ``x` word—word 1996–97 a – b", '" Oh ... " " no " " x ` word -- word 1996-97 a -- b'),
        ("See http://a.b/c?d=e, www.x.org. me@x.co.uk!", "See http://a.b/c?d=e , www.x.org . me@x.co.uk !"),
        ("co\u00adop\u200b e\u0301te\u0301 हिन्दी", "coop été हिन्दी"),
        ("Wait....no--yes ?! 4's", "Wait .... no -- yes ? ! 4 's"),
        ("", ""),
    ],
)
def test_english_tokens(text: str, expected: str) -> None:
    assert english(text) == expected


def test_spans_refer_to_the_text_as_it_was() -> None:
    text = "\u200bHe—“didn’t”…"
    assert [text[t.start : t.end] for t in tokenize(text, "en-1")] == ["He", "—", "“", "did", "n’t", "”", "…"]


@pytest.mark.parametrize(
    ("text", "n_sentences"),
    [
        ("He left. She stayed! Why? 5 others came.", 4),
        ("Mr. Smith met J. K. Rowling Jr. in St. Louis, Mo. on Monday.", 1),
        ("He went to the U.S. The end.", 2),
        ("He went to the U.S. Senate.", 1),
        ('"Stop!" he said. "Go." They went (slowly.) Then no more.', 4),
        ("See No. 5. It is e.g. good.", 2),
        ("A headline\n\nThe text goes\non here.", 2),
        ("At 3.5 percent. down", 1),
    ],
)
def test_english_sentences(text: str, n_sentences: int) -> None:
    assert len(split(text)) == n_sentences, split(text)


def test_white_space_text_has_a_sentence_a_line() -> None:
    assert split("a b.\tc\r\n\n d\u00a0e. F\n", "whitespace") == ["a b. c", "d e. F"]


def test_chinese_text() -> None:
    text = "他说：“好。”她走了！？2024年GDP；\n完"
    assert split(text, "characters") == [
        "他 说 ： “ 好 。 ”",
        "她 走 了 ！ ？",
        "2 0 2 4 年 G D P ；",
        "完",
    ]
    assert split(text, "characters-words")[2] == "2024 年 GDP ；"
    assert split("在Beyoncé的café里１２月３.5%的ＡＢ", "characters-words") == [
        "在 Beyoncé 的 café 里 １２ 月 ３ . 5 % 的 ＡＢ"
    ]
    assert split("re\u0301sume\u0301中", "characters-words") == ["re\u0301sume\u0301 中"]


def test_forms_of_a_line_are_what_the_tokenizer_finds() -> None:
    for kind in TEXT_KINDS:
        for line in ("他说：“好。”她走了", "He didn't. She “did”.", "", " \u3000 ", "a\u00a0b"):
            forms = [[token.form for token in sentence] for sentence in sentences(line, kind)]
            assert list(sentence_forms(line, kind)) == forms


def test_an_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"unknown kind of text 'klingon'; expected one of whitespace, characters"):
        tokenize("a", "klingon")


@pytest.mark.parametrize(
    "piece", [".", "a", "' ", "a.", "a@", "+", "www.", "A. ", "1,", "a's", "…", "\u200b", "a-", '".']
)
def test_time_is_linear(piece: str) -> None:
    def seconds(n_characters: int) -> float:
        text = piece * (n_characters // len(piece))
        start = time.process_time()
        sentences(text, "en-1")
        return time.process_time() - start

    # Quadratic time would be 64 times as long for 8 times the text, and far beyond a second.
    assert seconds(200_000) < 20 * seconds(25_000) + 1


def test_agreement_with_the_reference_tokens(shared: Path) -> None:
    raw, tokenised = (
        (shared / "data" / "raw" / name).read_text(encoding="utf-8").splitlines()
        for name in ("en.raw.txt", "en.raw.tok.txt")
    )
    equal = sum(english(line) == expected for line, expected in zip(raw, tokenised, strict=True))
    assert equal >= 0.98 * len(raw), equal


def test_the_sample_for_pretraining_is_tokenised_by_these_rules(repository: Path) -> None:
    for line in (repository / "data" / "sample.raw.txt").read_text(encoding="utf-8").splitlines():
        assert english(line) == line


@given(
    text=TRICKY
    | st.lists(st.sampled_from(["No.", "5", "J.", "U.S.", "``", "a.m.", "can't", "…", "é.", "."])).map(" ".join)
)
def test_what_stands_between_blanks_is_cut_as_the_whole_text_is(text: str) -> None:
    visible, skeleton, positions = tokenizer._view(text)
    spans = list(tokenizer._english_spans(skeleton, 0, len(skeleton)))
    places = list(range(len(text))) if positions is None else positions
    expected = [(places[a], places[b - 1] + 1, tokenizer._form(visible[a:b])) for a, b in spans]
    for _ in range(2):  # the second time some of it is remembered
        assert tokenize(text, "en-1") == expected


def test_no_more_is_remembered_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "_MOST_REMEMBERED", 10)
    monkeypatch.setattr(tokenizer, "_remembered", {})
    assert len(tokenize(" ".join(f"x{n}" for n in range(100)) + " " + "y" * 1000, "en-1")) == 101
    assert 0 < len(tokenizer._remembered) <= 10
    assert "y" * 1000 not in tokenizer._remembered
