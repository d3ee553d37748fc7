"""The packed recurrence against torch's LSTM, and against a slow loop that autograd differentiates."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ner_elmo.nn import compiled_passes as compiled
from ner_elmo.nn import inference
from ner_elmo.nn import inference_few_rows as few_rows
from ner_elmo.nn import ordered_sums as products
from ner_elmo.nn.cell import Clips, Weights, arrange
from ner_elmo.nn.inference import run_one
from ner_elmo.nn.recurrence import Recurrence, last_outputs

DIM, PROJECTION = 7, 4
BINDING = Clips(0.3, 0.05)


def make_weights(projection: bool = True, scale: float = 0.8, seed: int = 0) -> Weights:
    generator = torch.Generator().manual_seed(seed)
    width = PROJECTION if projection else DIM

    def draw(*shape: int) -> Tensor:
        return (torch.randn(*shape, generator=generator) * scale).requires_grad_(True)

    return Weights(draw(2 * width + 1, 4 * DIM), draw(DIM, PROJECTION) if projection else None)


def slow_loop(x: Tensor, weights: Weights, clips: Clips, state: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """One sentence ``(time, width)``, one step after the other."""
    width = weights.width
    of_input, of_state, bias = weights.kernel.split([width, width, 1])
    h, c = state if state is not None else (x.new_zeros(width), x.new_zeros(DIM))
    outputs = []
    for step in x:
        i, f, j, o = (step @ of_input + h @ of_state + bias[0]).chunk(4)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(j)
        if clips.cell is not None:
            c = c.clamp(-clips.cell, clips.cell)
        h = torch.sigmoid(o) * torch.tanh(c)
        if weights.projection is not None:
            h = h @ weights.projection
            if clips.projection is not None:
                h = h.clamp(-clips.projection, clips.projection)
        outputs.append(h)
    return torch.stack(outputs)


def packed(sentences: list[Tensor]) -> tuple[Tensor, list[int]]:
    sequence = nn.utils.rnn.pack_sequence(sentences)
    return sequence.data, sequence.batch_sizes.tolist()


def sentences_of(lengths: list[int], width: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(sum(lengths))
    return [torch.randn(length, width, generator=generator) for length in lengths]


@pytest.mark.parametrize("clips", [Clips(None, None), BINDING, Clips(0.3, None), Clips(None, 0.05)])
@pytest.mark.parametrize("projection", [True, False])
@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize(("longest_sum", "compiles"), [(3, False), (4, False), (128, False), (128, True)])
def test_outputs_and_gradients_equal_the_slow_loop(
    clips: Clips,
    projection: bool,
    with_state: bool,
    longest_sum: int,
    compiles: bool,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setattr(compiled._InUse, "passes", request.getfixturevalue("compiled_ones") if compiles else None)
    for module in (products, few_rows, inference):
        monkeypatch.setattr(module, "LONGEST_SUM", longest_sum)
    few_rows._places.cache_clear()
    weights = make_weights(projection)
    width = weights.width
    lengths = [6, 4, 4, 1]
    sentences = [sentence.requires_grad_(True) for sentence in sentences_of(lengths, width)]
    state = (torch.randn(4, width) / 20, torch.randn(4, DIM) / 5) if with_state else None
    states = [(state[0][row], state[1][row]) if state else None for row in range(4)]
    expected = torch.cat([slow_loop(x, weights, clips, own) for x, own in zip(sentences, states, strict=True)])
    upstream = torch.randn_like(expected)
    leaves = [*sentences, *(w for w in weights if w is not None)]
    wanted = torch.autograd.grad((expected * upstream).sum(), leaves)

    x, batch_sizes = packed(sentences)
    y, c = Recurrence.apply(x, *weights, *(state or (None, None)), batch_sizes, clips)
    flat_upstream, _ = packed(list(upstream.split(lengths)))
    found = torch.autograd.grad((y * flat_upstream).sum(), leaves)
    torch.testing.assert_close(y, packed(list(expected.split(lengths)))[0], atol=1e-6, rtol=1e-5)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)

    with torch.no_grad():
        begin = None if state is None else (state[0], state[1].clone())
        torch.testing.assert_close(run_one(x, batch_sizes, arrange(weights), clips, begin), y, atol=1e-6, rtol=1e-5)
        if begin is not None:
            torch.testing.assert_close(begin[1], c, atol=1e-6, rtol=1e-5)
        ends = torch.stack([part[-1] for part in expected.split(lengths)])
        torch.testing.assert_close(last_outputs(y, batch_sizes), ends, atol=1e-6, rtol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(1, 2000))
def test_rows_that_end_and_chunks_change_nothing(lengths: list[int], gate_bytes: int) -> None:
    lengths = sorted(lengths, reverse=True)
    weights = make_weights(seed=1)
    sentences = sentences_of(lengths, PROJECTION)
    x, batch_sizes = packed(sentences)
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(inference, "GATE_BYTES", gate_bytes)
        found = run_one(x, batch_sizes, arrange(weights), BINDING)
        alone = [run_one(sentence, [1] * len(sentence), arrange(weights), BINDING) for sentence in sentences]
    torch.testing.assert_close(found, packed(alone)[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("clips", [Clips(None, None), BINDING])
@pytest.mark.parametrize("projection", [True, False])
def test_a_long_sentence_is_computed_in_stretches(clips: Clips, projection: bool) -> None:
    weights = arrange(make_weights(projection))
    x, batch_sizes = packed(sentences_of([9, 1], weights.width))
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        at_once = run_one(x, batch_sizes, weights, clips)
        patch.setattr(inference, "FEW_GATE_BYTES", 16 * weights.dim * 3)
        assert torch.equal(run_one(x, batch_sizes, weights, clips), at_once)


def test_a_second_backward_pass_is_refused() -> None:
    x, batch_sizes = packed(sentences_of([3, 2], PROJECTION))
    y, _ = Recurrence.apply(x, *make_weights(), None, None, batch_sizes, BINDING)
    y.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="inplace"):
        y.sum().backward()


@pytest.mark.parametrize("clips", [Clips(None, None), Clips(3.0, 3.0)])
def test_long_sums_are_the_same_alone_and_in_company(clips: Clips) -> None:
    """Sums of 512 and 1,536 terms, as large weights make them differ most: of 1, 2, 3, 4 … rows and of 30."""
    generator = torch.Generator().manual_seed(5)
    width, dim = 512, 1536
    kernel = torch.randn(2 * width + 1, 4 * dim, generator=generator) / 10
    weights = arrange(Weights(kernel, torch.randn(dim, width, generator=generator) / 10))
    sentences = sentences_of([7, 6, 6, 5, 4, *[3] * 10, *[2] * 15], width)
    x, batch_sizes = packed(sentences)
    with torch.no_grad():
        together = run_one(x, batch_sizes, weights, clips)
        alone = packed([run_one(sentence, [1] * len(sentence), weights, clips) for sentence in sentences])[0]
        three = run_one(*packed(sentences[2:5]), weights, clips)
    assert together.abs().max() > 1
    torch.testing.assert_close(alone, together, atol=1e-6, rtol=0)
    three_alone = packed([run_one(sentence, [1] * len(sentence), weights, clips) for sentence in sentences[2:5]])[0]
    torch.testing.assert_close(three, three_alone, atol=1e-6, rtol=0)
