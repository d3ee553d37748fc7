"""The BiLSTM whose products may be bfloat16, against torch's LSTM a sentence at a time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ner_elmo.nn.bi_recurrence import BiRecurrence
from ner_elmo.nn.cell import Types
from ner_elmo.nn.packing import packed
from ner_elmo.tagger.network.bilstm import BiLstm, joined_weights
from tests.support.precisions import skip_without

LENGTHS = [[4], [1], [3, 9, 1, 9, 4], [2, 0, 5], [1, 1, 1]]


def mask_of(lengths: Sequence[int]) -> Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def one_by_one(lstm: BiLstm, x: Tensor, lengths: Sequence[int]) -> Tensor:
    """Each sentence by itself through torch's LSTMs, the backward one over the sentence turned round."""
    out = x.new_zeros(*x.shape[:2], 2 * lstm.forwards[0].hidden_size)
    for row, length in enumerate(lengths):
        y = x[row : row + 1, :length]
        if length:
            for ahead, back in zip(lstm.forwards, lstm.backwards, strict=True):
                y = torch.cat([ahead(y)[0], back(y.flip(1))[0].flip(1)], dim=2)
            out[row, :length] = y[0]
    return out


def outputs_and_gradients(lstm: BiLstm, x: Tensor, y: Tensor, share: Tensor) -> list[Tensor]:
    return [y, *torch.autograd.grad((y * share).sum(), [x, *lstm.parameters()])]


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_the_recurrence_is_that_of_torch(lengths: list[int]) -> None:
    """In float64, so that nothing but a mistake is larger than the bound."""
    torch.manual_seed(1)
    lstm = BiLstm(6, 5, 1, 0.0).double()
    mask = mask_of(lengths)
    x = torch.randn(*mask.shape, 6, dtype=torch.double, requires_grad=True)
    share = torch.randn(*mask.shape, 10, dtype=torch.double)
    slow = outputs_and_gradients(lstm, x, one_by_one(lstm, x, lengths), share)
    given = x.masked_fill(~mask.unsqueeze(2), torch.nan)  # what stands at padding means nothing
    weights = [weight for part in (lstm.forwards[0], lstm.backwards[0]) for weight in joined_weights(part)]
    fast = outputs_and_gradients(lstm, x, BiRecurrence.apply(given, packed(mask), torch.double, None, *weights), share)
    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("columns", [slice(0, 2), slice(2, 5), slice(4, 6), slice(0, 6)], ids=str)
@pytest.mark.parametrize("share_of_zeros", [0.0, 0.5, 1.0])
def test_rows_without_what_is_given_are_computed_without_its_columns(columns: slice, share_of_zeros: float) -> None:
    torch.manual_seed(4)
    lengths = [3, 9, 1, 9, 4]
    lstm = BiLstm(6, 5, 1, 0.0).double()
    mask = mask_of(lengths)
    x = torch.randn(*mask.shape, 6, dtype=torch.double)
    x[..., columns] *= torch.rand(*mask.shape, 1, dtype=torch.double) >= share_of_zeros
    x.requires_grad_()
    share = torch.randn(*mask.shape, 10, dtype=torch.double)
    slow = outputs_and_gradients(lstm, x, one_by_one(lstm, x, lengths), share)
    weights = [weight for part in (lstm.forwards[0], lstm.backwards[0]) for weight in joined_weights(part)]
    y = BiRecurrence.apply(x, packed(mask), torch.double, columns, *weights)
    fast = outputs_and_gradients(lstm, x, y, share)
    slow[1][..., columns] = 0.0
    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("how", ["float32", "bfloat16", "as on a GPU"])
def test_each_way_is_near_to_torch(n_layers: int, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(2)
    lengths, in_bfloat16 = [7, 2, 7, 1], how == "bfloat16"
    lstm = BiLstm(6, 32, n_layers, 0.0)
    if how == "as on a GPU":
        monkeypatch.setattr(lstm, "_together", lambda mask, *_: lstm._by_torch(mask))
    mask = mask_of(lengths)
    x = torch.randn(*mask.shape, 6, requires_grad=True)
    share = torch.randn(*mask.shape, 64) * mask.unsqueeze(2)
    slow = outputs_and_gradients(lstm, x, one_by_one(lstm, x, lengths), share)
    fast = outputs_and_gradients(lstm, x, lstm(x, mask, in_bfloat16) * mask.unsqueeze(2), share)
    for one, other in zip(fast, slow, strict=True):
        difference = (one - other).norm() / other.norm()
        assert difference < (0.02 if in_bfloat16 else 1e-6)
        assert difference > 0 or not in_bfloat16  # bfloat16 has three digits


@pytest.mark.parametrize("in_bfloat16", [False, True])
def test_each_gradient_has_its_own_place(in_bfloat16: bool) -> None:
    """They are changed in place, by clipping: one that two parameters shared would be changed twice."""
    lstm = BiLstm(6, 5, 2, 0.0)
    mask = mask_of([3, 2])
    lstm(torch.randn(*mask.shape, 6), mask, in_bfloat16).sum().backward()
    gradients = [parameter.grad for parameter in lstm.parameters()]
    before = [one.clone() for one in gradients if one is not None]
    assert len(before) == len(gradients)
    torch._foreach_mul_(gradients, 0.5)
    for one, other in zip(gradients, before, strict=True):
        torch.testing.assert_close(one, other / 2)


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=6))
def test_packing_finds_every_element(lengths: list[int]) -> None:
    mask = mask_of(lengths)
    time = mask.shape[1]
    packing = packed(mask)
    real = [row * time + t for row, length in enumerate(lengths) for t in range(length)]
    turned = [row * time + length - 1 - t for row, length in enumerate(lengths) for t in range(length)]
    assert sorted(packing.ahead.tolist()) == real
    assert packing.sizes == [n for t in range(time) if (n := sum(length > t for length in lengths))]
    assert [lengths[row] for row in packing.order.tolist()] == sorted(lengths, reverse=True)
    assert torch.equal(packing.ahead[packing.turn], packing.back)
    assert torch.equal(packing.turn[packing.turn], torch.arange(len(real)))
    assert dict(zip(packing.ahead.tolist(), packing.back.tolist(), strict=True)) == dict(zip(real, turned, strict=True))
    n_first = packing.sizes[0] if packing.sizes else 0
    later = packing.ahead[n_first:]
    assert torch.equal(packing.ahead[packing.previous()], later - 1)


@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize(
    ("precision", "bound"), [("fp32", 1e-6), ("bf16", 0.01), ("int8", 0.03), ("int8-compiled", 0.03)]
)
def test_prepared_weights_compute_the_same(n_layers: int, precision: str, bound: float) -> None:
    skip_without(precision)
    torch.manual_seed(3)
    lengths = [7, 2, 0, 9, 7, 1, 5]
    lstm = BiLstm(130, 40, n_layers, 0.0).eval()
    mask = mask_of(lengths)
    x = torch.randn(*mask.shape, 130)
    x[..., :128] = 0  # a whole run of zeros, which changes no sum
    slow = one_by_one(lstm, x, lengths)
    lstm.prepare_for_inference(precision)
    with torch.inference_mode():
        fast = lstm(x.masked_fill(~mask.unsqueeze(2), torch.nan), mask)
        assert (fast - slow).abs().max() < bound
        assert not fast[~mask].any()
        assert torch.equal(fast, slow) is False
    x.requires_grad_()
    assert lstm(x, mask).requires_grad  # with a gradient, torch's own


@pytest.mark.parametrize("precision", ["fp32", "int8", "int8-compiled"])
def test_prepared_weights_do_not_feel_the_company(precision: str) -> None:
    skip_without(precision)
    torch.manual_seed(3)
    lengths = [7, 2, 9, 7, 1, 5, 30, 30, 4, 4]
    lstm = BiLstm(300, 200, 1, 0.0).eval()
    lstm.prepare_for_inference(precision)
    mask = mask_of(lengths)
    x = torch.randn(*mask.shape, 300)
    with torch.inference_mode():
        together = lstm(x, mask)
        for row, length in enumerate(lengths):
            alone = lstm(x[row : row + 1, :length], mask[row : row + 1, :length])
            assert torch.equal(alone[0], together[row, :length])


@pytest.mark.parametrize("n_typed", [30, 140, 300])
@pytest.mark.parametrize("n_types", [3, 90])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "int8-compiled"])
def test_columns_may_be_those_of_types(n_typed: int, n_types: int, precision: str) -> None:
    """What types give is computed once for each, where few are distinct, and the outputs are the same: in float32 to
    the bit, and alone as in company."""
    skip_without(precision)
    torch.manual_seed(3)
    lengths = [7, 2, 9, 7, 1, 5, 30, 30, 4, 4]
    lstm = BiLstm(300, 200, 2, 0.0).eval()
    lstm.prepare_for_inference(precision, n_typed=n_typed)
    mask = mask_of(lengths)
    types = Types(torch.randn(n_types, n_typed), torch.randint(n_types, mask.shape))
    others = torch.randn(*mask.shape, 300 - n_typed)
    whole = torch.cat([others, types.vectors[types.which]], dim=2)
    with torch.inference_mode():
        together = lstm(others, mask, types=types)
        assert torch.equal(together, lstm(whole, mask))
        for row, length in enumerate(lengths if precision != "bf16" else []):
            here = slice(row, row + 1), slice(length)
            alone = lstm(others[here], mask[here], types=Types(types.vectors, types.which[here]))
            assert torch.equal(alone[0], together[row, :length])


@pytest.mark.parametrize("given", [None, slice(0, 2), slice(2, 5), slice(0, 6)])
@pytest.mark.parametrize("in_bfloat16", [False, True])
def test_what_is_filled_up_changes_nothing(given: slice | None, in_bfloat16: bool) -> None:
    """Rows and positions that are filled up are read by nothing real and have no gradient; columns that are given have
    none either."""
    torch.manual_seed(3)
    lengths = [9, 0, *range(1, 10), *[4] * 40]
    lstm = BiLstm(6, 32, 1, 0.0)
    mask = mask_of(lengths)
    x = torch.randn(*mask.shape, 6, requires_grad=True)
    share = torch.randn(*mask.shape, 64)
    slow = outputs_and_gradients(lstm, x, one_by_one(lstm, x, lengths), share)
    unread = x.masked_fill(~mask.unsqueeze(2), torch.nan)
    y = lstm(unread, mask, in_bfloat16, given)
    assert not y[~mask].any()
    fast = outputs_and_gradients(lstm, x, y, share)
    if given is not None:
        assert not fast[1][..., given].any()
        slow[1][..., given] = 0.0
    for one, other in zip(fast, slow, strict=True):
        assert (one - other).norm() <= (0.02 if in_bfloat16 else 1e-6) * other.norm()
