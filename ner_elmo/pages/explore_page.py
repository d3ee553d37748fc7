"""What stands nearest to a marked word, as a page of tables and maps, and as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ner_elmo.pages.charts import COLOURS
from ner_elmo.pages.page import Block, Heading, Paragraph, Pictures, Table, to_html

_WIDTH, _HEIGHT, _MARGIN = 480, 360, 34
_SHOWN = 44  # characters of context on each side of a word, in the text table


def explore_page(found: Mapping[str, Any]) -> str:
    """One HTML file that needs nothing else.

    Args:
        found: an exploration as plain data (:meth:`ner_elmo.explore.exploration.Exploration.to_dict`).
    """
    query = found["query"]
    word = query["word"]
    blocks: list[Block] = [
        Paragraph(f"{query['left']} [{word}] {query['right']}".strip(), is_large=True),
        Paragraph(
            f"Searched: {found['tokens_searched']:,} tokens. The higher the cosine, the nearer. In a map, the square "
            "is the question and each dot the neighbour of that number; only two of many dimensions can be drawn."
        ),
    ]
    for layer in found["layers"]:
        blocks.append(Heading(f"Layer {layer['layer']}: nearest in context"))
        blocks.append(Pictures([map_svg(layer, word)]))
        rows = [
            [str(n), f"{one['cosine']:.3f}", f"… {one['left']}", one["word"], f"{one['right']} …"]
            for n, one in enumerate(layer["neighbours"], start=1)
        ]
        blocks.append(Table(["", "cosine", "before", "word", "after"], rows, is_words=True))
    for table in found["static"]:
        blocks.append(Heading(f"Without context: {table['vectors']}"))
        if table["neighbours"]:
            rows = [[one["form"], f"{one['cosine']:.3f}"] for one in table["neighbours"]]
            blocks.append(Table(["word", "cosine"], rows))
        else:
            blocks.append(Paragraph("It has no vector for this word."))
    return to_html(f"What is near to “{word}”", blocks)


def map_svg(layer: Mapping[str, Any], word: str) -> str:
    """The map of a layer's neighbours: a picture whose dots say their context when pointed at."""
    neighbours: Sequence[Mapping[str, Any]] = layer["neighbours"]
    points = [(layer["x"], layer["y"]), *((one["x"], one["y"]) for one in neighbours)]
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    span = max(max(xs) - min(xs), max(ys) - min(ys), 1e-9)  # one scale for both, so that distances can be compared

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = _WIDTH / 2 + (point[0] - (max(xs) + min(xs)) / 2) / span * (_WIDTH - 2 * _MARGIN)
        y = _HEIGHT / 2 - (point[1] - (max(ys) + min(ys)) / 2) / span * (_HEIGHT - 2 * _MARGIN)
        return x, y

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="Map of layer {layer["layer"]}" font-size="12" fill="currentColor">',
        f'<rect x="0.5" y="0.5" width="{_WIDTH - 1}" height="{_HEIGHT - 1}" fill="none" stroke="currentColor" '
        'stroke-opacity="0.3"/>',
        f'<text x="8" y="{_HEIGHT - 9}" fill-opacity="0.75">shows {layer["variance_shown"]:.0%} of the variance</text>',
    ]
    for number, one in enumerate(neighbours, start=1):
        x, y = place((one["x"], one["y"]))
        title = escape(f"{number}: {one['left']} [{one['word']}] {one['right']}")
        parts.append(
            f'<g><title>{title}</title><circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{COLOURS[0]}"/>'
            f'<text x="{x + 7:.1f}" y="{y + 4:.1f}">{number}</text></g>'
        )
    x, y = place(points[0])
    parts.append(
        f'<g><title>{escape(word)}</title><rect x="{x - 6:.1f}" y="{y - 6:.1f}" width="12" height="12" '
        f'fill="{COLOURS[1]}"/></g></svg>'
    )
    return "".join(parts)


def explore_text(found: Mapping[str, Any]) -> str:
    """Tables for a terminal, each line a neighbour with the word in the middle."""
    query = found["query"]
    lines = [f"{query['left']} [{query['word']}] {query['right']}".strip()]
    lines.append(f"searched: {found['tokens_searched']:,} tokens")
    for layer in found["layers"]:
        lines += ["", f"layer {layer['layer']}, in context"]
        widest = max((len(one["left"][-_SHOWN:]) for one in layer["neighbours"]), default=0)
        for one in layer["neighbours"]:
            left = one["left"][-_SHOWN:].rjust(widest)
            lines.append(f"  {one['cosine']:.3f}  {left} [{one['word']}] {one['right'][:_SHOWN]}")
        if not layer["neighbours"]:
            lines.append("  nothing")
    for table in found["static"]:
        lines += ["", f"without context, {table['vectors']}"]
        near = ", ".join(f"{one['form']} {one['cosine']:.2f}" for one in table["neighbours"])
        lines.append(f"  {near or 'no vector for this word'}")
    return "\n".join(lines)
