"""Word vectors of two files side by side: what general text says of a word, then what a domain's says; zeros where one
does not know it.

    python benchmarks/recipes/side_by_side.py en.vectors.txt bio.vectors.txt -o both.vectors.txt

The files are GloVe's text, as ``data/train_word_vectors.py`` writes it. Words are those of the first in its order, then
those that only the second has.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def read(path: Path) -> dict[str, list[str]]:
    """The numbers of each word, as they are written."""
    with path.open(encoding="utf-8") as stream:
        return {word: numbers for word, *numbers in (line.rstrip("\n").split(" ") for line in stream)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("files", nargs=2, type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    one, other = map(read, arguments.files)
    zeros = [["0"] * len(next(iter(vectors.values()))) for vectors in (one, other)]
    with arguments.output.open("w", encoding="utf-8") as stream:
        for word in dict.fromkeys([*one, *other]):
            stream.write(" ".join([word, *one.get(word, zeros[0]), *other.get(word, zeros[1])]) + "\n")


if __name__ == "__main__":
    main()
