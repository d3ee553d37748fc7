"""The nearest forms by vectors without context: those of the token layer, or static word vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ner_elmo.explore.index import unit_length
from ner_elmo.explore.search import BLOCK_TOKENS


class Form(NamedTuple):
    """A form of the vocabulary and the cosine of its vector and what was asked for."""

    form: str
    score: float


class StaticVectors:
    """Forms and a vector of unit length for each ``(forms, dim)``, which may lie on disk; a form that is missing is
    looked for in lower case."""

    def __init__(self, name: str, forms: Sequence[str], vectors: np.ndarray) -> None:
        self.name = name
        self.forms = list(forms)
        self._row = {form: row for row, form in enumerate(self.forms)}
        self._vectors = vectors

    def vector_of(self, forms: Sequence[str]) -> np.ndarray | None:
        """The sum of the vectors of these forms ``(dim,)``; ``None`` if none has one."""
        rows = [row for form in forms if (row := self._row.get(form, self._row.get(form.lower()))) is not None]
        return self._vectors[rows].astype(np.float32).sum(axis=0) if rows else None

    def nearest(self, vector: np.ndarray, most: int, without: Sequence[str] = ()) -> list[Form]:
        """The forms with the greatest cosine, the nearest first, less ``without`` in any case of letters."""
        left_out = {form.casefold() for form in without}
        scores = self._scores(unit_length(vector))
        found: list[Form] = []
        for row in np.argsort(-scores, kind="stable"):
            form = self.forms[row]
            if form.casefold() not in left_out:
                left_out.add(form.casefold())
                found.append(Form(form, float(scores[row])))
                if len(found) == most:
                    break
        return found

    def _scores(self, vector: np.ndarray) -> np.ndarray:
        starts = range(0, len(self.forms), BLOCK_TOKENS)
        return np.concatenate([self._vectors[i : i + BLOCK_TOKENS].astype(np.float32) @ vector for i in starts])
