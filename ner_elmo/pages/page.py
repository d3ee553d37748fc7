"""A page of words, tables and pictures, written as Markdown or as one HTML file that needs nothing else.

The HTML has no script and loads nothing; it follows the reader's dark or light setting, fits a phone and prints.
Markdown has no place for the pictures: whatever they show stands in a table, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

Shades = Sequence[Sequence[float]]


class Heading(NamedTuple):
    """A heading below the page's title."""

    words: str


class Paragraph(NamedTuple):
    """A few sentences; ``is_large`` for the figure that the page is about."""

    words: str
    is_large: bool = False


class Table(NamedTuple):
    """Rows under a header; the first column names the row, the others are figures unless ``is_words``.

    ``shades`` (rows, columns after the first; 0..1) darkens cells. ``folded`` hides it behind its caption in HTML.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    is_words: bool = False
    shades: Shades | None = None
    folded: bool = False


class Pictures(NamedTuple):
    """SVG pictures side by side where there is room; left out of Markdown."""

    svgs: Sequence[str]


class Piece(NamedTuple):
    """Some words of a sentence, marked as ``gold``, ``predicted``, ``both`` or not at all; a mark has a note."""

    words: str
    mark: str = ""
    note: str = ""


class Item(NamedTuple):
    """A heading in small and marked sentences under it."""

    words: str
    sentences: Sequence[Sequence[Piece]]


Block = Heading | Paragraph | Table | Pictures | Item

# What Markdown would take for markup where it stands: not "_" within a word, not "<" before a blank.
_MARKDOWN_SIGNS = re.compile(r"([\\`*{}\[\]#|~]|(?<!\w)_|_(?!\w)|<(?=\S))")


def to_markdown(title: str, blocks: Iterable[Block]) -> str:
    """The page as Markdown (tables as GitHub reads them)."""
    parts = [f"# {_plain(title)}"]
    parts += [text for block in blocks if (text := _markdown(block))]
    return "\n\n".join(parts) + "\n"


def _markdown(block: Block) -> str:
    if isinstance(block, Heading):
        return f"## {_plain(block.words)}"
    if isinstance(block, Paragraph):
        return f"**{_plain(block.words)}**" if block.is_large else _plain(block.words)
    if isinstance(block, Table):
        caption = f"{_plain(block.caption)}\n\n" if block.caption else ""
        return caption + markdown_table(block.header, block.rows, block.is_words)
    if isinstance(block, Item):
        sentences = ["".join(_marked_markdown(piece) for piece in pieces) for pieces in block.sentences]
        return "\n".join([f"- {_plain(block.words)}", *(f"  - {sentence}" for sentence in sentences)])
    return ""


def _marked_markdown(piece: Piece) -> str:
    if not piece.mark:
        return _plain(piece.words)
    return f"**{_plain(piece.words)}** ({_plain(piece.note)})"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], is_words: bool = False) -> str:
    """A table as GitHub's Markdown has it; figures stand at the right."""
    rule = "|".join(["---"] + ["---" if is_words else "---:"] * (len(header) - 1))
    lines = [" | ".join(map(_plain, row)) for row in (header, *rows)]
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])])


def _plain(words: str) -> str:
    """Words that mean nothing to Markdown, on one line."""
    return _MARKDOWN_SIGNS.sub(r"\\\1", " ".join(words.split("\n")))


def to_html(title: str, blocks: Iterable[Block]) -> str:
    """The page as one HTML file."""
    body = "\n".join(_html(block) for block in blocks)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _html(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h2>{escape(block.words)}</h2>"
    if isinstance(block, Paragraph):
        return f"<p{' class=large' if block.is_large else ''}>{escape(block.words)}</p>"
    if isinstance(block, Pictures):
        figures = "\n".join(f"<figure>{svg}</figure>" for svg in block.svgs)
        return f"<div class=pictures>\n{figures}\n</div>"
    if isinstance(block, Item):
        sentences = "\n".join(f"<p dir=auto>{''.join(map(_marked_html, pieces))}</p>" for pieces in block.sentences)
        return f"<section class=item>\n<h3 dir=auto>{escape(block.words)}</h3>\n{sentences}\n</section>"
    return _html_table(block)


def _marked_html(piece: Piece) -> str:
    words = escape(piece.words)
    if not piece.mark:
        return words
    return f"<mark class={piece.mark}>{words} <small>{escape(piece.note)}</small></mark>"


def _html_table(table: Table) -> str:
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in table.header)
    rows = []
    for number, (first, *others) in enumerate(table.rows):
        shades = table.shades[number] if table.shades else [0.0] * len(others)
        cells = "".join(f"<td{_shade(s)}>{escape(value)}</td>" for value, s in zip(others, shades, strict=True))
        rows.append(f"<tr><th scope=row>{escape(first)}</th>{cells}</tr>")
    kind = " class=words" if table.is_words else ""
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption and not table.folded else ""
    body = "\n".join(rows)
    html = (
        f"<div class=table>\n<table{kind}>{caption}\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )
    return f"<details>\n<summary>{escape(table.caption)}</summary>\n{html}\n</details>" if table.folded else html


def _shade(share: float) -> str:
    return f' style="background:rgba(53,121,198,{share:.2f})"' if share else ""


# What every page looks like; pages of other kinds add to it.
STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c1f24; --soft: #5c6370; --rule: #d9dce1;
  --gold: #cfe8d5; --predicted: #f7d9c4; --both: #dfe3f5 }
@media (prefers-color-scheme: dark) { :root { --paper: #16181c; --ink: #e4e6ea; --soft: #a3a9b5; --rule: #363a42;
  --gold: #1f4a2c; --predicted: #5c3216; --both: #323a63 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 64rem; margin: 0 auto; padding: 1rem 1rem 3rem }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0; overflow-wrap: anywhere }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; padding-top: .6rem; border-top: 1px solid var(--rule) }
h3 { font-size: 1rem; margin: 1rem 0 .2rem; overflow-wrap: anywhere }
p { margin: .4rem 0; max-width: 46rem; overflow-wrap: anywhere }
.large { font-size: 1.35rem; font-weight: 600 }
.table { overflow-x: auto; margin: .6rem 0 }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
caption { text-align: left; color: var(--soft); padding: .2rem 0 }
th, td { padding: .2rem .6rem; border-bottom: 1px solid var(--rule); text-align: right; vertical-align: top }
th:first-child, .words th, .words td { text-align: left }
thead th { color: var(--soft); font-weight: 600 }
tbody th { font-weight: 500 }
th, td { white-space: nowrap }
.words th, .words td { white-space: normal; overflow-wrap: anywhere }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem }
figure { margin: .5rem 0; flex: 0 1 30rem; min-width: 0 }
svg { display: block; width: 100%; height: auto }
summary { cursor: pointer; color: var(--soft); margin: .4rem 0 }
.item p { margin: .2rem 0 .4rem; padding-left: .7rem; border-left: 3px solid var(--rule) }
mark { color: inherit; padding: .05rem .25rem; border-radius: .2rem }
mark small { color: var(--soft); font-size: .72em }
.gold { background: var(--gold) } .predicted { background: var(--predicted) } .both { background: var(--both) }
@media print {
  :root { --paper: #fff; --ink: #000; --soft: #444; --rule: #bbb;
    --gold: #cfe8d5; --predicted: #f7d9c4; --both: #dfe3f5 }
  body { font-size: 11pt } main { max-width: none; padding: 0 }
  .pictures { gap: 0 4% } figure { flex: 0 1 48% }
  figure, .item, tr { break-inside: avoid } h2, h3 { break-after: avoid }
  .table { overflow: visible } details::details-content { content-visibility: visible }
  mark, td { print-color-adjust: exact; -webkit-print-color-adjust: exact }
}
"""
