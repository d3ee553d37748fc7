"""How good predicted entities are: our own comparison of spans, and seqeval's report of the same figures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ner_elmo.text.formats.labels import looks_like_words
from ner_elmo.text.tag_scheme import TOKEN, Span, tags


class Counts(NamedTuple):
    """Entities in the gold standard, predicted, and predicted correctly (same start, end and label)."""

    gold: int = 0
    predicted: int = 0
    correct: int = 0

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(self.gold + other.gold, self.predicted + other.predicted, self.correct + other.correct)

    @property
    def precision(self) -> float:
        """The share of the predicted that is correct; 0 where nothing was predicted."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """The share of the gold that was found; 0 where there is none."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """2 · correct / (gold + predicted), the harmonic mean of precision and recall; 0 where there is neither."""
        total = self.gold + self.predicted
        return 2 * self.correct / total if total else 0.0


MOST_ROWS = 50  # labels in tables and pictures
SentenceCounts = dict[str, Counts]


def count_sentence(gold: Sequence[Span], predicted: Sequence[Span]) -> SentenceCounts:
    """The counts of one sentence, by label."""
    groups = [Counter(span.label for span in group) for group in (gold, predicted, set(gold) & set(predicted))]
    return {label: Counts(*(group[label] for group in groups)) for label in sorted(groups[0] | groups[1])}


def count(gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]]) -> list[SentenceCounts]:
    """The counts of each sentence.

    Raises:
        ValueError: there are not as many sentences of one as of the other.
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(predicted)} predicted sentences, expected as many as in the gold standard: {len(gold)}")
    return [count_sentence(*pair) for pair in zip(gold, predicted, strict=True)]


def total_by_label(sentences: Sequence[SentenceCounts]) -> SentenceCounts:
    """The counts of all sentences together, by label in alphabetical order."""
    totals: SentenceCounts = {}
    for sentence in sentences:
        for label, counts in sentence.items():
            totals[label] = totals.get(label, Counts()).plus(counts)
    return dict(sorted(totals.items()))


def total(sentences: Sequence[SentenceCounts]) -> Counts:
    """The counts of all sentences and labels together, from which the micro averages follow."""
    result = Counts()
    for counts in total_by_label(sentences).values():
        result = result.plus(counts)
    return result


def scores(sentences: Sequence[SentenceCounts]) -> dict[str, Any]:
    """Precision, recall and F1 as fractions of 1, over all labels (micro) and under ``labels`` for each."""
    overall = total(sentences)
    by_label = {
        label: _figures(counts) | {"support": counts.gold} for label, counts in total_by_label(sentences).items()
    }
    return _figures(overall) | {"labels": by_label}


def accuracy(gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]], lengths: Sequence[int]) -> float:
    """The share of tokens whose tag is right, in IOB2 (as conlleval counts), or where each token has one of its own."""
    right = 0
    for gold_spans, found_spans, n_tokens in zip(gold, predicted, lengths, strict=True):
        pairs = zip(tags(gold_spans, n_tokens, "iob2"), tags(found_spans, n_tokens, "iob2"), strict=True)
        right += sum(a == b for a, b in pairs)
    return right / max(1, sum(lengths))


def _figures(counts: Counts) -> dict[str, Any]:
    return {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1}


def seqeval_report(gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]], lengths: Sequence[int]) -> str:
    """seqeval's classification report, on canonical IOB2 tags written from the spans, so that its figures are ours."""
    from seqeval.metrics import classification_report  # slow to import, so only here

    if not any(gold) and not any(predicted):
        return "no entities, neither in the data nor predicted\n"
    gold_tags = [tags(sentence, n_tokens, "iob2") for sentence, n_tokens in zip(gold, lengths, strict=True)]
    found_tags = [tags(sentence, n_tokens, "iob2") for sentence, n_tokens in zip(predicted, lengths, strict=True)]
    report = str(classification_report(gold_tags, found_tags, digits=4, zero_division=0))
    labels = Counter(span.label for sentence in gold for span in sentence)
    return _with_most_frequent(report.split("\n"), labels)


def _with_most_frequent(lines: list[str], labels: Counter[str]) -> str:
    """seqeval's lines, of very many labels those of the most frequent."""
    head, rows, averages = lines[:2], lines[2:-5], lines[-5:]
    if len(rows) > MOST_ROWS:
        kept = set() if looks_like_words(labels) else set(most_frequent(labels))
        rows = [row for row in rows if re.sub(r"( +[0-9.]+){4}$", "", row).strip() in kept]
        rows.append(
            f"... and {len(lines) - 7 - len(rows):,} {'more labels' if rows else 'labels, which look like words'}"
        )
    return "\n".join([*head, *rows, *averages])


def most_frequent(support: Mapping[str, int]) -> list[str]:
    """All labels in alphabetical order; of very many the most frequent."""
    return sorted(sorted(support, key=lambda label: (-support[label], label))[:MOST_ROWS])


def most_frequent_in(reports: Iterable[Mapping[str, Any]], part: str) -> list[str]:
    """The same of the labels in the scores of reports."""
    support: Counter[str] = Counter()
    for report in reports:
        for label, row in report["scores"][part]["labels"].items():
            support[label] = max(support[label], row["support"])
    return most_frequent(support)


def counts_as_data(sentences: Sequence[SentenceCounts]) -> list[dict[str, list[int]]]:
    """For ``report.json``: a dict per sentence, label → [gold, predicted, correct]."""
    return [{label: list(counts) for label, counts in sentence.items()} for sentence in sentences]


def figure_name(options: Mapping[str, Any]) -> str:
    """What the one figure of a tagger with these options is called: F1, or accuracy where each token has a tag."""
    return "accuracy" if options["scheme"] == TOKEN else "F1"
