"""Texts and where they stood, from every kind of file."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.errors import DataError
from ner_elmo.text.documents import Failure, Origin, Record
from ner_elmo.text.records import Item, TextReading, kind_of, plain, read_records


def read(path: Path, **settings: Any) -> list[Item]:
    return list(read_records(str(path), "f", TextReading(**settings)))


def test_units_of_text_know_their_first_line(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("\none\ntwo\n\n\nthree\n")
    assert [(item.text, item.origin.line) for item in read(tmp_path / "a") if item.origin] == [
        ("one", 2),
        ("two", 3),
        ("three", 6),
    ]
    paragraphs = read(tmp_path / "a", unit="paragraph")
    assert [(item.text, item.origin.line) for item in paragraphs if item.origin] == [("one\ntwo", 2), ("three", 6)]
    assert [item.text for item in read(tmp_path / "a", unit="file")] == ["\none\ntwo\n\n\nthree"]


def test_objects_keep_their_other_keys(tmp_path: Path) -> None:
    lines = ['{"body": "Ann sees", "n": 1, "id": 7}', "", '{"body": "", "id": "x"}', '{"id": 9}', "[1]", "{"]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    one, empty, without, no_object, damaged = read(tmp_path / "a.jsonl", text_field="body", id_field="id")
    assert one == Record("Ann sees", Origin("f", 1, "7", {"n": 1, "id": 7}))
    assert empty == Record("", Origin("f", 3, "x", {"id": "x"}))
    assert without == Failure("", "body: found nothing, expected text", Origin("f", 4, "9", {"id": 9}))
    assert isinstance(no_object, Failure)
    assert "expected a JSON object" in no_object.error
    assert isinstance(damaged, Failure)
    assert (damaged.origin and damaged.origin.line) == 6


def test_a_wrong_name_of_the_text_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"body": "Ann", "id": 7}\n')
    with pytest.raises(DataError, match=r"f:1: found no 'text'; its keys are body, id; .*--text-field"):
        read(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").write_text("Ann sees Rome.\n")
    with pytest.raises(DataError, match="--from text"):
        read(tmp_path / "b.jsonl")
    (tmp_path / "c.csv").write_text("id,body\n1,Ann\n")
    with pytest.raises(DataError, match="found no 'text'; its keys are id, body"):
        read(tmp_path / "c.csv")
    (tmp_path / "d.csv").write_text("text,text\n1,Ann\n")
    with pytest.raises(DataError, match="twice"):
        read(tmp_path / "d.csv")


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8), st.sampled_from(["csv", "tsv", "jsonl"]))
def test_rows_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], kind: str) -> None:
    rows = [(text.replace("\r", " "), other.replace("\r", " ")) for text, other in rows]
    path = tmp_path_factory.mktemp("rows") / f"a.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps({"text": t, "o": o}) + "\n" for t, o in rows), encoding="utf-8")
    else:
        stream = io.StringIO(newline="")
        writer = csv.writer(stream, "excel-tab" if kind == "tsv" else "excel", lineterminator="\n")
        writer.writerows([("text", "o"), *rows])
        path.write_text(stream.getvalue(), encoding="utf-8", newline="")
    items = read(path)
    assert [(item.text, item.origin and item.origin.keys["o"]) for item in items] == [
        (text if text.strip() else "", other) for text, other in rows
    ]
    assert all(isinstance(item, Record) for item in items)


def test_rows_of_several_lines_and_too_few_cells(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,n\n"Ann\nsees",1\nBob\nEve,2\n')
    one, short, eve = read(tmp_path / "a.csv")
    assert (one.text, one.origin and one.origin.line) == ("Ann\nsees", 2)
    assert isinstance(short, Failure)
    assert short.origin is not None
    assert (short.error, short.origin.line) == ("found 1 cells, expected 2 as in the first line", 4)
    assert eve.origin is not None
    assert eve.origin.line == 5
    (tmp_path / "b.csv").write_text('text\n"Ann')
    with pytest.raises(DataError, match="f:2: found a damaged row"):
        read(tmp_path / "b.csv")


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"text": ["Ann", None], "when": [datetime.date(2020, 1, 2), None], "n": [1, 2]})
    parquet.write_table(table, tmp_path / "a.parquet")
    one, other = read(tmp_path / "a.parquet")
    assert one == Record("Ann", Origin("f", 1, None, {"when": "2020-01-02", "n": 1}))
    assert isinstance(other, Failure)


def test_kinds_by_name(tmp_path: Path) -> None:
    names = ["a.txt", "a.jsonl.gz", "b.CSV", "c.tsv", "d.parquet", "-", "e"]
    assert [kind_of(name) for name in names] == ["text", "jsonl", "csv", "tsv", "parquet", "text", "text"]
    assert kind_of("a.txt", "csv") == "csv"
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as stream:
        stream.write('{"text": "Ann"}\n')
    assert [item.text for item in read(tmp_path / "a.jsonl.gz")] == ["Ann"]


def test_values_that_json_lacks() -> None:
    assert plain({1: [b"\xff", 2.5, None, {"a": (1,)}]}) == {"1": ["\\xff", 2.5, None, {"a": [1]}]}


def test_a_table_says_at_its_header_what_it_lacks(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "a.csv").write_text("id,n\n")  # no row
    parquet.write_table(pyarrow.table({"id": [], "n": []}), tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        with pytest.raises(DataError, match=r"f:1: found no 'text'; its keys are id, n; .* --text-field"):
            read(tmp_path / name)
        assert read(tmp_path / name, text_field="n") == []
        with pytest.raises(DataError, match=r"f:1: found no 'x'; .* --id-field"):
            read(tmp_path / name, text_field="n", id_field="x")
    (tmp_path / "a.jsonl").write_text('{"text": "Ann"}\n')
    with pytest.raises(DataError, match=r"f:1: found no 'x'; .* --id-field"):
        read(tmp_path / "a.jsonl", id_field="x")


@pytest.mark.parametrize(
    ("name", "header", "message"),
    [
        ("a.csv", "id;text", "separated by ';', expected commas"),
        ("a.csv", "id\ttext", "separated by tabs, expected commas; --from tsv"),
        ("a.tsv", "id,text", "separated by ',', expected tabs; --from csv"),
    ],
)
def test_cells_that_are_separated_otherwise(tmp_path: Path, name: str, header: str, message: str) -> None:
    (tmp_path / name).write_text(f"{header}\n")
    with pytest.raises(DataError, match=f"f:1: found cells {message}"):
        read(tmp_path / name)


def test_columns_of_parquet_with_one_name(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = [pyarrow.array(["Ann"]), pyarrow.array(["Bob"])]
    parquet.write_table(pyarrow.Table.from_arrays(columns, names=["text", "text"]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="f:1: found the column 'text' twice"):
        read(tmp_path / "a.parquet")


def test_times_to_the_nanosecond_are_text(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"text": ["Ann"], "at": pyarrow.array([1], pyarrow.timestamp("ns"))}
    parquet.write_table(
        pyarrow.table(columns | {"took": pyarrow.array([7], pyarrow.duration("ns"))}), tmp_path / "a.parquet"
    )
    (record,) = read(tmp_path / "a.parquet")
    assert record.origin is not None
    assert record.origin.keys == {"at": "1970-01-01 00:00:00.000000001", "took": "7"}


def test_a_number_that_is_too_long_is_not_called_deep(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "Ann"}\n{"text": "Bob", "n": ' + "9" * 5000 + "}\n")
    _, bob = read(tmp_path / "a.jsonl")
    assert isinstance(bob, Failure)
    assert bob.error == "found no JSON object (a number is too long)"
