"""The tags of a CoNLL file: their scheme, those that fit none, and those that are ill-formed in it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache

from ner_elmo.text import tag_scheme
from ner_elmo.text.formats.conll import ConllFile, TaggedSentence
from ner_elmo.text.formats.labels import as_tag, label_fault, looks_like_words
from ner_elmo.text.formats.problems import Problem

AUTO_SCHEME = "auto"
ILL_FORMED = "ill-formed tags"


def find_scheme(file: ConllFile) -> tag_scheme.Detection:
    """The scheme of a CoNLL file: as declared, or found by scanning all of it."""
    declared = file.reading.scheme
    if declared == AUTO_SCHEME:
        return tag_scheme.detect(sentence.tags for sentence in file.quietly().sentences())
    if declared.lower() == "none" and not _has_outside(file):
        return tag_scheme.Detection(tag_scheme.TOKEN, "declared none; no tag is O, so each token has its own", {}, {})
    return tag_scheme.Detection(tag_scheme.canonical_name(declared), "as declared", {}, {})


def _has_outside(file: ConllFile) -> bool:
    return any(tag_scheme.OUTSIDE in sentence.tags for sentence in file.quietly().sentences())


class TagCheck:
    """Holds a file's tags to its scheme."""

    def __init__(self, file: ConllFile) -> None:
        self._file = file
        self.detection = find_scheme(file)
        self.scheme = self.detection.scheme

    def check(self, sentence: TaggedSentence) -> None:
        """Report the tags that fit no scheme, which become ``O``, and those that are ill-formed in the file's own."""
        for position, tag in enumerate(sentence.tags):
            if fault := _fault(tag, self.scheme):
                self._report(fault, tag, sentence.tokens[position], sentence.lines[position])
                sentence.tags[position] = tag_scheme.OUTSIDE
        for problem in _ill_formed_tags(sentence, self.scheme):
            self._file.report(problem)

    def _report(self, fault: str, tag: str, token: str, line: int) -> None:
        comment = "" if (self._file.reading.token_column or 0) else self._file.comment_hint(line, token)
        hint = comment or f"; {self._header_hint(tag, line) or self._advice(tag)}"
        self._file.report(Problem(line, "tag", fault + hint))

    def _header_hint(self, tag: str, line: int) -> str:
        """That this is a header: the only tag in its column that fits no scheme."""
        alone = self._found.unknown == {tag: 1} and self._found.n_tags > 1
        return self._file.header_hint(line) if alone and not tag_scheme.is_nearly_prefixed(tag) else ""

    def _advice(self, tag: str) -> str:
        column = f"is another column meant (--column {self._others or 'N'})"
        if self._are_words:
            return f"column {self._file.reading.column} looks like words, not labels; {column}?"
        if tag_scheme.are_bare_prefixes(self._found.unknown):
            return "is it a prefix that lacks its label, as in B-PER? (labels nevertheless: --scheme none)"
        if tag_scheme.is_nearly_prefixed(tag):
            return f"{column}, or is it a prefix and a label without a hyphen between them?"
        return f"{column}, or are these labels without prefixes (--scheme none)?"

    @cached_property
    def _others(self) -> str:
        """The column that holds tags, if the tags' own does not."""
        return " or ".join(map(str, self._file.columns_of_tags()))

    @cached_property
    def _are_words(self) -> bool:
        return looks_like_words(self._found.unknown)

    @cached_property
    def _found(self) -> tag_scheme.Detection:
        """What the tags look like, whatever was declared."""
        if self._file.reading.scheme == AUTO_SCHEME:
            return self.detection
        return tag_scheme.detect(sentence.tags for sentence in self._file.quietly().sentences())


@lru_cache(maxsize=4096)
def _fault(tag: str, scheme: str) -> str | None:
    """What to say about a tag that is none of the scheme's; None if it is one."""
    label = tag if scheme in ("none", tag_scheme.TOKEN) else tag_scheme.split_tag(tag)[1]
    if label and (fault := label_fault(label)):
        return fault
    if scheme in ("none", tag_scheme.TOKEN) or tag_scheme.has_prefix(tag):
        return None
    return f"found {as_tag(tag)}, expected O or a tag such as B-PER"


def _ill_formed_tags(sentence: TaggedSentence, scheme: str) -> Iterator[Problem]:
    """The tags that the scheme would write differently for the same entities."""
    wrong = tag_scheme.ill_formed(sentence.tags, scheme)
    if not wrong:
        return
    expected = tag_scheme.tags(tag_scheme.spans(sentence.tags), len(sentence.tags), scheme)
    for index in wrong:
        before = f"after {sentence.tags[index - 1][:60]}" if index else "at the start of a sentence"
        message = f"found {sentence.tags[index][:60]} {before}, expected {expected[index][:60]} in {scheme}"
        yield Problem(sentence.lines[index], ILL_FORMED, f"{message}; read as conlleval reads it", is_error=False)
