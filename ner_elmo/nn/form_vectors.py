"""Vectors of tokens that depend on the form alone, each distinct form computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ner_elmo.nn.forking import Lock

AT_A_TIME = 1024  # forms that are computed together
LEAST_ROWS = 4096


class _Table:
    """Rows of vectors, of which the first ``used`` are filled, and where each form's stands."""

    def __init__(self, index: dict[str, int], rows: Tensor) -> None:
        self.index = index
        self.rows = rows
        self.used = len(rows)


class FormVectors:
    """A table that grows with the forms that are asked for; bounded, and emptied when it is full.

    Any number of threads may ask at once. A row that was handed out never changes: what is new is written behind it, or
    into another table.

    Args:
        compute: the vectors of some forms, ``(forms, dim)``, each the same to the bit whatever stands beside it.
        dim: numbers of a vector.
        most_bytes: of rows that were computed; at least 4,096 rows are kept.
        known: forms and their vectors ``(forms, dim)`` that are there from the beginning and are never dropped.
    """

    def __init__(
        self,
        compute: Callable[[list[str]], Tensor],
        dim: int,
        most_bytes: int,
        device: torch.device | str = "cpu",
        known: tuple[Sequence[str], Tensor] | None = None,
    ) -> None:
        self._compute = compute
        self._device = device
        self._most = max(LEAST_ROWS, most_bytes // (4 * dim))
        forms, self._known = known or ((), torch.empty(0, dim))
        self._known_index = dict(zip(forms, range(len(forms)), strict=True))
        self._lock = Lock()
        self._table = self._empty()

    def __getstate__(self) -> dict[str, Any]:
        """A copy begins with the known rows alone."""
        return self.__dict__ | {"_table": self._empty()}

    def _empty(self) -> _Table:
        return _Table(dict(self._known_index), self._known.to(self._device))

    def rows_of(self, sentences: Sequence[Sequence[str]]) -> tuple[Tensor, list[list[int]]]:
        """A table of vectors ``(rows, dim)`` and, for each sentence, the rows of its tokens in it."""
        with self._lock:
            new = self._new(sentences)
            if new and self._table.used - len(self._known) + len(new) > self._most:
                self._table = self._empty()
                new = self._new(sentences)
            if new:
                with torch.inference_mode():  # throughout: a row of one mode could not be written in another
                    self._add(new)
            index = self._table.index
            return self._table.rows, [[index[token] for token in tokens] for tokens in sentences]

    def _new(self, sentences: Sequence[Sequence[str]]) -> list[str]:
        """The forms that are not in the table."""
        index = self._table.index
        return list(dict.fromkeys(token for tokens in sentences for token in tokens if token not in index))

    def _add(self, forms: list[str]) -> None:
        table = self._table
        if table.used + len(forms) > len(table.rows):
            size = max(table.used + len(forms), 2 * table.used, LEAST_ROWS)
            rows = table.rows.new_empty(size, table.rows.shape[1])
            rows[: table.used] = table.rows[: table.used]
            table.rows = rows
        for start in range(0, len(forms), AT_A_TIME):
            part = forms[start : start + AT_A_TIME]
            begin, end = table.used, table.used + len(part)
            table.rows[begin:end] = self._compute(part)
            # In this order: a fork between the two lines would lose rows, in the other it would give them away twice.
            table.used = end
            table.index.update(zip(part, range(begin, end), strict=True))
