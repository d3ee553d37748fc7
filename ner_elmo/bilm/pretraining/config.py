"""The settings of a pretraining run: what decides its result."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from ner_elmo.bilm.options import BilmOptions, parse_options
from ner_elmo.errors import DataError
from ner_elmo.text.files import require_file


@dataclass(frozen=True)
class PretrainConfig:
    """Everything that decides the result. ``options`` is the dictionary of an ``options.json``.

    ``options``, ``vocabulary_size``, ``epochs`` and ``heldout_tokens`` (of the sample for perplexity on the way) may be
    left open (``None``) until the text is counted, and ``precision`` (``auto``) until the device is known
    (:func:`ner_elmo.bilm.pretraining.defaults.settle`). ``dropout`` takes the
    place of the options'. ``schedule``, ``layer_decay``, ``unfreeze`` and ``softmax_steps`` are those of
    :mod:`ner_elmo.bilm.pretraining.schedule`. With ``carry_state`` a batch has ``batch_tokens // unroll_steps`` rows
    (:mod:`ner_elmo.bilm.data.running_text`).
    """

    corpus: list[str]
    options: dict[str, Any] | None = None
    heldout: str | None = None
    text: str = "tokenized"
    encoding: str = "utf-8"
    vocabulary: str | None = None
    vocabulary_size: int | None = None
    min_count: int = 2
    init: str | None = None
    dropout: float | None = None
    softmax: str = "auto"
    n_samples: int = 4096
    carry_state: bool = False
    unroll_steps: int = 20
    order: str = "shuffled"
    optimizer: str = "adam"
    weight_decay: float = 0.0
    learning_rate: float = 2e-3
    warmup_steps: int = 200
    decay_share: float = 0.4
    schedule: str = "linear"
    layer_decay: float = 1.0
    unfreeze: float = 0.0
    softmax_steps: int | None = None
    clip_norm: float = 1.0
    batch_tokens: int = 3072
    epochs: int | None = None
    max_tokens: int | None = None
    heldout_tokens: int | None = None
    evaluations: int = 10
    checkpoint_steps: int | None = 500
    checkpoint_minutes: float | None = None
    seed: int = 1
    precision: str = "auto"
    language: str | None = None
    licence: str | None = None

    @property
    def bilm_options(self) -> BilmOptions:
        return parse_options(self.options or {})

    def tokens_to_train_on(self, n_tokens: int) -> int:
        """Of a text of ``n_tokens``: all epochs, or ``max_tokens``."""
        return int(min(self.max_tokens or math.inf, (self.epochs or 1) * n_tokens))


def read_config(path: str | Path) -> PretrainConfig:
    """Read the ``config.json`` of a run.

    Raises:
        UsageError: no such file.
        DataError: not JSON, an unknown key, or a value of another type.
    """
    path = require_file(path, "configuration")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: damaged ({error})") from None
    if not isinstance(values, dict) or "corpus" not in values:
        raise DataError(f"{path}: found no 'corpus', expected the config.json of a pretraining run")
    types = get_type_hints(PretrainConfig)
    known = {field.name for field in fields(PretrainConfig)}
    for key, value in values.items():
        if key not in known:
            raise DataError(f"{path}: found an unknown setting {key!r}; expected some of {', '.join(sorted(known))}")
        if not _fits(value, types[key]):
            raise DataError(f"{path}: {key}: found {value!r}, expected {_type_name(types[key])}")
    return PretrainConfig(**values)


def _fits(value: Any, wanted: Any) -> bool:
    choices = get_args(wanted) if get_origin(wanted) not in (None, list, dict) else (wanted,)
    plain = tuple(get_origin(choice) or choice for choice in choices)
    if isinstance(value, bool):
        return bool in plain
    return isinstance(value, plain) or (float in plain and isinstance(value, int))


def _type_name(wanted: Any) -> str:
    choices = get_args(wanted) if get_origin(wanted) not in (None, list, dict) else (wanted,)
    names = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", NoneType: "null"}
    names |= {list: "a list", dict: "an object"}
    return " or ".join(names[get_origin(choice) or choice] for choice in choices)
