"""HDF5 files of strangers: nothing is followed out of the file, no claim is believed unchecked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from ner_elmo.errors import ModelError, UsageError
from ner_elmo.text.hdf5 import (
    Hdf5Writer,
    check_shape,
    find_dataset,
    open_hdf5,
    read_array,
    require_numbers,
    write_array,
)
from tests.support.attempts import attempt
from tests.support.disks import Disk

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with ``a`` and ``group/b``."""
    with Hdf5Writer(tmp_path / "x.hdf5") as file:
        write_array(file, "a", VALUES)
        write_array(file, "group/b", VALUES[:1])
    return tmp_path / "x.hdf5"


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_is_written_is_plain_and_read_as_float32(tmp_path: Path, dtype: str) -> None:
    with Hdf5Writer(tmp_path / "x.hdf5") as file:
        write_array(file, "a/b", VALUES.T, dtype)  # its rows do not lie in order
    with open_hdf5(tmp_path / "x.hdf5") as file:
        assert file["a/b"].dtype == np.dtype(dtype).newbyteorder("<")
        assert file["a/b"].chunks is None
        found = read_array(file, "a/b", (3, None))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, VALUES.T)


def link(file: h5py.File) -> None:
    file["bad"] = h5py.SoftLink("/a")


def link_to_another_file(file: h5py.File) -> None:
    file["bad"] = h5py.ExternalLink("other.hdf5", "/a")


def values_in_another_file(file: h5py.File) -> None:
    file.create_dataset("bad", (2, 3), np.float32, external=[("other", 0, 24)])


def values_of_other_datasets(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((2, 3), np.float32)
    layout[:] = h5py.VirtualSource("other.hdf5", "a", (2, 3))
    file.create_virtual_dataset("bad", layout)


def another_filter(file: h5py.File) -> None:
    file.create_dataset("bad", data=VALUES, compression="lzf")


def a_claim_of_terabytes(file: h5py.File) -> None:
    file.create_dataset("bad", (2**40,), np.float32, chunks=(2**20,))


def a_compressed_claim_of_terabytes(file: h5py.File) -> None:
    file.create_dataset("bad", (2**40,), np.float32, chunks=(2**20,), compression="gzip")


def no_values_at_all(file: h5py.File) -> None:
    file["bad"] = h5py.Empty("f")


def a_group(file: h5py.File) -> None:
    file.create_group("bad")


REFUSED: dict[Callable[[h5py.File], None], str] = {
    link: "found a link, expected a dataset in the file itself",
    link_to_another_file: "found a link, expected a dataset in the file itself",
    values_in_another_file: "its values lie in another file, expected them in this one",
    values_of_other_datasets: "its values lie in another file, expected them in this one",
    another_filter: "found HDF5 filter 32000, expected none or gzip",
    a_claim_of_terabytes: r"claims shape \(1099511627776,\), more than the file can hold",
    a_compressed_claim_of_terabytes: r"claims shape \(1099511627776,\), more than the file can hold",
    no_values_at_all: "claims shape None, more than the file can hold",
    a_group: "found a group, expected a dataset",
}


@pytest.mark.parametrize("made", REFUSED)
def test_what_is_no_plain_dataset_is_refused(path: Path, made: Callable[[h5py.File], None]) -> None:
    with h5py.File(path, "a") as file:
        made(file)
    with open_hdf5(path) as file, pytest.raises(ModelError, match=rf"x\.hdf5: bad: {REFUSED[made]}"):
        find_dataset(file, "bad")


@pytest.mark.parametrize("name", ["b", "group/c", "a/b", "group/b/c"])
def test_what_is_missing_is_named(path: Path, name: str) -> None:
    with open_hdf5(path) as file, pytest.raises(ModelError, match=f"found no dataset {name}$"):
        find_dataset(file, name)


def test_a_group_behind_a_link_is_refused(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["other"] = h5py.SoftLink("/group")
    with open_hdf5(path) as file:
        assert find_dataset(file, "group/b").shape == (1, 3)
        with pytest.raises(ModelError, match="other/b: found a link"):
            find_dataset(file, "other/b")


def test_shapes_are_held_to_what_is_implied(path: Path) -> None:
    with open_hdf5(path) as file:
        for shape in [(2, 3), (None, 3), (None, None)]:
            assert check_shape(file["a"], shape) == (2, 3)
        for shape, named in [((2, 4), "(2, 4)"), ((None,), "(any,)"), ((2, 3, None), "(2, 3, any)")]:
            with pytest.raises(ModelError) as refusal:
                check_shape(file["a"], shape)
            assert str(refusal.value) == f"{path}: a: found shape (2, 3), but the options imply {named}"


def test_numbers_of_another_kind_and_damage_are_named(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["whole"] = np.arange(3)
        file.create_dataset("checked", data=np.full(1000, 7.0, np.float32), fletcher32=True, chunks=(1000,))
    data = bytearray(path.read_bytes())
    data[data.index(np.full(1000, 7.0, np.float32).tobytes()) + 9] ^= 1
    path.write_bytes(data)
    with open_hdf5(path) as file:
        with pytest.raises(ModelError, match="whole: found int64, expected floating-point numbers"):
            read_array(file, "whole", (3,))
        with pytest.raises(ModelError, match=r"x\.hdf5: checked: damaged"):
            read_array(file, "checked", (1000,))


def test_what_is_no_hdf5_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.hdf5"
    path.write_text("words")
    with pytest.raises(ModelError, match=r"x\.hdf5: not an HDF5 file, or a damaged one"), open_hdf5(path):
        pass
    path.unlink()
    with pytest.raises(UsageError, match="no such HDF5 file"), open_hdf5(path):
        pass


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused(tmp_path: Path, wrong: float) -> None:
    with Hdf5Writer(tmp_path / "x.hdf5") as file:
        write_array(file, "a", np.array([1.0, wrong, 2.0, wrong]))
    with (
        open_hdf5(tmp_path / "x.hdf5") as file,
        pytest.raises(ModelError, match=r"x.hdf5: a: found 2 numbers that are NaN or infinite"),
    ):
        read_array(file, "a", (4,))


def test_a_file_too_small_for_what_is_said_of_it(path: Path) -> None:
    with open_hdf5(path) as file:
        require_numbers(file, 32 << 20)
        with pytest.raises(ModelError, match="but the options imply 33,554,433 numbers"):
            require_numbers(file, (32 << 20) + 1)


def test_nothing_is_left_of_space_that_was_taken(tmp_path: Path) -> None:
    """A file is as large as one that HDF5 writes by itself, to the byte."""
    with Hdf5Writer(tmp_path / "ours") as writer:
        write_array(writer, "a/b", VALUES)
    with h5py.File(tmp_path / "theirs", "w") as file:
        file.create_dataset("a/b", data=VALUES)
    assert (tmp_path / "ours").stat().st_size == (tmp_path / "theirs").stat().st_size
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def fill(path: Path, n_arrays: int) -> list[int]:
    """What was written before the disk was full, by its numbers."""
    with Hdf5Writer(path) as writer:
        for number in range(n_arrays):
            write_array(writer, str(number), np.full(64 << 10, number, dtype=np.float32))
    return list(range(n_arrays))


@pytest.mark.parametrize("megabytes", [1, 2, 3, 5, 8])
def test_a_full_disk_is_an_ordinary_error(disk: Disk, megabytes: int) -> None:
    """Not the end of the whole program, as it is without the space being taken first."""
    place = disk.of(megabytes * 1024)

    def try_it() -> str:
        try:
            fill(place / "x.hdf5", 1000)
        except OSError as error:
            return str(error.strerror)
        return "written"

    found = attempt(try_it, seconds=30)
    assert (found.kind, found.value) == ("answered", "No space left on device"), found
