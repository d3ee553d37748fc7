"""The character CNN as it is trained, many tokens at once, against torch's convolutions of one token at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ner_elmo.bilm.options import CharCnnOptions
from ner_elmo.bilm.token_encoder import CharacterCnn


def slow(encoder: CharacterCnn, row: Tensor) -> Tensor:
    """The vector of one token, from all windows of all filters."""
    characters = encoder.characters(row).t().unsqueeze(0)  # (1, e, characters)
    features = [convolution(characters).amax(2) for convolution in encoder.convolutions]
    vector = torch.relu(torch.cat(features, dim=1))
    for highway in encoder.highways:
        gate = torch.sigmoid(highway.carry(vector))  # type: ignore[operator]
        vector = gate * torch.relu(highway.transform(vector)) + (1 - gate) * vector  # type: ignore[operator]
    return encoder.projection(vector)[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("n_tokens", [3, 128, 256, 300])
def test_many_tokens_are_what_each_is_alone_and_so_are_their_gradients(n_tokens: int) -> None:
    torch.manual_seed(n_tokens)
    options = CharCnnOptions(
        filters=((1, 3), (2, 4), (5, 6)),
        embedding_dim=4,
        n_highway=2,
        max_characters_per_token=20,
        activation="relu",
    )
    encoder = CharacterCnn(options, 5)
    encoder.reset_parameters()
    tokens = ["x" * (1 + n % 18) + chr(97 + n % 26) + str(n) for n in range(n_tokens)]
    rows = encoder.rows_of(tokens)
    upstream = torch.randn(n_tokens, 5)
    parameters = list(encoder.parameters())
    expected = torch.stack([slow(encoder, row) for row in rows])
    wanted = torch.autograd.grad((expected * upstream).sum(), parameters)
    found = encoder(rows)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    gradients = torch.autograd.grad((found * upstream).sum(), parameters)
    for ours, theirs in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)
