"""Pages of the documentation that are programs: commands, Python, and what they print, one after the other.

A fenced block that says ``sh`` holds commands, one that says ``python`` a program; all of a page share a folder and,
those of Python, their names. A block ``text`` with ``<!-- output -->`` on the line before it is what the block above
printed: its lines stand in the output, in a row; ``…`` stands for anything within a line, and alone on a line for any
lines. What is not run has ``<!-- not run: why -->`` on the line before it.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(
    r"^(?:<!-- (?P<note>output|not run: .+?) -->\n)?```(?P<kind>sh|python|text)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_PATIENCE = 600  # seconds that a block of a page may take
_FOR_A_SHELL = re.compile(r"[|<>&;$`*]")


class Block(NamedTuple):
    """A block to run, or (``output``) what the one before it printed; the line that it begins on."""

    kind: str
    line: int
    body: str


def blocks_of(page: str) -> list[Block]:
    """What there is to run, and to compare, in their order."""
    found = []
    for match in _BLOCK.finditer(page):
        line = page.count("\n", 0, match.start("body")) + 1
        note = match["note"] or ""
        if note == "output":
            found.append(Block("output", line, match["body"]))
        elif not note and match["kind"] != "text":
            found.append(Block(match["kind"], line, match["body"]))
    return found


def is_walkthrough(page: str) -> bool:
    """Whether a page has commands that are run."""
    return any(block.kind == "sh" for block in blocks_of(page))


def pattern_of(expected: str) -> re.Pattern[str]:
    """What an output has to match somewhere in it."""
    parts = []
    for line in expected.rstrip("\n").split("\n"):
        if line.strip() == "…":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*".join(re.escape(part) for part in line.rstrip().split("…")) + r"[ \t]*\n")
    return re.compile("^" + "".join(parts), re.MULTILINE)


def run_commands(body: str, folder: Path, ner_elmo: Callable[[list[str]], tuple[int, str]], shim: Path) -> str:
    """Run the lines of a block, each of which has to succeed; what they printed.

    Plain calls of the program run by ``ner_elmo``, in this process, which is quicker; others by a shell, for which
    ``shim`` is the folder of a program ``ner-elmo``.
    """
    printed = ""
    lines = [line for line in body.replace("\\\n", " ").splitlines() if line.strip()]
    for is_plain, several in groupby(lines, _is_plain):
        if is_plain:
            for line in several:
                status, output = ner_elmo(shlex.split(line)[1:])
                assert status == 0, f"{line}\n{output}"
                printed += output
        else:
            printed += _run_shell("\n".join(several), folder, shim)
    return printed


def _is_plain(line: str) -> bool:
    return line.startswith("ner-elmo ") and not _FOR_A_SHELL.search(line)


def _run_shell(script: str, folder: Path, shim: Path) -> str:
    """Run lines by a shell, each of which has to succeed; what they leave in the background is ended."""
    prelude = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
    started = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", prelude + script],
        cwd=folder,
        env=os.environ | {"PATH": f"{shim}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        printed, _ = started.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(started.pid, signal.SIGKILL)
        raise
    assert started.returncode == 0, f"{script}\n{printed}"
    return printed


def make_shim(folder: Path) -> Path:
    """A folder with programs ``ner-elmo`` and ``python`` that are those of this process."""
    folder.mkdir()
    for name, arguments in (("ner-elmo", "-m ner_elmo "), ("python", "")):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {arguments}"$@"\n', encoding="utf-8")
        program.chmod(0o755)
    return folder
