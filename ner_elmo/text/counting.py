"""Counting a corpus in one pass, by several processes: tokens, sentences, repeated sentences, held-out ones.

One process reads and decodes (a compressed file cannot be read in parts), the others split its blocks into sentences
and tokens, hash and count. Blocks are added up in the order of the text, so that the result, down to the order of the
counter's keys, does not depend on how many processes took part.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ner_elmo.errors import NerElmoError
from ner_elmo.text.files import read_lines
from ner_elmo.text.heldout import Split, sentence_digest
from ner_elmo.text.tokenizer import sentence_forms
from ner_elmo.text.vocabulary import SPECIALS

BLOCK_CHARACTERS = 2_000_000  # of text, handed to a process at a time
LITTLE_TEXT = 8_000_000  # bytes of files (compressed or not) below which more processes cost more than they save
DIGESTS_MOST = 1_000_000  # distinct sentences up to which repeated ones are counted exactly
# Distinct forms that are counted at once, some 300 MB of them. Beyond it the rarest are forgotten, which a vocabulary
# of the most frequent ones would not take; 32 million tokens of English have 0.6 million.
FORMS_MOST = 2_000_000
_BLOCKS_AHEAD = 3  # blocks in flight for each process


class Block(NamedTuple):
    """Whole lines of one file, joined by LF."""

    file: int
    text: str


class BlockCount(NamedTuple):
    """What one block holds. ``counts`` and ``n_training`` are of training text, ``digests`` of all sentences."""

    file: int
    counts: Counter[str]
    n_training: int
    n_elsewhere: int
    heldout: list[list[str]]
    digests: np.ndarray


class RepeatedSentences:
    """How many sentences repeat an earlier one, in bounded memory.

    Digests are kept with their counts; once ``most`` distinct ones are there, only those below a falling ``limit`` are
    kept: sentences chosen by their hash, all copies of each, from which the number for the whole text is estimated.
    """

    def __init__(self, most: int = DIGESTS_MOST) -> None:
        self.most = most
        self.limit = 2**64
        self._digests = np.empty(0, dtype=np.uint64)
        self._counts = np.empty(0, dtype=np.int64)
        self._pending: list[np.ndarray] = []
        self._n_pending = 0

    def add(self, digests: np.ndarray) -> None:
        """Take in the digests ``(n,)`` uint64 of further sentences."""
        self._pending.append(digests)
        self._n_pending += len(digests)
        if self._n_pending >= self.most // 2:
            self._merge()

    def add_all(self, other: RepeatedSentences) -> None:
        """Take in what was counted elsewhere."""
        self._merge()
        other._merge()
        self.limit = min(self.limit, other.limit)
        self._take(other._digests, other._counts)

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold."""
        self._merge()
        digests, counts = self._digests.tolist(), self._counts.tolist()
        return {"most": self.most, "limit": self.limit, "digests": digests, "counts": counts}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RepeatedSentences:
        """What :meth:`to_dict` gave."""
        repeated = cls(values["most"])
        repeated.limit = values["limit"]
        repeated._digests = np.array(values["digests"], dtype=np.uint64)
        repeated._counts = np.array(values["counts"], dtype=np.int64)
        return repeated

    def _merge(self) -> None:
        pending = np.concatenate([np.empty(0, dtype=np.uint64), *self._pending])
        self._pending, self._n_pending = [], 0
        self._take(pending, np.ones(len(pending), dtype=np.int64))

    def _take(self, more: np.ndarray, counts: np.ndarray) -> None:
        digests, counts = np.concatenate([self._digests, more]), np.concatenate([self._counts, counts])
        kept = digests <= np.uint64(self.limit - 1)
        digests, places = np.unique(digests[kept], return_inverse=True)
        self._digests = digests
        self._counts = np.bincount(places, weights=counts[kept], minlength=len(digests)).astype(np.int64)
        while len(self._digests) > self.most:
            self.limit //= 2
            kept = self._digests <= np.uint64(self.limit - 1)
            self._digests, self._counts = self._digests[kept], self._counts[kept]

    @property
    def is_exact(self) -> bool:
        self._merge()
        return self.limit == 2**64

    def number(self) -> int:
        """Sentences that repeat an earlier one: exact, or estimated if :attr:`is_exact` is false."""
        self._merge()
        return round(int((self._counts - 1).sum()) * (2**64 / self.limit))


@dataclass
class TextCount:
    """A corpus as counted.

    Attributes:
        counts: of the tokens of the training text, special strings left out; its sentences under ``</S>``.
        sentences: training sentences of each file.
        heldout: the sentences that were held out, in the order of the text, at most as many as were asked for.
        n_elsewhere: sentences left out of training because they stand in the held-out file.
        repeated: sentences that stand in the text before, on either side.
        n_forgotten: tokens of rare forms that ``counts`` no longer has, since there were too many forms.
    """

    counts: Counter[str]
    sentences: list[int]
    heldout: list[list[str]] = field(default_factory=list)
    n_elsewhere: int = 0
    repeated: RepeatedSentences = field(default_factory=RepeatedSentences)
    n_forgotten: int = 0
    _rare: int = field(default=0, repr=False)  # forms counted so often, at most, were forgotten

    @property
    def n_tokens(self) -> int:
        return sum(self.counts.values()) - self.counts["</S>"] + self.n_forgotten

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold."""
        return self.__dict__ | {"counts": dict(self.counts), "repeated": self.repeated.to_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TextCount:
        """What :meth:`to_dict` gave."""
        own = {"counts": Counter(values["counts"]), "repeated": RepeatedSentences.from_dict(values["repeated"])}
        return cls(**values | own)

    def add(self, other: TextCount, files: Sequence[int], heldout_most: int) -> None:
        """Take in the count of other files of the corpus, of which ``files`` are the numbers in it."""
        self.counts.update(other.counts)
        for number, n_sentences in zip(files, other.sentences, strict=True):
            self.sentences[number] += n_sentences
        self.heldout += other.heldout[: max(0, heldout_most - len(self.heldout))]
        self.n_elsewhere += other.n_elsewhere
        self.n_forgotten += other.n_forgotten
        self.repeated.add_all(other.repeated)
        if len(self.counts) > FORMS_MOST:
            self.forget_rare_forms(FORMS_MOST)

    def forget_rare_forms(self, most: int) -> None:
        """Leave out the rarest forms, one count after the other, until at most half of ``most`` are left.

        What was forgotten may come again and is then counted anew: a count is too low by as much as was forgotten.
        """
        while len(self.counts) > most // 2:
            self._rare += 1
            rare = [form for form, n in self.counts.items() if n <= self._rare]
            self.n_forgotten += sum(self.counts.pop(form) for form in rare)


def count_text(
    files: Sequence[Path],
    kind: str,
    encoding: str = "utf-8",
    split: Split = Split(),  # noqa: B008 - frozen
    *,
    heldout_most: int = 50_000,
    processes: int = 1,
    most_characters: Sequence[int] | None = None,
) -> TextCount:
    """Read ``files`` once and count them.

    Args:
        processes: that split and count, besides the one that reads; with 1, or little text, everything is done here.
            More need a main module that can be imported anew (``multiprocessing``'s *spawn*).
        most_characters: how much of each file to read, for samples; lines stay whole.

    Raises:
        UsageError, DataError: a file that cannot be read.
        NerElmoError: a process was killed.
    """
    blocks = _blocks(files, encoding, most_characters)
    if sum(file.stat().st_size for file in files) < LITTLE_TEXT:
        processes = 1
    total = TextCount(Counter(), [0] * len(files))
    for found in _counted(blocks, kind, split, processes):
        total.counts.update(found.counts)
        if len(total.counts) > FORMS_MOST:
            total.forget_rare_forms(FORMS_MOST)
        total.sentences[found.file] += found.n_training
        total.n_elsewhere += found.n_elsewhere
        total.heldout += found.heldout[: max(0, heldout_most - len(total.heldout))]
        total.repeated.add(found.digests)
    for special in SPECIALS:
        total.counts.pop(special, None)
    total.counts["</S>"] = sum(total.sentences)
    return total


def count_block(block: Block, kind: str, split: Split) -> BlockCount:
    """Count one block."""
    counts: Counter[str] = Counter()
    heldout, digests = [], []
    n_training = n_elsewhere = 0
    for line in block.text.split("\n"):
        for tokens in sentence_forms(line, kind):
            digest = sentence_digest(tokens)
            digests.append(digest)
            if split.holds_out(digest):
                heldout.append(tokens)
            elif digest in split.elsewhere:
                n_elsewhere += 1
            else:
                n_training += 1
                counts.update(tokens)
    return BlockCount(block.file, counts, n_training, n_elsewhere, heldout, np.array(digests, dtype=np.uint64))


def _blocks(files: Sequence[Path], encoding: str, most_characters: Sequence[int] | None) -> Iterator[Block]:
    for number, file in enumerate(files):
        lines: list[str] = []
        size, left = 0, most_characters[number] if most_characters else None
        for line in read_lines(file, encoding, is_looked_at=True):
            lines.append(line)
            size += len(line) + 1
            if size >= BLOCK_CHARACTERS or (left is not None and size >= left):
                yield Block(number, "\n".join(lines))
                if left is not None:
                    left -= size
                lines, size = [], 0
                if left is not None and left <= 0:
                    break
        if lines:
            yield Block(number, "\n".join(lines))


def _counted(blocks: Iterable[Block], kind: str, split: Split, processes: int) -> Iterator[BlockCount]:
    """The blocks' counts in the blocks' order."""
    if processes == 1:
        for block in blocks:
            yield count_block(block, kind, split)
        return
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _start_process, (kind, split))
    try:
        ahead: deque[Future[BlockCount]] = deque()
        for block in blocks:
            ahead.append(pool.submit(_count_in_process, block))
            if len(ahead) >= _BLOCKS_AHEAD * processes:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    except BrokenProcessPool:
        raise NerElmoError(
            "a process that counted tokens was ended from outside (out of memory?); try --threads 1"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


# What a counting process was started with, so that it does not travel with every block.
_job: tuple[str, Split] = ("whitespace", Split())


def _start_process(kind: str, split: Split) -> None:
    global _job
    _job = (kind, split)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the main process decides
    threading.Thread(target=_end_with_the_main_process, daemon=True).start()


def _end_with_the_main_process() -> None:
    """One that is killed cannot tell its workers, which would wait for ever."""
    if (main_process := parent_process()) is not None:
        main_process.join()
        os._exit(1)


def _count_in_process(block: Block) -> BlockCount:
    return count_block(block, *_job)
