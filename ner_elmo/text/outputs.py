"""May a place be written to? Asked before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ner_elmo.errors import UsageError
from ner_elmo.text.files import is_folder, is_stream, is_there, put_back, shown_name


def refuse_existing(path: Path, force: bool) -> None:
    """Refuse an output that is already there; a pipe or a device is only written to.

    Raises:
        UsageError: ``path`` is a file, or a folder that is not empty, and ``force`` is not set.
    """
    put_back(path)
    occupied = is_there(path) and not is_stream(path) and (not path.is_dir() or any(path.iterdir()))
    if occupied and not force:
        raise UsageError(f"{shown_name(path)}: exists already; choose another name, or --force to replace it")


def refuse_foreign(folder: Path, is_ours: Callable[[str], bool], what: str) -> None:
    """Refuse to replace a folder in which there is anything of others.

    Raises:
        UsageError: there is; the message names it.
    """
    if not is_folder(folder):
        return
    foreign = sorted(file.name for file in folder.iterdir() if not (file.is_file() and is_ours(file.name)))
    if foreign:
        names = ", ".join(map(shown_name, foreign[:3])) + (" ..." if len(foreign) > 3 else "")
        raise UsageError(f"{shown_name(folder)}: holds files that are not {what}: {names}; choose another name")


def refuse_same(source: str | Path, target: Path) -> None:
    """Refuse to write over what is being read.

    Raises:
        UsageError: both names stand for one file or folder.
    """
    if is_there(Path(source)) and is_there(target) and not is_stream(target) and target.samefile(source):
        raise UsageError(f"{shown_name(target)}: is what is read; choose another name to write to")
