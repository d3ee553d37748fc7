"""Rows of a table of taggers: each a run of ``ner-elmo train-tagger``, resumable, and the table of their reports.

``ablations.py`` and ``accuracy.py`` say which rows there are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from ner_elmo.bilm.files.directory import find_bilm
from ner_elmo.text.files import read_lines, replace_file, sha256_of_file
from ner_elmo.text.formats.conll import is_break
from ner_elmo.text.heldout import sentence_digest

ASIDE = ("--threads", "--device", "--storage", "--licence")  # with what follows each
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Row:
    """One row: a name that is a file's name, too, the labelled files, and the other flags of ``train-tagger``."""

    name: str
    data: dict[str, Path]  # train, dev, test
    flags: tuple[str, ...]

    def identity(self, seeds: Sequence[int]) -> dict[str, Any]:
        """What makes a finished row this one; without folders, the machine and how it is stored."""
        identity = {
            "flags": [Path(flag).name if os.sep in flag else flag for flag in that_matter(self.flags)],
            "seeds": list(seeds),
            "data": {part: sha256_of_file(path) for part, path in self.data.items()},
        }
        bilms = [Path(path) for flag, path in pairwise(self.flags) if flag == "--bilm"]
        if bilms and bilms[-1].exists():
            identity["bilm"] = sha256_of_file(find_bilm(bilms[-1]).weights)
        return identity


def that_matter(flags: Sequence[str]) -> list[str]:
    """Flags without those that say where a row runs and how its model is stored."""
    kept, rest = [], iter(flags)
    for flag in rest:
        if flag in ASIDE:
            next(rest)
        elif flag != "--keep-softmax":
            kept.append(flag)
    return kept


def run_rows(rows: Sequence[Row], seeds: Sequence[int], runs: Path, results: Path) -> dict[str, dict[str, Any] | str]:
    """Run what is not finished yet; the report of each row by its name, or why there is none."""
    return {row.name: run_row(row, seeds, runs, results) for row in rows}


def run_side_by_side(
    rows: Sequence[tuple[Row, Sequence[int]]], jobs: int, runs: Path, results: Path
) -> dict[str, dict[str, Any] | str]:
    """As :func:`run_rows`, each row with its seeds, ``jobs`` of them at once, each of these with one thread.

    Ctrl-C reaches the runs, too; those that have not begun then do not begin.
    """
    found: dict[str, dict[str, Any] | str] = {}
    with ThreadPoolExecutor(jobs) as pool:
        begun = {
            row.name: pool.submit(
                run_row, row if jobs == 1 else replace(row, flags=(*row.flags, "--threads", "1")), seeds, runs, results
            )
            for row, seeds in rows
        }
        try:
            for name, future in begun.items():
                found[name] = future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def run_row(row: Row, seeds: Sequence[int], runs: Path, results: Path) -> dict[str, Any] | str:
    """The report of a row, run or resumed unless ``results`` has it; or why there is none."""
    if missing := [str(path) for path in row.data.values() if not path.is_file()]:
        return f"no such file: {', '.join(missing)}"
    report = results / f"{row.name}.json"
    identity = row.identity(seeds)
    if report.is_file():
        done: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        if done["row"] == identity:
            return done
        return f"{report} is of another run (other flags, seeds, data or biLM): move it away to run this one"
    folder, mark = runs / row.name, runs / f"{row.name}.row.json"
    if folder.is_dir() and mark.is_file() and json.loads(mark.read_text(encoding="utf-8")) != identity:
        return f"{folder} is of another run (other flags, seeds, data or biLM): move it away to run this one"
    runs.mkdir(parents=True, exist_ok=True)
    mark.write_text(json.dumps(identity), encoding="utf-8")
    command = [sys.executable, "-m", "ner_elmo", "train-tagger", "-o", str(folder), "--resume", "--json", *row.flags]
    command += ["--cache", str(runs / "cache")]
    command += [argument for part, path in row.data.items() for argument in (f"--{part}", str(path))]
    command += ["--seeds", ",".join(map(str, seeds))]
    print(f"{row.name}: {' '.join(command[3:])}", file=sys.stderr, flush=True)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    status = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=False).returncode
    if status in (130, 143, -2, -15):
        raise SystemExit(130)
    if status:
        return f"train-tagger ended with status {status}"
    whole = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    kept = {name: value for name, value in whole.items() if not name.startswith("sentences")}
    kept |= {"row": identity, "seconds": seconds_of(folder) / len(seeds)}
    results.mkdir(parents=True, exist_ok=True)
    with replace_file(report) as temporary:
        temporary.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return kept


def seconds_of(folder: Path) -> float:
    """The seconds of all epochs of all seeds of a run."""
    records = (
        json.loads(line)
        for log in sorted(folder.glob("**/log.jsonl"))
        for line in log.read_text(encoding="utf-8").splitlines()
    )
    return float(sum(record.get("seconds", 0.0) for record in records))


def figure(report: dict[str, Any], part: str) -> tuple[float, float] | None:
    """Mean and (sample) standard deviation of a part's F1 over the seeds, in points; None if it was not scored."""
    if part not in report["scores"]:
        return None
    if "seeds" not in report:
        return 100 * report["scores"][part]["f1"], 0.0
    figures = report["seeds"]["f1"][part]
    return 100 * figures["mean"], 100 * figures["standard_deviation"]


def shown(found: tuple[float, float] | None, n_seeds: int) -> str:
    """A figure as a cell of a table."""
    if found is None:
        return "–"
    return f"{found[0]:.2f}" + (f" ± {found[1]:.2f}" if n_seeds > 1 else "")


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def not_run(found: dict[str, dict[str, Any] | str]) -> str:
    """The rows without a report and why, in Markdown; empty if there are none."""
    missing = [f"- {name}: {why}" for name, why in found.items() if isinstance(why, str)]
    return "\n".join(["", "Not run:", "", *missing]) if missing else ""


def write_table(text: str, path: Path) -> None:
    """Print a table and keep it."""
    print(text)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def sample(train: Path, share: float, runs: Path, encoding: str = "utf-8") -> Path:
    """The file itself for a share of 1; otherwise a file of that share of its sentences, chosen by a hash of their
    tokens: the same ones everywhere, and among those of any larger share."""
    if share >= 1:
        return train
    target = runs / f"{train.stem}.{share:g}{train.suffix or '.conll'}"
    runs.mkdir(parents=True, exist_ok=True)
    with replace_file(target) as temporary, open(temporary, "w", encoding=encoding, newline="\n") as stream:
        for lines in sentences(train, encoding):
            # The upper half of the digest decides what train-tagger holds out, so the lower half is taken here.
            if sentence_digest([line.split()[0] for line in lines]) % 2**32 < share * 2**32:
                stream.writelines(f"{line}\n" for line in [*lines, ""])
    return target


def sentences(path: Path, encoding: str) -> Iterator[list[str]]:
    """The lines of each sentence of a CoNLL file."""
    lines: list[str] = []
    for line in read_lines(path, encoding):
        if not is_break(line):
            lines.append(line)
        elif lines:
            yield lines
            lines = []
    if lines:
        yield lines


def numbers(value: str) -> list[int]:
    """``1,2,3`` as a list."""
    return [int(field) for field in value.split(",")]
