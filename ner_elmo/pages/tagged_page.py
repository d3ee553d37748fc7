"""Tagged texts as one HTML file that needs nothing else: written as the texts come, read a page at a time.

The text is cut into pages, each in a ``<noscript>``: to a browser with scripts that is a string, of which it shows one
at a time; to one without, it is all text, one page below the other. So a book costs no more than its characters, and
one place, :mod:`~ner_elmo.pages.marks`, decides how an entity looks. What is known only at the end, the counts, stands
at the end of the file, and beside the text once the script has begun.

Nothing is loaded (a Content-Security-Policy says so to the browser), and no script or style runs but the two of this
file.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO

from ner_elmo.pages.entity_counts import EntityCounts
from ner_elmo.pages.label_colours import COLOURS, LabelColours
from ner_elmo.pages.marks import Marked, marked_html, shown
from ner_elmo.pages.page import STYLE

MOST_CHARACTERS = 20_000  # of a page
MOST_MARKS = 1_000
MOST_FREQUENT = 100  # rows of the table of entities


@cache
def script() -> str:
    """The page's script."""
    return Path(__file__).with_name("tagged.js").read_text(encoding="utf-8")


@cache
def style() -> str:
    """The page's style."""
    own = Path(__file__).with_name("tagged.css").read_text(encoding="utf-8")
    return f"{STYLE}{_DRESSES}{own}{colour_rules('mark.k{}:not(.off), .k{}')}"


_DRESSES = """
:root { --focus: #1d5fbf; --edge: #767c88; --hover: #eceff4 }
@media (prefers-color-scheme: dark) { :root { --focus: #8ab8ff; --edge: #8c93a1; --hover: #262a31 } }
@media print { :root { --focus: #000; --edge: #666; --hover: #fff } }
"""


def colour_rules(selector: str, ink: str = "") -> str:
    """The rules that give marks the colours of their labels; ``{}`` in ``selector`` is a colour's number.

    Args:
        ink: what else is said in the light dress, and after ``|`` in the dark one.
    """
    light_ink, _, dark_ink = ink.partition("|")
    rules = {
        dress: "\n".join(
            f"{selector.replace('{}', str(number))} {{ background: {getattr(colour, dress)}{more} }}"
            for number, colour in enumerate(COLOURS)
        )
        for dress, more in (("light", light_ink), ("dark", dark_ink))
    }
    return f"\n{rules['light']}\n@media screen and (prefers-color-scheme: dark) {{\n{rules['dark']}\n}}\n"


def _digest(code: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(code.encode("utf-8")).digest()).decode("ascii") + "'"


class TaggedPage:
    """Writes such a page: :meth:`add` for each text, then :meth:`finish`.

    Args:
        stream: a stream of text in UTF-8.
        title: the page's title.
    """

    def __init__(self, stream: IO[str], title: str) -> None:
        self._write = stream.write
        self._counts = EntityCounts()
        self._numbers: dict[str, int] = {}  # of labels, in the order in which they come
        self._colours = LabelColours()
        self._files: dict[str, None] = {}
        self._n_texts = self._n_pages = 0
        self._n_characters = self._n_marks = 0  # of the page that is open
        self._is_open = False
        self._file: str | None = None  # whose heading the open page has last
        self._has_scores = False
        self._write(_head(title))

    def add(
        self,
        text: str,
        entities: Sequence[Marked],
        file: str | None = None,
        line: int | None = None,
        identifier: str | None = None,
    ) -> None:
        """Add a text; ``entities`` are in the order of their starts. It goes over pages where it is long.

        Args:
            identifier: what names the text in its file; it stands above it, beside the line.
        """
        self._n_texts += 1
        if file is not None:
            self._files.setdefault(file)
        for entity in entities:
            self._numbers.setdefault(entity.label, len(self._numbers))
            self._counts.add(entity.label, text[entity.start : entity.end])
        is_first = True
        for start, end, inside in cut(text, entities):
            n_characters = end - start
            if self._is_open and self._is_full(n_characters, len(inside)):
                self._close_page()
            self._open_page(file)
            number = _place(line, identifier) if is_first else ""
            body = marked_html(text[start:end], inside, self._opening, start)
            self._write(f"<p class=u dir=auto>{number}{body}</p>\n")
            self._n_characters += n_characters
            self._n_marks += len(inside)
            is_first = False

    def finish(self, note: str = "") -> None:
        """End the page with what all texts hold; ``note`` is a sentence about it."""
        if self._is_open:
            self._close_page()
        summary = f"{self._n_texts:,} text{'' if self._n_texts == 1 else 's'}"
        if len(self._files) > 1:
            summary += f" of {len(self._files):,} files"
        n_entities = self._counts.total
        summary += f", {n_entities:,} entit{'y' if n_entities == 1 else 'ies'}."
        self._write("<div class=columns>\n<aside id=found>\n<h2 class=vh>What was found</h2>\n")
        self._write(f"<p class=soft>{summary}{f' {shown(note)}' if note else ''}</p>\n")
        self._write("".join(self._legend()) + self._filters() + _SEARCH)
        self._write("".join(self._table()))
        view = _VIEW.replace("{n}", f"{self._n_pages:,}")
        self._write(f"</aside>\n{view}</div>\n</main>\n<script>{script()}</script>\n</body>\n</html>\n")

    def _is_full(self, n_characters: int, n_marks: int) -> bool:
        return self._n_characters + n_characters > MOST_CHARACTERS or self._n_marks + n_marks > MOST_MARKS

    def _open_page(self, file: str | None) -> None:
        if not self._is_open:
            self._write("<noscript class=part>\n")
            self._is_open, self._file = True, None
            self._n_pages += 1
        if file is not None and file != self._file:
            self._write(f"<h2 class=f dir=auto>{shown(file)}</h2>\n")
            self._file = file

    def _close_page(self) -> None:
        self._write("</noscript>\n")
        self._is_open = False
        self._n_characters = self._n_marks = 0

    def _opening(self, entity: Marked, is_piece: bool) -> str:
        number = self._numbers[entity.label]
        score = ""
        if entity.score is not None:
            self._has_scores = True
            score = f" data-p={round(1e4 * min(1.0, max(0.0, float(entity.score))))}"
        return f"<mark class=k{self._colours.number(entity.label)} data-l={number}{score}{' data-x' * is_piece}>"

    def _legend(self) -> Iterator[str]:
        yield "<details open id=labels>\n<summary>Labels</summary>\n"
        if not self._numbers:
            yield "<p>No entity was found.</p>\n"
        yield "<fieldset>\n<legend class=vh>Labels whose entities are shown</legend>\n<ul class=legend>\n"
        for label, times in sorted(self._counts.labels.items(), key=lambda one: (-one[1], one[0])):
            yield (
                f"<li><label><input type=checkbox checked class=js autocomplete=off data-l={self._numbers[label]}>"
                f'<span class="chip '
                f'k{self._colours.number(label)}" dir=auto>{shown(label)}</span></label>'
                f"<span class=count data-all={times:,}>{times:,}</span></li>\n"
            )
        yield "</ul>\n</fieldset>\n</details>\n"

    def _filters(self) -> str:
        return (_LEAST if self._has_scores else "").join(_FILTERS)

    def _table(self) -> Iterator[str]:
        frequent = self._counts.most_frequent(MOST_FREQUENT)
        if not frequent:
            return
        yield "<details open id=frequent>\n<summary>Most frequent entities</summary>\n"
        if not self._counts.is_exact:
            yield f"<p class=soft>{shown(self._counts.note())}</p>\n"
        yield (
            "<div class=table>\n<table class=words>\n<thead><tr><th scope=col>entity</th><th scope=col>label</th>"
            "<th scope=col>times</th></tr></thead>\n<tbody>\n"
        )
        for label, text, times in frequent:
            yield (
                f"<tr><td class=e dir=auto data-l={self._numbers[label]}>{shown(text)}</td><td>"
                f'<span class="chip k{self._colours.number(label)}" dir=auto>{shown(label)}</span></td>'
                f"<td class=count>{times:,}</td></tr>\n"
            )
        yield "</tbody>\n</table>\n</div>\n</details>\n"


def _place(line: int | None, identifier: str | None) -> str:
    """Where a text stood. A name has a direction of its own, so that it does not turn the text's around."""
    if identifier is None:
        return "" if line is None else f"<span class=n>{line}</span>"
    words = shown(identifier) if line is None else f"{line} · {shown(identifier)}"
    return f"<span class=n dir=ltr data-id>{words}</span>"


def whole_page(text: str, entities: Sequence[Marked], title: str) -> str:
    """The page of one text."""
    stream = io.StringIO()
    page = TaggedPage(stream, title)
    page.add(text, entities)
    page.finish()
    return stream.getvalue()


def cut(text: str, entities: Sequence[Marked]) -> Iterator[tuple[int, int, list[Marked]]]:
    """A text in pieces that a page can hold: start, end, the entities inside. Pieces end at white space where they can,
    and never inside an entity."""
    start = first = 0
    while True:
        after, reached = first, start
        limit = start + MOST_CHARACTERS
        while after < len(entities) and entities[after].start < limit and after - first < MOST_MARKS:
            reached = max(reached, entities[after].end)
            after += 1
        next_start = entities[after].start if after < len(entities) else len(text)
        end = _end_of_piece(text, start, max(start, reached), min(limit, max(next_start, reached)), len(text))
        while after < len(entities) and entities[after].start < end:  # inside one of the others
            end = max(end, entities[after].end)
            after += 1
        end = min(end, len(text))
        yield start, end, list(entities[first:after])
        if end >= len(text):
            return
        start, first = end, after


def _end_of_piece(text: str, start: int, least: int, most: int, length: int) -> int:
    """Where a piece may end: after a line end, else after a blank, else as late as it can."""
    if most >= length:
        return length
    for sign in ("\n", " "):
        place = text.rfind(sign, max(least, start + 1), most)
        if place >= 0:
            return place + 1
    return max(most, least, start + 1)


def _head(title: str) -> str:
    policy = (
        f"default-src 'none'; script-src {_digest(script())}; style-src {_digest(style())}; base-uri 'none'; "
        "form-action 'none'"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{shown(title)}</title>\n<style>{style()}</style>\n</head>\n<body>\n<main>\n"
        f"<h1 dir=auto>{shown(title)}</h1>\n"
        "<noscript><p>Scripts are off: all text stands below; counts stand <a href=#found>after it</a>. With scripts, "
        "the page has filters and a search.</p></noscript>\n"
    )


_LEAST = """<label for=least>Hide entities less probable than <output id=least-shown for=least>0 %</output></label>
<input type=range id=least min=0 max=100 step=1 value=0 autocomplete=off>
"""
_FILTERS = (
    "<details open id=tools class=js>\n<summary>Filter and search</summary>\n<div class=row>\n",
    """<label><input type=checkbox id=only autocomplete=off>Hide texts without a shown entity</label>
<button type=button id=list>List all shown entities</button>
</div>
""",
)
_SEARCH = """<form id=search role=search>
<label for=words>Find words in the text</label><input type=search id=words autocomplete=off><button>Find</button>
</form>
</details>
"""
_VIEW = """<section id=view class=js aria-labelledby=view-title>
<h2 id=view-title class=vh>Text</h2>
<nav aria-label="Pages">
<button type=button id=first aria-label="First page">⇤</button>
<button type=button id=before>Previous</button>
<label>Page <input type=number id=page min=1 value=1 autocomplete=off></label><span>of {n}</span>
<button type=button id=after>Next</button>
<button type=button id=last aria-label="Last page">⇥</button>
</nav>
<p class="hint soft" id=keys>An entity's probability shows when it is pointed at or focused. The arrow keys ← and → go
from entity to entity; Enter, or a click, lists the places where it stands.</p>
<div id=places role=region aria-labelledby=places-title hidden>
<h2 id=places-title tabindex=-1 dir=auto></h2>
<p class=soft id=places-count></p>
<ol id=places-list></ol>
<button type=button id=places-more>Show more</button> <button type=button id=places-close>Close</button>
</div>
<div id=text lang="" role=group aria-label="Text of this page" aria-describedby=keys></div>
<nav aria-label="Pages, below the text">
<button type=button id=before-below>Previous page</button>
<button type=button id=after-below>Next page</button>
</nav>
<p id=status role=status class=vh></p>
</section>
"""
