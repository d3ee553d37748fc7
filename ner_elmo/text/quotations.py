"""Quotes and brackets without a partner: what finds sentences must not take all between two of them for one."""

from __future__ import annotations

import re

_QUOTES = re.compile(r"[\"'`‘’“”„«»‹›()\[\]{}「」『』]")
_PAIRS = {"“": "”", "„": "“”", "‘": "’", "«": "»", "‹": "›", "(": ")", "[": "]", "{": "}", "「": "」", "『": "』"}
_CLOSING = frozenset("”’»›)]}」』")
_QUOTES_DEEP = 8
QUOTED_MOST = 1_000  # characters; more are no one sentence


def without_single_quotes(text: str) -> str:
    """The text with a blank for each quote or bracket that has no partner: sentencex ends no sentence between two.

    Which straight quote opens is seen by the blank before it. A partner stands in the same paragraph.
    """
    while (masked := _masked_once(text)) != text:  # a blank in the place of one may change what another is
        text = masked
    return text


def _masked_once(text: str) -> str:
    alone: list[int] = []
    opened: list[tuple[int, str]] = []  # places of those that wait, and what would close them
    last = 0
    for match in _QUOTES.finditer(text):
        at, sign = match.start(), match[0]
        if opened and text.find("\n\n", last, at) >= 0:
            alone += [place for place, _ in opened]
            opened.clear()
        last = at
        before, after = text[at - 1 : at], text[at + 1 : at + 2]
        opens = not before or before.isspace() or before in _PAIRS or before in "-–—"
        if sign in "'’" and before.isalnum() and after.isalnum():
            continue
        if sign == "`":
            alone.append(at)
            continue
        depth = _partner(opened, sign)
        if depth is not None and sign in "\"'" and opens and after.isalnum():  # they do not nest: the first is alone
            alone += [place for place, _ in opened[depth:]]
            del opened[depth:]
            depth = None
        if depth is not None:
            alone += [place for place, _ in opened[depth + 1 :]]
            place = opened[depth][0]
            del opened[depth:]
            if at - place > QUOTED_MOST:
                alone += [place, at]
        elif (sign in _CLOSING and not (sign in "»›" and opens)) or (sign in "\"'" and not opens):
            alone.append(at)
        else:
            opened.append((at, {"»": "«", "›": "‹"}.get(sign) or _PAIRS.get(sign, sign)))
            if len(opened) > _QUOTES_DEEP:
                alone.append(opened.pop(0)[0])
    alone += [place for place, _ in opened]
    if not alone:
        return text
    letters = list(text)
    for place in alone:
        letters[place] = " "
    return "".join(letters)


def _partner(opened: list[tuple[int, str]], sign: str) -> int | None:
    """Which of the open quotes a sign closes: the last that it can."""
    for depth in range(len(opened) - 1, -1, -1):
        if sign in opened[depth][1]:
            return depth
    return None
