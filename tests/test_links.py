"""Links between the project's pages: what they lead to is there, headings included."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDERS = ("docs", "data", "benchmarks", "models")
PAGES = [
    *sorted(REPOSITORY.glob("*.md")),
    *(page for folder in FOLDERS for page in sorted((REPOSITORY / folder).rglob("*.md"))),
]
_CODE = re.compile(r"^(```|~~~).*?^\1|^ {4}.*?$|``.+?``|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


def links_of(text: str) -> list[str]:
    """Where the links and pictures of a page lead, but for those in code."""
    return _LINK.findall(_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text))


def anchors_of(text: str) -> set[str]:
    """The names of its headings, as GitHub makes them."""
    without_blocks = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    names: set[str] = set()
    for heading in _HEADING.findall(without_blocks):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        name = re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")
        number = 0
        while (anchor := f"{name}-{number}" if number else name) in names:
            number += 1
        names.add(anchor)
    return names


def wrong_links(page: Path) -> list[str]:
    """The links of a page that lead nowhere; other hosts are not asked."""
    wrong = []
    for link in links_of(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = page.parent / name if name else page
        is_wrong = not target.exists()
        if not is_wrong and anchor and target.suffix == ".md":
            is_wrong = anchor not in anchors_of(target.read_text(encoding="utf-8"))
        if is_wrong:
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert wrong_links(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# One `two`: three\n\n```\n# no heading\n```\n", encoding="utf-8")
    page = tmp_path / "b.md"
    page.write_text(
        "[x](a.md#one-two-three) [y](a.md#no-heading) [z](c.md) `[code](d.md)` [w](https://example.org)\n",
        encoding="utf-8",
    )
    assert wrong_links(page) == ["a.md#no-heading", "c.md"]
