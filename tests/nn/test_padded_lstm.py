"""torch's own LSTM over padded rows: near to one row at a time, and the same to the bit alone and in company."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ner_elmo.nn import padded_lstm
from ner_elmo.nn.cell import Weights
from ner_elmo.nn.padded_lstm import FEW_ROWS, LIKE, POSITIONS, PaddedLstm, like_lengths, sums_alike, with_zeros
from ner_elmo.tagger.network.bilstm import BiLstm, joined_weights
from tests.support.precisions import skip_without


def make(n_inputs: int, n_units: int) -> tuple[nn.LSTM, PaddedLstm]:
    torch.manual_seed(5)
    plain = nn.LSTM(n_inputs, n_units)
    of_input, of_state, bias = joined_weights(plain)
    kernel = torch.cat([of_input.T, of_state.T, bias.unsqueeze(0)]).detach()
    return plain, PaddedLstm(Weights(kernel, None))


@pytest.mark.parametrize(("n_inputs", "n_units"), [(740, 256), (33, 20), (64, 32)])
def test_the_outputs_are_those_of_torch(n_inputs: int, n_units: int) -> None:
    plain, ours = make(n_inputs, n_units)
    x = torch.randn(6, 19, n_inputs)
    with torch.inference_mode():
        wanted = plain(x)[0]
        found = ours.run(with_zeros(x.flatten(0, 1), ours.n_terms).view(6, 19, -1))
    assert found.shape == wanted.shape
    assert (found.float() - wanted).abs().max() < 0.02


@pytest.mark.skipif(not sums_alike(484, 256), reason="rows feel one another in this torch's LSTM: not used")
@settings(max_examples=15, deadline=None)
@given(n_rows=st.integers(1, 120), n_steps=st.integers(1, 12), seed=st.integers(0, 99))
def test_a_row_does_not_feel_the_others(n_rows: int, n_steps: int, seed: int) -> None:
    _, ours = make(484, 256)
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(12, 120, ours.n_terms, generator=random).bfloat16()
    chosen = torch.randperm(120, generator=random)[:n_rows]
    with torch.inference_mode():
        together = ours.run(x)
        assert torch.equal(ours.run(x[:n_steps, chosen].contiguous()), together[:n_steps, chosen])


def test_it_can_be_pickled_and_copied() -> None:
    _, ours = make(40, 16)
    x = torch.randn(3, 2, ours.n_terms).bfloat16()
    for other in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):
        assert torch.equal(other.run(x), ours.run(x))


@given(st.lists(st.integers(0, 300), max_size=300))
def test_groups_have_all_rows_once_and_little_padding(lengths: list[int]) -> None:
    groups = like_lengths(lengths)
    assert sorted(row for rows, _ in groups for row in rows) == [row for row, length in enumerate(lengths) if length]
    for rows, width in groups:
        assert width == max(lengths[row] for row in rows)
        assert len(rows) * width <= POSITIONS or len(rows) == 1
        assert all(lengths[row] >= LIKE * width for row in rows[FEW_ROWS:])


def test_where_rows_feel_one_another_the_recurrence_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    lstm = BiLstm(40, 32, 2, 0.0).eval()
    x, mask = torch.randn(3, 5, 40), torch.arange(5) < torch.tensor([[5], [2], [4]])
    lstm.prepare_for_inference("bf16")
    with torch.inference_mode():
        by_torch = lstm(x, mask)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ner_elmo.tagger.network.bilstm.sums_alike", lambda *shape: False)
        lstm.prepare_for_inference("bf16")
    with torch.inference_mode():
        assert not lstm.spares(30)
        torch.testing.assert_close(lstm(x, mask), by_torch, atol=0.01, rtol=0.01)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    padded_lstm.sums_alike.cache_clear()
    assert not sums_alike(40, 32)
    padded_lstm.sums_alike.cache_clear()


@pytest.mark.parametrize(
    ("precision", "by_torch", "atol"),
    [
        ("fp32", False, 1e-6),
        ("bf16", True, 0.01),
        ("bf16", False, 0.01),
        ("int8", False, 0.02),
        ("int8-compiled", False, 0.02),
    ],
)
def test_columns_of_zeros_may_be_left_out(
    precision: str, by_torch: bool, atol: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    if precision != "bf16":  # which torch computes on any processor
        skip_without(precision)
    torch.manual_seed(0)
    lstm = BiLstm(40, 32, 2, 0.0).eval()
    x, mask = torch.randn(3, 5, 40), torch.arange(5) < torch.tensor([[5], [2], [4]])
    x[..., 10:20] = 0
    monkeypatch.setattr("ner_elmo.tagger.network.bilstm.sums_alike", lambda *shape: by_torch)
    lstm.prepare_for_inference(precision, slice(10, 20))
    assert not lstm.spares(30)  # with a gradient nothing is prepared
    with torch.inference_mode():
        assert lstm.spares(30)
        assert not lstm.spares(20)
        fewer = torch.cat([x[..., :10], x[..., 20:]], dim=2)
        torch.testing.assert_close(lstm(fewer, mask), lstm(x, mask), atol=atol, rtol=1e-5)
