"""Which files are tagged, what they are called, and where what is found in each of them goes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePath

from ner_elmo.errors import UsageError
from ner_elmo.tagger.tagging.manifest import MANIFEST, outputs_noted
from ner_elmo.tagger.tagging.settings import TagSettings
from ner_elmo.text.files import (
    STANDARD_STREAM,
    display_name,
    is_folder,
    is_stream,
    require_file,
    shown_name,
    whole_name,
)
from ner_elmo.text.records import AUTO, ENDINGS_OF, LINE, PACKED, TEXT, kind_of

_MOST_ENDINGS = 5  # in a message


@dataclass(frozen=True)
class InputFile:
    """A file to be tagged.

    Attributes:
        path: its name, or ``-``.
        place: its path below what all inputs have in common; where its output stands in an output folder.
    """

    path: str
    place: str

    @property
    def name(self) -> str:
        """What outputs call it, whole; messages cut it (``shown_name``)."""
        return display_name(self.path) if self.path == STANDARD_STREAM else whole_name(self.path)

    @property
    def n_bytes(self) -> int:
        """As it lies on the disk; 0 where that is not known."""
        try:
            return 0 if self.is_live else os.stat(self.path).st_size
        except OSError:
            return 0

    @property
    def is_live(self) -> bool:
        """Whether it may be written while it is read."""
        return self.path == STANDARD_STREAM or is_stream(Path(self.path))


def find_inputs(
    names: Sequence[str], patterns: str | None = None, source: str = AUTO, output: Path | None = None
) -> list[InputFile]:
    """The files that are meant, folders with all below them, in the order of their paths.

    Of folders hidden files and folders are left out, what lies in the folder ``output``, and outputs of other runs of
    ``tag``; a file that is named twice is taken once.

    Args:
        names: files, folders, or ``-``.
        patterns: which files of a folder, with commas between several.
        source: what the files are, as in :class:`~ner_elmo.text.records.TextReading`.

    Raises:
        UsageError: one does not exist or cannot be read; a folder has no file that fits.
    """
    wanted = _patterns(patterns, source)
    paths: list[str] = []
    for name in names:
        if name == STANDARD_STREAM or not is_folder(Path(name)):
            paths.append(name if name == STANDARD_STREAM else str(require_file(name, "text file", is_read_once=True)))
        else:
            paths += _files_below(name, wanted, output)
    paths = list(_once(paths))
    common = _common_folder(paths, names)
    return [InputFile(path, _place(path, common)) for path in paths]


def refuse_idle(names: Sequence[str], inputs: Iterable[InputFile], settings: TagSettings) -> None:
    """Make sure that what is said about the reading concerns some input.

    Args:
        names: as given to :func:`find_inputs`, which found ``inputs``.

    Raises:
        UsageError: it concerns none, so that something else was meant.
    """
    kinds = {kind_of(input.path, settings.source) for input in inputs}
    if kinds == {TEXT}:
        for flag, is_given in (("--text-field", settings.text_field != "text"), ("--id-field", settings.id_field)):
            if is_given:
                raise UsageError(
                    f"{flag}: names a key or column, and the input is text alone; expected --from jsonl, csv, tsv or "
                    "parquet with it"
                )
    elif TEXT not in kinds and settings.unit != LINE and not settings.dehyphenate:
        raise UsageError(f"--unit {settings.unit}: is for text files; each object or row is a document by itself")
    if settings.pattern is not None and not any(name != STANDARD_STREAM and is_folder(Path(name)) for name in names):
        raise UsageError("--pattern: says which files of a folder are read; expected a folder with it")


def _patterns(patterns: str | None, source: str) -> list[str]:
    if patterns is not None:
        return [pattern.strip() for pattern in patterns.split(",") if pattern.strip()]
    endings = ENDINGS_OF[TEXT if source == AUTO else source]
    return [f"*{ending}{packed}" for ending in endings for packed in ("", *PACKED)]


def _files_below(folder: str, patterns: Sequence[str], output: Path | None) -> list[str]:
    found, others = [], Counter[str]()
    for path in _walk(folder, output):
        below = os.path.relpath(path, folder)
        if any(fnmatch(below if "/" in pattern else os.path.basename(path), pattern) for pattern in patterns):
            found.append(path)
        else:
            others[PurePath(path).suffix or "no ending"] += 1
    if not found:
        endings = ", ".join(f"{shown_name(ending)} ({n:,})" for ending, n in others.most_common(_MOST_ENDINGS))
        raise UsageError(
            f"{shown_name(folder)}: found no file that fits; "
            + (f"there are {endings}; name them with --pattern" if endings else "it holds no files")
        )
    return found


def _walk(folder: str, output: Path | None) -> Iterator[str]:
    left_out = None if output is None else os.path.realpath(output)
    written = set() if output is None else _written_to(output)
    for parent, folders, files in os.walk(folder):
        if MANIFEST in files:
            written |= _written_to(parent)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(parent, name)) != left_out
        )
        for name in sorted(files):
            path = os.path.join(parent, name)
            if not name.startswith(".") and os.path.realpath(path) not in written and os.path.isfile(path):
                yield path


def _written_to(folder: str | Path) -> set[str]:
    return {os.path.realpath(os.path.join(folder, output)) for output in outputs_noted(Path(folder))}


def _once(paths: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for path in paths:
        real = path if path == STANDARD_STREAM else os.path.realpath(path)
        if real not in seen:
            seen.add(real)
            yield path


def _common_folder(paths: Sequence[str], names: Sequence[str]) -> str:
    """The folder that all files lie below; of a single folder that was named, that folder."""
    if len(names) == 1 and is_folder(Path(names[0])):
        return os.path.abspath(names[0])
    folders = [os.path.dirname(os.path.abspath(path)) for path in paths if path != STANDARD_STREAM]
    return os.path.commonpath(folders) if folders else ""


def _place(path: str, common: str) -> str:
    return "stdin" if path == STANDARD_STREAM else os.path.relpath(os.path.abspath(path), common)
