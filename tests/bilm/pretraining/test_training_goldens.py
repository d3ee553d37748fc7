"""Training on running text, held to a run of bilm-tf: batches, losses, gradients, updates, states, perplexities; and
the state carried on at inference, held to AllenNLP."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ner_elmo.bilm.data.corpus import read_sentences
from ner_elmo.bilm.data.running_text import RunningText, Stream, running_directions
from ner_elmo.bilm.files.weights import read_weights, weight_table
from ner_elmo.bilm.model import BiLm
from ner_elmo.bilm.options import read_options
from ner_elmo.bilm.perplexity import held_out_perplexity
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.trainer import Trainer, new_trainer
from ner_elmo.nn.cell import State
from ner_elmo.text.characters import char_ids
from ner_elmo.text.vocabulary import read_vocabulary
from tests.support.devices import CPU

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="session")
def golden(goldens: Path) -> Path:
    return goldens / "training"


def name_in_checkpoint(dataset: str) -> str:
    """The name of a dataset of the weight file in bilm-tf's checkpoint, "|" instead of "/"."""
    name = re.sub(r"RNN/MultiRNNCell/Cell(\d+)/LSTMCell", r"rnn/multi_rnn_cell/cell_\1/lstm_cell", dataset)
    for ours, theirs in (("/W_0", "/kernel"), ("/B", "/bias"), ("/W_P_0", "/projection/kernel")):
        name = name.removesuffix(ours) + theirs if name.endswith(ours) else name
    return name.replace("/", "|")


def set_weights(trainer: Trainer, arrays: Arrays) -> None:
    parameters = dict(trainer.model.named_parameters())
    with torch.no_grad():
        for entry in weight_table(trainer.model.options):
            array = np.ascontiguousarray(entry.from_file(arrays[name_in_checkpoint(entry.dataset)]))
            parameters[entry.parameter].copy_(torch.from_numpy(array))
        trainer.softmax.weight.copy_(torch.from_numpy(arrays["softmax|W"]))
        trainer.softmax.bias.copy_(torch.from_numpy(arrays["softmax|b"]))


def assert_equal_to(
    trainer: Trainer, arrays: Arrays, value_of: Callable[[torch.nn.Parameter], torch.Tensor], atol: float
) -> None:
    parameters = dict(trainer.model.named_parameters())
    for entry in weight_table(trainer.model.options):
        wanted = entry.from_file(arrays[name_in_checkpoint(entry.dataset)])
        found = value_of(parameters[entry.parameter]).detach().numpy()
        np.testing.assert_allclose(found, wanted, atol=atol, rtol=0, err_msg=entry.parameter)
    for name, parameter in (("softmax|W", trainer.softmax.weight), ("softmax|b", trainer.softmax.bias)):
        found = value_of(parameter).detach().numpy()  # type: ignore[arg-type]
        np.testing.assert_allclose(found, arrays[name], atol=atol, rtol=0, err_msg=name)


def streams(sentences: list[list[str]], n_rows: int, steps: int, endless: bool = False) -> RunningText:
    forward, backward = (
        Stream([cycle(sentences) if endless else iter(sentences)] * n_rows, steps, b) for b in (False, True)
    )
    return RunningText(forward, backward)


def make_trainer(golden: Path) -> tuple[Trainer, dict[str, Any]]:
    options = json.loads((golden / "options_train.json").read_text())
    config = PretrainConfig(
        corpus=[str(golden / "train.txt")],
        options=options,
        softmax="exact",
        carry_state=True,
        unroll_steps=options["unroll_steps"],
        batch_tokens=options["batch_size"] * options["unroll_steps"],
        optimizer="adagrad",
        learning_rate=0.2,
        clip_norm=options["all_clip_norm_val"],
        warmup_steps=0,
        decay_share=0.0,
    )
    trainer = new_trainer(config, read_vocabulary(golden / "vocab.txt"), None, 10**9, CPU)
    set_weights(trainer, dict(np.load(golden / "init_weights.npz")))
    sentences = list(read_sentences([golden / "train.txt"], "whitespace"))
    trainer.running_text = streams(sentences, options["batch_size"], options["unroll_steps"], endless=True)
    return trainer, json.loads((golden / "expected.json").read_text())


def test_batches(golden: Path) -> None:
    trainer, _ = make_trainer(golden)
    expected = dict(np.load(golden / "batches.npz"))
    assert trainer.running_text is not None
    for k in range(12):
        batch = trainer.running_text.next_batch(trainer.vocabulary, 50)
        for direction, suffix in enumerate(("", "_reverse")):
            inputs = batch.inputs[direction].t()
            np.testing.assert_array_equal(batch.types[inputs], expected[f"batch{k}.tokens_characters{suffix}"])
            np.testing.assert_array_equal(batch.targets[direction].t(), expected[f"batch{k}.next_token_id{suffix}"])


def test_twelve_steps(golden: Path) -> None:
    trainer, expected = make_trainer(golden)
    for wanted in expected["steps"]:
        step = trainer.train_on_running_text()
        assert step.forward == pytest.approx(wanted["loss_forward"], abs=1e-5)
        assert step.backward == pytest.approx(wanted["loss_backward"], abs=1e-5)
        assert step.gradient_norm == pytest.approx(wanted["global_grad_norm_before_clip"], abs=1e-4)
        assert step.learning_rate == pytest.approx(0.2)
    assert_equal_to(trainer, dict(np.load(golden / "final_weights.npz")), lambda p: p, 1e-5)
    accumulators = dict(np.load(golden / "final_adagrad_accumulators.npz"))
    assert_equal_to(trainer, accumulators, lambda p: trainer.optimizer.state[p]["sum"], 1e-5)
    states = dict(np.load(golden / "final_lstm_states.npz"))
    assert trainer.running_text is not None
    for direction, layers in enumerate(trainer.running_text.states):
        assert layers is not None
        for layer, (h, c) in enumerate(layers):
            name = f"dir{direction}.layer{layer}"
            np.testing.assert_allclose(h, states[f"{name}.h"], atol=1e-5, rtol=0)
            np.testing.assert_allclose(c, states[f"{name}.c"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("text", ["heldout.txt", "train.txt"])
def test_perplexities_after_training(golden: Path, text: str) -> None:
    """bilm-tf's own test reads one step at a time in so many rows; its last batch is dropped where it is not full."""
    trainer, expected = make_trainer(golden)
    set_weights(trainer, dict(np.load(golden / "final_weights.npz")))
    sentences = list(read_sentences([golden / text], "whitespace"))
    for n_rows in (1, 2, 4):
        wanted = expected["perplexity_after_training"][f"{text}@{n_rows}"]
        perplexity, n_batches = in_rows(trainer, sentences, n_rows)
        assert perplexity == pytest.approx(wanted["perplexity"], rel=1e-4)
        assert n_batches == wanted["n_batches"]
    one_row = expected["perplexity_after_training"][f"{text}@1"]
    found = held_out_perplexity(trainer.model, trainer.softmax, trainer.vocabulary, sentences, 7, carry_state=True)
    assert found.mean == pytest.approx(one_row["perplexity"], rel=1e-4)
    assert found.predictions == one_row["n_batches"]


def in_rows(trainer: Trainer, sentences: list[list[str]], n_rows: int) -> tuple[float, int]:
    text, losses = streams(sentences, n_rows, 1), []
    with torch.inference_mode():
        while True:
            try:
                batch = text.next_batch(trainer.vocabulary, 50)
            except StopIteration:
                break
            (forward, backward, *wanted), states = running_directions(trainer.model, batch, text.states)
            text.keep(states)
            losses.append(
                [trainer.softmax.losses(y, t).mean() for y, t in zip((forward, backward), wanted, strict=True)]
            )
    return math.exp(torch.tensor(losses).mean()), len(losses)


def test_the_weights_that_bilm_tf_dumped_are_those(golden: Path) -> None:
    dumped: BiLm = read_weights(golden / "dumped_weights.hdf5", read_options(golden / "options_inference.json"))
    trainer, _ = make_trainer(golden)
    set_weights(trainer, dict(np.load(golden / "final_weights.npz")))
    for (name, found), wanted in zip(dumped.named_parameters(), trainer.model.parameters(), strict=True):
        assert torch.equal(found, wanted), name


def test_carried_state_is_the_references(goldens: Path) -> None:
    """Whole batches one after the other, of changing size: each row goes on from where it stood (AllenNLP)."""
    folder = goldens / "stateful"
    sequence = json.loads((folder / "sequence.json").read_text(encoding="utf-8"))
    expected = dict(np.load(folder / "expected.npz"))
    weights = folder / sequence["weights"]
    model = read_weights(weights, read_options(weights.with_name("options.json"))).eval()
    states: dict[tuple[int, int], list[State]] = {}  # of each direction and row
    for i, batch in enumerate(sequence["batches"]):
        for row, tokens in enumerate(batch):
            ids = torch.from_numpy(char_ids(["<S>", *tokens, "</S>"], model.options.max_characters))
            for direction, stack in enumerate((model.forward_lstm, model.backward_lstm)):
                with torch.no_grad():
                    vectors = model.token_encoder(ids.flip(0) if direction else ids)
                    outputs, last = stack(vectors, [1] * len(vectors), states.get((direction, row)))
                states[direction, row] = last
                half = slice(direction * 8, (direction + 1) * 8)
                for layer, output in enumerate(outputs):
                    found = (output.flip(0) if direction else output)[1:-1].numpy()
                    wanted = expected[f"{i}.layers"][layer + 1, row, : len(tokens), half]
                    np.testing.assert_allclose(found, wanted, atol=2e-5, rtol=0)
                    h, _ = last[layer]
                    np.testing.assert_allclose(h[0], expected[f"{i}.state_h"][layer, row, half], atol=2e-5, rtol=0)
