"""Tag schemes: spans of labels written as one tag per token, and read back.

Reading is one rule for every scheme (conlleval's, which also says what an ill-formed sequence means); writing and the
legal transitions are tables, one row per scheme.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ner_elmo.errors import UsageError

OUTSIDE = "O"
SCHEMES = ("iob1", "iob2", "bioes", "bmes", "none")
TOKEN = "token"  # no scheme of spans: each token has a tag of its own, as parts of speech are written
ALIASES = {"bio": "iob2", "iob": "iob1", "iobes": "bioes", "bilou": "bioes", "bmeso": "bmes", "io": "none"}


class Span(NamedTuple):
    """A labelled stretch of tokens, half open: ``start <= token index < end``."""

    start: int
    end: int
    label: str


class _Reading(NamedTuple):
    begins: bool  # this tag begins an entity, whatever stands before it
    ends: bool  # the entity ends with this token, whatever comes after it


_READING = {
    "B": _Reading(begins=True, ends=False),
    "I": _Reading(begins=False, ends=False),
    "M": _Reading(begins=False, ends=False),
    "E": _Reading(begins=False, ends=True),
    "L": _Reading(begins=False, ends=True),
    "S": _Reading(begins=True, ends=True),
    "U": _Reading(begins=True, ends=True),
}


class _Writing(NamedTuple):
    first: str
    inside: str
    last: str
    single: str
    prefixes: str  # in the order of `tag_set`


_WRITING = {
    "iob1": _Writing(first="I", inside="I", last="I", single="I", prefixes="BI"),  # B: see `tags`
    "iob2": _Writing(first="B", inside="I", last="I", single="B", prefixes="BI"),
    "bioes": _Writing(first="B", inside="I", last="E", single="S", prefixes="BIES"),
    "bmes": _Writing(first="B", inside="M", last="E", single="S", prefixes="BMES"),
}


class _Followers(NamedTuple):
    same: str  # prefixes that may follow with the same label
    other: str  # prefixes that may follow with another label, "O", and "$" for the end of the sentence


# A sentence starts as if an "O" stood before it.
_FOLLOWERS = {
    "iob1": {
        "O": _Followers(same="", other="OI$"),
        "B": _Followers(same="BI", other="OI$"),
        "I": _Followers(same="BI", other="OI$"),
    },
    "iob2": {
        "O": _Followers(same="", other="OB$"),
        "B": _Followers(same="BI", other="OB$"),
        "I": _Followers(same="BI", other="OB$"),
    },
    "bioes": {
        "O": _Followers(same="", other="OBS$"),
        "B": _Followers(same="IE", other=""),
        "I": _Followers(same="IE", other=""),
        "E": _Followers(same="BS", other="OBS$"),
        "S": _Followers(same="BS", other="OBS$"),
    },
    "bmes": {
        "O": _Followers(same="", other="OBS$"),
        "B": _Followers(same="ME", other=""),
        "M": _Followers(same="ME", other=""),
        "E": _Followers(same="BS", other="OBS$"),
        "S": _Followers(same="BS", other="OBS$"),
    },
}

_BILOU_LETTERS = {"L": "E", "U": "S"}


def canonical_name(name: str) -> str:
    """The name in :data:`SCHEMES`, or :data:`TOKEN`, that ``name`` (any case, or an alias such as ``bio`` or
    ``bilou``) stands for.

    Raises:
        UsageError: no such scheme.
    """
    lower = name.lower()
    scheme = ALIASES.get(lower, lower)
    if scheme not in (*SCHEMES, TOKEN):
        raise UsageError(f"unknown tag scheme {name!r}; expected one of {', '.join((*SCHEMES, TOKEN, *ALIASES))}")
    return scheme


def scheme_problem(name: str) -> str:
    """What is wrong with the name of a scheme, ``auto`` and ``io`` among them; nothing if there is one."""
    try:
        if name not in ("auto", "io"):
            canonical_name(name)
    except UsageError:
        return f"expected one of {', '.join(('auto', *SCHEMES, TOKEN, *ALIASES))}"
    return ""


def has_prefix(tag: str) -> bool:
    """Whether ``tag`` is ``O`` or a known prefix, a hyphen and a label (``B-PER``)."""
    return tag == OUTSIDE or (len(tag) > 2 and tag[1] == "-" and tag[0] in _READING)


def split_tag(tag: str) -> tuple[str, str]:
    """The prefix and the label of a tag; ``("O", "")`` for ``O``. A tag without a prefix is all label, inside."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    if has_prefix(tag):
        return tag[0], tag[2:]
    return "I", tag


def spans(tags: Sequence[str]) -> list[Span]:
    """The entities that ``tags`` say, in order, as conlleval reads them, in any scheme or mixture of schemes.

    An entity begins at B, S or U, and at any other tag that does not continue an open entity of its own label; it ends
    with E, L, S or U, and before ``O``, before another label and before a tag that begins one.
    """
    found: list[Span] = []
    open_label, start = "", 0
    for position, tag in enumerate(tags):
        if tag == OUTSIDE and not open_label:  # most tags of most texts
            continue
        label, begins, ends = _read(tag)
        if open_label and (begins or label != open_label):
            found.append(Span(start, position, open_label))
            open_label = ""
        if label and not open_label:
            open_label, start = label, position
        if ends:
            found.append(Span(start, position + 1, label))
            open_label = ""
    if open_label:
        found.append(Span(start, len(tags), open_label))
    return found


@lru_cache(maxsize=4096)
def _read(tag: str) -> tuple[str, bool, bool]:
    """The label of a tag, whether it begins an entity, and whether it ends one."""
    prefix, label = split_tag(tag)
    return label, *_READING.get(prefix, (False, False))


def read_tags(tags: Sequence[str], scheme: str) -> list[Span]:
    """What ``tags`` say in ``scheme``: entities as :func:`spans` reads them; in :data:`TOKEN` a span for each token."""
    if scheme == TOKEN:
        return [Span(position, position + 1, tag) for position, tag in enumerate(tags)]
    return spans(tags)


def tags(spans: Sequence[Span], n_tokens: int, scheme: str) -> list[str]:
    """One tag per token for ``spans``, in ``scheme``. In ``none`` and ``token``, a token's tag is its label.

    Raises:
        ValueError: spans overlap, are empty, or leave the sentence.
    """
    scheme = canonical_name(scheme)
    result = [OUTSIDE] * n_tokens
    previous = Span(0, 0, "")
    for span in sorted(spans):
        if not (previous.end <= span.start < span.end <= n_tokens):
            raise ValueError(f"{span} overlaps {previous}, is empty, or leaves the sentence of {n_tokens} tokens")
        adjacent = span.start == previous.end and span.label == previous.label
        result[span.start : span.end] = _span_tags(span, scheme, adjacent)
        previous = span
    return result


def _span_tags(span: Span, scheme: str, adjacent: bool) -> list[str]:
    n_tokens = span.end - span.start
    if scheme in ("none", TOKEN):
        return [span.label] * n_tokens
    writing = _WRITING[scheme]
    several = writing.first + writing.inside * (n_tokens - 2) + writing.last
    prefixes = writing.single if n_tokens == 1 else several
    if scheme == "iob1" and adjacent:
        prefixes = "B" + prefixes[1:]  # the one place where IOB1 has a B: between neighbours of one label
    return [f"{prefix}-{span.label}" for prefix in prefixes]


def ill_formed(sequence: Sequence[str], scheme: str) -> list[int]:
    """Indices of the tags that ``scheme`` would write differently for the same entities (BILOU's letters are fine)."""
    scheme = canonical_name(scheme)
    if scheme in ("none", TOKEN):
        return []
    expected = tags(spans(sequence), len(sequence), scheme)
    return [index for index, tag in enumerate(sequence) if _without_bilou(tag) != expected[index]]


def _without_bilou(tag: str) -> str:
    return _BILOU_LETTERS[tag[0]] + tag[1:] if tag[:1] in _BILOU_LETTERS and has_prefix(tag) else tag


def tag_set(labels: Iterable[str], scheme: str) -> list[str]:
    """All tags of ``scheme`` for ``labels``: ``O``, then for each label in sorted order its tags. In ``token`` they
    are the labels."""
    scheme = canonical_name(scheme)
    ordered = sorted(set(labels))
    if scheme == TOKEN:
        return ordered
    if scheme == "none":
        return [OUTSIDE, *ordered]
    return [OUTSIDE, *(f"{prefix}-{label}" for label in ordered for prefix in _WRITING[scheme].prefixes)]


def allowed(previous: str | None, current: str | None, scheme: str) -> bool:
    """Whether ``current`` may follow ``previous``; ``None`` is the start, or the end, of the sentence."""
    scheme = canonical_name(scheme)
    if scheme in ("none", TOKEN):
        return True
    prefix, label = split_tag(OUTSIDE if previous is None else previous)
    next_prefix, next_label = ("$", "") if current is None else split_tag(current)
    followers = _FOLLOWERS[scheme].get(prefix)
    if followers is None:
        return False
    return next_prefix in (followers.same if label and next_label == label else followers.other)


@dataclass(frozen=True, slots=True)
class Detection:
    """What :func:`detect` found.

    Attributes:
        scheme: the scheme that fits best, one of :data:`SCHEMES`.
        evidence: a phrase that says why, for people.
        ill_formed: for each scheme, how many transitions between neighbouring tags it does not allow.
        unknown: tags that belong to no scheme, with their counts (``PER``, ``B_PER``).
        n_tags: how many different tags there are.
    """

    scheme: str
    evidence: str
    ill_formed: dict[str, int]
    unknown: dict[str, int]
    n_tags: int = 0


# What is more likely a prefixed tag gone wrong than a label: B_PER, B-, PER-B.
_NEARLY_PREFIXED = re.compile(r"[BIMELSU][-_:/|]|.*[-_][BIMELSU]\Z")

_BARE_PREFIXES = frozenset("BIMELSUW")

# Where several schemes fit equally well, the earlier one is meant.
_PREFERENCE = ("iob2", "iob1", "bioes", "bmes")


def is_nearly_prefixed(tag: str) -> bool:
    """Whether a tag is more likely a prefix and a label gone wrong than a label: B_PER, B-, PER-B."""
    return _NEARLY_PREFIXED.match(tag) is not None


def are_bare_prefixes(tags: Iterable[str]) -> bool:
    """Whether tags that belong to no scheme are prefixes alone, without labels: B and I."""
    found = set(tags)
    return "B" in found and len(found) > 1 and found <= _BARE_PREFIXES


def labels_of(tags: Iterable[str], scheme: str) -> list[str]:
    """The labels in a tag set of ``scheme``, in alphabetical order."""
    return sorted(set(tags)) if scheme == TOKEN else sorted({split_tag(tag)[1] for tag in tags} - {""})


def detect(sequences: Iterable[Sequence[str]]) -> Detection:
    """Find the scheme of tagged sentences by counting, over all of them, the transitions each scheme forbids."""
    transitions: Counter[tuple[str | None, str | None]] = Counter()
    for sequence in sequences:
        previous: str | None = None
        for tag in sequence:
            transitions[previous, tag] += 1
            previous = tag
        transitions[previous, None] += 1
    used: Counter[str] = Counter()
    for (_, current), count in transitions.items():
        if current is not None:
            used[current] += count
    unknown = {tag: count for tag, count in sorted(used.items()) if not has_prefix(tag)}
    forbidden = {scheme: _forbidden(transitions, scheme) for scheme in _PREFERENCE}
    are_labels = not any(map(is_nearly_prefixed, unknown)) and not are_bare_prefixes(unknown)
    if unknown and OUTSIDE in used and len(used) == len(unknown) + 1 and are_labels:
        return Detection("none", "no tag has a prefix such as B- or I-, and some are O", forbidden, unknown, len(used))
    scheme = min(_PREFERENCE, key=lambda name: forbidden[name])
    return Detection(scheme, _evidence(used, scheme, forbidden), forbidden, unknown, len(used))


def _forbidden(transitions: Counter[tuple[str | None, str | None]], scheme: str) -> int:
    def known(tag: str | None) -> str | None:
        return None if tag is None else _without_bilou(tag)

    return sum(
        count
        for (previous, current), count in transitions.items()
        if not allowed(known(previous), known(current), scheme)
    )


def _evidence(used: Counter[str], scheme: str, forbidden: dict[str, int]) -> str:
    prefixes = sorted({split_tag(tag)[0] for tag in used if tag != OUTSIDE})
    if not prefixes:
        return "there is no entity in it"
    others = min(count for name, count in forbidden.items() if name != scheme)
    return (
        f"prefixes {' '.join(prefixes)}; {forbidden[scheme]} transitions are ill-formed in {scheme}, "
        f"{others} or more in any other scheme"
    )
