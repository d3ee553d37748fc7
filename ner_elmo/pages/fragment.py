"""A text with its entities marked as a piece of a page, for notebooks."""

from __future__ import annotations

from collections.abc import Sequence

from ner_elmo.pages.label_colours import LabelColours
from ner_elmo.pages.marks import Marked, marked_html, percent, shown
from ner_elmo.pages.tagged_page import colour_rules

MOST_CHARACTERS = 20_000

# All rules begin with the class of the fragment, so that they change nothing else. Marks have an ink of their own: a
# notebook may be light where the system is dark.
_STYLE = """
.ner-elmo-text { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.75; max-width: 60rem }
.ner-elmo-text mark { position: relative; unicode-bidi: isolate; padding: .1rem .2rem; border-radius: .2rem;
  margin: 0 1px; box-decoration-break: clone; -webkit-box-decoration-break: clone }
.ner-elmo-text small { color: inherit; font-size: .68em; font-weight: 700; unicode-bidi: isolate }
.ner-elmo-text .p { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap }
.ner-elmo-text mark:hover > small > .p { width: auto; height: auto; overflow: visible;
  clip-path: none; inset: 100% auto auto 0; padding: .1rem .4rem; background: #1c1f24; color: #fff; z-index: 2;
  font-weight: 400; direction: ltr }
"""


def fragment(text: str, entities: Sequence[Marked]) -> str:
    """The text as an element with a style of its own, without scripts; of a long text the beginning.

    ``entities`` are in the order of their starts. An entity's probability shows when it is pointed at; a folded list
    below the text has them all, for who points at nothing.
    """
    colours = LabelColours()
    beginning, cut = _beginning(text, entities)
    inside = [entity for entity in entities if entity.end <= len(beginning)]

    def opening(entity: Marked, _: bool) -> str:
        return f"<mark class=k{colours.number(entity.label)}>"

    body = marked_html(beginning, inside, opening)
    rules = colour_rules(".ner-elmo-text .k{}", "; color: #1c1f24|; color: #e4e6ea")
    more = f"<p>… and {cut:,} more characters</p>" if cut else ""
    text_html = f'<div class="ner-elmo-text" dir="auto">{body}</div>'
    return f"<div><style>{_STYLE}{rules}</style>{text_html}{more}{_list(inside, beginning)}</div>"


def _list(entities: Sequence[Marked], text: str) -> str:
    if not entities:
        return ""
    items = "".join(
        f"<li dir=auto>{shown(text[entity.start : entity.end])}, {shown(entity.label)}"
        f"{'' if entity.score is None else f', {percent(entity.score)}'}</li>"
        for entity in entities
    )
    return f"<details><summary>Entities: {len(entities):,}</summary><ul>{items}</ul></details>"


def _beginning(text: str, entities: Sequence[Marked]) -> tuple[str, int]:
    """As much as is shown, which ends inside no entity, and how many characters are not."""
    end = MOST_CHARACTERS
    for entity in entities:
        if entity.start >= end:
            break
        end = max(end, entity.end)
    return text[:end], max(0, len(text) - end)
