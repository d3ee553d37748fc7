"""A run directory, which both stages make in the same way.

It holds ``config.json`` (the settings as they took effect), ``log.jsonl`` (every event), ``checkpoints/`` and at the
end ``report.json``. A biLM in it, the one that was trained or the one that was read, stands in ``bilm/``; the files of
a tagger stand beside these. So every command that takes a model takes a run directory.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ner_elmo.errors import UsageError
from ner_elmo.text.files import is_there, write_json
from ner_elmo.text.outputs import refuse_existing

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
    if is_there(directory) and not directory.is_dir():
        raise UsageError(f"{directory}: is a file; expected the name of a directory")
    if not resume:
        refuse_existing(directory, force)


def remove_leftovers(directory: Path) -> None:
    """Remove the temporary files that a killed run was writing."""
    for leftover in (*directory.glob(".*.tmp"), *directory.glob(".*.old"), *directory.glob(f"{CHECKPOINTS}/.*.tmp")):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def mend_log(path: Path) -> None:
    """Drop the last line of a log if it was cut off while it was written."""
    if path.is_file():
        with path.open("rb+") as log:
            log.truncate(log.read().rfind(b"\n") + 1)
