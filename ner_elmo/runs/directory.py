"""A run directory, which both stages make in the same way.

It holds ``config.json`` (the settings as they took effect), ``log.jsonl`` (every event), ``checkpoints/`` and at the
end ``report.json``. A biLM in it, the one that was trained or the one that was read, stands in ``bilm/``; the files of
a tagger stand beside these. So every command that takes a model takes a run directory.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ner_elmo.errors import UsageError
from ner_elmo.text.files import cannot_write, is_there, json_of, write_json
from ner_elmo.text.outputs import refuse_existing

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CONFIG, LOG, CHECKPOINTS, REPORT, CURVE, BILM = (
    "config.json",
    "log.jsonl",
    "checkpoints",
    "report.json",
    "curve.svg",
    "bilm",
)
COUNT = "count.json.gz"  # in CHECKPOINTS


def write_config(directory: Path, config: DataclassInstance) -> None:
    """Write the settings of a run, from which ``--config`` and ``--resume`` read them."""
    write_json(directory / CONFIG, asdict(config))


def has_run(directory: Path) -> bool:
    """Whether a run was begun in ``directory``."""
    return (directory / CONFIG).is_file()


def require_run_directory(directory: Path, resume: bool, force: bool) -> None:
    """Make sure that a run may write to ``directory``.

    Raises:
        UsageError: it is a file, or something stands there that is neither to be resumed nor replaced.
    """
    if resume and force:
        raise UsageError("--resume goes on with a run and --force replaces it; expected one of them")
    if is_there(directory) and not directory.is_dir():
        raise UsageError(f"{directory}: is a file; expected the name of a directory")
    if not resume:
        refuse_existing(directory, force)
        if is_there(directory) and not _is_ours(directory):
            raise UsageError(f"{directory}: holds files, and no run that could be replaced; choose another name")


def _is_ours(directory: Path) -> bool:
    """Whether a folder holds a run, or what was written of one before it was killed."""
    try:
        config = json_of(directory / CONFIG)
    except (OSError, ValueError):
        config = None
    if isinstance(config, dict) and ("corpus" in config or "train" in config):
        return True
    return all(file.name in _WRITTEN_FIRST or _LEFTOVER.fullmatch(file.name) for file in directory.iterdir())


_WRITTEN_FIRST = {LOG, CHECKPOINTS, CURVE, BILM, REPORT, "vocab.txt"}
# As :func:`~ner_elmo.text.files.replace_file` and `replace_directory` call what is not finished.
_LEFTOVER = re.compile(r"\..+\.[a-z0-9_]{8}\.(tmp|old)")
_CHECKPOINT = re.compile(r"(step|epoch)-\d+\.pt|" + re.escape(COUNT))
_IN_USE = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK}
_WAIT = 5.0  # seconds; workers of a run that was killed live on for a moment


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Within the block no other run writes to ``directory``. It is made; if it is empty at the end, it is removed.

    Raises:
        UsageError: another run holds it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(directory, error) from None
    handle = None
    try:
        if sys.platform != "win32":
            handle = os.open(directory, os.O_RDONLY)
            _lock(handle, directory)
        yield
    finally:
        if handle is not None:
            os.close(handle)
        with suppress(OSError):  # it is not empty
            directory.rmdir()


def _lock(handle: int, directory: Path) -> None:
    end = time.monotonic() + _WAIT
    while sys.platform != "win32":
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in _IN_USE:
                return  # a file system without locks
            if time.monotonic() > end:
                raise UsageError(
                    f"{directory}: another run is writing there; wait for it, or choose another folder"
                ) from None
        time.sleep(0.1)


def remove_checkpoints(directory: Path) -> None:
    """Remove a run's checkpoints, and their folder, unless there is anything else in it."""
    folder = directory / CHECKPOINTS
    for file in folder.glob("*") if folder.is_dir() and not folder.is_symlink() else ():
        if _CHECKPOINT.fullmatch(file.name) or _LEFTOVER.fullmatch(file.name):
            file.unlink()
    with suppress(OSError):
        folder.rmdir()


def remove_leftovers(directory: Path) -> None:
    """Remove the temporary files that a killed run was writing."""
    for leftover in (*directory.glob(".*"), *directory.glob(f"{CHECKPOINTS}/.*")):
        if not _LEFTOVER.fullmatch(leftover.name):
            continue
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def mend_log(path: Path) -> None:
    """Drop the last line of a log if it was cut off while it was written."""
    if path.is_file():
        with path.open("rb+") as log:
            log.truncate(log.read().rfind(b"\n") + 1)
