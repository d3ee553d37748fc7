"""Models of ELMoForManyLangs: what does not fit is refused; what they cannot become is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ner_elmo.bilm.files.conversion import convert_bilm, write_published_pair
from ner_elmo.bilm.files.many_langs import ENCODER, TOKEN_EMBEDDER, read_many_langs
from ner_elmo.cli.main import main
from ner_elmo.errors import ModelError


@pytest.fixture
def folder(goldens: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(goldens / "elmoformanylangs" / "char_word", tmp_path / "model"))


def change_config(folder: Path, part: str, **changes: Any) -> None:
    path = folder / "cnn_tiny.json"
    values = json.loads(path.read_text())
    values[part] |= changes
    path.write_text(json.dumps(values))


def change_weights(path: Path, name: str, change: Callable[[torch.Tensor], torch.Tensor | None]) -> None:
    state = dict(torch.load(path, weights_only=True))
    value = change(state.pop(name))
    torch.save(state if value is None else {**state, name: value}, path)


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("encoder", {"n_layers": 1}, r"encoder\.pkl: forward_layer_1.* the configuration implies no such weights"),
        ("encoder", {"n_layers": 3}, "found no weights 'forward_layer_2"),
        ("encoder", {"dim": 20}, r"found shape \(96, 8\), but the configuration implies \(80, 8\)"),
        ("encoder", {"dim": 8}, "found dim and projection_dim 8, expected two different numbers"),
        ("encoder", {"dim": "big"}, r"cnn_tiny\.json: lstm\.dim: found 'big'"),
        ("encoder", {"name": "lstm"}, "found encoder 'lstm' and token embedder 'cnn', expected elmo and cnn"),
        ("token_embedder", {"n_highway": 1}, r"highways\._layers\.1.* the configuration implies no such weights"),
        ("token_embedder", {"activation": "gelu"}, "activation: found 'gelu', expected one of relu, tanh"),
        ("token_embedder", {"filters": [[99, 3]]}, "expected widths from 1 to"),
        ("token_embedder", {"word_dim": 0, "char_dim": 0}, "expected tokens to have words or characters"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(
    folder: Path, part: str, changes: dict[str, Any], message: str
) -> None:
    change_config(folder, part, **changes)
    with pytest.raises(ModelError, match=message):
        read_many_langs(folder)


def test_weights_that_do_not_fit_are_refused(folder: Path) -> None:
    change_weights(folder / TOKEN_EMBEDDER, "projection.weight", lambda w: w[:, 1:])
    with pytest.raises(ModelError, match=r"projection\.weight: found shape .* but the configuration implies"):
        read_many_langs(folder)
    change_weights(folder / TOKEN_EMBEDDER, "projection.bias", lambda _: None)
    with pytest.raises(ModelError, match=r"found no weights 'projection\.bias'"):
        read_many_langs(folder)
    (folder / ENCODER).write_bytes(b"not a pickle")
    with pytest.raises(ModelError, match=r"encoder\.pkl: not weights that can be read safely"):
        read_many_langs(folder)


def test_lexicons_are_checked(folder: Path) -> None:
    (folder / "word.dic").write_text("a\t0\nb\n")
    with pytest.raises(ModelError, match=r"word\.dic:2: found 'b', expected a token, a tab and its number"):
        read_many_langs(folder)
    (folder / "config.json").write_text('{"config_path": "../elsewhere.json"}')
    with pytest.raises(ModelError, match=r"config_path is '\.\./elsewhere\.json'"):
        read_many_langs(folder)


def test_pickles_that_would_run_code_are_refused(folder: Path) -> None:
    torch.save({"x": Path("x")}, folder / ENCODER)  # any class will do
    with pytest.raises(ModelError, match="not weights that can be read safely"):
        read_many_langs(folder)


def test_info_says_its_shape_and_convert_that_it_cannot(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bilm"]["shape"] == "2x24_8_18cnn_2xhighway"
    for convert in (write_published_pair, lambda a, b: convert_bilm(a, b, "float16")):
        with pytest.raises(ModelError, match="no place in the published format"):
            convert(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
