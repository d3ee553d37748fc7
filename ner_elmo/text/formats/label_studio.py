"""Label Studio's JSON: an array of tasks, each with its ``data`` and ``annotations``; and its JSON-MIN.

``{"data": {"text": …}, "annotations": [{"result": [{"value": {"start", "end", "text", "labels"}, …}]}]}`` is a task.
What a tagger found is written as ``predictions``, with ``score`` and ``model_version``. Offsets are written in code
points; read, they count UTF-16 units where the entities' own texts show it (browsers count so).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ner_elmo.text.formats import jsonl
from ner_elmo.text.formats.jsonl import Unit
from ner_elmo.text.formats.output import Output, other_keys
from ner_elmo.text.formats.standoff import Found, Input, counted

_FROM, _TO = "label", "text"  # the names of the two tags in Label Studio's own template for named entities
# What JSON-MIN says of a task beside its data.
_BOOKKEEPING = frozenset(("annotation_id", "annotator", "created_at", "updated_at", "lead_time", "project", "inner_id"))


def read(source: Input) -> Iterator[Unit]:
    """The texts of an export with their entities; the other keys of ``data`` are kept, and the task's ``id``.

    Of several annotations of a task the ground truth is read, or the first that was not cancelled; predictions only
    where there are no annotations. What is left out is counted.

    Raises:
        UsageError: the file cannot be opened.
    """
    counts = dict.fromkeys(("other annotation", "result that is no span", "task without annotation"), 0)
    objects = jsonl.read_objects(source.path, source.reading.decoding, source.report)
    for number, (line, task) in enumerate(objects, start=1):
        if not isinstance(task, dict):
            source.tell(line, "JSON", f"found {jsonl.shown(task)}, expected a task of Label Studio")
        elif isinstance(task.get("data"), dict):
            yield from _of_task(source, line, number, task, counts)
        else:
            yield from _of_json_min(source, line, task)
    left_out = [counted(number, what) for what, number in counts.items() if number]
    if left_out:
        source.notices.append(f"{source.name}: left out {', '.join(left_out)}")


def _of_task(source: Input, line: int, number: int, task: dict[str, Any], counts: dict[str, int]) -> Iterator[Unit]:
    data = task["data"]
    versions = [v for v in task.get("annotations") or task.get("completions") or [] if isinstance(v, dict)]
    valid = [v for v in versions if not v.get("was_cancelled")]
    if not versions:
        valid = [v for v in task.get("predictions") or [] if isinstance(v, dict)][-1:]
    if not valid:
        counts["task without annotation"] += 1
        return
    chosen = next((v for v in valid if v.get("ground_truth")), valid[0])
    counts["other annotation"] += len(valid) - 1
    home = _text_key(data, chosen)
    if home is None:
        source.tell(line, "JSON", f"found no text in data (its keys: {jsonl.shown(list(data))}), expected one string")
        return
    found = []
    for result in chosen.get("result") or []:
        spans = _spans(result)
        counts["result that is no span"] += not spans
        found += spans
    keys = {key: item for key, item in data.items() if key != home}
    if "id" in task and "id" not in keys and not _is_but_a_number(task, number):
        keys["id"] = task["id"]
    yield from source.unit(line, data[home], found, keys)


def _is_but_a_number(task: dict[str, Any], number: int) -> bool:
    """Whether a task's id says no more than its place in the file, as :func:`write` gives it."""
    return task["id"] == number and set(task) <= {"id", "data", "annotations", "predictions"}


def _text_key(data: dict[str, Any], annotation: dict[str, Any]) -> str | None:
    """The key of ``data`` that holds the text: ``text``, what the results are about, or the only string."""
    strings = [key for key, item in data.items() if isinstance(item, str)]
    names = [result.get("to_name") for result in annotation.get("result") or [] if isinstance(result, dict)]
    for key in ("text", *names):
        if key in strings:
            return str(key)
    return strings[0] if len(strings) == 1 else None


def _spans(result: Any) -> list[Found]:
    """The entities of a result: one for each of its labels."""
    value = result.get("value") if isinstance(result, dict) else None
    if not isinstance(value, dict) or "start" not in value or not isinstance(_labels(value), list):
        return []
    keys = {"score": result["score"]} if result.get("score") is not None else {}
    keys |= {"note": note} if (note := _note(result)) else {}
    place = [(value["start"], value.get("end"))]
    return [Found(place, label, _said(value), keys) for label in _labels(value)]


def _labels(value: dict[str, Any]) -> Any:
    return value.get("labels", value.get("hypertextlabels"))


def _said(value: dict[str, Any]) -> str | None:
    return value["text"] if isinstance(value.get("text"), str) else None


def _note(result: dict[str, Any]) -> str:
    """What an annotator wrote of a span."""
    meta = result.get("meta")
    texts = meta.get("text") if isinstance(meta, dict) else None
    return "\n".join(text for text in texts if isinstance(text, str)) if isinstance(texts, list) else ""


def _of_json_min(source: Input, line: int, task: dict[str, Any]) -> Iterator[Unit]:
    """An object of JSON-MIN: the keys of ``data``, and the spans under the name of the tag."""
    homes = [key for key, item in task.items() if isinstance(item, list) and item and _spans({"value": item[0]})]
    other = next((key for key in ("entities", "spans", "label", "labels") if task.get(key)), None)
    if not homes and other is not None:
        found_there = jsonl.shown(task[other])
        source.tell(line, "JSON", f'found {found_there} in "{other}", expected [{{"start", "end", "labels"}}]')
        return
    found = [one for home in homes for item in task[home] for one in _spans({"value": item})]
    rest = {key: item for key, item in task.items() if key not in homes and key not in _BOOKKEEPING}
    strings = [key for key, item in rest.items() if isinstance(item, str)]
    home = "text" if "text" in strings else strings[0] if len(strings) == 1 else None
    if home is None:
        source.tell(line, "JSON", f"found no text (keys: {jsonl.shown(list(task))}), expected one string")
        return
    empty = {key for key in ("label", "labels") if rest.get(key) == []}
    yield from source.unit(line, rest[home], found, {k: v for k, v in rest.items() if k != home and k not in empty})


def write(units: Iterable[Unit], output: Output) -> None:
    """Write an array of tasks that Label Studio imports (with its template for named entities).

    Raises:
        DataError: as ``output.report`` does.
    """
    begun = False
    with output.stream() as stream:
        for number, unit in enumerate(output.tagged(units), start=1):
            stream.write((",\n" if begun else "[\n") + jsonl.dumped(_task(unit, number, output)))
            begun = True
        stream.write("\n]\n" if begun else "[]\n")
    output.tell_losses("Label Studio")


def _task(unit: Unit, number: int, output: Output) -> dict[str, Any]:
    value = unit.value
    results = []
    for index, entity in enumerate(value["entities"], start=1):
        place = {"start": entity["start"], "end": entity["end"], "text": entity["text"], "labels": [entity["label"]]}
        result = {"id": f"e{index}", "from_name": _FROM, "to_name": _TO, "type": "labels", "value": place}
        if entity["score"] != 1.0 or output.model:
            result["score"] = entity["score"]
        if isinstance(entity.get("note"), str) and entity["note"]:
            result["meta"] = {"text": [entity["note"]]}
        if set(entity) - {"start", "end", "label", "text", "score", "note"}:
            output.lose("further keys of entities")
        results.append(result)
    own = value.get("id")  # Label Studio's own converter (label_studio_sdk) wants one of every task
    identity = own if isinstance(own, int) and not isinstance(own, bool) else number
    task: dict[str, Any] = {"id": identity, "data": {"text": value["text"], **other_keys(value)}}
    if output.model:
        score = min((entity["score"] for entity in value["entities"]), default=1.0)
        return {**task, "predictions": [{"model_version": output.model, "score": score, "result": results}]}
    return {**task, "annotations": [{"result": results}]}
