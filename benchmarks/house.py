"""Figures of the package's structure: rooms and imports, long functions, many parameters, what only tests use.

    python benchmarks/house.py [REPOSITORY]

It reads the source as text and runs nothing of it, so it can look at any checkout.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

LONG, MANY = 60, 8  # lines of a function's body, parameters

Function = ast.FunctionDef | ast.AsyncFunctionDef


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository", type=Path, nargs="?", default=Path(__file__).resolve().parents[1])
    root = parser.parse_args().repository
    trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted((root / "ner_elmo").rglob("*.py"))}
    show_rooms(root, trees)
    show_functions(root, trees)
    show_defaults(root, trees)
    show_tested_only(root, trees)


def show_rooms(root: Path, trees: dict[Path, ast.Module]) -> None:
    """Files of each room, and imports within it and to others."""
    modules = {module_of(root, file) for file in trees}
    files: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    outside: Counter[str] = Counter()
    for file, tree in trees.items():
        room = room_of(root, file)
        files[room] += file.name != "__init__.py"
        for imported in imports(tree, modules):
            target = imported.rpartition(".")[0].removeprefix("ner_elmo").lstrip(".")
            (inside if target == room else outside)[room] += 1
    print("room                     files  imports within  to others")
    for room in sorted(files):
        print(f"{room or '(top)':<25}{files[room]:>5}{inside[room]:>16}{outside[room]:>11}")


def module_of(root: Path, file: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(root: Path, file: Path) -> str:
    return ".".join(file.relative_to(root / "ner_elmo").parts[:-1])


def imports(tree: ast.Module, modules: set[str]) -> Iterator[str]:
    """The package's modules that a module imports, each once."""
    seen = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ner_elmo"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                seen.add(inner if inner in modules else str(node.module))
    yield from sorted(seen - {"ner_elmo"})


def show_functions(root: Path, trees: dict[Path, ast.Module]) -> None:
    """The longest functions, and those with many parameters."""
    lengths, parameters = [], []
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, Function):
                name = f"{file.relative_to(root)}:{node.name}"
                lengths.append(((node.end_lineno or 0) - node.lineno + 1, name))
                arguments = node.args
                number = sum(map(len, (arguments.posonlyargs, arguments.args, arguments.kwonlyargs)))
                parameters.append((number, name))
    print(f"\nfunctions: {len(lengths):,}; longer than {LONG} lines: {sum(n > LONG for n, _ in lengths)}; the longest:")
    for length, name in sorted(lengths, reverse=True)[:6]:
        print(f"{length:>6} {name}")
    many = [(number, name) for number, name in parameters if number > MANY]
    print(f"functions with more than {MANY} parameters: {len(many)}")
    for number, name in sorted(many, reverse=True):
        print(f"{number:>6} {name}")


def show_defaults(root: Path, trees: dict[Path, ast.Module]) -> None:
    """Settings of a stage whose default, other than None for "not given", stands in a second place of that stage."""
    for stage, command in (("PretrainConfig", "cli/pretrain.py"), ("TaggerConfig", "cli/train_tagger.py")):
        places: dict[str, list[str]] = defaultdict(list)
        for file, tree in trees.items():
            for owner, name in defaults(file, tree):
                belongs = owner == stage or (stage == "TaggerConfig" and owner in ("TaggerOptions", "TrainingOptions"))
                if belongs or (owner == "command" and file.as_posix().endswith(command)):
                    places[name].append(owner)
        twice = sorted(name for name, owners in places.items() if stage in owners and len(owners) > 1)
        print(f"\nsettings of {stage} with a default in a second place: {len(twice)} {', '.join(twice)}")


def defaults(file: Path, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Fields of classes and parameters of commands that have a default, with whose they are."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and is_default(line.value):
                    yield node.name, line.target.id
        elif isinstance(node, ast.FunctionDef) and node.name == "command" and file.parent.name == "cli":
            with_default = node.args.args[len(node.args.args) - len(node.args.defaults) :]
            for argument, value in zip(with_default, node.args.defaults, strict=True):
                if is_default(value):
                    yield node.name, argument.arg


def is_default(value: ast.expr | None) -> bool:
    """Whether it is a value, also as the first argument of ``setting``."""
    if isinstance(value, ast.Call):
        return bool(value.args) and is_default(value.args[0])
    return value is not None and not (isinstance(value, ast.Constant) and value.value is None)


def show_tested_only(root: Path, trees: dict[Path, ast.Module]) -> None:
    """Public functions and classes whose name stands nowhere in package and benchmarks but where they are defined."""
    beside = [file for room in ("benchmarks", "data") for file in (root / room).rglob("*.[ps][yh]")]
    words = Counter(word for file in [*trees, *beside] for word in re.findall(r"\w+", file.read_text(encoding="utf-8")))
    names = [
        f"{file.relative_to(root)}:{node.name}"
        for file, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_") and words[node.name] < 2
    ]
    tests = "\n".join(file.read_text(encoding="utf-8") for file in (root / "tests").rglob("*.py"))
    only = [name for name in names if re.search(rf"\b{name.split(':')[1]}\b", tests)]
    print(f"\ndefinitions that only tests use: {len(only)}")
    for name in only:
        print(f"  {name}")


if __name__ == "__main__":
    main()
