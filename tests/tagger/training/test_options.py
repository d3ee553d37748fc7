"""The options of train-tagger, one by one in whole runs: what is computed, stored and resumed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.errors import DataError, UsageError
from ner_elmo.nn.dropout import Dropout
from ner_elmo.runs.events import silent
from ner_elmo.tagger.decoding import predict_scored
from ner_elmo.tagger.network.inputs import Example, collate, make_words
from ner_elmo.tagger.report.comparison import compare_taggers, read_runs
from ner_elmo.tagger.store import load_tagger
from ner_elmo.tagger.tagger import Tagger
from ner_elmo.tagger.training.config import TrainingOptions
from ner_elmo.tagger.training.loop import train
from ner_elmo.tagger.training.preparation import prepare
from ner_elmo.tagger.training.resumption import checkpoints_in
from ner_elmo.tagger.training.run import train_tagger
from ner_elmo.text.files import sha256_of_file
from tests.support.devices import CPU
from tests.support.toy_language import toy_config
from tests.support.toy_training import Events, begin, timeless

EVERYTHING = {"elmo_at": "both", "mix_layer_norm": True, "gamma": False, "lstm_layers": 2, "char_dim": 3}


def test_a_single_layer_may_stand_at_the_output(toy: Path, bilm: Path, tmp_path: Path) -> None:
    train_tagger(toy_config(toy, bilm=str(bilm), mix="1", elmo_at="output", epochs=1), tmp_path, device=CPU)
    assert Tagger.load(tmp_path).tag("Ann sees Rome.").sentences


def test_the_whole_of_it_is_stored_and_resumed_to_the_bit(toy: Path, bilm: Path, tmp_path: Path) -> None:
    config = toy_config(toy, bilm=str(bilm), epochs=2, **EVERYTHING)
    train_tagger(config, tmp_path / "whole", device=CPU)
    train_tagger(toy_config(toy, bilm=str(bilm), epochs=1, **EVERYTHING), tmp_path / "parts", device=CPU)
    report = train_tagger(config, tmp_path / "parts", device=CPU, resume=True)
    for file in ("tagger.hdf5", "word_vectors.hdf5", "tagger.json", "predictions.test.conll"):
        assert sha256_of_file(tmp_path / "parts" / file) == sha256_of_file(tmp_path / "whole" / file), file
    assert report["mix"]["gamma"] == report["mix"]["output"]["gamma"] == 1.0
    stored = load_tagger(tmp_path / "parts").model
    assert stored.options.elmo_at == "both"
    assert "second learned mix" in (tmp_path / "parts" / "README.md").read_text()


@pytest.mark.parametrize(("layers", "expected"), [((0,), [0, 0]), ((0, 1), [1, 0]), ((2,), [1, 1]), ((), [1, 1])])
@pytest.mark.parametrize("few", [False, True])
def test_what_no_layer_needs_is_not_computed(
    toy: Path,
    bilm: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    layers: tuple[int, ...],
    expected: list[int],
    few: bool,
) -> None:
    """Counts which of the two LSTM layers run: for the cache in training, and for a tagger that tags. The one step that
    an encoder makes once, over a sentence's boundary, is not counted."""
    ran = [0, 0]

    def watch(elmo: Elmo) -> Elmo:
        for stack in (elmo.model.forward_lstm, elmo.model.backward_lstm):
            for number, layer in enumerate(stack.layers):
                layer.register_forward_hook(lambda _, read, out, number=number: note(number, len(read[0])))
        return elmo

    def note(number: int, positions: int) -> None:
        if positions > 1:
            ran[number] = 1

    load = Elmo.load
    monkeypatch.setattr(Elmo, "load", lambda *arguments, **more: watch(load(*arguments, **more)))
    config = toy_config(toy, bilm=str(bilm), layers=layers, epochs=1, test=None)
    train_tagger(config, tmp_path / "run", device=CPU, cache=tmp_path / "cache")
    assert ran == expected
    ran[:] = [0, 0]
    tagger = Tagger.load(tmp_path / "run")
    list(tagger.tag([["Ann", "sees", "Rome"]] * (1 if few else 40)))
    assert ran == expected


def test_no_dropout_when_tagging(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while tagging nor while an epoch is scored on dev."""
    tagger = Tagger.load(trained)
    assert any(isinstance(module, Dropout) and module.p > 0 for module in tagger.model.modules())

    def refuse(*_: object) -> torch.Tensor:
        raise AssertionError("dropout")

    monkeypatch.setattr("ner_elmo.nn.dropout._factors", refuse)
    texts = [["Ann", "Smith", "sees", "Rome"]] * 3
    first, *others = [document.entities for document in tagger.tag(texts)]
    assert first
    assert all(entities == first for entities in others)
    tagger.model.train()
    layers = np.zeros((3, 2, 8), dtype=np.float16)
    assert predict_scored(tagger.model, [Example(("a", "b"), np.array([1, 1]), layers)])
    assert tagger.model.training
    with pytest.raises(AssertionError, match="dropout"):
        tagger.model(collate([Example(("a", "b"), np.array([1, 1]), layers)]))


def test_vectors_that_stay_as_they_are(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "vectors.txt").write_text("ann 1 2 3\nrome 4 5 6\nzanzibar 7 8 9\noslo 0 1 0\n")
    config = toy_config(
        toy, word_vectors=str(tmp_path / "vectors.txt"), tune_word_vectors=False, max_word_vectors=1, epochs=2
    )
    train_tagger(config, tmp_path / "run", device=CPU)
    tagger = Tagger.load(tmp_path / "run")
    assert tagger.words.words == ["<pad>", "<unk>", "ann", "rome", "oslo"]  # the first one, and those of the corpora
    assert tagger.words.n_tuned == 2
    assert tagger.model.words is not None
    np.testing.assert_array_equal(tagger.model.words.table()[2:], [[1, 2, 3], [4, 5, 6], [0, 1, 0]])
    assert [tagger.words.index(form) for form in ("Ann", "ANN", "Zanzibar")] == [2, 2, 1]
    assert "as they are" in (tmp_path / "run" / "README.md").read_text()
    assert make_words(Counter({"Rome": 3}), known=["rome"], tuned=False).words == ["<pad>", "<unk>", "rome"]


def test_training_with_dev(toy: Path, bilm: Path, tmp_path: Path) -> None:
    events = Events()
    config = toy_config(toy, bilm=str(bilm), train_with_dev=True, epochs=3)
    report = train_tagger(config, tmp_path / "run", device=CPU, report=events)
    assert set(report["scores"]) == {"test"}
    assert report["protocol"]["trained_on_dev"] is True
    assert {part: data["sentences"] for part, data in report["protocol"]["data"].items()} == {
        "train": 120,
        "dev": 20,
        "test": 20,
    }
    assert report["training"]["best_epoch"] == report["training"]["epochs_run"] == 3
    assert "the 20 dev sentences are training data; there is no dev score" in events.text()
    rates = [event["learning_rate"] for event in events.of("epoch")]
    assert rates == pytest.approx([0.02, 0.02 * 2 / 3, 0.02 / 3])
    assert events.of("epoch")[0]["f1"] is None
    assert "**Dev was trained on**" in (tmp_path / "run" / "README.md").read_text()
    assert not (tmp_path / "run" / "predictions.dev.conll").exists()
    assert "TRAINED ON DEV, too: there is no dev score" in (tmp_path / "run" / "report.md").read_text()
    train_tagger(toy_config(toy, train_with_dev=True, test=None, epochs=1), tmp_path / "no-test", device=CPU)
    assert Tagger.load(tmp_path / "no-test").tag("Ann sees Rome.").sentences
    assert compare_taggers(read_runs([tmp_path / "run", tmp_path / "run"]))["part"] == "test"
    with pytest.raises(DataError, match="has no dev score"):
        compare_taggers(read_runs([tmp_path / "run", tmp_path / "no-test"]))
    with pytest.raises(UsageError, match="epochs"):
        train_tagger(
            toy_config(toy, bilm=str(bilm), train_with_dev=True, epochs=4), tmp_path / "run", device=CPU, resume=True
        )
    prepared = prepare(toy_config(toy, train_with_dev=True, dev=None), CPU, lambda event: None)
    assert len(prepared.parts["train"]) == 120
    assert "dev" not in prepared.parts


def test_training_with_dev_resumes_to_the_bit_and_keeps_the_first_seed(toy: Path, tmp_path: Path) -> None:
    changes = {"train_with_dev": True, "epochs": 3}
    options = TrainingOptions(schedule="plateau", epochs=3, learning_rate=0.02, batch_sentences=8)
    whole, data = begin_with_dev(toy, options)
    expected = [timeless(record) for record in train(whole, data, options)]
    first, data = begin_with_dev(toy, options)
    found = []
    for record in train(first, data, options, checkpoints=checkpoints_in(tmp_path)):
        found.append(timeless(record))
        if record.epoch == 2:
            break
    second, data = begin_with_dev(toy, options)
    assert checkpoints_in(tmp_path).resume(lambda saved, _: second.restore(saved), silent)
    found += [timeless(record) for record in train(second, data, options)]
    assert found == expected
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name

    report = train_tagger(toy_config(toy, seeds=(7, 3), **(changes | {"epochs": 1})), tmp_path / "run", device=CPU)
    assert report["seed"] == 7


def begin_with_dev(toy: Path, options: TrainingOptions):  # type: ignore[no-untyped-def]
    state, data = begin(toy, options)
    data.train, data.dev, data.dev_spans = data.train + data.dev, [], []
    return state, data


@pytest.mark.parametrize("changes", [{}, {"char_dim": 0}])
def test_a_tagger_without_word_vectors_learns_and_tags(
    toy: Path, bilm: Path, tmp_path: Path, changes: dict[str, int]
) -> None:
    config = toy_config(toy, bilm=str(bilm), word_dim=0, epochs=1, **changes)
    train_tagger(config, tmp_path, device=CPU)
    tagger = Tagger.load(tmp_path)
    assert tagger.tag("Anna lives in Rome .").text == "Anna lives in Rome ."
