"""Running text: the original scheme, in which state is carried from batch to batch (docs/elmo-format.md §9).

A batch has a fixed number of rows, each of ``unroll_steps`` pairs (input, target), and never any padding. A row reads
sentence after sentence, ``<S>`` to ``</S>``; a sentence of n tokens gives n + 1 pairs, its last symbol is predicted and
never read, and a sentence that does not fit goes on in the same row of the next batch, from the state that the row was
left in. The two directions are independent streams; the backward one reads each sentence from its end.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ner_elmo.bilm.data import batches
from ner_elmo.bilm.data.corpus import Sentence, TextSource
from ner_elmo.bilm.token_encoder import TokenEncoder
from ner_elmo.errors import DataError, UsageError
from ner_elmo.nn.cell import States
from ner_elmo.text.characters import BEGIN_SENTENCE, END_SENTENCE
from ner_elmo.text.vocabulary import Vocabulary

ORDERS = ("shuffled", "text")
Row = list[str]


class ShuffledText:
    """The sentences of a text without end: in every pass its files in a new order, and their sentences shuffled in a
    buffer. ``position`` is the pass and the sentences of it that were read, from which ``seek`` goes on."""

    def __init__(self, source: TextSource, name: str) -> None:
        self.source = source
        self.name = name
        self.seek([0, 0])

    def seek(self, position: Sequence[int]) -> None:
        self.position = list(position)
        self._sentences = self._one_pass(self.position[0])
        for _ in range(self.position[1]):
            next(self._sentences)

    def _one_pass(self, number: int) -> Iterator[list[str]]:
        order = random.Random(f"{self.name}/{number}")
        files = list(self.source.files)
        order.shuffle(files)
        buffer: list[list[str]] = []
        for tokens in replace(self.source, files=tuple(files)).sentences():
            buffer.append(tokens)
            if len(buffer) >= batches.SHUFFLE_BUFFER:
                order.shuffle(buffer)
                yield from buffer
                buffer.clear()
        order.shuffle(buffer)
        yield from buffer

    def __iter__(self) -> ShuffledText:
        return self

    def __next__(self) -> list[str]:
        for _ in range(2):
            for tokens in self._sentences:
                self.position[1] += 1
                return tokens
            self.seek([self.position[0] + 1, 0])
        raise DataError("the training text holds no sentence")


class TextFrom:
    """The sentences of a text in their order, from number ``start`` round and round; ``position`` is how many."""

    def __init__(self, sentences: Sequence[list[str]], start: int) -> None:
        self.sentences = sentences
        self.start = start
        self.seek([0])

    def seek(self, position: Sequence[int]) -> None:
        self.position = list(position)

    def __iter__(self) -> TextFrom:
        return self

    def __next__(self) -> list[str]:
        tokens = self.sentences[(self.start + self.position[0]) % len(self.sentences)]
        self.position[0] += 1
        return tokens


def symbols(sentence: Sentence, backward: bool) -> Row:
    """A sentence with its boundaries, in the direction's reading order."""
    bounded = [BEGIN_SENTENCE, *sentence, END_SENTENCE]
    return bounded[::-1] if backward else bounded


class Stream:
    """One direction's rows of pairs.

    Args:
        sources: where each row fetches its next sentence. Rows may share one, as all of bilm-tf's do: then a sentence
            goes to the first row that has room for it, the first row being filled before the second.
    """

    def __init__(self, sources: Sequence[Iterator[list[str]]], unroll_steps: int, backward: bool) -> None:
        self.sources = list(sources)
        self.unroll_steps = unroll_steps
        self.backward = backward
        self.rests: list[Row] = [[] for _ in self.sources]  # what a row has begun to read

    def __iter__(self) -> Iterator[tuple[list[Row], list[Row]]]:
        """Inputs and targets, ``rows`` lists of ``unroll_steps`` symbols each, until a source ends; what then does not
        fill a batch is left out."""
        while True:
            batch = []
            for row in range(len(self.sources)):
                pairs = self._fill(row)
                if len(pairs[0]) < self.unroll_steps:
                    return
                batch.append(pairs)
            yield [inputs for inputs, _ in batch], [targets for _, targets in batch]

    def _fill(self, row: int) -> tuple[Row, Row]:
        inputs: Row = []
        targets: Row = []
        rest = self.rests[row]
        while len(inputs) < self.unroll_steps:
            if len(rest) <= 1:
                sentence = next(self.sources[row], None)
                if sentence is None:
                    break
                rest = symbols(sentence, self.backward)
            take = min(len(rest) - 1, self.unroll_steps - len(inputs))
            inputs += rest[:take]
            targets += rest[1 : take + 1]
            rest = rest[take:]
        self.rests[row] = rest
        return inputs, targets


class RunningBatch(NamedTuple):
    """Rows of both directions, time first.

    Attributes:
        types: the distinct tokens of the batch as rows of the token encoder ``(types, ...)``.
        inputs: forward and backward, indices into ``types`` ``(unroll_steps, rows)``.
        targets: forward and backward, word ids ``(unroll_steps, rows)``.
        n_tokens: targets of the forward direction that are tokens, not boundaries.
    """

    types: Tensor
    inputs: tuple[Tensor, Tensor]
    targets: tuple[Tensor, Tensor]
    n_tokens: int

    def to(self, device: torch.device | str) -> RunningBatch:
        types, *others = (part.to(device, non_blocking=True) for part in (self.types, *self.inputs, *self.targets))
        return RunningBatch(types, (others[0], others[1]), (others[2], others[3]), self.n_tokens)


def make_running_batch(
    forward: tuple[list[Row], list[Row]],
    backward: tuple[list[Row], list[Row]],
    vocabulary: Vocabulary,
    encoder: TokenEncoder,
) -> RunningBatch:
    """Build a batch, on the CPU, of (inputs, targets) of each direction, whose tokens ``encoder`` is to read."""
    index: dict[str, int] = {}
    inputs, targets = [], []
    for read, wanted in (forward, backward):
        numbers = [[index.setdefault(token, len(index)) for token in row] for row in read]
        inputs.append(torch.tensor(numbers).t().contiguous())
        targets.append(torch.tensor([[vocabulary.id_of(token) for token in row] for row in wanted]).t().contiguous())
    return RunningBatch(
        types=encoder.rows_of(list(index), vocabulary),
        inputs=(inputs[0], inputs[1]),
        targets=(targets[0], targets[1]),
        n_tokens=sum(token != END_SENTENCE for row in forward[1] for token in row),
    )


class RunningText:
    """Both directions' streams and the states that their last batch left: all that a run on running text adds to a
    checkpoint."""

    def __init__(self, forward: Stream, backward: Stream) -> None:
        self.streams = (forward, backward)
        self.states: States = (None, None)
        self._batches = zip(forward, backward, strict=False)

    def next_batch(self, vocabulary: Vocabulary, encoder: TokenEncoder) -> RunningBatch:
        """The next batch of both directions.

        Raises:
            StopIteration: a stream has an end, and it is reached.
        """
        forward, backward = next(self._batches)
        return make_running_batch(forward, backward, vocabulary, encoder)

    def keep(self, states: States) -> None:
        """Carry these states to the next batch; the gradient ends here."""
        forward, backward = ([(h.detach(), c.detach()) for h, c in part or ()] for part in states)
        self.states = (forward, backward)

    def state_dict(self) -> dict[str, Any]:
        """Where both streams stand, and the states: plain values and tensors."""
        return {
            "rests": [stream.rests for stream in self.streams],
            "positions": [[source.position for source in _distinct(stream)] for stream in self.streams],
            "states": list(self.states),
        }

    def load_state_dict(self, values: dict[str, Any], device: torch.device) -> None:
        """Go on from what :meth:`state_dict` gave."""
        for stream, rests, positions in zip(self.streams, values["rests"], values["positions"], strict=True):
            stream.rests = [list(rest) for rest in rests]
            for source, position in zip(_distinct(stream), positions, strict=True):
                source.seek(position)
        forward, backward = (part and [(h.to(device), c.to(device)) for h, c in part] for part in values["states"])
        self.states = (forward, backward)


def _distinct(stream: Stream) -> list[Any]:
    """The sources of a stream, one that rows share named once."""
    return list({id(source): source for source in stream.sources}.values())


class Rows(NamedTuple):
    """How running text is laid out: so many rows of so many steps, in which order, drawn by which seed."""

    n_rows: int
    unroll_steps: int
    order: str
    seed: int


def running_text(source: TextSource, rows: Rows) -> RunningText:
    """The streams of a run.

    With ``order`` ``shuffled`` all rows of a direction share one stream of shuffled sentences, as in bilm-tf; with
    ``text`` each row reads its own stretch of the text in order (which is then held in memory), goes on with the next
    row's, and round: the state that a sentence begins with is that of the sentence before it.
    """
    n_rows, steps = rows.n_rows, rows.unroll_steps
    if rows.order == "text":
        text = [[sys.intern(token) for token in sentence] for sentence in source.sentences()]
        starts = [row * len(text) // n_rows for row in range(n_rows)]
        forward, backward = (Stream([TextFrom(text, start) for start in starts], steps, b) for b in (False, True))
    else:
        forward, backward = (
            Stream([ShuffledText(source, f"{rows.seed}/{'backward' if b else 'forward'}")] * n_rows, steps, b)
            for b in (False, True)
        )
    return RunningText(forward, backward)


def require_enough_text(rows: Rows, n_tokens: int, n_sentences: int) -> None:
    """Refuse a text that does not fill one batch.

    Raises:
        UsageError: it does not; the message says how many rows it would fill.
    """
    most = min((n_tokens + n_sentences) // rows.unroll_steps, n_sentences)
    if most < rows.n_rows:
        raise UsageError(
            f"--carry-state: the training text ({n_tokens:,} tokens in {n_sentences:,} sentences) does not fill one "
            f"batch of {rows.n_rows:,} rows of {rows.unroll_steps} steps; "
            + (f"try --rows {most} or fewer, or more text" if most else "try fewer --unroll-steps, or more text")
        )


def one_row(sentences: Sequence[Sentence], vocabulary: Vocabulary, encoder: TokenEncoder) -> RunningBatch:
    """A batch of one row that holds all of ``sentences``."""
    steps = sum(len(sentence) + 1 for sentence in sentences)
    forward, backward = (next(iter(Stream([iter(map(list, sentences))], steps, b))) for b in (False, True))
    return make_running_batch(forward, backward, vocabulary, encoder)
