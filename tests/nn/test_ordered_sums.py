"""Products whose sums have one order: the same to the bit for a row alone and in company."""

from __future__ import annotations

import pytest
import torch

from ner_elmo.nn.ordered_sums import product_in_order


@pytest.mark.parametrize("n_columns", [1, 3, 8, 12, 16, 40])
@pytest.mark.parametrize("n_terms", [1, 7, 64, 128, 300])
def test_a_row_does_not_feel_the_others(n_terms: int, n_columns: int) -> None:
    torch.manual_seed(0)
    rows, matrix, bias = torch.randn(70, n_terms), torch.randn(n_terms, n_columns), torch.randn(n_columns)
    together = product_in_order(bias, rows, matrix)
    torch.testing.assert_close(together, bias + rows @ matrix, atol=1e-4, rtol=1e-5)
    for first, last in ((0, 1), (1, 4), (3, 8), (50, 70), (69, 70)):
        assert torch.equal(product_in_order(bias, rows[first:last], matrix), together[first:last])
