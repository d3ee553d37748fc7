"""Text for pretraining: streamed from any number of files at once, shuffled in a buffer, cut into batches of like
length."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ner_elmo.bilm.data.interleave import interleaved
from ner_elmo.errors import DataError, UsageError
from ner_elmo.text.batching import by_length
from ner_elmo.text.characters import BEGIN_SENTENCE, END_SENTENCE, char_ids
from ner_elmo.text.files import STANDARD_STREAM, display_name, read_lines, require_file
from ner_elmo.text.heldout import Split
from ner_elmo.text.tokenizer import sentence_forms
from ner_elmo.text.vocabulary import Vocabulary

Sentence = Sequence[str]

SHUFFLE_BUFFER = 65_536  # sentences read, shuffled and cut into batches at a time
LONGEST_TRAINING_SENTENCE = 400  # tokens; longer ones are cut into pieces for training, never for perplexity
HELDOUT_SHARE = 0.005
HELDOUT_SHARE_OF_LITTLE = 0.05  # where the text has fewer than LITTLE_TEXT sentences
LITTLE_TEXT = 20_000
HELDOUT_MOST = 50_000  # lines

# --text on the command line, and the name of the tokenizer that ``bilm.json`` records.
TEXT_KINDS = {"tokenized": "whitespace", "raw": "en-1", "characters": "characters-words"}


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
        for line in read_lines(path, encoding):
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


class Batch(NamedTuple):
    """Padded sentences with their boundaries, time first.

    Attributes:
        types: the distinct tokens of the batch: character rows ``(types, max_characters)``, or word ids ``(types,)``.
        tokens: indices into ``types`` ``(time, batch)``; padding repeats the end of the sentence.
        targets: word ids ``(time, batch)``.
        lengths: real positions of each sentence, boundaries included ``(batch,)``.
        n_tokens: tokens without boundaries.
    """

    types: Tensor
    tokens: Tensor
    targets: Tensor
    lengths: Tensor
    n_tokens: int

    def to(self, device: torch.device | str) -> Batch:
        types, tokens, targets, lengths = (part.to(device, non_blocking=True) for part in self[:4])
        return Batch(types, tokens, targets, lengths, self.n_tokens)

    def pinned(self) -> Batch:
        """In memory from which a GPU copies while it computes."""
        types, tokens, targets, lengths = (part.pin_memory() for part in self[:4])
        return Batch(types, tokens, targets, lengths, self.n_tokens)


def make_batch(sentences: Sequence[Sentence], vocabulary: Vocabulary, max_characters: int | None) -> Batch:
    """Build a batch; ``max_characters`` is ``None`` for models with word input."""
    bounded = [[BEGIN_SENTENCE, *sentence, END_SENTENCE] for sentence in sentences]
    lengths = [len(sentence) for sentence in bounded]
    index: dict[str, int] = {END_SENTENCE: 0}
    tokens = np.zeros((max(lengths), len(bounded)), dtype=np.int64)
    for column, sentence in enumerate(bounded):
        tokens[: len(sentence), column] = [index.setdefault(token, len(index)) for token in sentence]
    ids = np.array([vocabulary.id_of(token) for token in index], dtype=np.int64)
    types = ids if max_characters is None else char_ids(list(index), max_characters)
    return Batch(
        types=torch.from_numpy(types),
        tokens=torch.from_numpy(tokens),
        targets=torch.from_numpy(ids[tokens]),
        lengths=torch.tensor(lengths),
        n_tokens=sum(lengths) - 2 * len(lengths),
    )


def pieces(tokens: list[str], longest: int) -> Iterator[list[str]]:
    """Cut a sentence into pieces of at most ``longest`` tokens."""
    for start in range(0, len(tokens), longest):
        yield tokens[start : start + longest]


def training_batches(
    source: Callable[[], Iterable[list[str]]], batch_tokens: int, seed: int, epoch: int
) -> Iterator[list[list[str]]]:
    """The batches of one epoch as lists of sentences: a pure function of its arguments, so that a run can resume.

    ``SHUFFLE_BUFFER`` sentences are read at a time and cut into batches of like length, in a random order.

    Raises:
        DataError: the text holds no sentence.
    """
    order = random.Random(f"{seed}/{epoch}")
    longest = max(1, min(LONGEST_TRAINING_SENTENCE, batch_tokens - 2))
    buffer: list[list[str]] = []
    any_yet = False

    def drain() -> Iterator[list[list[str]]]:
        order.shuffle(buffer)
        groups = list(by_length(buffer, batch_tokens))
        order.shuffle(groups)
        for group in groups:
            yield [buffer[i] for i in group]
        buffer.clear()

    for tokens in source():
        any_yet = True
        buffer.extend(pieces(list(map(sys.intern, tokens)), longest))  # a word that is there already is kept once
        if len(buffer) >= SHUFFLE_BUFFER:
            yield from drain()
    if not any_yet:
        raise DataError("the training text holds no sentence")
    yield from drain()


def describe(files: Iterable[Path]) -> str:
    """Names of the files for messages."""
    return ", ".join(display_name(file) for file in files)
