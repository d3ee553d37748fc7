"""A biLM as a folder of files (``docs/design.md`` §4), and the other places a biLM may be found in."""

from __future__ import annotations

import atexit
import dataclasses
import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from ner_elmo.bilm.files.many_langs import CLASSIFIER, ENCODER, is_many_langs, read_many_langs, read_many_langs_options
from ner_elmo.bilm.files.many_langs import CONFIG as MANY_LANGS_CONFIG
from ner_elmo.bilm.files.weights import read_weights, write_weights
from ner_elmo.bilm.model import BiLm
from ner_elmo.bilm.options import BilmOptions, options_to_json, read_options
from ner_elmo.bilm.softmax import Softmax
from ner_elmo.errors import ModelError, NerElmoError, UsageError, one_line, shown_value
from ner_elmo.text.files import is_locked, is_there, json_of, json_text, replace_directory, sha256_of_file, shown_name
from ner_elmo.text.hdf5 import Hdf5Writer, open_hdf5, read_array, write_array
from ner_elmo.text.python_inputs import checked_path
from ner_elmo.text.suitability import Known
from ner_elmo.text.tokenizer import text_kind
from ner_elmo.text.vocabulary import SPECIALS, Vocabulary, read_vocabulary, write_vocabulary

FORMAT_VERSION = 1
MODELS_GROUP = "ner_elmo.models"  # entry points of packages that hold a model
_PACKAGE = Path(__file__).resolve().parents[2]
_ALWAYS_UNPACKED = 16 << 20  # bytes that any archive may be
_UNPACKED = {".hdf5", ".json", ".txt", ".pkl", ".dic"}  # what model archives are made of
OPTIONS, WEIGHTS, VOCABULARY, INFO = "options.json", "weights.hdf5", "vocab.txt", "bilm.json"
VOCABULARY_VECTORS, SOFTMAX = "vocab_embedding.hdf5", "softmax.hdf5"
BILM_FILES = frozenset((OPTIONS, WEIGHTS, VOCABULARY, INFO, VOCABULARY_VECTORS, SOFTMAX))
# What a model without bilm.json is taken to be: the published ones were trained on tokenised English, state carried.
DEFAULT_INFO: dict[str, Any] = {
    "format_version": FORMAT_VERSION,
    "text": {"tokens": "whitespace", "normalization": None, "language": None},
    "state": "carried",
    "softmax": None,
    "storage": "float32",
}


@dataclass
class BilmFiles:
    """An opened biLM: where its files are, ``None`` for what is not there.

    Open it once (:func:`find_bilm`) and hand it on: whatever took its path takes the opened one, too, and then neither
    looks for the files nor reads them for their digests again.

    Attributes:
        info: ``bilm.json``, or stated defaults.
        digests: the SHA-256 of each file that was read for it so far: those that ``bilm.json`` records, verified.

    A directory of ELMoForManyLangs has none of the published files but its ``root``.
    """

    root: Path
    options: Path
    weights: Path
    vocabulary: Path | None = None
    vocabulary_vectors: Path | None = None
    softmax: Path | None = None
    many_langs: Path | None = None
    info: Mapping[str, Any] = field(default_factory=lambda: DEFAULT_INFO)
    digests: dict[Path, str] = field(default_factory=dict, repr=False, compare=False)

    def sha256(self, file: Path) -> str:
        """The SHA-256 of one of the files, in hexadecimal; it is read once."""
        if file not in self.digests:
            self.digests[file] = sha256_of_file(file)
        return self.digests[file]

    @property
    def tokenizer(self) -> str:
        """The tokenizer that the model's text went through: ``whitespace`` where it came tokenised."""
        return str(self.info.get("text", {}).get("tokens", "whitespace"))

    def checked_tokenizer(self) -> str:
        """The same, if this program has it.

        Raises:
            ModelError: it has not, with what to do.
        """
        return known_kind(self.tokenizer, self.root / INFO)


BilmPlace = str | Path | BilmFiles


def tokens_seen_in_all(info: Mapping[str, Any]) -> int | None:
    """Tokens that a biLM of ``bilm.json`` has seen, those of the models that it went on from included; ``None`` where
    it does not say."""
    own = info.get("tokens_seen")
    if own is None:
        return None
    before = info.get("parent") or {}
    # An earlier version recorded of a parent only what it had seen itself.
    return int(own) + int(before.get("tokens_seen_in_all") or before.get("tokens_seen") or 0)


def shipped_models(package: Path = _PACKAGE) -> dict[str, Path]:
    """The models that come with the program, by their names: those of a checkout, else those of packages of their own
    (``ner-elmo-model-en``), which name a module with the model's files under the entry point ``ner_elmo.models``."""
    beside = {file.parent.name: file.parent for file in (package.parent / "models").glob("*/tagger.json")}
    return beside or installed_models()


def installed_models() -> dict[str, Path]:
    """The models of installed packages, by their names."""
    found: dict[str, Path] = {}
    for entry in entry_points(group=MODELS_GROUP):
        spec = find_spec(entry.value)
        for place in (spec.submodule_search_locations or []) if spec is not None else []:
            if (Path(place) / "tagger.json").is_file():
                found.setdefault(entry.name, Path(place))
    return found


def shipped_languages() -> dict[str, str | None]:
    """The models that ship, each with the language it was trained for, if its biLM says so."""
    return {name: text_of(folder / "bilm").get("language") for name, folder in shipped_models().items()}


def info_of(folder: Path) -> dict[str, Any]:
    """What ``bilm.json`` in ``folder`` holds; nothing where there is none to read."""
    try:
        return dict(json_of(folder / INFO))
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def text_of(folder: Path) -> dict[str, Any]:
    """What ``bilm.json`` in ``folder`` says of the model's text; nothing where there is none to read."""
    text = info_of(folder).get("text")
    return dict(text) if isinstance(text, Mapping) else {}


def seen_words(vocabulary: Path | None, info: Mapping[str, Any]) -> Known:
    """The words that a biLM has seen, by its ``vocab.txt`` and ``bilm.json``; none where there are none to read."""
    perplexity = info.get("perplexity")
    rate = perplexity.get("unk_rate") if isinstance(perplexity, Mapping) else None
    try:
        words = read_vocabulary(vocabulary).tokens[len(SPECIALS) :] if vocabulary is not None else []
    except (OSError, NerElmoError):
        words = []
    return Known(vocabulary=words, unknown_rate=rate if isinstance(rate, float) else None)


def known_kind(kind: str, info: Path) -> str:
    """The kind of text that a model records, if this program has it.

    Raises:
        ModelError: it has not, with what to do.
    """
    try:
        text_kind(kind)
    except UsageError as error:
        raise ModelError(f"{info}: {error}; or name another kind with --text") from None
    return kind


def find_bilm(place: BilmPlace) -> BilmFiles:
    """Open a biLM: its directory, the name of a model that ships, a run or tagger directory that holds ``bilm/``, or a
    weights file with its options beside it (``X_weights.hdf5`` and ``X_options.json``, or ``options.json``, or the only
    JSON file there); a directory of ELMoForManyLangs; a zip of any directory (NLPL's repository has ``model.hdf5`` in
    it). An opened one is handed back as it is.

    Raises:
        UsageError: nothing of the kind is there; the message says what was looked for.
        ModelError: ``bilm.json`` is damaged, or a file differs from its recorded digest.
    """
    if isinstance(place, BilmFiles):
        return place
    path = Path(checked_path(place, "the directory, file or name of a biLM"))
    if not is_there(path):
        shipped = shipped_models()
        if str(place) not in shipped:
            names = f", or a model that ships: {', '.join(sorted(shipped))}" if shipped else ""
            raise UsageError(
                f"{shown_name(path)}: no such file or directory; expected a biLM: the folder that pretrain wrote, a "
                f"weights file with its options beside it, or a zip of these{names}"
            )
        path = shipped[str(place)]
    if path.is_file() and (path.suffix == ".zip" or zipfile.is_zipfile(path)):
        return dataclasses.replace(find_bilm(unpack(path)), root=path)
    if path.is_file():
        return BilmFiles(path.parent, _options_beside(path), path, _vocabulary_beside(path))
    for folder in (path, path / "bilm"):
        if (folder / OPTIONS).is_file() and (folder / WEIGHTS).is_file():
            return _from_directory(folder)
        if is_many_langs(folder):
            return BilmFiles(folder, folder / MANY_LANGS_CONFIG, folder / ENCODER, many_langs=folder)
    weights = sorted(path.glob("*.hdf5"))
    if len(weights) == 1:
        return BilmFiles(path, _options_beside(weights[0]), weights[0], _vocabulary_beside(weights[0]))
    raise UsageError(f"{path}: found no biLM; expected {OPTIONS} and {WEIGHTS} in it or in its folder bilm/")


def unpack(archive: Path) -> Path:
    """Unpack the model files of a zip into a folder that lasts as long as this process.

    Returns:
        The folder, or the one folder in it if there is nothing else. It has the archive's name, for messages.

    Raises:
        ModelError: the archive is damaged.
    """
    temporary = Path(tempfile.mkdtemp(prefix="ner-elmo-"))
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    folder = temporary / archive.name
    folder.mkdir()
    try:
        with zipfile.ZipFile(archive) as file:
            if is_locked(file):
                raise ModelError(f"{archive}: found a zip with a password, expected one without; unpack it")
            _require_honest(archive, file)
            for member in file.infolist():
                name = PurePosixPath(member.filename)
                if name.suffix in _UNPACKED and not name.is_absolute() and ".." not in name.parts:
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    with file.open(member) as source, open(folder / name, "wb") as target:
                        shutil.copyfileobj(source, target)
    except ModelError:
        raise
    except OSError as error:
        raise NerElmoError(
            f"{archive}: cannot be unpacked into {temporary} ({error.strerror or error}); set TMPDIR to "
            "a folder with more space"
        ) from None
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"{archive}: damaged ({error})") from None
    inside = [entry for entry in folder.iterdir() if entry.name != "__MACOSX"]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() and inside[0].name != "bilm" else folder


def _require_honest(archive: Path, file: zipfile.ZipFile) -> None:
    """Make sure that a zip does not grow beyond what models do; their numbers hardly become smaller by packing.

    Raises:
        ModelError: it does.
    """
    size, most = sum(member.file_size for member in file.infolist()), 20 * archive.stat().st_size + _ALWAYS_UNPACKED
    if size > most:
        raise ModelError(
            f"{archive}: would be {size:,} bytes unpacked, expected a model of its size to be {most:,} at most"
        )


def _options_beside(weights: Path) -> Path:
    if weights.suffix not in (".hdf5", ".h5"):
        raise UsageError(f"{weights}: found a file, expected a biLM directory or a weights file (.hdf5)")
    named = weights.with_name(weights.name.replace("weights", "options")).with_suffix(".json")
    for options in (named, weights.with_name(OPTIONS)):
        if options.is_file():
            return options
    others = sorted(weights.parent.glob("*.json"))
    if len(others) == 1:
        return others[0]
    raise UsageError(f"{weights}: found no options beside it; expected {named.name} or {OPTIONS}")


def _vocabulary_beside(weights: Path) -> Path | None:
    vocabulary = weights.with_name(VOCABULARY)
    return vocabulary if vocabulary.is_file() else None


def _from_directory(folder: Path) -> BilmFiles:
    def present(name: str) -> Path | None:
        return folder / name if (folder / name).is_file() else None

    files = BilmFiles(
        root=folder,
        options=folder / OPTIONS,
        weights=folder / WEIGHTS,
        vocabulary=present(VOCABULARY),
        vocabulary_vectors=present(VOCABULARY_VECTORS),
        softmax=present(SOFTMAX),
    )
    if (info := present(INFO)) is not None:
        files.info = _read_info(info)
        _verify(files)
    elif own := files.softmax or files.vocabulary_vectors:
        # A published model has neither. How its text is read would be guessed, and other vectors come out.
        raise ModelError(f"{folder / INFO}: missing, though {own.name} is there, which this program writes beside it")
    return files


def _read_info(path: Path) -> dict[str, Any]:
    try:
        info = json_of(path)
        version = info["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{path}: damaged ({one_line(str(error))})") from None
    if isinstance(version, bool) or version != FORMAT_VERSION:
        raise ModelError(
            f"{path}: found format_version {shown_value(version)}, this program reads {FORMAT_VERSION}; "
            "try a newer ner-elmo"
        )
    _check_info(path, info)
    if info.get("initial_state") is not None:  # reserved; without it the model would give other vectors
        raise ModelError(
            f"{path}: found an initial_state, but this program starts every sentence from the zero state; "
            "try a newer ner-elmo"
        )
    return info  # type: ignore[no-any-return]


def _check_info(path: Path, info: Mapping[str, Any]) -> None:
    """Hold what is read of ``bilm.json`` to its types.

    Raises:
        ModelError: for the first key that does not fit.
    """
    text, softmax = info.get("text"), info.get("softmax")
    checks = (
        ("text", text, isinstance(text, dict), "an object"),
        ("text.tokens", *_is_text(text, "tokens"), "the name of a kind of text"),
        ("state", info.get("state"), info.get("state") in (None, "zero", "carried"), "zero or carried"),
        ("softmax", softmax, softmax is None or isinstance(softmax, dict), "an object, or none"),
        ("storage", info.get("storage"), info.get("storage") in (None, "float32", "float16"), "float32 or float16"),
        ("sha256", info.get("sha256"), _are_digests(info.get("sha256", {})), "a digest for each file"),
    )
    for key, value, is_sound, wanted in checks:
        if not is_sound:
            raise ModelError(f"{path}: {key}: found {shown_value(value)}, expected {wanted}")


def _is_text(section: Any, key: str) -> tuple[Any, bool]:
    value = section.get(key) if isinstance(section, dict) else None
    return value, isinstance(value, str)


def _are_digests(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(digest, str) for digest in value.values())


def _verify(files: BilmFiles) -> None:
    """Compare every file with its digest in ``bilm.json``.

    Raises:
        ModelError: one is missing or differs, or one that would be read has none; the message names it.
    """
    digests = files.info.get("sha256", {})
    read = (files.options, files.weights, files.vocabulary, files.vocabulary_vectors, files.softmax)
    for file in filter(None, read if digests else ()):
        if file.name not in digests:
            raise ModelError(f"{file}: {INFO} has no digest of it, so it is another model's; remove it")
    for name, digest in files.info.get("sha256", {}).items():
        file = files.root / name
        if Path(name).name != name or not file.is_file():
            # The softmax is only needed for perplexity and further training; copies for tagging leave it out.
            if name == SOFTMAX:
                continue
            raise ModelError(f"{file}: missing, though {INFO} lists it")
        if files.sha256(file) != digest:
            raise ModelError(
                f"{file}: its contents differ from the digest in {INFO}; the file is damaged or was changed"
            )


def load_options(files: BilmFiles) -> BilmOptions:
    """The network's shape."""
    return read_many_langs_options(files.many_langs)[0] if files.many_langs else read_options(files.options)


def load_bilm(files: BilmFiles) -> BiLm:
    """The network with its weights, in evaluation mode, frozen."""
    if files.many_langs is not None:
        model = read_many_langs(files.many_langs)
    else:
        model = read_weights(files.weights, read_options(files.options))
    return model.eval().requires_grad_(False)


def load_vocabulary(files: BilmFiles) -> Vocabulary:
    """The model's vocabulary.

    Raises:
        ModelError: the model has none.
    """
    if files.vocabulary is None:
        raise ModelError(f"{files.root}: found no {VOCABULARY}")
    return read_vocabulary(files.vocabulary)


def load_softmax(files: BilmFiles, vocabulary: Vocabulary, dim: int) -> Softmax:
    """The output layer; its weights are those of the word table where the model shares them.

    Raises:
        ModelError: the model has none (published models never do, and a tagger's copy need not).
    """
    if files.softmax is None:
        raise ModelError(
            f"{files.root}: found no {SOFTMAX}; perplexity and further training need the output layer, "
            "which published weight files do not hold"
        )
    with open_hdf5(files.weights if is_tied(files.info) else files.softmax) as file:
        weight = read_array(file, "embedding" if is_tied(files.info) else "weight", (len(vocabulary), dim))
    with open_hdf5(files.softmax) as file:
        bias = read_array(file, "bias", (len(vocabulary),))
    softmax = Softmax(len(vocabulary), dim)
    with torch.no_grad():
        softmax.weight.copy_(torch.from_numpy(weight))
        softmax.bias.copy_(torch.from_numpy(bias))
    return softmax


def is_tied(info: Mapping[str, Any]) -> bool:
    """Whether ``bilm.json`` says that word table and output layer share their weights, which are then stored once."""
    return bool((info.get("softmax") or {}).get("tied", False))


def write_bilm(
    folder: str | Path,
    model: BiLm,
    softmax: Softmax,
    vocabulary: Vocabulary,
    info: Mapping[str, Any],
    storage: str = "float32",
) -> None:
    """Write a biLM directory; it replaces ``folder`` once it is complete.

    Args:
        info: what ``bilm.json`` says beyond the format's version, the storage and the digests.
        storage: ``float32``, or ``float16`` for half the size.
    """
    with replace_directory(folder) as temporary:
        options = options_to_json(model.options) | {"n_tokens_vocab": len(vocabulary)}
        (temporary / OPTIONS).write_text(json.dumps(options, indent=2) + "\n", encoding="utf-8")
        write_weights(model, temporary / WEIGHTS, storage)
        write_vocabulary(vocabulary, temporary / VOCABULARY)
        if model.options.char_cnn is not None and storage == "float32":
            # In float16 they would be rounded once more, and be most of the directory.
            with Hdf5Writer(temporary / VOCABULARY_VECTORS) as file:
                write_array(file, "embedding", encode_tokens(model, vocabulary.tokens).numpy())
        with Hdf5Writer(temporary / SOFTMAX) as file:
            if not is_tied(info):
                write_array(file, "weight", softmax.weight.detach().float().cpu().numpy(), storage)
            write_array(file, "bias", softmax.bias.detach().float().cpu().numpy(), storage)
        digests = {file.name: sha256_of_file(file) for file in sorted(temporary.iterdir())}
        values = {**info, "format_version": FORMAT_VERSION, "storage": storage, "sha256": digests}
        (temporary / INFO).write_text(json_text(values, indent=2) + "\n", encoding="utf-8")


def encode_tokens(model: BiLm, tokens: list[str], rows: int = 1024) -> torch.Tensor:
    """Context-free vectors ``(len(tokens), projection_dim)`` of tokens by the character CNN."""
    model.eval()
    device = next(model.parameters()).device
    with torch.inference_mode():
        parts = [
            model.token_encoder(model.token_encoder.rows_of(tokens[i : i + rows]).to(device))
            for i in range(0, len(tokens), rows)
        ]
    return torch.cat(parts).cpu() if parts else torch.empty(0, model.options.lstm.projection_dim)


def copy_bilm(source: BilmPlace, target: str | Path, with_softmax: bool = False) -> dict[str, str]:
    """Copy what inference needs of a biLM into the folder ``target``, as a biLM directory.

    Returns:
        The SHA-256 of each file in it, by its name.
    """
    files = find_bilm(source)
    target = Path(target)
    target.mkdir(parents=True, exist_ok=True)
    if files.many_langs is not None:
        parts = [part for part in files.many_langs.iterdir() if part.suffix in _UNPACKED and part.name != CLASSIFIER]
        for part in parts:
            shutil.copyfile(part, target / part.name)
        return {part.name: files.sha256(part) for part in parts}
    named = {OPTIONS: files.options, WEIGHTS: files.weights, VOCABULARY: files.vocabulary}
    named |= {VOCABULARY_VECTORS: files.vocabulary_vectors, SOFTMAX: files.softmax if with_softmax else None}
    present = {name: file for name, file in sorted(named.items()) if file is not None}
    for name, file in present.items():
        shutil.copyfile(file, target / name)
    digests = {name: files.sha256(file) for name, file in present.items()}
    values = {**files.info, "sha256": digests}
    (target / INFO).write_text(json_text(values, indent=2) + "\n", encoding="utf-8")
    return digests | {INFO: sha256_of_file(target / INFO)}


def describe_options(options: BilmOptions) -> str:
    """The shape in the words of the published models, such as ``2x1024_128_2048cnn_1xhighway``."""
    lstm, cnn = options.lstm, options.char_cnn
    shape = f"{lstm.n_layers}x{lstm.dim}_{lstm.projection_dim}"
    return f"{shape}_{cnn.n_filters}cnn_{cnn.n_highway}xhighway" if cnn else f"{shape}_words"
