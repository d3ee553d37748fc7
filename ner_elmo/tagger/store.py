"""A tagger as a folder of files (``docs/design.md`` §4): writing it, and reading it with every digest verified."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch

from ner_elmo.bilm.files.directory import SOFTMAX, BilmPlace, copy_bilm, find_bilm
from ner_elmo.errors import ModelError, UsageError
from ner_elmo.runs.directory import BILM, REPORT
from ner_elmo.tagger.network.inputs import Words
from ner_elmo.tagger.network.model import TaggerModel
from ner_elmo.tagger.network.options import TaggerOptions
from ner_elmo.text.files import replace_directory, replace_file, sha256_of_file, write_text
from ner_elmo.text.hdf5 import find_dataset, open_hdf5, read_array, write_array
from ner_elmo.text.tag_scheme import labels_of, tag_set

FORMAT_VERSION = 1
INFO, WEIGHTS, WORD_VECTORS, CARD = "tagger.json", "tagger.hdf5", "word_vectors.hdf5", "README.md"
STORAGES = ("float32", "float16")
# The word table has a file of its own; its words belong beside it.
_WORD_TABLE = "words.tuned.weight"
# A biLM that several seeds share stands one folder higher.
_BILM_PLACES = (BILM, f"../{BILM}")


@dataclass
class StoredTagger:
    """What :func:`load_tagger` found: the network with its weights, words, ``tagger.json``, and the biLM's folder."""

    model: TaggerModel
    words: Words
    info: dict[str, Any]
    bilm: Path | None

    @property
    def text(self) -> str:
        """The kind of text it reads: the name of a tokenizer."""
        return str(self.info["text"]["tokens"])

    @property
    def temperature(self) -> float:
        """What tag sequences' scores are divided by before they become probabilities; 1 for older taggers."""
        return _temperature(self.info)


class StoredBilm(NamedTuple):
    """The biLM beside a tagger: the SHA-256 of its files by their names, as far as they are known; and its place as the
    tagger names it, ``bilm``, or ``../bilm`` where several seeds share it."""

    digests: Mapping[str, str]
    place: str = BILM


def digest_of_tagger(directory: Path) -> str:
    """The SHA-256 of ``tagger.json``, which has those of all other files."""
    return sha256_of_file(directory / INFO)


def store_bilm(source: BilmPlace, directory: Path, with_softmax: bool = False) -> StoredBilm:
    """Copy what tagging needs of a biLM to ``directory/bilm``, unless it is there; with its output layer, perplexity
    and further pretraining are possible from there too."""
    files = find_bilm(source)
    target = directory / BILM
    if target.exists() and target.samefile(files.root):
        return StoredBilm({file.name: digest for file, digest in files.digests.items()})
    with replace_directory(target) as temporary:
        return StoredBilm(copy_bilm(files, temporary, with_softmax))


def write_tagger(
    directory: Path,
    model: TaggerModel,
    words: Words,
    info: Mapping[str, Any],
    storage: str = "float32",
    bilm: StoredBilm | None = None,
) -> dict[str, Any]:
    """Write the files of a tagger into ``directory``; ``tagger.json``, without which it is no tagger, comes last.

    Args:
        info: what ``tagger.json`` says beyond its format, the options and the digests (text, licence, data).
        storage: ``float32``, or ``float16`` for half the size.
        bilm: its biLM, which stands there already (:func:`store_bilm`); None for a tagger without one.

    Returns:
        What ``tagger.json`` says.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / INFO).unlink(missing_ok=True)
    written = [WEIGHTS]
    with replace_file(directory / WEIGHTS) as temporary, h5py.File(temporary, "w") as file:
        for name, value in model.state_dict().items():
            if name != _WORD_TABLE:
                write_array(file, name, value.detach().float().cpu().numpy().reshape(_stored_shape(value)), storage)
    if model.words is not None:
        with replace_file(directory / WORD_VECTORS) as temporary, h5py.File(temporary, "w") as file:
            write_array(file, "vectors", model.words.table().float().cpu().numpy(), storage)
            file.create_dataset("words", data=_joined(words.words))
        written.append(WORD_VECTORS)
    digests = {name: sha256_of_file(directory / name) for name in written}
    if bilm is not None:
        digests |= _digests_of_bilm(directory, bilm)
    values = {
        "format_version": FORMAT_VERSION,
        **info,
        "scheme": model.options.scheme,
        "tags": model.options.tags,
        "options": model.options.as_dict(),
        "storage": storage,
        "bilm": None if bilm is None else bilm.place,
        "files": digests,
    }
    _write_info(directory / INFO, values)
    return values


def _digests_of_bilm(directory: Path, bilm: StoredBilm) -> dict[str, str]:
    """The digests of all that tagging reads of it, by the files' places below the tagger's ``directory``."""
    files = [file for file in sorted((directory / bilm.place).iterdir()) if file.name != SOFTMAX]
    return {f"{bilm.place}/{file.name}": bilm.digests.get(file.name) or sha256_of_file(file) for file in files}


def _stored_shape(value: torch.Tensor) -> tuple[int, ...]:
    """A single number is stored as a list of one."""
    return tuple(value.shape) or (1,)


def _joined(words: list[str]) -> np.ndarray:
    """All words as UTF-8, a line each: one dataset of bytes instead of an object a word."""
    text = "\n".join(word.replace("\n", " ") for word in words)
    return np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)


def _write_info(path: Path, values: dict[str, Any]) -> None:
    text = json.dumps(values | {"sha256": ""}, indent=2, ensure_ascii=False) + "\n"
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    text = json.dumps(values | {"sha256": digest}, indent=2, ensure_ascii=False) + "\n"
    write_text(path, text)


def read_info(directory: Path) -> dict[str, Any]:
    """``tagger.json`` of a tagger directory, its own digest verified.

    Raises:
        UsageError: there is no such directory, or it is not a tagger.
        ModelError: the file is damaged, or of a format that this program does not read.
    """
    path = directory / INFO
    if not path.is_file():
        what = "is not a tagger directory (it has no tagger.json)" if directory.exists() else "no such tagger directory"
        raise UsageError(f"{directory}: {what}; train one with ner-elmo train-tagger")
    try:
        text = path.read_bytes().decode("utf-8", "surrogatepass")
        info = json.loads(text)
        version, digest = info["format_version"], info["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ModelError(f"{path}: damaged; expected the JSON that train-tagger writes") from None
    if version != FORMAT_VERSION:
        raise ModelError(f"{path}: found format_version {version!r}, expected {FORMAT_VERSION}; try a newer ner-elmo")
    blank = text.replace(f'"sha256": "{digest}"\n', '"sha256": ""\n')
    if hashlib.sha256(blank.encode("utf-8", "surrogatepass")).hexdigest() != digest:
        raise ModelError(f"{path}: damaged or changed; its digest does not match its contents")
    return info  # type: ignore[no-any-return]


def verify_files(directory: Path, files: Mapping[str, str]) -> None:
    """Compare every file with its digest.

    Raises:
        ModelError: one is missing or differs; the message names it.
    """
    for name, digest in files.items():
        file = directory / name
        if not file.is_file():
            raise ModelError(f"{file}: missing; {INFO} lists it as part of the tagger")
        if sha256_of_file(file) != digest:
            raise ModelError(f"{file}: damaged or changed; its digest is not the one in {INFO}")


def load_tagger(directory: str | Path) -> StoredTagger:
    """Read a tagger directory; nothing in it is trusted before its digest has been compared.

    Raises:
        UsageError: it is not a tagger directory.
        ModelError: a file is missing, damaged, or does not fit the others.
    """
    directory = Path(directory)
    info = read_info(directory)
    try:
        files, bilm = dict(info["files"]), info["bilm"]
        options = _options(info["options"])
        str(info["text"]["tokens"])
        _temperature(info)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{directory / INFO}: damaged ({error})") from None
    if bilm not in (None, *_BILM_PLACES) or not all(_is_ours(name) for name in files):
        raise ModelError(f"{directory / INFO}: it names files outside the tagger's own folder")
    verify_files(directory, files)
    model = TaggerModel(options)
    state = _read_weights(directory / WEIGHTS, model)
    words = Words([])
    if model.words is not None:
        words, table = _read_words(directory / WORD_VECTORS, options)
        model.words.set_table(torch.from_numpy(table))
    model.load_state_dict(state, strict=False)
    return StoredTagger(model.eval(), words, info, None if bilm is None else directory / bilm)


def _options(values: dict[str, Any]) -> TaggerOptions:
    """The options in ``values``; a later version's unknown ones are an error, since they would change the network."""
    unknown = set(values) - {field.name for field in fields(TaggerOptions)}
    if unknown:
        raise ValueError(f"unknown options {', '.join(sorted(unknown))}")
    options = TaggerOptions(**values)
    if options.tags != tag_set(labels_of(options.tags, options.scheme), options.scheme):
        raise ValueError(f"its tags are not those of the scheme {options.scheme}")
    return options


def _temperature(info: Mapping[str, Any]) -> float:
    """The temperature that ``tagger.json`` says.

    Raises:
        ValueError: it is not a positive number.
    """
    temperature = float(info.get("calibration", {}).get("temperature", 1.0))
    if not 0 < temperature < math.inf:
        raise ValueError(f"its temperature is {temperature}")
    return temperature


def _is_ours(name: str) -> bool:
    parts = name.split("/")
    return (parts[0] not in ("", "..") and len(parts) <= 2 and ".." not in parts) or (
        len(parts) == 3 and parts[:2] == ["..", BILM] and parts[2] != ".."
    )


def _read_weights(path: Path, model: TaggerModel) -> dict[str, torch.Tensor]:
    with open_hdf5(path) as file:
        return {
            name: torch.from_numpy(read_array(file, name, _stored_shape(value)).reshape(value.shape))
            for name, value in model.state_dict().items()
            if name != _WORD_TABLE
        }


def _read_words(path: Path, options: TaggerOptions) -> tuple[Words, np.ndarray]:
    with open_hdf5(path) as file:
        table = read_array(file, "vectors", (options.n_words, options.word_dim))
        dataset = find_dataset(file, "words")
        if dataset.dtype != np.uint8 or len(dataset.shape) != 1:
            raise ModelError(f"{path}: words: found {dataset.dtype} {dataset.shape}, expected UTF-8 bytes")
        words = dataset[()].tobytes().decode("utf-8", "surrogatepass").split("\n")
    if len(words) != options.n_words:
        raise ModelError(f"{path}: found {len(words)} words, but the options imply {options.n_words}")
    return Words(words, options.n_tuned_words), table


def move_info(directory: Path, bilm: str | None) -> None:
    """Let ``tagger.json`` name ``bilm`` (``bilm`` or ``../bilm``) as its biLM's place, before the tagger is moved."""
    info = read_info(directory)
    del info["sha256"]
    before = info["bilm"]
    if before is not None and bilm is not None:
        files = {
            name.replace(f"{before}/", f"{bilm}/", 1) if _in_bilm(name) else name: digest
            for name, digest in info["files"].items()
        }
        info |= {"bilm": bilm, "files": files}
    _write_info(directory / INFO, info)


def _in_bilm(name: str) -> bool:
    return name.startswith(tuple(f"{place}/" for place in _BILM_PLACES))


def own_files(directory: Path, with_softmax: bool = False) -> list[str]:
    """The places, below ``directory``, of all that makes a tagger, without what else its run directory holds; each is
    verified.

    Args:
        with_softmax: with the biLM's output layer too, if it was kept.

    Raises:
        UsageError: ``directory`` is not a tagger directory, or shares its biLM with other seeds.
        ModelError: one of its files is missing or damaged.
    """
    info = read_info(directory)
    if info["bilm"] not in (None, BILM):
        raise UsageError(f"{directory}: shares its biLM with other seeds; copy the folder above it")
    verify_files(directory, info["files"])
    more = (INFO, REPORT, CARD, f"{BILM}/{SOFTMAX}" if with_softmax else INFO)
    return [name for name in dict.fromkeys((*info["files"], *more)) if (directory / name).is_file()]


def copy_tagger(source: Path, target: Path, with_softmax: bool = True) -> None:
    """Copy a tagger without what else its run directory holds (checkpoints, log, predictions and what quotes the
    corpus), ready to ship; with the biLM's output layer if it was kept.

    Raises:
        UsageError, ModelError: as :func:`own_files`.
    """
    names = own_files(source, with_softmax)
    with replace_directory(target) as temporary:
        for name in names:
            (temporary / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source / name, temporary / name)
