"""What is wrong with labelled data, each with its line; and how several of them are told in a few lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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


def summary(name: str, problems: Iterable[Problem], most: int = 1) -> list[str]:
    """A line for each of the first ``most`` problems of a kind; the last of them counts the others."""
    by_kind: dict[str, list[Problem]] = {}
    for problem in problems:
        by_kind.setdefault(problem.kind, []).append(problem)
    lines = []
    for group in by_kind.values():
        shown = [f"{name}:{problem.line}: {cut(problem.message)}" for problem in group[:most]]
        if len(group) > most:
            shown[-1] += f" ({len(group):,} of this kind: {group[0].kind})"
        lines += shown
    return lines
