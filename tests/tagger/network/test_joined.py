"""A joined network against the enumeration of every tag sequence with the mean of the members' scores."""

from __future__ import annotations

import math
from statistics import fmean

import pytest
import torch

from ner_elmo.tagger.decoding import predict_readings, predict_scored
from ner_elmo.tagger.network.inputs import collate
from ner_elmo.tagger.network.joined import JoinedModel, joined
from ner_elmo.tagger.network.model import TaggerModel
from ner_elmo.text.tag_scheme import read_tags
from tests.support.lattices import all_sequences, path_score
from tests.support.small_taggers import TAGS, example, tiny_model


def members(number: int = 3) -> list[TaggerModel]:
    """Networks of one shape whose weights differ, and whose transitions weigh something."""
    found = []
    for seed in range(number):
        model = tiny_model(elmo_dim=4, elmo_layers=[0, 1])
        torch.manual_seed(seed)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.7)
        found.append(model)
    return found


@pytest.mark.parametrize("tokens", [("a",), ("a", "b"), ("a", "unseen", "b")])
def test_the_best_sequence_and_its_probability_equal_enumeration(tokens: tuple[str, ...]) -> None:
    """The score of a sequence is the mean of what the members give it, each with its own lattice."""
    each, sentence = members(), example(*tokens, layers=2)
    batch = collate([sentence])
    with torch.no_grad():
        emissions = [model(batch)[0] for model in each]
    scores = {
        ids: fmean(path_score(model.crf, one, ids) for model, one in zip(each, emissions, strict=True))
        for ids in all_sequences(each[0].crf, len(tokens))
    }
    best = max(scores, key=lambda ids: scores[ids])
    log_z = torch.logsumexp(torch.tensor(list(scores.values()), dtype=torch.double), dim=0).item()

    ((spans, log_probability),) = predict_readings(JoinedModel(each).eval(), [sentence])
    assert spans == read_tags([TAGS[tag] for tag in best], "bioes")
    assert log_probability == pytest.approx(scores[best] - log_z, abs=1e-5)
    for span, probability in predict_scored(JoinedModel(each).eval(), [sentence])[0]:
        found = [ids for ids in scores if span in read_tags([TAGS[tag] for tag in ids], "bioes")]
        assert probability == pytest.approx(sum(math.exp(scores[ids] - log_z) for ids in found), abs=1e-5)


def test_a_sentence_has_the_same_emissions_alone_and_in_company() -> None:
    model = joined(members())
    model.prepare_for_inference()
    sentences = [example("a", "b", layers=2), example("b", layers=2), example("a", "a", "b", "b", layers=2)]
    with torch.inference_mode():
        together = model(collate(sentences))
        for row, sentence in enumerate(sentences):
            alone = model(collate([sentence]))[0]
            assert torch.equal(alone, together[row, : len(sentence.tokens)])


def test_one_network_stays_as_it_is() -> None:
    (model,) = members(1)
    assert joined([model]) is model


def test_fixed_word_vectors_are_held_once() -> None:
    each = [tiny_model(n_words=4, n_tuned_words=2) for _ in range(3)]
    JoinedModel(each)
    assert len({model.words.fixed.data_ptr() for model in each if model.words is not None}) == 1


def test_the_mix_is_the_mean() -> None:
    each = members(2)
    found = JoinedModel(each).mix_weights()
    shares = [model.mix_weights() for model in each]
    assert found is not None
    assert found["gamma"] == pytest.approx(fmean(one["gamma"] for one in shares if one))
    assert found["layers"]["1"] == pytest.approx(fmean(one["layers"]["1"] for one in shares if one))
