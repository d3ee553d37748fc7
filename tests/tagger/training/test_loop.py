"""The training loop: resumed to the bit, stopped by patience or time, its best epoch kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ner_elmo.errors import NerElmoError
from ner_elmo.runs.checkpoints import Checkpoints
from ner_elmo.runs.events import silent
from ner_elmo.tagger.training.config import TrainingOptions
from ner_elmo.tagger.training.loop import _clip, train
from tests.support.toy_training import Events, begin, timeless


@pytest.mark.parametrize("elmo", [False, True])
@pytest.mark.parametrize(("precision", "average"), [("fp32", 0.0), ("bf16", 0.0), ("fp32", 1.5)])
def test_a_resumed_run_equals_an_unbroken_one(
    toy: Path, bilm: Path, tmp_path: Path, elmo: bool, precision: str, average: float
) -> None:
    options = TrainingOptions(
        schedule="plateau",
        epochs=4,
        learning_rate=0.02,
        lr_patience=0,
        batch_sentences=8,
        precision=precision,
        average=average,
    )
    extra = {"bilm": str(bilm)} if elmo else {}
    whole, data = begin(toy, options, **extra)
    expected = [timeless(record) for record in train(whole, data, options)]

    first, data = begin(toy, options, **extra)
    found = []
    for record in train(first, data, options, checkpoints=Checkpoints(tmp_path, "epoch", 4)):
        found.append(timeless(record))
        if record.epoch == 2:
            break  # as if the power had gone
    torch.manual_seed(12345)
    second, data = begin(toy, options, **extra)
    assert Checkpoints(tmp_path, "epoch", 4).resume(lambda saved, _: second.restore(saved), silent)
    found += [
        timeless(record) for record in train(second, data, options, checkpoints=Checkpoints(tmp_path, "epoch", 4))
    ]

    assert found == expected
    assert second.best_epoch == whole.best_epoch
    assert second.stopped == whole.stopped == "epochs"
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_dev_is_scored_with_the_mean_of_the_weights_and_that_is_kept(toy: Path) -> None:
    options = TrainingOptions(schedule="plateau", epochs=2, learning_rate=0.02, batch_sentences=8, average=1.0)
    state, data = begin(toy, options)
    list(train(state, data, options))
    assert state.average is not None
    assert state.best_epoch == 2
    for name, value in state.model.state_dict().items():
        assert torch.equal(value, state.average.weights[name]), name

    state, data = begin(toy, options)
    data.dev, data.dev_spans = [], []
    list(train(state, data, options))
    assert state.average is not None
    for name, value in state.model.state_dict().items():
        assert torch.equal(value, state.average.weights[name]), name


def test_a_damaged_checkpoint_is_passed_over(toy: Path, tmp_path: Path) -> None:
    options = TrainingOptions(schedule="plateau", epochs=3, learning_rate=0.02)
    state, data = begin(toy, options)
    list(train(state, data, options, checkpoints=Checkpoints(tmp_path, "epoch", 4)))
    checkpoints, epochs, events = Checkpoints(tmp_path, "epoch", 4), list[int](), Events()

    def restore(saved: dict[str, Any], _: Path) -> None:
        epochs.append(saved["epoch"])

    newest, older = checkpoints.files()
    data_of_newest = newest.read_bytes()
    middle = len(data_of_newest) // 2
    flipped = data_of_newest[:middle] + bytes([data_of_newest[middle] ^ 1]) + data_of_newest[middle + 1 :]
    for damaged in (data_of_newest[:1000], flipped):  # torn, or with one bit turned round
        newest.write_bytes(damaged)
        assert checkpoints.resume(restore, events)
        assert epochs.pop() == 2
        assert f"{newest}: not a sound checkpoint" in events.text()
    older.write_bytes(b"")
    assert not checkpoints.resume(restore, events)
    assert "found no sound checkpoint; starting anew" in events.text()
    assert not Checkpoints(tmp_path / "none", "epoch", 4).resume(restore, events)
    assert "no checkpoint to resume from; starting anew" in events.text()
    assert epochs == []


def test_the_model_keeps_its_best_epoch_and_training_stops_by_patience(toy: Path) -> None:
    options = TrainingOptions(
        schedule="plateau", epochs=30, learning_rate=0.02, patience=2, lr_patience=0, batch_sentences=8
    )
    state, data = begin(toy, options)
    records = list(train(state, data, options))
    best = max(records, key=lambda record: record.f1)
    assert state.stopped == "patience"
    assert state.best_epoch == best.epoch
    assert records[-1].epoch == best.epoch + 2
    assert best.f1 > 0.9
    assert records[-1].learning_rate < options.learning_rate
    assert all(torch.equal(value, state.model.state_dict()[name]) for name, value in state.best_weights.items())


def test_patience_counts_from_the_first_epoch_that_finds_anything(toy: Path) -> None:
    options = TrainingOptions(
        schedule="plateau", epochs=5, learning_rate=0.02, patience=2, lr_patience=0, batch_sentences=8
    )
    state, data = begin(toy, options)
    data.dev_spans = [[] for _ in data.dev]  # whatever is found is wrong: F1 is 0
    records = list(train(state, data, options))
    assert [record.f1 for record in records] == [0.0] * 5
    assert {record.learning_rate for record in records} == {0.02}
    assert state.stopped == "epochs"


def test_minutes_only_stop(toy: Path) -> None:
    options = TrainingOptions(schedule="plateau", epochs=3, learning_rate=0.02, max_minutes=0.0)
    state, data = begin(toy, options)
    assert len(list(train(state, data, options))) == 1
    assert state.stopped == "max-minutes"
    list(train(state, data, TrainingOptions(schedule="plateau", epochs=3, learning_rate=0.02)))
    assert state.epoch == 3
    assert state.stopped == "epochs"


def test_precision_changes_digits_and_what_is_learned_stays(toy: Path, tmp_path: Path) -> None:
    losses = {}
    for precision in ("fp32", "bf16"):
        options = TrainingOptions(
            schedule="plateau", epochs=5, learning_rate=0.02, batch_sentences=8, precision=precision
        )
        state, data = begin(toy, options)
        *_, last = train(state, data, options)
        losses[precision] = last.loss
        assert state.best_f1 == 1
    assert losses["fp32"] != losses["bf16"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.1)


@pytest.mark.parametrize("most", [1e-3, 1e3])
def test_the_gradient_is_cut_as_torch_cuts_it(most: float) -> None:
    ours, theirs = ([nn.Parameter(torch.ones(shape)) for shape in ((3,), (2, 2), (1,))] for _ in range(2))
    for parameters in (ours, theirs):
        for number, parameter in enumerate(parameters[:2], start=1):
            parameter.grad = torch.full_like(parameter, float(number))
    _clip(ours, most)
    nn.utils.clip_grad_norm_(theirs, most)
    for one, other in zip(ours[:2], theirs[:2], strict=True):
        assert one.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(one.grad, other.grad)


def test_a_loss_that_is_no_number_is_an_error(toy: Path) -> None:
    options = TrainingOptions(schedule="plateau", epochs=1)
    state, data = begin(toy, options)
    with torch.no_grad():
        state.model.output.weight.fill_(float("nan"))
    with pytest.raises(NerElmoError, match="smaller --learning-rate"):
        list(train(state, data, options))
