"""CoNLL-U: entities in MISC, everything else kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import ner_elmo

FIXTURES = Path(__file__).parents[2] / "fixtures" / "formats"


@pytest.mark.parametrize("name", ["ne.conllu", "brackets.conllu"])
def test_every_other_column_and_comment_comes_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert ner_elmo(capsys, "convert", FIXTURES / name, tmp_path / "a.jsonl", "--to", "jsonl")[0] == 0
    status, out, _ = ner_elmo(capsys, "convert", tmp_path / "a.jsonl", "-", "--to", "conllu")
    assert status == 0
    before, after = (FIXTURES / name).read_text("utf-8"), out
    if name == "ne.conllu":
        assert after == before
    else:  # what brackets say is said by NE, too
        assert after.replace("|NE=B-PER", "").replace("|NE=I-PER", "").replace("|NE=B-LOC", "") == before


def test_a_changed_entity_changes_its_item_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ner_elmo(capsys, "convert", FIXTURES / "ne.conllu", tmp_path / "a.jsonl", "--to", "jsonl")
    first, second = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text("utf-8").splitlines()]
    first["entities"] = [{"start": 19, "end": 22, "label": "GPE"}]
    (tmp_path / "a.jsonl").write_text(json.dumps(first) + "\n" + json.dumps(second) + "\n")
    _, out, _ = ner_elmo(capsys, "convert", tmp_path / "a.jsonl", "-", "--to", "conllu")
    before = (FIXTURES / "ne.conllu").read_text("utf-8")
    expected = before.replace("NE=B-LOC", "NE=B-GPE").replace("NE=B-PER", "_").replace("NE=I-PER", "_")
    assert out == expected


def test_multiword_tokens_and_empty_nodes_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rest = "\t_\t_\t_\t_\t_\t_\t_\t"
    text = f"1-2\tzum{rest}_\n1\tzu{rest}_\n2\tdem{rest}_\n2.1\tx{rest}_\n3\tUlm{rest}NER=B-LOC\n\n"
    (tmp_path / "a").write_text(text)
    status, out, _ = ner_elmo(capsys, "convert", tmp_path / "a", tmp_path / "a.jsonl", "--to", "jsonl")
    assert json.loads((tmp_path / "a.jsonl").read_text())["text"] == "zu dem Ulm"
    status, out, _ = ner_elmo(capsys, "convert", tmp_path / "a.jsonl", "-", "--to", "conllu")
    assert (status, out) == (0, text)


def test_the_types_of_gum_and_an_entity_that_does_not_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rest = "\t_\t_\t_\t_\t_\t_\t_\t"
    (tmp_path / "a").write_text(f"1\tAnn{rest}Entity=(person-1\n2\tLee{rest}Entity=person-1)\n3\tx{rest}_\n")
    _, out, _ = ner_elmo(capsys, "convert", tmp_path / "a", "-", "--to", "iob2")
    assert out == "Ann\tB-person\nLee\tI-person\nx\tO\n\n"
    (tmp_path / "a").write_text(f"1\tAnn{rest}Entity=(person-1\n2\tLee{rest}_\n")
    status, _, error = ner_elmo(capsys, "convert", tmp_path / "a", "-", "--to", "iob2")
    assert (status, ":1: found the entity person, which does not end" in error) == (3, True)
