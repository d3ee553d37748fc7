"""Columns of texts in, columns of entities out: parts of bounded size, rows that fail, columns that do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from ner_elmo.engines import columns
from ner_elmo.engines.columns import TaggerOf, check_columns, results_of, tagger_of_process, with_entities
from ner_elmo.errors import DataError, UsageError
from ner_elmo.tagger.tagger import Tagger
from ner_elmo.text.documents import Document, Failure
from tests.support.engines import Deadly, plain, texts_of


def test_the_rows_of_a_table_with_what_is_found(trained: Path) -> None:
    texts = texts_of(30)
    table = pyarrow.table({"id": range(30), "body": texts})
    parts = list(with_entities(table, TaggerOf(trained, batch_tokens=10), "body"))
    assert len(parts) > 2
    whole = pyarrow.concat_tables(parts).to_pylist()
    assert [row["id"] for row in whole] == list(range(30))
    tagger = Tagger.load(trained, batch_tokens=10, precision="auto")
    assert [row["entities"] for row in whole] == [plain(document) for document in tagger.tag(texts)]
    assert any(row["entities"] for row in whole)
    assert all(row["error"] is None for row in whole)


def test_what_is_computed_together_is_bounded_however_long_the_column(trained: Path) -> None:
    tagger, sizes = Tagger.load(trained, batch_tokens=20, precision="auto"), []
    tag_chunk = tagger.tag_chunk

    def seen(chunk: Sequence[Any], **flags: bool) -> list[Document | Failure]:
        sizes.append(sum(map(len, chunk)))
        return tag_chunk(chunk, **flags)

    tagger.tag_chunk = seen  # type: ignore[method-assign]
    texts = texts_of(300)
    read = iter(texts)
    results = results_of(tagger, read, TaggerOf(), "text")
    next(results)
    assert len(list(read)) > 250, "no more is read than is computed"
    list(results_of(tagger, texts, TaggerOf(), "text"))
    assert max(sizes) <= tagger.chunk_characters + max(map(len, texts))


def test_rows_that_cannot_be_tagged_say_why_and_the_others_go_on(trained: Path) -> None:
    tagger = Deadly.load(trained)
    values = ["Ann sees Rome .", None, 7, float("nan"), "a poison pill", ["Eva", "sees", "Oslo"], ["Eva", 1], " "]
    results = [result for part in results_of(tagger, values, TaggerOf(), "body") for result in part]
    assert [getattr(result, "error", None) for result in results] == [
        None,
        "body: found nothing, expected text",
        "body: found int, expected text",
        "body: found nothing, expected text",
        "poisoned",
        None,
        "body: found list, expected text",
        None,
    ]
    assert results[5].text == "Eva sees Oslo"


def test_types_do_not_depend_on_what_is_found(trained: Path) -> None:
    of = TaggerOf(trained, scores=False)
    schemas = {
        part.schema
        for texts in (["."], ["Ann sees Rome ."], [None])
        for part in with_entities(pyarrow.table({"text": pyarrow.array(texts, pyarrow.string())}), of, "text")
    }
    assert len(schemas) == 1
    (empty,) = with_entities(pyarrow.table({"text": pyarrow.array([], pyarrow.string())}), of, "text")
    assert (empty.num_rows, empty.schema) == (0, schemas.pop())


def test_columns_that_do_not_fit(trained: Path) -> None:
    with pytest.raises(UsageError, match="found no column 'text'; the columns are a, b; name"):
        check_columns(["a", "b"], "text")
    with pytest.raises(UsageError, match="found a column 'error', which the result has for itself"):
        check_columns(["text", "error"], "text")
    check_columns(None, "text")
    with pytest.raises(DataError, match="found no column 'text'"):
        next(with_entities(pyarrow.table({"a": ["b"]}), TaggerOf(trained), "text"))


def test_a_process_loads_a_model_once(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_held", columns._Held())
    of = TaggerOf(trained)
    first = tagger_of_process(of)
    assert tagger_of_process(replace(of)) is first
    assert tagger_of_process(replace(of, batch_tokens=7)) is not first
