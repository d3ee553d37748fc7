"""Offsets of other tools, entities that overlap and entities in pieces, as the settings say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import ner_elmo

TEXT = "😀 Lena Vogt kam."


def label_studio(folder: Path, start: int, end: int, said: str | None) -> Path:
    value = {"start": start, "end": end, "labels": ["PER"]} | ({} if said is None else {"text": said})
    task = {"data": {"text": TEXT}, "annotations": [{"result": [{"type": "labels", "value": value}]}]}
    path = folder / "a.json"
    path.write_text(json.dumps([task]))
    return path


def entities(out: str) -> list[tuple[int, int, str]]:
    return [(e["start"], e["end"], e["label"]) for line in out.splitlines() for e in json.loads(line)["entities"]]


def test_what_offsets_count_is_seen_by_the_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, error = ner_elmo(capsys, "convert", label_studio(tmp_path, 3, 12, "Lena Vogt"), "-", "--to", "jsonl")
    assert (status, entities(out)) == (0, [(2, 11, "PER")])
    assert "UTF-16" in error
    status, out, error = ner_elmo(capsys, "convert", label_studio(tmp_path, 2, 11, "Lena Vogt"), "-", "--to", "jsonl")
    assert (status, entities(out), error) == (0, [(2, 11, "PER")], "")
    status, _, error = ner_elmo(capsys, "convert", label_studio(tmp_path, 4, 12, "Lena Vogt"), "-", "--to", "jsonl")
    assert (status, "expected these to agree" in error) == (3, True)


@pytest.mark.parametrize(("unit", "start", "end"), [("char", 2, 11), ("utf16", 3, 12), ("byte", 5, 14)])
def test_what_offsets_count_can_be_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], unit: str, start: int, end: int
) -> None:
    files = [label_studio(tmp_path, start, end, None), tmp_path / "a.jsonl"]
    files[1].write_text(json.dumps({"text": TEXT, "entities": [{"start": start, "end": end, "label": "PER"}]}))
    for file in files:
        status, out, _ = ner_elmo(capsys, "convert", file, "-", "--to", "jsonl", "--offsets", unit)
        assert (status, entities(out)) == (0, [(2, 11, "PER")])


def test_offsets_outside_of_the_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.jsonl"
    lines = [{"text": TEXT, "label": [[12, 17, "X"]]}, {"text": "Lena", "label": [[0, 9, "X"], [-1, 2, "X"]]}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    status, _, error = ner_elmo(capsys, "convert", path, "-", "--to", "jsonl")
    assert status == 3
    assert "a.jsonl:1: found X at 12-17, expected offsets within" in error
    assert "--offsets utf16" in error.splitlines()[0]
    assert error.count("a.jsonl:2: found X at") == 2


@pytest.mark.parametrize(("policy", "kept"), [("longest", [(0, 9, "PER")]), ("first", [(0, 4, "PER"), (5, 9, "LOC")])])
def test_overlaps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], policy: str, kept: list[tuple[int, int, str]]
) -> None:
    text = "Lena Vogt"
    spans = [[0, 4, "PER"], [0, 9, "PER"], [5, 9, "LOC"]]
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": text, "label": spans}))
    ours = [{"start": a, "end": b, "label": c} for a, b, c in spans]
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": text, "entities": ours}))
    (tmp_path / "c.txt").write_text(text)
    (tmp_path / "c.ann").write_text("".join(f"T{n}\t{c} {a} {b}\t{text[a:b]}\n" for n, (a, b, c) in enumerate(spans)))
    for name in ("a.jsonl", "b.jsonl", "c.ann"):
        assert ner_elmo(capsys, "convert", tmp_path / name, "-", "--to", "jsonl")[0] == 3
        status, out, error = ner_elmo(capsys, "convert", tmp_path / name, "-", "--to", "jsonl", "--overlaps", policy)
        assert (status, entities(out)) == (0, kept)
        assert "left out" in error


SPAN = {"start": 2, "end": 11, "label": "PER"}
LABELS = {"type": "labels", "value": {"start": 2, "end": 11, "labels": ["PER"]}}
GIVEN_TWICE: dict[str, object] = {
    "ours.jsonl": {"text": TEXT, "entities": [SPAN, SPAN]},
    "doccano.jsonl": {"text": TEXT, "label": [[2, 11, "PER"], [2, 11, "PER"]]},
    "label_studio.json": [{"data": {"text": TEXT}, "annotations": [{"result": [LABELS, LABELS]}]}],
    "prodigy.jsonl": {"text": TEXT, "spans": [SPAN, SPAN], "answer": "accept"},
    "spacy.json": [[TEXT, {"entities": [[2, 11, "PER"], [2, 11, "PER"]]}]],
}


@pytest.mark.parametrize("name", [*GIVEN_TWICE, "pair/c.ann", "pair"])
@pytest.mark.parametrize("policy", ["error", "longest", "first"])
def test_what_is_given_twice_counts_once(
    name: str, policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pair").mkdir()
    (tmp_path / "pair" / "c.txt").write_text(TEXT)
    (tmp_path / "pair" / "c.ann").write_text("".join(f"T{n}\tPER 2 11\tLena Vogt\n" for n in range(3)))
    if name in GIVEN_TWICE:
        (tmp_path / name).write_text(json.dumps(GIVEN_TWICE[name]))
    status, out, error = ner_elmo(capsys, "convert", tmp_path / name, "-", "--to", "jsonl", "--overlaps", policy)
    assert (status, entities(out)) == (0, [(2, 11, "PER")])
    (said,) = error.splitlines()
    assert "found PER at 2-11 a second time, expected it once; counted once" in said
    assert ("(2 such entities)" in said) == name.startswith("pair")
    status, out, _ = ner_elmo(capsys, "check", tmp_path / name)
    assert (status, out.count("a second time"), "1 entity: PER 1" in out) == (0, 1, True)


def test_how_many_were_given_twice_is_said_in_few_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(GIVEN_TWICE['ours.jsonl'])}\n" * 20)
    assert "(20 of this kind: entity given twice)" in ner_elmo(capsys, "check", tmp_path / "a.jsonl")[1]
    status, out, error = ner_elmo(capsys, "convert", tmp_path / "a.jsonl", "-", "--to", "jsonl")
    assert (status, len(entities(out)), len(error.splitlines())) == (0, 20, 3)
    assert "(20 of this kind: entity given twice)" in error


@pytest.mark.parametrize("name", ["a.jsonl", "c.ann"])
def test_one_place_with_two_labels_is_an_overlap(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = [SPAN, SPAN | {"label": "ORG"}]
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": TEXT, "entities": both}))
    (tmp_path / "c.txt").write_text(TEXT)
    (tmp_path / "c.ann").write_text("T1\tPER 2 11\tLena Vogt\nT2\tORG 2 11\tLena Vogt\n")
    status, _, error = ner_elmo(capsys, "convert", tmp_path / name, "-", "--to", "jsonl")
    assert (status, "--overlaps longest" in error) == (3, True)
    status, out, _ = ner_elmo(capsys, "convert", tmp_path / name, "-", "--to", "jsonl", "--overlaps", "first")
    assert (status, entities(out)) == (0, [(2, 11, "PER")])


@pytest.mark.parametrize(
    ("policy", "kept"), [("join", [(0, 8, "X")]), ("split", [(0, 1, "X"), (7, 8, "X")]), ("drop", []), ("error", None)]
)
def test_fragments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], policy: str, kept: list[tuple[int, int, str]] | None
) -> None:
    (tmp_path / "c.txt").write_text("a words b")
    (tmp_path / "c.ann").write_text("T1\tX 0 1;8 9\ta b\n")
    (tmp_path / "w.tsv").write_text(
        "#FORMAT=WebAnno TSV 3.3\n#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value\n\n\n"
        "#Text=a words b\n1-1\t0-1\ta\t*[1]\tX[1]\t\n1-2\t2-7\twords\t_\t_\t\n1-3\t8-9\tb\t*[1]\tX[1]\t\n"
    )
    for name in ("c.ann", "w.tsv"):
        status, out, error = ner_elmo(capsys, "convert", tmp_path / name, "-", "--to", "jsonl", "--fragments", policy)
        assert "discontinuous X" in error
        if kept is None:
            assert status == 3
        else:
            moved = [(start if start == 0 else start + 1, end + 1 if end > 1 else end, x) for start, end, x in kept]
            assert (status, entities(out)) == (0, moved)
