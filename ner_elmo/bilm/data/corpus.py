"""Text for pretraining: its files, and their sentences streamed from any number of them at once."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from ner_elmo.bilm.data.interleave import interleaved
from ner_elmo.errors import UsageError
from ner_elmo.text.files import STANDARD_STREAM, display_name, read_lines, require_file
from ner_elmo.text.heldout import Split
from ner_elmo.text.tokenizer import resolved, sentence_forms

Sentence = Sequence[str]

HELDOUT_SHARE = 0.005
HELDOUT_SHARE_OF_LITTLE = 0.05  # where the text has fewer than LITTLE_TEXT sentences
LITTLE_TEXT = 20_000
HELDOUT_MOST = 50_000  # lines

# --text on the command line, and the name of the tokenizer that ``bilm.json`` records.
TOKENIZER_OF_TEXT = {"tokenized": "whitespace", "raw": "en-1", "characters": "characters-words"}


def tokenizer_of(text: str) -> str:
    """The kind of text that ``--text`` of pretraining means: its own three names, or any kind's or language's.

    Raises:
        UsageError: there is no such kind, or its package is missing.
    """
    return TOKENIZER_OF_TEXT.get(text) or resolved(text)


def find_files(paths: Iterable[str | Path]) -> list[Path]:
    """The files that are named, and all files below the folders that are named, in a fixed order.

    Raises:
        UsageError: something is missing or unreadable, or a folder holds no file.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if str(path) == STANDARD_STREAM:
            raise UsageError(
                "pretraining reads its text more than once and cannot take it from standard input; name a file"
            )
        if path.is_dir():
            below = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
            if not below:
                raise UsageError(f"{path}: found no file in this folder")
            files += below
        else:
            files.append(require_file(path, "text file"))
    return files


def read_sentences(paths: Iterable[str | Path], tokenizer: str, encoding: str = "utf-8") -> Iterator[list[str]]:
    """Yield the tokens of each sentence that holds any, file after file, in constant memory."""
    for path in paths:
        for line in read_lines(path, encoding, is_looked_at=True):
            yield from sentence_forms(line, tokenizer)


@dataclass(frozen=True)
class TextSource:
    """The training text: what ``split`` leaves of ``files``. ``sizes``: training sentences of each file, once they
    are counted."""

    files: tuple[Path, ...]
    tokenizer: str = "whitespace"
    encoding: str = "utf-8"
    split: Split = Split()  # noqa: RUF009 - frozen
    sizes: tuple[int, ...] = ()

    def sentences(self, order: str | None = None) -> Iterator[list[str]]:
        """Every training sentence once: file after file, or with ``order``, a seed, the files interleaved.

        The files must have been counted (``sizes``) to be interleaved.
        """
        if order is None or len(self.files) == 1:
            return chain.from_iterable(map(self._of_file, self.files))
        return interleaved(self.files, self.sizes, self._of_file, random.Random(f"{order}/files"))

    def _of_file(self, file: Path) -> Iterator[list[str]]:
        return iter(self.split.training(read_sentences([file], self.tokenizer, self.encoding)))

    def holding_out(self) -> TextSource:
        """The same text with the usual share held out; a larger one where there is little."""
        n_sentences = sum(1 for _ in islice(self.sentences(), LITTLE_TEXT))
        return replace(self, split=Split(HELDOUT_SHARE if n_sentences == LITTLE_TEXT else HELDOUT_SHARE_OF_LITTLE))


def describe(files: Iterable[Path]) -> str:
    """Names of the files for messages."""
    return ", ".join(display_name(file) for file in files)
