"""spaCy's DocBin (``.spacy``): what ``spacy train`` reads. It needs spaCy (the extra ``spacy``), but no model of it.

A unit is a Doc; white space between tokens that is not one blank becomes tokens of its own, as spaCy has it. A unit's
further keys and its entities' scores and keys go into the Doc's user data. A DocBin is held in memory as a whole.
"""

from __future__ import annotations

import json
import warnings
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from ner_elmo.errors import DataError, UsageError
from ner_elmo.text.files import STANDARD_STREAM, open_bytes, replace_file
from ner_elmo.text.formats import jsonl
from ner_elmo.text.formats.jsonl import Unit
from ner_elmo.text.formats.output import Output, other_keys
from ner_elmo.text.formats.standoff import Found, Input

_KEYS = "ner_elmo"  # of a Doc's user data


def _spacy() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own dependencies
            import spacy
            import spacy.tokens
    except ImportError:
        raise UsageError("DocBin needs the spacy package; try: pip install 'ner-elmo[spacy]'") from None
    return spacy


def read(source: Input) -> Iterator[Unit]:
    """The Docs of a file; "lines" are their numbers, from 1.

    Raises:
        UsageError: it cannot be opened; spaCy is not installed.
        DataError: it is damaged.
    """
    spacy = _spacy()
    stream = open_bytes(source.path)
    data = stream.read()
    if str(source.path) != STANDARD_STREAM:
        stream.close()
    vocab = spacy.blank("xx").vocab
    try:
        docs = iter(list(spacy.tokens.DocBin().from_bytes(data).get_docs(vocab)))
    except (ValueError, KeyError, IndexError, TypeError, zlib.error) as error:
        found = f"found a damaged DocBin ({' '.join(str(error).split())[:80]})"
        raise DataError(f"{source.name}:1: {found}, expected one that spaCy 3 wrote") from None
    for number, doc in enumerate(docs, start=1):
        yield from _unit(source, number, doc)


def _unit(source: Input, number: int, doc: Any) -> Iterator[Unit]:
    saved = json.loads(json.dumps(doc.user_data.get(_KEYS)))  # spaCy makes tuples of lists
    keys = saved.get("keys", {}) if isinstance(saved, dict) else {}
    more = {tuple(place): more for place, more in saved.get("entities", [])} if isinstance(saved, dict) else {}
    sentences: list[list[list[int]]] = []
    for token in doc:
        if token.is_sent_start or not sentences:
            sentences.append([])
        if not token.is_space:
            sentences[-1].append([token.idx, token.idx + len(token)])
    tokens = [sentence for sentence in sentences if sentence]
    found = [
        Found([(e.start_char, e.end_char)], e.label_, None, more.get((e.start_char, e.end_char, e.label_), {}))
        for e in doc.ents
    ]
    yield from source.unit(number, doc.text, found, {**({"tokens": tokens} if tokens else {}), **keys})


def write(units: Iterable[Unit], output: Output) -> None:
    """Write a Doc for each unit.

    Raises:
        UsageError: standard output was named; spaCy is not installed.
        DataError: as ``output.report`` does, for entities that end inside a token.
    """
    spacy = _spacy()
    if str(output.target) == STANDARD_STREAM:
        raise UsageError("a DocBin is no text; expected the name of a file (X.spacy)")
    vocab = spacy.blank("xx").vocab
    docs = spacy.tokens.DocBin(store_user_data=True)
    for unit in output.tagged(units):
        docs.add(_doc(spacy, vocab, unit, output))
    with replace_file(output.target) as temporary:
        temporary.write_bytes(docs.to_bytes())
    output.tell_losses("a DocBin")


def _doc(spacy: Any, vocab: Any, unit: Unit, output: Output) -> Any:
    text: str = unit.value["text"]
    sentences = output.sentences(unit)
    words: list[str] = []
    spaces: list[bool] = []
    starts: list[bool] = []
    first_of = []  # for each sentence, the numbers that its tokens have among those of the Doc
    at = 0
    for tokens, _ in sentences:
        numbers = []
        for index, token in enumerate(tokens):
            if token.start == token.end:  # spaCy has no empty tokens
                output.lose("empty tokens")
                numbers.append(len(words))
                continue
            _add_gap(text[at : token.start], words, spaces, starts)
            numbers.append(len(words))
            words.append(text[token.start : token.end])
            spaces.append(False)
            starts.append(index == 0)
            at = token.end
        first_of.append(numbers)
    _add_gap(text[at:], words, spaces, starts)
    if starts:
        starts[0] = True
    doc = spacy.tokens.Doc(vocab, words=words, spaces=spaces, sent_starts=starts or None)
    ents = []
    saved = []
    for (tokens, spans), numbers in zip(sentences, first_of, strict=True):
        for span in spans:
            first, last = numbers[span.start], numbers[span.end - 1]
            if words and tokens[span.start].start < tokens[span.end - 1].end:
                ents.append(spacy.tokens.Span(doc, first, last + 1, label=span.label))
    doc.set_ents(ents)
    for entity in unit.value["entities"]:
        more = {key: item for key, item in entity.items() if key not in ("start", "end", "label", "text")}
        if set(more) - {"score"} or more["score"] != 1.0:
            saved.append([[entity["start"], entity["end"], entity["label"]], more])
    keys = other_keys(unit.value, "tokens")
    given = [text[start:end] for sentence in unit.value.get("tokens", []) for start, end in sentence]
    if not all(word.strip() for word in given):  # such as an ideographic space, which spaCy takes for white space
        keys["tokens"] = unit.value["tokens"]
    if keys or saved:
        doc.user_data[_KEYS] = _plain({"keys": keys, "entities": saved})
    return doc


def _plain(value: Any) -> Any:
    """A value of JSON without halves of surrogate pairs, which spaCy cannot store."""
    return json.loads(jsonl.dumped(value).encode("utf-8", "replace").decode("utf-8"))


def _add_gap(gap: str, words: list[str], spaces: list[bool], starts: list[bool]) -> None:
    """Put the text between two tokens into a Doc: one blank belongs to the token before, the rest is a token."""
    if gap.startswith(" ") and words:
        spaces[-1] = True
        gap = gap[1:]
    if gap:
        words.append(gap)
        spaces.append(False)
        starts.append(False)
