"""The learned mix of layers: its normalisation against the reference's, its parameters."""

from __future__ import annotations

import torch

from ner_elmo.elmo.scalar_mix import ScalarMix, normalise_layer


def test_layer_norm_of_a_sentence_is_the_references_with_a_batch_of_one() -> None:
    layers = torch.randn(2, 3, 5, 4)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], dtype=torch.bool)
    by_sentence, by_batch = ScalarMix(2, "sentence"), ScalarMix(2, "batch")
    found = by_sentence(layers, mask)
    assert found.isfinite().all()
    for row in range(2):
        alone = by_batch(layers[:, row : row + 1], mask[row : row + 1])
        torch.testing.assert_close(found[row : row + 1][mask[row : row + 1]], alone[mask[row : row + 1]])
    torch.testing.assert_close(ScalarMix(2, True)(layers, mask)[mask], by_batch(layers, mask)[mask])
    assert not torch.allclose(found[mask], by_batch(layers, mask)[mask])
    one = ScalarMix(1, "sentence")(layers[:1, 1:2], None)
    torch.testing.assert_close(one, normalise_layer(layers[0, 1:2], None))


def test_a_mix_without_gamma_has_no_such_parameter() -> None:
    mix = ScalarMix(2, gamma=False)
    assert list(mix.state_dict()) == ["weights"]
    layers = torch.randn(2, 1, 3, 4)
    torch.testing.assert_close(mix(layers), layers.mean(dim=0))
