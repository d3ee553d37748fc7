"""What is told while texts are tagged: what does not fit, what failed, how far it is."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

from ner_elmo.errors import NerElmoError
from ner_elmo.runs.events import Report, note, progress
from ner_elmo.tagger.tagging.inputs import InputFile
from ner_elmo.tagger.tagging.settings import TagSettings
from ner_elmo.text.documents import Document, Failure, Origin, Record
from ner_elmo.text.examination import doubts_of
from ner_elmo.text.files import characters_in_file, shown_name
from ner_elmo.text.formats.jsonl import finite
from ner_elmo.text.formats.targets import TARGETS
from ner_elmo.text.python_inputs import longest_line
from ner_elmo.text.records import LINE, PARQUET, TEXT, Item, kind_of

if TYPE_CHECKING:
    from ner_elmo.tagger.tagger import Tagger

LOOKED_AT = 200  # units
_LOOKED_AT_CHARACTERS = 20_000
_WRAPPED_LINES_LEAST = 20
_WRAPPED_MOST = 0.5  # of the lines
_MOST_TOLD = 20  # failures, and sentences that are too long, that are named
LONG_SENTENCE = 10_000  # tokens that are hardly one
_NOT_OF_JSON = "found NaN or Infinity, which JSON does not have; null is passed through for all such"
_EVERY = 0.2  # seconds between two events of progress


def doubts_about(first: Sequence[str], is_of_lines: bool, tagger: Tagger) -> list[str]:
    """What speaks against tagging texts of which these are the first: no texts, or none such as the model knows."""
    doubts = doubts_of(first, "; --from says what a file is") if is_of_lines else ()
    return [*doubts, *tagger.complaints(first)]


class Watch:
    """Sees the texts on their way in, and what was found on its way out."""

    def __init__(self, report: Report, inputs: Sequence[InputFile], settings: TagSettings, tagger: Tagger) -> None:
        self.n_failed = self.n_failed_files = 0
        self._report, self._settings, self._tagger = report, settings, tagger
        self._is_of_lines = settings.unit == LINE and all(
            kind_of(input.path, settings.source) == TEXT for input in inputs
        )
        self._is_live = any(input.is_live for input in inputs)
        self._all_characters = _characters(inputs, settings)
        self._characters = self._tokens = 0
        self._last = 0.0
        self._n_long = 0

    def looked_at(self, items: Iterable[Item]) -> Iterator[Item]:
        """The same items; what speaks against tagging them so is said once enough of them have passed."""
        first: list[str] | None = []
        size = 0
        has_said = self._settings.format not in TARGETS
        for item in items:
            if not has_said and item.origin is not None and finite(item.origin.keys) != item.origin.keys:
                has_said = True
                note(self._report, f"{_place(item.origin)}{_NOT_OF_JSON}")
            if first is not None and isinstance(item, Record):
                first.append(item.text[:_LOOKED_AT_CHARACTERS])
                size += len(item)
            if first and (len(first) >= LOOKED_AT or size >= _LOOKED_AT_CHARACTERS):
                self._complain(first)
                first = None
            if isinstance(item, Record):
                self._tell_long(item)
            yield item
        if first:
            self._complain(first)

    def _tell_long(self, record: Record) -> None:
        """Say beforehand that a sentence will take long, and more memory than all others."""
        if self._n_long >= _MOST_TOLD or longest_line(record.text) < LONG_SENTENCE:  # in characters, to begin with
            return
        with suppress(NerElmoError):  # who tags it says what is wrong with it
            n_tokens = self._tagger.longest_sentence(record.text, self._settings.tokenized)
            if n_tokens > LONG_SENTENCE:
                self._n_long += 1
                found = f"found a sentence of {n_tokens:,} tokens, which takes long and much memory"
                note(self._report, f"{_place(record.origin)}{found}; expected lines or full stops between sentences")

    def _complain(self, first: Sequence[str]) -> None:
        for line in doubts_about(first, self._is_of_lines, self._tagger):
            note(self._report, line)
        if not self._is_of_lines:
            return
        if _is_wrapped(first):
            note(
                self._report,
                "most lines end in the middle of a sentence; --unit paragraph reads them together",
            )
        elif self._tagger.reads_documents and len(first) > 1 and not self._is_live:
            note(
                self._report,
                "each line is read by itself; where lines belong together --unit paragraph or --unit file finds more, "
                "as this model reads all of a text",
            )

    def counted(self, results: Iterable[Document | Failure]) -> Iterator[Document | Failure]:
        """The same results; failures are named, and progress is told."""
        for result in results:
            if isinstance(result, Failure):
                if result.origin is None or result.origin.line:  # of a text, not of a file
                    self._tell_failure(result)
            else:
                self._tokens += sum(map(len, result.sentences))
            self._characters += len(result.text) + 1
            if time.monotonic() - self._last >= _EVERY:
                self._last = time.monotonic()
                progress(self._report, "tag", self._tokens, self._all_tokens())
            yield result

    def _all_tokens(self) -> int:
        """About how many tokens there are; 0 if nobody knows."""
        if not self._all_characters:
            return 0
        share = min(1.0, self._characters / self._all_characters)
        return max(self._tokens, round(self._tokens / share)) if share else 0

    def _tell_failure(self, failure: Failure) -> None:
        self.n_failed += 1
        if self.n_failed <= _MOST_TOLD:
            note(self._report, f"{_place(failure.origin)}could not be tagged ({failure.error.splitlines()[0]})")

    def file_failed(self, message: str) -> None:
        """A file could not be read to its end."""
        self.n_failed_files += 1
        if self.n_failed_files <= _MOST_TOLD:
            note(self._report, message)

    def end(self) -> None:
        """Say that all is done, and how much failed, if anything did."""
        if self._last:
            progress(self._report, "tag", self._tokens, self._tokens)
        if self.n_failed:
            note(self._report, f"{self.n_failed:,} units could not be tagged")
        if self.n_failed_files:
            note(self._report, f"{self.n_failed_files:,} files could not be read; they have no output")


def _place(origin: Origin | None) -> str:
    if origin is None:
        return ""
    name = "" if origin.identifier is None else f" ({shown_name(origin.identifier)})"
    return f"{shown_name(origin.file)}:{origin.line}{name}: "


def _characters(inputs: Sequence[InputFile], settings: TagSettings) -> int:
    """About how many characters the inputs have; 0 if nobody knows."""
    if any(input.is_live or kind_of(input.path, settings.source) == PARQUET for input in inputs):
        return 0
    total = 0
    for input in inputs:
        with suppress(NerElmoError):  # who reads it says what is wrong with it
            total += characters_in_file(input.path, settings.encoding)
    return total


def _is_wrapped(lines: Sequence[str]) -> bool:
    """Whether most lines end without the end of a sentence and go on with a small letter."""
    if len(lines) < _WRAPPED_LINES_LEAST:
        return False
    goes_on = sum(
        one.rstrip()[-1:] not in ".!?:;\"'”’»)…。।؟" and other.lstrip()[:1].islower() for one, other in pairwise(lines)
    )
    return goes_on > _WRAPPED_MOST * (len(lines) - 1)
