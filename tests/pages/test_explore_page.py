"""The answer to a question as a page and as text: everything is there, and nothing of it becomes markup."""

from __future__ import annotations

from html.parser import HTMLParser
from xml.etree import ElementTree

from ner_elmo.pages.explore_page import explore_page, explore_text, map_svg

ONE = {"left": "we saw the", "word": "<play>", "right": "& left", "cosine": 0.75, "x": 1.0, "y": -2.0}
LAYER = {"layer": 1, "x": 0.0, "y": 0.0, "variance_shown": 0.5, "neighbours": [ONE, {**ONE, "left": "", "x": 0.0}]}
FOUND = {
    "query": {"left": "He went to the", "word": "<play>", "right": "in London ."},
    "tokens_searched": 12_345,
    "layers": [LAYER, {**LAYER, "layer": 2, "neighbours": []}],
    "static": [
        {"vectors": "toy", "neighbours": [{"form": "<game>", "cosine": 0.5}]},
        {"vectors": "none", "neighbours": []},
    ],
}


def test_the_map_is_a_picture_with_every_neighbour() -> None:
    svg = ElementTree.fromstring(map_svg(LAYER, "<play>"))
    titles = [element.text for element in svg.iter() if element.tag.endswith("title")]
    assert titles == ["1: we saw the [<play>] & left", "2:  [<play>] & left", "<play>"]
    width, height = map(float, svg.attrib["viewBox"].split()[2:])
    for circle in svg.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 < float(circle.attrib["cx"]) < width
        assert 0 < float(circle.attrib["cy"]) < height
    ElementTree.fromstring(map_svg({**LAYER, "neighbours": []}, "x"))


def test_the_page() -> None:
    html = explore_page(FOUND)

    class Tags(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[str] = []

        def handle_starttag(self, tag: str, attributes: object) -> None:
            self.found.append(tag)

    tags = Tags()
    tags.feed(html)
    assert "play" not in tags.found
    assert "game" not in tags.found
    assert "script" not in tags.found
    assert tags.found.count("svg") == 2
    assert tags.found.count("table") == 3
    assert "12,345" in html
    assert "no vector for this word" in html


def test_the_text() -> None:
    lines = explore_text(FOUND).splitlines()
    assert lines[0] == "He went to the [<play>] in London ."
    assert "  0.750  we saw the [<play>] & left" in lines
    assert "  0.750             [<play>] & left" in lines  # the words stand below each other
    assert lines[-1] == "  no vector for this word"
    assert "  <game> 0.50" in lines
    assert "  nothing" in lines
