"""What callers in Python hand in: checked one by one, with its position, before anything is computed from it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, Generic, TypeVar

from ner_elmo.errors import DataError, UsageError, WrongTypeError
from ner_elmo.text.documents import Record

T = TypeVar("T")


class UntilError(Generic[T]):
    """The items of an iterable up to one that cannot be had or is of a wrong type; :meth:`raise_error` says so later.

    So what comes before it can be computed in batches and handed out first.
    """

    def __init__(self, items: Iterable[Any], check: Callable[[Any, int], T]) -> None:
        self._items = items
        self._check = check
        self._error: Exception | None = None

    def __iter__(self) -> Iterator[T]:
        try:
            for number, item in enumerate(self._items):
                yield self._check(item, number)
        except Exception as error:
            self._error = error

    def raise_error(self) -> None:
        """Raise what ended the items, if that was no proper end."""
        if self._error is not None:
            raise self._error


def checked_iterable(value: Any, expected: str) -> Iterable[Any]:
    """``value``, which must be an iterable of items, and not one item by itself.

    Raises:
        WrongTypeError: it is not.
    """
    if isinstance(value, str | bytes | bytearray) or not hasattr(value, "__iter__"):
        raise WrongTypeError(f"found {_named(value)}, expected {expected}")
    return value  # type: ignore[no-any-return]


def checked_count(value: Any, name: str) -> int | None:
    """A number of things, or None.

    Args:
        name: of the argument.

    Raises:
        WrongTypeError: it is neither.
        UsageError: it is less than 1.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, Integral)):
        raise WrongTypeError(f"{name}: found {_named(value)}, expected an int")
    if value is not None and value < 1:
        raise UsageError(f"{name}: found {value}, expected at least 1")
    return None if value is None else int(value)


def checked_name(value: Any, name: str) -> str:
    """A text that names something.

    Args:
        name: of the argument.

    Raises:
        WrongTypeError: it is no str.
    """
    if not isinstance(value, str):
        raise WrongTypeError(f"{name}: found {_named(value)}, expected a str")
    return value


def checked_path(value: Any, expected: str) -> str | Path:
    """The name of a file or folder.

    Raises:
        WrongTypeError: it is none.
    """
    if not isinstance(value, str | Path):
        raise WrongTypeError(f"found {_named(value)}, expected {expected}")
    return value


def checked_unit(unit: Any, number: int) -> str | list[str] | Record:
    """A text, by itself or with where it stood, or a list of tokens.

    Raises:
        WrongTypeError: it is neither.
    """
    if isinstance(unit, str | Record):
        return unit
    return _tokens(unit, f"text {number}", "a str or a list of tokens")


MOST_OF_A_SENTENCE = 1_000_000  # tokens, whose vectors are held at once
MOST_OF_A_TEXT_LINE = 32_000_000  # characters, which may be half as many tokens before anything is known of sentences


def require_lines_of_length(text: str) -> None:
    """Hold the lines of a text to what can be tokenised in some gigabytes.

    Raises:
        DataError: one is longer than ``MOST_OF_A_TEXT_LINE``.
    """
    if len(text) > MOST_OF_A_TEXT_LINE and (longest := longest_line(text)) > MOST_OF_A_TEXT_LINE:
        raise DataError(
            f"found a line of {longest:,} characters, expected at most {MOST_OF_A_TEXT_LINE:,}; break it into sentences"
        )


def longest_line(text: str) -> int:
    """Characters of the longest line."""
    return max(map(len, text.split("\n")))


def checked_sentence(sentence: Any, number: int) -> list[str]:
    """A list of tokens.

    Raises:
        WrongTypeError: it is none.
        DataError: it is longer than ``MOST_OF_A_SENTENCE``.
    """
    tokens = _tokens(sentence, f"sentence {number}", "a list of tokens")
    if len(tokens) > MOST_OF_A_SENTENCE:
        raise DataError(
            f"sentence {number}: found {len(tokens):,} tokens, expected at most {MOST_OF_A_SENTENCE:,}; break its line"
        )
    return tokens


def _tokens(value: Any, where: str, expected: str) -> list[str]:
    is_list = isinstance(value, Collection) and not isinstance(
        value, str | bytes | bytearray | Mapping | set | frozenset
    )
    if not is_list or getattr(value, "ndim", 1) != 1:
        raise WrongTypeError(f"{where}: found {_named(value)}, expected {expected}")
    tokens = value if isinstance(value, list) else list(value)
    for place, token in enumerate(tokens):
        if not isinstance(token, str):
            raise WrongTypeError(f"{where}, token {place}: found {_named(token)}, expected a str")
    return tokens


def _named(value: Any) -> str:
    return "a str" if isinstance(value, str) else type(value).__name__
