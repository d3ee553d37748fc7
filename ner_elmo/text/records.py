"""Texts to be tagged, each with where it stood: lines, paragraphs or whole files; objects of JSONL; rows of CSV, TSV
and Parquet.

Of objects and rows one key or column holds the text; all others are kept to be passed through.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from ner_elmo.errors import DataError, one_line
from ner_elmo.settings import check, setting, unique_keys
from ner_elmo.text.documents import Failure, Origin, Record
from ner_elmo.text.files import (
    ERRORS_HELP,
    REPLACE,
    STANDARD_STREAM,
    STRICT,
    decoding,
    encoding_problem,
    read_lines,
    shown_name,
)

DATA = "Input"  # the panel of --help
AUTO, TEXT, JSONL, CSV, TSV, PARQUET = "auto", "text", "jsonl", "csv", "tsv", "parquet"
LINE, PARAGRAPH, FILE = "line", "paragraph", "file"
ENDINGS_OF = {TEXT: (".txt",), JSONL: (".jsonl", ".ndjson"), CSV: (".csv",), TSV: (".tsv",), PARQUET: (".parquet",)}
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
_MOST_NAMED = 8  # keys or columns in a message
_LONGEST_CELL = 1 << 30  # characters; the csv module's own limit is 131,072

Item = Record | Failure


@dataclass(frozen=True)
class TextReading:
    """How files of raw text are read.

    Raises:
        SettingError: a value that cannot be meant.
    """

    source: str = setting(
        AUTO,
        help="what the files are: text, or objects or rows of which one key or column is the text: jsonl, csv, tsv, "
        "parquet",
        choices=(AUTO, TEXT, JSONL, CSV, TSV, PARQUET),
        flag="--from",
        by_default="by the ending of their names, otherwise text",
        panel=DATA,
    )
    text_field: str = setting("text", help="key or column of the text", metavar="NAME", panel=DATA)
    id_field: str | None = setting(
        None,
        help="key or column of what names a text, in messages and in csv, tsv and html",
        metavar="NAME",
        panel=DATA,
    )
    unit: str = setting(
        LINE,
        help="what of a text file becomes one document: line, paragraph or file",
        choices=(LINE, PARAGRAPH, FILE),
        panel=DATA,
    )
    encoding: str = setting("utf-8", help="character encoding of the files", panel=DATA, problem=encoding_problem)
    errors: str = setting(
        STRICT,
        help=ERRORS_HELP,
        choices=(STRICT, REPLACE),
        panel=DATA,
    )

    def __post_init__(self) -> None:
        check(self)

    def lines(self, path: str) -> Iterator[str]:
        """The lines of a file, as :func:`~ner_elmo.text.files.read_lines` gives them."""
        return read_lines(path, decoding(self.encoding, self.errors))


def kind_of(path: str, source: str = AUTO) -> str:
    """What a file is: as ``source`` says, or by the ending of its name."""
    if source != AUTO:
        return source
    if path == STANDARD_STREAM:
        return TEXT
    name = PurePath(path)
    if name.suffix.lower() in PACKED:
        name = name.with_suffix("")
    return next((kind for kind, endings in ENDINGS_OF.items() if name.suffix.lower() in endings), TEXT)


def read_records(path: str, name: str, reading: TextReading) -> Iterator[Item]:
    """The texts of a file, lazily; blank ones are left out. An object or row without a text is a :class:`Failure`.

    Args:
        path: a file, or ``-``.
        name: what to call it in ``origin.file``.

    Raises:
        UsageError: it cannot be opened, or Parquet's package is missing.
        DataError: it is damaged, not in the encoding, or no object or row has the key or column of the text.
    """
    kind = kind_of(path, reading.source)
    if kind == TEXT:
        return _units(path, name, reading)
    rows = {JSONL: _objects, CSV: _rows, TSV: _rows, PARQUET: _rows_of_parquet}[kind]
    return _records(rows(path, name, reading), name, reading)


def _units(path: str, name: str, reading: TextReading) -> Iterator[Record]:
    """The units of a text file that are not blank: lines, paragraphs (lines up to a blank one), or the whole."""
    lines: list[str] = []
    first = 1
    for number, line in enumerate(reading.lines(path), start=1):
        ends = reading.unit == LINE or (reading.unit == PARAGRAPH and not line.strip())
        if reading.unit == LINE or not ends:
            if not lines:
                first = number
            lines.append(line)
        if ends:
            yield from _unless_blank(lines, name, first)
            lines = []
    yield from _unless_blank(lines, name, first)


def _unless_blank(lines: list[str], name: str, first: int) -> Iterator[Record]:
    text = "\n".join(lines)
    if text.strip():
        yield Record(text, Origin(name, first))


class Row:
    """An object or row, and where it begins; or why it could not be read."""

    def __init__(self, line: int, values: Mapping[str, Any] | None, problem: str = "") -> None:
        self.line = line
        self.values = values
        self.problem = problem


def _records(rows: Iterable[Row], name: str, reading: TextReading) -> Iterator[Item]:
    is_known = False  # whether any row so far had the keys
    for row in rows:
        if row.values is None:
            yield Failure("", row.problem, Origin(name, row.line))
            continue
        if not is_known:
            _require_fields(row.values, reading, f"{shown_name(name)}:{row.line}")
        is_known = True
        keys = {str(key): value for key, value in row.values.items() if key != reading.text_field}
        identifier = None if reading.id_field is None else row.values.get(reading.id_field)
        origin = Origin(name, row.line, None if identifier is None else str(identifier), keys)
        text = row.values.get(reading.text_field)
        if not isinstance(text, str):
            found = "nothing" if text is None else type(text).__name__
            yield Failure("", f"{reading.text_field}: found {found}, expected text", origin)
        elif text.strip():
            yield Record(text, origin)
        else:
            yield Record("", origin)


def _require_fields(names: Iterable[str], reading: TextReading, place: str) -> None:
    """Make sure that the first object, or the header, has what the text and its name stand in.

    Raises:
        DataError: it has not.
    """
    wanted = [("text_field", reading.text_field, "of the text"), ("id_field", reading.id_field, "that names a text")]
    names = list(map(str, names))
    for setting_name, field, what in wanted:
        if field is not None and field not in names:
            shown = [shown_name(name)[:40] for name in names[:_MOST_NAMED]]
            known = ", ".join(shown) + (" ..." if len(names) > _MOST_NAMED else "")
            flag = f"--{setting_name.replace('_', '-')}"
            raise DataError(
                f"{place}: found no {field!r}; its keys are {known or 'none'}; name the one {what} with {flag}"
            )


def _objects(path: str, name: str, reading: TextReading) -> Iterator[Row]:
    for number, line in enumerate(reading.lines(path), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, object_pairs_hook=unique_keys)
            problem = "" if isinstance(value, dict) else f"found {type(value).__name__}, expected a JSON object"
        except RecursionError:
            value, problem = None, "found no JSON object (nested too deeply)"
        except ValueError as error:
            value, problem = None, f"found no JSON object ({getattr(error, 'msg', None) or _reason(error)})"
        if problem and number == 1:
            raise DataError(f"{shown_name(name)}:1: {problem}; expected one on each line (for plain text: --from text)")
        yield Row(number, None if problem else value, problem)


def _reason(error: ValueError) -> str:
    return "a number is too long" if "digits" in str(error) else one_line(str(error))


def _rows(path: str, name: str, reading: TextReading) -> Iterator[Row]:
    csv.field_size_limit(_LONGEST_CELL)
    is_tsv = kind_of(path, reading.source) == TSV
    lines = (line + "\n" for line in reading.lines(path))
    reader = csv.reader(lines, "excel-tab" if is_tsv else "excel", strict=True)
    header: list[str] = []
    line = 1
    try:
        for cells in reader:
            begins, line = line, reader.line_num + 1
            if not header:
                header = cells
                if header:
                    _check_header(header, reading, is_tsv, f"{shown_name(name)}:{begins}")
            elif len(cells) == len(header):
                yield Row(begins, dict(zip(header, cells, strict=True)))
            elif cells:
                yield Row(begins, None, f"found {len(cells):,} cells, expected {len(header):,} as in the first line")
    except csv.Error as error:
        raise DataError(f"{shown_name(name)}:{line}: found a damaged row ({error}), expected {CSV.upper()}") from None


def _check_header(header: list[str], reading: TextReading, is_tsv: bool, place: str) -> None:
    if len(header) == 1 and reading.text_field != header[0]:
        mark = next((mark for mark in (",;|" if is_tsv else ";|\t") if mark in header[0]), None)
        if mark is not None:
            separated = "by tabs" if mark == "\t" else f"by {mark!r}"
            hint = {"\t": "--from tsv reads it", ",": "--from csv reads it"}.get(mark, "save it as CSV with commas")
            raise DataError(
                f"{place}: found cells separated {separated}, expected {'tabs' if is_tsv else 'commas'}; {hint}"
            )
    _refuse_columns_twice(header, place)
    _require_fields(header, reading, place)


def _refuse_columns_twice(columns: list[str], place: str) -> None:
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice is not None:
        raise DataError(f"{place}: found the column {shown_name(twice)[:40]!r} twice, expected each name once")


def _rows_of_parquet(path: str, name: str, reading: TextReading) -> Iterator[Row]:
    from ner_elmo.text.formats.parquet import columns_of, read_rows

    columns = columns_of(path)
    _refuse_columns_twice(columns, f"{shown_name(name)}:1")
    _require_fields(columns, reading, f"{shown_name(name)}:1")
    for number, values in enumerate(read_rows(path), start=1):
        yield Row(number, {key: plain(value) for key, value in values.items()})


def plain(value: Any) -> Any:
    """A value as JSON can have it: dates, decimals and bytes as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
