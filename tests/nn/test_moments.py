"""Moments that are as good as nothing: to drop them changes no weight, and leaves nothing slow to compute with."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from ner_elmo.nn.moments import EVERY, drop_tiny_moments

STEPS = 1500  # 0.9 to the power of so many is below what a float32 can be


def trained(betas: tuple[float, float], drops: bool, scales: Sequence[float]) -> tuple[Tensor, dict[str, Tensor]]:
    """A table whose first row has a gradient in each step and the others at three places alone; Adam's moments."""
    generator = torch.Generator().manual_seed(1)
    table = nn.Parameter(torch.randn(4, 6, generator=generator))
    optimizer = torch.optim.Adam([table], lr=0.003, betas=betas, fused=True)
    for step in range(STEPS):
        table.grad = torch.zeros_like(table)
        table.grad[0] = torch.randn(6, generator=generator)
        if step in (0, 30, 1400):
            for row, scale in enumerate(scales, 1):
                table.grad[row] = scale * torch.randn(6, generator=generator)
        optimizer.step()
        if drops and step % EVERY == EVERY - 1:
            drop_tiny_moments(optimizer)
        if step == 1390:
            before_the_last = {name: value.clone() for name, value in optimizer.state[table].items()}
    return table.detach(), before_the_last


def is_subnormal(x: Tensor) -> Tensor:
    return (x != 0) & (x.abs() < torch.finfo(torch.float32).tiny)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.9, 0.99)])
def test_weights_stay_the_same_and_nothing_is_subnormal(betas: tuple[float, float]) -> None:
    scales = (1.0, 1e-6, 1e-12)
    expected, plain = trained(betas, False, scales)
    found, moments = trained(betas, True, scales)
    assert torch.equal(found, expected)
    assert is_subnormal(plain["exp_avg"]).any()  # or this shows nothing
    for name in ("exp_avg", "exp_avg_sq"):
        assert not is_subnormal(moments[name]).any()
    assert (moments["exp_avg"][0] != 0).all()


def test_what_has_no_such_moments_is_left_as_it_is() -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adagrad([weight], lr=0.1)
    weight.grad = torch.ones(2)
    optimizer.step()
    before = {name: value.clone() for name, value in optimizer.state[weight].items()}
    drop_tiny_moments(optimizer)
    for name, value in optimizer.state[weight].items():
        assert torch.equal(value, before[name])


def test_what_is_no_number_stays() -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([weight], fused=True)
    weight.grad = torch.tensor([float("nan"), 1.0])
    optimizer.step()
    drop_tiny_moments(optimizer)
    assert optimizer.state[weight]["exp_avg"].isnan().tolist() == [True, False]
