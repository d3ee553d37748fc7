"""Pretraining: the run, its interruption, and when it saves."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ner_elmo.bilm.data import batches
from ner_elmo.bilm.options import options_to_json
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.run import checkpoint_is_due, pretrain
from ner_elmo.elmo.encoder import Elmo
from ner_elmo.nn import compiled_passes as compiled
from ner_elmo.runs.quick import even_sample
from tests.support.devices import CPU
from tests.support.small_bilms import make_options
from tests.support.toy_pretraining import make_config, toy_text, weights_of


@pytest.mark.parametrize(
    ("changes", "share_of_unigram"),
    [
        ({"softmax": "exact"}, 0.75),
        pytest.param({"softmax": "sampled", "n_samples": 10}, 0.75, marks=pytest.mark.slow),
        pytest.param(
            {"schedule": "slanted", "layer_decay": 1.5, "unfreeze": 0.5, "softmax_steps": 9},
            1.0,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["exact", "sampled", "by-parts"],
)
def test_training_learns_and_a_killed_run_resumes_to_the_bit(
    toy: Path, tmp_path: Path, changes: dict[str, Any], share_of_unigram: float
) -> None:
    if "layer_decay" in changes:  # training by parts goes on from a model
        pretrain(make_config(toy, epochs=1), tmp_path / "parent", device=CPU)
        changes = {**changes, "init": str(tmp_path / "parent")}
    config = make_config(toy, **changes)
    report = pretrain(config, tmp_path / "whole", device=CPU)
    assert report["finished"]
    assert report["perplexity"]["mean"] < share_of_unigram * report["unigram_perplexity"]
    rng = random.Random(7)
    for _ in range(3):  # stopped more than once, at any step; then what is on disk is all there is
        left = rng.randint(1, 9)

        def stop(counted: list[int] = [left]) -> bool:  # noqa: B006 - a counter of this round
            counted[0] -= 1
            return counted[0] == 0

        pretrain(config, tmp_path / "parts", device=CPU, resume=True, should_stop=stop)
    # A kill between checkpoints: the newest is from before, and steps are done again.
    newest = sorted((tmp_path / "parts" / "checkpoints").glob("step-*.pt"))[-1]
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    warnings: list[str] = []
    again = pretrain(
        config,
        tmp_path / "parts",
        device=CPU,
        resume=True,
        report=lambda event: warnings.append(event["message"]) if event["event"] == "warning" else None,
    )
    assert len(warnings) == 1
    assert "not a sound checkpoint" in warnings[0]
    assert again == report
    assert weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole")
    events = [json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    assert sum(event["event"] == "resume" for event in events) == 3


def test_a_run_on_several_files_resumes_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "SHUFFLE_BUFFER", 60)
    (tmp_path / "text").mkdir()
    for number, n_sentences in enumerate((150, 50, 20)):
        lines = [" ".join(sentence) for sentence in toy_text(n_sentences, number)]
        (tmp_path / "text" / f"{number}.txt").write_text("\n".join(lines))
    config = make_config(tmp_path / "text", epochs=2)
    pretrain(config, tmp_path / "whole", device=CPU)
    left = iter([False, False, True])
    pretrain(config, tmp_path / "parts", device=CPU, should_stop=lambda: next(left))
    pretrain(config, tmp_path / "parts", device=CPU, resume=True)
    assert weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole")


@pytest.mark.parametrize("compiles", [False, True])
def test_a_run_in_bfloat16_resumes_to_the_bit(
    toy: Path, tmp_path: Path, compiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled._InUse, "passes", None)
    if compiles and (why_not := compiled.use_compiler()) is not None:
        pytest.skip(f"not here: {why_not}")
    config = make_config(toy, epochs=1, precision="bf16", softmax="sampled", n_samples=10)
    pretrain(config, tmp_path / "whole", device=CPU)
    left = iter([False, False, True])
    pretrain(config, tmp_path / "parts", device=CPU, should_stop=lambda: next(left))
    pretrain(config, tmp_path / "parts", device=CPU, resume=True)
    assert weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole")


def test_the_sample_for_perplexity_comes_from_all_parts_of_the_text() -> None:
    sentences = [[f"part{i // 250}"] * 5 for i in range(1000)]
    chosen = even_sample(sentences, 1000)
    assert sum(map(len, chosen)) == 1000
    assert Counter(sentence[0] for sentence in chosen) == {f"part{i}": 50 for i in range(4)}
    assert even_sample(sentences, 5000) == even_sample(sentences, 10**9) == sentences
    assert even_sample(sentences, 1) == sentences[:1]


def test_checkpoints_by_steps_by_minutes_or_by_either() -> None:
    def due(steps: int | None, minutes: float | None) -> list[int]:
        config = PretrainConfig(["x"], checkpoint_steps=steps, checkpoint_minutes=minutes)
        saved, found = 0, []
        for step in range(1, 13):  # half a minute a step
            if checkpoint_is_due(config, step, 30.0 * (step - saved)):
                saved = step
                found.append(step)
        return found

    assert due(5, None) == [5, 10]
    assert due(None, 2) == [4, 8, 12]
    assert due(5, 2) == [4, 5, 9, 10]


@pytest.mark.slow
def test_word_input_trains(toy: Path, tmp_path: Path) -> None:
    options = options_to_json(make_options(dim=16, projection_dim=8))
    del options["char_cnn"]
    report = pretrain(make_config(toy, options=options), tmp_path / "run", device=CPU)
    assert report["perplexity"]["mean"] < 0.8 * report["unigram_perplexity"]
    (vectors,) = Elmo.load(tmp_path / "run").embed([["w1", "never-seen"]])
    assert vectors.shape == (3, 2, 16)


@pytest.mark.slow
def test_init_goes_on_from_a_model(toy: Path, tmp_path: Path) -> None:
    first = pretrain(make_config(toy), tmp_path / "first", device=CPU)
    config = make_config(toy, init=str(tmp_path / "first"), epochs=1, learning_rate=1e-9)
    second = pretrain(config, tmp_path / "second", device=CPU)
    assert second["perplexity"]["mean"] == pytest.approx(first["perplexity"]["mean"], rel=1e-4)
