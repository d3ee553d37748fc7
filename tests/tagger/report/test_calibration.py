"""Calibration errors against naive twins; the temperature that is fitted, and what it leaves alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.tagger.decoding import predict, predict_scored
from ner_elmo.tagger.network.inputs import Example, Words
from ner_elmo.tagger.network.model import TaggerModel
from ner_elmo.tagger.network.options import TaggerOptions
from ner_elmo.tagger.report import calibration
from ner_elmo.tagger.report.calibration import (
    Predictions,
    adaptive_calibration_error,
    calibration_error,
    calibration_figures,
    fit_temperature,
    golden_section,
    log_loss,
    predict_for_calibration,
    reliability,
)
from ner_elmo.text.tag_scheme import Span, tag_set

JUDGED = st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=60)


def arrays(judged: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([p for p, _ in judged], dtype=float), np.array([right for _, right in judged], dtype=bool)


def naive_error(bins: list[list[tuple[float, bool]]], number: int) -> float:
    gaps = [abs(sum(right for _, right in part) - sum(p for p, _ in part)) for part in bins if part]
    return sum(gaps) / max(1, number)


@given(JUDGED)
def test_calibration_error_equals_a_naive_one(judged: list[tuple[float, bool]]) -> None:
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(15)]
    for p, right in judged:
        bins[max(0, math.ceil(p * 15) - 1)].append((p, right))
    assert calibration_error(*arrays(judged)) == pytest.approx(naive_error(bins, len(judged)), abs=1e-12)
    table = reliability(*arrays(judged))
    assert sum(row["entities"] for row in table) == len(judged)
    assert all(row["low"] - 1e-12 <= row["confidence"] <= row["high"] + 1e-12 for row in table)


@given(JUDGED)
def test_adaptive_calibration_error_equals_a_naive_one(judged: list[tuple[float, bool]]) -> None:
    ordered = sorted(judged, key=lambda pair: pair[0])
    size, larger = divmod(len(ordered), 15)
    bins, at = [], 0
    for number in range(15):
        bins.append(ordered[at : at + size + (number < larger)])
        at += len(bins[-1])
    assert adaptive_calibration_error(*arrays(judged)) == pytest.approx(naive_error(bins, len(judged)), abs=1e-12)


def test_what_is_perfectly_calibrated_and_what_is_not() -> None:
    honest = np.array([0.8] * 10), np.array([True] * 8 + [False] * 2)
    boastful = np.array([1.0] * 10), np.array([True] * 8 + [False] * 2)
    assert calibration_error(*honest) == pytest.approx(0)
    assert calibration_error(*boastful) == pytest.approx(0.2)
    assert log_loss(*boastful) > log_loss(*honest) == pytest.approx(-0.8 * math.log(0.8) - 0.2 * math.log(0.2))
    nothing = np.zeros(0), np.zeros(0, dtype=bool)
    assert (calibration_error(*nothing), adaptive_calibration_error(*nothing), log_loss(*nothing)) == (0, 0, 0)


@given(st.floats(-1.3, 2.0))
def test_golden_section_finds_the_minimum(place: float) -> None:
    assert golden_section(lambda x: (x - place) ** 2, -1.4, 2.1, 1e-6) == pytest.approx(place, abs=1e-5)


def make_model(scale: float = 1.0) -> tuple[TaggerModel, list[Example]]:
    """A tagger with random weights, sharpened by ``scale``, and random sentences."""
    torch.manual_seed(3)
    options = TaggerOptions(tags=tag_set(["A", "B"], "bioes"), n_words=12, n_tuned_words=12, word_dim=6, char_dim=0)
    model = TaggerModel(options)
    model.reset_parameters()
    with torch.no_grad():
        for parameter in model.crf.parameters():
            torch.nn.init.normal_(parameter)
        model.output.weight.mul_(10 * scale)
        for parameter in model.crf.parameters():
            parameter.mul_(scale)
        model.output.bias.mul_(scale)
    rng = np.random.default_rng(0)
    words = Words([str(number) for number in range(12)])
    sentences = [tuple(str(w) for w in rng.integers(2, 12, rng.integers(1, 9))) for _ in range(150)]
    return model, [Example(tokens, words.indices(tokens), None) for tokens in sentences]


def draw_gold(model: TaggerModel, examples: list[Example]) -> list[list[Span]]:
    """Gold entities for which the probabilities are right: each predicted one is kept with its probability."""
    rng = np.random.default_rng(1)
    return [[span for span, p in found if rng.random() < p] for found in predict_scored(model, examples)]


def test_a_temperature_undoes_what_sharpened_the_scores() -> None:
    model, examples = make_model()
    gold = draw_gold(model, examples)
    honest = fit_temperature(predict_for_calibration(model, examples, gold, "cpu"))
    assert honest == pytest.approx(1, rel=0.25)
    sharp, _ = make_model(scale=3.0)
    predictions = predict_for_calibration(sharp, examples, gold, "cpu")
    temperature = fit_temperature(predictions)
    assert temperature == pytest.approx(3 * honest, rel=0.05)
    figures = calibration_figures(predictions, temperature)
    assert figures["entities"] == sum(map(len, predictions.spans)) > 100
    assert figures["ece"] < 0.5 * figures["uncalibrated"]["ece"]
    assert figures["log_loss"] < figures["uncalibrated"]["log_loss"]


def test_temperature_one_is_no_temperature_and_entities_stay() -> None:
    model, examples = make_model()
    predictions = predict_for_calibration(model, examples, [[] for _ in examples], "cpu")
    assert predictions.spans == predict(model, examples)
    plain = predict_scored(model, examples)
    assert plain == predict_scored(model, examples, temperature=1.0)
    warm = predict_scored(model, examples, temperature=4.0)
    assert [[span for span, _ in found] for found in warm] == predictions.spans
    assert all(0 <= p <= 1 for found in warm for _, p in found)
    assert warm != plain
    assert sorted(predictions.probabilities(1.0)) == pytest.approx(sorted(p for found in plain for _, p in found))


def test_too_few_errors_give_no_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    model, examples = make_model()
    predictions = predict_for_calibration(model, examples, predict(model, examples), "cpu")
    assert predictions.is_correct.all()
    assert fit_temperature(predictions) == 1.0
    assert fit_temperature(Predictions([], model, [], np.zeros(0, dtype=bool))) == 1.0
    monkeypatch.setattr(calibration, "FEWEST_OF_EACH", 0)
    assert fit_temperature(predictions) < 0.3  # all right: the surer the better, down to the limit
