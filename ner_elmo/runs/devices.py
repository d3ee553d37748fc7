"""The device to compute on, by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ner_elmo.errors import UsageError
from ner_elmo.runs import launch

if TYPE_CHECKING:
    import torch


def chosen_device(device: str | torch.device = "auto") -> torch.device:
    """The device called ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Of several processes that ``torchrun`` started, each has a GPU of its own.

    Raises:
        UsageError: an unknown device, or one that this machine lacks.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError):
        raise UsageError(f"--device {device}: unknown; expected auto, cpu, cuda or cuda:N") from None
    if chosen.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {device}: not supported; expected auto, cpu, cuda or cuda:N")
    if chosen.type == "cuda" and chosen.index is None and launch.is_launched():
        chosen = torch.device("cuda", launch.rank_here())
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"--device {device}: this machine has {torch.cuda.device_count()} CUDA devices; try --device cpu"
        )
    return chosen
