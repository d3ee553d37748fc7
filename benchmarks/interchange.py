"""Labelled corpora through every format and back: what comes back otherwise, how long it takes, and in what memory.

Each file is written in a format by ``convert``, and from there as CoNLL columns in IOB2 again. Tokens and tags are held
to what ``convert --to iob2`` makes of the file itself, read here by a split of lines and nothing of the package. What
``convert`` says that a format has no place for is printed below the table.

    python benchmarks/interchange.py [--formats doccano brat ...] FILE_OR_FOLDER ...

Time and memory are those of the two commands, the start of Python (some 0.3 seconds and 40 MB) included; time is that
of the processor, which other work on the machine hardly changes.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

ENDINGS = {
    "jsonl": ".jsonl",
    "doccano": ".jsonl",
    "label-studio": ".json",
    "prodigy": ".jsonl",
    "webanno": ".tsv",
    "conllu": ".conllu",
    "hf": ".jsonl",
    "docbin": ".spacy",
    "parquet": ".parquet",
    "brat": ".ann",
}
BRAT_FOLDER = "brat-folder"  # a pair of files for each unit; the other is one pair for all
LATIN = ".iso-8859-1"  # how the name of a file in that encoding ends
Sentence = list[tuple[str, str]]


class Spent(NamedTuple):
    """What a command took, and what it said."""

    seconds: float
    megabytes: float
    said: str
    failed: bool


class Outcome(NamedTuple):
    """What came back of a file, and from how much."""

    n_sentences: int
    n_entities: int
    n_differences: int
    same_bytes: bool


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE_OR_FOLDER")
    names = [*ENDINGS, BRAT_FOLDER]
    parser.add_argument("--formats", nargs="+", choices=names, default=names)
    given = parser.parse_args()
    files = [file for path in given.paths for file in (files_in(path) if path.is_dir() else [path])]
    told: dict[str, dict[str, int]] = {}
    n_wrong = 0
    print(f"{'file':<36}{'format':<14}{'sentences':>10}{'entities':>9}{'differ':>7} bytes  there   back    MB")
    for file in files:
        with tempfile.TemporaryDirectory() as folder:
            convert(file, Path(folder) / "expected", "iob2", *encoding_of(file))
            for name in given.formats:
                n_wrong += show(file, name, Path(folder), told)
    for name, lines in told.items():
        print(f"\n{name}, told:")
        for line, number in sorted(lines.items()):
            print(f"  {line} ({number} files)")
    print(f"\nfiles that came back otherwise: {n_wrong}")
    return int(n_wrong > 0)


def files_in(folder: Path) -> list[Path]:
    """The labelled files of a folder of corpora."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".md", ".json"))


def show(file: Path, name: str, folder: Path, told: dict[str, dict[str, int]]) -> bool:
    """Convert a file to a format and back, print its line of the table, and say whether anything differs."""
    target = folder / (name if name == BRAT_FOLDER else name + ENDINGS[name])
    to = "brat" if name == BRAT_FOLDER else name
    there = convert(file, target, to, *encoding_of(file))
    back = convert(target, folder / "back", "iob2", "--force")
    shown = f"{file.parent.name}/{file.name}"
    if there.failed or back.failed:
        print(f"{shown:<36}{name:<14} failed: {(there.said if there.failed else back.said).strip()[:200]}", flush=True)
        return True
    found = compare(folder / "expected", folder / "back")
    print(
        f"{shown:<36}{name:<14}{found.n_sentences:>10,}{found.n_entities:>9,}{found.n_differences:>7,} "
        f"{'same ' if found.same_bytes else 'other'}{there.seconds:>7.1f}{back.seconds:>7.1f}"
        f"{max(there.megabytes, back.megabytes):>6.0f}",
        flush=True,
    )
    for line in dict.fromkeys(what_is_told(there.said + back.said, folder)):
        lines = told.setdefault(name, {})
        lines[line] = lines.get(line, 0) + 1
    return found.n_differences > 0


def encoding_of(file: Path) -> list[str]:
    return ["--encoding", "iso-8859-1"] if file.name.endswith(LATIN) else []


def convert(source: Path, target: Path, to: str, *more: str) -> Spent:
    """Run the command, with its time and its peak of memory."""
    command = [sys.executable, "-m", "ner_elmo", "convert", str(source), str(target), "--to", to, *more]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        words = said.read()
    return Spent(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, words, process.returncode != 0)


def what_is_told(said: str, folder: Path) -> Iterator[str]:
    """The lines about what has no place, and about what is left out, without the files' names."""
    for line in said.splitlines():
        if "no place" in line or "left out" in line or "kept in" in line:
            yield line.replace(f"{folder}/", "").strip()


def compare(expected: Path, found: Path) -> Outcome:
    """Two files in columns separated by blanks or tabs, token first, tag last."""
    n_sentences = n_entities = n_differences = 0
    for one, other in zip_longest(sentences(expected), sentences(found)):
        n_differences += one != other
        n_sentences += one is not None
        n_entities += sum(tag.startswith("B-") for _, tag in one or [])
    return Outcome(n_sentences, n_entities, n_differences, filecmp.cmp(expected, found, shallow=False))


def read_lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="\n") as stream:
        for line in stream:
            yield line.removesuffix("\n")


def sentences(path: Path) -> Iterator[Sentence]:
    """The sentences of a file in IOB2, one at a time: a process's peak counts what its parent held when it began."""
    sentence: Sentence = []
    for line in read_lines(path):
        if not line.strip(" \t") or line.startswith("-DOCSTART-"):
            if sentence:
                yield sentence
            sentence = []
        else:
            columns = line.split("\t") if "\t" in line else line.split(" ")
            sentence.append((columns[0], columns[-1]))
    if sentence:
        yield sentence


if __name__ == "__main__":
    sys.exit(main())
