"""Prodigy's JSONL, a task a line.

``{"text", "tokens": [{"text", "start", "end", "id", "ws"}], "answer": "accept",
"spans": [{"start", "end", "token_start", "token_end", "label"}]}``; ``token_end`` is the last token of a span.

Where a text has several sentences, the first token of each after the first has ``"sent_start": true``, a key of ours
that Prodigy keeps. Only accepted tasks are read; others are counted. Further keys of tasks and spans stay, as Prodigy
keeps them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from ner_elmo.text.formats import jsonl
from ner_elmo.text.formats.jsonl import Unit
from ner_elmo.text.formats.output import Output, other_keys
from ner_elmo.text.formats.standoff import Found, Input

_SPAN = ("start", "end", "label", "text", "token_start", "token_end")
_OF_A_TASK = {"spans", "tokens", "answer", "_task_hash"}  # spans may be left out where there are none
ACCEPT = "accept"
_SENTENCE_START = "sent_start"
_BLANK = "is_blank"  # a token of white space that is a word of its corpus


def read(source: Input) -> Iterator[Unit]:
    """The accepted texts of a file with their entities.

    Raises:
        UsageError: the file cannot be opened.
    """
    refused: Counter[str] = Counter()
    for line, value in jsonl.read_objects(source.path, source.reading.decoding, source.report):
        if not isinstance(value, dict) or not isinstance(value.get("text"), str):
            source.tell(line, "JSON", 'found no "text", expected {"text": …, "spans": […]}')
            continue
        if not _OF_A_TASK & set(value):
            source.tell(line, "JSON", 'found no "spans", expected {"text": …, "spans": […]}')
            continue
        if value.get("answer", ACCEPT) != ACCEPT:
            refused[str(value["answer"])[:20]] += 1
            continue
        spans = value.get("spans") or []
        if not isinstance(spans, list) or not all(isinstance(span, dict) for span in spans):
            source.tell(line, "JSON", f'found {jsonl.shown(spans)} as "spans", expected [{{"start", "end", "label"}}]')
            continue
        found = [
            Found(
                [(span.get("start"), span.get("end"))],
                span.get("label"),
                span["text"] if isinstance(span.get("text"), str) else None,
                {key: item for key, item in span.items() if key not in _SPAN},
            )
            for span in spans
        ]
        keys = {key: item for key, item in value.items() if key not in ("text", "spans", "tokens", "answer")}
        yield from source.unit(line, value["text"], found, keys | _tokens(source, line, value))
    for answer, number in sorted(refused.items()):
        source.notices.append(f"{source.name}: left out {number:,} with the answer {answer!r}")


def _tokens(source: Input, line: int, value: dict[str, Any]) -> dict[str, Any]:
    """The tokens, if there are any: one sentence, or those that ``sent_start`` tells apart."""
    tokens = value.get("tokens")
    if not tokens:
        return {}
    if not isinstance(tokens, list) or not all(isinstance(token, dict) for token in tokens):
        source.tell(line, "JSON", 'found other "tokens", expected [{"text", "start", "end", "id"}]; left out', False)
        return {}
    # Prodigy's tokenizers make tokens of white space, which no entity needs. Those that we wrote are marked: corpora
    # have words such as an ideographic space.
    sentences: list[list[list[Any]]] = []
    for token in tokens:
        if not sentences or token.get(_SENTENCE_START) is True:
            sentences.append([])
        if str(token.get("text", "x")).strip() or token.get(_BLANK) is True:
            sentences[-1].append([token.get("start"), token.get("end")])
    placed = [sentence for sentence in sentences if sentence]
    return {"tokens": placed} if placed else {}


def write(units: Iterable[Unit], output: Output) -> None:
    """Write tasks: accepted ones, or for Prodigy to ask about where a model found the entities.

    Raises:
        DataError: as ``output.report`` does.
    """
    with output.stream() as stream:
        for unit in output.tagged(units):
            stream.write(jsonl.dumped(_task(unit, output)) + "\n")
    output.tell_losses("Prodigy")


def _task(unit: Unit, output: Output) -> dict[str, Any]:
    value = unit.value
    text: str = value["text"]
    given = value.get("tokens", [])
    starts_of_sentences = set(accumulate(map(len, given)))
    places = [pair for sentence in given for pair in sentence]
    task: dict[str, Any] = {"text": text}
    if places:
        task["tokens"] = [
            {"text": text[start:end], "start": start, "end": end, "id": number, "ws": text[end : end + 1] == " "}
            | ({_SENTENCE_START: True} if number in starts_of_sentences else {})
            | ({} if text[start:end].strip() else {_BLANK: True})
            for number, (start, end) in enumerate(places)
        ]
    starts, ends = [start for start, _ in places], [end for _, end in places]
    spans = []
    for entity in value["entities"]:
        span = {"start": entity["start"], "end": entity["end"]}
        first, last = bisect_right(starts, entity["start"]) - 1, bisect_left(ends, entity["end"])
        if places and 0 <= first <= last < len(places):
            span |= {"token_start": first, "token_end": last}
        more = {key: item for key, item in entity.items() if key not in (*_SPAN, "score")}
        more |= {"score": entity["score"]} if entity["score"] != 1.0 else {}
        spans.append({**span, "label": entity["label"], **more})
    others = other_keys(value, "tokens", "spans", "answer")
    if len(others) < len(other_keys(value, "tokens")):
        output.lose('keys called "spans" or "answer"')
    task |= {"spans": spans, **others}
    if output.model:
        scores = [entity["score"] for entity in value["entities"]]
        task["meta"] = {"model": output.model, "score": min(scores, default=1.0)}
    else:
        task["answer"] = ACCEPT
    return task
