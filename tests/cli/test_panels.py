"""What --help shows: words that a reader knows, whole summaries, examples that hold; and that every flag which the
program speaks of is one."""

from __future__ import annotations

import ast
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer.main

from ner_elmo.cli import main
from ner_elmo.cli.panels import readable

OTHERS = {"--nproc-per-node", "--head", "--archives"}  # of torchrun, ray start, spark-submit


def commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(main._program(["--help"]))
    return dict(group.commands)


def flags_of(command: Any) -> set[str]:
    return {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}


def help_of(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main.main([*arguments, "--help"]) == 0
    return capsys.readouterr().out


def test_no_summary_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(capsys=capsys)
    assert "..." not in text.split("Commands:")[1]
    for name in main.COMMANDS:
        assert f"\n  {name} " in text


@pytest.mark.parametrize("name", main.COMMANDS)
def test_it_speaks_of_no_types_of_the_program(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(name, capsys=capsys)
    assert not re.search(r"<\w+( range)?>|<list|\bx[<>]=|\{[A-Z]+|INTEGER|\.\.\.\.", text)


@pytest.mark.parametrize("name", main.COMMANDS)
def test_its_example_uses_flags_that_it_has(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    example = import_module(f"ner_elmo.cli.{name.replace('-', '_')}").EXAMPLE
    assert f"Example:\n  {example.splitlines()[0]}" in help_of(name, capsys=capsys)
    known = commands()
    found = 0
    for line in example.splitlines():
        words = shlex.split(line, comments=True)
        if "ner-elmo" not in words:
            continue
        words = words[words.index("ner-elmo") + 1 :]
        assert words[0] == name
        used = {word for word in words[1:] if re.fullmatch(r"--?[a-z][a-z-]*", word)}
        assert used <= flags_of(known[name]), line
        found += 1
    assert found


def test_a_value_is_called_what_it_is() -> None:
    assert readable(("--threads <int range>", "CPU threads  [x>=1]"), False) == (
        "--threads N",
        "CPU threads  [at least 1]",
    )
    assert readable(("-o, --output PATH", "file"), False) == ("-o, --output PATH", "file")
    assert readable(("--share FLOAT RANGE", "[0.0<=x<=1.0]"), False) == ("--share X", "[0 to 1]")
    assert readable(("INPUT... <list[Path]>", "files"), True) == ("INPUT...", "files")
    assert readable(("[CORPUS]...", "files"), True) == ("CORPUS...", "files")


def test_every_flag_that_the_program_speaks_of_is_one(repository: Path) -> None:
    program = typer.main.get_command(main._program(["--help"]))
    known = {flag for command in (program, *commands().values()) for flag in flags_of(command)}
    known |= OTHERS | {"--name", "--no-name"}  # the last two stand for any
    missing = []
    for file in sorted((repository / "ner_elmo").rglob("*.py")):
        if file.parent.name == "pages":
            continue  # names of style sheets begin like flags
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                spoken = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", node.value))
                missing += [f"{file.name}:{node.lineno}: {flag}" for flag in sorted(spoken - known)]
    assert not missing, missing
