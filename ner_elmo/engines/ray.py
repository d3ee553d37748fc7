"""Tagging and embedding on Ray: data sets of any size, with models held by actors on the machines of a cluster.

It needs Ray (the extra ``ray``). docs/scale.md has recipes.
"""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ner_elmo.engines.columns import TaggerOf, check_columns, no_such_column, tagger_of, with_entities
from ner_elmo.engines.packages import require
from ner_elmo.errors import DataError, NerElmoError, UsageError
from ner_elmo.tagger.tagger import Tagger
from ner_elmo.text.documents import Failure
from ner_elmo.text.files import replace_file, require_file, shown_name, temporary_prefix
from ner_elmo.text.python_inputs import checked_count, checked_name

if TYPE_CHECKING:
    import pyarrow
    from ray.data import Dataset

    from ner_elmo.elmo.encoder import Elmo, Layers

EXTRA = "ray"
BATCH_ROWS = 4096  # what an actor does as one task: what is done again where one is lost
RETRIES = 3  # a task whose actor is lost is done again so often, and then ends the job
RESTARTS = 8  # of one actor, which may be lost with its machine, or end before it begins for want of memory
VECTORS = "vectors"
_EMBED_CHUNK = 16_384  # tokens whose vectors are held at once


def tag_dataset(
    dataset: Dataset,
    model: str | Path | Tagger = "en",
    text_column: str = "text",
    *,
    tokenized: bool = False,
    scores: bool = True,
    text: str | None = None,
    precision: str = "auto",
    batch_tokens: int | None = None,
    device: str | None = None,
    concurrency: int | tuple[int, int] = 1,
    num_cpus: float = 1,
    num_gpus: float = 0,
    batch_rows: int = BATCH_ROWS,
) -> Dataset:
    """A data set's rows with what is found in their texts, lazily, by a pool of actors that hold a model each.

    Rows keep their columns and get two: ``entities``, a list of structs with ``start``, ``end``, ``label``, ``text``
    and ``score``, and ``error``. A row that cannot be tagged (its text is missing, is no text, or fails) has null for
    its entities and says why; the others go on. Entities are those of :meth:`ner_elmo.Tagger.tag` for the rows of a
    batch, to the bit.

    Args:
        model: a directory or the name of a model that ships, both as the actors see them; or a loaded tagger, which is
            sent to them (then ``text``, ``precision``, ``batch_tokens`` and ``device`` are its own).
        text_column: the column of the text; with lists of strings in it, each is a sentence of tokens.
        device: what actors compute on; ``cuda`` where they have ``num_gpus``, else ``cpu``.
        concurrency: how many actors, or how few and how many.
        num_cpus, num_gpus: what Ray sets aside for an actor; it computes in one thread.
        batch_rows: rows of a task.

    Raises:
        UsageError: Ray is missing, a value cannot be meant, or the columns are known and do not fit.
    """
    require("ray.data", EXTRA)
    of = tagger_of(
        model,
        device=device or _device(num_gpus),
        precision=precision,
        batch_tokens=batch_tokens,
        text=text,
        tokenized=tokenized,
        scores=scores,
    )
    checked_name(text_column, "text_column")
    check_columns(_known_columns(dataset), text_column)
    if isinstance(model, Tagger):
        of = replace(of, model=require("ray", EXTRA).put(model))
    arguments = {"of": of, "text_column": text_column}
    return _by_actors(
        dataset, _TagRows, arguments, _Actors(concurrency, num_cpus, num_gpus), checked_count(batch_rows, "batch_rows")
    )


@dataclass(frozen=True)
class _Actors:
    """How many actors, or how few and how many, and what each is given."""

    concurrency: int | tuple[int, int]
    num_cpus: float
    num_gpus: float


def _device(num_gpus: float) -> str:
    return "cuda" if num_gpus else "cpu"


def _by_actors(
    dataset: Dataset,
    worker: type,
    arguments: Mapping[str, Any],
    actors: _Actors,
    batch_rows: int | None,
    batch_format: str = "pyarrow",
) -> Dataset:
    """The data set that a pool of actors of the class ``worker`` makes of this one."""
    return dataset.map_batches(
        worker,
        fn_constructor_kwargs=dict(arguments),
        batch_format=batch_format,
        batch_size=batch_rows,
        compute=_pool(actors.concurrency),
        num_cpus=actors.num_cpus,
        num_gpus=actors.num_gpus,
        ray_remote_args_fn=_remote_arguments,
    )


def _remote_arguments() -> dict[str, Any]:
    return {"max_task_retries": RETRIES, "max_restarts": RESTARTS}


def _pool(concurrency: int | tuple[int, int]) -> Any:
    ray_data = require("ray.data", EXTRA)
    if isinstance(concurrency, tuple):
        least, most = (checked_count(number, "concurrency") for number in concurrency)
        return ray_data.ActorPoolStrategy(min_size=least, max_size=most)
    return ray_data.ActorPoolStrategy(size=checked_count(concurrency, "concurrency"))


def _known_columns(dataset: Dataset) -> Sequence[str] | None:
    """The names of its columns, where nothing has to be computed for them."""
    schema = dataset.schema(fetch_if_missing=False)
    return None if schema is None else list(schema.names)


class _TagRows:
    """What an actor does."""

    def __init__(self, of: TaggerOf, text_column: str) -> None:
        if not isinstance(of.model, str | Path | Tagger):  # a reference to one
            of = replace(of, model=require("ray", EXTRA).get(of.model))
        self._of, self._text_column = of, text_column
        self._tagger = of.load()

    def __call__(self, table: pyarrow.Table) -> Iterator[pyarrow.Table]:
        yield from with_entities(table, self._of, self._text_column, self._tagger)


def embed_dataset(
    dataset: Dataset,
    bilm: str | Path,
    text_column: str = "text",
    *,
    layers: Layers = "mean",
    text: str | None = None,
    precision: str = "fp32",
    batch_tokens: int | None = None,
    device: str | None = None,
    concurrency: int | tuple[int, int] = 1,
    num_cpus: float = 1,
    num_gpus: float = 0,
    batch_rows: int = 256,
) -> Dataset:
    """A data set's rows with a column ``vectors`` of what a biLM makes of their tokens, lazily; for ``write_parquet``.

    ``vectors`` are nested lists of float32, those of ``ner-elmo embed``: (tokens, dim) for ``mean`` and ``top``, else
    (layers, tokens, dim). A row that cannot be embedded has null there and says why in ``error``.

    Args:
        bilm: a biLM, run or tagger directory, or a weights file, as the actors see it.
        text_column: one tokenised sentence in each row, a string with blanks between tokens, or a list of strings.
        layers: ``all``, ``mean``, ``top``, or numbers of layers.
        text: a kind of raw text or a language's code, where rows are raw text: all sentences of a row are then one list
            of tokens, each embedded by itself.
        device, concurrency, num_cpus, num_gpus, batch_rows: as of :func:`tag_dataset`.

    Raises:
        UsageError: Ray is missing, a value cannot be meant, or the columns are known and do not fit.
    """
    require("ray.data", EXTRA)
    checked_name(text_column, "text_column")
    known = _known_columns(dataset)
    if known is not None and text_column not in known:
        raise UsageError(no_such_column(text_column, known))
    of = _ElmoOf(str(bilm), device or _device(num_gpus), precision, batch_tokens)
    arguments = {"of": of, "text_column": text_column, "layers": layers, "text": text}
    return _by_actors(
        dataset,
        _EmbedRows,
        arguments,
        _Actors(concurrency, num_cpus, num_gpus),
        checked_count(batch_rows, "batch_rows"),
    )


@dataclass(frozen=True)
class _ElmoOf:
    """Which biLM the actors load."""

    bilm: str
    device: str
    precision: str
    batch_tokens: int | None

    def load(self) -> Elmo:
        import torch

        from ner_elmo.elmo.encoder import Elmo

        torch.set_num_threads(1)
        return Elmo.load(self.bilm, device=self.device, precision=self.precision, batch_tokens=self.batch_tokens)


class _EmbedRows:
    """What an actor does."""

    def __init__(self, of: _ElmoOf, text_column: str, layers: Layers, text: str | None) -> None:
        from ner_elmo.text.tokenizer import resolved

        self._elmo = of.load()
        self._text_column, self._layers = text_column, layers
        self._kind = None if text is None else resolved(text)

    def __call__(self, table: pyarrow.Table) -> Iterator[pyarrow.Table]:
        import pyarrow

        from ner_elmo.text.batching import in_chunks

        if self._text_column not in table.column_names:
            raise DataError(no_such_column(self._text_column, table.column_names))
        done = 0
        rows = (_Row(self._sentences(value.as_py())) for value in table.column(self._text_column))
        for chunk in in_chunks(rows, _EMBED_CHUNK):
            vectors = self._vectors([row.sentences for row in chunk])
            part = table.slice(done, len(chunk))
            done += len(chunk)
            errors = [row.sentences.error if isinstance(row.sentences, Failure) else None for row in chunk]
            part = part.append_column(VECTORS, pyarrow.array(vectors, self._type()))
            yield part.append_column("error", pyarrow.array(errors, pyarrow.string()))

    def _type(self) -> pyarrow.DataType:
        import pyarrow

        kind = pyarrow.list_(pyarrow.list_(pyarrow.float32()))
        return kind if self._layers in ("mean", "top") else pyarrow.list_(kind)

    def _sentences(self, value: Any) -> list[list[str]] | Failure:
        from ner_elmo.text.tokenizer import sentence_forms

        if isinstance(value, list) and all(isinstance(token, str) for token in value):
            return [value]
        if not isinstance(value, str):
            found = "nothing" if value is None else type(value).__name__
            return Failure("", f"{self._text_column}: found {found}, expected text")
        return [value.split()] if self._kind is None else [list(forms) for forms in sentence_forms(value, self._kind)]

    def _vectors(self, rows: Sequence[list[list[str]] | Failure]) -> list[Any]:
        sentences = [tokens for row in rows if not isinstance(row, Failure) for tokens in row]
        computed = iter(self._elmo.embed(sentences, self._layers))
        vectors: list[Any] = []
        for row in rows:
            if isinstance(row, Failure):
                vectors.append(None)
                continue
            parts = [next(computed) for _ in row]
            joined = np.concatenate(parts, axis=-2) if parts else np.zeros((0, 0), np.float32)
            vectors.append(joined.astype(np.float32).tolist())
        return vectors


class _Row:
    """A row by its tokens."""

    def __init__(self, sentences: list[list[str]] | Failure) -> None:
        self.sentences = sentences

    def __len__(self) -> int:
        return 0 if isinstance(self.sentences, Failure) else sum(map(len, self.sentences))


@dataclass(frozen=True)
class EmbeddedFile:
    """What :func:`embed_files` made of one file: ``lines`` and ``tokens``, or an ``error`` and no output."""

    path: str
    output: str
    lines: int
    tokens: int
    error: str | None


def embed_files(
    files: Iterable[str | Path],
    bilm: str | Path,
    folder: str | Path,
    *,
    layers: Layers = "all",
    text: str | None = None,
    encoding: str = "utf-8",
    precision: str = "fp32",
    batch_tokens: int | None = None,
    device: str | None = None,
    concurrency: int | tuple[int, int] = 1,
    num_cpus: float = 1,
    num_gpus: float = 0,
    resume: bool = False,
) -> list[EmbeddedFile]:
    """Embed each file into an HDF5 file of its own below ``folder``, as ``ner-elmo embed FILE -o FOLDER/NAME.hdf5``.

    Files and folder are read and written by the actors, so all machines must see them. Each output appears once it is
    complete.

    Args:
        resume: leave out files whose output is there.

    Raises:
        UsageError: Ray or a file is missing; two files would have one output; an output is there without ``resume``.
    """
    ray_data = require("ray.data", EXTRA)
    targets: dict[str, str] = {}
    for file in files:
        path = require_file(file, "text file")
        output = str(Path(folder).resolve() / f"{path.name}.hdf5")
        if output in targets.values():
            raise UsageError(f"{shown_name(output)}: would be the output of two files; give them different names")
        if Path(output).exists():
            if resume:
                continue
            raise UsageError(f"{shown_name(output)}: exists already; choose another folder, or resume=True to go on")
        targets[str(path.resolve())] = output
    if not targets:
        return []
    of = _ElmoOf(str(bilm), device or _device(num_gpus), precision, batch_tokens)
    shards = [{"path": path, "output": output} for path, output in targets.items()]
    # A block for each, without a task of its own: that would wait for a CPU while the actors have them all.
    blocks = ray_data.from_items(shards, override_num_blocks=len(shards))
    arguments = {"of": of, "layers": layers, "text": text, "encoding": encoding}
    done = _by_actors(blocks, _EmbedFile, arguments, _Actors(concurrency, num_cpus, num_gpus), 1, "default")
    found = {row["path"]: EmbeddedFile(**row) for row in done.take_all()}
    return [found[path] for path in targets]


class _EmbedFile:
    """What an actor does."""

    def __init__(self, of: _ElmoOf, layers: Layers, text: str | None, encoding: str) -> None:
        from ner_elmo.text.tokenizer import resolved

        self._elmo, self._layers, self._encoding = of.load(), layers, encoding
        self._kind = None if text is None else resolved(text)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        from ner_elmo.elmo.dump import write_embeddings

        path, output = str(batch["path"][0]), str(batch["output"][0])
        lines = tokens = 0
        problem = None
        try:
            _make_room(Path(output))
            with replace_file(Path(output)) as temporary:
                lines, tokens = write_embeddings(self._elmo, self._read(path), temporary, self._layers)
        except (NerElmoError, OSError) as error:
            problem = str(error).splitlines()[0]
        return {"path": [path], "output": [output], "lines": [lines], "tokens": [tokens], "error": [problem]}

    def _read(self, path: str) -> Iterator[str | list[str]]:
        from ner_elmo.text.files import read_lines
        from ner_elmo.text.tokenizer import sentence_forms

        for line in read_lines(path, self._encoding):
            if self._kind is None:
                yield line
            else:
                yield from map(list, sentence_forms(line, self._kind))


def _make_room(output: Path) -> None:
    """Make its folder, and remove what an actor that was lost had half written."""
    output.parent.mkdir(parents=True, exist_ok=True)
    for left in output.parent.glob(f"{glob.escape(temporary_prefix(output.name))}*.tmp"):
        with contextlib.suppress(OSError):
            left.unlink()
