"""Losses and gradients of the output layer against autograd on the formula, and the sampler against its promise."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from ner_elmo.bilm import softmax as module
from ner_elmo.bilm.softmax import Sample, Softmax, draw_sample, log_expected_counts, log_uniform_probabilities


def make_softmax(n_words: int = 30, dim: int = 6) -> Softmax:
    torch.manual_seed(1)
    softmax = Softmax(n_words, dim)
    softmax.reset_parameters()
    with torch.no_grad():
        softmax.bias.normal_()
    return softmax


@pytest.fixture(params=[1, 1 << 21], ids=["row by row", "one chunk"])
def _chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", request.param)
    monkeypatch.setattr(module, "LEAST_ROWS", 1)


@pytest.mark.usefixtures("_chunks")
def test_exact_loss_and_gradients() -> None:
    softmax = make_softmax()
    y, targets = torch.randn(11, 6, requires_grad=True), torch.randint(30, (11,))
    wanted = functional.cross_entropy(y @ softmax.weight.t() + softmax.bias, targets)
    gradients = torch.autograd.grad(wanted, [y, softmax.weight, softmax.bias])
    found, each = softmax.exact_loss(y, targets)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(each, softmax.losses(y, targets))
    torch.testing.assert_close(softmax.losses(y, targets).mean(), wanted)
    for a, b in zip(torch.autograd.grad(found, [y, softmax.weight, softmax.bias]), gradients, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.usefixtures("_chunks")
def test_sampled_loss_and_gradients() -> None:
    softmax = make_softmax()
    sample = draw_sample(8, 30, torch.Generator().manual_seed(3))
    y = torch.randn(11, 6, requires_grad=True)
    targets = torch.cat([sample.ids[:3], torch.randint(30, (8,))])  # some targets are among the candidates
    own = (y * softmax.weight[targets]).sum(1) + softmax.bias[targets] - sample.log_expected_of(targets)
    others = y @ softmax.weight[sample.ids].t() + softmax.bias[sample.ids] - sample.log_expected
    others = others.masked_fill(targets.unsqueeze(1) == sample.ids, -math.inf)
    wanted = functional.cross_entropy(torch.cat([own.unsqueeze(1), others], 1), torch.zeros(11, dtype=torch.long))
    gradients = torch.autograd.grad(wanted, [y, softmax.weight, softmax.bias])
    found, each = softmax.sampled_loss(y, targets, sample)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(each.mean(), wanted)
    for a, b in zip(torch.autograd.grad(found, [y, softmax.weight, softmax.bias]), gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.usefixtures("_chunks")
@pytest.mark.parametrize("sampled", [True, False])
def test_products_in_bfloat16_change_losses_and_gradients_little(sampled: bool) -> None:
    softmax = make_softmax()
    sample = draw_sample(8, 30, torch.Generator().manual_seed(3))
    y, targets = torch.randn(40, 6, requires_grad=True), torch.randint(30, (40,))
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        loss, each = (
            softmax.sampled_loss(y, targets, sample, dtype) if sampled else softmax.exact_loss(y, targets, dtype)
        )
        found.append((each, torch.autograd.grad(loss, [y, softmax.weight, softmax.bias])))
    (exact, gradients), (mixed, nearly) = found
    torch.testing.assert_close(mixed, exact, atol=0.02, rtol=0.0)
    assert not torch.equal(mixed, exact)
    for a, b in zip(nearly, gradients, strict=True):
        assert a.dtype == torch.float32
        assert functional.cosine_similarity(a.flatten(), b.flatten(), 0) > 0.999


@pytest.mark.usefixtures("_chunks")
def test_logits_far_above_the_own_one_in_bfloat16() -> None:
    """Their exponentials are beyond all numbers, so that they are shifted by the greatest instead."""
    softmax = make_softmax()
    sample = draw_sample(8, 30, torch.Generator().manual_seed(3))
    y, targets = torch.randn(70, 6), torch.randint(30, (70,))
    y[::7] *= 60
    y.requires_grad_()
    exact, each = softmax.sampled_loss(y, targets, sample)
    wanted = torch.autograd.grad(exact, [y, softmax.weight, softmax.bias])
    loss, losses = softmax.sampled_loss(y, targets, sample, torch.bfloat16)
    assert each.max() > 100
    torch.testing.assert_close(losses, each, atol=0.05, rtol=0.02)
    for a, b in zip(torch.autograd.grad(loss, [y, softmax.weight, softmax.bias]), wanted, strict=True):
        assert functional.cosine_similarity(a.flatten(), b.flatten(), 0) > 0.999


def test_sampled_loss_equals_the_reference(goldens: Path) -> None:
    expected = dict(np.load(goldens / "sampled_softmax" / "expected.npz"))
    weight, bias = torch.from_numpy(expected["W"]), torch.from_numpy(expected["b"])
    softmax = Softmax(*weight.shape)
    with torch.no_grad():
        softmax.weight.copy_(weight)
        softmax.bias.copy_(bias)
    targets = torch.from_numpy(expected["labels"]).long().reshape(-1)
    for k in range(4):
        ids = torch.from_numpy(expected[f"{k}.sampled"]).long()
        tries = int(expected[f"{k}.num_tries"])
        log_expected = log_expected_counts(ids, len(bias), tries, len(ids))
        np.testing.assert_allclose(log_expected.exp(), expected[f"{k}.sampled_expected_count"], rtol=1e-4)
        sample = Sample(ids, log_expected, tries, len(bias))
        np.testing.assert_allclose(
            sample.log_expected_of(targets).exp(), expected[f"{k}.true_expected_count"].reshape(-1), rtol=1e-4
        )
        y = torch.from_numpy(expected["x"]).requires_grad_()
        loss, losses = softmax.sampled_loss(y, targets, sample)
        np.testing.assert_allclose(losses.numpy(), expected[f"{k}.loss"].reshape(-1), atol=1e-4)
        np.testing.assert_allclose(loss.item(), expected[f"{k}.loss"].mean(), atol=1e-4)
        gradients = torch.autograd.grad(loss, [softmax.weight, softmax.bias, y])
        for name, gradient in zip(("dW", "db", "dx"), gradients, strict=True):
            np.testing.assert_allclose(gradient.numpy(), expected[f"{k}.dmean_{name}"], atol=1e-4)
    y = torch.from_numpy(expected["x"])
    np.testing.assert_allclose(softmax.losses(y, targets), expected["full_softmax_loss"].reshape(-1), atol=1e-4)


def test_sampler_draws_as_often_as_the_reference(goldens: Path) -> None:
    expected = dict(np.load(goldens / "sampled_softmax" / "sampler_inclusion_frequency.npz"))
    n_words, n_samples = int(expected["range_max"]), int(expected["num_sampled"])
    generator, counts, draws = torch.Generator().manual_seed(5), torch.zeros(n_words), 4000
    for _ in range(draws):
        sample = draw_sample(n_samples, n_words, generator)
        assert len(sample.ids.unique()) == n_samples
        assert sample.tries >= n_samples
        counts[sample.ids] += 1
    np.testing.assert_allclose(counts / draws, expected["inclusion"], atol=0.03)  # 4000 draws: sd up to 0.008


def test_log_uniform_probabilities_sum_to_one() -> None:
    assert log_uniform_probabilities(torch.arange(5000), 5000).sum().item() == pytest.approx(1.0)


def test_a_sample_of_everything_is_refused() -> None:
    with pytest.raises(ValueError, match="below the vocabulary"):
        draw_sample(5, 5, torch.Generator())


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("elements", [1, 7, 1 << 18])
def test_losses_in_parts_are_those_of_all_words(scale: float, elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits up to some hundreds, whose exponentials overflow, and words a few at a time."""
    monkeypatch.setattr(module, "LOSS_ELEMENTS", elements)
    monkeypatch.setattr(module, "LOSS_ROWS", 3)
    torch.manual_seed(4)
    softmax = Softmax(50, 8)
    softmax.reset_parameters()
    y, targets = scale * torch.randn(10, 8), torch.randint(0, 50, (10,))
    with torch.no_grad():
        softmax.bias.normal_(0, scale)
        logits = y.double() @ softmax.weight.double().t() + softmax.bias.double()
        wanted = functional.cross_entropy(logits, targets, reduction="none")
    torch.testing.assert_close(softmax.losses(y, targets).double(), wanted, atol=2e-6 * max(1.0, scale), rtol=2e-6)
