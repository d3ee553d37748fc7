"""Units of labelled text of every script for the round trips between formats."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

# Letters with and without combining marks, an emoji beyond the BMP, joiners, right-to-left, what formats escape.
PLAIN = ["Ann", "e\u0301", "Ω", "東京", "😀", "\U0001f469\u200d\U0001f4bb", "שלום", "क्षि", "'s", "O", "-", "#x"]
ODD = ["a_b", "[1]", "*", "|", "\\", "\\n", "_"]
WORDS = st.sampled_from([*PLAIN, *ODD])
GAPS = st.sampled_from([" ", "", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000"])
EDGES = st.sampled_from(["", " ", "\n", "  ", "\r\n"])
LABELS = st.sampled_from(["PER", "LOC", "B-X", "a_b", "x|y", "[2]", "é*"])


@st.composite
def tokenized_units(
    draw: st.DrawFn, gaps: st.SearchStrategy[str] = GAPS, edges: st.SearchStrategy[str] = EDGES, sentences: int = 1
) -> Any:
    """A unit of at most so many sentences whose tokens are given, and whose entities are made of them."""
    words = draw(st.lists(WORDS, min_size=1, max_size=7))
    text = draw(edges)
    tokens = []
    for number, word in enumerate(words):
        text += draw(gaps) if number else ""
        tokens.append([len(text), len(text) + len(word)])
        text += word
    text += draw(edges)
    cuts = sorted(draw(st.sets(st.integers(0, len(words)), max_size=6)))
    entities = [
        {"start": tokens[first][0], "end": tokens[after - 1][1], "label": draw(LABELS)}
        for first, after in zip(cuts[::2], cuts[1::2], strict=False)
    ]
    entities = [{**e, "text": text[e["start"] : e["end"]], "score": 1.0} for e in entities]
    inside = [(e["start"], e["end"]) for e in entities]
    breaks = [n for n in range(1, len(tokens)) if not any(a < tokens[n][0] < b for a, b in inside)]
    chosen = sorted(draw(st.sets(st.sampled_from(breaks), max_size=sentences - 1))) if breaks else []
    bounds = [0, *chosen, len(tokens)]
    return {"text": text, "entities": entities, "tokens": [tokens[a:b] for a, b in pairwise(bounds)]}
