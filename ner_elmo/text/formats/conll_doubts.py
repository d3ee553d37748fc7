"""What makes one doubt that columns are what they are taken for: headers, numbers for words, comments, blanks at edges.

Nothing here settles how a file is read; it is what errors and warnings say about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice, pairwise

from ner_elmo.text.formats.labels import shortened
from ner_elmo.text.formats.problems import Problem
from ner_elmo.text.tag_scheme import has_prefix, split_tag

_TOKEN_NAMES = re.compile(
    r"(char|character|doc|form|id|idx|index|mot|no|palabra|parola|sentence|sent(ence)?id|surface|text|token|token"
    r"id|word|wordid|wort)s?\Z"
)
_TAG_NAMES = re.compile(
    r"(bio|bioes|chunk|deprel|entities|entity|etiqueta|etiquette|feats|head|iob|iob2|iobes|label|lemma|misc|ner?|pos"
    r"|tag|upos|xpos)s?\Z"
)
_TAG_PARTS = re.compile(r"(\A|[-_ ])(ner?|tags?|labels?|entity|entities|iob|bio)([-_ 0-9]|\Z)")
_NUMBER = re.compile(r"[0-9]+(?:[-_.:][0-9]+)*\Z")

_TAGS = "holds tags"
_ALIKE = "is the same in all of a sentence"

_SENTENCES = 200  # that are looked at for numbers in the place of words
_SHARE = 0.8  # of them: nearly every
_FEWEST_ALIKE = 5  # sentences of one and the same token each that are no chance


def looks_like_tag(cell: str) -> bool:
    """Whether a cell holds ``O`` or a tag such as ``B-PER``."""
    return has_prefix(cell.strip())


def looks_like_header(cells: Sequence[str], token_column: int, column: int) -> bool:
    """Whether the first line of a file names columns: ``TOKEN  NE-COARSE-LIT``, ``word  pos  ner``."""
    places = range(-len(cells), len(cells))
    if len(cells) < 2 or looks_like_tag(cells[-1]) or (column in places and looks_like_tag(cells[column])):
        return False
    names = [re.sub(r"[#'\" ]", "", cell).casefold() for cell in cells]
    of_tokens = {*names[:2], names[token_column] if token_column in places else ""}
    if len(set(names)) < len(names) or not any(_TOKEN_NAMES.match(re.sub(r"[-_]", "", name)) for name in of_tokens):
        return False
    return any(_TAG_NAMES.match(name) or _TAG_PARTS.search(name) for name in names)


def comment_prefix(line: str, hash_token: int) -> str:
    """What to declare so that a line is a comment: ``#``, or more where ``#`` is a token elsewhere; empty if nothing
    tells the two apart."""
    if not hash_token:
        return "#"
    return next((prefix for prefix in ("##", "# ") if line.startswith(prefix)), "")


def no_words(sentences: Iterable[list[list[str]]], n_columns: int, tags: int) -> str | None:
    """What to say where the first column holds no words but numbers, or one cell for a whole sentence; else None."""
    looked_at = _first_columns(sentences)
    kinds = [_kind([[row[0] for row in sentence] for sentence in looked_at])]
    if not kinds[0]:
        return None
    kinds += [_kind([[row[place] for row in sentence] for sentence in looked_at]) for place in range(1, n_columns)]
    words = next((place for place, kind in enumerate(kinds) if not kind and place != tags), None)
    if kinds[0] == _TAGS:
        words = next((place for place, kind in enumerate(kinds) if not kind), None)
    longest = max(looked_at, key=len)
    cells = ", ".join(shortened(row[0], 20)[1:-1] for row in longest[:3]) + (", ..." if len(longest) > 3 else "")
    if kinds[0] == _ALIKE:  # the same word, which may be a name
        cells = "one cell"
    found = f"found {cells} in column 0, which {kinds[0]}, expected words"
    named = f"name their column with --token-column {words}" if words else "there is no other column beside the tags"
    if kinds[0] == _TAGS and words:
        named = f"give --column 0 --token-column {words}"
    return f"{found}; {named} (--token-column 0 takes these as words)"


def _first_columns(sentences: Iterable[list[list[str]]]) -> list[list[list[str]]]:
    """The first sentences, few of them if their first column is plainly words."""
    found: list[list[list[str]]] = []
    for sentence in islice(sentences, _SENTENCES):
        found.append(sentence)
        if len(found) == 10 and not any(_kind([_first_cells(one)]) or _is_one(_first_cells(one)) for one in found):
            break
    return found


def _first_cells(sentence: list[list[str]]) -> list[str]:
    return [row[0] for row in sentence]


def _kind(column: list[list[str]]) -> str:
    """What a column holds in the place of words, in a phrase; empty if it may hold words."""
    several = [cells for cells in column if len(cells) > 1]
    if not several:
        return ""
    if sum(map(_is_numbered, several)) >= _SHARE * len(several):
        return "numbers the tokens"
    cells = [cell for one in column for cell in one]
    if all(map(looks_like_tag, cells)) and any(cell != "O" for cell in cells):
        return _TAGS
    n_alike = sum(map(_is_one, several))
    return _ALIKE if n_alike >= max(_FEWEST_ALIKE, _SHARE * len(several)) else ""


def _is_one(cells: list[str]) -> bool:
    return len(cells) > 1 and len(set(cells)) == 1


def _is_numbered(cells: list[str]) -> bool:
    """Whether cells are numbers that rise, as 1 2 3, 0 5 9, 1-2 1 2 and 1_1 1_2 do."""
    if len(cells) < 2 or not all(map(_NUMBER.match, cells)):
        return False
    numbers = [tuple(int(part[:18]) for part in re.split(r"[-_.:]", cell)) for cell in cells]
    return numbers[0] != numbers[-1] and all(one != other and one[0] <= other[0] for one, other in pairwise(numbers))


@lru_cache(maxsize=4096)
def clean_tag(tag: str) -> str:
    """A tag without blanks at its edges and after its prefix, and with one plain blank between its words."""
    if tag.isalnum():
        return tag
    tag = " ".join(tag.split())
    prefix, label = split_tag(tag)
    return f"{prefix}-{label.strip()}" if has_prefix(tag) and label and label.strip() else tag


class Taken:
    """Counts the blanks and carriage returns that are taken off, to tell of each kind once."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, int, str]] = {}  # what: how many, the first line, the first cell

    def blanks(self, what: str, cell: str, number: int) -> None:
        """A cell with blanks at its edges."""
        n_lines, line, first = self._found.get(what, (0, number, cell))
        self._found[what] = (n_lines + 1, line, first)

    def returns(self, line: str, number: int) -> str:
        """The line without the carriage returns at its edges, which are counted."""
        self.blanks("line", line[-20:], number)
        return line.strip("\r")

    def problems(self) -> Iterator[Problem]:
        """A warning for each kind."""
        for what, (n_lines, line, first) in self._found.items():
            lines = f"{n_lines:,} {'line' if n_lines == 1 else 'lines'}"
            if what == "line":
                found = f"found carriage returns at the edge of {lines}, first in line {line}, expected LF or CRLF"
            else:
                cell = f"a {what}" if what == "token" else f"{what} {shortened(first)}"  # a token may be a name
                found = f"found {cell} with blanks at its edge, expected none; the first of {lines}"
            yield Problem(line, f"blanks around a {what}", f"{found}; taken off", is_error=False)
