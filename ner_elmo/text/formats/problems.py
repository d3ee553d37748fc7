"""What is wrong with labelled data, each with its line; and how several of them are told in a few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from ner_elmo.errors import DataError


class Problem(NamedTuple):
    """One thing that is wrong.

    Attributes:
        line: where, from 1.
        kind: a word or two that group like with like.
        message: ``found …, expected …``.
        is_error: whether the data cannot be used as it is; otherwise a warning.
    """

    line: int
    kind: str
    message: str
    is_error: bool = True


MOST_KEPT = 1000  # problems of a kind: more of them nobody reads, and a large file may have millions


class Problems:
    """Problems of one file: the first ones of each kind, and how many there are of each.

    Attributes:
        counts: how many of each kind, those included that are not kept.
    """

    def __init__(self, most: int = MOST_KEPT) -> None:
        self.counts: Counter[str] = Counter()
        self._most = most
        self._kept: list[Problem] = []

    def add(self, problem: Problem) -> None:
        """Count a problem, and keep it if it is among the first of its kind."""
        self.counts[problem.kind] += 1
        if self.counts[problem.kind] <= self._most:
            self._kept.append(problem)

    def drop(self, kind: str) -> None:
        """Forget all of a kind."""
        del self.counts[kind]
        self._kept = [problem for problem in self._kept if problem.kind != kind]

    def __iter__(self) -> Iterator[Problem]:
        """Those that are kept, by line."""
        return iter(sorted(self._kept, key=lambda problem: problem.line))

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    @property
    def total(self) -> int:
        """How many there are."""
        return self.counts.total()

    @property
    def left_out(self) -> int:
        """How many are counted and not kept."""
        return self.total - len(self)


TellProblem = Callable[[Problem], None]


def strictly(name: str, warnings: list[Problem] | None = None) -> TellProblem:
    """A report that raises :class:`DataError` (``name:line: message``) for an error and keeps the warnings."""

    def report(problem: Problem) -> None:
        if problem.is_error:
            raise DataError(f"{name}:{problem.line}: {problem.message}")
        if warnings is not None:
            warnings.append(problem)

    return report


LONGEST_MESSAGE = 240  # characters, so that a line has some 300


def cut(message: str) -> str:
    """A message, or the beginning of a long one."""
    return message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 1] + "…"


def summary(
    name: str, problems: Iterable[Problem], most: int = 1, counts: Mapping[str, int] | None = None
) -> list[str]:
    """A line for each of the first ``most`` problems of a kind; the last of them counts the others.

    Args:
        counts: how many there are of each kind, where not all are given.
    """
    by_kind: dict[str, list[Problem]] = {}
    for problem in problems:
        by_kind.setdefault(problem.kind, []).append(problem)
    lines = []
    for kind, group in by_kind.items():
        number = len(group) if counts is None else counts[kind]
        shown = [f"{name}:{problem.line}: {cut(problem.message)}" for problem in group[:most]]
        if number > most:
            shown[-1] += f" ({number:,} of this kind: {kind})"
        lines += shown
    return lines
