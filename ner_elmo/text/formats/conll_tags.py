"""The tags of CoNLL files: which scheme they are in, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator

from ner_elmo.text import tag_scheme
from ner_elmo.text.formats.conll import ConllFile, TaggedSentence
from ner_elmo.text.formats.problems import Problem, TellProblem

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


def check_tags(sentence: TaggedSentence, detection: tag_scheme.Detection, report: TellProblem) -> None:
    """TellProblem the tags that fit no scheme, and those that are ill-formed in the file's own."""
    for line, tag in zip(sentence.lines, sentence.tags, strict=True):
        if fault := _fits_no_scheme(tag, detection):
            report(Problem(line, "tag", fault))
    for problem in _ill_formed_tags(sentence, detection.scheme):
        report(problem)


def _fits_no_scheme(tag: str, detection: tag_scheme.Detection) -> str | None:
    """What to say about a tag that is none of the scheme's; None if it is one."""
    if detection.scheme in ("none", tag_scheme.TOKEN) or tag_scheme.has_prefix(tag):
        return None
    return (
        f"found tag {tag!r}, expected O or a tag such as B-PER; is another column meant (--column N), or are these "
        "labels without prefixes (--scheme none)?"
    )


def _ill_formed_tags(sentence: TaggedSentence, scheme: str) -> Iterator[Problem]:
    """The tags that the scheme would write differently for the same entities."""
    wrong = tag_scheme.ill_formed(sentence.tags, scheme)
    if not wrong:
        return
    expected = tag_scheme.tags(tag_scheme.spans(sentence.tags), len(sentence.tags), scheme)
    for index in wrong:
        before = f"after {sentence.tags[index - 1]}" if index else "at the start of a sentence"
        message = f"found {sentence.tags[index]} {before}, expected {expected[index]} in {scheme}"
        yield Problem(sentence.lines[index], ILL_FORMED, f"{message}; read as conlleval reads it", is_error=False)
