"""The tagger's network: sentences alone and in company, its word vectors, where the biLM's layers come in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ner_elmo.tagger.network.inputs import collate
from ner_elmo.tagger.network.model import TaggerModel, WordVectors
from ner_elmo.tagger.network.options import TaggerOptions
from ner_elmo.tagger.store import load_tagger
from tests.support.small_taggers import TAGS, example, tiny_model

ELMO = {"elmo_dim": 4, "elmo_layers": [0, 1, 2]}


@pytest.mark.parametrize("layers", [0, 3])
def test_padding_and_neighbours_change_nothing(layers: int) -> None:
    elmo = {"elmo_dim": 4, "elmo_layers": [0, 1, 2]} if layers else {}
    model = tiny_model(**elmo)
    examples = [
        example("a", "b", "something-very-long", layers=layers),
        example(layers=layers),
        example("b", layers=layers),
        example("ü", "日本", "a", "b", "a", "", layers=layers),
    ]
    together = collate(examples)
    emissions, losses = model(together), model.crf.neg_log_likelihood(model(together), together.tag_ids, together.mask)
    for row, one in enumerate(examples):
        alone = collate([one])
        found = model(alone)
        torch.testing.assert_close(found[0], emissions[row, : len(one.tokens)])
        torch.testing.assert_close(model.crf.neg_log_likelihood(found, alone.tag_ids, alone.mask)[0], losses[row])
    assert model.loss(together).isfinite()


def test_vectors_beyond_the_tuned_ones_stay_as_they_are() -> None:
    vectors = WordVectors(TaggerOptions(tags=TAGS, n_words=5, n_tuned_words=3, word_dim=2))
    table = torch.arange(10.0).reshape(5, 2)
    vectors.set_table(table)
    ids = torch.tensor([[2, 3, 4, 1]])
    out = vectors(ids)
    torch.testing.assert_close(out[0], table[ids[0]])
    out.sum().backward()
    assert list(vectors.state_dict()) == ["tuned.weight"]
    assert vectors.tuned.weight.grad is not None
    assert vectors.tuned.weight.grad.tolist() == [[0, 0], [1, 1], [1, 1]]
    torch.testing.assert_close(vectors.table(), table)


def test_one_mix_layer_needs_no_mix() -> None:
    assert tiny_model(elmo_dim=4, elmo_layers=[1], mix="mean").mix_weights() is None
    shares = tiny_model(elmo_dim=4, elmo_layers=[0, 2]).mix_weights()
    assert shares is not None
    assert list(shares["layers"]) == ["0", "2"]
    assert shares["gamma"] == 1.0


@pytest.mark.parametrize("elmo_at", ["input", "output", "both"])
def test_where_the_layers_come_in(elmo_at: str) -> None:
    model = tiny_model(**ELMO, elmo_at=elmo_at, mix_layer_norm=True)
    reads_input, reads_output = elmo_at != "output", elmo_at != "input"
    assert model.lstm.forwards[0].input_size == 4 * reads_input + 3 + 6
    assert model.output.in_features == 2 * 5 + 4 * reads_output
    names = {name.split(".")[0] for name in model.state_dict() if "mix" in name}
    assert ("mix" in names, "output_mix" in names) == (reads_input, reads_output)
    examples = [example("a", "b", "a", layers=3), example(layers=3), example("b", layers=3)]
    together = model(collate(examples))
    for row, one in enumerate(examples):
        torch.testing.assert_close(model(collate([one]))[0], together[row, : len(one.tokens)])
    shares = model.mix_weights()
    assert shares is not None
    assert ("output" in shares) == (elmo_at == "both")
    model.loss(collate(examples)).backward()
    for mix in (model.mix, model.output_mix):
        if mix is not None:
            assert mix.weights.grad is not None
            assert mix.weights.grad.abs().sum() > 0


def test_two_mixes_are_two_and_both_are_held_to_equal_shares() -> None:
    model = tiny_model(**ELMO, elmo_at="both")
    assert model.mix is not None
    assert model.output_mix is not None
    with torch.no_grad():
        model.mix.weights.copy_(torch.tensor([1.0, 0, 0]))
        model.output_mix.weights.copy_(torch.tensor([0.0, 2, 0]))
    assert float(model.mix_penalty().detach()) == 5.0
    shares = model.mix_weights()
    assert shares is not None
    assert max(shares["layers"], key=shares["layers"].get) == "0"
    assert max(shares["output"]["layers"], key=shares["output"]["layers"].get) == "1"


def test_a_tagger_written_before_these_options_still_loads(trained: Path, tmp_path: Path) -> None:
    """Its tagger.json lacks them: their defaults are what was."""
    info = json.loads((trained / "tagger.json").read_text())
    newer = {"gamma", "mix_layer_norm", "elmo_at"}
    assert newer <= set(info["options"])
    values = {name: value for name, value in info["options"].items() if name not in newer}
    TaggerModel(TaggerOptions(**values)).load_state_dict(load_tagger(trained).model.state_dict())


def test_a_network_begins_with_what_lstms_need() -> None:
    """Orthogonal recurrent weights gate by gate, and a forget gate that keeps; all other biases are 0."""
    model = tiny_model(lstm_layers=2)
    seen = 0
    for name, parameter in model.lstm.named_parameters():
        gates = parameter.detach().chunk(4)
        kind = name.rpartition(".")[2]
        if kind.startswith("weight_hh"):
            seen += 1
            for gate in gates:
                torch.testing.assert_close(gate @ gate.T, torch.eye(5))
        elif kind.startswith("bias"):
            forget = float(kind.startswith("bias_ih"))
            assert [gate.unique().tolist() for gate in gates] == [[0.0], [forget], [0.0], [0.0]]
    assert seen == 4, "two layers in two directions"


@pytest.mark.parametrize("changes", [{}, ELMO, {"char_dim": 0}, {"n_words": 0, "n_tuned_words": 0}])
def test_sizes_follow_from_the_options(changes: dict[str, object]) -> None:
    model = tiny_model(**changes)
    assert model.lstm.forwards[0].input_size == model.options.input_dim
    assert model.output.in_features == model.options.output_dim
    assert model.output.out_features == len(model.options.tags)


def test_loss_is_the_mean_over_sentences_and_empty_batches_have_emissions() -> None:
    model = tiny_model()
    batch = collate([example("a", "b"), example(), example("b", "a", "a")])
    assert batch.tag_ids is not None
    losses = model.crf.neg_log_likelihood(model(batch), batch.tag_ids, batch.mask)
    torch.testing.assert_close(model.loss(batch), losses.sum() / 3)
    empty = model(collate([example(), example()]))
    assert empty.shape == (2, 0, len(TAGS))


def test_the_state_has_names_that_stored_taggers_have() -> None:
    names = {name.split(".")[0] for name in tiny_model(**ELMO, elmo_at="both").state_dict()}
    assert names == {"mix", "output_mix", "words", "characters", "lstm", "output", "crf"}
    characters = {name for name in tiny_model().state_dict() if name.startswith("characters.")}
    parts = ("embedding.weight", "convolution.weight", "convolution.bias")
    assert characters == {f"characters.{part}" for part in parts}
