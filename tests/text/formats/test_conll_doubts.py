"""Headers, numbers in the place of words, comments, blanks at edges: told, or taken off; never read as words."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ner_elmo.errors import DataError
from ner_elmo.text.formats.conll import Reading
from ner_elmo.text.formats.conll_doubts import clean_tag, looks_like_header
from ner_elmo.text.formats.corpus import load_corpus
from tests.support.command_line import ner_elmo

NUMBERED = "1\tUte\tB-PER\n2\tlebt\tO\n\n1\tin\tO\n2\tJena\tB-LOC\n3\t.\tO\n\n"


def write(folder: Path, text: str, name: str = "a.conll") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        NUMBERED,
        NUMBERED.replace("\t", " "),
        "0\tUte\tB-PER\n1\tlebt\tO\n\n0\tin\tO\n1\tJena\tB-LOC\n\n",
        "1-2\tzum\tO\n1\tzu\tO\n2\tdem\tO\n2.1\tsee\tO\n3\tSee\tB-LOC\n",
        "7\tUte\tB-PER\n8\tlebt\tO\n\n9\tin\tO\n10\tJena\tB-LOC\n\n",
        "0\tUte\tB-PER\n4\tlebt\tO\n\n0\tin\tO\n3\tJena\tB-LOC\n\n",
        "# id = 1\n1\tUte\tB-PER\n2\tlebt\tO\n",
        "1_1\tUte\tB-PER\n1_2\tlebt\tO\n\n2_1\tJa\tO\n",
        "".join(f"{n}\tUte\tB-PER\n{n}\tlebt\tO\n\n" for n in range(5)),
    ],
)
def test_numbers_are_no_words(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=r"a.conll:\d+: found .* in column 0, .*expected words; .*--token-column 1"):
        load_corpus(path)
    sentences = load_corpus(path, token_column=1).sentences
    assert not any(token.isdigit() for sentence in sentences for token in sentence.tokens)
    assert load_corpus(path, token_column=0).sentences


@pytest.mark.parametrize("tags", ["B I O", "B I E S O", "B M E S O", "B I L U O"])
def test_prefixes_alone_are_no_labels(tmp_path: Path, tags: str) -> None:
    path = write(tmp_path, "".join(f"w\t{tag}\n" for tag in tags.split()))
    with pytest.raises(DataError, match=r"a.conll:1: found tag 'B', .*lacks its label.*--scheme none"):
        load_corpus(path)
    assert {span.label for span in load_corpus(path, scheme="none").sentences[0].spans} == set(tags.split()) - {"O"}


@pytest.mark.parametrize("tags", ["B O", "B A O", "I O", "S E O"])
def test_letters_may_be_labels(tmp_path: Path, tags: str) -> None:
    assert load_corpus(write(tmp_path, "".join(f"w\t{tag}\n" for tag in tags.split()))).scheme == "none"


def test_marks_of_files_that_were_joined_are_named(tmp_path: Path) -> None:
    one = "\ufeffUte\tB-PER\nlebt\tO\n\n"
    corpus = load_corpus(write(tmp_path, one * 3))
    assert [(problem.line, problem.kind) for problem in corpus.warnings] == [
        (4, "byte order mark"),
        (7, "byte order mark"),
    ]


@pytest.mark.parametrize("text", ["1\tO\n\nUte\tB-PER\n\nJa\tO\nGut\tO\n", "12\tO\n7\tO\n\n3\tO\nUte\tB-PER\n"])
def test_some_numbers_are_words(tmp_path: Path, text: str) -> None:
    assert load_corpus(write(tmp_path, text)).sentences


def test_document_names_before_the_words(tmp_path: Path) -> None:
    text = "".join(f"bc/x 0 {n} w{m}{n} {'B-PER' if n else 'O'}\n" + "\n" * n for m in range(6) for n in range(2))
    with pytest.raises(DataError, match=r"is the same in all of a sentence, expected words; .*--token-column 3"):
        load_corpus(write(tmp_path, text))


def test_tags_before_the_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "B-ACT\tTom\nI-ACT\tRay\nO\tsings\n\n")
    with pytest.raises(DataError, match=r"which holds tags, expected words; give --column 0 --token-column 1"):
        load_corpus(path)
    flags = ("--column", "0", "--token-column", "1")
    status, out, _ = ner_elmo(capsys, "convert", path, "-", "--to", "bioes", *flags)
    assert (status, out) == (0, "B-ACT\tTom\nE-ACT\tRay\nO\tsings\n\n")
    assert ner_elmo(capsys, "convert", path, tmp_path / "x.jsonl", "--to", "jsonl", *flags)[0] == 0
    assert ner_elmo(capsys, "convert", tmp_path / "x.jsonl", tmp_path / "b", "--to", "iob2")[0] == 0
    assert (tmp_path / "b").read_bytes() == path.read_bytes()


WORDS = st.text("abé#-1", min_size=1, max_size=4)
ROWS = st.lists(st.tuples(WORDS, st.sampled_from(["O", "B-X", "B-New York"]), WORDS), min_size=1, max_size=4)
QUIET = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, database=None)


@given(sentences=st.lists(ROWS, min_size=1, max_size=3), order=st.permutations([0, 1, 2]))
@QUIET
def test_columns_in_any_order_come_back(
    tmp_path: Path, sentences: list[list[tuple[str, str, str]]], order: list[int]
) -> None:
    from ner_elmo.text.formats.conversion import Job, convert

    lines = ["".join("\t".join(row[place] for place in order) + "\n" for row in rows) + "\n" for rows in sentences]
    path = write(tmp_path, "".join(lines))
    reading = Reading(token_column=order.index(0), column=order.index(1) - 3, header=False, comments="%")
    there, back = tmp_path / "x.jsonl", tmp_path / "back"
    try:
        convert(Job(path, there, "jsonl", reading))
    except DataError:
        assert any(row[order[0]].startswith("#") for rows in sentences for row in rows)
        return
    convert(Job(there, back, "iob2", Reading()))
    assert back.read_bytes() == path.read_bytes()
    units = [json.loads(line) for line in there.read_text().splitlines()]
    assert [unit["text"].split(" ") for unit in units] == [[row[0] for row in rows] for rows in sentences]


@pytest.mark.parametrize(
    ("line", "is_header"),
    [
        ("TOKEN\tNE-COARSE-LIT\tMISC", True),
        ("word\tlabel", True),
        ("Text Pos Ner", True),
        ("sentence_id\tword\tner_tags", True),
        ("Text\tNN\tO", False),
        ("token\tB-X", False),
        ("The\tDT", False),
    ],
)
def test_headers(line: str, is_header: bool) -> None:
    assert looks_like_header(line.split("\t" if "\t" in line else " "), 0, -1) is is_header


def test_a_header_is_left_out_where_declared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "TOKEN\tTAG\tMORE\n# language = fr\nUte\tB-PER\tx\nlebt\tO\t_\n\n"
    path = write(tmp_path, text)
    status, out, _ = ner_elmo(capsys, "check", path, "--column", 1)
    assert status == 3
    assert f"{path}:1: found no token and its tag, expected some; line 1 looks like a header (TOKEN, TAG): give" in out
    assert out.count("found ") == 1
    status, out, _ = ner_elmo(capsys, "convert", path, "-", "--to", "bioes", "--column", 1, "--header")
    assert (status, out) == (0, text.replace("B-PER", "S-PER"))
    status, out, _ = ner_elmo(capsys, "check", path, "--column", 1, "--header", "--comments", "# ")
    assert (status, "2 tokens" in out, "0 warnings" in out) == (0, True, True)


def test_a_header_of_unknown_words_and_of_other_width(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r":1: found no tag .*line 1 looks like a header \(Ding, Marke\): give",
    ):
        load_corpus(write(tmp_path, "Ding\tMarke\nUte\tB-PER\nlebt\tO\n"))
    with pytest.raises(DataError, match=r"line 1 looks like a header \(word, ner\): give --header"):
        load_corpus(write(tmp_path, "word\tner\nUte\tx\tB-PER\nlebt\tx\tO\n"))
    assert load_corpus(write(tmp_path, "word\tner\nUte\tx\tB-PER\nlebt\tx\tO\n"), header=True).sentences
    assert len(load_corpus(write(tmp_path, "word\tner\nx\tO\n"), header=False).sentences[0].tokens) == 2


def test_a_header_that_is_none_is_told(tmp_path: Path) -> None:
    corpus = load_corpus(write(tmp_path, "Ute\tB-PER\nlebt\tO\n"), header=True)
    assert [warning.message for warning in corpus.warnings] == [
        "found 'Ute' with the tag 'B-PER' in a line that --header leaves out, expected a header"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "## a-1\tUte:PER lebt\nUte\tB-PER\nlebt\tO\n",
        "#\turl\t[x]\t\nUte\tO\tO\tB-PER\n",
        "#\tx\ty\nUte\tB-PER\n",
    ],
)
def test_lines_at_fault_that_may_be_comments(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=r"a.conll:1: found .*line 1 begins with #: a comment\? \(--comments '#'\)"):
        load_corpus(path)
    assert load_corpus(path, comments="#").sentences[0].tokens[0] == "Ute"


def test_a_hash_that_is_a_token_elsewhere_is_not_given_away(tmp_path: Path) -> None:
    path = write(tmp_path, "## x\tUte:PER\n#\tO\nUte\tB-PER\n")
    with pytest.raises(DataError, match=r"line 1 begins with #: a comment\? \(--comments '##'\)"):
        load_corpus(path)
    assert load_corpus(path, comments="##").sentences[0].tokens == ("#", "Ute")
    corpus = load_corpus(path, comments="#")
    assert [warning.line for warning in corpus.warnings] == [2]


def test_several_kinds_of_comments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "% x\nUte\tB-PER\n## y\tz\n#\tO\n")
    for flags in (["--comments", "%,##"], ["--comments", "%, ##"], ["--comments", "%", "--comments", "##"]):
        status, out, _ = ner_elmo(capsys, "check", path, *flags)
        assert (status, "2 tokens" in out) == (0, True)
    assert ner_elmo(capsys, "check", path, "--comments", "%,")[0] == 2


def test_comments_with_tabs_among_blanks(tmp_path: Path) -> None:
    corpus = load_corpus(write(tmp_path, "# file:\t\tx y\nUte B-PER\n# url:\ta b\nlebt O\n"))
    assert corpus.sentences[0].tokens == ("Ute", "lebt")
    assert [warning.line for warning in corpus.warnings] == [1, 3]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Ute\tB-PER \n\nUte\tB-PER\n", ["blanks around a tag"]),
        (" Ute\tB-PER\n\nUte\u00a0\tB- PER\n", ["blanks around a tag", "blanks around a token"]),
        ("Ute\tB-PER\r\r\n\r\r\nUte\tB-PER\r\r\n", ["blanks around a line"]),
        ("Ute B-PER\u3000\n\nUte B-PER\n", ["blanks around a tag"]),
    ],
)
def test_blanks_at_edges_are_taken_off(tmp_path: Path, text: str, kinds: list[str]) -> None:
    corpus = load_corpus(write(tmp_path, text))
    assert {(sentence.tokens, sentence.spans[0].label) for sentence in corpus.sentences} == {(("Ute",), "PER")}
    assert sorted(warning.kind for warning in corpus.warnings) == kinds


def test_a_blank_may_be_a_token_and_labels_look_alike_no_more(tmp_path: Path) -> None:
    corpus = load_corpus(write(tmp_path, " \tB-Titre\u00a02\n\nx\tB-Titre 2\n\n\u3000\tO\n"))
    assert [sentence.tokens for sentence in corpus.sentences] == [(" ",), ("x",), ("\u3000",)]
    assert {span.label for sentence in corpus.sentences for span in sentence.spans} == {"Titre 2"}


@given(tag=st.text("BI-O a\u00a0\u3000\r\x0b", max_size=8))
def test_a_clean_tag_stays_clean(tag: str) -> None:
    assert clean_tag(clean_tag(tag)) == clean_tag(tag)
    assert clean_tag(tag) == clean_tag(f" {tag}\u00a0")


@pytest.mark.parametrize(
    "text", ["Ute\tB-PER\rlebt\tO\r\r", "Ute\tB-PER\rlebt\tO\r\rx\tO\n", "a\tO\nUte\tB-PER\rb\tO\n"]
)
def test_carriage_returns_inside_lines(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = text.count("\n", 0, text.index("\r")) + 1
    message = f":{line}: found carriage returns inside line {line}, expected lines that end at LF or CRLF"
    path = write(tmp_path, text)
    status, out, _ = ner_elmo(capsys, "check", path)
    assert (status, f"{path}{message}" in out) == (3, True)
    status, _, err = ner_elmo(capsys, "convert", path, tmp_path / "b", "--to", "jsonl")
    assert (status, message in err, (tmp_path / "b").exists()) == (3, True, False)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    status, out, _ = ner_elmo(capsys, "check", "-")
    assert (status, f"<stdin>{message}" in out) == (3, True)


READINGS = st.builds(
    Reading,
    column=st.integers(-3, 3).filter(lambda column: column != 1),
    token_column=st.sampled_from([None, 1]),
    header=st.sampled_from([None, True, False]),
    comments=st.sampled_from([None, "#", "a,# "]),
    scheme=st.sampled_from(["auto", "none", "iob2"]),
).filter(lambda reading: reading.column != (reading.token_column or 0))
CELLS = st.sampled_from(
    ["a", "1", "2", "#", "# x", "## y", "O", "B-X", "B_X", "word", "label", " ", "\r", "x y", "", "é"]
)
LINES = st.lists(CELLS, max_size=4).flatmap(lambda cells: st.sampled_from(["\t", " "]).map(lambda sep: sep.join(cells)))


@given(lines=st.lists(LINES, max_size=12), reading=READINGS)
@example(lines=["a", "#"], reading=Reading(column=2))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, database=None)
def test_any_columns_any_reading(tmp_path: Path, lines: list[str], reading: Reading) -> None:
    path = write(tmp_path, "\n".join(lines) + "\n")
    failure = ""
    try:
        corpus = load_corpus(path, reading)
    except DataError as error:
        failure = str(error)
    if failure:
        assert failure.startswith(f"{path}:")
        assert "\n" not in failure
        assert len(failure) < len(str(path)) + 330
    else:
        labels = {span.label for sentence in corpus.sentences for span in sentence.spans}
        assert all(label == " ".join(label.split()) for label in labels)
