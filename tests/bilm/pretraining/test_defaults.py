"""Defaults by the text and the device, and configurations that are read back."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from ner_elmo.bilm.options import options_to_json, size
from ner_elmo.bilm.pretraining.config import PretrainConfig, read_config
from ner_elmo.bilm.pretraining.defaults import advice, recommended, settle
from ner_elmo.errors import DataError, UsageError
from ner_elmo.nn.precision import best_precision


@pytest.mark.parametrize(
    ("n_tokens", "n_frequent", "device", "cores", "expected"),
    [
        (1_745, 21, "cpu", 2, ("compact", 10_000, 10)),
        (10_000_000, 41_234, "cpu", 2, ("compact", 42_000, 10)),
        (31_567_528, 83_812, "cpu", 2, ("compact", 50_000, 5)),
        (1_000_000_000, 500_000, "cpu", 2, ("compact", 50_000, 1)),
        (31_567_528, 83_812, "cuda", 16, ("small", 84_000, 10)),
        (60_000_000, 120_001, "cuda", 16, ("medium", 121_000, 10)),
        (1_000_000_000, 500_000, "cuda", 16, ("original", 200_000, 10)),
    ],
)
def test_recommended(n_tokens: int, n_frequent: int, device: str, cores: int, expected: tuple[object, ...]) -> None:
    found = recommended(n_tokens, n_frequent, device, cores)
    assert tuple(choice.value for choice in found) == expected
    assert all(choice.reason for choice in found)


def test_a_processor_with_bfloat16_affords_more_epochs() -> None:
    plain, faster = (recommended(50_000_000, 90_000, "cpu", 2, precision).epochs for precision in ("fp32", "bf16"))
    assert (plain.value, faster.value) == (3, 8)
    assert "at 5,000 tokens/s a core" in faster.reason


def test_what_was_chosen_by_hand_stays() -> None:
    tiny = options_to_json(size("tiny"))
    given = PretrainConfig(["x"], options=tiny, vocabulary_size=123, epochs=3, precision="fp32", heldout_tokens=9)
    assert settle(given, 10**9, 10**6, "cuda", 8) == (given, [])
    settled, lines = settle(PretrainConfig(["x"], epochs=3, dropout=0.3), 10**6, 20_000, "cpu", 1)
    assert (settled.epochs, settled.vocabulary_size) == (3, 20_000)
    assert settled.options == {**options_to_json(size("compact")), "dropout": 0.3}
    chosen = [line.split(" (")[0] for line in lines if not line.startswith("--precision")]
    assert chosen == ["--size compact", "--vocab-size 20000"]
    assert settle(settled, 10**9, 10**6, "cuda", 8) == (settled, [])
    assert settle(PretrainConfig(["x"], vocabulary="words.txt"), 1, 1, "cpu", 1)[0].vocabulary_size is None


@pytest.mark.parametrize(("max_tokens", "expected"), [(None, 60_000), (2_500_000, 25_000), (50_000, 10_000)])
def test_held_out_tokens_on_the_way_are_a_hundredth_of_the_training_within_bounds(
    max_tokens: int | None, expected: int
) -> None:
    config = PretrainConfig(["x"], epochs=3, max_tokens=max_tokens)
    assert settle(config, 10**9, 10**6, "cpu", 8)[0].heldout_tokens == expected


@pytest.mark.parametrize(("has_it", "expected"), [(True, "bf16"), (False, "fp32")])
def test_mixed_precision_where_a_gpu_has_it(monkeypatch: pytest.MonkeyPatch, has_it: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_it)
    config = PretrainConfig(["x"], options=options_to_json(size("tiny")), vocabulary_size=123, epochs=3)
    settled, lines = settle(config, 10**9, 10**6, "cuda", 8)
    assert settled.precision == expected
    assert lines == ["--precision bf16 (this GPU has it)"] * has_it
    assert settle(config, 10**9, 10**6, "cpu", 8)[0].precision == best_precision("cpu")


def test_little_text_is_advised_to_start_from_a_model() -> None:
    assert "--init" in (advice(PretrainConfig(["x"]), 4_999_999) or "")
    assert advice(PretrainConfig(["x"]), 5_000_000) is None
    assert advice(PretrainConfig(["x"], init="models/en"), 1000) is None


def test_a_configuration_reads_back(tmp_path: Path) -> None:
    config = PretrainConfig(["a", "b"], options_to_json(size("tiny")), epochs=2, checkpoint_minutes=3, seed=7)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(asdict(config)))
    assert read_config(path) == config
    for values, message in (
        ({"epochs": 2}, "found no 'corpus'"),
        ({"corpus": ["a"], "epoch": 2}, "unknown setting 'epoch'"),
        ({"corpus": ["a"], "epochs": "2"}, 'epochs: found "2", expected a whole number of at least 1'),
        ({"corpus": ["a"], "seed": True}, "seed: found true, expected a whole number from 0"),
        ({"corpus": "a"}, 'corpus: found "a", expected a list'),
    ):
        path.write_text(json.dumps(values))
        with pytest.raises(DataError, match=message):
            read_config(path)
    path.write_text("{")
    with pytest.raises(DataError, match="damaged"):
        read_config(path)
    with pytest.raises(UsageError, match="no such configuration"):
        read_config(tmp_path / "missing.json")
