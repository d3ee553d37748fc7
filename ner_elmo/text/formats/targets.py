"""Which file writes which format of other tools: a line each, for ``convert --to`` and ``tag --format`` alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ner_elmo.errors import UsageError
from ner_elmo.text.files import STANDARD_STREAM
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
    webanno,
)
from ner_elmo.text.formats.jsonl import Unit
from ner_elmo.text.formats.output import Output


def _write_jsonl(units: Iterable[Unit], output: Output) -> None:
    with output.stream() as stream:
        for unit in units:
            stream.write(jsonl.dumped(unit.value) + "\n")


def _write_brat(units: Iterable[Unit], output: Output) -> None:
    if str(output.target) == STANDARD_STREAM:
        raise UsageError("BRAT is files in pairs; expected the name of one (X.ann), or of a folder")
    brat.write_brat(units, output.target, output.notices, output.labels)


# What cannot go to standard output, and why.
NOT_STREAMS = {
    "brat": "BRAT is a folder of pairs, or a pair of files",
    "docbin": "a DocBin is no text",
    "parquet": "Parquet is no text",
}

# Formats of texts, in which a tagger's tokens are nothing that people want to see.
OF_TEXTS = ("doccano", "label-studio", "brat")

# What the names of files end in, where each input has one of its own.
ENDING_OF = {
    "jsonl": ".jsonl",
    "brat": ".brat",
    "doccano": ".doccano.jsonl",
    "label-studio": ".label-studio.json",
    "prodigy": ".prodigy.jsonl",
    "webanno": ".webanno.tsv",
    "conllu": ".conllu",
    "hf": ".hf.jsonl",
    "docbin": ".spacy",
    "parquet": ".parquet",
}

TARGETS: dict[str, Callable[[Iterable[Unit], Output], None]] = {
    "jsonl": _write_jsonl,
    "brat": _write_brat,
    "doccano": doccano.write,
    "label-studio": label_studio.write,
    "prodigy": prodigy.write,
    "webanno": webanno.write,
    "conllu": conllu.write,
    "hf": hugging_face.write,
    "docbin": docbin.write,
    "parquet": parquet.write,
}
