"""CLUENER's ten labels as the three of MSRA, so that both can be learned from together.

    python benchmarks/recipes/names_of_cluener.py CLUENER.bio > OUT

Names of people, places (addresses, sights) and organisations (companies, governments, others) are what MSRA labels,
too. Its other four, posts, games, books and films, are no names of MSRA's kinds and become O.
"""

from __future__ import annotations

import sys
from pathlib import Path

LABELS = {
    "name": "PER",
    "address": "LOC",
    "scene": "LOC",
    "organization": "ORG",
    "company": "ORG",
    "government": "ORG",
}


def renamed(line: str) -> str:
    """One line of the file; an empty one as it is."""
    if not line:
        return line
    character, tag = line.split("\t")
    prefix, _, label = tag.partition("-")
    return f"{character}\t{prefix}-{LABELS[label]}" if label in LABELS else f"{character}\tO"


if __name__ == "__main__":
    for line in Path(sys.argv[1]).read_text(encoding="utf-8").split("\n")[:-1]:
        print(renamed(line))
