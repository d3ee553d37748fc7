"""What ``ner_elmo`` gives: every name is there, comes from its home, and costs nothing before it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ner_elmo


def test_every_public_name_is_there_and_has_words() -> None:
    for name in ner_elmo.__all__:
        value = getattr(ner_elmo, name)
        assert name == "__version__" or value.__doc__, name
    assert set(ner_elmo.__all__) <= set(dir(ner_elmo))


def test_what_type_checkers_see_is_what_python_gives(repository: Path) -> None:
    tree = ast.parse((repository / "ner_elmo" / "__init__.py").read_text(encoding="utf-8"))
    (seen,) = (
        node for node in tree.body if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and not node.orelse
    )
    homes = {alias.name: node.module for node in seen.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert homes == ner_elmo._HOME_OF
    assert {*homes, "__version__"} == set(ner_elmo.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'ner_elmo' has no attribute 'tagg'"):
        _ = ner_elmo.tagg  # type: ignore[attr-defined]


def test_what_needs_no_torch_loads_none(repository: Path) -> None:
    names = "convert, read_corpus, Reading, TaggerConfig, PretrainConfig, Document, DataError"
    code = (
        "import sys, ner_elmo; assert not {'torch', 'numpy', 'h5py'} & set(sys.modules)\n"
        f"from ner_elmo import {names}\n"
        "read_corpus('data/sample.dev.conll'); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
