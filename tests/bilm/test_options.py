"""``options.json``: what is read from it, what is refused, and that it comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ner_elmo.bilm.options import SIZES, CharCnnOptions, LstmOptions, options_to_json, parse_options, read_options, size
from ner_elmo.errors import ModelError, UsageError
from tests.support.small_bilms import make_options

PUBLISHED: dict[str, Any] = {
    "lstm": {
        "use_skip_connections": True,
        "projection_dim": 512,
        "cell_clip": 3,
        "proj_clip": 3,
        "dim": 4096,
        "n_layers": 2,
    },
    "char_cnn": {
        "activation": "relu",
        "filters": [[1, 32], [2, 32], [3, 64], [4, 128], [5, 256], [6, 512], [7, 1024]],
        "n_highway": 2,
        "embedding": {"dim": 16},
        "n_characters": 262,
        "max_characters_per_token": 50,
    },
    "bidirectional": True,
    "all_clip_norm_val": 10.0,
    "dropout": 0.1,
    "n_tokens_vocab": 793471,
}


def test_the_published_original_is_read(tmp_path: Path) -> None:
    (tmp_path / "options.json").write_text(json.dumps(PUBLISHED))
    options = read_options(tmp_path / "options.json")
    assert options.lstm == LstmOptions(
        dim=4096, projection_dim=512, n_layers=2, cell_clip=3.0, proj_clip=3.0, use_skip_connections=True
    )
    cnn = options.char_cnn
    assert cnn == CharCnnOptions(
        filters=((1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024)),
        embedding_dim=16,
        activation="relu",
        max_characters_per_token=50,
        n_highway=2,
    )
    assert cnn is not None
    assert (cnn.n_filters, options.output_dim, options.max_characters) == (2048, 1024, 50)
    assert (options.dropout, options.n_tokens_vocab, options.tied) == (0.1, 793471, False)
    assert options.extra == {"bidirectional": True, "all_clip_norm_val": 10.0}  # kept, though nothing is made of them
    assert options_to_json(options) == PUBLISHED


@pytest.mark.parametrize("name", SIZES)
def test_named_sizes_come_back(name: str) -> None:
    options = size(name)
    assert parse_options(options_to_json(options)) == options
    assert json.loads(json.dumps(options_to_json(options))) == options_to_json(options)


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(UsageError, match="--size huge: unknown; expected one of tiny, compact, small, medium, orig"):
        size("huge")


def test_what_is_left_out_has_its_default() -> None:
    options = parse_options({"lstm": {"dim": 8, "projection_dim": 8}})
    assert options.lstm == LstmOptions(dim=8, projection_dim=8, n_layers=1, use_skip_connections=False)
    assert not options.lstm.has_projection
    assert (options.char_cnn, options.dropout, options.n_tokens_vocab, options.extra) == (None, 0.1, None, {})
    assert options.max_characters == 50
    assert parse_options(options_to_json(options)) == options
    without = {**PUBLISHED["char_cnn"], "n_highway": None}
    cnn = parse_options({**PUBLISHED, "char_cnn": without}).char_cnn
    assert cnn is not None
    assert cnn.n_highway == 0


@pytest.mark.parametrize("off", [None, 0, 0.0])
def test_a_clip_of_0_is_off(off: float | None) -> None:
    lstm = {**PUBLISHED["lstm"], "cell_clip": off, "proj_clip": off}
    options = parse_options({**PUBLISHED, "lstm": lstm})
    assert (options.lstm.cell_clip, options.lstm.proj_clip) == (None, None)


def test_a_shared_table_is_kept() -> None:
    options = parse_options({"lstm": PUBLISHED["lstm"], "share_embedding_softmax": True})
    assert options.tied
    assert options_to_json(options)["share_embedding_softmax"] is True


@pytest.mark.parametrize("activation", [None, "gelu"])
def test_other_activations_are_refused(activation: str | None) -> None:
    with pytest.raises(ModelError, match=rf"activation: found {activation!r}, expected one of relu, tanh"):
        parse_options({**PUBLISHED, "char_cnn": {**PUBLISHED["char_cnn"], "activation": activation}})


@pytest.mark.parametrize("dropout", [1.0, -0.1, "0.1", True])
def test_impossible_dropouts_are_refused(dropout: Any) -> None:
    with pytest.raises(ModelError, match=r"dropout: found .* expected a number from 0 to below 1"):
        parse_options({**PUBLISHED, "dropout": dropout})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON file"),
        ('{"a": ' * 50_000, "not a JSON file"),
        ("[1]", "found list, expected a JSON object"),
        ("{}", "found no 'lstm' section, expected the options of a biLM"),
        ('{"lstm": 3}', "found no 'lstm' section"),
        ('{"lstm": {"projection_dim": 4}}', r"lstm\.dim: found None, expected a whole number of at least 1"),
    ],
)
def test_what_is_no_options_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "some.json"
    path.write_text(text)
    with pytest.raises(ModelError, match=rf"some\.json: {message}"):
        read_options(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing\.json"):
        read_options(tmp_path / "missing.json")


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
