"""What can be a label and what cannot, one rule for every format; and many of them told in a few words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

from ner_elmo.text.tag_scheme import is_nearly_prefixed

LONGEST = 60  # characters; labels are names, and what is longer is a sentence
MOST_LABELS = 2_000  # no tagger learns more
MANY_LABELS = 300  # more is rarely meant
_FEW = 30  # labels that may be of one use each in a small file
_SHOWN = 10
_WIDTH = 240  # characters
_LIKE_LABEL = re.compile(r"[A-Z0-9_.:$/#-]{1,12}\Z|[a-z](?:[-_][a-z_.]{1,12})?\Z")
_JOINED = re.compile(r"[|][BIEMLSU]-\S")  # of nested entities, as some corpora write them
_JOINERS = "\u200c\u200d"  # letters of Persian and Indic scripts are written with them


@lru_cache(maxsize=4096)
def label_fault(label: str) -> str | None:
    """What is wrong with a label, as ``found …, expected …``; None if it is one.

    A label is words with one plain blank between them (``PER``, ``Invoice Number``), so that no two of them look alike.
    """
    if len(label) > LONGEST and not _is_address(label):
        return f"found a label of {len(label):,} characters, expected at most {LONGEST}"
    if _JOINED.search(label):
        return f"found label {shortened(label)}, which looks like several tags in one, expected one"
    odd = next((c for c in label if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in _JOINERS), None)
    if odd is not None:
        return f"found label {shortened(label)} with the character U+{ord(odd):04X}, expected a word such as PER"
    if not label or label != " ".join(label.split()):
        where = "at its edge, or other than one plain blank between words" if label.strip() else "only"
        found = f"found label {shortened(label)} with blanks {where}" if label else "found an empty label"
        return f"{found}, expected a word such as PER"
    return None


def _is_address(label: str) -> bool:
    return "://" in label and " " not in label and len(label) <= 4 * LONGEST


def as_tag(cell: str) -> str:
    """What to say of a cell that should hold a tag and does not: the cell if it is like one (``PER``, ``B_PER``), but
    not a word of a text, which may be somebody's name."""
    if is_nearly_prefixed(cell) or _LIKE_LABEL.match(cell):
        return f"tag {shortened(cell, 60)}"
    return f"no tag (a cell of {len(cell):,} characters)"


def shortened(text: str, most: int = 40) -> str:
    """A text in quotes on one line, cut where it is long."""
    return repr(text if len(text) <= most else text[: most - 1] + "…")


def plain(label: str, most: int = 40) -> str:
    """A label without quotes, unless it has what does not print; cut where it is long."""
    shown = label if label.isprintable() else repr(label)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def listed(labels: Iterable[str], most: int = _SHOWN) -> str:
    """``LOC, PER`` in the order given; of many the first few and ``... and 4,990 more``."""
    return _first_of(list(labels), most, lambda label: "")


def counted(counts: Mapping[str, int], most: int = _SHOWN) -> str:
    """``LOC 4, PER 12`` in the order of the alphabet; of many the most frequent and ``... and 4,990 more``."""
    by_frequency = sorted(counts, key=lambda label: (-counts[label], label))
    if looks_like_words(counts):
        return like_words(len(counts))  # not one of them: they may be people's names
    return _first_of(by_frequency if len(counts) > most else sorted(counts), most, lambda label: f" {counts[label]:,}")


def like_words(number: int) -> str:
    """What to say of labels that are words."""
    return f"found {number:,} that look like words, not labels"


def listed_if_labels(counts: Mapping[str, int]) -> str:
    """:func:`listed` in the order of the alphabet, but not where words were taken for labels."""
    return like_words(len(counts)) if looks_like_words(counts) else listed(sorted(counts))


def _first_of(labels: Sequence[str], most: int, after: Callable[[str], str]) -> str:
    for width in (LONGEST, 40, 20, 12):
        shown = ", ".join(plain(label, width) + after(label) for label in labels[:most])
        if len(shown) <= _WIDTH:
            break
    return shown if len(labels) <= most else f"{shown} ... and {len(labels) - most:,} more"


def looks_like_words(counts: Mapping[str, int]) -> bool:
    """Whether labels are so many, or so many of them used once, that words were taken for labels."""
    n_once = sum(count == 1 for count in counts.values())
    return len(counts) > MANY_LABELS or (len(counts) >= _FEW and 2 * n_once > len(counts))


def visible(character: str) -> str:
    """A character, or its number where it does not show."""
    return character if character.isprintable() and not character.isspace() else f"U+{ord(character):04X}"
