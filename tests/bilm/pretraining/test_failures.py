"""What goes wrong in pretraining: no memory, losses that are not finite, damaged and half-written files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from ner_elmo.bilm.data.batches import Batch
from ner_elmo.bilm.pretraining import trainer
from ner_elmo.bilm.pretraining.run import pretrain
from ner_elmo.bilm.pretraining.trainer import BAD_STEPS_MOST, Trainer
from ner_elmo.cli.main import main
from ner_elmo.errors import NerElmoError, UsageError, is_out_of_memory
from ner_elmo.runs.checkpoints import read_tensors, write_tensors
from tests.support.devices import CPU
from tests.support.toy_pretraining import make_config, make_trainer, toy_text, weights_of


def with_memory_for(positions: int, monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[int]:
    """Let passes over more positions than that fail, forward; returns the sizes of those that were tried."""
    tried: list[int] = []
    directions = trainer.directions

    def limited(model: Any, batch: Batch) -> Any:
        tried.append(batch.tokens.numel())
        if tried[-1] > positions:
            raise error
        return directions(model, batch)

    monkeypatch.setattr(trainer, "directions", limited)
    return tried


@pytest.mark.parametrize("softmax", ["exact", "sampled"])
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        MemoryError(),
    ],
)
def test_without_memory_a_batch_is_computed_in_parts(
    softmax: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentences = sorted(toy_text(20, 5), key=len)
    whole, parts = make_trainer(softmax), make_trainer(softmax)
    expected = [whole.train_on(sentences) for _ in range(2)]
    said: list[str] = []
    parts.machine.warn = said.append
    tried = with_memory_for(60, monkeypatch, error)
    steps = [parts.train_on(sentences) for _ in range(2)]
    assert len(said) == sum(size > 60 for size in tried) > 0  # each failure told, none in the second step
    assert "out of memory at step 1" in said[0]
    assert [step[:2] for step in steps] == [step[:2] for step in expected]
    for step, wanted in zip(steps, expected, strict=True):
        assert (step.forward, step.backward) == pytest.approx((wanted.forward, wanted.backward), rel=1e-5)
        assert step.gradient_norm == pytest.approx(wanted.gradient_norm, rel=1e-4)
    for a, b in zip(parts.learner.parameters(), whole.learner.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_a_failure_in_the_backward_pass_leaves_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = sorted(toy_text(20, 5), key=len)
    whole, parts = make_trainer(), make_trainer()
    expected = whole.train_on(sentences)
    backward = torch.Tensor.backward
    calls: list[int] = []

    def failing(loss: torch.Tensor) -> None:
        backward(loss)
        calls.append(1)
        if len(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(torch.Tensor, "backward", failing)
    step = parts.train_on(sentences)
    assert len(calls) == 3  # the failed one and two halves
    assert step.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-4)


def test_a_sentence_that_does_not_fit_ends_training_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with_memory_for(3, monkeypatch, torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(NerElmoError, match="out of memory: a single sentence of 4 tokens does not fit; try"):
        make_trainer().train_on([["w1", "w2", "w3", "w4"], ["w1"] * 4])


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with_memory_for(0, monkeypatch, RuntimeError("sizes do not match"))
    with pytest.raises(RuntimeError, match="sizes do not match"):
        make_trainer().train_on([["w1"]])
    assert not is_out_of_memory(ValueError("out of memory"))


def poison(monkeypatch: pytest.MonkeyPatch, steps: set[int]) -> None:
    """Let the losses of some steps (from 0) be NaN."""
    gradients = Trainer._gradients

    def poisoned(self: Trainer, *arguments: Any) -> Any:
        forward, backward = gradients(self, *arguments)
        return (math.nan, backward) if self.position.step in steps else (forward, backward)

    monkeypatch.setattr(Trainer, "_gradients", poisoned)


def test_a_step_that_is_not_finite_changes_nothing_and_is_counted(
    toy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = make_trainer()
    before = [p.detach().clone() for p in one.learner.parameters()]
    with monkeypatch.context() as patch:
        poison(patch, {0})
        step = one.train_on([["w1", "w2"]])
    assert not step.finite
    assert (one.position.step, one.position.tokens, one.position.skipped) == (1, 2, 1)
    assert all(torch.equal(a, b) for a, b in zip(one.learner.parameters(), before, strict=True))
    poison(monkeypatch, {3, 4, 9})
    report = pretrain(make_config(toy, epochs=1), tmp_path / "run", device=CPU)
    assert report["skipped_steps"] == 3
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [event["step"] for event in map(json.loads, lines) if event["event"] == "skipped"] == [4, 5, 10]
    assert not any("NaN" in line for line in lines)


def test_losses_that_stay_infinite_end_the_run_with_advice_that_works(
    toy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = ["pretrain", str(toy), "-o", str(tmp_path / "run"), "--size", "tiny", "--batch-tokens", "256"]
    flags += ["--epochs", "2", "--threads", "1"]
    with monkeypatch.context() as patch:
        poison(patch, set(range(2, 100)))
        assert main(flags) == 1
    errors = capsys.readouterr().err
    assert f"not finite in {BAD_STEPS_MOST} steps in a row (up to step {BAD_STEPS_MOST + 2})" in errors
    assert "--resume and a smaller --learning-rate" in errors
    assert main([*flags, "--resume", "--learning-rate", "0.0005"]) == 0
    assert "resumed at step 12" in capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "config.json").read_text())["learning_rate"] == 0.0005


def test_one_flipped_bit_makes_a_checkpoint_unsound(toy: Path, tmp_path: Path) -> None:
    config = make_config(toy, epochs=2)
    report = pretrain(config, tmp_path / "whole", device=CPU)
    pretrain(config, tmp_path / "parts", device=CPU, should_stop=stop_after(10))
    newest = sorted((tmp_path / "parts" / "checkpoints").glob("step-*.pt"))[-1]
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1  # within the tensors, where torch.load sees nothing
    newest.write_bytes(data)
    (tmp_path / "parts" / "checkpoints" / ".step-00000011.pt.k3_x9a0z.tmp").write_text("half a checkpo")
    with (tmp_path / "parts" / "log.jsonl").open("a") as log:
        log.write('{"event": "st')  # killed while it wrote
    events: list[Any] = []
    again = pretrain(config, tmp_path / "parts", device=CPU, resume=True, report=events.append)
    warnings = [event["message"] for event in events if event["event"] == "warning"]
    assert len(warnings) == 1
    assert f"{newest}: not a sound checkpoint" in warnings[0]
    assert again == report
    assert weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole")
    assert not list(tmp_path.glob("parts/checkpoints/.*"))
    assert all(json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines())


def stop_after(steps: int) -> Any:
    left = iter(range(steps - 1, -1, -1))
    return lambda: next(left) == 0


def test_without_a_sound_checkpoint_the_run_begins_anew_and_says_so(toy: Path, tmp_path: Path) -> None:
    config = make_config(toy, epochs=1)
    pretrain(config, tmp_path / "run", device=CPU, should_stop=stop_after(3))
    for path in (tmp_path / "run" / "checkpoints").glob("step-*.pt"):
        values = read_tensors(path)
        del values["optimizer"]  # the weights are there: none of them may be taken
        write_tensors(values, path)
    events: list[Any] = []
    report = pretrain(config, tmp_path / "run", device=CPU, resume=True, report=events.append)
    assert any("found no sound checkpoint; starting anew" in event.get("message", "") for event in events)
    assert report == pretrain(config, tmp_path / "whole", device=CPU)


def test_a_changed_text_is_not_resumed(toy: Path, tmp_path: Path) -> None:
    config = make_config(toy, epochs=1)
    pretrain(config, tmp_path / "run", device=CPU, should_stop=stop_after(3))
    toy.write_text("\n".join(f"another text {n}" for n in range(200)))
    with pytest.raises(UsageError, match="this run has another vocabulary than its text gives now"):
        pretrain(config, tmp_path / "run", device=CPU, resume=True)
