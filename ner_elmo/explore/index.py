"""An index of a corpus: the vector of every token where it stands, on disk.

``build_index`` reads the corpus once. Vectors are written as float16 of unit length, one file for each LSTM layer, so
that the dot product of two is their cosine. The token layer knows no context and is kept once for each form. All files
grow from front to back, and ``index.json`` says how far they are whole: a build that was stopped goes on from there,
and ends with the same bytes.

    index.json      what it was made from, and how far it is
    layer-0.f16     float16 (forms, dim / 2), little-endian: the token layer, whose two halves are the same
    layer-1.f16     float16 (tokens, dim), and so on for each LSTM layer
    forms.u32       uint32 (tokens,): which form each token has
    sentences.u64   uint64 (sentences,): where each sentence ends, in tokens
    forms.jsonl     the forms, each a JSON string
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.errors import DataError, UsageError
from ner_elmo.runs.events import Report, progress
from ner_elmo.text.batching import BOUNDARIES, in_chunks
from ner_elmo.text.files import cannot_write, json_of, require_space, write_json

FORMAT_VERSION = 1
INFO, FORMS, FORM_OF_TOKEN, SENTENCES = "index.json", "forms.jsonl", "forms.u32", "sentences.u64"
CHUNK_TOKENS = 65_536  # that are computed between two notes of how far the files are whole
LONGEST = 200  # tokens of a sentence; what stands behind them is left out


@dataclass(frozen=True)
class Made:
    """What an index is made from; another of the same is the same index.

    Attributes:
        bilm: SHA-256 of its weights.
        text: name and size in bytes of each file of the corpus.
        kind: how it was split into tokens.
        max_tokens: at which the reading ends.
    """

    bilm: str
    text: list[list[Any]]
    kind: str
    max_tokens: int

    def to_json(self) -> dict[str, Any]:
        """As ``index.json`` holds it."""
        return {"bilm": self.bilm, "text": self.text, "kind": self.kind, "max_tokens": self.max_tokens}


@dataclass
class Extent:
    """How far an index is whole."""

    n_tokens: int = 0
    n_sentences: int = 0
    n_forms: int = 0
    forms_bytes: int = 0
    finished: bool = False


class OccurrenceIndex:
    """An index, open for reading. Vectors stay on disk until they are asked for.

    Attributes:
        layers: numbers of the layers that have a vector for each token.
        dim: width of a vector.
        forms: distinct tokens of the corpus.
        form_of_token: for each token its number in ``forms`` ``(tokens,)``.
        form_vectors: the token layer's vectors of the forms ``(forms, dim / 2)``, float16 of unit length.
        ends: where each sentence ends ``(sentences,)``, in tokens.
    """

    def __init__(self, directory: Path) -> None:
        info = read_info(directory)
        if info is None:
            raise UsageError(f"{directory}: found no index of occurrences; expected a folder made by ner-elmo explore")
        self.directory, self.info = directory, info
        self.layers: list[int] = [int(layer) for layer in info["layers"]]
        self.dim, self.n_tokens = int(info["dim"]), int(info["n_tokens"])
        if not info["finished"] or not self.n_tokens:
            raise UsageError(f"{directory}: found an index that is not finished; run ner-elmo explore again to go on")
        with _damage_named(directory):
            self.forms = [json.loads(line) for line in (directory / FORMS).read_text(encoding="utf-8").splitlines()]
            self.form_of_token = self._open(FORM_OF_TOKEN, "<u4", (self.n_tokens,))
            self.ends = self._open(SENTENCES, "<u8", (int(info["n_sentences"]),)).astype(np.int64)
            if len(self.forms) != info["n_forms"] or int(self.ends[-1]) != self.n_tokens:
                raise ValueError("its files do not fit one another")
            self.form_vectors = self._open(layer_file(0), "<f2", (len(self.forms), self.dim // 2))
            self._vectors = {n: self._open(layer_file(n), "<f2", (self.n_tokens, self.dim)) for n in self.layers}

    def _open(self, name: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        path = self.directory / name
        if path.stat().st_size != np.dtype(dtype).itemsize * int(np.prod(shape)):
            raise ValueError(f"{name} has {path.stat().st_size:,} bytes")
        return np.memmap(path, dtype=dtype, mode="r", shape=shape)

    def vectors(self, layer: int) -> np.ndarray:
        """float16 ``(tokens, dim)`` of unit length, on disk."""
        return self._vectors[layer]

    @property
    def n_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.stat().st_size for file in self.directory.iterdir())

    def sentence_of(self, token: int) -> tuple[int, int]:
        """The first token of the sentence that ``token`` stands in, and the one behind its last."""
        number = int(np.searchsorted(self.ends, token, side="right"))
        return int(self.ends[number - 1]) if number else 0, int(self.ends[number])

    def tokens(self, start: int, end: int) -> list[str]:
        """The forms of the tokens from ``start`` to ``end``."""
        return [self.forms[number] for number in self.form_of_token[start:end]]


def layer_file(layer: int) -> str:
    """The file of a layer's vectors."""
    return f"layer-{layer}.f16"


def read_info(directory: Path) -> dict[str, Any] | None:
    """What ``index.json`` says; nothing where there is none.

    Raises:
        DataError: it is damaged, or of a version that this program does not know.
    """
    path = directory / INFO
    if not path.is_file():
        return None
    with _damage_named(directory):
        info = json_of(path)
        if info["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format_version {info['format_version']}, expected {FORMAT_VERSION}")
        for key in ("n_tokens", "n_sentences", "n_forms", "forms_bytes", "dim"):
            if type(info[key]) is not int or info[key] < 0:
                raise ValueError(f"{key} is no number")
        return {"finished": bool(info["finished"]), **info}


@contextmanager
def _damage_named(directory: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0][:200]
        raise DataError(f"{directory}: a damaged index ({what}); delete the folder to make it anew") from None


def bytes_for(n_tokens: int, elmo: Elmo) -> int:
    """About how many bytes an index of so many tokens takes."""
    return n_tokens * ((elmo.n_layers - 1) * elmo.dim * 2 + 5)


def build_index(
    elmo: Elmo,
    sentences: Callable[[], Iterable[Sequence[str]]],
    directory: Path,
    made: Made,
    report: Report,
) -> OccurrenceIndex:
    """Make the index of a corpus in ``directory``, or go on with one that was begun; one that is whole is opened.

    Args:
        sentences: gives the corpus's sentences, each time from the beginning.

    Raises:
        UsageError: the folder holds the index of something else, or other things; or another process is at it.
        DataError: the index is damaged, or the corpus is no longer as it was or holds no sentence.
        NerElmoError: the disk is full.
    """
    directory.mkdir(parents=True, exist_ok=True)
    info = read_info(directory)
    if info is None and any(directory.iterdir()):
        raise UsageError(f"{directory}: this folder holds other things; expected a new or an empty one")
    if info is not None and {key: info.get(key) for key in made.to_json()} != made.to_json():
        raise UsageError(f"{directory}: this is the index of another text or biLM; name another folder with --index")
    if info is None or not info["finished"]:
        require_space(directory / layer_file(1), bytes_for(CHUNK_TOKENS, elmo))
        with _locked(directory):
            writer = _Writer(elmo, directory, made, _extent(info))
            writer.write(sentences(), report)
    return OccurrenceIndex(directory)


def _extent(info: Mapping[str, Any] | None) -> Extent:
    if info is None:
        return Extent()
    return Extent(info["n_tokens"], info["n_sentences"], info["n_forms"], info["forms_bytes"])


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Within the block no other process writes this index.

    Raises:
        UsageError: one does so now.
    """
    handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"{directory}: another process is making this index; wait for it") from None
        yield
    finally:
        os.close(handle)


class _Writer:
    """Writes an index from where it stands."""

    def __init__(self, elmo: Elmo, directory: Path, made: Made, extent: Extent) -> None:
        self.elmo, self.directory, self.made, self.extent = elmo, directory, made, extent
        self.layers = list(range(1, elmo.n_layers))
        self.number_of: dict[str, int] = {}
        sizes = {
            FORMS: extent.forms_bytes,
            FORM_OF_TOKEN: 4 * extent.n_tokens,
            SENTENCES: 8 * extent.n_sentences,
            layer_file(0): elmo.dim * extent.n_forms,
            **{layer_file(layer): 2 * elmo.dim * extent.n_tokens for layer in self.layers},
        }
        with _damage_named(directory):
            for name, size in sizes.items():
                _cut(directory / name, size)
            for line in (directory / FORMS).read_text(encoding="utf-8").splitlines():
                self.number_of[json.loads(line)] = len(self.number_of)
            if len(self.number_of) != extent.n_forms:
                raise ValueError(f"{FORMS} has {len(self.number_of):,} forms")

    def write(self, sentences: Iterable[Sequence[str]], report: Report) -> None:
        """Take in what is left of the corpus."""
        extent, most = self.extent, self.made.max_tokens
        rest = iter(sentences)
        if sum(1 for _ in islice(rest, extent.n_sentences)) != extent.n_sentences:
            raise DataError(
                f"{self.directory}: the text has fewer sentences than before; delete the folder to begin anew"
            )
        self._note_extent()
        for chunk in in_chunks((list(sentence)[:LONGEST] for sentence in rest), CHUNK_TOKENS, BOUNDARIES):
            left = most - extent.n_tokens
            taken = _first(chunk, left)
            try:
                self._add(taken)
            except OSError as error:  # that of a full disk names no file
                raise cannot_write(self.directory, error) from None
            self._note_extent()
            progress(report, "index", extent.n_tokens, most)
            if len(taken) < len(chunk) or extent.n_tokens >= most:
                break
        if not extent.n_tokens:
            raise DataError("the text holds no sentence to look in")
        extent.finished = True
        self._note_extent()

    def _add(self, sentences: Sequence[Sequence[str]]) -> None:
        extent = self.extent
        new: list[str] = []  # forms
        numbers: list[int] = []
        for token in (token for sentence in sentences for token in sentence):
            if token not in self.number_of:
                self.number_of[token] = len(self.number_of)
                new.append(token)
            numbers.append(self.number_of[token])
        ends = extent.n_tokens + np.cumsum([len(sentence) for sentence in sentences])
        with (
            open(self.directory / FORMS, "ab") as forms,
            open(self.directory / FORM_OF_TOKEN, "ab") as form_of_token,
            open(self.directory / SENTENCES, "ab") as of_sentences,
        ):
            extent.forms_bytes += forms.write("".join(f"{json.dumps(form)}\n" for form in new).encode("ascii"))
            form_of_token.write(np.array(numbers, dtype="<u4").tobytes())
            of_sentences.write(ends.astype("<u8").tobytes())
        with ExitStack() as stack:
            files = [stack.enter_context(open(self.directory / layer_file(n), "ab")) for n in (0, *self.layers)]
            self._add_vectors(new, sentences, files)
        extent.n_tokens += len(numbers)
        extent.n_sentences += len(sentences)
        extent.n_forms = len(self.number_of)

    def _add_vectors(
        self, forms: Sequence[str], sentences: Sequence[Sequence[str]], files: Sequence[IO[bytes]]
    ) -> None:
        half = self.elmo.dim // 2
        for vectors in self.elmo.embed([[form] for form in forms], layers=[0]):
            files[0].write(unit_length(vectors[0, :, :half]).astype("<f2").tobytes())
        for vectors in self.elmo.embed(sentences, layers=self.layers):
            for file, layer in zip(files[1:], unit_length(vectors).astype("<f2"), strict=True):
                file.write(layer.tobytes())

    def _note_extent(self) -> None:
        shape = {"format_version": FORMAT_VERSION, "layers": self.layers, "dim": self.elmo.dim}
        write_json(self.directory / INFO, shape | self.made.to_json() | vars(self.extent))


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """The same directions, float32 ``(..., dim)``; zeros stay zeros."""
    norms = np.linalg.norm(vectors.astype(np.float32), axis=-1, keepdims=True)
    unit: np.ndarray = np.divide(vectors, norms, out=np.zeros(vectors.shape, np.float32), where=norms > 0)
    return unit


def _cut(path: Path, size: int) -> None:
    """Leave the first ``size`` bytes of a file."""
    with open(path, "ab") as file:
        if file.tell() < size:
            raise ValueError(f"{path.name} has {file.tell():,} bytes, expected {size:,}")
        file.truncate(size)


def _first(sentences: Sequence[Sequence[str]], most: int) -> Sequence[Sequence[str]]:
    """The first sentences that have at most ``most`` tokens together; one, in any case."""
    ends = np.cumsum([len(sentence) for sentence in sentences])
    return sentences[: max(1, int(np.searchsorted(ends, most, side="right")))]
