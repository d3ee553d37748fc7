"""Mixed precision in pretraining: products in bfloat16 where the machine has it, everything else in float32.

Weights, moments, losses and all perplexities stay float32 (Micikevicius et al. 2018; bfloat16 has the range of float32,
so nothing is scaled). The token encoder is left to torch's autocast.

On a GPU the LSTMs are a case of their own: autocast turns cuDNN's into float16, whatever it was asked for, and cuDNN
runs them in bfloat16 from 9.13 on; before that they are computed in TF32, as are the products of the output layer.

Processors with AMX, and those of AMD with AVX512-BF16, multiply bfloat16 several times faster than float32; there the
recurrence that is ours and the output layer make their products in it. One of Intel without AMX (a virtual machine may
hide it) has the instruction as well, and is slower with it than in float32: 83 GFLOP/s a core against 150 were measured
on an Emerald Rapids. There bfloat16 is what is asked for, and never what ``auto`` takes.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from ner_elmo.errors import UsageError
from ner_elmo.nn.precisions import INFERENCE

TRAINING_PRECISIONS = ("fp32", "bf16")
CUDNN_WITH_BF16_LSTMS = 91300


def multiplies_bf16(device_type: str) -> bool:
    """Whether a GPU or processor has products of bfloat16 in hardware."""
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return any(processor_has(name) for name in ("avx512_bf16", "amx_tile"))


def best_precision(device_type: str) -> str:
    """``bf16`` on a GPU or processor that multiplies it faster than float32, otherwise ``fp32``."""
    slow = device_type == "cpu" and not processor_has("amx_tile") and _is_of_intel()
    return "bf16" if multiplies_bf16(device_type) and not slow else "fp32"


def chosen_precision(asked: str, device_type: str) -> str:
    """What ``auto``, ``fp32`` or ``bf16`` means for training a tagger on this machine.

    Raises:
        UsageError: there is no such precision, or not here.
    """
    if asked not in ("auto", *TRAINING_PRECISIONS):
        raise UsageError(f"--precision {asked}: unknown; expected auto, fp32 or bf16")
    # On a GPU nothing but float32 has been tried.
    if asked == "bf16" and not (device_type == "cpu" and multiplies_bf16(device_type)):
        raise UsageError("--precision bf16: needs a processor that multiplies bfloat16; try --precision fp32")
    best = best_precision(device_type) if device_type == "cpu" else "fp32"
    return best if asked == "auto" else asked


def inference_precision(asked: str, device: torch.device) -> str:
    """What one of :data:`ner_elmo.nn.precisions.INFERENCE` means on this machine: ``fp32``, ``bf16`` or ``int8``.

    Raises:
        UsageError: there is no such precision, or not here.
    """
    if asked not in INFERENCE:
        raise UsageError(f"--precision {asked}: not available; expected {', '.join(INFERENCE)}")
    if device.type != "cpu":
        if asked not in ("auto", "fp32"):
            raise UsageError(f"--precision {asked}: for CPUs only, found device {device}; expected fp32 there")
        return "fp32"
    if asked == "bf16" and not multiplies_bf16(device.type):
        raise UsageError("--precision bf16: needs a processor that multiplies bfloat16; try --precision int8 or fp32")
    return fastest_precision() if asked == "auto" else asked


def tagger_precision(asked: str, device: torch.device) -> str:
    """Likewise for the tagger over a biLM. Where the biLM is in 8 bits, ``auto`` has the tagger in bfloat16 if the
    processor multiplies it faster than float32: it changes even less."""
    if asked == "auto" and device.type == "cpu" and best_precision(device.type) == "bf16":
        return "bf16"
    return inference_precision(asked, device)


def fastest_precision() -> str:
    """In what a CPU computes many texts fastest, of what loses next to nothing: bfloat16 where it multiplies whole
    tiles of it (AMX), 8-bit integers where it adds up their products in one instruction (VNNI), float32 elsewhere."""
    if processor_has("amx_tile") and best_precision("cpu") == "bf16":
        return "bf16"
    return "int8" if processor_has("vnni") and "x86" in torch.backends.quantized.supported_engines else "fp32"


def processor_has(capability: str) -> bool:
    """Whether the processor has it, as far as torch knows: these functions are not of its public ones."""
    ask = getattr(torch.cpu, f"_is_{capability}_supported", None)
    return ask is not None and bool(ask())


@lru_cache(maxsize=1)
def _is_of_intel() -> bool:
    """Whether this processor is one of Intel, where Linux or Windows tells."""
    described = Path("/proc/cpuinfo")
    return "GenuineIntel" in (described.read_text() if described.is_file() else platform.processor())


def computing(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Within the block the network is computed in ``precision``."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def product_type(precision: str, device: torch.device) -> torch.dtype:
    """In what numbers the output layer's products are computed: on a GPU TF32 is as fast (:func:`fast_products`)."""
    return torch.bfloat16 if precision == "bf16" and device.type == "cpu" else torch.float32


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


def product(a: Tensor, b: Tensor, out: Tensor) -> Tensor:
    """``a @ b`` in ``out``, whose numbers may be more exact than those of ``a`` and ``b``."""
    return torch.mm(a, b, out=out) if a.dtype == out.dtype else out.copy_(torch.mm(a, b))


def add_product(to: Tensor, a: Tensor, b: Tensor) -> None:
    """Add ``a @ b`` to ``to``, likewise."""
    if a.dtype == to.dtype:
        to.addmm_(a, b)
    else:
        to.add_(torch.mm(a, b))
