"""Frozen features on disk: computed once, then read by every epoch, seed and ablation.

A file holds the features of one list of sentences in one chunked dataset, ``features`` ``(positions, layers, dim)``: a
position is a token, sentence i stands at ``offsets[i]:offsets[i + 1]`` and is read by one contiguous slice. Its
attribute ``key`` says whose features they are, and the file is named by a digest of it; ``checks`` has a CRC-32 for
each block of positions. A file that is damaged or another's is never used: see :class:`FeatureCache`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from ner_elmo.errors import ModelError, NerElmoError, is_out_of_memory
from ner_elmo.text.files import replace_file
from ner_elmo.text.hdf5 import Hdf5Writer, check_shape, find_dataset

if TYPE_CHECKING:
    from ner_elmo.bilm.files.directory import BilmFiles
    from ner_elmo.bilm.options import BilmOptions
    from ner_elmo.elmo.encoder import Elmo

FORMAT_VERSION = 2  # goes up, too, when the encoder's values change: older files are then no longer found
CHUNK_BYTES = 128 << 10
BLOCK_CHUNKS = 32  # chunks that are written, and checked, together: 4 MiB
SPARE_BYTES = 256 << 20  # a cache leaves so much of the disk free
IN_MEMORY_BYTES = 1 << 30  # up to here, features are read into memory as a whole
VARIABLE = "NER_ELMO_CACHE"


def default_folder() -> Path:
    """``$NER_ELMO_CACHE``, or ``ner-elmo`` in the user's cache folder (``$XDG_CACHE_HOME``, ``~/.cache``).

    A user without a home has a folder of their own below that of temporary files.
    """
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    home = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(home):
        return Path(home) / "ner-elmo"
    try:
        return Path.home() / ".cache" / "ner-elmo"
    except RuntimeError:  # no $HOME, and the system does not know this user
        return Path(tempfile.gettempdir()) / f"ner-elmo-cache-{os.getuid()}"


def compute_features(
    elmo: Elmo,
    sentences: Iterable[Sequence[str]],
    layers: Sequence[int],
    average: bool = False,
    dtype: str = "float16",
) -> Iterator[np.ndarray]:
    """The features of each sentence, in order: ``(len(layers), time, dim)``, or ``(1, time, dim)``, their mean."""
    if dtype == "float16" and not average:
        yield from elmo.embed_half(sentences, list(layers))
        return
    for vectors in elmo.embed(sentences, layers=list(layers)):
        with np.errstate(over="ignore"):  # what half precision cannot hold is infinite, and told where it is read
            features = (vectors.mean(axis=0, keepdims=True) if average else vectors).astype(dtype)
        yield features


class StoredFeatures:
    """An open file, or rather some layers of it; keeps it open as long as it is referred to."""

    def __init__(self, file: h5py.File, dataset: h5py.Dataset, layers: list[int]) -> None:
        self._file = file
        self._dataset = dataset
        self._numbers = layers
        self._layers = slice(None) if layers == list(range(dataset.shape[1])) else layers
        self.n_layers, self.dim = len(layers), dataset.shape[2]

    def __reduce__(self) -> tuple[Any, ...]:
        """A process that was started anew opens the file for itself."""
        return _reopened, (self._file.filename, self._dataset.name, self._numbers)

    def read(self, start: int, end: int) -> np.ndarray:
        """``(end - start, layers, dim)``.

        Raises:
            NerElmoError: the disk fails.
        """
        try:
            return self._dataset[start:end][:, self._layers]  # type: ignore[no-any-return]
        except (OSError, RuntimeError) as error:
            raise NerElmoError(f"{self._file.filename}: cannot be read ({error})") from None


def _reopened(path: str, dataset: str, layers: list[int]) -> StoredFeatures:
    file = h5py.File(path, "r", locking=False, rdcc_nbytes=0)
    return StoredFeatures(file, file[dataset], layers)


@dataclass(frozen=True, slots=True)
class StoredSentence:
    """One sentence's features on disk; ``numpy.asarray`` reads them, ``(layers, time, dim)``."""

    features: StoredFeatures
    start: int
    end: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """As that of the array."""
        return self.features.n_layers, self.end - self.start, self.features.dim

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.features.read(self.start, self.end).swapaxes(0, 1)
        return array if dtype is None else array.astype(dtype, copy=False)


class FeatureCache:
    """Files of features of one biLM in a folder.

    The features are those that :func:`compute_features` gives, to the bit. A file that is damaged, cut off or of
    another origin is replaced, after one warning. Where nothing can be kept (no space, no permission), a warning says
    so, and the caller computes without. Processes may share a folder: each writes under a name of its own and
    renames, so that two that write the same features only waste time.

    Args:
        note, warn: are told what happens, a line at a time.
    """

    def __init__(
        self,
        elmo: Elmo,
        folder: Path,
        note: Callable[[str], None] = lambda _: None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.elmo = elmo
        self.folder = folder
        self._note, self._warn = note, warn
        self._bilm = bilm_digest(elmo.files, elmo.options)

    def features(
        self,
        sentences: Sequence[Sequence[str]],
        layers: Sequence[int],
        average: bool = False,
        dtype: str = "float16",
        in_memory: bool = True,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Sequence[np.ndarray | StoredSentence] | None:
        """The features of each sentence, read from the cache, and computed into it first where they are missing.

        Layers that were asked for by themselves are found in a file of all layers, too; means have files of their own.

        Args:
            in_memory: read them all now; otherwise each sentence is read from disk whenever it is used.
            progress: told, while they are computed, how many tokens are done.

        Returns:
            An array, or what ``numpy.asarray`` makes one, for each sentence; None where nothing can be kept.
        """
        average = average and len(layers) > 1
        offsets = np.cumsum([0, *map(len, sentences)], dtype=np.int64)
        if not offsets[-1]:
            return None
        key = self._key(sentences, layers, average, dtype)
        everything = key | {"layers": list(range(self.elmo.n_layers))}
        path = self.path(key)
        for candidate in [key] if average or key == everything else [key, everything]:
            rows = [0] if average else [candidate["layers"].index(layer) for layer in layers]
            stored = self._open(candidate, offsets, rows, in_memory)
            if stored is not None:
                self._note(f"biLM layers of {offsets[-1]:,} tokens: read from {self.path(candidate)}")
                return stored
        n_layers = 1 if average else len(layers)
        if not self._fits(int(offsets[-1]) * n_layers * self.elmo.dim * np.dtype(dtype).itemsize + offsets.nbytes):
            return None
        self._note(f"computing biLM layers of {offsets[-1]:,} tokens once, for this run and others: {path}")
        arrays = compute_features(self.elmo, sentences, layers, average, dtype)
        try:
            with replace_file(path) as temporary:
                _write(temporary, key, offsets, (n_layers, self.elmo.dim), counted(arrays, progress))
        except (OSError, RuntimeError) as error:  # an error of the biLM's will show again where there is no cache
            if is_out_of_memory(error):
                raise
            self._warn(f"{path}: cannot be written ({error}); going on without a cache")
            return None
        return self._open(key, offsets, list(range(n_layers)), in_memory)

    def path(self, key: dict[str, Any]) -> Path:
        """The file of the features that ``key`` describes."""
        return self.folder / f"features-{_digest_of(key)[:32]}.hdf5"

    def _key(
        self, sentences: Sequence[Sequence[str]], layers: Sequence[int], average: bool, dtype: str
    ) -> dict[str, Any]:
        """All that the features depend on. Devices differ in the last bits, so each has files of its own."""
        return {
            "format_version": FORMAT_VERSION,
            "bilm": self._bilm,
            "precision": self.elmo.precision,
            "device": self.elmo.device.type,
            "layers": list(layers),
            "average": average,
            "dtype": np.dtype(dtype).name,
            "sentences": sentences_digest(sentences),
        }

    def _open(
        self, key: dict[str, Any], offsets: np.ndarray, rows: list[int], in_memory: bool
    ) -> Sequence[np.ndarray | StoredSentence] | None:
        """The sentences of a sound file; None, after a warning if there is one, without it."""
        path = self.path(key)
        shape = (1 if key["average"] else len(key["layers"]), self.elmo.dim)
        try:
            return _read(path, key, offsets, shape, rows, in_memory)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except MemoryError:
            raise
        except Exception as error:  # whatever h5py makes of a torn or foreign file
            self._warn(f"{path}: not usable ({_reason(error, path)}); computing the biLM layers anew")
            return None

    def _fits(self, n_bytes: int) -> bool:
        """Whether the folder has space for so many bytes and some to spare; says so if not."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            self._warn(f"{self.folder}: cannot be used ({error.strerror}); going on without a cache")
            return False
        if free >= n_bytes + SPARE_BYTES:
            return True
        self._warn(
            f"{self.folder}: {free / 1e6:,.0f} MB free, expected {(n_bytes + SPARE_BYTES) / 1e6:,.0f} MB to keep "
            f"{n_bytes / 1e6:,.0f} MB of biLM layers; going on without a cache (--cache names another folder)"
        )
        return False


def bilm_digest(files: BilmFiles, options: BilmOptions) -> str:
    """A digest of all that a biLM's vectors depend on: options, weights, vocabulary and its vectors."""
    parts = [files.weights, files.vocabulary, files.vocabulary_vectors]
    if files.many_langs is not None:
        parts = [path for path in sorted(files.many_langs.iterdir()) if path.is_file()]
    return _digest_of([repr(options), *(None if path is None else files.sha256(path) for path in parts)])


def sentences_digest(sentences: Iterable[Sequence[str]]) -> str:
    """A digest of tokens and of where sentences end."""
    digest = hashlib.sha256()
    for tokens in sentences:
        digest.update(json.dumps(list(tokens)).encode() + b"\n")
    return digest.hexdigest()


def _digest_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _key_bytes(key: dict[str, Any]) -> np.bytes_:
    return np.bytes_(json.dumps(key, sort_keys=True))  # of fixed length: HDF5 keeps no check sum of others


def _reason(error: Exception, path: Path) -> str:
    if isinstance(error, ModelError):
        return str(error).removeprefix(f"{path}: ")
    return "permission denied" if isinstance(error, PermissionError) else "not an HDF5 file, or a damaged one"


def counted(arrays: Iterable[np.ndarray], progress: Callable[[int], None]) -> Iterator[np.ndarray]:
    """The arrays ``(layers, time, dim)``, while ``progress`` is told how many tokens they hold so far."""
    done = 0
    for array in arrays:
        done += array.shape[1]
        progress(done)
        yield array


def _chunk_positions(row_bytes: int) -> int:
    return max(1, CHUNK_BYTES // row_bytes)


def _block_positions(row_bytes: int) -> int:
    return BLOCK_CHUNKS * _chunk_positions(row_bytes)


def _write(
    path: Path, key: dict[str, Any], offsets: np.ndarray, shape: tuple[int, int], arrays: Iterable[np.ndarray]
) -> None:
    """Write the arrays ``(layers, time, dim)`` of all sentences as they come; a block at most is held."""
    dtype = np.dtype(key["dtype"]).newbyteorder("<")
    n_positions = int(offsets[-1])
    row_bytes = shape[0] * shape[1] * dtype.itemsize
    chunk = min(_chunk_positions(row_bytes), n_positions)
    block = np.empty((_block_positions(row_bytes), *shape), dtype)
    checks: list[int] = []
    # Since version 1.10 of the format, HDF5 keeps check sums of its own index.
    with Hdf5Writer(path, libver=("v110", "v110")) as writer:
        file = writer.file
        dataset = file.create_dataset("features", (n_positions, *shape), dtype, chunks=(chunk, *shape))

        def flush(n_rows: int) -> None:
            start = len(checks) * len(block)
            writer.reserve(block[:n_rows].nbytes)
            dataset[start : start + n_rows] = block[:n_rows]
            checks.append(zlib.crc32(block[:n_rows].data))

        held = 0
        for array in arrays:
            rows = array.swapaxes(0, 1)
            while len(rows):
                taken = min(len(rows), len(block) - held)
                block[held : held + taken] = rows[:taken]
                rows, held = rows[taken:], held + taken
                if held == len(block):
                    flush(held)
                    held = 0
        if held:
            flush(held)
        writer.reserve(offsets.nbytes + 4 * len(checks) + len(_key_bytes(key)))
        file.create_dataset("offsets", data=offsets)
        file.create_dataset("checks", data=np.array(checks, dtype=np.uint32))
        file.attrs["key"] = _key_bytes(key)


def _read(
    path: Path, key: dict[str, Any], offsets: np.ndarray, shape: tuple[int, int], rows: list[int], in_memory: bool
) -> Sequence[np.ndarray | StoredSentence]:
    """Check a file as a whole, a block at a time, and hand out its sentences with these rows of its layers.

    Raises:
        Exception: it is not what ``key`` says, or damaged.
    """
    with contextlib.ExitStack() as opened:
        # A slice is read straight from the file, not by way of whole chunks, if HDF5 may not keep any.
        file = opened.enter_context(h5py.File(path, "r", locking=False, rdcc_nbytes=0))
        dataset, checks = _checked_datasets(file, key, offsets, shape)
        whole = np.empty((len(dataset) if in_memory else 0, len(rows), shape[1]), dataset.dtype)
        for start, block in _checked_blocks(dataset, checks):
            if in_memory:
                whole[start : start + len(block)] = block[:, rows]
        spans = list(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True))
        if in_memory:
            return [whole[start:end].swapaxes(0, 1) for start, end in spans]
        opened.pop_all()  # it stays open
        stored = StoredFeatures(file, dataset, rows)
        return [StoredSentence(stored, start, end) for start, end in spans]


def _checked_datasets(
    file: h5py.File, key: dict[str, Any], offsets: np.ndarray, shape: tuple[int, int]
) -> tuple[h5py.Dataset, np.ndarray]:
    """``features`` and ``checks``, if the file is what ``key`` says."""
    name = file.filename
    if file.attrs.get("key") != _key_bytes(key):
        raise ModelError(f"{name}: found no features of this biLM and these sentences")
    dataset = find_dataset(file, "features")
    check_shape(dataset, (int(offsets[-1]), *shape))
    if dataset.dtype != np.dtype(key["dtype"]).newbyteorder("<"):
        raise ModelError(f"{name}: found {dataset.dtype}, expected {key['dtype']}")
    if not np.array_equal(find_dataset(file, "offsets")[()], offsets):
        raise ModelError(f"{name}: found sentences of other lengths")
    return dataset, find_dataset(file, "checks")[()]


def _checked_blocks(dataset: h5py.Dataset, checks: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The blocks of a dataset as they were written, each with its first position."""
    size = _block_positions(dataset.shape[1] * dataset.shape[2] * dataset.dtype.itemsize)
    for start, check in zip(range(0, len(dataset), size), checks, strict=True):
        block = dataset[start : start + size]
        if zlib.crc32(block) != check:
            raise ModelError(f"{dataset.file.filename}: damaged: another check sum from position {start} on")
        yield start, block
