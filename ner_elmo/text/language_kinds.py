"""Raw text of any language: words by Unicode's rules (UAX #29) and the language's own, sentence ends by sentencex.

A kind is called by its language, the library that decides and its exact version, and the number of our rules:
``fr-sentencex1.0.32-1``. Languages written without blanks between words (Chinese, Japanese, Thai ...), and Korean,
whose particles have none before them, have a token for each character, Latin words and numbers whole; ``zh-words`` has
words by jieba.

Words differ from UAX #29 in this: a hyphen does not part a word; an abbreviation, an initial and an ordinal keep their
stop, an elided article its apostrophe; addresses are whole.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cached_property, lru_cache
from importlib import metadata
from typing import Any, NamedTuple

from ner_elmo.errors import UsageError
from ner_elmo.text.documents import Token
from ner_elmo.text.language_rules import LanguageRules, rules_of
from ner_elmo.text.languages import CODES, scripts_of
from ner_elmo.text.quotations import QUOTED_MOST, without_single_quotes

RULES = 1  # of ours; a change of theirs is another number, since models were trained by the old ones
JIEBA_RULES = 1
_CHARACTER_CODES = "zh ja ko th lo km my shn bo dz yue wuu lzh gan hak"
BY_CHARACTER = frozenset(_CHARACTER_CODES.split())

_NAME = re.compile(r"(?P<code>[a-z]{2,3})-sentencex(?P<version>[0-9][0-9.]*)-(?P<rules>[0-9]+)")
_WORDS_NAME = re.compile(r"zh-words-jieba(?P<version>[0-9][0-9.]*)-(?P<rules>[0-9]+)")


class LanguageKind(NamedTuple):
    """How text of a language is read: ``tokenize(text)``, and ``split(text, its tokens)`` into sentences."""

    tokenize: Callable[[str], list[Token]]
    split: Callable[[str, list[Token]], list[list[Token]]]


@lru_cache(maxsize=1)
def _sentencex_version() -> str:
    return metadata.version("sentencex")


@lru_cache(maxsize=1)
def _jieba_version() -> str:
    try:
        return metadata.version("jieba")
    except metadata.PackageNotFoundError:
        raise UsageError("--text zh-words: needs the jieba package; try: pip install 'ner-elmo[zh-words]'") from None


def newest_kind(name: str) -> str | None:
    """The kind that a language's code means today (``fr``, ``zh-words``); None if it is none.

    Raises:
        UsageError: the package that it needs is not installed.
    """
    if name == "zh-words":
        return f"zh-words-jieba{_jieba_version()}-{JIEBA_RULES}"
    code = name.lower().replace("_", "-").split("-")[0]
    # Only a region or script may follow: pt-BR, zh-Hant.
    is_language = code in CODES and re.fullmatch(r"[A-Za-z]{2,3}([-_][A-Za-z]{2,4}|[-_][0-9]{3})?", name)
    return f"{code}-sentencex{_sentencex_version()}-{RULES}" if is_language else None


def language_of(kind: str) -> str | None:
    """The code of the language that a kind is for; None for kinds that serve several."""
    if kind.startswith("zh-words"):
        return "zh"
    found = _NAME.fullmatch(kind)
    return found["code"] if found else "en" if kind.startswith("en-") else None


@lru_cache(maxsize=64)
def language_kind(name: str) -> LanguageKind | None:
    """The kind called ``name``; None if that is no name of such a kind.

    Raises:
        UsageError: it needs another version of a package, or of this program.
    """
    if found := _WORDS_NAME.fullmatch(name):
        _require(name, "jieba", found["version"], _jieba_version(), int(found["rules"]), JIEBA_RULES)
        return LanguageKind(_tokenize_by_jieba, _Splitter("zh"))
    if (found := _NAME.fullmatch(name)) is None or found["code"] not in CODES:
        return None
    _require(name, "sentencex", found["version"], _sentencex_version(), int(found["rules"]), RULES)
    code = found["code"]
    return LanguageKind(_characters if code in BY_CHARACTER else _Words(rules_of(code), code), _Splitter(code))


def _require(name: str, package: str, version: str, installed: str, rules: int, known: int) -> None:
    if rules != known:
        raise UsageError(
            f"kind of text {name!r}: needs rules {rules} of this program, which has {known}; try "
            f"{'a newer' if rules > known else 'an older'} ner-elmo"
        )
    if version != installed:
        raise UsageError(
            f"kind of text {name!r}: needs {package} {version}, found {installed}; try: pip install "
            f"'{package}=={version}'"
        )


# Characters -----------------------------------------------------------------------------------------------------------

# No part of a form: soft hyphens, zero-width spaces, marks of writing direction. The joiners (U+200C, U+200D) are.
_INVISIBLE = "\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"
_INVISIBLES = re.compile(f"[{_INVISIBLE}]+")
_JOINERS = "\u200c\u200d"
_CHANGED = re.compile(f"[{_INVISIBLE}’ʼ‐‑]")
_APOSTROPHES = str.maketrans({"’": "'", "ʼ": "'", "‐": "-", "‑": "-"})
# Letters that stand alone in a text of words: Chinese characters, hiragana, scripts without blanks.
_ALONE = "\u0e00-\u0edf\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u309f\u3400-\u4dbf\u4e00-\u9fff"
_ALONE += "\uf900-\ufaff\U00020000-\U0003ffff"
_ANY_ALONE = re.compile(f"[{_ALONE}]")
_LATIN = "A-Za-z0-9À-ÖØ-öø-ɏḀ-ỿＡ-Ｚａ-ｚ０-９"


@lru_cache(maxsize=2)
def _marks(first: int = 0x300, end: int = 0x20000) -> str:
    """The combining marks from one code point to before another, as the inside of a class of characters."""
    parts = []
    start = last = -2
    for code in [*range(first, end), *(range(0xE0100, 0xE01F0) if end == 0x20000 else ()), 0x110000]:
        if code == 0x110000 or unicodedata.category(chr(code)).startswith("M"):
            if code != last + 1:
                if start >= 0:
                    parts.append(f"{chr(start)}-{chr(last)}")
                start = code
            last = code
    return "".join(parts)


@lru_cache(maxsize=1)
def _character_pattern() -> re.Pattern[str]:
    extend = _marks() + _JOINERS + _INVISIBLE
    # A sign that kills the vowel in Khmer and Burmese joins the next consonant to its own.
    return re.compile(
        rf"[{_LATIN}][{_LATIN}\u0300-\u036f{_INVISIBLE}]*|[^\s{_INVISIBLE}](?:[{extend}]|(?<=[\u17d2\u1039])\w)*"
    )


def _characters(text: str) -> list[Token]:
    matches = _character_pattern().finditer(text)
    if _is_plain(text):
        return [Token(*match.span(), match[0]) for match in matches]
    return [Token(*match.span(), _form(match[0])) for match in matches]


def _tokenize_by_jieba(text: str) -> list[Token]:
    import logging

    import jieba

    jieba.setLogLevel(logging.WARNING)
    return [
        Token(start, end, _form(word))
        for word, start, end in jieba.tokenize(text)
        if word.strip() and _INVISIBLES.sub("", word)
    ]


def _form(token: str) -> str:
    if token.isascii():
        return token
    form = _INVISIBLES.sub("", token) or token
    return unicodedata.normalize("NFC", form)


# Words ----------------------------------------------------------------------------------------------------------------


class _Words:
    """The words of a language."""

    def __init__(self, rules: LanguageRules, code: str) -> None:
        self.rules = rules
        self.code = code
        self.pattern = _word_pattern(rules, code, alone="")
        self.clitic = re.compile(rf"(?<=\w)(?:{rules.clitic})\Z") if rules.clitic else None
        self.whole = frozenset(rules.whole)

    @cached_property
    def _mixed(self) -> re.Pattern[str]:
        """The pattern for text with letters that stand alone; for other text it gives the same, more slowly."""
        return _word_pattern(self.rules, self.code, alone=_ALONE)

    def __call__(self, text: str) -> list[Token]:
        cuts = self.clitic is not None
        pattern = self.pattern if text.isascii() or not _ANY_ALONE.search(text) else self._mixed
        if _is_plain(text) and not cuts:
            return [Token(*match.span(), match[0]) for match in pattern.finditer(text)]
        tokens: list[Token] = []
        for match in pattern.finditer(text):
            start, end = match.span()
            if cuts and match.lastgroup in ("word", "special") and (cut := self._cut(match[0])):
                tokens.append(Token(start, start + cut, _word_form(text[start : start + cut])))
                start += cut
            form = text[start:end]
            tokens.append(Token(start, end, form if form.isascii() else _word_form(form)))
        return tokens

    def _cut(self, word: str) -> int:
        """Where a clitic begins; 0 if there is none."""
        if self.clitic is None or not ("-" in word or "'" in word or "’" in word):
            return 0
        found = self.clitic.search(word)
        return found.start() if found and word.lower().translate(_APOSTROPHES) not in self.whole else 0


def _word_form(word: str) -> str:
    """Its form: apostrophes and hyphens within a word are the plain ones; alone they stay as they are."""
    form = _form(word)
    return form.translate(_APOSTROPHES) if len(form) > 1 else form


def _is_plain(text: str) -> bool:
    """Whether every form is as it stands in the text."""
    return text.isascii() or (not _CHANGED.search(text) and unicodedata.is_normalized("NFC", text))


_WITHOUT_MARKS = frozenset(["Latin", "Cyrillic", "Greek", "Armenian", "Georgian"])


def _word_pattern(rules: LanguageRules, code: str, alone: str) -> re.Pattern[str]:
    """One alternative after the other, all bounded or followed by what cannot begin with what they repeat.

    The first is the commonest: a word before a blank or a comma, of which no other would make something else. ``word``
    and ``special`` (abbreviations, numbers) take plain apostrophes and hyphens in their forms.
    """
    domains = f"com|org|net|info|edu|gov|eu|de|fr|{code}"
    letter, part = rf"[^\W\d_{alone}]", rf"[^\W{alone}]"
    # Where most words have marks, they belong to the commonest ones.
    plain = part if alone or scripts_of(code) <= _WITHOUT_MARKS else rf"[\w{_marks(0x590, 0xE00)}{_JOINERS}]"
    extend = f"[{_marks()}{_JOINERS}{_INVISIBLE}]"
    more = rf"(?:{part}*(?:{extend}+{part}*)*)"
    word = rf"{letter}{more}"
    within = rf"['’ʼ·‧\-‐‑&{re.escape(rules.within)}]"
    tail = rf"(?:{within}{part}{more})*"
    not_word = rf"(?!{part}|{extend})"
    abbreviations = _any_of([*rules.leading, *rules.trailing])
    elided = whole = ""
    if rules.elided:
        # The look ahead is quick, the long alternative is not.
        elided = rf"(?={letter}{{1,9}}['’ʼ])(?P<elided>(?i:{_any_of(rules.elided)})['’ʼ])(?={letter}|[\d«“\"])|"
    if rules.whole:
        words = _any_of(rules.whole).replace("'", "[’']")
        whole = rf"(?=\w+['’\-])(?P<whole>(?i:{words})){not_word}|"
    geresh = rf"|(?P<geresh>{letter}{{1,6}}['׳]){not_word}" if code in ("he", "yi") else ""
    ordinal = _ordinal(rules) if rules.ordinals else ""
    # A suffix after a number: saat 15.30'da.
    suffix = rf"|(?P<suffix>(?<=\d)(?:{rules.clitic}){not_word})" if rules.clitic.startswith("['’]") else ""
    one = rf"{letter}{extend}{{0,3}}\."
    return re.compile(
        rf"""
        (?P<plain>{letter}{plain}*)(?=[ \n,;!?)]|\Z)
        | (?:https?://|ftp://|www\.)[^\s<>]*[^\s<>.,;:!?'"”“„»«)\]}}…।。]
        | [\w.+\-]{{1,64}}@[\w\-]{{1,63}}(?:\.[\w\-]{{1,63}}){{1,8}}
        | [\#@](?=[^\W\d])[\w]+
        | (?=[a-z0-9\-]+\.[a-z0-9])
          [a-z0-9](?:[a-z0-9\-]{{0,40}}[a-z0-9])?(?:\.[a-z0-9\-]{{2,40}})*\.(?:{domains})\b(?![.\w])
        | {whole}{elided}
        (?P<special>
            (?:{letter}{extend}{{0,3}}{letter}?{extend}{{0,3}}\.){{2,}}{not_word}
          | (?=[^\s,;:!?]{{1,16}}\.)(?:{abbreviations})\.(?:{not_word}|[a-z]{{2,3}}{not_word}|[ªº])
          | {one}(?=[ \u00a0]{one}) | (?<=\b[^\W\d_]\.[ \u00a0]){one}{not_word}
          | (?=[^\Wa-zа-яα-ω]){one}(?=[ \u00a0]{{1,2}}{letter}|-{letter})
          | [nN][°º]{not_word}
          | (?<![\w'’])['’]\d\d{not_word}
          {ordinal}
          | \d+(?:[.,:/\-–'’٫٬]\d+)*(?:-?{word}{tail})?
        ){geresh}{suffix}
        | (?P<word>{word}{tail})
        | _+
        | [.…]+
        | -{{2,}} | `` | ''
        | [^\s{_INVISIBLE}]{extend}*
        """,
        re.VERBOSE,
    )


def _any_of(words: list[str] | tuple[str, ...]) -> str:
    """An alternative of the words, each as it is and with a capital; one that matches nothing, of none."""
    both = {form for word in words for form in (word, word[:1].upper() + word[1:])}
    return "|".join(map(re.escape, sorted(both, key=lambda word: (-len(word), word)))) or r"(?!)"


def _ordinal(rules: LanguageRules) -> str:
    """A number with a stop that goes on in the same sentence: before a small letter, or before a month."""
    months = rf"|(?:{_any_of(tuple(rules.months))})\b" if rules.months else ""
    plain = rf"| \d{{1,4}}\.(?:\d{{1,2}}\.)?(?=[ \u00a0](?:[a-zà-öø-ÿāăąćčďđēėęěğģīįķłńňőœřśşšťūůűųźżž]{months}))"
    if not rules.before_ordinals:
        return plain
    befores = sorted(rules.before_ordinals)
    by_length = [
        rf"(?<=\b(?i:{'|'.join(word for word in befores if len(word) == length)})[ \u00a0])"
        for length in sorted(set(map(len, befores)))
    ]
    return rf"{plain} | (?:{'|'.join(by_length)})\d{{1,3}}\.(?=[ \u00a0]{{1}}[^\W\d_])"


# Sentences ------------------------------------------------------------------------------------------------------------

_PIECE = 20_000  # characters that sentencex gets at once: its time grows with the square of what quotes enclose
_SURROGATES = re.compile("[\ud800-\udfff]")
_NEVER_MISSED = frozenset("។៕༎༏།။")  # ends that sentencex does not know, or not always
_WIDE_ENDS = frozenset("。！？")  # which sentencex passes over before digits
_SAID = re.compile(r"[^，。！？“「]{0,6}?[说說道问問答喊叫]")  # after a quotation: who said it
# After a quotation that was announced (他说：“好。”) these go on with the sentence; others begin one.
_GOES_ON = re.compile("[，、；]|然[后後]|接[着著]|[随隨]后|[随隨]後|于是|於是|之后|之後|[说說]完|[就便并並而]")
_ANNOUNCES = "：，、:,،"
_OPENERS_OF = {"”": "“", "」": "「", "』": "『", "’": "‘", "»": "«", '"': '"', "“": "„"}
_OPENERS = frozenset("\"'“‘„«‹([{¿¡—–-")
_CLOSERS = frozenset("\"'”’»›)]}）」』】》〉")
_ENDS = frozenset(".!?…؟।॥")
# After a quotation these go on with the sentence in Japanese.
_PARTICLES = ("と", "っ", "な", "の", "は", "が", "を", "に", "で", "も", "、", "，")
_IN_SENTENCE = 6  # tokens: a year that stands before is where the sentence begins (В мае 1990 г. Иванов)


class _Splitter:
    """Sentences of a language: where sentencex ends them, less where its abbreviations and ordinals are not ours."""

    def __init__(self, code: str) -> None:
        rules = rules_of(code)
        self.code = code
        self.rules = rules
        both = [(word, word[:1].upper() + word[1:]) for word in rules.leading]
        self.leading = frozenset(f"{form}." for forms in both for form in forms)
        self.trailing = frozenset(f"{word}." for word in rules.trailing) if rules.capitals_begin else frozenset()
        self.units = frozenset(f"{word}." for word in rules.units)
        self.never_missed = _NEVER_MISSED | _WIDE_ENDS if code in BY_CHARACTER else _NEVER_MISSED

    def __call__(self, text: str, tokens: list[Token]) -> list[list[Token]]:
        if not tokens:
            return []
        bounds = self._bounds(self._without_our_stops(text, tokens))
        sentences: list[list[Token]] = []
        start = at = 0
        n_bounds = len(bounds)
        has_them = not self.never_missed.isdisjoint(text)
        for i in range(1, len(tokens)):
            token = tokens[i]
            ends = False
            while at < n_bounds and bounds[at][0] <= token.start:
                ends = ends or (bounds[at][0] >= tokens[i - 1].end and self._holds(text, tokens, i, bounds[at][1]))
                at += 1
            if not ends:
                form = tokens[i - 1].form
                if has_them and form in self.never_missed:
                    ends = token.form not in _CLOSERS and token.form not in self.never_missed
                elif form[-1] == ".":
                    ends = self._was_missed(tokens, i, i - start)
            if ends:
                sentences.append(tokens[start:i])
                start = i
        sentences.append(tokens[start:])
        return sentences

    def _without_our_stops(self, text: str, tokens: list[Token]) -> str:
        """The text with a blank for the stop of abbreviations, initials and ordinals, which end no sentence.

        sentencex need not look them up, which takes it long where its list is (Italian).
        """
        stops = [
            token.end - 1
            for token in tokens
            if token.form[-1] == "."
            and len(token.form) > 1
            and (token.form in self.leading or len(token.form) == 2 or token.form[:-1].isdigit())
        ]
        if not stops:
            return text
        parts, start = [], 0
        for stop in stops:
            parts += [text[start:stop], " "]
            start = stop + 1
        return "".join([*parts, text[start:]])

    def _holds(self, text: str, tokens: list[Token], i: int, is_paragraph: bool) -> bool:
        """Whether a sentence ends before token ``i``, where sentencex says so."""
        if is_paragraph:
            return True
        before, after = tokens[i - 1], tokens[i]
        form = before.form
        if len(form) > 1 and form[-1] == ".":
            if form in self.leading:
                return False
            body = form[:-1]
            if body.isdigit():  # an ordinal, or it would be two tokens
                return False
            if len(body) == 1:  # an initial
                return False
            if after.form[:1].islower():
                return False
        if form in _CLOSERS and i > 1 and tokens[i - 2].form[-1] in _ENDS | _WIDE_ENDS:
            if self.code in BY_CHARACTER:
                return after.start > before.end or not self._goes_on(text, tokens, i)
            return not self._is_said(text, tokens, i)
        return not (after.form in _CLOSERS and after.start == before.end)

    def _was_missed(self, tokens: list[Token], i: int, n_before: int) -> bool:
        """Whether a sentence ends before token ``i`` although sentencex says nothing.

        That is so before a capital: after an abbreviation that is often the last word, after a unit of a number, after
        a word that sentencex takes for an abbreviation.
        """
        before, after = tokens[i - 1], tokens[i]
        first = tokens[i + 1] if after.form in _OPENERS and i + 1 < len(tokens) else after
        if after.start == before.end or not first.form[:1].isupper():
            return False
        form = before.form
        if form == ".":
            return self._is_word(tokens, i)
        if not self.rules.capitals_begin:
            return False
        if form in self.trailing or (i > 1 and tokens[i - 2].form + form in self.trailing):
            return True
        number = tokens[i - 2].form if form in self.units and i > 1 else ""
        return n_before > _IN_SENTENCE and (number[-1:].isdigit() or _ROMAN.fullmatch(number) is not None)

    def _is_word(self, tokens: list[Token], i: int) -> bool:
        """Whether the stop before token ``i`` is on a word that only sentencex takes for an abbreviation."""
        if i < 2 or tokens[i - 2].end != tokens[i - 1].start:
            return False
        word = tokens[i - 2].form
        if word in self.rules.words:
            return True
        return self.rules.foreign_abbreviations and len(word) > 1 and word.islower() and _is_cut_at(self.code, word)

    def _goes_on(self, text: str, tokens: list[Token], i: int) -> bool:
        """Whether a Japanese or Chinese sentence goes on after a quotation."""
        if self.code == "ja":
            return tokens[i].form.startswith(_PARTICLES)
        # 他说：“好。”然后走了。 “我不去。”李四说。
        if self._is_announced(text, tokens, i):
            return _GOES_ON.match(text, tokens[i].start) is not None
        return _SAID.match(text, tokens[i].start) is not None

    def _is_said(self, text: str, tokens: list[Token], i: int) -> bool:
        """Whether a sentence goes on after a quotation with its own end: a small letter follows, or, in scripts without
        capitals, nothing announced it (the words of who said it follow).
        """
        first = tokens[i].form[:1]
        if first.islower():
            return True
        if not first.isalpha() or first.isupper() or first.istitle() or tokens[i - 1].form not in _OPENERS_OF:
            return False
        return not self._is_announced(text, tokens, i)

    @staticmethod
    def _is_announced(text: str, tokens: list[Token], i: int) -> bool:
        """Whether the quotation that ends before token ``i`` follows a colon or comma."""
        opener = _OPENERS_OF.get(tokens[i - 1].form)
        end = tokens[i - 1].start
        at = text.rfind(opener, max(0, end - QUOTED_MOST), end) if opener else -1
        return at > 0 and text[max(0, at - 4) : at].rstrip()[-1:] in _ANNOUNCES

    def _bounds(self, text: str) -> list[tuple[int, bool]]:
        """Where sentences end: a place in the text, and whether a paragraph ends there."""
        if len(text) <= _PIECE:
            return _sentencex(self.code, text, 0)
        found: list[tuple[int, bool]] = []
        start = 0
        while start < len(text):
            piece = text[start : start + _PIECE]
            ends = _sentencex(self.code, piece, start)
            if start + len(piece) < len(text) and len(ends) > 1:
                ends.pop()  # where the piece ends, or its last sentence, which the next piece sees whole
                found += ends
                start = ends[-1][0]
            else:
                if start + len(piece) < len(text):
                    ends.pop()  # one sentence longer than a piece goes on
                found += ends
                start += len(piece)
        return found


_ROMAN = re.compile("[IVXLC]+")


@lru_cache(maxsize=10_000)
def _is_cut_at(code: str, word: str) -> bool:
    """Whether sentencex takes a word for an abbreviation."""
    return len(_sentencex(code, f"Xaxa lolo {word}. Yaya lili momo.", 0)) == 1


def _sentencex(code: str, text: str, offset: int) -> list[tuple[int, bool]]:
    import sentencex

    if not text.isascii() and _SURROGATES.search(text):
        text = _SURROGATES.sub("\ufffd", text)
    text = without_single_quotes(text)
    found: list[dict[str, Any]] = sentencex.get_sentence_boundaries(code, text)
    return [(offset + part["end_index"], part["is_paragraph_break"]) for part in found]
