"""check: what is in labelled files, and what is wrong with them."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ner_elmo.cli.main import main
from ner_elmo.text.formats.check import check_files
from ner_elmo.text.formats.conll import Reading


def check(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    status = main(["check", *map(str, arguments), "--json"])
    return status, json.loads(capsys.readouterr().out)


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("label", "said"), [("O", "1 entity with the label O"), ("B-PER", "found label B-PER"), ("E-MAIL", ""), ("PER", "")]
)
def test_tags_in_the_place_of_labels_are_named(tmp_path: Path, label: str, said: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "Ann came.", "entities": [{"start": 0, "end": 3, "label": label}]}))
    (report,) = check_files([path], Reading())
    assert (len(report.warnings), not report.errors) == (bool(said), True)
    assert all(said in problem.message for problem in report.warnings)


def test_a_sound_file(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = repository / "data" / "sample.train.conll"
    status, found = check(capsys, file)
    assert status == 0
    entities = {"LOC": 47, "MISC": 15, "ORG": 26, "PER": 22}
    assert found == {
        "files": [
            {"file": str(file), "sentences": 62, "tokens": 615, "scheme": "iob2", "entities": entities}
            | {"errors": [], "warnings": [], "left_out": {"errors": 0, "warnings": 0}}
        ]
    }


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (b"a\tO\n\nb\xff\tO\n", 3, "found byte 0xff at byte 2 of the line, expected utf-8 text"),
        ("a O\nb\n", 2, "found 1 column (separated by blanks), expected 2"),
        ("a\tO\nb\t\n", 2, "found an empty tag in column -1, expected a tag"),
        ("a x O\n\nb O\n", 3, "found 2 columns (separated by blanks), expected 3"),
        ("a O\nb B-X\nc PER\n", 3, "found tag 'PER', expected O or a tag such as B-PER"),
        ("\n\n", 2, "found no sentence, expected lines such as"),
        ("a\n", 1, "found 1 column, expected a token and a tag"),
    ],
)
def test_errors(tmp_path: Path, text: str | bytes, line: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, "a", text)
    status, found = check(capsys, file)
    assert status == 3
    error = found["files"][0]["errors"][0]
    assert error["line"] == line
    assert error["message"].startswith(message)
    assert main(["check", str(file)]) == 3
    assert f"{file}:{line}: {message}" in capsys.readouterr().out


def test_all_errors_are_listed_and_the_first_few_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, "a", b"a\tO\n" + b"b\tX\tO\n" * 20 + b"\xff\tO\nc\tB-X\n")
    status, found = check(capsys, file)
    assert (status, found["files"][0]["tokens"]) == (3, 3)
    assert [error["line"] for error in found["files"][0]["errors"]] == list(range(2, 23))
    assert main(["check", str(file)]) == 3
    out, err = capsys.readouterr()
    assert out.count("found 3 columns") == 3
    assert "(20 of this kind: number of columns)" in out
    assert err == "ner-elmo: 21 errors in 1 file\n"


def test_very_many_of_a_kind_are_counted_and_the_first_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, "a", b"a\tO\n\n" * 3001 + b"c\tB-X\n\nd\tB-X\n\nb\tI-X\n\n" + b"b\tX\tO\n" * 1500)
    status, found = check(capsys, file)
    (report,) = found["files"]
    assert (status, report["left_out"]) == (3, {"errors": 500, "warnings": 2000})
    assert [error["line"] for error in report["errors"]] == list(range(6009, 7009))
    repeats, ill_formed = report["warnings"][:-1], report["warnings"][-1]
    assert [warning["line"] for warning in repeats] == list(range(3, 2003, 2))
    assert ill_formed["line"] == 6007  # another kind: it is told, however many came before
    assert main(["check", str(file)]) == 3
    out, err = capsys.readouterr()
    assert "  3,001 warnings\n" in out
    assert "(3,000 of this kind: repeated sentence)" in out
    assert "(1,500 of this kind: number of columns)" in out
    assert err == "ner-elmo: 1,500 errors in 1 file\n"


def test_warnings_between_and_within_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = write(tmp_path, "train", "Ann B-PER\nruns O\n\nAnn B-PER\nruns O\n\nRome I-LOC\n\n# B-PER\n\n# O\n")
    dev = write(tmp_path, "dev", "Rome B-ORG\n\nÉva B-PER\n\nX B-NEW\n\nY B-NEW\n")
    status, found = check(capsys, train, dev)
    assert status == 0
    messages = [[(w["line"], w["message"]) for w in file["warnings"]] for file in found["files"]]
    assert messages[0] == [
        (4, "found again the sentence of line 1, expected it once"),
        (7, "found I-LOC at the start of a sentence, expected B-LOC in iob2; read as conlleval reads it"),
        (11, "found again the sentence of line 9, expected it once"),
        (11, f"found no entity, expected PER 0-1 as at {train}:9"),
    ]
    assert messages[1] == [
        (1, f"found label ORG, expected one of {train}: LOC, PER"),
        (1, f"found the sentence of {train}:7, expected it in one file only"),
        (1, f"found ORG 0-1, expected LOC 0-1 as at {train}:7"),
        (5, f"found label NEW, expected one of {train}: LOC, PER"),
    ]
    assert main(["check", str(train), str(dev)]) == 0
    out = capsys.readouterr().out
    assert "scheme iob2: prefixes B I; 1 transitions are ill-formed in iob2" in out
    assert "5 characters not in the first file" in out
    assert f"{dev}:5: found label NEW" in out


def test_fix_writes_the_repaired_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "\ufeffAnn  X\tI-PER\r\nLee X I-PER\r\n \t\r\n-DOCSTART- x\nRome X B-LOC"
    file, fixed = write(tmp_path, "a", text), tmp_path / "b"
    assert main(["check", str(file), "--fix", str(fixed), "--scheme", "bio"]) == 0
    assert fixed.read_text() == "Ann  X\tB-PER\nLee X I-PER\n\n-DOCSTART- x\nRome X B-LOC\n"
    assert "1 tag repaired" in capsys.readouterr().err
    assert check(capsys, fixed, "--scheme", "bio")[1]["files"][0]["warnings"] == []
    assert main(["check", str(file), "--fix", str(fixed)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_fix_leaves_bilou_as_it_is(tmp_path: Path) -> None:
    file, fixed = write(tmp_path, "a", "a U-X\nb B-X\nc L-X\nd U-X\n"), tmp_path / "b"
    assert main(["check", str(file), "--fix", str(fixed)]) == 0
    assert fixed.read_bytes() == file.read_bytes()


def test_fix_needs_a_file_without_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, "a", "a O\nb\n")
    assert main(["check", str(file), "--fix", str(tmp_path / "b")]) == 3
    assert "b is not written" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
    assert main(["check", str(file), str(file), "--fix", str(tmp_path / "b")]) == 2
    assert "one CoNLL file at a time" in capsys.readouterr().err


def test_jsonl_standard_input_and_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = '{"text": "Ann waits. Bob sees Rome.", "entities": [{"start": 0, "end": 3, "label": "PER"}]}\n'
    status, found = check(capsys, write(tmp_path, "a.jsonl", line))
    assert (status, found["files"][0]["sentences"], found["files"][0]["entities"]) == (0, 2, {"PER": 1})
    assert found["files"][0]["scheme"] == "spans"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a O\n\nb I-X\n")))
    status, found = check(capsys, "-")
    assert (status, found["files"][0]["file"], found["files"][0]["tokens"]) == (0, "<stdin>", 2)
    assert main(["check", str(tmp_path / "none")]) == 2
    assert main(["check", str(tmp_path / "a.jsonl"), "--scheme", "xyz"]) == 2
    assert main(["check", str(tmp_path / "a.jsonl"), "--text", "xyz"]) == 2


def test_damaged_archives_and_wrong_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = check(capsys, write(tmp_path, "a.gz", b"\x1f\x8b\x08\x00garbage"))
    assert status == 3
    assert found["files"][0]["errors"][0]["message"].startswith("found a damaged compressed file")
    status, found = check(capsys, write(tmp_path, "a", "\na O\n"), "--column", 5)
    assert status == 3
    assert found["files"][0]["errors"][0]["line"] == 2


def test_text_without_breaks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write(tmp_path, "one", "Ann B-PER\n" + "runs O\n" * 150)
    some = write(tmp_path, "some", "Ann B-PER\n\n" + "runs O\n" * 1200 + "\nBob B-PER\n")
    assert main(["check", str(one), str(some)]) == 0
    out = capsys.readouterr().out
    assert f"{one}:1: found 1 sentence of 151 tokens, expected blank lines between sentences" in out
    assert f"{some}:3: found a sentence of 1,200 tokens, expected blank lines between sentences" in out
    assert main(["train-tagger", "--train", str(one), "-o", str(tmp_path / "t")]) == 3
    assert f"ner-elmo: {one}:1: found 1 sentence of 151 tokens" in capsys.readouterr().err


def test_reports_are_bounded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = write(tmp_path, "labels", "".join(f"w{n} B-L{n % 40}\n\n" for n in range(200)))
    words = write(tmp_path, "words", "".join(f"w{n}\tB-Jane Doe {n} of {'x' * 20}\n\n" for n in range(2500)))
    long = write(tmp_path, "long", "## 1\tJane lives in Rome and works there, as her letter from May says\na\tO\n")
    status, found = check(capsys, labels, words, long)
    assert status == 3
    assert len(found["files"][1]["entities"]) == 2500
    errors = [[error["message"] for error in file["errors"]] for file in found["files"]]
    assert errors[0] == []
    assert errors[1][0].startswith("found 2,500 different labels, expected some tens: column -1 looks like words")
    assert "line 1 begins with #: a comment?" in errors[2][0]
    assert main(["check", *map(str, (labels, words, long))]) == 3
    out = capsys.readouterr().out
    assert "... and 30 more" in out
    assert "found 2,500 that look like words, not labels" in out
    assert max(map(len, out.splitlines())) < 300 + len(str(words))
    assert "letter" not in out
