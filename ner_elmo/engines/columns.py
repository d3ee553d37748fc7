"""Columns of texts in, columns of entities out: what an engine's workers do with the rows that they are handed.

The two columns that are added are ``entities``, a list of structs with ``start``, ``end`` (code points, half open),
``label``, ``text`` and ``score`` (four decimals, as ``tag -f jsonl`` has them), and ``error``: why a row could not be
tagged. Of the two, one is null.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ner_elmo.engines.packages import require
from ner_elmo.errors import DataError, UsageError
from ner_elmo.tagger.tagger import Tagger
from ner_elmo.text.documents import Document, Failure
from ner_elmo.text.python_inputs import checked_count

if TYPE_CHECKING:
    import pyarrow

ENTITIES, ERROR = "entities", "error"

Result = Document | Failure


@dataclass(frozen=True)
class TaggerOf:
    """Which tagger the workers load, and how it reads.

    Attributes:
        model: a directory or the name of a model that ships, both as the worker sees them; or a tagger that is loaded.
        device: what to compute on.
        precision, batch_tokens, text: as of :meth:`ner_elmo.Tagger.load`.
        tokenized, scores: as of :meth:`ner_elmo.Tagger.tag`.
    """

    model: str | Path | Tagger = "en"
    device: str = "cpu"
    precision: str = "auto"
    batch_tokens: int | None = None
    text: str | None = None
    tokenized: bool = False
    scores: bool = True

    def load(self) -> Tagger:
        """The tagger, in a process that computes with one thread.

        Raises:
            UsageError, ModelError: there is none there, or it is damaged.
        """
        import torch

        torch.set_num_threads(1)
        tagger = self.model
        if not isinstance(tagger, Tagger):
            tagger = Tagger.load(
                tagger,
                device=self.device,
                precision=self.precision,
                batch_tokens=self.batch_tokens,
                text=self.text,
            )
        gc.freeze()  # the collector of garbage need not look at what stays
        return tagger


def tagger_of(
    model: str | Path | Tagger,
    *,
    device: str = "cpu",
    precision: str = "fp32",
    batch_tokens: int | None = None,
    **settings: Any,
) -> TaggerOf:
    """What callers ask for, checked as far as that can be done before a worker loads it.

    Raises:
        UsageError: a value cannot be meant.
    """
    return TaggerOf(model, device, precision, checked_count(batch_tokens, "batch_tokens"), **settings)


@dataclass
class _Held:
    """The tagger of this process, and what it was loaded from."""

    of: TaggerOf | None = None
    tagger: Tagger | None = field(default=None, repr=False)


_held = _Held()


def tagger_of_process(of: TaggerOf) -> Tagger:
    """The tagger, loaded once in this process; asking for another one drops it."""
    if _held.tagger is None or _held.of != of:
        _held.of, _held.tagger = of, of.load()
    return _held.tagger


def results_of(tagger: Tagger, texts: Iterable[Any], of: TaggerOf, column: str) -> Iterator[list[Result]]:
    """What is found in each text, in order: so many together as :meth:`~ner_elmo.tagger.tagger.Tagger.chunks` says, a
    number of tokens that does not grow with the texts.

    Args:
        texts: strings, or lists of tokens; anything else becomes a :class:`Failure`, and so does what cannot be tagged.
        column: what they are called, for messages.
    """
    for chunk in tagger.chunks(_unit(value, column) for value in texts):
        yield tagger.tag_chunk(chunk, tokenized=of.tokenized, scores=of.scores)


def _unit(value: Any, column: str) -> str | list[str] | Failure:
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and value != value):  # what pandas has for nothing
        return Failure("", f"{column}: found nothing, expected text")
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple) and all(isinstance(token, str) for token in value):
        return list(value)
    return Failure("", f"{column}: found {type(value).__name__}, expected text")


def entities_of(result: Result) -> list[dict[str, Any]] | None:
    """The entities of a row as plain data, each with a ``score`` (None where none was computed); None of a failure."""
    if isinstance(result, Failure):
        return None
    return [{"score": None} | entity.to_dict() for entity in result.entities]


def error_of(result: Result) -> str | None:
    """Why a row could not be tagged; None if it was."""
    return result.error.splitlines()[0] if isinstance(result, Failure) else None


def entities_type() -> pyarrow.DataType:
    """The type of the column of entities in Arrow."""
    arrow = require("pyarrow", "ray")
    fields = [("start", arrow.int64()), ("end", arrow.int64()), ("label", arrow.string()), ("text", arrow.string())]
    return arrow.list_(arrow.struct([*fields, ("score", arrow.float64())]))


def with_entities(
    table: pyarrow.Table, of: TaggerOf, text_column: str, tagger: Tagger | None = None
) -> Iterator[pyarrow.Table]:
    """The rows of an Arrow table with the two columns of what was found, in parts, as they are done.

    Raises:
        DataError: it has no such column.
    """
    arrow = require("pyarrow", "ray")
    if text_column not in table.column_names:
        raise DataError(no_such_column(text_column, table.column_names))
    tagger = tagger or tagger_of_process(of)
    done = 0
    for results in results_of(tagger, _values(table.column(text_column)), of, text_column):
        part = table.slice(done, len(results))
        done += len(results)
        entities = arrow.array(map(entities_of, results), entities_type(), size=len(results))
        errors = arrow.array(map(error_of, results), arrow.string(), size=len(results))
        yield part.append_column(ENTITIES, entities).append_column(ERROR, errors)
    if not table.num_rows:
        empty = table.append_column(ENTITIES, arrow.array([], entities_type()))
        yield empty.append_column(ERROR, arrow.array([], arrow.string()))


def _values(column: pyarrow.ChunkedArray) -> Iterator[Any]:
    for value in column:
        yield value.as_py()


def check_columns(names: Sequence[str] | None, text_column: str) -> None:
    """Make sure of columns before anything is computed, where they are known.

    Raises:
        UsageError: the text's is missing, or one of those that are added is there already.
    """
    if names is None:
        return
    if text_column not in names:
        raise UsageError(no_such_column(text_column, names))
    for taken in (ENTITIES, ERROR):
        if taken in names:
            raise UsageError(f"found a column {taken!r}, which the result has for itself; rename it, or drop it")


def no_such_column(text_column: str, names: Sequence[str]) -> str:
    """The message about a missing column."""
    known = ", ".join(list(names)[:8]) + (" ..." if len(names) > 8 else "")
    return f"found no column {text_column!r}; the columns are {known or 'none'}; name the one of the text (text_column)"
