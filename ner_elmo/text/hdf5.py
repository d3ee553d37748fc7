"""HDF5 files as they may come from strangers: nothing is followed out of the file, and every claim is checked first."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ner_elmo.errors import ModelError, NerElmoError, one_line
from ner_elmo.text.files import require_file

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


def has_group(file: h5py.File, name: str) -> bool:
    """Whether a group of this path is there.

    Raises:
        ModelError: the file is damaged.
    """
    with _damage_named(file, name):
        return name in file


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


_SPARE_BYTES = 1 << 20  # what the library may write when it closes a file
_AHEAD_BYTES = 16 << 20  # as much is taken at once, where there is as much


class Hdf5Writer:
    """A new HDF5 file on a disk that may be full, to be used in a ``with`` block.

    The library ends the whole program where it finds no space (a segmentation fault). So space is taken from the
    system before anything is written to it (``posix_fallocate``), where that may fail by an ordinary error.

    Attributes:
        file: to be written to, after :meth:`reserve` each time.
    """

    def __init__(self, path: Path, **options: Any) -> None:
        self._path = path
        self._reserved = 0
        path.touch()
        self._handle = os.open(path, os.O_RDWR)
        try:
            self._take(_SPARE_BYTES)
            self.file = h5py.File(path, "w", locking=False, **options)
            self.reserve(0)
        except BaseException:
            os.close(self._handle)
            raise

    def reserve(self, n_bytes: int) -> None:
        """Make sure that so many bytes can be added.

        Raises:
            OSError: the disk has no such space.
        """
        end = self.file.id.get_filesize() + n_bytes + _SPARE_BYTES
        if end <= self._reserved and n_bytes:
            return
        try:
            self._take(end + _AHEAD_BYTES)
        except OSError:
            self._take(end)

    def _take(self, end: int) -> None:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._handle, 0, end)
        elif shutil.disk_usage(self._path.parent).free < end - self._reserved:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._reserved = end

    def __enter__(self) -> Hdf5Writer:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.file.flush()
            size = self.file.id.get_filesize()
            self.file.close()
            os.ftruncate(self._handle, size)  # what was taken and not needed
        finally:
            os.close(self._handle)


def write_array(writer: Hdf5Writer, name: str, array: np.ndarray, dtype: str = "float32") -> None:
    """One contiguous little-endian dataset.

    Raises:
        OSError: the disk is full.
    """
    writer.reserve(array.size * np.dtype(dtype).itemsize)
    file = writer.file
    file.create_dataset(name, data=np.ascontiguousarray(array), dtype=np.dtype(dtype).newbyteorder("<"))
