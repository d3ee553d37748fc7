"""CoNLL files: columns, comments, schemes and repairs; the real corpora have the counts of their README."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ner_elmo.errors import DataError, UsageError
from ner_elmo.text.formats.conll import ConllFile, Reading, TaggedSentence, write_conll
from ner_elmo.text.formats.corpus import ILL_FORMED, load_corpus
from ner_elmo.text.formats.problems import summary
from ner_elmo.text.tag_scheme import Span


def write(folder: Path, text: str, name: str = "a.conll", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def read_conll(path: Path, column: int = -1) -> Iterator[TaggedSentence]:
    return ConllFile(path, Reading(column=column)).sentences()


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
        load_corpus(path, column=column)


def test_wrong_usage(tmp_path: Path) -> None:
    path = write(tmp_path, "a O\n")
    with pytest.raises(UsageError, match="column 0 holds the tokens"):
        load_corpus(path, column=0)
    with pytest.raises(UsageError, match="expected one of auto, iob1"):
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


ROW = r"^\| (\S+/\S+) .*?\| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|(.*?)\|$"
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
README = SHARED / "README.md"
ROWS = re.findall(ROW, README.read_text(encoding="utf-8"), re.MULTILINE) if README.is_file() else []
FILES = [row for row in ROWS if (SHARED / "ner" / row[0]).is_file()]


def test_there_are_28_real_corpora(shared: Path) -> None:
    assert len(FILES) == 28


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=row[0], marks=[pytest.mark.slow] if int(row[2].replace(",", "")) > 60_000 else [])
        for row in FILES
    ],
)
def test_a_real_corpus_has_the_counts_of_its_readme(row: tuple[str, ...]) -> None:
    name, *expected, labels = row
    encoding = "iso-8859-1" if name.endswith("iso-8859-1") else "utf-8"
    corpus = load_corpus(SHARED / "ner" / name, encoding=encoding)
    found = [
        len(corpus.sentences),
        sum(len(sentence.tokens) for sentence in corpus.sentences),
        sum(len(sentence.spans) for sentence in corpus.sentences),
    ]
    assert found == [int(figure.replace(",", "")) for figure in expected]
    found_labels = {span.label for s in corpus.sentences for span in s.spans}
    if re.fullmatch(r"[A-Za-z -]*[A-Za-z][A-Za-z -]*", labels):
        assert found_labels == set(labels.split())
    scheme = {"conll2003": "iob1", "resume": "bmes", "ncbi-disease": "bioes"}.get(name.split("/")[0], "iob2")
    assert corpus.scheme == scheme
    assert {warning.kind for warning in corpus.warnings} <= {ILL_FORMED}


def test_the_same_labels_in_two_encodings(shared: Path) -> None:
    folder = shared / "data" / "ner" / "conll2002-es"
    utf8 = load_corpus(folder / "esp.testa")
    latin = load_corpus(folder / "esp.testa.iso-8859-1", encoding="iso-8859-1")
    assert latin.sentences == utf8.sentences


def test_weibo_without_its_position_digits(shared: Path) -> None:
    corpus = load_corpus(shared / "data" / "ner" / "weibo" / "weiboNER_2nd_conll.dev", strip_token="weibo")
    assert "".join(corpus.sentences[0].tokens).isdecimal() is False
    tokens = [token for sentence in corpus.sentences for token in sentence.tokens]
    assert len(tokens) == 14509
    assert {token for token in tokens if len(token) > 1} <= {"\ufffd\ufffd"}


def sentences_of(path: Path, **reading: object) -> list[list[str]]:
    return [s.tokens for s in ConllFile(path, Reading(**reading)).sentences()]  # type: ignore[arg-type]


def test_tabs_separate_only_if_every_token_line_has_one(tmp_path: Path) -> None:
    assert sentences_of(write(tmp_path, "New York\tO\n\u00a0\tO\n")) == [["New York", "\u00a0"]]
    assert sentences_of(write(tmp_path, "a\tO\nb O\n")) == [["a", "b"]]
    assert sentences_of(write(tmp_path, "x a\tO\nb X O\n")) == [["x", "b"]]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("# sent_id = 1\na\tO\n", ["a"]),
        ("# some words on it\na\tO\n# x = y\nb\tO\n", ["a", "b"]),
        ("#\tO\n# \tO\n", ["#", "#"]),
        ("# O\na O\n", ["#", "a"]),
        ("# O\na\tO\n", ["#", "a"]),  # not a comment: a token line without a tab
        ("# newdoc = x y\na O\n", ["a"]),
        ("#begin document (nw/x); part 000\na NN O\n#end document\n", ["a"]),
        ("# = = O\na b c O\n", ["#", "a"]),
        ("-DOCSTART-\nO-DOCSTART- O\n", ["O-DOCSTART-"]),
        ("-DOCSTART-x O\n", ["-DOCSTART-x"]),
    ],
)
def test_comments_only_where_they_are_unmistakable(tmp_path: Path, text: str, tokens: list[str]) -> None:
    assert sentences_of(write(tmp_path, text)) == [tokens]


def test_what_might_be_a_token_is_no_comment(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a.conll:1: found no tag .a cell of 6 characters., expected O"):
        load_corpus(write(tmp_path, "# remark\na\tB-X\n"))
    with pytest.raises(DataError, match=r"a.conll:2: found 1 column"):
        load_corpus(write(tmp_path, "a\tO\n#\n"))


def test_declared_comments(tmp_path: Path) -> None:
    path = write(tmp_path, "% O\n# O\n%x\nb O\n")
    assert sentences_of(path, comments="%") == [["#", "b"]]
    with pytest.raises(UsageError, match='comments: found ""'):
        ConllFile(path, Reading(comments=""))


def test_stripped_tokens(tmp_path: Path) -> None:
    path = write(tmp_path, "de:Haus\tO\nde:\tO\n3:1\tO\n")
    assert sentences_of(path, strip_token="language") == [["Haus", "de:", "3:1"]]
    assert sentences_of(path, strip_token="e:$|[0-9]") == [["de:Haus", "d", ":"]]
    weibo = write(tmp_path, "科0 O\n110 O\n", "weibo")
    assert sentences_of(weibo, strip_token="weibo") == [["科", "1"]]
    with pytest.raises(UsageError, match=r"--strip-token \[: .*expected a regular expression, or one of language"):
        ConllFile(path, Reading(strip_token="["))


def test_long_sentences_and_empty_tokens(tmp_path: Path) -> None:
    path = write(tmp_path, "".join(f"w{i}\tB-X\n" for i in range(2000)) + "\tO\n")
    corpus = load_corpus(path)
    assert [len(s.tokens) for s in corpus.sentences] == [2001]
    assert [(w.line, w.kind) for w in corpus.warnings] == [(2001, "empty token")]


def test_labels_without_prefixes_are_found_only_beside_o(tmp_path: Path) -> None:
    assert load_corpus(write(tmp_path, "a PER\nb O\n")).scheme == "none"
    for text in ("a NN\nb VB\n", "a B_PER\nb O\n"):
        with pytest.raises(DataError, match=r"a.conll:1: found tag"):
            load_corpus(write(tmp_path, text))


def test_repairs_name_their_lines(tmp_path: Path) -> None:
    corpus = load_corpus(write(tmp_path, "a I-A\n\nb O\nc I-A\n\nd B-A\ne I-A\n"), scheme="bio")
    assert summary("x", corpus.warnings) == [
        "x:1: found I-A at the start of a sentence, expected B-A in iob2; read as conlleval reads it "
        "(2 of this kind: ill-formed tags)"
    ]
