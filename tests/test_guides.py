"""Getting started and the guides: their commands run as they stand, and print what the pages show."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from ner_elmo.cli import flags
from ner_elmo.cli.main import main
from tests.support.walkthroughs import Block, blocks_of, is_walkthrough, make_shim, pattern_of, run_commands

REPOSITORY = Path(__file__).resolve().parent.parent
DOCS = REPOSITORY / "docs"
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if is_walkthrough(page.read_text(encoding="utf-8"))]
NEEDS = {"many-documents.md": ("fastapi", "uvicorn")}
GUIDES = {"own-language.md", "annotation.md", "chinese.md", "biomedical.md", "many-documents.md", "other-tasks.md"}


def test_the_pages_that_are_run() -> None:
    names = {page.relative_to(DOCS).as_posix() for page in PAGES}
    assert names >= {f"guides/{guide}" for guide in GUIDES} | {
        "getting-started.md",
        "zh/getting-started.md",
        "zh/chinese.md",
    }


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the pages' commands are for a POSIX shell")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_a_page_does_what_it_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for package in NEEDS.get(page.name, ()):
        pytest.importorskip(package, reason="an extra of ner-elmo that the page names")
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("data", "models"):
        (folder / name).symlink_to(REPOSITORY / name)
    monkeypatch.chdir(folder)
    for name, value in {"NER_ELMO_CACHE": str(tmp_path / "cache"), "COLUMNS": "120", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(flags, "available_cores", lambda: 1)  # networks as small as these wait for other threads
    shim = make_shim(tmp_path / "bin")

    def ner_elmo(arguments: list[str]) -> tuple[int, str]:
        status = main(arguments)
        out, err = capfd.readouterr()
        return status, err + out  # progress comes first, results last

    names: dict[str, object] = {"__name__": "guide"}
    printed = ""
    for kind, line, body in blocks_of(page.read_text(encoding="utf-8")):
        if kind == "sh":
            printed = run_commands(body, folder, ner_elmo, shim)
        elif kind == "python":
            exec(compile("\n" * (line - 1) + body, str(page), "exec"), names)
            printed = capfd.readouterr().out
        else:
            assert pattern_of(body).search(printed), f"{page.name}:{line}: it printed\n{printed}"


def test_blocks_are_found_in_their_order() -> None:
    page = (
        "```sh\nls\n```\n\n<!-- output -->\n```text\ndata\n```\n```text\nno output\n```\n"
        "<!-- not run: hours -->\n```sh\nsleep 1000\n```\n```python\nx = 1\n```\n"
    )
    assert blocks_of(page) == [Block("sh", 2, "ls\n"), Block("output", 7, "data\n"), Block("python", 17, "x = 1\n")]


def test_an_output_may_leave_out_what_differs() -> None:
    output = "first\nF1 0.1234 on dev\nmore\nand more\nlast\n"
    assert pattern_of("F1 … on dev\n").search(output)
    assert pattern_of("first\n…\nlast\n").search(output)
    assert not pattern_of("first\nlast\n").search(output)
    assert not pattern_of("F1 … on test\n").search(output)


def test_a_command_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="false"):
        run_commands("false\n", tmp_path, lambda _: (0, ""), tmp_path)
    assert run_commands("echo a\necho b | cat\n", tmp_path, lambda _: (0, ""), tmp_path) == "a\nb\n"


def test_every_output_stands_below_something_that_is_run() -> None:
    for page in PAGES:
        kinds = [block.kind for block in blocks_of(page.read_text(encoding="utf-8"))]
        assert kinds[0] != "output", page
        assert not re.search("output output", " ".join(kinds)), page
