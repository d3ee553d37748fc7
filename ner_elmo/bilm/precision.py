"""Mixed precision in pretraining: the network in bfloat16 on a GPU that computes it, everything else in float32.

Weights, moments, the softmax, losses and all perplexities stay float32 (Micikevicius et al. 2018; bfloat16 has the
range of float32, so nothing is scaled). The LSTMs are a case of their own: torch's autocast turns them into float16,
whatever it was asked for, and cuDNN runs them in bfloat16 from 9.13 on. Before that they are computed in TF32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

PRECISIONS = ("fp32", "bf16")
CUDNN_WITH_BF16_LSTMS = 91300


def best_precision(device_type: str) -> str:
    """``bf16`` on a GPU that has it in hardware, otherwise ``fp32``."""
    has_it = device_type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if has_it else "fp32"


def computing(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Within the block the network is computed in ``precision``."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def is_mixed(device_type: str) -> bool:
    """Whether this is within :func:`computing` in less than float32."""
    return torch.is_autocast_enabled(device_type)


def lstm_type(device_type: str) -> torch.dtype:
    """In what numbers torch's fused LSTM is to be computed here."""
    if not is_mixed(device_type):
        return torch.float32
    if device_type == "cuda" and (torch.backends.cudnn.version() or 0) < CUDNN_WITH_BF16_LSTMS:
        return torch.float32
    return torch.bfloat16


@contextmanager
def as_it_is(device_type: str) -> Iterator[None]:
    """Within the block nothing is cast, and outside of mixed precision cuDNN's LSTMs are computed in float32 alone:
    its TF32 keeps 11 bits."""
    with (
        torch.backends.cudnn.flags(enabled=True, allow_tf32=is_mixed(device_type)),
        torch.autocast(device_type, enabled=False),
    ):
        yield


@contextmanager
def fast_products(precision: str) -> Iterator[None]:
    """Within the block a GPU may compute products of float32 matrices in TF32, if ``precision`` is mixed."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "bf16" else before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
