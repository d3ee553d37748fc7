"""``options.json``: what a biLM's network looks like, as published for ELMo (bilm-tf, AllenNLP)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ner_elmo.errors import ModelError, UsageError, one_line, shown_value
from ner_elmo.text.files import json_of, require_file

ACTIVATIONS = ("relu", "tanh")
_MOST = 1 << 31  # of any whole number here: what is above was never meant
_MOST_CHARACTERS = 1024  # bytes of a token that can be read; published models read 48
_MOST_CLIP = 1e30  # float32 has hardly more


@dataclass(frozen=True)
class CharCnnOptions:
    """The character CNN: ``filters`` are (width in characters, number of filters), in the order of the weight file."""

    filters: tuple[tuple[int, int], ...]
    embedding_dim: int = 16
    activation: str = "relu"
    max_characters_per_token: int = 50
    n_highway: int = 1

    @property
    def n_filters(self) -> int:
        return sum(count for _, count in self.filters)


@dataclass(frozen=True)
class LstmOptions:
    """One direction's stack. A clip of ``None`` is off. ``dim == projection_dim`` means: no projection matrix."""

    dim: int
    projection_dim: int
    n_layers: int = 2
    cell_clip: float | None = None
    proj_clip: float | None = None
    use_skip_connections: bool = True

    @property
    def has_projection(self) -> bool:
        return self.dim != self.projection_dim


@dataclass(frozen=True)
class BilmOptions:
    """The network. ``char_cnn`` is ``None`` for word input. ``extra`` keeps every other key of the file as it was."""

    lstm: LstmOptions
    char_cnn: CharCnnOptions | None
    dropout: float = 0.1
    n_tokens_vocab: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def output_dim(self) -> int:
        """Width of a layer's vectors: forward and backward halves, 2 · projection_dim."""
        return 2 * self.lstm.projection_dim

    @property
    def tied(self) -> bool:
        """Whether word table and output layer share their weights; ``share_embedding_softmax`` in the file."""
        return bool(self.extra.get("share_embedding_softmax", False))

    @property
    def max_characters(self) -> int:
        return self.char_cnn.max_characters_per_token if self.char_cnn else 50


_FILTERS = ((1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024))


def _size(
    dim: int, projection_dim: int, n_highway: int, filters: tuple[tuple[int, int], ...] = _FILTERS
) -> BilmOptions:
    return BilmOptions(
        lstm=LstmOptions(dim=dim, projection_dim=projection_dim),
        char_cnn=CharCnnOptions(filters=filters, n_highway=n_highway),
    )


# Published shapes (small, medium, original); tiny is for tests, compact for training on a CPU. Without clips: see
# docs/design.md §6.
SIZES = {
    "tiny": _size(128, 32, 1, ((1, 16), (2, 16), (3, 32))),
    "compact": _size(512, 128, 1, _FILTERS[:5]),
    "small": _size(1024, 128, 1),
    "medium": _size(2048, 256, 1),
    "original": _size(4096, 512, 2),
}


def size(name: str) -> BilmOptions:
    """The options of a named size.

    Raises:
        UsageError: there is no such size.
    """
    if name not in SIZES:
        raise UsageError(f"--size {name}: unknown; expected one of {', '.join(SIZES)}, or --options FILE")
    return SIZES[name]


def _number(
    section: Mapping[str, Any], key: str, where: str, default: int | None = None, least: int = 1, most: int = _MOST
) -> int:
    value = section.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        bounds = f"of at least {least}" if most == _MOST else f"from {least} to {most}"
        raise ModelError(f"{where}.{key}: found {shown_value(value)}, expected a whole number {bounds}")
    return value


def _clip(section: Mapping[str, Any], key: str, where: str) -> float | None:
    value = section.get(key)
    if value is None or value == 0:
        return None  # bilm-tf would clip to zero at 0 and lose everything; AllenNLP reads 0 as "off"
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _MOST_CLIP:  # not: NaN
        raise ModelError(f"{where}.{key}: found {shown_value(value)}, expected a positive number or null")
    return float(value)


def _flag(section: Mapping[str, Any], key: str, where: str) -> bool:
    value = section.get(key) or False
    if not isinstance(value, bool):
        raise ModelError(f"{where}.{key}: found {shown_value(value)}, expected true or false")
    return bool(value)


def parse_options(values: Mapping[str, Any], name: str = "options.json") -> BilmOptions:
    """Read the dictionary of an ``options.json``; keys that do not shape the network are kept in ``extra``.

    Raises:
        ModelError: a key that is missing or has an impossible value.
    """
    lstm = values.get("lstm")
    if not isinstance(lstm, Mapping):
        raise ModelError(f"{name}: found no 'lstm' section, expected the options of a biLM")
    where = f"{name}: lstm"
    lstm_options = LstmOptions(
        dim=_number(lstm, "dim", where),
        projection_dim=_number(lstm, "projection_dim", where),
        n_layers=_number(lstm, "n_layers", where, default=1),
        cell_clip=_clip(lstm, "cell_clip", where),
        proj_clip=_clip(lstm, "proj_clip", where),
        use_skip_connections=_flag(lstm, "use_skip_connections", where),
    )
    char_cnn = values.get("char_cnn") or None
    if not isinstance(char_cnn, Mapping | None):
        raise ModelError(f"{name}: char_cnn: found {shown_value(char_cnn)}, expected a section, or none for word input")
    known = {"lstm", "char_cnn", "dropout", "n_tokens_vocab"}
    dropout = values.get("dropout", 0.1)
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ModelError(f"{name}: dropout: found {shown_value(dropout)}, expected a number from 0 to below 1")
    if char_cnn and values.get("share_embedding_softmax"):
        raise ModelError(
            f"{name}: share_embedding_softmax: only models with word input (no char_cnn) have word vectors to share"
        )
    n_tokens = values.get("n_tokens_vocab")
    if n_tokens is not None and (isinstance(n_tokens, bool) or not isinstance(n_tokens, int) or n_tokens < 0):
        raise ModelError(f"{name}: n_tokens_vocab: found {shown_value(n_tokens)}, expected a whole number, or none")
    return BilmOptions(
        lstm=lstm_options,
        char_cnn=_parse_char_cnn(char_cnn, f"{name}: char_cnn") if char_cnn else None,
        dropout=float(dropout),
        n_tokens_vocab=values.get("n_tokens_vocab"),
        extra={key: value for key, value in values.items() if key not in known},
    )


def _parse_char_cnn(section: Mapping[str, Any], where: str) -> CharCnnOptions:
    filters = section.get("filters")
    if (
        not isinstance(filters, list)
        or not filters
        or not all(isinstance(pair, list) and [type(number) for number in pair] == [int, int] for pair in filters)
    ):
        raise ModelError(f"{where}.filters: found {shown_value(filters)}, expected a list of [width, number] pairs")
    activation = section.get("activation")
    if activation not in ACTIVATIONS:
        raise ModelError(
            f"{where}.activation: found {shown_value(activation)}, expected one of {', '.join(ACTIVATIONS)}"
        )
    n_characters = section.get("n_characters", 262)
    if isinstance(n_characters, float) or n_characters not in (261, 262):
        raise ModelError(
            f"{where}.n_characters: found {shown_value(n_characters)}, expected 261 (training) or 262 (inference)"
        )
    max_characters = _number(section, "max_characters_per_token", where, least=3, most=_MOST_CHARACTERS)
    widths = [width for width, _ in filters]
    if max(widths) > max_characters or min(widths) < 1 or min(count for _, count in filters) < 1:
        raise ModelError(
            f"{where}.filters: found {shown_value(filters)}, expected widths from 1 to {max_characters} and numbers "
            "above 0"
        )
    embedding = section.get("embedding")
    if not isinstance(embedding, Mapping):
        raise ModelError(f"{where}.embedding: found {shown_value(embedding)}, expected a section with dim")
    return CharCnnOptions(
        filters=tuple((int(width), int(count)) for width, count in filters),
        embedding_dim=_number(embedding, "dim", f"{where}.embedding"),
        activation=activation,
        max_characters_per_token=max_characters,
        n_highway=0 if section.get("n_highway") is None else _number(section, "n_highway", where, least=0),
    )


def read_options(path: str | Path) -> BilmOptions:
    """Read an ``options.json``.

    Raises:
        UsageError: no such file.
        ModelError: not JSON, or not the options of a biLM.
    """
    path = require_file(path, "options file")
    try:
        values = json_of(path)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not a JSON file ({one_line(str(error))})") from None
    if not isinstance(values, dict):
        raise ModelError(f"{path}: found {type(values).__name__}, expected a JSON object")
    return parse_options(values, str(path))


def options_to_json(options: BilmOptions) -> dict[str, Any]:
    """The dictionary of an ``options.json`` that bilm-tf and AllenNLP can read for inference (n_characters 262)."""
    lstm, cnn = options.lstm, options.char_cnn
    values: dict[str, Any] = {
        **options.extra,
        "dropout": options.dropout,
        "lstm": {
            "dim": lstm.dim,
            "projection_dim": lstm.projection_dim,
            "n_layers": lstm.n_layers,
            "cell_clip": lstm.cell_clip,
            "proj_clip": lstm.proj_clip,
            "use_skip_connections": lstm.use_skip_connections,
        },
    }
    if options.n_tokens_vocab is not None:
        values["n_tokens_vocab"] = options.n_tokens_vocab
    if cnn is not None:
        values["char_cnn"] = {
            "activation": cnn.activation,
            "embedding": {"dim": cnn.embedding_dim},
            "filters": [list(pair) for pair in cnn.filters],
            "max_characters_per_token": cnn.max_characters_per_token,
            "n_characters": 262,
            "n_highway": cnn.n_highway,
        }
    return values
