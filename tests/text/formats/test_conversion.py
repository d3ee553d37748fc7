"""convert: there and back without loss, between tag schemes, CoNLL, JSONL and BRAT."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, reject, settings
from hypothesis import strategies as st

from ner_elmo.cli.main import main
from ner_elmo.errors import DataError
from ner_elmo.text.formats import conversion
from ner_elmo.text.formats.conll import Reading
from ner_elmo.text.formats.corpus import load_corpus
from ner_elmo.text.tag_scheme import Span

FOUR_COLUMNS = (
    "-DOCSTART- -X- -X- O\n\n# remark = 1 2 3\nEU NNP  I-NP I-ORG\nof IN I-PP O\n# # # I-MISC\nUS NNP I-NP B-MISC\n\n"
    "\u00a0 Z I-NP I-PER\n"
)
UNITS = [
    {
        "text": "Ann sees Rome. She waits.",
        "entities": [
            {"start": 0, "end": 3, "label": "PER", "text": "Ann", "score": 1.0},
            {"start": 9, "end": 13, "label": "LOC", "text": "Rome", "score": 1.0},
        ],
    },
    {"text": "\U0001f600 Zoë", "entities": [{"start": 2, "end": 5, "label": "PER", "text": "Zoë", "score": 1.0}]},
    {"text": "", "entities": []},
]


def convert(source: Path, target: Path, to: str, *more: str) -> Path:
    assert main(["convert", str(source), str(target), "--to", to, *more]) == 0
    return target


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(unit, ensure_ascii=False) + "\n" for unit in UNITS), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["iob2", "bioes", "bmes", "conll"])
def test_schemes_there_and_back_keep_every_column(tmp_path: Path, scheme: str) -> None:
    source = tmp_path / "a"
    source.write_text(FOUR_COLUMNS, encoding="utf-8")
    there = convert(source, tmp_path / "b", scheme)
    assert there.read_text("utf-8") != FOUR_COLUMNS
    assert load_corpus(there).sentences == load_corpus(source).sentences
    assert convert(there, tmp_path / "c", "iob1").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("part", ["train", "dev", "test"])
def test_samples_there_and_back(repository: Path, tmp_path: Path, part: str) -> None:
    source = repository / "data" / f"sample.{part}.conll"
    there = convert(source, tmp_path / "a.jsonl", "jsonl")
    assert load_corpus(there).sentences == load_corpus(source).sentences
    assert load_corpus(convert(there, tmp_path / "b", "iob2")).sentences == load_corpus(source).sentences
    brat = convert(source, tmp_path / "x.ann", "brat")
    assert load_corpus(convert(brat, tmp_path / "c", "bioes")).sentences == load_corpus(source).sentences


# Tokens with blanks, no-break spaces, zero-width characters, line separators; empty ones; what looks like a comment.
TOKENS = st.text("ab #-\u00a0\u200b\u2028\u3000\ufeff\x0b\x85é中😀", max_size=3)
TAGS = st.sampled_from(["O", "B-X", "I-X", "B-PER.NAM"])
GAPS = st.sampled_from(["\n", "\n\n", "-DOCSTART-\tO\n", "\n-DOCSTART-\tO\n\n", "\n#begin document x\n"])
FILES = st.lists(st.tuples(st.lists(st.tuples(TOKENS, TAGS), min_size=1, max_size=5), GAPS), min_size=1, max_size=4)
MORE = st.sampled_from(["", "\tN", "\tN\tI-NP"])
ANYTHING = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, database=None)


def quickly(source: Path, target: Path, to: str, scheme: str = "auto") -> Path:
    """What the command does, without the command line."""
    conversion.convert(conversion.Job(source, target, to, Reading(scheme=scheme)))
    return target


def through(source: Path, folder: Path, formats: list[str], to: str) -> bytes:
    """The file after it went through other formats."""
    names = {"jsonl": "x.jsonl", "pair": "x.ann", "folder": "x"}
    for n, format in enumerate(formats):
        target = folder / f"{n}{names[format]}"
        source = quickly(source, target, "jsonl" if format == "jsonl" else "brat")
    return quickly(source, folder / ("last.jsonl" if to == "jsonl" else "last"), to).read_bytes()


@given(sentences=FILES, start=st.sampled_from(["", "\n", "-DOCSTART-\tO\n\n"]), more=MORE)
@example(sentences=[([("\ufeff\ufeff", "O")], "\n")], start="", more="")
@example(sentences=[([("\ufeff\ufeff\ufeffa", "B-X")], "\n")], start="", more="\tN")
@ANYTHING
def test_any_conll_comes_back(
    tmp_path: Path, sentences: list[tuple[list[tuple[str, str]], str]], start: str, more: str
) -> None:
    source = tmp_path / "a"
    text = start + "".join("".join(f"{a}{more}\t{b}\n" for a, b in s) + gap for s, gap in sentences)
    source.write_bytes(text.encode())
    expected = quickly(source, tmp_path / "b", "iob2").read_bytes()
    for formats in (["jsonl"], ["pair"], ["folder", "jsonl", "pair"]):
        assert through(source, tmp_path, formats, "iob2") == expected
    there = quickly(source, tmp_path / "a.jsonl", "jsonl")
    # All but the numbers of documents: a unit there is a sentence.
    assert [s[:2] for s in load_corpus(there).sentences] == [s[:2] for s in load_corpus(source).sentences]
    for scheme in ("iob1", "bioes", "bmes"):
        other = quickly(source, tmp_path / scheme, scheme)
        assert quickly(other, tmp_path / "c", "iob2", scheme).read_bytes() == expected


@given(sentences=FILES)
@ANYTHING
def test_any_blanks_between_columns_come_back(
    tmp_path: Path, sentences: list[tuple[list[tuple[str, str]], str]]
) -> None:
    source = tmp_path / "a"
    lines = [f" x{a.replace(' ', '').strip()}y  N{i} {b} \n" for s, _ in sentences for i, (a, b) in enumerate(s)]
    source.write_bytes("".join(lines).encode())
    expected = quickly(source, tmp_path / "b", "iob2").read_bytes()
    assert through(source, tmp_path, ["jsonl", "pair"], "iob2") == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.dictionaries(st.sampled_from(["id", "note", "source", "score=", "中"]), JSON, max_size=3)
NOTES = st.sampled_from(["", "sure", "score=0.5", "{}", '{"id": 1}', " a", "a\tb", "score=1 x", "\u2028"])
CHARACTERS = "ab \n\r\t\u00a0\u200b\u2028\ufeff😀"


@st.composite
def units(draw: st.DrawFn) -> dict[str, object]:
    """An object as ``tag`` writes it, with keys that somebody added."""
    text = draw(st.text(CHARACTERS, max_size=12))
    more = draw(KEYS)
    if draw(st.integers(0, 5)) == 0:
        return {"text": text, "error": "no memory", **more}
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    entities = []
    for start, end in zip(cuts[::2], cuts[1::2], strict=False):
        entity = {"start": start, "end": end, "label": draw(st.sampled_from(["PER", "O", "B-X", "é;#"]))}
        score = draw(st.floats(0, 1) | st.just(1.0))
        extra = draw(st.just({}) | KEYS | NOTES.map(lambda note: {"note": note}))
        entities.append({**entity, "text": text[start:end], "score": score, **extra})
    if draw(st.booleans()):
        more["tokens"] = [[[start, end]] for start, end in zip(cuts[::2], cuts[1::2], strict=False)]
    return {"text": text, "entities": entities, **more}


@given(values=st.lists(units(), min_size=1, max_size=4))
@ANYTHING
def test_any_jsonl_comes_back_from_brat(tmp_path: Path, values: list[dict[str, object]]) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text("".join(json.dumps(value) + "\n" for value in values))
    through(source, tmp_path, ["folder"], "jsonl")
    assert [json.loads(line) for line in (tmp_path / "last.jsonl").read_bytes().splitlines()] == values
    for value in values:
        if "\n" in str(value["text"]):
            return
    through(source, tmp_path, ["pair"], "jsonl")
    assert [json.loads(line) for line in (tmp_path / "last.jsonl").read_bytes().splitlines()] == values


@given(values=st.lists(units(), min_size=1, max_size=4))
@ANYTHING
def test_any_jsonl_comes_back_from_columns(tmp_path: Path, values: list[dict[str, object]]) -> None:
    """Text between tokens, scores, further keys and failed units lie beside the columns."""
    source = tmp_path / "a.jsonl"
    source.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    expected = quickly(source, tmp_path / "b.jsonl", "jsonl").read_bytes()
    columns = tmp_path / "c.conll"
    try:
        conversion.convert(conversion.Job(source, columns, "iob2", Reading(text="characters")))
    except DataError:  # an entity that is no run of tokens; no token at all
        reject()
    assume(columns.read_text("utf-8").strip())
    assert quickly(columns, tmp_path / "d.jsonl", "jsonl").read_bytes() == expected


def test_columns_corrected_by_hand_keep_text_and_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entities = [
        {"start": 0, "end": 3, "label": "PER", "score": 0.9, "by": "me"},
        {"start": 10, "end": 14, "label": "LOC", "score": 0.4},
    ]
    unit = {"text": "Ann  sees Rome.", "entities": entities, "id": 7}
    source = tmp_path / "a.jsonl"
    source.write_text(json.dumps(unit) + '\n{"text": "x", "error": "y"}\n', encoding="utf-8")
    columns = convert(source, tmp_path / "a.conll", "iob2")
    assert "kept in a.conll.units.jsonl beside it" in capsys.readouterr().err
    columns.write_text(columns.read_text().replace("B-LOC", "B-ORG"))
    back = convert(columns, tmp_path / "b.jsonl", "jsonl").read_text().splitlines()
    found = json.loads(back[0])
    assert (found["text"], found["id"]) == (unit["text"], 7)
    assert [(e["label"], e["text"], e["score"], e.get("by")) for e in found["entities"]] == [
        ("PER", "Ann", 0.9, "me"),
        ("ORG", "Rome", 1.0, None),
    ]
    assert json.loads(back[1]) == {"text": "x", "error": "y"}
    assert main(["convert", str(source), str(columns), "--to", "iob2"]) == 2  # nothing is overwritten unasked

    columns.write_text(columns.read_text().replace("Rome", "Roma"))
    assert main(["convert", str(columns), str(tmp_path / "c.jsonl"), "--to", "jsonl"]) == 3
    assert "a.conll.units.jsonl:1 has other tokens; expected the tokens as they were written" in capsys.readouterr().err
    assert not (tmp_path / "c.jsonl").exists()
    (tmp_path / "a.conll.units.jsonl").unlink()
    assert json.loads(convert(columns, tmp_path / "c.jsonl", "jsonl").read_text())["text"] == "Ann sees Roma ."


@pytest.mark.parametrize(
    "line", ["", "{}", "[1, 2]", '[{"text": "a", "entities": []}, [[[0, 2]]]]', '[{"text": 1}, []]']
)
def test_a_damaged_file_beside_the_columns(tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.conll").write_text("a\tO\n\n")
    (tmp_path / "a.conll.units.jsonl").write_text(line + "\n")
    assert main(["convert", str(tmp_path / "a.conll"), str(tmp_path / "b.jsonl"), "--to", "jsonl"]) == 3
    assert "a.conll.units.jsonl:1: found another line than convert writes" in capsys.readouterr().err
    assert not (tmp_path / "b.jsonl").exists()


def test_what_labels_without_prefixes_cannot_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "a"
    source.write_text("a\tB-X\nb\tI-X\nc\tO\n\n")
    there = convert(source, tmp_path / "b", "none")
    assert there.read_text() == "a\tX\nb\tX\nc\tO\n\n"
    assert convert(there, tmp_path / "c", "iob2").read_bytes() == source.read_bytes()
    source.write_text("a\tB-X\nb\tB-X\n\n")
    assert main(["convert", str(source), str(tmp_path / "d"), "--to", "none"]) == 3
    assert "a:2: found X right after X, which labels without prefixes cannot tell apart" in capsys.readouterr().err


@pytest.mark.parametrize("layout", ["x", [3], [["\t"], 5], [["\t"]], [["a\n"], 1], [["\t"], -1, ["\t"]], [None]])
def test_a_layout_of_other_lines(tmp_path: Path, layout: object, capsys: pytest.CaptureFixture[str]) -> None:
    unit = {"text": "a b", "entities": [], "tokens": [[[0, 1], [2, 3]]], "conll": layout}
    (tmp_path / "a.jsonl").write_text(json.dumps(unit))
    assert main(["convert", str(tmp_path / "a.jsonl"), str(tmp_path / "b"), "--to", "iob2"]) == 3
    assert 'a.jsonl:1: found other "conll", expected the lines of 2 tokens' in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("wnut17/emerging.dev.conll", "iob2"),
        ("weibo/weiboNER_2nd_conll.dev", "iob2"),
        ("resume/dev.char.bmes", "bmes"),
        ("conll2003/eng.testa", "iob1"),
    ],
)
def test_real_files_come_back_to_the_byte(shared: Path, tmp_path: Path, name: str, scheme: str) -> None:
    source = shared / "data" / "ner" / name
    for formats in (["jsonl"], ["pair"], ["folder", "jsonl", "pair"]):
        assert through(source, tmp_path, formats, scheme) == source.read_bytes()


@pytest.mark.parametrize("target", ["x.ann", "x.txt", "folder"])
def test_jsonl_and_brat_there_and_back(jsonl: Path, tmp_path: Path, target: str) -> None:
    there = convert(jsonl, tmp_path / target, "brat")
    assert convert(there, tmp_path / "b.jsonl", "jsonl").read_bytes() == jsonl.read_bytes()


def test_a_text_of_several_lines_needs_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unit = {"text": "Ann\nLee sees.", "entities": [{"start": 0, "end": 7, "label": "PER"}]}
    (tmp_path / "two.jsonl").write_text(2 * (json.dumps(unit) + "\n"), encoding="utf-8")
    assert main(["convert", str(tmp_path / "two.jsonl"), str(tmp_path / "x.ann"), "--to", "brat"]) == 2
    assert "unit 1 has several lines" in capsys.readouterr().err
    assert not (tmp_path / "x.ann").exists()
    (tmp_path / "a.jsonl").write_text(json.dumps(unit), encoding="utf-8")
    folder = convert(tmp_path / "a.jsonl", tmp_path / "x", "brat")
    assert (folder / "000001.ann").read_text() == "T1\tPER 0 3;4 7\tAnn Lee\n"
    back = json.loads(convert(folder, tmp_path / "b.jsonl", "jsonl").read_text())
    assert (back["text"], back["entities"][0]["text"]) == ("Ann\nLee sees.", "Ann\nLee")


@pytest.mark.parametrize("text", ["Ann\nLee sees.", "Ann\n\nBob\r\n"])
def test_one_text_of_several_lines_is_a_pair(tmp_path: Path, text: str) -> None:
    unit = {"text": text, "entities": [{"start": 0, "end": 3, "label": "PER"}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(unit), encoding="utf-8")
    pair = convert(tmp_path / "a.jsonl", tmp_path / "x.ann", "brat")
    (back,) = convert(pair, tmp_path / "b.jsonl", "jsonl").read_text().splitlines()
    assert json.loads(back)["text"] == text


def test_brat_as_annotators_leave_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_bytes(b"Ann sees Rome.\n\nBob and Eva Lee wait.\n")
    lines = [
        "T2\tLOC 9 13\tRome",
        "R1\tIn Arg1:T1 Arg2:T2",
        "T1\tPER 0 3\tAnn",
        "T3\tPER 16 19;28 31\tBob Lee",
        "#1\tNote T1\tx",
    ]
    (tmp_path / "a.ann").write_text("\n".join(lines) + "\n")
    out = convert(tmp_path / "a.ann", tmp_path / "b.jsonl", "jsonl")
    units = [json.loads(line) for line in out.read_text().splitlines()]
    assert [unit["text"] for unit in units] == ["Ann sees Rome.", "", "Bob and Eva Lee wait."]
    assert [[e["text"] for e in unit["entities"]] for unit in units] == [["Ann", "Rome"], [], []]
    err = capsys.readouterr().err
    assert "a.ann:4: found discontinuous PER at 16 19;28 31" in err
    assert "a.ann: left out what is no entity: 1 relation (line 2); 1 note on something else (line 5)" in err


def test_edited_brat(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    units = [
        {"text": "Ann sees Rome .", "tokens": [[[0, 3], [4, 8], [9, 13], [14, 15]]], "id": 7},
        {"text": "She waits", "tokens": [[[0, 3], [4, 9]]]},
        {"text": "and waits", "error": "too long"},
    ]
    for unit in units[:2]:
        unit["entities"] = [{"start": 0, "end": 3, "label": "PER", "text": unit["text"][:3], "score": 0.75}]  # type: ignore[index]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(unit) + "\n" for unit in units))
    ann = convert(tmp_path / "a.jsonl", tmp_path / "x.ann", "brat")
    note = "#{0}\tAnnotatorNotes T{0}\tscore=0.75\n"
    assert ann.read_text() == f"T1\tPER 0 3\tAnn\n{note.format(1)}T2\tPER 16 19\tShe\n{note.format(2)}"
    # Moved; deleted with its note left; added over two lines; added in the unit that had failed, with a note.
    edits = [
        "T1\tLOC 9 13\tRome",
        "#1\tAnnotatorNotes T1\tscore=0.75 sure?",
        "#2\tAnnotatorNotes T2\tscore=0.75",
        "T3\tORG 20 25;26 29\twaits and",
        "#3\tAnnotatorNotes T3\tlooks odd",
        "T4\tX 30 35\twaits",
        "T5\tGo 14 15\t.",
        "E1\tGo:T5 Who:T1",
        "A1\tNegation E1",
        "A2\tNegation T1",
        "T6\tX 30 35\twaits",
    ]
    ann.write_text("".join(line + "\n" for line in edits))
    back = convert(ann, tmp_path / "b.jsonl", "jsonl")
    found = [json.loads(line) for line in back.read_text().splitlines()]
    assert [unit["text"] for unit in found] == ["Ann sees Rome .", "She waits\nand waits"]
    rome = {"start": 9, "end": 13, "label": "LOC", "text": "Rome", "score": 0.75, "note": "sure?"}
    assert found[0] == {**units[0], "entities": [rome]}
    assert [(e["text"], e["score"], e.get("note")) for e in found[1]["entities"]] == [
        ("waits\nand", 1.0, "looks odd"),
        ("waits", 1.0, None),
    ]
    err = capsys.readouterr().err
    assert "1 trigger of an event (line 7); 1 note on something else (line 3)" in err
    assert "1 event (line 8); 2 attributes (lines 9-10)" in err
    assert "x.ann:11: found X at 30-35 a second time, expected it once; counted once" in err
    assert "x.txt:2-3: found an entity that goes through these lines; read as one unit" in err
    ann.write_text("T1\tPER 0 2\tAn\n")
    assert main(["convert", str(ann), str(tmp_path / "c"), "--to", "iob2"]) == 3
    assert "x.txt:1: found PER at 0-2, which ends inside the token at 0-3" in capsys.readouterr().err


def test_brat_without_or_with_another_file_of_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "a"
    source.write_text("Ann\tB-PER\nLee\tI-PER\n\n")
    ann = convert(source, tmp_path / "x.ann", "brat")
    (tmp_path / "x.txt").write_text("Ann Le\n")
    ann.write_text("T1\tPER 0 6\tAnn Le\n")
    assert main(["convert", str(ann), str(tmp_path / "b"), "--to", "jsonl"]) == 3
    assert "x.txt:1: found a unit of 6 characters, expected 7 as x.units.jsonl says" in capsys.readouterr().err
    (tmp_path / "x.units.jsonl").write_text("[]\n")
    assert main(["convert", str(ann), str(tmp_path / "b"), "--to", "jsonl"]) == 3
    assert "x.units.jsonl:1: found '[]', expected an object as convert writes it" in capsys.readouterr().err
    (tmp_path / "x.units.jsonl").unlink()
    assert "tokens" not in json.loads(convert(ann, tmp_path / "b", "jsonl").read_text())
    # A pair that needs no such file does not keep an old one.
    convert(source, ann, "brat", "--force")
    (tmp_path / "c.jsonl").write_text('{"text": "Ann", "entities": []}\n')
    assert main(["convert", str(tmp_path / "c.jsonl"), str(ann), "--to", "brat"]) == 2
    convert(tmp_path / "c.jsonl", ann, "brat", "--force")
    assert not (tmp_path / "x.units.jsonl").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("T1\tPER 0 99\tAnn", "a.ann:1: found offsets 0 99"),
        ("T1\tPER 0 3\tBob", "a.ann:1: found text 'Bob', expected 'Ann'"),
        ("T1 PER", "a.ann:1: found 'T1 PER', expected T1<TAB>LABEL"),
        ("T1\tPER 0 3\tAnn\nT2\tLOC 0 8\tAnn sees", "which overlaps another entity"),
    ],
)
def test_damaged_brat(tmp_path: Path, line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("Ann sees Rome.\n")
    (tmp_path / "a.ann").write_text(line + "\n")
    assert main(["convert", str(tmp_path / "a.ann"), str(tmp_path / "b"), "--to", "jsonl"]) == 3
    assert message in capsys.readouterr().err


def test_a_boundary_inside_a_token_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('\n{"text": "Annie sees.", "entities": [{"start": 0, "end": 3, "label": "PER"}]}\n')
    assert main(["convert", str(path), str(tmp_path / "b"), "--to", "iob2"]) == 3
    found = "a.jsonl:2: found PER at 0-3, which ends inside the token at 0-5, expected 0 or 5 there"
    assert found in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_sentences_that_an_entity_goes_through_are_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"text": "I like Foo! The Band here. So do we.", "entities": [{"start": 7, "end": 20, "label": "ORG"}]}'
    )
    assert [s.spans for s in load_corpus(path).sentences] == [(Span(2, 6, "ORG"),), ()]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "found no JSON"),
        ("[1]", 'found no "text"'),
        ('{"text": "a"}', 'found no list of "entities"'),
        ('{"text": "ab", "entities": [{"start": 0, "end": 3, "label": "X"}]}', "found an entity from 0 to 3, expected"),
        (
            '{"text": "ab", "entities": [{"start": 0, "end": 2, "label": "X\\tY"}]}',
            "found label 'X\\tY' with the character U+0009",
        ),
        ('{"text": "ab", "entities": [{"start": 0, "end": 2, "label": "X", "text": "a"}]}', 'found "a" as the text'),
        (
            '{"text": "a b", "entities": [{"start": 0, "end": 3, "label": "X"}, {"start": 2, "end": 3, "label": "Y"}]}',
            "do not overlap",
        ),
        ('{"text": "a b", "entities": [{"start": 1, "end": 2, "label": "X"}]}', "which holds no token"),
        ('{"text": "a\\ud800", "entities": []}', "half of a surrogate pair"),
        ('{"text": "a", "entities": [], "tokens": [[[0, 9]]]}', 'found other "tokens"'),
    ],
)
def test_damaged_jsonl(tmp_path: Path, line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text(line + "\n")
    assert main(["check", str(tmp_path / "a.jsonl")]) == 3
    out = capsys.readouterr().out
    assert "a.jsonl:1: found" in out
    assert message in out


def test_wrong_usage(tmp_path: Path, jsonl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    for arguments, message in [
        ([jsonl, out, "--to", "xml"], "--to xml: unknown; expected conll, iob1"),
        ([tmp_path / "none", out, "--to", "iob2"], "no such file"),
        ([jsonl, jsonl, "--to", "iob2"], "exists already"),
        ([jsonl, tmp_path, "--to", "iob2", "--force"], "is a directory"),
        ([jsonl, "-", "--to", "brat"], "BRAT is files in pairs"),
        ([jsonl, out, "--to", "conll", "--text", "klingon"], "unknown kind of text 'klingon'"),
    ]:
        assert main(["convert", *map(str, arguments)]) == 2
        assert message in capsys.readouterr().err


def test_labels_of_several_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Accepted in columns separated by tabs, in JSONL and, with ``_``, in BRAT; there and back."""
    source = tmp_path / "a.conll"
    source.write_text("No\tO\n7\tB-Invoice Number\n8\tI-Invoice Number\n\nAnn\tB-Invoice_Number\n\n")
    assert through(source, tmp_path, ["jsonl", "pair", "folder"], "iob2") == source.read_bytes()
    assert main(["check", str(tmp_path / "0x.jsonl")]) == 0
    assert "2 entities: Invoice Number 1, Invoice_Number 1" in capsys.readouterr().out
    assert main(["convert", str(source), str(tmp_path / "b.ann"), "--to", "brat"]) == 0
    assert "labels of several words have _" in capsys.readouterr().err
    annotations = (tmp_path / "b.ann").read_text()
    assert annotations.startswith('T1\tInvoice_Number 3 6\t7 8\n#1\tAnnotatorNotes T1\t{"label": "Invoice Number"}\n')
    (tmp_path / "b.ann").write_text(annotations.replace("\tInvoice_Number 3", "\tDate 3"))  # an annotator's change
    quickly(tmp_path / "b.ann", tmp_path / "c.jsonl", "jsonl")
    assert [json.loads(line)["entities"][0]["label"] for line in (tmp_path / "c.jsonl").read_text().splitlines()] == [
        "Date",
        "Invoice_Number",
    ]


def test_columns_separated_by_blanks_hold_no_label_of_several_words(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("7 B-X\n\n")
    unit = quickly(tmp_path / "a", tmp_path / "a.jsonl", "jsonl").read_text().replace('"X"', '"X Y"')
    (tmp_path / "a.jsonl").write_text(unit)
    with pytest.raises(DataError, match=r"a.jsonl:1: found label 'B-X Y', which columns separated by blanks cannot"):
        quickly(tmp_path / "a.jsonl", tmp_path / "b", "iob2")
    assert not (tmp_path / "b").exists()
