"""Spark in local mode: what plain tagging finds, in DataFrames and SQL, whatever dies or fails in the middle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ner_elmo.engines.columns import TaggerOf
from ner_elmo.engines.spark import tag_column, tag_frame
from ner_elmo.errors import UsageError
from ner_elmo.tagger.tagger import Tagger
from tests.support.engines import Deadly, plain, spark_session, texts_of

# What PySpark itself warns of is nobody's business here.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    with spark_session() as session:
        yield session


def frame_of(spark: Any, texts: list[Any], partitions: int = 2) -> Any:
    rows = list(enumerate(texts))
    return spark.createDataFrame(spark.sparkContext.parallelize(rows, partitions), "id int, text string")


def rows_of(frame: Any) -> list[dict[str, Any]]:
    """The rows by their numbers."""
    return [row.asDict(recursive=True) for row in frame.orderBy("id").collect()]


def expected(tagger: Tagger, texts: list[str], partitions: int = 2) -> list[Any]:
    size = len(texts) // partitions
    return [
        plain(document) for start in range(0, len(texts), size) for document in tagger.tag(texts[start : start + size])
    ]


@pytest.mark.parametrize("name", ["trained", "joined"])
def test_frames_have_what_tag_finds(spark: Any, name: str, request: pytest.FixtureRequest) -> None:
    trained: Path = request.getfixturevalue(name)
    texts = texts_of(400)
    found = rows_of(tag_frame(frame_of(spark, texts), str(trained), batch_tokens=50))
    assert [row["id"] for row in found] == list(range(400))
    assert [row["text"] for row in found] == texts
    assert [row["entities"] for row in found] == expected(
        Tagger.load(trained, batch_tokens=50, precision="auto"), texts
    )
    assert all(row["error"] is None for row in found)


def test_columns_and_sql_have_the_same(spark: Any, trained: Path) -> None:
    texts = texts_of(100)
    frame = frame_of(spark, texts)
    tag = tag_column(trained)
    with_column = frame.withColumn("found", tag("text")).select("id", "text", "found.*")
    assert rows_of(with_column) == rows_of(tag_frame(frame, trained))
    spark.udf.register("ner", tag)
    frame.createOrReplaceTempView("texts")
    of_sql = spark.sql("SELECT id, e.label FROM (SELECT id, explode(ner(text).entities) e FROM texts)").collect()
    assert sorted(row.label for row in of_sql) == sorted(
        entity.label for document in Tagger.load(trained, precision="auto").tag(texts) for entity in document.entities
    )


def test_parquet_in_and_out(spark: Any, trained: Path, tmp_path: Path) -> None:
    frame_of(spark, texts_of(80)).write.parquet(str(tmp_path / "in"))
    tag_frame(spark.read.parquet(str(tmp_path / "in")), trained).write.parquet(str(tmp_path / "out"))
    found = rows_of(spark.read.parquet(str(tmp_path / "out")))
    documents = Tagger.load(trained, precision="auto").tag(texts_of(80))
    assert [[entity["text"] for entity in row["entities"]] for row in found] == [
        [entity.text for entity in document.entities] for document in documents
    ]


def test_rows_that_fail_do_not_end_the_others(spark: Any, trained: Path) -> None:
    texts: list[Any] = texts_of(60)
    texts[7], texts[20] = None, "Ann had poison in Rome ."
    tagger = Deadly.load(trained)
    frame = frame_of(spark, texts)
    for found in (
        rows_of(tag_frame(frame, tagger)),
        rows_of(frame.withColumn("found", tag_column(tagger)("text")).select("id", "text", "found.*")),
    ):
        assert {row["id"]: row["error"] for row in found if row["error"] is not None} == {
            7: "text: found nothing, expected text",
            20: "poisoned",
        }
        assert [row["id"] for row in found if row["entities"] is None] == [7, 20]
        assert len(found) == 60


@pytest.mark.parametrize("by", ["frame", "column"])
def test_a_worker_killed_in_the_middle_loses_nothing(spark: Any, trained: Path, tmp_path: Path, by: str) -> None:
    texts = texts_of(400)
    texts[250] = "Bob may die today ."
    tagger = Deadly.load(trained, batch_tokens=50)
    tagger.once = tmp_path / "died"
    frame = frame_of(spark, texts, 4)
    if by == "frame":
        found = rows_of(tag_frame(frame, tagger))
    else:
        found = rows_of(frame.withColumn("found", tag_column(tagger)("text")).select("id", "text", "found.*"))
    assert tagger.once.exists()
    assert [row["id"] for row in found] == list(range(400))
    assert [row["entities"] for row in found] == expected(Tagger.load(trained, batch_tokens=50), texts, 4)


def test_a_text_that_always_kills_ends_the_job_and_does_not_hang(spark: Any, trained: Path, tmp_path: Path) -> None:
    texts = [*texts_of(20), "Bob may die today ."]
    with pytest.raises(Exception, match="failed 3 times"):  # as often as spark.task.maxFailures says
        tag_frame(frame_of(spark, texts, 1), Deadly.load(trained)).write.parquet(str(tmp_path / "out"))
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_a_model_that_workers_do_not_see_ends_the_job_with_its_line(spark: Any) -> None:
    with pytest.raises(Exception, match="no-such: no such tagger directory; the models that ship"):
        tag_frame(frame_of(spark, texts_of(20)), "no-such").collect()


def test_a_worker_loads_the_model_once(spark: Any, trained: Path) -> None:
    of = TaggerOf(str(trained))

    def which(batches: Any) -> Iterator[Any]:
        import pandas

        from ner_elmo.engines.columns import tagger_of_process

        for _ in batches:
            yield pandas.DataFrame({"process": [os.getpid()], "tagger": [id(tagger_of_process(of))]})

    rows = frame_of(spark, texts_of(80), 16).mapInPandas(which, "process long, tagger long").collect()
    assert len(rows) == 16
    assert len({(row.process, row.tagger) for row in rows}) == len({row.process for row in rows}) <= 4


def test_a_long_partition_is_read_in_bounded_parts(spark: Any, trained: Path) -> None:
    """Arrow hands over few rows at once, or many: the results are the same."""
    texts = texts_of(300)
    expected_rows = rows_of(tag_frame(frame_of(spark, texts), trained))
    for most in (7, 10_000):
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", most)
        assert rows_of(tag_frame(frame_of(spark, texts), trained)) == expected_rows
        column = frame_of(spark, texts).withColumn("found", tag_column(trained)("text"))
        assert rows_of(column.select("id", "text", "found.*")) == expected_rows


def test_mistakes_are_told_before_anything_is_computed(spark: Any, trained: Path) -> None:
    frame = frame_of(spark, ["a"])
    with pytest.raises(UsageError, match="found no column 'body'; the columns are id, text"):
        tag_frame(frame, trained, "body")
    with pytest.raises(UsageError, match="found a column 'entities'"):
        tag_frame(frame.withColumnRenamed("id", "entities"), trained)
