"""CoNLL files: a token and its tags per line, in columns, a blank line between sentences.

Columns are separated by tabs if every token line has one, otherwise by runs of blanks and tabs. The token is column 0
unless another is named; a column that numbers the tokens is not read as words. ``-DOCSTART-`` lines only separate. A
``#`` begins a token like any other; lines are comments only where that is declared, or where they cannot be token lines
(:meth:`ConllFile.is_comment`). Blanks at the edges of tokens and tags do not count.
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
from ner_elmo.text.files import (
    ERRORS_HELP,
    REPLACE,
    RETURNS_INSIDE,
    STANDARD_STREAM,
    STRICT,
    decoding,
    display_name,
    encoding_problem,
    has_returns_inside,
    read_lines,
)
from ner_elmo.text.formats.conll_doubts import (
    Taken,
    clean_tag,
    comment_prefix,
    looks_like_header,
    looks_like_tag,
    no_words,
)
from ner_elmo.text.formats.labels import shortened
from ner_elmo.text.formats.problems import Problem, TellProblem, strictly
from ner_elmo.text.formats.recognition import AUTO, KINDS
from ner_elmo.text.tag_scheme import OUTSIDE, scheme_problem
from ner_elmo.text.tokenizer import resolved

DOCUMENT_START = "-DOCSTART-"
COMMENT = "comment"

# Only the ASCII blank and tab separate columns: an ideographic or no-break space may be a token.
_BLANKS = re.compile(r"[ \t]+")
_FIELD = re.compile(r"[^ \t]+")
# Comments as CoNLL-U and OntoNotes write them: `# sent_id = 3`, `#begin document (nw/wsj); part 000`.
_METADATA = re.compile(r"#[ \t]*[\w.:-]+[ \t]+=([ \t]|\Z)|#(begin|end) document\b")
_REMARK = re.compile(r"#+ ")

# Names for what `strip_token` takes away from tokens; anything else is a regular expression.
STRIPPED = {
    "language": r"\A[a-z]{2,3}:(?=.)",  # de:Berlin, as WikiANN writes it
    "weibo": r"(?<!\A)[0-9]+\Z",  # 科0 技1: a character's position in its word
}


_LOOKED_AT = 1000  # token lines of a sentence, where columns are looked at

DATA = "Data"  # the panel of --help


@dataclass(frozen=True)
class Reading:
    """How to read a labelled file.

    ``strip_token`` is a key of :data:`STRIPPED` or a regular expression.

    Raises:
        SettingError: a value that cannot be meant.
    """

    column: int = setting(-1, help="column of the tags; 0 is the first, -1 is the last", panel=DATA)
    token_column: int | None = setting(
        None, help="column of the tokens, counted as --column counts", by_default="0", panel=DATA
    )
    header: bool | None = setting(
        None,
        help="the first line names the columns and is left out, or: it does not",
        flag="--header/--no-header",
        panel=DATA,
    )
    scheme: str = setting(
        "auto",
        help="tag scheme of the files: auto, iob1, iob2, bioes, bmes, none (labels; without any O each token has a tag "
        "of its own: POS)",
        panel=DATA,
        problem=scheme_problem,
    )
    encoding: str = setting("utf-8", help="character encoding of the files", panel=DATA, problem=encoding_problem)
    errors: str = setting(STRICT, help=ERRORS_HELP, choices=(STRICT, REPLACE), panel=DATA)
    comments: str | None = setting(
        None,
        help="what comment lines begin with; several: with commas, or repeated",
        by_default="# is a token like any other",
        panel=DATA,
        repeats=True,
    )
    document_marker: str | None = setting(
        None,
        help="what lines begin with that begin a document, beside -DOCSTART-; they are left out",
        metavar="TEXT",
        panel=DATA,
    )
    strip_token: str | None = setting(
        None,
        help="take away from tokens: language (de:), weibo (digits), or a regular expression",
        panel=DATA,
    )
    text: str | None = setting(
        None,
        help="tokenizer for raw text: a language's code (de, fr, ar, ja and others), en-1, characters, whitespace",
        by_default="the biLM's or the model's, otherwise by its look",
        panel=DATA,
        may_change=True,
    )

    source: str = setting(
        AUTO,
        help="what the files are",
        choices=(AUTO, *KINDS),
        flag="--from",
        by_default="by what is in them",
        panel=DATA,
    )
    offsets: str = setting(
        AUTO,
        help="what entities' offsets count",
        choices=(AUTO, "char", "utf16", "byte"),
        by_default="code points, or what fits the entities' own texts",
        panel=DATA,
    )
    overlaps: str = setting(
        "error", help="entities that overlap: refuse, or keep", choices=("error", "longest", "first"), panel=DATA
    )
    fragments: str = setting(
        "drop",
        help="entities in several pieces: refuse, join, split, or leave out and name",
        choices=("error", "join", "split", "drop"),
        panel=DATA,
    )
    inside_tokens: str = setting(
        "error", help="entities that end inside a token", choices=("error", "widen"), panel=DATA
    )
    tag_names: str | None = setting(
        None,
        help="the tags that numbers stand for: O,B-PER,I-PER,... or a file with one a line",
        panel=DATA,
    )

    @property
    def decoding(self) -> str:
        """How the files' bytes are read."""
        return decoding(self.encoding, self.errors)

    def __post_init__(self) -> None:
        check(self)
        object.__setattr__(self, "text", resolved_text(self.text))  # frozen for others

    def comment_prefixes(self) -> tuple[str, ...]:
        """What comment lines begin with, as declared.

        Raises:
            UsageError: one of them is empty.
        """
        marker = () if self.document_marker is None else (self.document_marker,)
        if self.comments is None:
            return marker
        first, *others = self.comments.split(",")
        prefixes = (first, *(other.lstrip(" ") for other in others))
        if not all(prefixes):
            raise UsageError("--comments: found nothing, expected what a comment line begins with, such as '# '")
        return prefixes + marker


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
    """A sentence as the file has it; ``lines`` are the numbers of its tokens' lines, from 1.

    ``document`` is the number of its document, from 0, where lines say that one begins.
    """

    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    document: int | None = None

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
    """What stands before a line's token, between it and the tag, and after the tag: blanks and other columns.

    With ``tag_first``, token and tag have each other's place.
    """

    before: str
    between: str
    after: str
    tag_first: bool = False

    def line(self, token: str, tag: str) -> str:
        """The line with a token and a tag in their places."""
        first, second = (tag, token) if self.tag_first else (token, tag)
        return f"{self.before}{first}{self.between}{second}{self.after}"


class ConllFile:
    """A CoNLL file, of which all lines have been looked at once to settle what separates its columns.

    It is read in constant memory, as often as one likes; standard input is kept, as it can be read only once.

    Args:
        report: is handed every problem of the file while it is read; by default an error is raised.

    Raises:
        UsageError: the file cannot be opened; one column for tokens and tags; an impossible ``strip_token`` or
            ``comments``.
    """

    def __init__(self, path: str | Path, reading: Reading | None = None, report: TellProblem | None = None) -> None:
        self.path = path
        self.name = display_name(path)
        self.reading = reading or Reading()
        self.report = report or strictly(self.name)
        self._token_column = self.reading.token_column or 0
        if self.reading.column == self._token_column:
            raise UsageError(
                f"column {self.reading.column} holds the tokens; expected the number of the tags' column, or -1 for "
                "the last (--token-column names another for the tokens)"
            )
        self._comments = self.reading.comment_prefixes()
        self._stripped = _compile(self.reading.strip_token)
        self._kept = list(read_lines(path, self.reading.decoding)) if str(path) == STANDARD_STREAM else None
        self.by_tabs = False
        self.n_columns = 0
        self._first = self._without_tab = 0  # lines: the first token's, and the first token's that has no tab
        self._header = self._find_header() if self.reading.header else 0
        self._survey()
        self._doubt = self._doubt_of_columns()

    def sentences(self) -> Iterator[TaggedSentence]:
        """The sentences, with tokens and tags as they stand, but for blanks at their edges.

        Raises:
            DataError: lines of unequal or too few columns, an empty tag, bytes that do not decode, carriage returns
                inside a line, a column of numbers where words should be, a header that was not declared, no sentence
                at all (where no other ``report`` was given).
        """
        sentence = TaggedSentence()
        for row in self.rows():
            if row.kind == "token":
                sentence.tokens.append(row.token)
                sentence.tags.append(row.tag)
                sentence.lines.append(row.number)
                continue
            begins_document = self._begins_document(row.line)
            if (row.kind == "break" or begins_document) and sentence.tokens:
                yield sentence
                sentence = TaggedSentence(document=sentence.document)
            if begins_document:
                sentence.document = 0 if sentence.document is None else sentence.document + 1
        if sentence.tokens:
            yield sentence

    def _begins_document(self, line: str) -> bool:
        marker = self.reading.document_marker
        return line.startswith(DOCUMENT_START) or (marker is not None and line.startswith(marker))

    def rows(self) -> Iterator[Row]:
        """All lines in order, save those at fault, which are reported."""
        n_lines = number = 0  # n_lines: those meant to hold tokens
        if self._doubt is not None:
            self.report(self._doubt)
            return
        taken = Taken()
        beginnings = ("#", *self._comments)
        for number, line in enumerate(self._lines(self._report_undecodable), start=1):
            if "\r" in line:
                if has_returns_inside(line):
                    self.report(Problem(number, "carriage returns", RETURNS_INSIDE.format(number=number)))
                    n_lines += 1
                    continue
                line = taken.returns(line, number)
            if is_break(line):
                yield Row("break", number, line)
            elif number == self._header or (line.startswith(beginnings) and self.is_comment(line)):
                self._report_left_out(number, line)
                yield Row("comment", number, line)
            else:
                n_lines += 1
                if (row := self._token_row(number, line, taken)) is not None:
                    yield row
        if not n_lines:
            expected = "expected lines such as Berlin<TAB>B-LOC and blank lines between sentences"
            self.report(Problem(max(1, number), "no sentence", f"found no sentence, {expected}"))
        for problem in taken.problems():
            self.report(problem)

    def _token_row(self, number: int, line: str, taken: Taken) -> Row | None:
        columns = self.split(line)
        fits = len(columns) == self.n_columns > 1
        tag = clean_tag(columns[self.reading.column]) if fits else ""
        if not tag:
            kind, message = self._fault(columns)
            self.report(Problem(number, kind, message + self.comment_hint(number, line)))
            return None
        if tag != columns[self.reading.column]:
            taken.blanks("tag", columns[self.reading.column], number)
        found = columns[self._token_column]
        token = found.strip() or found  # a token may be a blank
        if token != found:
            taken.blanks("token", found, number)
        token = self._stripped.sub("", token) if self._stripped else token
        if token.startswith("\ufeff"):
            message = "found a byte order mark inside the file, expected it at its beginning (were files joined?)"
            self.report(Problem(number, "byte order mark", f"{message}; kept as part of a token", False))
        if not token:
            self.report(Problem(number, "empty token", "found an empty token, expected a word; kept", False))
        return Row("token", number, line, token, tag)

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
        places = range(len(columns))
        token, tag = places[self._token_column], places[self.reading.column]
        first, second = min(token, tag), max(token, tag)
        if self.by_tabs:
            before = "".join(f"{column}\t" for column in columns[:first])
            between = "\t".join(["", *columns[first + 1 : second], ""])
            return Around(before, between, "".join(f"\t{column}" for column in columns[second + 1 :]), tag < token)
        fields = list(_FIELD.finditer(row.line))
        one, other = fields[first], fields[second]
        return Around(
            row.line[: one.start()], row.line[one.end() : other.start()], row.line[other.end() :], tag < token
        )

    def is_comment(self, line: str) -> bool:
        """Whether a line is a comment: as declared, or because it cannot be a token line.

        That is a ``#`` line of more than one word and without a tab among columns separated by tabs, whose number of
        words is not the file's number of columns; ``# key = value`` or ``#begin document`` likewise, anywhere, or where
        no tag stands in the tags' column; and a line that begins with ``# `` and has another number of columns.
        """
        if line.startswith(self._comments):
            return True
        if line[:1] != "#":
            return False
        is_metadata = _METADATA.match(line) is not None
        if "\t" in line:
            if not (is_metadata or _REMARK.match(line)):
                return False
            columns = self.split(line)
            if len(columns) != self.n_columns:
                return True
            return self.by_tabs and is_metadata and not self._has_tag(columns)
        n_fields = len(_FIELD.findall(line))
        if is_metadata:
            return self.by_tabs or n_fields != self.n_columns
        return self.by_tabs and n_fields not in (1, self.n_columns)

    def comment_hint(self, number: int, line: str) -> str:
        """What to say about a line at fault that begins with ``#``; nothing about others."""
        if line[:1] != "#" or line.startswith(self._comments):
            return ""
        prefix = comment_prefix(line, self._hash_token())
        how = f" (--comments '{prefix}')" if prefix else f" (# is a token in line {self._hash_token()}, too)"
        return f"; line {number} begins with #: a comment?{how}"

    def header_hint(self, number: int) -> str:
        """That the file's first line looks like a header, with its words; nothing about other lines."""
        if number != self._first or self.reading.header is not None:
            return ""
        line = next((line for at, line in enumerate(self._quiet_lines(), start=1) if at == number), "")
        cells = _words(line)
        named = [column for column in (self._token_column, self.reading.column) if -len(cells) <= column < len(cells)]
        words = ", ".join(shortened(cells[column], 30)[1:-1] for column in named)
        return f"line {number} looks like a header ({words}): give --header"

    def columns_of_tags(self, most: int = 1000) -> list[int]:
        """The columns, beside the tokens' and the tags', that hold nothing but O and tags such as B-PER."""
        places = range(self.n_columns)
        left = set(places) - {places[self._token_column], places[self.reading.column]}
        with_prefix: set[int] = set()
        for columns in self._some_columns(most):
            left = {place for place in left if looks_like_tag(columns[place])}
            with_prefix.update(place for place in left if columns[place] != "O")
        return sorted(left & with_prefix)

    def _some_columns(self, most: int) -> Iterator[list[str]]:
        """The columns of the first token lines; an empty list for a break."""
        n_lines = 0
        for number, line in enumerate(self._quiet_lines(), start=1):
            if number == self._header or has_returns_inside(line):
                continue
            if not is_break(line) and not self.is_comment(line):
                columns = self.split(line)
                if len(columns) == self.n_columns:
                    n_lines += 1
                    yield columns
            if n_lines >= most:
                break

    def _has_tag(self, columns: Sequence[str]) -> bool:
        """Whether a line has the tags' column, and what looks like a tag in it."""
        return -len(columns) <= self.reading.column < len(columns) and looks_like_tag(columns[self.reading.column])

    def _hash_token(self) -> int:
        """The first line whose token is ``#`` or begins with it, and that has a tag; 0 without any."""
        for number, line in enumerate(self._quiet_lines(), start=1):
            if line[:1] == "#":
                columns = self.split(line)
                if len(columns) == self.n_columns and self._has_tag(columns):
                    return number
        return 0

    def _find_header(self) -> int:
        """The line that names the columns: the first that is no comment; 0 without any."""
        candidate = 0
        for number, line in enumerate(self._quiet_lines(), start=1):
            if is_break(line) or line.startswith(self._comments) or _METADATA.match(line):
                continue
            if line[:1] != "#":
                return number if not candidate or looks_like_header(_words(line), 0, -1) else candidate
            candidate = candidate or number
        return candidate

    def _names_columns(self, line: str) -> bool:
        return looks_like_header(_words(line), self._token_column, self.reading.column)

    def _survey(self) -> None:
        """Settle what separates columns, and how many there are, by looking at every line that may hold a token."""
        tab_columns = blank_columns = 0
        doubtful: dict[int, int] = {}  # lines that may be comments: number of words → the first such line
        doubtful_tab_columns = first_doubtful = 0
        for number, line in enumerate(self._quiet_lines(), start=1):
            if is_break(line) or number == self._header or line.startswith(self._comments):
                continue
            if "\r" in line and has_returns_inside(line):
                continue
            n_words = len(_FIELD.findall(line)) if "\t" not in line or blank_columns < 2 else 0
            if line[:1] == "#":
                first_doubtful = first_doubtful or number
                if "\t" in line:
                    doubtful_tab_columns = doubtful_tab_columns or line.count("\t") + 1
                elif not _METADATA.match(line):
                    doubtful.setdefault(n_words, number)
                continue
            if not self._first:
                self._first = number
                if self.reading.header is None and self._names_columns(line):
                    continue  # it may have any number of columns
            blank_columns = max(blank_columns, n_words) if blank_columns < 2 else blank_columns
            if "\t" in line:
                tab_columns = tab_columns or line.count("\t") + 1
            else:
                self._without_tab = self._without_tab or number
                if blank_columns > 1:
                    break
        self._first = self._first or first_doubtful
        if not (tab_columns or blank_columns):
            tab_columns = doubtful_tab_columns
        if not self._without_tab:
            self._without_tab = min((doubtful[n] for n in (1, tab_columns) if n in doubtful), default=0)
        self.by_tabs = bool(tab_columns) and not self._without_tab
        if blank_columns < 2:
            blank_columns = next((n_words for n_words in doubtful if n_words > 1), blank_columns)
        self.n_columns = tab_columns if self.by_tabs else blank_columns

    def _doubt_of_columns(self) -> Problem | None:
        """Why the columns cannot be what they are taken for; None if they can."""
        if self.n_columns < 2:
            return None
        places = range(-self.n_columns, self.n_columns)
        for column in (self._token_column, self.reading.column):
            if column not in places:
                return Problem(self._first, "columns", self._no_such_column(column))
        if self._token_column % self.n_columns == self.reading.column % self.n_columns:
            return Problem(self._first, "columns", self._no_such_column(self.reading.column))
        first = next((line for at, line in enumerate(self._quiet_lines(), start=1) if at == self._first), "")
        if self.reading.header is None and self._names_columns(first):
            found = f"found no token and its tag, expected some; {self.header_hint(self._first)}"
            return Problem(self._first, "header", found)
        if self.reading.token_column is None:
            tags = self.reading.column % self.n_columns
            fault = no_words(self._sentences_of_columns(), self.n_columns, tags)
            return None if fault is None else Problem(self._first, "numbers for tokens", fault)
        return None

    def _no_such_column(self, column: int) -> str:
        if column == self._token_column != self.reading.column and self.reading.token_column is not None:
            expected = f"--token-column takes 0 to {self.n_columns - 1}, or -1 for the last"
            return f"found {self.n_columns} columns, expected one numbered {column} for the tokens; {expected}"
        expected = f"--column takes 1 to {self.n_columns - 1} (the token is 0), or -1 for the last"
        if self.reading.token_column is not None:
            expected = (
                f"--column takes 0 to {self.n_columns - 1} (the token is {self._token_column}), or -1 for the last"
            )
        return f"found {self.n_columns} columns, expected one numbered {column} beside the token; {expected}"

    def _sentences_of_columns(self) -> Iterator[list[list[str]]]:
        """The columns of the first sentences."""
        sentence: list[list[str]] = []
        for number, line in enumerate(self._quiet_lines(), start=1):
            if is_break(line):
                if sentence:
                    yield sentence
                sentence = []
            elif (
                number != self._header
                and line[:1] != "#"
                and not has_returns_inside(line)
                and not self.is_comment(line)
            ):
                columns = self.split(line)
                if len(columns) == self.n_columns and len(sentence) < _LOOKED_AT:
                    sentence.append(columns)
        if sentence:
            yield sentence

    def _lines(self, on_undecodable: Callable[[int, str], None]) -> Iterator[str]:
        if self._kept is not None:
            return iter(self._kept)
        return read_lines(self.path, self.reading.decoding, on_undecodable)

    def _quiet_lines(self) -> Iterator[str]:
        return self._lines(lambda number, message: None)

    def _report_undecodable(self, number: int, message: str) -> None:
        self.report(Problem(number, "undecodable bytes", message))

    def _report_left_out(self, number: int, line: str) -> None:
        """Warn of comments that were not declared, and of declared ones and headers that look like token lines."""
        if number != self._header and not line.startswith(self._comments):
            message = "found a comment, expected a token and its tag; left out (declare comments with --comments)"
            self.report(Problem(number, COMMENT, message, is_error=False))
            return
        columns = self.split(line)
        if len(columns) == self.n_columns > 1 and self._has_tag(columns):
            what, flag = ("header", "--header") if number == self._header else ("comment", "--comments")
            token, tag = (shortened(columns[column], 30) for column in (self._token_column, self.reading.column))
            found = f"found {token} with the tag {tag} in a line that {flag} leaves out, expected a {what}"
            self.report(Problem(number, f"token left out as a {what}", found, is_error=False))

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
            if not self.by_tabs and len(columns) > self.n_columns:
                tag = columns[range(self.n_columns)[self.reading.column]]
                if tag != OUTSIDE and looks_like_tag(tag):
                    message += "; a label of several words needs columns separated by tabs (or _ for its blanks)"
            return "no tag" if len(columns) == 1 else "number of columns", message
        return "no tag", f"found an empty tag in column {self.reading.column}, expected a tag"


def _words(line: str) -> list[str]:
    """The cells of a line whose separator is not known yet."""
    return line.split("\t") if "\t" in line else _BLANKS.split(line.strip(" \t"))


def is_break(line: str) -> bool:
    """Whether a line separates sentences: blank, or the mark of a document's start."""
    if line[:1] == "-" and line.startswith(DOCUMENT_START):
        return line[len(DOCUMENT_START) :][:1] in ("", " ", "\t")
    return not line.strip()


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
