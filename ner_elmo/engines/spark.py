"""Tagging on Spark: a function for columns of DataFrames and for SQL, and one for whole DataFrames.

It needs PySpark (the extra ``spark``) and Java. A Python worker of Spark loads the model once and keeps it for all
tasks that it is given. docs/scale.md has recipes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ner_elmo.engines.columns import (
    ENTITIES,
    ERROR,
    TaggerOf,
    check_columns,
    entities_of,
    entities_type,
    error_of,
    results_of,
    tagger_of,
    tagger_of_process,
)
from ner_elmo.engines.packages import require
from ner_elmo.tagger.tagger import Tagger
from ner_elmo.text.documents import Document, Failure
from ner_elmo.text.python_inputs import checked_name

if TYPE_CHECKING:
    import pandas
    import pyarrow
    from pyspark.sql import DataFrame

EXTRA = "spark"
ENTITIES_DDL = "array<struct<start: bigint, end: bigint, label: string, text: string, score: double>>"
FOUND_DDL = f"struct<{ENTITIES}: {ENTITIES_DDL}, {ERROR}: string>"


def tag_column(
    model: str | Path | Tagger = "en",
    *,
    tokenized: bool = False,
    scores: bool = True,
    text: str | None = None,
    precision: str = "auto",
    batch_tokens: int | None = None,
) -> Any:
    """A pandas UDF over iterators: a column of texts in, a column of what is found out.

    ``frame.withColumn("found", tag_column("en")("text"))``, or ``spark.udf.register("ner", tag_column("en"))`` and then
    ``SELECT ner(text).entities FROM ...``. The column's structs have ``entities``, a list of structs with ``start``,
    ``end``, ``label``, ``text`` and ``score``, and ``error``, which says why a row could not be tagged: its entities
    are then null. What is computed together is bounded by tokens, whatever the size of Arrow's batches, and entities
    are those of :meth:`ner_elmo.Tagger.tag` for the rows of a partition, to the bit.

    Args:
        model: a directory or the name of a model that ships, both as the workers see them (``spark-submit --archives``
            unpacks one for them); or a loaded tagger, which is broadcast.
        tokenized, scores: as of :meth:`ner_elmo.Tagger.tag`.
        text, precision, batch_tokens: as of :meth:`ner_elmo.Tagger.load`.

    Raises:
        UsageError: PySpark is missing, or a value cannot be meant.
    """
    functions, frames = require("pyspark.sql.functions", EXTRA), require("pandas", EXTRA)
    of = tagger_of(model, precision=precision, batch_tokens=batch_tokens, text=text, tokenized=tokenized, scores=scores)
    tagger = _shared(of)

    def found_in(batches: Iterator[pandas.Series]) -> Iterator[pandas.DataFrame]:
        import pandas

        of, loaded = tagger()
        texts = (value for batch in batches for value in batch)
        for results in results_of(loaded, texts, of, "text"):
            yield pandas.DataFrame(
                {ENTITIES: list(map(entities_of, results)), ERROR: list(map(error_of, results))}, dtype=object
            )

    # Spark goes by the types themselves, and this module has them as texts.
    found_in.__annotations__ = {"batches": Iterator[frames.Series], "return": Iterator[frames.DataFrame]}  # type: ignore[name-defined]
    return functions.pandas_udf(found_in, FOUND_DDL)


def tag_frame(
    frame: DataFrame,
    model: str | Path | Tagger = "en",
    text_column: str = "text",
    *,
    tokenized: bool = False,
    scores: bool = True,
    text: str | None = None,
    precision: str = "auto",
    batch_tokens: int | None = None,
) -> DataFrame:
    """A DataFrame's rows with two columns more, ``entities`` and ``error``, as :func:`tag_column` has them.

    Rows pass through as Arrow batches, without pandas.

    Args:
        text_column: the column of the text.
        model, tokenized, scores, text, precision, batch_tokens: as of :func:`tag_column`.

    Raises:
        UsageError: PySpark is missing, a value cannot be meant, or the columns do not fit.
    """
    require("pyspark.sql", EXTRA)
    checked_name(text_column, "text_column")
    check_columns(frame.columns, text_column)
    of = tagger_of(model, precision=precision, batch_tokens=batch_tokens, text=text, tokenized=tokenized, scores=scores)
    tagger = _shared(of)
    types = require("pyspark.sql.types", EXTRA)
    added = types.StructType.fromDDL(f"{ENTITIES} {ENTITIES_DDL}, {ERROR} string")

    def found_in(batches: Iterable[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        of, loaded = tagger()
        yield from _with_entities(batches, loaded, of, text_column)

    return frame.mapInArrow(found_in, types.StructType([*frame.schema.fields, *added.fields]))


def _shared(of: TaggerOf) -> Callable[[], tuple[TaggerOf, Tagger]]:
    """What gives a worker its tagger; one that is loaded already is broadcast, and so sent once to each machine."""
    if not isinstance(of.model, Tagger):
        return lambda: (of, tagger_of_process(of))
    session = require("pyspark.sql", EXTRA).SparkSession.getActiveSession()
    if session is None:
        session = require("pyspark.sql", EXTRA).SparkSession.builder.getOrCreate()
    sent = session.sparkContext.broadcast(of.model)
    rest = replace(of, model="")

    def loaded() -> tuple[TaggerOf, Tagger]:
        import torch

        torch.set_num_threads(1)
        return rest, sent.value

    return loaded


def _with_entities(
    batches: Iterable[pyarrow.RecordBatch], tagger: Tagger, of: TaggerOf, text_column: str
) -> Iterator[pyarrow.RecordBatch]:
    """The rows of a partition, with what was found, as they are done; of the batches read, only what waits is held."""
    held: list[pyarrow.RecordBatch] = []

    def texts() -> Iterator[Any]:
        for batch in batches:
            held.append(batch)
            for value in batch.column(batch.schema.get_field_index(text_column)):
                yield value.as_py()

    for results in results_of(tagger, texts(), of, text_column):
        found = iter(results)
        left = len(results)
        while left:
            taken = held[0].slice(0, left)
            yield _joined(taken, list(islice(found, taken.num_rows)))
            left -= taken.num_rows
            held[0] = held[0].slice(taken.num_rows)
            if not held[0].num_rows:
                del held[0]


def _joined(batch: pyarrow.RecordBatch, results: list[Document | Failure]) -> pyarrow.RecordBatch:
    import pyarrow

    entities = pyarrow.array(map(entities_of, results), entities_type(), size=len(results))
    errors = pyarrow.array(map(error_of, results), pyarrow.string(), size=len(results))
    names = [*batch.schema.names, ENTITIES, ERROR]
    return pyarrow.RecordBatch.from_arrays([*batch.columns, entities, errors], names)
