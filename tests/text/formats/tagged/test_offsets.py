"""Offsets in other units than code points."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.text.documents import Document, Entity
from ner_elmo.text.formats.tagged.offsets import with_offsets


@given(st.lists(st.text(max_size=5), max_size=8))
def test_offsets_count_in_any_unit(pieces: list[str]) -> None:
    text = "".join(pieces)
    entities, at = [], 0
    for number, piece in enumerate(pieces):
        if number % 2 and piece:
            entities.append(Entity(at, at + len(piece), "X", piece, 0.5))
        at += len(piece)
    document = Document(text, [], entities)
    for entity, found in zip(entities, with_offsets(document, "byte").entities, strict=True):
        assert (
            text.encode("utf-8", "surrogatepass")[found.start : found.end].decode("utf-8", "surrogatepass")
            == entity.text
        )
    for entity, found in zip(entities, with_offsets(document, "utf16").entities, strict=True):
        units = text.encode("utf-16-le", "surrogatepass")[2 * found.start : 2 * found.end]
        assert units.decode("utf-16-le", "surrogatepass") == entity.text
    assert with_offsets(document, "char").entities == entities
