"""Raw text to sentences of tokens, each with its exact place in the text.

A kind of text (:data:`TEXT_KINDS`, and those of :mod:`ner_elmo.text.language_kinds`) is a rule for tokens and a rule
for sentence ends. A model records the kind it was trained on by name, so the rules behind a name never change; better
English rules will be ``en-2``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from ner_elmo.errors import UsageError
from ner_elmo.text.documents import Token
from ner_elmo.text.language_kinds import BY_CHARACTER, language_kind, language_of, newest_kind


class TextKind(NamedTuple):
    """How one kind of text is read: ``tokenize(text)``, and ``split(text, its tokens)`` into sentences."""

    tokenize: Callable[[str], list[Token]]
    split: Callable[[str, list[Token]], list[list[Token]]]


def tokenize(text: str, kind: str) -> list[Token]:
    """The tokens of ``text`` in order, not split into sentences.

    Raises:
        UsageError: ``kind`` is not a kind of text.
    """
    return text_kind(kind).tokenize(text)


def sentences(text: str, kind: str) -> list[list[Token]]:
    """The sentences of ``text``, each a non-empty list of tokens whose spans refer to ``text``.

    Raises:
        UsageError: ``kind`` is not a kind of text.
    """
    tokenize, split = text_kind(kind)
    return split(text, tokenize(text))


def sentence_forms(line: str, kind: str) -> Iterator[list[str]]:
    """The forms of the tokens of each sentence of a line: what a language model is trained on.

    Raises:
        UsageError: ``kind`` is not a kind of text.
    """
    if kind == "whitespace":
        if tokens := line.split():
            yield tokens
    else:
        for sentence in sentences(line, kind):
            yield [token.form for token in sentence]


def text_kind(name: str) -> TextKind:
    """The kind of text called ``name``.

    Raises:
        UsageError: there is none, or it needs a package that is not there, or another version of it.
    """
    if name in TEXT_KINDS:
        return TEXT_KINDS[name]
    if (kind := language_kind(name)) is not None:
        return TextKind(*kind)
    raise UsageError(f"unknown kind of text {name!r}; expected {EXPECTED}")


def resolved(name: str) -> str:
    """The kind of text that ``--text`` means: a kind's own name, or a language's code for its newest kind.

    Raises:
        UsageError: it is neither, or it needs a package that is not there.
    """
    if name in TEXT_KINDS:
        return name
    if name.lower() in ("en", "en-us", "en-gb"):
        return "en-1"
    if (kind := newest_kind(name)) is not None:
        return kind
    text_kind(name)
    return name


def is_by_character(kind: str) -> bool:
    """Whether the tokens of a kind of text are single characters, but for Latin words and numbers."""
    return kind.startswith("characters") or (not kind.startswith("zh-words") and language_of(kind) in BY_CHARACTER)


# White space and single characters ------------------------------------------------------------------------------------


def _matches(pattern: re.Pattern[str]) -> Callable[[str], list[Token]]:
    return lambda text: [Token(match.start(), match.end(), match[0]) for match in pattern.finditer(text)]


def _split_at_lines(text: str, tokens: list[Token]) -> list[list[Token]]:
    return _split_before(tokens, lambda i: "\n" in text[tokens[i - 1].end : tokens[i].start])


# A run of Latin letters (with their accents, or of full width) and digits.
_LATIN = "A-Za-z0-9À-ÖØ-öø-ɏḀ-ỿＡ-Ｚａ-ｚ０-９"
_LATIN_RUN_OR_CHARACTER = re.compile(rf"[{_LATIN}][{_LATIN}\u0300-\u036f]*|\S")

_CHINESE_ENDS = frozenset("。！？；")
_CHINESE_CLOSERS = frozenset("”’」』》）)】\"'")


def _split_chinese(text: str, tokens: list[Token]) -> list[list[Token]]:
    ended = False

    def starts(i: int) -> bool:
        nonlocal ended
        previous, form = tokens[i - 1], tokens[i].form
        ended = previous.form in _CHINESE_ENDS or (ended and previous.form in _CHINESE_CLOSERS)
        if "\n" in text[previous.end : tokens[i].start]:
            return True
        return ended and form not in _CHINESE_CLOSERS and form not in _CHINESE_ENDS

    return _split_before(tokens, starts)


_LINE = re.compile(r"\S(?:[^\n]*\S)?")
_CHARACTER_OR_BLANK = re.compile(r"[^\s]|[ \u00a0\u3000]")


def _with_blanks(text: str) -> list[Token]:
    """Characters and the blanks between them, as data has them in which blanks are tokens; none at a line's edges."""
    return [
        Token(match.start(), match.end(), match[0])
        for line in _LINE.finditer(text)
        for match in _CHARACTER_OR_BLANK.finditer(text, line.start(), line.end())
    ]


def _split_before(tokens: list[Token], starts: Callable[[int], bool]) -> list[list[Token]]:
    """Cut ``tokens`` before every index, in rising order, that ``starts`` a sentence."""
    bounds = [0, *(i for i in range(1, len(tokens)) if starts(i)), len(tokens)]
    return [tokens[start:end] for start, end in pairwise(bounds) if start < end]


# English: what the rules see ------------------------------------------------------------------------------------------

# Soft hyphens, zero-width characters and marks of writing direction: no part of any token's form.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+")

_MARK = "\u0301"
_PLAIN = {
    **dict.fromkeys(map(ord, "‘’‚‛‹›"), "'"),
    **dict.fromkeys(map(ord, "“”„‟«»"), '"'),
    **dict.fromkeys(map(ord, "‐‑−"), "-"),  # hyphens and the minus sign
    **dict.fromkeys(map(ord, "‒–"), "–"),
    **dict.fromkeys(map(ord, "—―"), "—"),
}


class _Skeleton(dict[int, str]):
    """For ``str.translate``: one character for each, plain punctuation, and one mark that stands for all marks.

    ``\\w`` knows letters and digits but not the accents and vowel signs that belong to them.
    """

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = _MARK if unicodedata.category(character).startswith("M") else character
        return self[code]


_SKELETON = _Skeleton(_PLAIN)
_FORM = {**_PLAIN, ord("…"): "...", ord("—"): "--", ord("―"): "--"}


class _View(NamedTuple):
    """The visible characters of a text, their skeleton (of the same length), and their positions in the text."""

    visible: str
    skeleton: str
    positions: list[int] | None  # None: nothing was left out


def _view(text: str) -> _View:
    if text.isascii():
        return _View(text, text, None)
    if not _INVISIBLE.search(text):
        return _View(text, text.translate(_SKELETON), None)
    positions: list[int] = []
    start = 0
    for match in _INVISIBLE.finditer(text):
        positions.extend(range(start, match.start()))
        start = match.end()
    positions.extend(range(start, len(text)))
    visible = _INVISIBLE.sub("", text)
    return _View(visible, visible.translate(_SKELETON), positions)


# English: tokens ------------------------------------------------------------------------------------------------------

_TITLES = "Mr Mrs Ms Dr St Prof Rev Hon Gen Col Capt Lt Sgt Maj Adm Cmdr Gov Sen Sens Rep Reps Pres Messrs Mt Ft"
_NAME_PARTS = "Jr Sr Inc Co Corp Ltd Bros Dept Vol Ph.D"
_MONTHS = "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec"
_STATES = (
    "Ala Ariz Ark Calif Colo Conn Del Fla Ga Ill Kan Ky La Md Mass Mich Minn Mo Mont Neb Nev Okla Ore Pa Tenn Tex Va Vt"
    " Wash Wis Wyo"
)
_LOWER_CASE = "etc vs v cf al"
_ABBREVIATIONS = "|".join(
    re.escape(word) for word in f"{_TITLES} {_NAME_PARTS} {_MONTHS} {_STATES} {_LOWER_CASE}".split()
)

# Every repetition below is either bounded or followed by something that cannot begin with what it repeats, so that
# matching never costs more than a fixed number of looks at a character.
_W = rf"[\w{_MARK}]"
_TAIL = rf"(?:['&.\-–/]{_W}+)*"
_TOKEN = re.compile(
    rf"""
      (?P<whole>
          (?i:https?://|ftp://|www\.) \S* [^\s.,;:!?'")\]}}>…]         # addresses
        | [\w.+\-]{{1,64}} @ [\w\-]{{1,63}} (?:\.[\w\-]{{1,63}}){{1,8}}
        | '(?i:s|m|re|ve|d|ll) (?![\w{_MARK}'])                         # a clitic on its own, or after a number
      )
    | (?P<word>
          (?:[^\W\d_]\.){{2,}} (?!{_W}) (?:-{_W}+{_TAIL})?              # U.S.  a.m.  U.S.-led
        | (?:{_ABBREVIATIONS})\. (?!{_W})
        | (?:Nos?|pp?|[bcd])\. (?=\s?\d)                                # No. 17  c. 1450
        | (?=[^\Wa-z])[^\d_\W]\. (?=\s{{1,2}}\w)                        # an initial
        | \d+ (?:st|nd|rd|th|s|m|mm|cm|km|bn|am|pm|mph) (?!{_W}) (?:-{_W}+)*
        | \d+ (?:[.,:/\-–]\d+)* (?:-[^\W\d]{_W}*)*                      # 1,000.50  1996-08-30  25-year-old
        | [^\W\d] {_W}* {_TAIL}
      )
    | [.…]+ | -{{2,}} | `` | \S {_MARK}*
    """,
    re.VERBOSE,
)
_CLITIC = re.compile(r"(?<=.)(?:n't|'(?:s|m|re|ve|d|ll))\Z", re.IGNORECASE)
_LONGEST_CLITIC = 4  # with the character before it


# What is between two white spaces is cut in the same way wherever it stands, but for a dot at its end, whose part
# depends on what follows. So it is cut once, if it is no longer than so many characters; so many are remembered.
_REMEMBERED_LENGTH = 24
_MOST_REMEMBERED = 1 << 16
_CHUNK = re.compile(r"\S+")
_remembered: dict[str, list[Token]] = {}


def _tokenize_english(text: str) -> list[Token]:
    visible, skeleton, positions = _view(text)
    tokens = []
    for match in _CHUNK.finditer(visible):
        begin, end = match.span()
        chunk = match[0]
        found = _remembered.get(chunk)
        if found is None:
            found = _tokens_of_chunk(chunk, skeleton, begin, end)
        for start, end, form in found:
            tokens.append(Token(begin + start, begin + end, form))
    if positions is None:
        return tokens
    return [Token(positions[start], positions[end - 1] + 1, form) for start, end, form in tokens]


def _tokens_of_chunk(chunk: str, skeleton: str, begin: int, end: int) -> list[Token]:
    """The tokens of what stands between two white spaces, at ``begin`` to ``end`` of the text; counted from there."""
    found = [
        Token(start, end, _form(chunk[start:end]))
        for start, end in ((start - begin, end - begin) for start, end in _english_spans(skeleton, begin, end))
    ]
    if len(chunk) <= _REMEMBERED_LENGTH and (chunk == "." or not chunk.endswith(".")):
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        _remembered[chunk] = found
    return found


def _english_spans(skeleton: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the tokens stand that begin within some part."""
    for match in _TOKEN.finditer(skeleton, begin):
        start, stop = match.span()
        if start >= end:
            return
        if match.lastgroup != "word":
            yield start, stop
            continue
        cuts = _clitic_starts(skeleton, start, stop)
        yield from zip([start, *cuts], [*cuts, stop], strict=True)


def _clitic_starts(skeleton: str, start: int, end: int) -> list[int]:
    """Where the clitics at the end of a word begin: none, one (``did n't``) or two (``would n't 've``)."""
    cuts: list[int] = []
    while len(cuts) < 2:
        tail_start = max(start, end - _LONGEST_CLITIC)
        match = _CLITIC.search(skeleton[tail_start:end])
        if not match:
            break
        end = tail_start + match.start()
        cuts.insert(0, end)
    return cuts


def _form(token: str) -> str:
    if token.isascii():
        return '"' if token == "``" else token
    token = token.translate(_FORM)
    token = "--" if token == "–" else token.replace("–", "-")  # an en dash alone, and within a word
    return unicodedata.normalize("NFC", token)


# English: sentences ---------------------------------------------------------------------------------------------------

_ENDS = frozenset(".!?")
_CLOSERS = frozenset("\"')]}")
_OPENERS = frozenset("\"'([")
_NEVER_LAST = frozenset(f"{title}." for title in f"{_TITLES} No Nos".split())
# Words that begin a sentence far more often than they go on with one after an abbreviation.
_OPENING_WORDS = (
    "The It He She They We You In This That These Those There But And However His Her Its Their If When As At On For"
    " After Although While Since"
)
_SENTENCE_OPENERS = frozenset(_OPENING_WORDS.split())
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")


def _split_english(text: str, tokens: list[Token]) -> list[list[Token]]:
    last_end = ""  # the form of the token that may have ended the sentence, if only closers came after it
    has_blank_lines = _BLANK_LINE.search(text) is not None

    def starts(i: int) -> bool:
        nonlocal last_end
        previous = tokens[i - 1]
        if previous.form[-1:] in _ENDS:
            last_end = previous.form
        elif previous.form not in _CLOSERS:
            last_end = ""
        if not last_end and not has_blank_lines:
            return False
        token = tokens[i]
        gap = text[previous.end : token.start]
        if not gap:
            return False
        if has_blank_lines and _BLANK_LINE.search(gap):
            return True
        first = tokens[i + 1] if token.form in _OPENERS and i + 1 < len(tokens) else token
        return bool(last_end) and _may_follow(last_end, first.form)

    return _split_before(tokens, starts)


def _may_follow(end: str, first: str) -> bool:
    """Whether a sentence that ends with the token ``end`` may be followed by one whose first word is ``first``."""
    if end in _NEVER_LAST:
        return False
    if end.strip("".join(_ENDS)):  # an abbreviation or an initial
        return first in _SENTENCE_OPENERS
    return first[:1].isupper() or first[:1].isdigit()


EXPECTED = (
    "one of whitespace, characters, characters-words, characters-blanks, en-1, zh-words, or a language's code such as "
    "de, fr, ar, ru, hi, ja, zh, th"
)

TEXT_KINDS: dict[str, TextKind] = {
    "whitespace": TextKind(_matches(re.compile(r"\S+")), _split_at_lines),
    "characters": TextKind(_matches(re.compile(r"\S")), _split_chinese),
    "characters-words": TextKind(_matches(_LATIN_RUN_OR_CHARACTER), _split_chinese),
    "characters-blanks": TextKind(_with_blanks, _split_at_lines),
    "en-1": TextKind(_tokenize_english, _split_english),
}
