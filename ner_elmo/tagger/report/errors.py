"""What kinds of errors a tagger makes: labels taken for one another, entities by length, the errors that recur."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ner_elmo.tagger.report.scores import most_frequent
from ner_elmo.text.formats.corpus import LabelledSentence
from ner_elmo.text.tag_scheme import Span

LENGTHS = ("1", "2", "3", "4", "5+")
MISSED, SPURIOUS, WRONG_LABEL, WRONG_BOUNDS = "missed", "spurious", "wrong label", "wrong bounds"

Spans = Sequence[Sequence[Span]]


class Pair(NamedTuple):
    """A gold entity and the predicted one in its place; None where there is none."""

    gold: Span | None
    predicted: Span | None

    @property
    def kind(self) -> str:
        """``""`` if it is right; a label that is wrong comes before bounds that are."""
        if self.gold is None or self.predicted is None:
            return MISSED if self.predicted is None else SPURIOUS
        if self.gold.label != self.predicted.label:
            return WRONG_LABEL
        return "" if self.gold == self.predicted else WRONG_BOUNDS


def align(gold: Sequence[Span], predicted: Sequence[Span]) -> list[Pair]:
    """Each gold and each predicted entity of a sentence exactly once, in pairs.

    Those with the same bounds belong together; of the rest, those that share most tokens (at a tie, the first).
    """
    overlapping = sorted(
        (wanted[:2] != found[:2], max(wanted.start, found.start) - min(wanted.end, found.end), i, j)
        for i, j in _overlapping(gold, predicted)
        for wanted, found in ((gold[i], predicted[j]),)
    )
    partner: dict[int, int] = {}  # gold → predicted
    taken: set[int] = set()
    for _, _, i, j in overlapping:
        if i not in partner and j not in taken:
            partner[i] = j
            taken.add(j)
    pairs = [Pair(span, predicted[partner[i]] if i in partner else None) for i, span in enumerate(gold)]
    return pairs + [Pair(None, span) for j, span in enumerate(predicted) if j not in taken]


def _overlapping(gold: Sequence[Span], predicted: Sequence[Span]) -> Iterator[tuple[int, int]]:
    """The numbers of the spans that share a token, found in one walk, as no two of one side do."""
    by_place = sorted(range(len(predicted)), key=lambda j: predicted[j].start)
    begin = 0
    for i in sorted(range(len(gold)), key=lambda i: gold[i].start):
        while begin < len(by_place) and predicted[by_place[begin]].end <= gold[i].start:
            begin += 1
        at = begin
        while at < len(by_place) and predicted[by_place[at]].start < gold[i].end:
            yield i, by_place[at]
            at += 1


def confusion(gold: Spans, predicted: Spans) -> dict[str, Any]:
    """Which labels are taken for which; of very many labels the most frequent, and all others as one.

    Returns:
        ``labels``; ``same_bounds`` and ``other_bounds``, rows of gold by columns of predicted label; ``missed`` and
        ``spurious`` by label. A gold label's row and its missed ones add up to its entities, and so does a predicted
        label's column with its spurious ones. Where ``together`` is there, it says how many rarer labels the last row
        and column stand for, which have no name in ``labels``.
    """
    support = Counter(span.label for sentence in gold for span in sentence)
    for label in {span.label for sentence in predicted for span in sentence}:
        support[label] += 0
    labels = most_frequent(support)
    n_rarer = len(support) - len(labels)
    index = {label: number for number, label in enumerate(labels)}
    size = len(labels) + (n_rarer > 0)
    tables = {name: [[0] * size for _ in range(size)] for name in ("same_bounds", "other_bounds")}
    missed, spurious = [0] * size, [0] * size
    for gold_spans, found_spans in zip(gold, predicted, strict=True):
        for wanted, found in align(gold_spans, found_spans):
            row = index.get(wanted.label, size - 1) if wanted is not None else -1
            column = index.get(found.label, size - 1) if found is not None else -1
            if wanted is None:
                spurious[column] += 1
            elif found is None:
                missed[row] += 1
            else:
                tables["same_bounds" if wanted[:2] == found[:2] else "other_bounds"][row][column] += 1
    together = {"together": n_rarer} if n_rarer else {}
    return {"labels": labels, **tables, "missed": missed, "spurious": spurious, **together}


def counts_by_length(gold: Spans, predicted: Spans) -> dict[str, list[int]]:
    """[gold, predicted, correct] for entities of 1, 2, 3, 4, and 5 or more tokens."""
    counts = {name: [0, 0, 0] for name in LENGTHS}
    for gold_spans, found_spans in zip(gold, predicted, strict=True):
        for place, spans in enumerate((gold_spans, found_spans, set(gold_spans) & set(found_spans))):
            for span in spans:
                counts[_length(span)][place] += 1
    return counts


def _length(span: Span) -> str:
    return LENGTHS[min(span.end - span.start, len(LENGTHS)) - 1]


class ErrorExample(NamedTuple):
    """A sentence in which an error was made."""

    tokens: tuple[str, ...]
    gold: Span | None
    predicted: Span | None


class Recurring(NamedTuple):
    """The same error about the same words: how often, and the first sentences that have it."""

    kind: str
    text: str
    gold_label: str
    predicted_label: str
    number: int
    examples: list[ErrorExample]

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {**self._asdict(), "examples": [example._asdict() for example in self.examples]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recurring:
        """What :meth:`as_dict` made."""
        examples = [
            ErrorExample(tuple(example["tokens"]), *(s and Span(*s) for s in (example["gold"], example["predicted"])))
            for example in values["examples"]
        ]
        return cls(**{**values, "examples": examples})


def recurring_errors(
    sentences: Sequence[LabelledSentence], predicted: Spans, n_most: int = 20, n_examples: int = 2
) -> list[Recurring]:
    """The errors that were made most often, most frequent first (then in the order of the text).

    They are told apart by kind, words (those of the gold entity, or of the predicted one where there is no gold) and
    labels.
    """
    number: Counter[tuple[str, str, str, str]] = Counter()
    examples: dict[tuple[str, str, str, str], list[ErrorExample]] = {}
    for tokens, pair in _errors(sentences, predicted):
        span = pair.gold or pair.predicted
        assert span is not None
        key = (pair.kind, " ".join(tokens[span.start : span.end]), _label(pair.gold), _label(pair.predicted))
        number[key] += 1
        kept = examples.setdefault(key, [])
        if len(kept) < n_examples and all(example.tokens != tokens for example in kept):
            kept.append(ErrorExample(tokens, *pair))
    return [Recurring(*key, number=n, examples=examples[key]) for key, n in number.most_common(n_most)]


def count_kinds(sentences: Sequence[LabelledSentence], predicted: Spans) -> dict[str, int]:
    """How many errors there are of each kind."""
    numbers = Counter(pair.kind for _, pair in _errors(sentences, predicted))
    return {kind: numbers[kind] for kind in (MISSED, SPURIOUS, WRONG_LABEL, WRONG_BOUNDS)}


def _errors(sentences: Sequence[LabelledSentence], predicted: Spans) -> Iterator[tuple[tuple[str, ...], Pair]]:
    for sentence, found in zip(sentences, predicted, strict=True):
        if list(sentence.spans) != list(found):
            yield from ((tuple(sentence.tokens), pair) for pair in align(sentence.spans, found) if pair.kind)


def _label(span: Span | None) -> str:
    return "" if span is None else span.label
