"""What stands in an output folder, and from what it was made: so that a run that was interrupted can go on.

``.ner-elmo.jsonl`` has a line when an output is begun, and one when it is there. It is only added to, so that no kill
can lose more than its last line. What people have changed since is known by its digest.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from ner_elmo.errors import UsageError
from ner_elmo.text.files import cannot_write, is_folder, is_there, sha256_of_file, shown_name, temporary_prefix

if sys.platform != "win32":
    import fcntl

MANIFEST = ".ner-elmo.jsonl"
_IN_USE = (errno.EACCES, errno.EAGAIN)


class Manifest:
    """The outputs of a folder. As a context it holds the folder for one run, from the first output that is begun on.

    Args:
        folder: the output folder; it need not exist yet.
        settings: the digest of model and settings, which outputs must have been made with to be good.
        files_of: the files that an output consists of, by its path.
    """

    def __init__(
        self, folder: Path, settings: str, files_of: Callable[[Path], Sequence[Path]] = lambda path: (path,)
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._files_of = files_of
        self._known = _read(folder / MANIFEST)
        self._stream: BinaryIO | None = None

    def __enter__(self) -> Manifest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()

    def first_file(self, output: str) -> Path | None:
        """The first file of an output that exists, if any does."""
        return next(filter(is_there, self._files_of(self._folder / output)), None)

    def is_current(self, output: str, source: str) -> bool:
        """Whether the output is there, from an input and by settings that are the same now."""
        known = self._known.get(output, {})
        if not is_there(self._folder / output):
            return False
        return known.get("settings") == self._settings and known.get("input") == sha256_of_file(source)

    def is_intact(self, output: str) -> bool:
        """Whether the output is as it was written."""
        return self._known.get(output, {}).get("output_digest") == self._digest(output)

    def is_ours(self, output: str) -> bool:
        """Whether what is there may be replaced: we have written it, or began to, and nobody changed it since."""
        known = self._known.get(output)
        if known is None:
            return False
        return "output_digest" not in known or not is_there(self._folder / output) or self.is_intact(output)

    def knows(self, output: str) -> bool:
        """Whether a run of ours has begun to write there."""
        return output in self._known

    def begin(self, output: str) -> None:
        """Note that an output is about to be written; what an earlier run left half written there goes.

        Raises:
            UsageError: another run is writing to the folder.
            CannotWriteError: the system refuses, or the disk is full.
        """
        if self.knows(output):
            for path in self._files_of(self._folder / output):
                for left in path.parent.glob(f"{glob.escape(temporary_prefix(path.name))}*.tmp"):
                    with contextlib.suppress(OSError):
                        left.unlink()
        self._add({"output": output})

    def finish(self, output: str, source_digest: str) -> None:
        """Note that it is there.

        Raises:
            CannotWriteError: the system refuses, or the disk is full.
        """
        digest = self._digest(output)
        self._add({"output": output, "input": source_digest, "settings": self._settings, "output_digest": digest})

    def _digest(self, output: str) -> str | None:
        """The SHA-256 of the names and bytes of all files of an output; None if there are none."""
        digest, n_files = hashlib.sha256(), 0
        for path in self._files_of(self._folder / output):
            files = sorted(path.rglob("*")) if is_folder(path) else [path]
            for file in files:
                if file.is_file():
                    n_files += 1
                    digest.update(os.fsencode(file.relative_to(path.parent)) + b"\0")
                    digest.update(sha256_of_file(file).encode())
        return digest.hexdigest() if n_files else None

    def _add(self, line: Mapping[str, Any]) -> None:
        path = self._folder / MANIFEST
        try:
            if self._stream is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._stream = _opened(path)
            self._stream.write(json.dumps(line).encode("ascii") + b"\n")
            self._stream.flush()
        except OSError as error:
            raise cannot_write(path, error) from None
        self._known[line["output"]] = line


def _opened(path: Path) -> BinaryIO:
    """The manifest, to be added to, and held until it is closed.

    The lock is this process's alone: a worker that outlives it for a moment does not keep it. Nothing else may open
    and close the file meanwhile, which would let go of it.
    """
    stream = open(path, "a+b")  # noqa: SIM115
    if sys.platform != "win32":
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _IN_USE:  # otherwise the file system has no locks
                stream.close()
                raise UsageError(
                    f"{shown_name(path.parent)}: another run is writing there; wait for it, or choose another folder"
                ) from None
    if stream.tell():
        stream.seek(-1, os.SEEK_END)
        if stream.read(1) != b"\n":  # a kill cut off the last line
            stream.write(b"\n")
    return stream


def outputs_noted(folder: Path) -> set[str]:
    """The outputs in a folder, by their places in it, that any run has noted."""
    return set(_read(folder / MANIFEST))


def _read(path: Path) -> dict[str, Mapping[str, Any]]:
    """The last line of each output; lines that are none are left out, such as one that was cut off."""
    return {line["output"]: line for line in _lines(path)}


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.is_file():
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError, RecursionError):
                value = json.loads(line)
                if isinstance(value, dict) and isinstance(value.get("output"), str):
                    yield value
