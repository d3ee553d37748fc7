"""The house: imports run downhill and in no circle, every module says what it is, tests mirror the rooms."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE, TESTS = REPOSITORY / "ner_elmo", REPOSITORY / "tests"

# From the top down. A room may import from every level below its own, but not from a room beside it.
LEVELS = [
    {"cli", "integrations"},
    {"service", "engines"},
    {"library", "explore"},
    {"tagger"},
    {"elmo"},
    {"bilm"},
    {"runs", "nn"},
    {"text"},
    {"pages", "settings"},
    {"errors"},
]

# The package itself and its command stand above all rooms.
ABOVE = {"ner_elmo", "ner_elmo.__main__"}

# Imports uphill or in a circle that are still to go, as (importer, imported). One that is gone must be struck off.
OPEN: set[tuple[str, str]] = set()

# Tests that no single module owns; each says in its first line what it tells.
STORIES = {
    "bilm/pretraining/test_failures.py",
    "bilm/pretraining/test_training_goldens.py",
    "cli/test_correct_by_hand.py",
    "cli/test_full_disk.py",
    "cli/test_kinds_of_text.py",
    "cli/test_many_languages.py",
    "cli/test_story.py",
    "cli/test_tag_many.py",
    "tagger/test_concurrency.py",
    "cli/test_token_tags.py",
    "elmo/test_goldens.py",
    "elmo/test_no_state.py",
    "library/test_public_names.py",
    "tagger/training/test_options.py",
    "test_examples.py",
    "test_guides.py",
    "test_links.py",
    "test_notebooks.py",
    "test_site.py",
    "pages/test_tagged_page_in_browser.py",
    "service/test_explore_in_browser.py",
    "service/test_page_in_browser.py",
    "service/test_schemathesis.py",
    "test_house.py",
    "test_old_files.py",
    "test_shipped_model.py",
    "test_typing.py",
    "test_wheels.py",
    "text/test_fuzz.py",
    "trust/test_bounds.py",
    "trust/test_faults.py",
    "trust/test_hostile_models.py",
    "trust/test_hostile_text.py",
    "trust/test_kills.py",
    "trust/test_numbers.py",
    "trust/test_privacy.py",
    "trust/test_source.py",
}


def module_name(file: Path, root: Path = REPOSITORY) -> str:
    """``ner_elmo/nn/cell.py`` is ``ner_elmo.nn.cell``, ``ner_elmo/nn/__init__.py`` is ``ner_elmo.nn``."""
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {module_name(file): ast.parse(file.read_text(encoding="utf-8")) for file in sorted(PACKAGE.rglob("*.py"))}


def imports_of(tree: ast.Module) -> Iterator[str]:
    """The modules that a module imports at its top, inside functions or for types alone.

    ``from a import b`` is ``a.b`` where that is one of ours, else ``a``. Relative imports are written as ``.a``.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                yield inner if inner in TREES else source


IMPORTS = {(name, found) for name, tree in TREES.items() for found in imports_of(tree) if found in TREES}
KEPT = sorted(IMPORTS - OPEN)


def room(module: str) -> str:
    """The room of a module: ``nn`` of ``ner_elmo.nn.cell``."""
    return module.split(".")[1]


def level(module: str) -> int:
    """The number of a module's level, 0 at the top."""
    (number,) = (number for number, rooms in enumerate(LEVELS) if room(module) in rooms)
    return number


def is_uphill(importer: str, imported: str) -> bool:
    """Whether an import leads to another room that is not below."""
    return room(importer) != room(imported) and level(importer) >= level(imported)


def circle(edges: list[tuple[str, str]]) -> list[str]:
    """A circle among ``edges``, or nothing."""
    graph: dict[str, set[str]] = {}
    for one, other in edges:
        if one != other:
            graph.setdefault(one, set()).add(other)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_imports_are_found_wherever_they_stand() -> None:
    program = """
from ner_elmo.errors import DataError
from ner_elmo.nn import cell as c, packing
if TYPE_CHECKING:
    import ner_elmo.text.files
def f():
    from ..bilm import model
"""
    expected = ["errors", "nn.cell", "nn.packing", "text.files"]
    assert sorted(imports_of(ast.parse(program))) == ["..bilm", *(f"ner_elmo.{name}" for name in expected)]


def test_uphill_and_circles_are_told() -> None:
    assert is_uphill("ner_elmo.text.files", "ner_elmo.nn.cell")
    assert is_uphill("ner_elmo.nn.cell", "ner_elmo.runs.log")  # beside it
    assert not is_uphill("ner_elmo.nn.cell", "ner_elmo.nn.packing")
    assert not is_uphill("ner_elmo.tagger.tagger", "ner_elmo.errors")
    assert set(circle([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")])) == {"a", "b", "c"}
    assert circle([("a", "b"), ("a", "c"), ("b", "c"), ("c", "c")]) == []


def test_every_room_has_its_level() -> None:
    found = [room(module) for module in TREES if module not in ABOVE]
    assert set(found) == set().union(*LEVELS)
    assert sum(map(len, LEVELS)) == len(set(found))


def test_imports_run_downhill() -> None:
    below = [edge for edge in KEPT if not ABOVE & set(edge)]
    assert [edge for edge in below if is_uphill(*edge)] == []


def test_what_is_open_is_still_there() -> None:
    assert IMPORTS >= OPEN


def test_imports_name_their_module_in_full() -> None:
    imports = [(name, found) for name, tree in TREES.items() for found in imports_of(tree)]
    assert [edge for edge in imports if edge[1].startswith(".")] == []
    unknown = [edge for edge in imports if edge[1].split(".")[0] == "ner_elmo" and edge[1] not in TREES]
    assert unknown == []


def test_the_package_lends_its_rooms_nothing_but_its_version() -> None:
    """Its other names load the rooms of their own, so a room that asked for one would climb."""
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "ner_elmo":
                assert [alias.name for alias in node.names] == ["__version__"], name


@pytest.mark.parametrize("of", ["bilm", "tagger"])
def test_the_parts_of_a_room_import_in_no_circle(of: str) -> None:
    """A part is a folder or a module that stands in none."""
    inside = [edge for edge in KEPT if all(module.startswith(f"ner_elmo.{of}.") for module in edge)]
    assert inside
    assert circle([(one.split(".")[2], other.split(".")[2]) for one, other in inside]) == []


def test_modules_import_in_no_circle() -> None:
    assert circle([edge for edge in KEPT if edge[1] not in ABOVE]) == []


def test_every_module_says_what_it_is() -> None:
    """An empty ``__init__.py`` says enough by its name."""
    assert [name for name, tree in TREES.items() if tree.body and not ast.get_docstring(tree)] == []


def test_no_test_imports_from_another() -> None:
    """What tests share stands in tests/support."""
    for file in TESTS.rglob("*.py"):
        imported = imports_of(ast.parse(file.read_text(encoding="utf-8")))
        ours = {found for found in imported if found.split(".")[0] == "tests" or found.startswith(".")}
        elsewhere = {found for found in ours if not found.startswith("tests.support")}
        assert not elsewhere, file


def test_every_test_file_says_what_it_holds() -> None:
    for file in TESTS.rglob("*.py"):
        assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))), file


def test_tests_mirror_the_rooms() -> None:
    """``tests/nn/test_cell.py`` tests ``ner_elmo/nn/cell.py``, and so with the scripts of ``benchmarks``."""
    alone = set()
    for file in TESTS.rglob("test_*.py"):
        folder = file.relative_to(TESTS).parent
        above = REPOSITORY if folder.parts[:1] == ("benchmarks",) else PACKAGE
        if not (above / folder / file.name.removeprefix("test_")).is_file():
            alone.add(file.relative_to(TESTS).as_posix())
    assert alone == STORIES


def test_what_benchmarks_and_recipes_import_exists() -> None:
    """They are run by hand, so a name that is gone would be found late."""
    for file in sorted((REPOSITORY / "benchmarks").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ner_elmo"):
                module = importlib.import_module(str(node.module))
                for alias in node.names:
                    is_there = hasattr(module, alias.name) or f"{node.module}.{alias.name}" in TREES
                    assert is_there, f"{file.name}: {node.module}.{alias.name}"
    for file in sorted((REPOSITORY / "benchmarks" / "recipes").glob("*.sh")):
        for name in re.findall(r"from (ner_elmo[\w.]*) import", file.read_text(encoding="utf-8")):
            assert name in TREES, f"{file.name}: {name}"


def test_every_file_has_its_line_in_the_design() -> None:
    text = (REPOSITORY / "docs" / "design.md").read_text(encoding="utf-8")
    missing = [file.name for file in PACKAGE.rglob("*.py") if file.stat().st_size and f"{file.name} " not in text]
    assert missing == []
