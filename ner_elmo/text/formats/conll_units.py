"""CoNLL sentences as units of labelled text (objects as in JSONL) and back, without loss.

The text is the tokens joined by blanks; ``tokens`` says where they are. What else the lines hold is the unit's
*layout*, under the key ``conll``, left out if it is the plain one: ``token<TAB>tag`` lines and a blank line after them.
It is a list of lines: a string is a line that holds no token (a break, ``-DOCSTART-``, a comment, a header); a list is
a token's line, ``[between token and tag]`` or ``[before the token, between, after the tag]``, with a fourth item,
``true``, where the tag stands before the token; and a number n stands for n further lines like the one before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from typing import IO, Any

from ner_elmo.errors import DataError
from ner_elmo.text import tag_scheme
from ner_elmo.text.files import LineWriter
from ner_elmo.text.formats.conll import DOCUMENT_START, Around, ConllFile, Row, TaggedSentence, is_break
from ner_elmo.text.formats.conll_tags import TagCheck
from ner_elmo.text.formats.jsonl import Unit, checked

LAYOUT = "conll"
_PLAIN = Around("", "\t", "")

Layout = list[str | Around]


def read_units(file: ConllFile) -> Iterator[Unit]:
    """The sentences of a file, each with the lines around it, so that :class:`UnitWriter` writes the same file.

    Breaks of blanks become empty lines, and ill-formed tags what conlleval reads them as.

    Raises:
        DataError: a label that is not a word; otherwise as :meth:`ConllFile.sentences`.
    """
    tags = TagCheck(file)
    for rows in _sentences(file):
        tokens = [row for row in rows if row.kind == "token"]
        sentence = TaggedSentence(
            [row.token for row in tokens], [row.tag for row in tokens], [row.number for row in tokens]
        )
        tags.check(sentence)
        value = _joined(sentence.tokens, tag_scheme.read_tags(sentence.tags, tags.scheme))
        layout: Layout = [file.around(row) if row.kind == "token" else _kept(row.line) for row in rows]
        if layout != plain_layout([len(tokens)]):
            value[LAYOUT] = _packed(layout)
        yield Unit(file.name, sentence.line, checked(file.name, sentence.line, value))


def _sentences(file: ConllFile) -> Iterator[list[Row]]:
    """The lines of each sentence: those before it, its tokens' and the blank line after it; the last has the rest."""
    rows: list[Row] = []
    end = 0  # of the sentence in `rows`, once it has ended
    any_token = False
    for row in file.rows():
        if row.kind == "token":
            if end:
                yield rows[:end]
                rows, end = rows[end:], 0
            any_token = True
        elif row.kind == "break" and any_token and not end:
            end = len(rows) + (not row.line.strip())
        rows.append(row)
    if any_token:
        yield rows


def _kept(line: str) -> str:
    return line if line.strip() else ""


def _joined(tokens: Sequence[str], spans: Iterable[tag_scheme.Span]) -> dict[str, Any]:
    """One tokenised sentence as an object: its tokens joined by blanks."""
    ends = list(accumulate(len(token) + 1 for token in tokens))
    placed = [[end - 1 - len(token), end - 1] for token, end in zip(tokens, ends, strict=True)]
    entities = [{"start": placed[span.start][0], "end": placed[span.end - 1][1], "label": span.label} for span in spans]
    return {"text": " ".join(tokens), "entities": entities, "tokens": [placed]}


def plain_layout(lengths: Iterable[int]) -> Layout:
    """The layout of sentences of so many tokens where nothing else is said."""
    layout: Layout = []
    for length in lengths:
        layout += [*[_PLAIN] * length, ""]
    return layout


def packed_plain(lengths: Iterable[int]) -> list[Any]:
    """:func:`plain_layout` as a value of ``conll``."""
    return _packed(plain_layout(lengths))


def _packed(layout: Layout) -> list[Any]:
    packed: list[Any] = []
    for entry, alike in groupby(layout):
        n_lines = len(list(alike))
        if isinstance(entry, str):
            packed += [entry] * n_lines
        else:
            packed.append(_pieces(entry))
            packed += [n_lines - 1] if n_lines > 1 else []
    return packed


def _unpacked(packed: Any, n_tokens: int) -> Layout | None:
    """The layout that a value of ``conll`` says; None if it is none of a unit of ``n_tokens``."""
    layout: Layout = []
    left = n_tokens
    for entry in packed if isinstance(packed, list) else [None]:
        if isinstance(entry, str) and "\n" not in entry:
            layout.append(entry)
            continue
        around, times = _around(entry), 1
        if isinstance(entry, int) and layout and isinstance(layout[-1], Around):
            around, times = layout[-1], entry
        if around is None or not 0 < times <= left:
            return None
        left -= times
        layout += [around] * times
    return None if left else layout


def _pieces(around: Around) -> list[Any]:
    if around.tag_first:
        return list(around)
    return [around.between] if not (around.before or around.after) else list(around[:3])


def _around(entry: Any) -> Around | None:
    if isinstance(entry, list) and len(entry) == 4 and entry[3] is True:
        plain = _around(entry[:3])
        return None if plain is None else plain._replace(tag_first=True)
    if not (isinstance(entry, list) and all(isinstance(piece, str) and "\n" not in piece for piece in entry)):
        return None
    return Around("", entry[0], "") if len(entry) == 1 else Around(*entry) if len(entry) == 3 else None


class UnitWriter:
    """Writes units as CoNLL lines, in their layouts; a blank line stands between sentences whatever these say."""

    def __init__(self, stream: IO[str]) -> None:
        self._lines = LineWriter(stream)
        self._in_sentence = False

    def write(self, unit: Unit, sentences: Sequence[tuple[Sequence[str], Sequence[str]]]) -> None:
        """Write the sentences of a unit, each as its tokens and tags.

        Raises:
            DataError: a layout that is not that of these tokens, or a token that CoNLL lines cannot hold.
        """
        tokens = [token for words, _ in sentences for token in words]
        tags = [tag for _, written in sentences for tag in written]
        starts = set(accumulate((len(words) for words, _ in sentences), initial=0))
        layout = self._layout(unit, [len(words) for words, _ in sentences])
        index = 0
        for entry in layout:
            if isinstance(entry, str):
                if index in starts or not is_break(entry):  # an entity may go through what was a break
                    self._lines.write(entry)
                    self._in_sentence = self._in_sentence and not is_break(entry)
                continue
            if index in starts and self._in_sentence:
                self._lines.write("")
            if " " in tags[index] and "\t" not in entry.between:
                found = f"found label {tags[index]!r}, which columns separated by blanks cannot hold"
                raise DataError(f"{unit.name}:{unit.line}: {found}, expected a label without blanks")
            line = entry.line(_fitting(tokens[index], entry), tags[index])
            if is_break(line):
                found = f"found the token {tokens[index]!r}, which CoNLL files cannot hold"
                raise DataError(f"{unit.name}:{unit.line}: {found}, expected any but {DOCUMENT_START}")
            self._lines.write(line)
            self._in_sentence = True
            index += 1

    def _layout(self, unit: Unit, lengths: list[int]) -> Layout:
        if LAYOUT not in unit.value:
            return plain_layout(lengths)
        layout = _unpacked(unit.value[LAYOUT], sum(lengths))
        if layout is None:
            found = f'found other "{LAYOUT}", expected the lines of {sum(lengths)} tokens as convert writes them'
            raise DataError(f"{unit.name}:{unit.line}: {found}, or none")
        return layout


def _fitting(token: str, around: Around) -> str:
    """A token with ``_`` for what would end its column, and without blanks at its edges."""
    separators = "\t\r\n" if "\t" in around.between else " \t\r\n"
    fitting = (token.strip() or token).translate(dict.fromkeys(map(ord, separators), "_"))
    return fitting.strip() or fitting
