"""What an HDF5 file holds, read with h5py alone."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np


def datasets(path: Path) -> dict[str, np.ndarray]:
    """Every dataset of the file, by its path in it."""
    found: dict[str, np.ndarray] = {}

    def collect(name: str, node: h5py.Group | h5py.Dataset) -> None:
        if isinstance(node, h5py.Dataset):
            found[name] = node[()]

    with h5py.File(path) as file:
        file.visititems(collect)
    return found
