"""The character CNN against its definition: by hand, and as torch's convolution on every window."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ner_elmo.tagger.network.spelling import SpellingCnn
from ner_elmo.text.characters import PADDING_ID, char_ids


def rows_of(*tokens: str) -> torch.Tensor:
    ids = torch.from_numpy(char_ids(tokens))
    return ids[:, : int((ids != PADDING_ID).sum(dim=1).max())] if tokens else ids[:, :1]


def test_it_is_a_convolution_over_bytes_and_a_maximum() -> None:
    cnn = SpellingCnn(dim=3, filters=2, window=3).eval()
    found = cnn(rows_of("ab", "abcdefgh"))
    begin, a, b, end = (cnn.embedding.weight[i] for i in (258, ord("a"), ord("b"), 259))
    nothing = torch.zeros(3)
    windows = [(nothing, begin, a), (begin, a, b), (a, b, end), (b, end, nothing)]
    weight, bias = cnn.convolution.weight, cnn.convolution.bias
    assert bias is not None
    slow = [
        max((weight[f] * torch.stack(window, dim=1)).sum() + bias[f] for window in windows).relu() for f in range(2)
    ]
    torch.testing.assert_close(found[0], torch.stack(slow))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@settings(max_examples=40, deadline=None)
@given(
    tokens=st.lists(st.text(max_size=60), max_size=6),
    window=st.integers(1, 5),
    filters=st.integers(1, 4),
    seed=st.integers(0, 9),
)
def test_looking_up_equals_convolving(tokens: list[str], window: int, filters: int, seed: int) -> None:
    """Values and gradients, for tokens of any length."""
    torch.manual_seed(seed)
    cnn = SpellingCnn(3, filters, window).double()
    ids = rows_of(*tokens)
    share = torch.randn(len(tokens), filters, dtype=torch.double)
    gradients = []
    for best in (cnn._looked_up(ids), cnn._convolved(ids)):
        cnn.zero_grad()
        (share * best).sum().backward()
        gradients.append([best.detach(), *(p.grad.clone() for p in cnn.parameters() if p.grad is not None)])
    with torch.no_grad():  # without a gradient, where the best window stands is not asked
        assert torch.equal(cnn._looked_up(ids), gradients[0][0])
    assert len(gradients[0]) == 4
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_padding_counts_for_nothing() -> None:
    cnn = SpellingCnn(4, 5, 3)
    alone = cnn(rows_of("ab"))
    torch.testing.assert_close(cnn(rows_of("ab", "x" * 40))[:1], alone)
    cnn(rows_of("ab", "x" * 40)).sum().backward()
    assert cnn.embedding.weight.grad is not None
    assert not cnn.embedding.weight.grad[PADDING_ID].any()


@pytest.mark.parametrize("tokens", [(), ("",)], ids=["none", "empty"])
def test_nothing_to_spell(tokens: tuple[str, ...]) -> None:
    assert SpellingCnn(4, 5, 3)(rows_of(*tokens)).shape == (len(tokens), 5)
