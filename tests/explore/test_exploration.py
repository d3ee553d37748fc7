"""A question and its answer, with the map."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.explore.exploration import Explorer, plane
from ner_elmo.explore.index import OccurrenceIndex
from ner_elmo.explore.query import Query
from ner_elmo.explore.static import StaticVectors
from tests.support.explored import SENTENCES


def test_a_question(elmo: Elmo, index: OccurrenceIndex) -> None:
    static = StaticVectors("none of these", ["x"], np.ones((1, 3), np.float32))
    tokens = [*SENTENCES[3], "!"]
    found = Explorer(elmo, index, [static]).ask(Query(tokens, 2, 3), 5).to_dict()
    json.dumps(found)
    assert found["query"] == {"left": " ".join(tokens[:2]), "word": tokens[2], "right": " ".join(tokens[3:])}
    assert [layer["layer"] for layer in found["layers"]] == [1, 2]
    for layer in found["layers"]:
        assert len(layer["neighbours"]) == 5
        assert all(-1 <= one["cosine"] <= 1 for one in layer["neighbours"])
        assert 0 < layer["variance_shown"] <= 1
    assert [table["vectors"] for table in found["static"]] == ["the biLM's token layer", "none of these"]
    assert len(found["static"][0]["neighbours"]) == 5
    assert found["static"][1]["neighbours"] == []


def test_several_tokens_find_as_many(elmo: Elmo, index: OccurrenceIndex) -> None:
    found = Explorer(elmo, index, [], "").ask(Query([*SENTENCES[5], "!"], 0, 2), 3)
    for neighbour in found.layers[0].neighbours:
        assert any(neighbour.word == a + b for sentence in SENTENCES for a, b in itertools.pairwise(sentence))


def test_the_plane_keeps_distances_where_two_dimensions_suffice() -> None:
    random = np.random.default_rng(1)
    flat = random.normal(size=(9, 2)) @ random.normal(size=(2, 30))
    places, kept = plane(flat)
    assert kept == pytest.approx(1)
    before = np.linalg.norm(flat[:, None] - flat[None], axis=2)
    np.testing.assert_allclose(np.linalg.norm(places[:, None] - places[None], axis=2), before, atol=1e-9)
    assert (places[np.abs(places).argmax(0), [0, 1]] > 0).all()


@pytest.mark.parametrize("n", [1, 2])
def test_the_plane_of_few_or_equal_vectors(n: int) -> None:
    places, kept = plane(np.ones((n, 4)))
    assert places.shape == (n, 2)
    assert kept == 1
    assert not places.any()
