"""The index of a corpus: its vectors are the biLM's, and a build that was stopped ends with the same bytes."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.errors import DataError, NerElmoError, UsageError
from ner_elmo.explore import index as index_module
from ner_elmo.explore.index import INFO, OccurrenceIndex, build_index, bytes_for, layer_file, unit_length
from ner_elmo.runs.events import silent
from tests.support.explored import MADE, SENTENCES


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_holds_the_vectors_of_the_bilm(elmo: Elmo, index: OccurrenceIndex) -> None:
    tokens = [token for sentence in SENTENCES for token in sentence]
    assert index.tokens(0, index.n_tokens) == tokens
    expected = np.concatenate(list(elmo.embed(SENTENCES)), axis=1)
    for layer in index.layers:
        np.testing.assert_allclose(index.vectors(layer), unit_length(expected[layer]), atol=1e-3)
    first = tokens.index(index.forms[3])
    of_form = unit_length(expected[0, first, : index.dim // 2])
    np.testing.assert_allclose(index.form_vectors[3], of_form, atol=1e-3)
    assert index.sentence_of(len(SENTENCES[0])) == (len(SENTENCES[0]), len(SENTENCES[0]) + len(SENTENCES[1]))
    assert index.n_bytes <= bytes_for(index.n_tokens, elmo) + 5_000


def test_goes_on_where_it_was_stopped(
    elmo: Elmo, index: OccurrenceIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "CHUNK_TOKENS", 40)

    def stopped_after(n: int) -> Iterator[Sequence[str]]:
        yield from SENTENCES[:n]
        raise KeyboardInterrupt

    for n in (30, 10, 50):  # the second is behind what is there already
        with pytest.raises(KeyboardInterrupt):
            build_index(elmo, lambda n=n: stopped_after(n), tmp_path / "new", MADE, silent)  # type: ignore[misc]
        with pytest.raises(UsageError, match="not finished"):
            OccurrenceIndex(tmp_path / "new")
        with open(tmp_path / "new" / layer_file(1), "ab") as file:
            file.write(b"half written")
    build_index(elmo, lambda: SENTENCES, tmp_path / "new", MADE, silent)
    assert files_of(tmp_path / "new") == files_of(index.directory)


def test_a_full_disk_is_named(elmo: Elmo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(index_module._Writer, "_add_vectors", full)
        with pytest.raises(NerElmoError, match="No space left"):
            build_index(elmo, lambda: SENTENCES, tmp_path / "new", MADE, silent)
    assert build_index(elmo, lambda: SENTENCES, tmp_path / "new", MADE, silent).n_tokens > 0  # and goes on


def test_ends_at_the_most_tokens(elmo: Elmo, tmp_path: Path) -> None:
    found = build_index(elmo, lambda: SENTENCES, tmp_path / "new", replace(MADE, max_tokens=50), silent)
    assert 40 < found.n_tokens <= 50


def test_a_finished_one_reads_no_text(elmo: Elmo, index: OccurrenceIndex) -> None:
    def never() -> list[list[str]]:
        raise AssertionError

    assert build_index(elmo, never, index.directory, MADE, silent).n_tokens == index.n_tokens


def test_what_it_refuses(elmo: Elmo, index: OccurrenceIndex, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="of another text or biLM"):
        build_index(elmo, lambda: SENTENCES, index.directory, replace(MADE, bilm="another"), silent)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other things"):
        build_index(elmo, lambda: SENTENCES, tmp_path / "full", MADE, silent)
    with pytest.raises(DataError, match="no sentence"):
        build_index(elmo, lambda: [], tmp_path / "empty", MADE, silent)
    with pytest.raises(UsageError, match="no index"):
        OccurrenceIndex(tmp_path / "full")


@pytest.mark.parametrize(
    "name", ["index.json", "forms.jsonl", "forms.u32", "sentences.u64", "layer-0.f16", "layer-2.f16"]
)
def test_damage_is_named(index: OccurrenceIndex, tmp_path: Path, name: str) -> None:
    shutil.copytree(index.directory, tmp_path / "copy")
    file = tmp_path / "copy" / name
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(DataError, match="damaged index"):
        OccurrenceIndex(tmp_path / "copy")
    file.unlink()
    with pytest.raises((DataError, UsageError)):
        OccurrenceIndex(tmp_path / "copy")


@pytest.mark.parametrize(
    "values", [[], {}, {"format_version": 2}, {"n_tokens": -1}, {"n_tokens": "x"}, {"n_forms": 10**9}]
)
def test_odd_facts_are_named(index: OccurrenceIndex, tmp_path: Path, values: object) -> None:
    shutil.copytree(index.directory, tmp_path / "copy")
    before = json.loads((tmp_path / "copy" / INFO).read_text())
    changed = {**before, **values} if isinstance(values, dict) and values else values
    (tmp_path / "copy" / INFO).write_text(json.dumps(changed))
    with pytest.raises(DataError, match="damaged index"):
        OccurrenceIndex(tmp_path / "copy")
