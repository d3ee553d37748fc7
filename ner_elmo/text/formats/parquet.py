"""Parquet, as Hugging Face stores data sets: columns ``tokens`` and ``ner_tags``, or ``text`` and ``entities``.

It needs pyarrow (the extra ``parquet``). Numbers for tags are named by the file itself, where Hugging Face's library
wrote it. A file is read and written some rows at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from ner_elmo.errors import DataError, UsageError
from ner_elmo.text.files import STANDARD_STREAM, replace_file, require_file
from ner_elmo.text.formats import jsonl
from ner_elmo.text.formats.hugging_face import rows, tag_names, unit_of_row
from ner_elmo.text.formats.jsonl import Unit
from ner_elmo.text.formats.output import Output
from ner_elmo.text.formats.recognition import TAG_KEYS
from ner_elmo.text.formats.standoff import Input

_ROWS = 1000


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError("Parquet needs the pyarrow package; try: pip install 'ner-elmo[parquet]'") from None
    return pyarrow


def read(source: Input) -> Iterator[Unit]:
    """The rows of a file; "lines" are rows, from 1.

    Raises:
        UsageError: it cannot be opened; pyarrow is not installed.
        DataError: it is damaged.
    """
    with _opened(source.path) as file:
        names = tag_names(source.reading.tag_names) or _names_in(file.schema_arrow)
        for number, row in enumerate(_rows_of(file), start=1):
            yield from _unit(source, number, row, names)


def read_rows(path: str | Path) -> Iterator[dict[str, Any]]:
    """The rows of a file, by the names of its columns.

    Raises:
        UsageError, DataError: as :func:`read`.
    """
    with _opened(path) as file:
        yield from _rows_of(file)


def columns_of(path: str | Path) -> list[str]:
    """The names of a file's columns.

    Raises:
        UsageError, DataError: as :func:`read`.
    """
    with _opened(path) as file:
        return list(file.schema_arrow.names)


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    pyarrow = _pyarrow()
    if str(path) == STANDARD_STREAM:
        raise UsageError("Parquet is read from a file, not from standard input")
    path = require_file(path)
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield file
    except (pyarrow.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the machine; pyarrow's own have no number
            raise
        found = f"found a damaged file of Parquet ({str(error).splitlines()[0]})"
        raise DataError(f"{path}:1: {found}, expected a whole one") from None


def _rows_of(file: Any) -> Iterator[dict[str, Any]]:
    for batch in file.iter_batches(_ROWS):
        try:
            rows = _in_microseconds(batch).to_pylist()
        except ValueError:  # times to the nanosecond, which Python's have not
            rows = _times_as_text(batch)
        yield from rows


def _in_microseconds(batch: Any) -> Any:
    """The batch with times that Python has; where pandas is installed, pyarrow would make its own of nanoseconds.

    Raises:
        ValueError: a time is not a whole microsecond.
    """
    pyarrow = _pyarrow()
    columns = []
    for column in batch.columns:
        kind = column.type
        if not pyarrow.types.is_temporal(kind) or getattr(kind, "unit", "") != "ns":
            columns.append(column)
        elif pyarrow.types.is_timestamp(kind):
            columns.append(column.cast(pyarrow.timestamp("us", kind.tz)))
        else:
            columns.append(
                column.cast(pyarrow.duration("us") if pyarrow.types.is_duration(kind) else pyarrow.time64("us"))
            )
    return pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _times_as_text(batch: Any) -> list[dict[str, Any]]:
    pyarrow = _pyarrow()
    columns = [
        column.cast(pyarrow.int64()).cast(pyarrow.string())
        if pyarrow.types.is_duration(column.type)
        else column.cast(pyarrow.string())
        if pyarrow.types.is_temporal(column.type)
        else column
        for column in batch.columns
    ]
    try:
        rows: list[dict[str, Any]] = pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()
    except ValueError:
        raise pyarrow.ArrowInvalid("times to the nanosecond within a nested column") from None
    return rows


def _unit(source: Input, number: int, row: dict[str, Any], names: list[str]) -> Iterator[Unit]:
    row = {key: item for key, item in row.items() if item is not None}
    if not isinstance(row.get("entities"), list) or "ner_tags" in row:
        yield from unit_of_row(source, number, row, names)
    elif (value := jsonl.try_checked(row, number, source.report, source.reading.overlaps)) is not None:
        yield Unit(source.name, number, value)


def _names_in(schema: Any) -> list[str]:
    """The names of the tags as Hugging Face's library notes them in the file."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        for key in TAG_KEYS:
            if key in features:
                feature = features[key].get("feature", features[key])
                return [str(name) for name in feature["names"]]
    except (KeyError, TypeError, ValueError, AttributeError):
        pass  # numbers stay without names, which is said at the first of them
    return []


def write(units: Iterable[Unit], output: Output) -> None:
    """Write tokens and tags, a sentence a row.

    Raises:
        UsageError: standard output was named; pyarrow is not installed.
        DataError: as ``output.report`` does, for entities that end inside a token.
    """
    pyarrow = _pyarrow()
    if str(output.target) == STANDARD_STREAM:
        raise UsageError("Parquet is no text; expected the name of a file")
    strings = pyarrow.list_(pyarrow.string())
    schema = pyarrow.schema([("tokens", strings), ("ner_tags", strings)])
    found = rows(units, output, keeps_keys=False)
    with replace_file(output.target) as temporary, pyarrow.parquet.ParquetWriter(temporary, schema) as writer:
        while batch := list(islice(found, _ROWS)):
            writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))
    output.tell_losses("a table of tokens and tags")
