"""What is in labelled files, and what is wrong with them: each by itself, and later ones against the first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ner_elmo.errors import DataError
from ner_elmo.text.files import display_name
from ner_elmo.text.formats.conll import Reading
from ner_elmo.text.formats.corpus import SPANS, Corpus, LabelledSentence, Located, open_corpus
from ner_elmo.text.formats.labels import MOST_LABELS, listed, looks_like_words, plain
from ner_elmo.text.formats.problems import Problem, Problems
from ner_elmo.text.formats.seen import MOST, SeenSentences
from ner_elmo.text.tag_scheme import OUTSIDE, TOKEN, Span, is_nearly_prefixed

REPEATED, SHARED, CONFLICT, NEW_LABEL = "repeated sentence", "sentence shared", "conflicting labels", "new label"
LONG = 1000  # tokens of a sentence that is more likely several without breaks
LONG_ALONE = 100  # the same, of a file's only one
_SHOWN = 5  # entities of a sentence


@dataclass
class FileReport:
    """What one file holds.

    Attributes:
        scheme, evidence: its tag scheme and why that is it; empty if the file cannot be read.
        entities: how many of each label.
        longest: the number of tokens of the longest sentence, and its line.
        unseen: characters that the first file lacks, and in how many tokens each occurs.
        errors, warnings: by line; of very many of one kind the first ones, and how many they are.
    """

    file: str
    scheme: str = ""
    evidence: str = ""
    sentences: int = 0
    tokens: int = 0
    entities: Counter[str] = field(default_factory=Counter)
    longest: tuple[int, int] = (0, 0)
    unseen: Counter[str] = field(default_factory=Counter)
    errors: Problems = field(default_factory=Problems)
    warnings: Problems = field(default_factory=Problems)

    def add(self, problem: Problem) -> None:
        """Count a problem, and keep it if there are not too many of its kind."""
        (self.errors if problem.is_error else self.warnings).add(problem)

    def as_dict(self) -> dict[str, Any]:
        """For ``check --json``."""
        return {
            "file": self.file,
            "sentences": self.sentences,
            "tokens": self.tokens,
            "scheme": self.scheme,
            "entities": dict(sorted(self.entities.items())),
            "errors": [{"line": problem.line, "message": problem.message} for problem in self.errors],
            "warnings": [{"line": problem.line, "message": problem.message} for problem in self.warnings],
            "left_out": {"errors": self.errors.left_out, "warnings": self.warnings.left_out},
        }


class CrossCheck:
    """Compares files in the order given: sentences with all before, labels and characters with the first file's."""

    def __init__(self, most: int = MOST) -> None:
        self._seen = SeenSentences(most)
        self._is_told = False  # that no more are remembered
        self._first = ""
        self._labels: set[str] = set()
        self._listed = ""  # the first file's labels, once they are asked for
        self._characters: set[str] = set()

    def begin(self, report: FileReport) -> None:
        """Go on to another file."""
        self._first = self._first or report.file

    def sentence(self, located: Located, report: FileReport) -> None:
        """Compare one sentence of the file that ``report`` is about, and remember it."""
        line, sentence = located
        if report.file == self._first:
            self._labels.update(span.label for span in sentence.spans)
            for token in sentence.tokens:
                self._characters.update(token)
        elif self._characters:
            report.unseen.update(char for token in sentence.tokens for char in set(token) - self._characters)
            new = {label for label in (span.label for span in sentence.spans) if label not in self._labels}
            for label in sorted(label for label in new if label not in report.entities):
                message = f"found label {plain(label)}, expected {self._expected_labels()}"
                report.add(Problem(line, NEW_LABEL, message, is_error=False))
        is_full = self._seen.is_full
        before = self._seen.first(sentence.tokens, report.file, line, sentence.spans)
        if before is None:
            if is_full and not self._is_told:
                self._tell_full(line, report)
            return
        if before.file == report.file:
            message = f"found again the sentence of line {before.line}, expected it once"
            report.add(Problem(line, REPEATED, message, is_error=False))
        else:
            message = f"found the sentence of {before.file}:{before.line}, expected it in one file only"
            report.add(Problem(line, SHARED, message, is_error=False))
        if before.spans != sentence.spans:
            found, expected = _entities(sentence.spans), _entities(before.spans)
            message = f"found {found}, expected {expected} as at {before.file}:{before.line}"
            report.add(Problem(line, CONFLICT, message, is_error=False))

    def _tell_full(self, line: int, report: FileReport) -> None:
        self._is_told = True
        found = "found very many different sentences"
        message = f"{found}, expected at most {self._seen.most:,}; repeats of further ones are not looked for"
        report.add(Problem(line, "many sentences", message, is_error=False))

    def _expected_labels(self) -> str:
        if not self._listed:
            self._listed = f"one of {self._first}: {listed(sorted(self._labels))}" if self._labels else "none"
        return self._listed


def check_files(paths: Sequence[str | Path], reading: Reading) -> list[FileReport]:
    """Check labelled files; the first is what the others, such as dev and test, are compared with.

    Raises:
        UsageError: a file cannot be opened, or there is no such scheme, tokenizer or column.
    """
    cross = CrossCheck()
    return [check_file(path, reading, cross) for path in paths]


def check_file(path: str | Path, reading: Reading, cross: CrossCheck) -> FileReport:
    """Check one labelled file, in memory that does not grow with its size but for a few numbers of each different
    sentence, up to :data:`~ner_elmo.text.formats.seen.MOST` of them."""
    report = FileReport(display_name(path))
    cross.begin(report)
    long: list[tuple[int, int]] = []
    try:
        source = open_corpus(path, reading, report.add)
        report.scheme, report.evidence = source.scheme, source.evidence
        for located in source.sentences:
            cross.sentence(located, report)
            report.sentences += 1
            report.tokens += len(located.sentence.tokens)
            if len(located.sentence.tokens) >= LONG:
                long.append((located.line, len(located.sentence.tokens)))
            report.longest = max(report.longest, (len(located.sentence.tokens), located.line), key=lambda pair: pair[0])
            report.entities.update(span.label for span in located.sentence.spans)
    except DataError as error:
        report.add(_as_problem(error, report.file))
    if report.sentences == 1 and report.longest[0] >= LONG_ALONE:
        long = [(report.longest[1], report.longest[0])]
    for problem in (*unbroken(long, report.sentences), *_doubtful_labels(report.entities, reading, report.scheme)):
        report.add(problem)
    if looks_like_words(report.entities):  # not one of them is named: they may be people's names
        report.warnings.drop(NEW_LABEL)
    return report


def unbroken(long: Iterable[tuple[int, int]], n_sentences: int) -> list[Problem]:
    """Warnings of sentences that are too long to be any, given by line and number of tokens."""
    expected = "expected blank lines between sentences"
    one = "1 sentence" if n_sentences == 1 else "a sentence"
    return [
        Problem(line, "unbroken text", f"found {one} of {n_tokens:,} tokens, {expected}", is_error=False)
        for line, n_tokens in long
    ]


def unbroken_in(corpus: Corpus) -> list[Problem]:
    """The same of a corpus in memory."""
    least = LONG_ALONE if len(corpus.sentences) == 1 else LONG
    lengths = zip(corpus.lines, (len(sentence.tokens) for sentence in corpus.sentences), strict=True)
    return unbroken([(line, n_tokens) for line, n_tokens in lengths if n_tokens >= least], len(corpus.sentences))


def _doubtful_labels(labels: Counter[str], reading: Reading, scheme: str) -> list[Problem]:
    """That there are more labels than anybody means: an error beyond what a tagger learns."""
    wrong = [label for label in labels if _is_wrong(label, scheme)]
    if wrong:
        found = f"found label {plain(sorted(wrong)[0])}, which looks like a prefix and a label"
        expected = "expected the label alone" if scheme == SPANS else "expected B-PER for such"
        return [Problem(1, "labels", f"{found}, {expected}", is_error=False)]
    if scheme == SPANS and OUTSIDE in labels:
        number = f"{labels[OUTSIDE]:,} {'entity' if labels[OUTSIDE] == 1 else 'entities'}"
        found = f"found {number} with the label O, which is the tag of tokens outside of entities"
        return [Problem(1, "labels", f"{found}, expected none of these", is_error=False)]
    if not looks_like_words(labels):
        return []
    where = "labels look" if scheme == SPANS else f"column {reading.column} looks"
    found = f"found {len(labels):,} different {'tags' if scheme == TOKEN else 'labels'}, expected some tens"
    advice = "" if scheme == SPANS else "; is another column meant (--column N)?"
    message = f"{found}: {where} like words, not labels{advice}"
    return [Problem(1, "labels", message, is_error=len(labels) > MOST_LABELS)]


def _is_wrong(label: str, scheme: str) -> bool:
    """Whether a label is more likely a tag."""
    if scheme == SPANS:
        return label.startswith(("B-", "I-"))
    return scheme in ("none", TOKEN) and is_nearly_prefixed(label)


def require_learnable(labels: Counter[str], name: str, reading: Reading, scheme: str) -> None:
    """Hold the labels of training data to what can be learned.

    Raises:
        DataError: there are thousands of them.
    """
    for problem in _doubtful_labels(labels, reading, scheme):
        if problem.is_error:
            raise DataError(f"{name}: {problem.message}")


def check_parts(parts: Iterable[tuple[str, Sequence[LabelledSentence]]]) -> list[FileReport]:
    """Check sentences in memory, under the names of their parts (train, dev, test); lines are sentence numbers."""
    cross = CrossCheck()
    reports = []
    for name, sentences in parts:
        report = FileReport(name)
        cross.begin(report)
        for number, sentence in enumerate(sentences, start=1):
            cross.sentence(Located(number, sentence), report)
            report.sentences += 1
            report.tokens += len(sentence.tokens)
            report.entities.update(span.label for span in sentence.spans)
        reports.append(report)
    return reports


def _as_problem(error: DataError, name: str) -> Problem:
    """An error that ended the reading, as a problem with its line."""
    message = str(error)
    place = re.match(rf"{re.escape(name)}:(\d+): ", message)
    if place is None:
        return Problem(1, "unreadable", message.removeprefix(f"{name}: "))
    return Problem(int(place[1]), "unreadable", message[place.end() :])


def _entities(spans: Sequence[Span]) -> str:
    """``PER 0-2, LOC 4-5``: labels with token numbers."""
    shown = ", ".join(f"{plain(span.label, 20)} {span.start}-{span.end}" for span in spans[:_SHOWN])
    return (f"{shown} ... and {len(spans) - _SHOWN:,} more" if len(spans) > _SHOWN else shown) or "no entity"
