"""What was found in all texts together, in a few lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ner_elmo.pages.entity_counts import EntityCounts
from ner_elmo.pages.visible import on_one_line
from ner_elmo.text.documents import Document, Failure

MOST_SHOWN = 20  # entities
_WIDEST = 60  # characters of an entity


class Summary:
    """Counts texts on their way to a writer, and says what they hold once they are through."""

    def __init__(self) -> None:
        self.counts = EntityCounts()
        self.n_texts = self.n_without = self.n_failed = 0

    def passing(self, documents: Iterable[Document | Failure]) -> Iterator[Document | Failure]:
        """The same documents, counted."""
        for document in documents:
            if isinstance(document, Failure):
                self.n_failed += 1
            else:
                self.n_texts += 1
                self.n_without += not document.entities
                for entity in document.entities:
                    self.counts.add(entity.label, entity.text)
            yield document

    def lines(self) -> list[str]:
        """Counts by label, and the most frequent entities, as two tables."""
        counts = self.counts
        said = f"{self.n_texts:,} texts, {self.n_without:,} of them without entities; {counts.total:,} entities"
        lines = [said + (f"; {self.n_failed:,} texts could not be tagged" if self.n_failed else "")]
        if not counts.total:
            return lines
        labels = sorted(counts.labels.items(), key=lambda one: (-one[1], one[0]))
        lines += ["", *_table("label", [(on_one_line(label), "", times) for label, times in labels])]
        frequent = counts.most_frequent(MOST_SHOWN)
        rows = [(_cut(on_one_line(text)), on_one_line(label), times) for label, text, times in frequent]
        lines += ["", *_table("most frequent", rows)]
        return lines if counts.is_exact else [*lines, counts.note()]


def _cut(words: str) -> str:
    return words if len(words) <= _WIDEST else words[: _WIDEST - 1] + "…"


def _table(title: str, rows: list[tuple[str, str, int]]) -> list[str]:
    """Rows of times, words and label under a title."""
    width = max(len("times"), *(len(f"{times:,}") for _, _, times in rows))
    lines = [f"{'times':>{width}}  {title}"]
    for words, label, times in rows:
        lines.append(f"{times:>{width},}  {words}{f'  ({label})' if label else ''}")
    return lines
