"""What stands in an output folder, and from what it was made: so that a run that was interrupted can go on.

``.ner-elmo.jsonl`` has a line when an output is begun, and one when it is there. It is only added to, so that no kill
can lose more than its last line.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ner_elmo.text.files import sha256_of_file

MANIFEST = ".ner-elmo.jsonl"


class Manifest:
    """The outputs of a folder.

    Args:
        folder: the output folder; it need not exist yet.
        settings: the digest of model and settings, which outputs must have been made with to be good.
    """

    def __init__(self, folder: Path, settings: str) -> None:
        self._folder = folder
        self._settings = settings
        self._known = _read(folder / MANIFEST)

    def is_ours(self, output: str) -> bool:
        """Whether a run of ours has begun to write there."""
        return output in self._known

    def is_done(self, output: str, source: str) -> bool:
        """Whether the output is there as it was written, from an input and by settings that are the same now."""
        known = self._known.get(output)
        if known is None or known.get("settings") != self._settings:
            return False
        return known.get("size") == _size(self._folder / output) and known.get("input") == sha256_of_file(source)

    def begin(self, output: str) -> None:
        """Note that an output is about to be written; what an earlier run left half written there goes."""
        if self.is_ours(output):
            path = self._folder / output
            for left in path.parent.glob(f".{glob.escape(path.name[:100])}.*.tmp"):
                with contextlib.suppress(OSError):
                    left.unlink()
        self._add({"output": output})

    def finish(self, output: str, source_digest: str) -> None:
        """Note that it is there."""
        size = _size(self._folder / output)
        self._add({"output": output, "input": source_digest, "settings": self._settings, "size": size})

    def _add(self, line: Mapping[str, Any]) -> None:
        path = self._folder / MANIFEST
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab") as stream:
            if stream.tell() and not _ends_with_line(path):
                stream.write(b"\n")
            stream.write(json.dumps(line).encode("ascii") + b"\n")
        self._known[line["output"]] = line


def _ends_with_line(path: Path) -> bool:
    with open(path, "rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


def _size(path: Path) -> int | None:
    """The bytes of a file, or of the files of a folder; None if there is none."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.is_file() else None


def _read(path: Path) -> dict[str, Mapping[str, Any]]:
    """The last line of each output; lines that are none are left out, such as one that was cut off."""
    known: dict[str, Mapping[str, Any]] = {}
    if path.is_file():
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                value = json.loads(line)
                known[value["output"]] = value
    return known
