"""The examples of the documentation: every fenced Python block of README.md and docs/ runs as it stands.

The blocks of a file are one program, in a folder that holds nothing but this repository's data and models. A block that
is not run has a line before it that says so and why: ``<!-- not run: why -->``.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.walkthroughs import is_walkthrough

pytestmark = pytest.mark.long

REPOSITORY = Path(__file__).resolve().parent.parent
FILES = [
    *sorted(REPOSITORY.glob("README*.md")),
    *(
        page
        for page in sorted((REPOSITORY / "docs").rglob("*.md"))
        if not is_walkthrough(page.read_text(encoding="utf-8"))  # tests/test_guides.py runs those
    ),
]
_FENCED = re.compile(r"^(?:<!-- not run: (?P<why>.+?) -->\n)?```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    """A block: the line its code begins on, and why it is not run, if so."""

    line: int
    code: str
    why_not: str | None


def examples_in(text: str) -> list[Example]:
    """The fenced Python blocks of a page."""
    return [
        Example(text.count("\n", 0, match.start("code")) + 1, match["code"], match["why"])
        for match in _FENCED.finditer(text)
    ]


WITH_EXAMPLES = [file for file in FILES if examples_in(file.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("file", WITH_EXAMPLES, ids=lambda file: file.name)
def test_the_examples_of_a_page_run(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if file.name == "integrations.md":
        pytest.importorskip("spacy", reason="needs spaCy: pip install -e '.[spacy]'")
        import_module("ner_elmo.integrations.spacy")  # as its entry point does where ner-elmo is installed
    for name in ("data", "models"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "example"}
    for line, code, why_not in examples_in(file.read_text(encoding="utf-8")):
        # The line numbers of a traceback are the page's.
        program = compile("\n" * (line - 1) + code, str(file), "exec")
        if why_not is None:
            exec(program, names)


def test_the_pages_that_have_examples() -> None:
    assert {file.name for file in WITH_EXAMPLES} >= {"README.md", "python.md", "integrations.md"}


def test_examples_are_found_with_their_lines_and_reasons() -> None:
    page = "a\n\n```python\nx = 1\n```\n\n<!-- not run: slow -->\n```python\nx = 2\n```\n```\nx\n```\n"
    assert examples_in(page) == [Example(4, "x = 1\n", None), Example(9, "x = 2\n", "slow")]


def test_no_example_stands_where_it_would_not_be_found() -> None:
    """Every fence that says Python, however it is written, is one of the examples."""
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        assert len(re.findall(r"^[ \t]*(?:```|~~~)\s*py", text, re.MULTILINE)) == len(examples_in(text)), file
