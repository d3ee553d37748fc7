"""CoNLL files: a token and its tags per line, in columns, a blank line between sentences.

Columns are separated by tabs if every token line has one, otherwise by runs of blanks and tabs. The token is column 0.
``-DOCSTART-`` lines only separate. A ``#`` begins a token like any other; lines are comments only where that is
declared, or where they cannot be token lines (:meth:`ConllFile.is_comment`).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal, NamedTuple

from ner_elmo.errors import UsageError
from ner_elmo.settings import SettingError, check, setting
from ner_elmo.text.files import STANDARD_STREAM, display_name, read_lines
from ner_elmo.text.formats.problems import Problem, TellProblem, strictly
from ner_elmo.text.tokenizer import resolved

DOCUMENT_START = "-DOCSTART-"
COMMENT = "comment"

# Only the ASCII blank and tab separate columns: an ideographic or no-break space may be a token.
_BLANKS = re.compile(r"[ \t]+")
_FIELD = re.compile(r"[^ \t]+")
# Comments as CoNLL-U and OntoNotes write them: `# sent_id = 3`, `#begin document (nw/wsj); part 000`.
_METADATA = re.compile(r"#[ \t]*[\w.:-]+[ \t]+=([ \t]|\Z)|#(begin|end) document\b")

# Names for what `strip_token` takes away from tokens; anything else is a regular expression.
STRIPPED = {
    "language": r"\A[a-z]{2,3}:(?=.)",  # de:Berlin, as WikiANN writes it
    "weibo": r"(?<!\A)[0-9]+\Z",  # 科0 技1: a character's position in its word
}


DATA = "Data"  # the panel of --help


@dataclass(frozen=True)
class Reading:
    """How to read a labelled file.

    ``strip_token`` is a key of :data:`STRIPPED` or a regular expression.

    Raises:
        SettingError: a value that cannot be meant.
    """

    column: int = setting(-1, help="column of the tags; the token is 0, -1 is the last", panel=DATA)
    scheme: str = setting(
        "auto",
        help="tag scheme of the files: auto, iob1, iob2, bioes, bmes, none (labels; without any O each token has a tag "
        "of its own: POS)",
        panel=DATA,
    )
    encoding: str = setting("utf-8", help="character encoding of the files", panel=DATA)
    comments: str | None = setting(
        None, help="what comment lines begin with", by_default="# is a token like any other", panel=DATA
    )
    strip_token: str | None = setting(
        None,
        help="take away from tokens: language (de:), weibo (digits), or a regular expression",
        panel=DATA,
    )
    text: str | None = setting(
        None,
        help="tokenizer for raw text: a language's code (de, fr, ar, ja and others), en-1, characters, whitespace",
        by_default="by its look",
        panel=DATA,
        may_change=True,
    )

    def __post_init__(self) -> None:
        check(self)
        object.__setattr__(self, "text", resolved_text(self.text))  # frozen for others


def resolved_text(name: str | None) -> str | None:
    """The kind of text that the setting ``text`` means; None where nothing is said.

    Raises:
        SettingError: there is no such kind, or its package is missing.
    """
    try:
        return None if name in (None, "auto") else resolved(str(name))
    except UsageError as error:
        raise SettingError("text", str(error)) from None


@dataclass(slots=True)
class TaggedSentence:
    """A sentence as the file has it; ``lines`` are the numbers of its tokens' lines, from 1."""

    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    @property
    def line(self) -> int:
        """The number of its first line."""
        return self.lines[0]


class Row(NamedTuple):
    """A line: a token with its tag, a break between sentences (with what stands there), or a comment."""

    kind: Literal["token", "break", "comment"]
    number: int
    line: str
    token: str = ""
    tag: str = ""


class Around(NamedTuple):
    """What stands before a line's token, between it and the tag, and after the tag: blanks and other columns."""

    before: str
    between: str
    after: str

    def line(self, token: str, tag: str) -> str:
        """The line with a token and a tag in their places."""
        return f"{self.before}{token}{self.between}{tag}{self.after}"


class ConllFile:
    """A CoNLL file, of which all lines have been looked at once to settle what separates its columns.

    It is read in constant memory, as often as one likes; standard input is kept, as it can be read only once.

    Args:
        report: is handed every problem of the file while it is read; by default an error is raised.

    Raises:
        UsageError: the file cannot be opened; ``column`` is 0; an impossible ``strip_token`` or ``comments``.
    """

    def __init__(self, path: str | Path, reading: Reading | None = None, report: TellProblem | None = None) -> None:
        self.path = path
        self.name = display_name(path)
        self.reading = reading or Reading()
        self.report = report or strictly(self.name)
        if self.reading.column == 0:
            raise UsageError("column 0 holds the tokens; expected the number of the tags' column, or -1 for the last")
        if self.reading.comments == "":
            raise UsageError("--comments: found nothing, expected what a comment line begins with, such as '# '")
        self._stripped = _compile(self.reading.strip_token)
        self._kept = list(read_lines(path, self.reading.encoding)) if str(path) == STANDARD_STREAM else None
        self.by_tabs = False
        self.n_columns = 0
        self._first = self._without_tab = 0  # lines: the first token's, and the first token's that has no tab
        self._survey()

    def sentences(self) -> Iterator[TaggedSentence]:
        """The sentences, with tokens and tags as they stand.

        Raises:
            DataError: lines of unequal or too few columns, an empty tag, bytes that do not decode, no sentence at all
                (where no other ``report`` was given).
        """
        sentence = TaggedSentence()
        for row in self.rows():
            if row.kind == "token":
                sentence.tokens.append(row.token)
                sentence.tags.append(row.tag)
                sentence.lines.append(row.number)
            elif row.kind == "break" and sentence.tokens:
                yield sentence
                sentence = TaggedSentence()
        if sentence.tokens:
            yield sentence

    def rows(self) -> Iterator[Row]:
        """All lines in order, save those at fault, which are reported."""
        n_tokens = number = 0
        if not self._column_exists():
            return
        may_be_comment = _looks_like_comment if self.reading.comments is None else self.is_comment
        for number, line in enumerate(self._lines(self._report_undecodable), start=1):
            if is_break(line):
                yield Row("break", number, line)
            elif may_be_comment(line) and self.is_comment(line):
                if self.reading.comments is None:
                    self._report_comment(number)
                yield Row("comment", number, line)
            else:
                n_tokens += 1
                columns = self.split(line)
                if len(columns) != self.n_columns or len(columns) < 2 or not columns[self.reading.column]:
                    self.report(Problem(number, *self._fault(columns)))
                    continue
                token = self._stripped.sub("", columns[0]) if self._stripped else columns[0]
                if not token:
                    self.report(Problem(number, "empty token", "found an empty token, expected a word; kept", False))
                yield Row("token", number, line, token, columns[self.reading.column])
        if not n_tokens:
            expected = "expected lines such as Berlin<TAB>B-LOC and blank lines between sentences"
            self.report(Problem(max(1, number), "no sentence", f"found no sentence, {expected}"))

    def quietly(self) -> ConllFile:
        """The same file, to be read without reports: what is at fault is left out."""
        twin = copy.copy(self)
        twin.report = lambda problem: None
        return twin

    def split(self, line: str) -> list[str]:
        """The columns of a token line."""
        return line.split("\t") if self.by_tabs else _BLANKS.split(line.strip(" \t"))

    def around(self, row: Row) -> Around:
        """What the line of a token has beside its token and tag."""
        columns = self.split(row.line)
        tag = range(len(columns))[self.reading.column]
        if self.by_tabs:
            return Around(
                "", "\t".join(["", *columns[1:tag], ""]), "".join(f"\t{column}" for column in columns[tag + 1 :])
            )
        fields = list(_FIELD.finditer(row.line))
        first, last = fields[0], fields[tag]
        return Around(row.line[: first.start()], row.line[first.end() : last.start()], row.line[last.end() :])

    def is_comment(self, line: str) -> bool:
        """Whether a line is a comment: as declared, or because it cannot be a token line.

        That is a ``#`` line of more than one word and without a tab among columns separated by tabs, whose number of
        words is not the file's number of columns; and ``# key = value`` or ``#begin document`` likewise, anywhere.
        """
        if self.reading.comments is not None:
            return line.startswith(self.reading.comments)
        if not _looks_like_comment(line):
            return False
        n_fields = len(_FIELD.findall(line))
        if _METADATA.match(line):
            return self.by_tabs or n_fields != self.n_columns
        return self.by_tabs and n_fields not in (1, self.n_columns)

    def _survey(self) -> None:
        """Settle what separates columns, and how many there are, by looking at every line that may hold a token."""
        tab_columns = blank_columns = 0
        doubtful: dict[int, int] = {}  # lines that may be comments: number of words → the first such line
        for number, line in enumerate(self._lines(lambda number, message: None), start=1):
            if is_break(line) or (self.reading.comments is not None and self.is_comment(line)):
                continue
            n_words = len(_FIELD.findall(line)) if "\t" not in line or blank_columns < 2 else 0
            if self.reading.comments is None and _looks_like_comment(line):
                if not _METADATA.match(line):
                    doubtful.setdefault(n_words, number)
                continue
            self._first = self._first or number
            blank_columns = max(blank_columns, n_words) if blank_columns < 2 else blank_columns
            if "\t" in line:
                tab_columns = tab_columns or line.count("\t") + 1
            else:
                self._without_tab = self._without_tab or number
                if blank_columns > 1:
                    break
        if not self._without_tab:
            self._without_tab = min((doubtful[n] for n in (1, tab_columns) if n in doubtful), default=0)
        self.by_tabs = bool(tab_columns) and not self._without_tab
        if blank_columns < 2:
            blank_columns = next((n_words for n_words in doubtful if n_words > 1), blank_columns)
        self.n_columns = tab_columns if self.by_tabs else blank_columns

    def _lines(self, on_undecodable: Callable[[int, str], None]) -> Iterator[str]:
        if self._kept is not None:
            return iter(self._kept)
        return read_lines(self.path, self.reading.encoding, on_undecodable)

    def _report_undecodable(self, number: int, message: str) -> None:
        self.report(Problem(number, "undecodable bytes", message))

    def _report_comment(self, number: int) -> None:
        message = "found a comment, expected a token and its tag; left out (declare comments with --comments)"
        self.report(Problem(number, COMMENT, message, is_error=False))

    def _column_exists(self) -> bool:
        column, n_columns = self.reading.column, self.n_columns
        if n_columns < 2 or column in range(1 - n_columns, n_columns):
            return True
        expected = f"--column takes 1 to {n_columns - 1} (the token is 0), or -1 for the last"
        message = f"found {n_columns} columns, expected one numbered {column} beside the token; {expected}"
        self.report(Problem(self._first, "columns", message))
        return False

    def _fault(self, columns: list[str]) -> tuple[str, str]:
        """What is wrong with a token line: the kind of problem and the message."""
        if self.n_columns < 2:
            return "no tag", "found 1 column, expected a token and a tag, e.g. Berlin<TAB>B-LOC"
        if len(columns) != self.n_columns:
            found = "1 column" if len(columns) == 1 else f"{len(columns)} columns"
            between = "tabs" if self.by_tabs else "blanks"
            if not self.by_tabs and self._without_tab > 1:
                between += f"; line {self._without_tab} has no tab"
            message = f"found {found} (separated by {between}), expected {self.n_columns} as in the file's first lines"
            return "no tag" if len(columns) == 1 else "number of columns", message
        return "no tag", f"found an empty tag in column {self.reading.column}, expected a tag"


def is_break(line: str) -> bool:
    """Whether a line separates sentences: blank, or the mark of a document's start."""
    if line[:1] == "-" and line.startswith(DOCUMENT_START):
        return line[len(DOCUMENT_START) :][:1] in ("", " ", "\t")
    return not line.strip()


def _looks_like_comment(line: str) -> bool:
    return line[:1] == "#" and "\t" not in line


def _compile(strip_token: str | None) -> re.Pattern[str] | None:
    if strip_token is None:
        return None
    try:
        return re.compile(STRIPPED.get(strip_token, strip_token))
    except re.error as error:
        expected = f"expected a regular expression, or one of {', '.join(STRIPPED)}"
        raise UsageError(f"--strip-token {strip_token}: {error}; {expected}") from None


def write_conll(sentences: Iterable[tuple[Sequence[str], Sequence[str]]], stream: IO[str]) -> None:
    """Write (tokens, tags) pairs as ``token<TAB>tag`` lines with a blank line after each sentence."""
    for tokens, tags in sentences:
        for token, tag in zip(tokens, tags, strict=True):
            stream.write(f"{token}\t{tag}\n")
        stream.write("\n")
