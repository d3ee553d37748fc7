"""A text with its entities marked, as HTML: each with its label beside it, and its probability for who asks for it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import count
from typing import NamedTuple, Protocol

from ner_elmo.pages.visible import made_visible


class Marked(Protocol):
    """What is marked: a half-open span of code points of the text, its label, and its probability if it is known."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def label(self) -> str: ...
    @property
    def score(self) -> float | None: ...


# The tag that opens an entity's mark; True: of a second piece of one that crosses another.
Opening = Callable[[Marked, bool], str]


class _Open(NamedTuple):
    """A mark that is open: where it ends, and what closes it."""

    end: int
    closing: str


def marked_html(text: str, entities: Sequence[Marked], opening: Opening, start: int = 0) -> str:
    """The text as HTML in which each entity is a ``mark`` that ends with its label and probability in ``small``.

    Args:
        entities: in any order; one may stand inside another. Of two that cross, the second is marked in two pieces.
            Their offsets are those of ``text``, plus ``start``.
    """
    return "".join(_pieces(text, entities, opening, start))


def _pieces(text: str, entities: Sequence[Marked], opening: Opening, start: int) -> Iterator[str]:
    order = count()
    waiting = [(e.start - start, start - e.end, next(order), e, False) for e in entities if e.start < e.end]
    heapq.heapify(waiting)  # by start; of those that start together, the longest first
    within: list[_Open] = []
    done = 0
    while waiting or within:
        begins = waiting[0][0] if waiting else len(text)
        if within and within[-1].end <= begins:
            last = within.pop()
            yield shown(text[done : last.end]) + last.closing
            done = last.end
            continue
        begins, end, _, entity, is_piece = heapq.heappop(waiting)
        end = -end
        if within and end > within[-1].end:
            heapq.heappush(waiting, (within[-1].end, -end, next(order), entity, True))
            end = within[-1].end
        yield shown(text[done:begins]) + opening(entity, is_piece)
        within.append(_Open(end, f"{label_html(entity)}</mark>"))
        done = begins
    yield shown(text[done:])


def shown(text: str) -> str:
    """Text as HTML, with what would not show made visible."""
    return escape(made_visible(text))


def label_html(entity: Marked) -> str:
    """What stands at the end of a mark: the label, and the probability, which a page shows when it is pointed at and
    reads aloud in any case."""
    said = "" if entity.score is None else f"<span class=p> {percent(entity.score)}</span>"
    return f"<small>\u00a0{shown(entity.label)}{said}</small>"


def percent(score: float) -> str:
    """A probability for people: ``98.8 %``; what is not certain is not said to be."""
    rounded = round(100 * float(score), 1)
    if rounded == 100 and score < 1:
        rounded = 99.9
    return f"{rounded:.1f} %"
