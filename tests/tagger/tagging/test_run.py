"""One run over many files: what they share (stand-ins, counts, BRAT's labels) whatever output they are written to."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ner_elmo.errors import UsageError
from ner_elmo.tagger.tagger import Tagger
from ner_elmo.tagger.tagging.inputs import find_inputs
from ner_elmo.tagger.tagging.run import Job
from ner_elmo.tagger.tagging.settings import TagSettings
from ner_elmo.text.formats.brat import read_brat
from tests.support.command_line import ner_elmo
from tests.support.html_reader import read_page

TEXTS = {"a.txt": "Ann sees Rome .\nBob waits .\n", "b.txt": "Eve sees Rome .\nAnn waits .\n"}


@pytest.fixture(scope="module")
def tagger(trained: Path) -> Tagger:
    return Tagger.load(trained)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in TEXTS.items():
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text(text)
    return tmp_path


def run(
    tagger: Tagger,
    folder: Path,
    resume: bool = False,
    force: bool = False,
    out: str = "out",
    patterns: str | None = None,
    kinds: Sequence[str] = ("summary",),
    **settings: object,
) -> list[str]:
    """Tag into a folder; the lines of the summary, or of events of other kinds."""
    chosen = TagSettings(**settings)  # type: ignore[arg-type]
    inputs = find_inputs([str(folder / "in")], patterns, "auto", folder / out)
    events: list[Mapping[str, Any]] = []
    Job(tagger, chosen, report=events.append).to_each(inputs, folder / out, resume=resume, force=force)
    return [line for event in events if event["event"] in kinds for line in event["message"].splitlines()]


@pytest.mark.parametrize(
    ("reads_documents", "unit", "is_said"), [(True, "line", True), (True, "file", False), (False, "line", False)]
)
def test_who_tags_lines_hears_that_the_model_reads_whole_texts(
    tagger: Tagger, folder: Path, monkeypatch: pytest.MonkeyPatch, reads_documents: bool, unit: str, is_said: bool
) -> None:
    monkeypatch.setattr(Tagger, "reads_documents", reads_documents)
    said = run(tagger, folder, kinds=("note",), unit=unit)
    assert any("--unit paragraph or --unit file finds more" in line for line in said) == is_said


def found(tagger: Tagger) -> Sequence[tuple[str, str]]:
    """What the tagger finds in all texts: label, words."""
    lines = [line for text in TEXTS.values() for line in text.splitlines()]
    return [(entity.label, entity.text) for document in tagger.tag(lines) for entity in document.entities]


def test_an_entity_has_one_stand_in_in_all_files(tagger: Tagger, folder: Path) -> None:
    assert ("PER", "Ann") in found(tagger)  # or this test says nothing
    run(tagger, folder, format="redacted", pseudonyms=True, key_file=str(folder / "key.csv"))
    first, second = ((folder / "out" / f"{name}.redacted.txt").read_text() for name in TEXTS)
    assert first.split()[0:2] == ["[PER", "1]"]
    assert second.splitlines()[1] == "[PER 1] waits ."
    assert second.split()[0:2] != ["[PER", "1]"]
    with open(folder / "key.csv", newline="") as stream:
        rows = {row["stand-in"]: row for row in csv.DictReader(stream)}
    assert (rows["[PER 1]"]["text"], rows["[PER 1]"]["times"]) == ("Ann", "2")
    assert sum(int(row["times"]) for row in rows.values()) == len(found(tagger))


def test_a_key_is_never_replaced(tagger: Tagger, folder: Path) -> None:
    (folder / "key.csv").write_text("the only one")
    with pytest.raises(UsageError, match=r"key\.csv: exists already, and a key is never replaced"):
        run(tagger, folder, format="redacted", pseudonyms=True, key_file=str(folder / "key.csv"))
    assert (folder / "key.csv").read_text() == "the only one"
    assert not list((folder / "out").rglob("*.txt"))


def test_stand_ins_do_not_go_on_after_a_kill(tagger: Tagger, folder: Path) -> None:
    with pytest.raises(UsageError, match="--resume with --pseudonyms"):
        run(tagger, folder, resume=True, format="redacted", pseudonyms=True)


@pytest.mark.parametrize("format", ["csv", "html", "redacted", "brat", "jsonl"])
def test_a_summary_is_of_all_files(tagger: Tagger, folder: Path, format: str) -> None:
    assert run(tagger, folder, format=format) == []
    shutil.rmtree(folder / "out")
    entities = found(tagger)
    lines = run(tagger, folder, format=format, summary=True)
    assert lines[0].startswith("4 texts, ")
    assert lines[0].endswith(f"{len(entities)} entities")
    assert f"{entities.count(('PER', 'Ann')):>5}  Ann  (PER)" in lines


def test_the_summary_counts_what_is_written(tagger: Tagger, folder: Path) -> None:
    assert run(tagger, folder, format="csv", summary=True, min_score=1.0)[0].startswith("4 texts, 4 of them")


def test_a_summary_stands_where_results_do_not(trained: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tag = ["tag", folder / "in", "-m", trained, "-f", "csv", "--summary"]
    _, out, error = ner_elmo(capsys, *tag)
    assert (out[:10], "times  label" in error) == ("file,line,", True)
    assert "times" not in out
    for target in (folder / "one.csv", f"{folder}/out/"):
        _, out, error = ner_elmo(capsys, *tag, "-o", target)
        assert (out.startswith("4 texts, "), "times" in error) == (True, False)


@pytest.mark.parametrize("unit", ["line", "file"])
def test_brat_knows_the_labels(tagger: Tagger, folder: Path, unit: str) -> None:
    run(tagger, folder, format="brat", unit=unit)
    found_there = list((folder / "out").rglob("annotation.conf"))  # that of a folder hides those above it
    assert len(found_there) == (1 if unit == "file" else 1 + len(TEXTS))
    for path in found_there:
        assert path.read_text().split("[relations]")[0].split()[1:] == tagger.labels
    drawn = (folder / "out" / "visual.conf").read_text()
    assert all(f"\n{label}\tbgColor:#" in drawn for label in tagger.labels)
    units = list(read_brat(folder / "out", []))
    assert sum(len(unit.value["entities"]) for unit in units) == len(found(tagger))


def test_files_whose_names_are_shown_alike_are_not_mixed(tagger: Tagger, folder: Path) -> None:
    (deep := folder / "in" / ("d" * 120) / ("e" * 120)).mkdir(parents=True)
    names = ["one.txt", "other.txt", "new\nline.txt", "new\\nline.txt"]
    for number, name in enumerate(names):
        (deep / name).write_text(f"Ann sees Rome {number} .\n" * number)
    run(tagger, folder, format="jsonl")
    for number, name in enumerate(names):
        out = folder / "out" / deep.relative_to(folder / "in") / f"{name}.jsonl"
        objects = [json.loads(line) for line in out.read_text().splitlines()]
        assert [value["text"] for value in objects] == [f"Ann sees Rome {number} ."] * number
        assert all(value["file"] == str(deep / name).replace("\n", "\\n") for value in objects)


def test_what_people_changed_is_left_as_it_is(tagger: Tagger, folder: Path) -> None:
    run(tagger, folder, format="brat", unit="file")
    corrected, other = folder / "out" / "a.ann", folder / "out" / "b.ann"
    corrected.write_text("T1\tPER 0 3\tAnn\n")
    before = other.read_text()
    other.unlink()
    told = run(tagger, folder, resume=True, kinds=("note",), format="brat", unit="file")
    assert told == [
        "1 of 2 files are done already",
        f"{folder}/out/a.ann: changed since tag wrote it, and left as it is (--force tags it again)",
    ]
    assert (corrected.read_text(), other.read_text()) == ("T1\tPER 0 3\tAnn\n", before)
    with pytest.raises(UsageError, match=r"a\.txt: changed since tag wrote it, and so did its input or the settings"):
        run(tagger, folder, resume=True, format="brat", unit="file", min_score=0.5)
    assert corrected.read_text() == "T1\tPER 0 3\tAnn\n"
    run(tagger, folder, resume=True, force=True, format="brat", unit="file")
    assert corrected.read_text().splitlines()[0].endswith("Ann")
    assert len(corrected.read_text().splitlines()) > 1


def test_no_output_is_an_input_or_that_of_two(tagger: Tagger, folder: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.txt: is an input, and would be replaced"):
        run(tagger, folder, out="in", force=True, format="brat", unit="file")
    assert {path.name: path.read_text() for path in (folder / "in").iterdir()} == TEXTS
    (folder / "in" / "a.md").write_text("Bob waits .")
    with pytest.raises(UsageError, match=r"a\.txt: would be the output of both .*a\.md and .*a\.txt"):
        run(tagger, folder, patterns="*.txt,*.md", format="brat", unit="file")
    assert not (folder / "out").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="it has other locks")
def test_one_run_at_a_time(tagger: Tagger, folder: Path) -> None:
    run(tagger, folder)
    script = (
        "import fcntl, sys; f = open(sys.argv[1], 'ab'); fcntl.lockf(f, fcntl.LOCK_EX); print(1, flush=True); input()"
    )
    command = [sys.executable, "-c", script, str(folder / "out" / ".ner-elmo.jsonl")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UsageError, match="out: another run is writing there"):
            run(tagger, folder, force=True)
        other.communicate(b"\n")
    run(tagger, folder, force=True)


def test_damaged_files_do_not_end_the_others(tagger: Tagger, folder: Path) -> None:
    (folder / "in" / "c.txt.gz").write_text("no gzip")
    told = run(tagger, folder, kinds=("note",), format="jsonl")
    assert ["c.txt.gz:1: found a damaged" in line for line in told] == [True, False]
    assert sorted(path.name for path in (folder / "out").glob("*.jsonl") if path.name[0] != ".") == [
        "a.txt.jsonl",
        "b.txt.jsonl",
    ]
    (folder / "in" / "d.jsonl").write_text("no JSON\n")
    (folder / "in" / "e.jsonl").write_text('{"text": "Ann waits ."}\n')
    assert len(run(tagger, folder, patterns="*.jsonl", kinds=("note",), format="jsonl")) == 2
    assert (folder / "out" / "e.jsonl.jsonl").exists()


def test_a_name_that_is_too_long_is_refused_before_anything_is_tagged(tagger: Tagger, folder: Path) -> None:
    (folder / "in" / f"{'x' * 248}.txt").write_text("Ann")
    with pytest.raises(UsageError, match=r"\.\.\.: has too long a name \(255 bytes at most\)"):
        run(tagger, folder, format="jsonl")
    assert not (folder / "out").exists()
    (folder / "in" / f"{'x' * 248}.txt").unlink()
    (folder / "in" / f"{'界' * 81}.txt").write_text("Ann")  # 247 bytes: its temporary name must not be longer
    run(tagger, folder, format="csv")


def test_pages_and_tables_of_files(tagger: Tagger, folder: Path) -> None:
    run(tagger, folder, format="html")
    run(tagger, folder, format="csv")
    reader = read_page((folder / "out" / "a.txt.html").read_text(encoding="utf-8"))
    assert "Ann sees Rome ." in reader.text
    with open(folder / "out" / "b.txt.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        assert row["file"] == str(folder / "in" / "b.txt")
        line = TEXTS["b.txt"].splitlines()[int(row["line"]) - 1]
        assert line[int(row["start"]) : int(row["end"])] == row["text"]
        assert row["sentence"] == line


def test_progress_ends_where_all_is_done(tagger: Tagger, folder: Path) -> None:
    events: list[Mapping[str, Any]] = []
    job = Job(tagger, TagSettings(format="jsonl"), report=events.append)
    job.to_one(find_inputs([str(folder / "in")]), folder / "one.jsonl")
    last = [event for event in events if event["event"] == "progress"][-1]
    assert last["done"] == last["total"] == sum(len(text.split()) for text in TEXTS.values())


def test_what_a_format_has_no_place_for_is_said_once(tagger: Tagger, folder: Path) -> None:
    notes = run(tagger, folder, format="doccano", kinds=("note",))
    assert [line for line in notes if "has no place" in line] == ["doccano has no place for scores: left out"]
