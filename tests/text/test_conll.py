from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from ner_elmo.errors import DataError, UsageError
from ner_elmo.text.conll import read_conll, write_conll
from ner_elmo.text.corpus import load_corpus
from ner_elmo.text.tag_scheme import Span


def write(folder: Path, text: str, name: str = "a.conll", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def test_a_file_with_everything_that_may_surprise(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "\ufeff-DOCSTART- -X- O\n# NN O\r\nParis NNP B-LOC\n\t\n-DOCSTART- -X- O\n\n\n\u00a0 NN O\n  x  NN\tB-PER\n",
    )
    sentences = list(read_conll(path))
    assert [(s.tokens, s.tags, s.line) for s in sentences] == [
        (["#", "Paris"], ["O", "B-LOC"], 2),
        (["\u00a0", "x"], ["O", "B-PER"], 8),
    ]


def test_tab_separated_tokens_may_be_empty_or_hold_blanks(tmp_path: Path) -> None:
    path = write(tmp_path, "New York\tB-LOC\n\tO\n")
    assert [s.tokens for s in read_conll(path)] == [["New York", ""]]


def test_columns_count_from_the_token_or_from_the_end(tmp_path: Path) -> None:
    path = write(tmp_path, "a X Y\n")
    assert [next(read_conll(path, column)).tags for column in (1, 2, -1, -2)] == [["X"], ["Y"], ["Y"], ["X"]]


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("a O\n\nb X O\n", -1, ":3: found 3 columns (separated by blanks), expected 2"),
        ("a\tO\nb\tX\tO\n", -1, ":2: found 3 columns (separated by tabs), expected 2"),
        ("New York\tO\nb\n", -1, ":2: found 1 column (separated by blanks; line 2 has no tab), expected 3"),
        ("a\n", -1, ":1: found 1 column, expected a token and a tag"),
        ("a\tO\nb\t\n", -1, ":2: found an empty tag in column -1"),
        ("a O\n", 2, ":1: found 2 columns, expected one numbered 2 beside the token"),
        ("a O\n", -2, ":1: found 2 columns, expected one numbered -2 beside the token"),
        ("a O\n", -3, ":1: found 2 columns, expected one numbered -3 beside the token"),
        ("\n-DOCSTART- O\n\n", -1, ":3: found no sentence"),
        ("", -1, ":1: found no sentence"),
        ("a\tO\nb\tB_PER\n", -1, ":2: found tag 'B_PER', expected O or a tag such as B-PER; is another column meant"),
        ("a\tB-\n", -1, ":1: found tag 'B-'"),
    ],
)
def test_errors_name_the_place(tmp_path: Path, text: str, column: int, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=re.escape(f"{path}{message}")):
        load_corpus(path, column)


def test_wrong_usage(tmp_path: Path) -> None:
    path = write(tmp_path, "a O\n")
    with pytest.raises(UsageError, match="column 0 holds the tokens"):
        load_corpus(path, 0)
    with pytest.raises(UsageError, match="unknown tag scheme"):
        load_corpus(path, scheme="xyz")


def test_a_corpus_keeps_spans_and_counts_repairs(tmp_path: Path) -> None:
    corpus = load_corpus(write(tmp_path, "a B-A\nb I-A\n\nc I-A\n\nd B-A\ne B-A\n"))
    assert (corpus.scheme, corpus.repaired) == ("iob2", 1)
    assert [s.spans for s in corpus.sentences] == [
        (Span(0, 2, "A"),),
        (Span(0, 1, "A"),),
        (Span(0, 1, "A"), Span(1, 2, "A")),
    ]


def test_labels_without_prefixes_need_the_scheme_none(tmp_path: Path) -> None:
    corpus = load_corpus(write(tmp_path, "a PER\nb PER\nc O\n"), scheme="none")
    assert corpus.sentences[0].spans == (Span(0, 2, "PER"),)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    stream = io.StringIO()
    write_conll([(["New", "York"], ["B-LOC", "I-LOC"]), (["#"], ["O"])], stream)
    assert stream.getvalue() == "New\tB-LOC\nYork\tI-LOC\n\n#\tO\n\n"
    assert [s.tokens for s in read_conll(write(tmp_path, stream.getvalue()))] == [["New", "York"], ["#"]]


@pytest.mark.parametrize("part", ["train", "dev", "test"])
def test_the_samples_are_sound(repository: Path, part: str) -> None:
    corpus = load_corpus(repository / "data" / f"sample.{part}.conll")
    assert (corpus.scheme, corpus.repaired) == ("iob2", 0)
    assert {span.label for s in corpus.sentences for span in s.spans} == {"PER", "LOC", "ORG", "MISC"}


def test_real_corpora_have_the_counts_of_their_readme(shared: Path) -> None:
    rows = re.findall(
        r"^\| (\S+/\S+) .*?\| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|(.*?)\|$",
        (shared / "data" / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    files = [row for row in rows if (shared / "data" / "ner" / row[0]).is_file()]
    assert len(files) == 28
    for name, *expected, labels in files:
        encoding = "iso-8859-1" if name.endswith("iso-8859-1") else "utf-8"
        corpus = load_corpus(shared / "data" / "ner" / name, encoding=encoding)
        found = [
            len(corpus.sentences),
            sum(len(sentence.tokens) for sentence in corpus.sentences),
            sum(len(sentence.spans) for sentence in corpus.sentences),
        ]
        assert found == [int(figure.replace(",", "")) for figure in expected], name
        found_labels = {span.label for s in corpus.sentences for span in s.spans}
        if re.fullmatch(r"[A-Za-z -]*[A-Za-z][A-Za-z -]*", labels):
            assert found_labels == set(labels.split()), name
        scheme = {"conll2003": "iob1", "resume": "bmes", "ncbi-disease": "bioes"}.get(name.split("/")[0], "iob2")
        assert corpus.scheme == scheme, name
