"""HDF5 files as they may come from strangers: nothing is followed out of the file, and every claim is checked first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from ner_elmo.errors import ModelError, NerElmoError, one_line
from ner_elmo.text.files import require_file, require_space

# HDF5 filters by their registered numbers: deflate, shuffle, fletcher32. Others would load code from elsewhere.
_FILTERS = {1, 2, 3}
_MOST_COMPRESSED = 1032  # deflate cannot do better than this
# No file of weights is packed so well that its numbers, of 2 bytes each at least, are more than this.
_ALWAYS_BYTES, _MOST_PACKED = 64 << 20, 8


@contextmanager
def open_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, as something that may come from a stranger.

    Raises:
        UsageError: no such file.
        ModelError: not an HDF5 file.
    """
    path = require_file(path, "HDF5 file")
    try:
        file = h5py.File(path, "r", locking=False)
    except (OSError, RuntimeError):
        raise ModelError(f"{path}: not an HDF5 file, or a damaged one") from None
    with file:
        yield file


@contextmanager
def _damage_named(file: h5py.File, name: str) -> Iterator[None]:
    """Within the block, whatever h5py makes of a damaged file becomes an error that names the file and the dataset."""
    try:
        yield
    except (NerElmoError, MemoryError):
        raise
    except Exception as error:  # of every kind: OSError, RuntimeError, KeyError, ValueError, TypeError ...
        raise ModelError(f"{file.filename}: {name}: damaged ({one_line(str(error))})") from None


def require_numbers(file: h5py.File, n_numbers: int) -> None:
    """Make sure that a file is large enough for what a network is said to need, before the network is made.

    Raises:
        ModelError: it is not, even if it is packed.
    """
    size = Path(file.filename).stat().st_size
    if 2 * n_numbers > max(_ALWAYS_BYTES, _MOST_PACKED * size):
        raise ModelError(
            f"{file.filename}: found {size:,} bytes, but the options imply {n_numbers:,} numbers; it is not their file"
        )


def find_dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """A plain dataset of the file by its path.

    Raises:
        ModelError: it is missing, stands behind a link, keeps its values elsewhere, needs a foreign filter, or claims
            a size that the file cannot hold.
    """
    with _damage_named(file, name):
        return _find_dataset(file, name)


def _find_dataset(file: h5py.File, name: str) -> h5py.Dataset:
    node: h5py.Group | h5py.Dataset = file
    for step in name.split("/"):
        link = node.get(step, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            raise ModelError(f"{file.filename}: found no dataset {name}")
        if not isinstance(link, h5py.HardLink):
            raise ModelError(f"{file.filename}: {name}: found a link, expected a dataset in the file itself")
        node = node[step]
    if not isinstance(node, h5py.Dataset):
        raise ModelError(f"{file.filename}: {name}: found a group, expected a dataset")
    if node.is_virtual or node.external:
        raise ModelError(f"{file.filename}: {name}: its values lie in another file, expected them in this one")
    properties = node.id.get_create_plist()
    filters = {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}
    if not filters <= _FILTERS:
        raise ModelError(f"{file.filename}: {name}: found HDF5 filter {max(filters - _FILTERS)}, expected none or gzip")
    most = Path(file.filename).stat().st_size * (_MOST_COMPRESSED if filters else 1)
    if node.size is None or node.size * node.dtype.itemsize > most:
        raise ModelError(f"{file.filename}: {name}: claims shape {node.shape}, more than the file can hold")
    node.dtype  # noqa: B018  (asked for once, here, where one that cannot be is named)
    return node


def names_of_datasets(file: h5py.File) -> set[str]:
    """The paths of all datasets, of those behind links none.

    Raises:
        ModelError: the file is damaged.
    """
    found: set[str] = set()

    def note(name: str, node: h5py.Group | h5py.Dataset) -> None:
        if isinstance(node, h5py.Dataset):
            found.add(name)

    with _damage_named(file, "its list of datasets"):
        file.visititems(note)
    return found


def read_values(dataset: h5py.Dataset) -> np.ndarray:
    """All values of a dataset that :func:`find_dataset` gave.

    Raises:
        ModelError: they are damaged.
    """
    with _damage_named(dataset.file, dataset.name.lstrip("/")):
        return dataset[()]  # type: ignore[no-any-return]


def check_shape(dataset: h5py.Dataset, shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """The shape of ``dataset``, which must be ``shape`` (``None``: any size there).

    Raises:
        ModelError: it is another one; the message names the dataset and both shapes.
    """
    found: tuple[int, ...] = dataset.shape
    if len(found) == len(shape) and all(size in (None, n) for size, n in zip(shape, found, strict=True)):
        return found
    implied = f"({', '.join('any' if size is None else str(size) for size in shape)}{',' if len(shape) == 1 else ''})"
    where = f"{dataset.file.filename}: {dataset.name.lstrip('/')}"
    raise ModelError(f"{where}: found shape {found}, but the options imply {implied}")


def read_array(file: h5py.File, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """The dataset as float32, after checking its shape against ``shape`` (``None``: any size there).

    Raises:
        ModelError: as :func:`find_dataset`, or another shape or type of number than expected, or a number that is
            none or infinite.
    """
    dataset = find_dataset(file, name)
    check_shape(dataset, shape)
    if dataset.dtype.kind != "f":
        raise ModelError(f"{file.filename}: {name}: found {dataset.dtype}, expected floating-point numbers")
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, which is refused below
        values = np.asarray(read_values(dataset), dtype=np.float32)
    if not np.isfinite(values).all():
        n_wrong = int(values.size - np.isfinite(values).sum())
        raise ModelError(f"{file.filename}: {name}: found {n_wrong:,} numbers that are NaN or infinite, expected none")
    return values


def write_array(file: h5py.File, name: str, array: np.ndarray, dtype: str = "float32") -> None:
    """One contiguous little-endian dataset.

    Raises:
        OSError: the disk is full.
    """
    require_space(file.filename, array.size * np.dtype(dtype).itemsize)
    file.create_dataset(name, data=np.ascontiguousarray(array), dtype=np.dtype(dtype).newbyteorder("<"))
