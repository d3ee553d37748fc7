"""One question answered: what stands nearest to a marked word, in each layer and by static vectors, with a map.

Peters et al. 2018 (table 4) show so that a biLM tells the meanings of a word apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.explore.index import OccurrenceIndex, unit_length
from ner_elmo.explore.query import Query
from ner_elmo.explore.search import nearest
from ner_elmo.explore.static import Form, StaticVectors

AROUND = 12  # tokens of context that are shown on each side
TOKEN_LAYER = "the biLM's token layer"


@dataclass(frozen=True)
class Neighbour:
    """An occurrence in its context, and where it lies in its layer's map."""

    left: str
    word: str
    right: str
    score: float
    x: float
    y: float


@dataclass(frozen=True)
class Layer:
    """What is near in one layer. ``x`` and ``y`` are the question's own place in the map, ``kept`` the share of the
    variance that its two dimensions show."""

    number: int
    neighbours: list[Neighbour]
    x: float
    y: float
    kept: float


@dataclass(frozen=True)
class Exploration:
    """All that is shown of a question."""

    left: str
    word: str
    right: str
    layers: list[Layer]
    static: dict[str, list[Form]]
    n_tokens: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as ``--json`` and the server give it."""
        layers = [
            {
                "layer": layer.number,
                "x": round(layer.x, 4),
                "y": round(layer.y, 4),
                "variance_shown": round(layer.kept, 4),
                "neighbours": [
                    {
                        "left": one.left,
                        "word": one.word,
                        "right": one.right,
                        "cosine": round(one.score, 4),
                        "x": round(one.x, 4),
                        "y": round(one.y, 4),
                    }
                    for one in layer.neighbours
                ],
            }
            for layer in self.layers
        ]
        static = [
            {"vectors": name, "neighbours": [{"form": form, "cosine": round(score, 4)} for form, score in forms]}
            for name, forms in self.static.items()
        ]
        query = {"left": self.left, "word": self.word, "right": self.right}
        return {"query": query, "tokens_searched": self.n_tokens, "layers": layers, "static": static}


class Explorer:
    """A biLM, the index of a corpus, and static vectors to compare with.

    Args:
        blank: what stands between two tokens: nothing, where each is a character.
    """

    def __init__(self, elmo: Elmo, index: OccurrenceIndex, static: Sequence[StaticVectors], blank: str = " ") -> None:
        self.elmo, self.index, self.blank = elmo, index, blank
        self.static = [StaticVectors(TOKEN_LAYER, index.forms, index.form_vectors), *static]

    def ask(self, query: Query, most: int = 10) -> Exploration:
        """What is nearest to what ``query`` marks, ``most`` of each."""
        (vectors,) = self.elmo.embed([query.tokens], layers=self.index.layers)
        marked = unit_length(vectors[:, query.start : query.end]).sum(axis=1)
        layers = [
            self._layer(number, vector, query, most) for number, vector in zip(self.index.layers, marked, strict=True)
        ]
        static = {}
        for table in self.static:
            vector = table.vector_of(query.marked)
            static[table.name] = [] if vector is None else table.nearest(vector, most, query.marked)
        left, right = self._text(query.tokens[: query.start]), self._text(query.tokens[query.end :])
        return Exploration(left, self._text(query.marked), right, layers, static, self.index.n_tokens)

    def _text(self, tokens: Sequence[str]) -> str:
        return self.blank.join(tokens)

    def _layer(self, number: int, vector: np.ndarray, query: Query, most: int) -> Layer:
        found = nearest(self.index, number, vector, query.n_marked, most, query.tokens)
        vectors = self.index.vectors(number)
        rows = [unit_length(vectors[one.start : one.end].astype(np.float32).sum(axis=0)) for one in found]
        places, kept = plane(np.array([unit_length(vector), *rows]))
        neighbours = []
        for one, (x, y) in zip(found, places[1:], strict=True):
            first, last = self.index.sentence_of(one.start)
            neighbours.append(
                Neighbour(
                    self._text(self.index.tokens(max(first, one.start - AROUND), one.start)),
                    self._text(self.index.tokens(one.start, one.end)),
                    self._text(self.index.tokens(one.end, min(last, one.end + AROUND))),
                    one.score,
                    float(x),
                    float(y),
                )
            )
        return Layer(number, neighbours, float(places[0, 0]), float(places[0, 1]), kept)


def plane(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """Vectors ``(n, dim)`` in the two dimensions in which they differ most ``(n, 2)``: a principal component analysis,
    the signs chosen so that the greatest value of each dimension is positive.

    Returns:
        The places, and the share of the variance that they show.
    """
    centred = vectors - vectors.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(vectors), 2))
    n = min(2, len(s))
    places[:, :n] = u[:, :n] * s[:n]
    for column in places.T:
        if column.size and column[np.argmax(np.abs(column))] < 0:
            column *= -1
    total = float((s**2).sum())
    return places, float((s[:2] ** 2).sum()) / total if total > 0 else 1.0
