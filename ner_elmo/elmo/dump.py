"""Vectors of a whole file, in the layout of AllenNLP's ``elmo`` command."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from ner_elmo.elmo.encoder import Elmo, Layers
from ner_elmo.text.hdf5 import Hdf5Writer

MOST_SENTENCES_MAPPED = 1_000_000
BYTES_OF_INDEX = 32  # for each dataset, of what the HDF5 library has not written yet


def write_embeddings(
    elmo: Elmo,
    lines: Iterable[str | Sequence[str]],
    path: Path,
    layers: Layers = "all",
    note: Callable[[str], None] = lambda _: None,
) -> tuple[int, int]:
    """Write a float32 dataset for each line, named by its number from 0, and ``sentence_to_index``.

    That is one JSON object as a string, from each line, without the white space around it, to its number.

    Args:
        lines: tokens separated by white space, or lists of them; a blank line gives a dataset of 0 tokens.
        note: is told when there are too many lines for ``sentence_to_index``.

    Returns:
        Lines and tokens written.

    Raises:
        OSError: the disk is full.
    """
    index: dict[str, int] | None = {}
    n_tokens = n_lines = 0

    def sentences() -> Iterator[list[str]]:
        nonlocal index
        for number, line in enumerate(lines):
            if index is not None:
                index.setdefault(line.strip() if isinstance(line, str) else " ".join(line), number)
                if number >= MOST_SENTENCES_MAPPED:
                    index = None
                    note(f"more than {MOST_SENTENCES_MAPPED:,} lines: sentence_to_index is left out")
            yield line.split() if isinstance(line, str) else list(line)

    with Hdf5Writer(path) as writer:
        file = writer.file
        for n_lines, vectors in enumerate(elmo.embed(sentences(), layers), start=1):
            writer.reserve(vectors.nbytes + n_lines * BYTES_OF_INDEX)
            file.create_dataset(str(n_lines - 1), data=vectors, dtype=np.float32)
            n_tokens += vectors.shape[-2]
        if index is not None:
            values = json.dumps({sentence: str(number) for sentence, number in index.items()})
            writer.reserve(len(values.encode()) + n_lines * BYTES_OF_INDEX)
            file.create_dataset("sentence_to_index", (1,), dtype=h5py.string_dtype("utf-8"))[0] = values
    return n_lines, n_tokens
