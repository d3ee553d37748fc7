"""Whether a biLM's layers tell the meanings of a word apart: hand-written sentences of ten words with two senses each.

    python benchmarks/senses.py benchmarks/gold/senses.en.tsv --bilm models/en
    python benchmarks/senses.py benchmarks/gold/senses.zh.tsv --bilm models/zh

Each line of the file has a word, a sense and a tokenised sentence with the word in brackets. For each occurrence the
others of the same word are ranked by the cosine of their vectors; printed is the share of the nearest one, and of the
nearest five, that has the same sense. A vector without context is the same for all, so that nothing but chance is left:
the share of the same sense among the others.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ner_elmo import Elmo
from ner_elmo.explore.index import unit_length
from ner_elmo.explore.query import Query, read_query

NEAREST = (1, 5)


class Occurrence(NamedTuple):
    """A word's use in a sentence."""

    word: str
    sense: str
    query: Query


def read(path: Path) -> list[Occurrence]:
    """The lines of a file."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        word, sense, text = line.split("\t")
        found.append(Occurrence(word, sense, read_query(text, "whitespace")))
    return found


def main() -> None:
    """Print the shares by word and layer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("file", type=Path)
    parser.add_argument("--bilm", required=True)
    arguments = parser.parse_args()
    occurrences = read(arguments.file)
    elmo = Elmo.load(arguments.bilm)
    vectors = [
        unit_length(unit_length(layers[:, one.query.start : one.query.end]).sum(axis=1))
        for one, layers in zip(occurrences, elmo.embed(one.query.tokens for one in occurrences), strict=True)
    ]
    shares = shares_of(occurrences, np.array(vectors))
    words = list(dict.fromkeys(one.word for one in occurrences))
    columns = [f"layer {layer}, {n}" for layer in range(1, elmo.n_layers) for n in NEAREST]
    print(f"{'':10}{'by chance':>12}" + "".join(f"{column:>12}" for column in columns))
    for word in [*words, "all"]:
        row = shares[word]
        print(f"{word:10}" + "".join(f"{100 * value:11.1f}%" for value in row))


def shares_of(occurrences: list[Occurrence], vectors: np.ndarray) -> dict[str, np.ndarray]:
    """For each word, and ``all``: the share by chance, then for each layer above the first and each of ``NEAREST``.

    Args:
        vectors: of unit length ``(occurrences, layers, dim)``.
    """
    rows: dict[str, list[list[float]]] = defaultdict(list)
    for i, one in enumerate(occurrences):
        others = [j for j, other in enumerate(occurrences) if j != i and other.word == one.word]
        same = np.array([occurrences[j].sense == one.sense for j in others])
        row = [float(same.mean())]
        for layer in range(1, vectors.shape[1]):
            order = np.argsort(-(vectors[others, layer] @ vectors[i, layer]), kind="stable")
            row += [float(same[order[:n]].mean()) for n in NEAREST]
        rows[one.word].append(row)
        rows["all"].append(row)
    return {word: np.mean(found, axis=0) for word, found in rows.items()}


if __name__ == "__main__":
    main()
