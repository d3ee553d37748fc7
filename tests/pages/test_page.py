"""Pages as Markdown and HTML: nothing that a text says becomes markup, nothing is loaded."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.pages.charts import svg
from ner_elmo.pages.page import Heading, Item, Paragraph, Pictures, Piece, Table, to_html, to_markdown
from tests.support.html_reader import read_page


def blocks_with(words: str) -> list[object]:
    return [
        Heading(words),
        Paragraph(words),
        Paragraph(words, is_large=True),
        Table(["a", words], [[words, "1"], ["c", words]], caption=words),
        Table([words, "b"], [[words, words]], caption=words, is_words=True, folded=True, shades=[[0.5]]),
        Item(words, [[Piece(words), Piece(words, "gold", words), Piece(words, "both", words)]]),
        Pictures([svg([], 10, 10, words, words)]),
    ]


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12))
def test_words_stay_words(words: str) -> None:
    reader = read_page(to_html(words, blocks_with(words)))  # type: ignore[arg-type]
    assert "".join(reader.words).count(words) >= 15
    plain = read_page(to_html("x", blocks_with("x")))  # type: ignore[arg-type]
    assert reader.seen == plain.seen


def test_a_page_stands_alone() -> None:
    html = to_html("<script>", blocks_with('"><img src=x onerror=1>'))  # type: ignore[arg-type]
    assert "script" not in read_page(html).seen
    assert "img" not in read_page(html).seen
    links = set(re.findall(r"https?://[^\s\"'<]+", html)) - {"http://www.w3.org/2000/svg"}
    assert not links
    assert not re.search(r"\b(src|href|@import|url)\s*[=(]", html.split("<body>")[0])


def test_markdown() -> None:
    page = to_markdown(
        "F_1 _x_ < 2 <b>",
        [
            Heading("By *label*"),
            Table(["label", "F1"], [["a|b", "1.00"]], caption="dev"),
            Item("2 × missed", [[Piece("He saw "), Piece("Bonn", "gold", "gold LOC"), Piece(".")]]),
            Pictures(["<svg/>"]),
        ],
    )
    assert page == (
        "# F_1 \\_x\\_ < 2 \\<b>\n\n## By \\*label\\*\n\ndev\n\n| label | F1 |\n|---|---:|\n| a\\|b | 1.00 |\n\n"
        "- 2 × missed\n  - He saw **Bonn** (gold LOC).\n"
    )
