"""Memory that is used again from step to step of training."""

from __future__ import annotations

import torch
from torch import Tensor


class Room:
    """Memory of a layer on a processor that is used again in the next step of training: the system takes a tenth of the
    time to give so much anew, page by page. A copy begins without any."""

    def __init__(self) -> None:
        self._free: list[Tensor] = []  # each of float32, in one dimension

    def take(self, like: Tensor, n_rows: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Unset numbers ``(n_rows, width)``, on the device of ``like``."""
        if like.device.type != "cpu":
            return like.new_empty(n_rows, width, dtype=dtype)
        n_numbers = -(-n_rows * width * dtype.itemsize // 4)
        try:
            whole = self._free.pop()
        except IndexError:
            whole = like.new_empty(0, dtype=torch.float32)
        if not n_numbers <= len(whole) <= 2 * n_numbers:
            whole = like.new_empty(n_numbers + n_numbers // 8, dtype=torch.float32)
        return whole[:n_numbers].view(dtype)[: n_rows * width].view(n_rows, width)

    def give_back(self, *taken: Tensor) -> None:
        """Tensors that nobody reads any more, the last that was taken first."""
        for tensor in taken:
            if tensor.device.type == "cpu":
                whole = torch.empty(0, dtype=torch.float32)
                self._free.append(whole.set_(tensor.untyped_storage()))

    def __reduce__(self) -> tuple[type[Room], tuple[()]]:
        return Room, ()
