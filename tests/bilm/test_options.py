"""options.json: what no network can have is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ner_elmo.bilm.options import options_to_json, parse_options, read_options
from ner_elmo.errors import ModelError
from tests.support.small_bilms import make_options


def test_another_number_of_characters_is_refused() -> None:
    values = options_to_json(make_options())
    values["char_cnn"]["n_characters"] = 300
    with pytest.raises(ModelError, match=r"n_characters: found 300, expected 261 \(training\) or 262 \(inference\)"):
        parse_options(values)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"filters": [[1, "many"]]}, r"filters: found \[\[1, 'many'\]\], expected a list of \[width, number\] pairs"),
        ({"filters": [[13, 1]]}, "expected widths from 1 to 12"),
        ({"embedding": 16}, "char_cnn.embedding: found 16, expected a section with dim"),
        ({"n_highway": -1}, "n_highway: found -1, expected a whole number of at least 0"),
        ({"max_characters_per_token": 2}, "max_characters_per_token: found 2"),
    ],
)
def test_impossible_character_options_are_refused(section: dict[str, Any], message: str) -> None:
    values = options_to_json(make_options())
    with pytest.raises(ModelError, match=message):
        parse_options(values | {"char_cnn": values["char_cnn"] | section})


@pytest.mark.parametrize(
    ("key", "value"), [("cell_clip", float("nan")), ("use_skip_connections", "no"), ("n_layers", 0), ("dim", True)]
)
def test_impossible_lstm_options_are_refused(key: str, value: Any) -> None:
    values = options_to_json(make_options())
    with pytest.raises(ModelError, match=rf"lstm\.{key}: found"):
        parse_options(values | {"lstm": values["lstm"] | {key: value}})
    with pytest.raises(ModelError, match=r"char_cnn: found \['x'\], expected a section"):
        parse_options(values | {"char_cnn": ["x"]})


def test_characters_cannot_be_tied(tmp_path: Path) -> None:
    path = tmp_path / "options.json"
    path.write_text(json.dumps(options_to_json(make_options()) | {"share_embedding_softmax": True}))

    with pytest.raises(ModelError, match="only models with word input"):
        read_options(path)
