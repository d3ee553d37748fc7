"""A tagger as a folder of files (``docs/design.md`` §4): writing it, and reading it with every digest verified."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ner_elmo.bilm.files.directory import SOFTMAX, BilmPlace, copy_bilm, find_bilm
from ner_elmo.errors import ModelError, UsageError, one_line, shown_value
from ner_elmo.runs.directory import BILM, REPORT
from ner_elmo.settings import unique_keys
from ner_elmo.tagger.network.crf import EMISSION_LIMIT
from ner_elmo.tagger.network.inputs import Words
from ner_elmo.tagger.network.joined import MOST_MEMBERS, Network, joined, members_of
from ner_elmo.tagger.network.model import TaggerModel
from ner_elmo.tagger.network.options import TaggerOptions, parse_options, weight_shapes
from ner_elmo.text.files import json_text, replace_directory, replace_file, sha256_of_file, write_text
from ner_elmo.text.hdf5 import (
    Hdf5Writer,
    check_shape,
    find_dataset,
    names_of_datasets,
    open_hdf5,
    read_array,
    read_values,
    require_numbers,
    write_array,
)

FORMAT_VERSION, JOINED_VERSION = 1, 2  # of a joined tagger, which versions before would take for a damaged one
INFO, WEIGHTS, WORD_VECTORS, CARD = "tagger.json", "tagger.hdf5", "word_vectors.hdf5", "README.md"
STORAGES = ("float32", "float16")
# The word table has a file of its own; its words belong beside it.
_WORD_TABLE = "words.tuned.weight"
# A biLM that several seeds share stands one folder higher.
_BILM_PLACES = (BILM, f"../{BILM}")


@dataclass
class StoredTagger:
    """What :func:`load_tagger` found: the network with its weights, words, ``tagger.json``, and the biLM's folder."""

    model: Network
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
    model: Network,
    words: Words,
    info: Mapping[str, Any],
    storage: str = "float32",
    bilm: StoredBilm | None = None,
) -> dict[str, Any]:
    """Write the files of a tagger into ``directory``; ``tagger.json``, without which it is no tagger, comes last.

    The weights of a joined one's members stand in one file, each under its number; fixed word vectors are stored once.

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
    members = members_of(model)
    with replace_file(directory / WEIGHTS) as temporary, Hdf5Writer(temporary) as file:
        for number, member in enumerate(members):
            for name, value in member.state_dict().items():
                if number or name != _WORD_TABLE:
                    array = value.detach().float().cpu().numpy().reshape(_stored_shape(value))
                    write_array(file, _prefix(number, len(members)) + name, array, storage)
    if members[0].words is not None:
        with replace_file(directory / WORD_VECTORS) as temporary, Hdf5Writer(temporary) as file:
            write_array(file, "vectors", members[0].words.table().float().cpu().numpy(), storage)
            write_array(file, "words", _joined(words.words), "uint8")
        written.append(WORD_VECTORS)
    digests = {name: sha256_of_file(directory / name) for name in written}
    if bilm is not None:
        digests |= _digests_of_bilm(directory, bilm)
    values = {
        "format_version": FORMAT_VERSION if len(members) == 1 else JOINED_VERSION,
        **({} if len(members) == 1 else {"members": len(members)}),
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


def _prefix(number: int, n_members: int) -> str:
    """What the names of a member's weights begin with: nothing where it is the only one."""
    return "" if n_members == 1 else f"members.{number}."


def _stored_shape(value: torch.Tensor) -> tuple[int, ...]:
    """A single number is stored as a list of one."""
    return tuple(value.shape) or (1,)


def _joined(words: list[str]) -> np.ndarray:
    """All words as UTF-8, a line each: one dataset of bytes instead of an object a word."""
    text = "\n".join(word.replace("\n", " ") for word in words)
    return np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)


def _write_info(path: Path, values: dict[str, Any]) -> None:
    text = json_text(values | {"sha256": ""}, indent=2) + "\n"
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    text = json_text(values | {"sha256": digest}, indent=2) + "\n"
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
        info = json.loads(text, object_pairs_hook=unique_keys)
        version, digest = info["format_version"], info["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ModelError(f"{path}: damaged; expected the JSON that train-tagger writes") from None
    if isinstance(version, bool) or version not in (FORMAT_VERSION, JOINED_VERSION):
        raise ModelError(
            f"{path}: found format_version {shown_value(version)}, expected {FORMAT_VERSION} or {JOINED_VERSION}; "
            "try a newer ner-elmo"
        )
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
        options = parse_options(info["options"])
        if not isinstance(info["text"]["tokens"], str) or not all(isinstance(one, str) for one in files.values()):
            raise TypeError("text.tokens, and each digest in files, has to be text")
        if bool(options.elmo_dim) != (bilm is not None):
            raise ValueError(f"bilm is {shown_value(bilm)}, but options.elmo_dim is {options.elmo_dim}")
        _temperature(info)
        n_members = _number_of_members(info)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ModelError(f"{directory / INFO}: damaged ({str(error)[:300]})") from None
    if bilm not in (None, *_BILM_PLACES) or not all(isinstance(name, str) and _is_ours(name) for name in files):
        raise ModelError(f"{directory / INFO}: it names files outside the tagger's own folder")
    _require_listed(directory, options, files)
    verify_files(directory, files)
    _require_shapes(directory / WEIGHTS, options, n_members)
    words, table = _read_words(directory / WORD_VECTORS, options) if options.n_words else (Words([]), None)
    vectors = None if table is None else torch.from_numpy(table)
    members = [_read_member(directory / WEIGHTS, options, number, n_members, vectors) for number in range(n_members)]
    return StoredTagger(joined(members), words, info, None if bilm is None else directory / bilm)


def _read_member(
    path: Path, options: TaggerOptions, number: int, n_members: int, vectors: torch.Tensor | None
) -> TaggerModel:
    """One of the networks in a file of weights, with its word vectors, of which a joined tagger's later members have
    the tuned ones in that file."""
    model = TaggerModel(options)
    state = _read_weights(path, model, number, n_members)
    _require_bounded(path, state)
    if model.words is not None and vectors is not None and not number:
        model.words.set_table(vectors)
    model.load_state_dict(state, strict=False)
    return model.eval()


def _number_of_members(info: Mapping[str, Any]) -> int:
    """How many networks a tagger is made of: 1, or what ``tagger.json`` of a joined one says.

    Raises:
        ValueError: that is no such number.
    """
    if info["format_version"] == FORMAT_VERSION:
        return 1
    found = info.get("members")
    if not isinstance(found, int) or isinstance(found, bool) or not 2 <= found <= MOST_MEMBERS:
        raise ValueError(f"members: found {shown_value(found)}, expected a whole number from 2 to {MOST_MEMBERS}")
    return found


def _require_listed(directory: Path, options: TaggerOptions, files: Mapping[str, str]) -> None:
    """Make sure that all that is read has a digest.

    Raises:
        ModelError: the weights or the words have none.
    """
    for name in (WEIGHTS, *([WORD_VECTORS] if options.n_words else [])):
        if name not in files:
            raise ModelError(f"{directory / INFO}: files: it has no digest of {name}")


def _require_shapes(path: Path, options: TaggerOptions, n_members: int) -> None:
    """Compare the shapes in a file of weights with those that the options imply, before memory is taken for any.

    Raises:
        ModelError: one is missing, another one, or there are others.
    """
    with open_hdf5(path) as file:
        expected = {
            _prefix(number, n_members) + name: shape
            for number in range(n_members)
            for name, shape in (weight_shapes(options) | (_tuned_shape(options) if number else {})).items()
        }
        for name, shape in expected.items():
            check_shape(find_dataset(file, name), shape or (1,))
        if surplus := sorted(names_of_datasets(file) - expected.keys()):
            raise ModelError(f"{path}: {one_line(surplus[0])}: the options imply no such dataset")
        require_numbers(file, sum(map(math.prod, expected.values())))


def _tuned_shape(options: TaggerOptions) -> dict[str, tuple[int, ...]]:
    """The shape of the learned word vectors, if there are any, which only a joined tagger has among the weights."""
    return {_WORD_TABLE: (options.n_tuned_words, options.word_dim)} if options.n_words else {}


def require_bilm_fits(directory: Path, options: TaggerOptions, n_layers: int, dim: int) -> None:
    """Hold what a tagger reads of its biLM to the biLM that stands beside it.

    Raises:
        ModelError: the biLM has no such layer, or vectors of another size.
    """
    if options.elmo_dim != dim:
        raise ModelError(
            f"{directory / INFO}: options.elmo_dim: found {options.elmo_dim}, but its biLM has vectors of {dim} numbers"
        )
    if max(options.elmo_layers) >= n_layers:
        raise ModelError(
            f"{directory / INFO}: options.elmo_layers: found {max(options.elmo_layers)}, but its biLM has layers 0 to "
            f"{n_layers - 1}"
        )


def _temperature(info: Mapping[str, Any]) -> float:
    """The temperature that ``tagger.json`` says.

    Raises:
        ValueError: it is not a positive number.
    """
    temperature = info.get("calibration", {}).get("temperature", 1.0)
    if isinstance(temperature, bool) or not isinstance(temperature, int | float):
        raise ValueError(f"its temperature is {shown_value(temperature)}")
    temperature = float(temperature)
    if not 0 < temperature < math.inf:
        raise ValueError(f"its temperature is {temperature}")
    return temperature


def _is_ours(name: str) -> bool:
    parts = name.split("/")
    return (parts[0] not in ("", "..") and len(parts) <= 2 and ".." not in parts) or (
        len(parts) == 3 and parts[:2] == ["..", BILM] and parts[2] != ".."
    )


def _read_weights(path: Path, model: TaggerModel, number: int, n_members: int) -> dict[str, torch.Tensor]:
    prefix = _prefix(number, n_members)
    with open_hdf5(path) as file:
        return {
            name: torch.from_numpy(read_array(file, prefix + name, _stored_shape(value)).reshape(value.shape))
            for name, value in model.state_dict().items()
            if number or name != _WORD_TABLE
        }


def _require_bounded(path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Transitions so large that they outweigh what the tag scheme forbids would make impossible sequences the best.

    Raises:
        ModelError: there are such.
    """
    for name, value in state.items():
        if name.startswith("crf.") and (most := float(value.abs().max())) > EMISSION_LIMIT:
            raise ModelError(f"{path}: {name}: found {most:.3g}, expected numbers within {EMISSION_LIMIT:g}")


def _read_words(path: Path, options: TaggerOptions) -> tuple[Words, np.ndarray]:
    with open_hdf5(path) as file:
        require_numbers(file, options.n_words * options.word_dim)
        table = read_array(file, "vectors", (options.n_words, options.word_dim))
        dataset = find_dataset(file, "words")
        if dataset.dtype != np.uint8 or len(dataset.shape) != 1:
            raise ModelError(f"{path}: words: found {dataset.dtype} {dataset.shape}, expected UTF-8 bytes")
        try:
            words = read_values(dataset).tobytes().decode("utf-8", "surrogatepass").split("\n")
        except UnicodeDecodeError as error:
            raise ModelError(f"{path}: words: damaged ({error.reason} at byte {error.start:,})") from None
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
