"""Which file reads which kind: a line each (CoNLL columns, which tags are read from, stand apart)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ner_elmo.errors import DataError
from ner_elmo.text.formats import (
    brat,
    conllu,
    docbin,
    doccano,
    hugging_face,
    jsonl,
    label_studio,
    parquet,
    prodigy,
    spacy_json,
    webanno,
)
from ner_elmo.text.formats.jsonl import Unit
from ner_elmo.text.formats.standoff import Found, Input


def _read_jsonl(source: Input) -> Iterator[Unit]:
    reading = source.reading
    if reading.offsets in ("auto", "char"):
        for line, value in jsonl.read_values(source.path, reading.decoding, source.report, reading.overlaps):
            yield Unit(source.name, line, value)
        return
    for line, value in jsonl.read_objects(source.path, reading.decoding, source.report):
        entities = value.get("entities") if isinstance(value, dict) else None
        if not isinstance(entities, list) or not all(isinstance(entity, dict) for entity in entities):
            source.tell(line, "JSON", 'found no list of "entities", expected {"text": …, "entities": […]}')
            continue
        yield from source.unit(line, value.get("text"), map(_found, entities), value)


def _found(entity: dict[str, object]) -> Found:
    said = entity.get("text")
    keys = {key: item for key, item in entity.items() if key not in ("start", "end", "label", "text")}
    place = [(entity.get("start"), entity.get("end"))]
    return Found(place, entity.get("label"), said if isinstance(said, str) else None, keys)


def _read_brat(source: Input) -> Iterator[Unit]:
    def tell(error: DataError) -> None:
        source.tell(1, "BRAT", str(error))

    return brat.read_brat(source.path, source.notices, source.reading, tell)


SOURCES: dict[str, Callable[[Input], Iterator[Unit]]] = {
    "jsonl": _read_jsonl,
    "doccano": doccano.read,
    "label-studio": label_studio.read,
    "prodigy": prodigy.read,
    "webanno": webanno.read,
    "conllu": conllu.read,
    "hf": hugging_face.read,
    "spacy": spacy_json.read,
    "docbin": docbin.read,
    "parquet": parquet.read,
    "brat": _read_brat,
}
