"""Which files are meant, and what they are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from ner_elmo.errors import UsageError
from ner_elmo.tagger.tagging.inputs import find_inputs


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.txt", "b/c.txt", "b/.hidden.txt", ".git/d.txt", "b/e.jsonl", "b/f.txt.gz", "out/old.txt"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("Ann\n")
    return tmp_path / "in"


def places(*names: object, **more: object) -> list[str]:
    return [file.place for file in find_inputs([str(name) for name in names], **more)]  # type: ignore[arg-type]


def test_a_folder_and_all_below(tree: Path) -> None:
    assert places(tree) == ["a.txt", "b/c.txt", "b/f.txt.gz", "out/old.txt"]
    assert places(tree, output=tree / "out") == ["a.txt", "b/c.txt", "b/f.txt.gz"]
    assert places(tree, patterns="*.jsonl, a*") == ["a.txt", "b/e.jsonl"]
    assert places(tree, patterns="b/*.txt") == ["b/c.txt"]
    assert places(tree, source="jsonl") == ["b/e.jsonl"]


def test_several_inputs_stand_below_what_they_share(tree: Path) -> None:
    assert places(tree / "a.txt", tree / "b") == ["a.txt", "b/c.txt", "b/f.txt.gz"]
    assert places(tree / "b/c.txt") == ["c.txt"]
    assert places(tree / "b/c.txt", tree / "b/../b/c.txt", tree) == ["b/c.txt", "a.txt", "b/f.txt.gz", "out/old.txt"]
    assert places("-") == ["stdin"]


def test_links_do_not_lead_in_circles(tree: Path) -> None:
    (tree / "b" / "up").symlink_to(tree)
    (tree / "b" / "gone.txt").symlink_to(tree / "nothing")
    (tree / "b" / "z.txt").symlink_to(tree / "a.txt")
    assert places(tree) == ["a.txt", "b/c.txt", "b/f.txt.gz", "out/old.txt"]


def test_a_folder_in_which_nothing_fits(tree: Path) -> None:
    with pytest.raises(UsageError, match=r"found no file that fits; there are \.txt \(3\), \.jsonl \(1\)"):
        places(tree, patterns="*.md")
    (tree / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no files"):
        places(tree / "empty")
    with pytest.raises(UsageError, match="no such text file"):
        places(tree / "nothing")


def test_outputs_of_other_runs_are_no_inputs(tree: Path) -> None:
    before = [file.path for file in find_inputs([str(tree)])]
    (tree / "out").mkdir(exist_ok=True)
    (tree / "out" / "a.txt.tagged.txt").write_text("x")
    (tree / "out" / "mine.txt").write_text("x")
    for folder, output in (("out", "a.txt.tagged.txt"), (".", "b.txt.tagged.txt")):
        (tree / folder / ".ner-elmo.jsonl").write_text(f'{{"output": "{output}"}}\n{{"outp')
    (tree / "b.txt.tagged.txt").write_text("x")
    assert sorted(file.path for file in find_inputs([str(tree)])) == sorted([*before, f"{tree}/out/mine.txt"])
    assert [file.path for file in find_inputs([str(tree)], output=tree)] == [
        file.path for file in find_inputs([str(tree)])
    ]
