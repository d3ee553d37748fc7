"""From files to an explorer."""

from __future__ import annotations

from pathlib import Path

import pytest

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.errors import DataError, UsageError
from ner_elmo.explore.opening import explorer, open_index, query_kind, word_vectors_of_file, word_vectors_of_tagger
from ner_elmo.runs.events import silent


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("Ann sees Rome . Bob waits .\nEve sees Oslo .\n")
    return path


def test_in_the_cache_or_where_one_says(elmo: Elmo, corpus: Path, tmp_path: Path, own_cache: None) -> None:
    events = []
    found = open_index(elmo, [corpus], None, events.append)
    assert "making an index" in events[0]["message"]
    assert found.n_tokens == 11
    assert len(found.ends) == 3
    again: list[object] = []
    assert open_index(elmo, [corpus], None, again.append).directory == found.directory
    assert not again
    corpus.write_text("Ann sees Rome . Bob waits . And more.\n")
    assert open_index(elmo, [corpus], None, silent).directory != found.directory
    there = open_index(elmo, [corpus], tmp_path / "index", silent)
    assert open_index(elmo, [], tmp_path / "index", silent).n_tokens == there.n_tokens


def test_what_it_refuses(elmo: Elmo, corpus: Path, tmp_path: Path, trained: Path) -> None:
    with pytest.raises(UsageError, match="nothing to look in"):
        open_index(elmo, [], None, silent)
    (tmp_path / "binary").write_bytes(b"\x00\x01\x02" * 100)
    with pytest.raises(DataError):
        open_index(elmo, [tmp_path / "binary"], None, silent)
    index = open_index(elmo, [corpus], tmp_path / "index", silent)
    index.info["bilm"] = "another"
    from ner_elmo.explore.opening import require_same_bilm

    with pytest.raises(UsageError, match="another biLM"):
        require_same_bilm(index, "this")


def test_how_a_question_is_split(elmo: Elmo) -> None:
    assert query_kind(elmo, None) == "en-1"
    assert query_kind(elmo, "characters") == "characters"
    with pytest.raises(UsageError):
        query_kind(elmo, "klingon")


def test_static_vectors(elmo: Elmo, corpus: Path, tmp_path: Path, trained: Path) -> None:
    index = open_index(elmo, [corpus], tmp_path / "index", silent)
    (tmp_path / "v.txt").write_text("Ann 1 0\nrome 0 1\nunseen 1 1\n")
    table = word_vectors_of_file(tmp_path / "v.txt", index)
    assert set(table.forms) == {"Ann", "rome"}
    (tmp_path / "w.txt").write_text("unseen 1 1\n")
    with pytest.raises(UsageError, match="none of the words"):
        word_vectors_of_file(tmp_path / "w.txt", index)
    of_tagger = word_vectors_of_tagger(trained)
    assert of_tagger is not None
    assert of_tagger.vector_of(["Ann"]) is not None
    assert word_vectors_of_tagger(tmp_path) is None


@pytest.mark.parametrize(
    ("kind", "text", "blank"), [("en-1", "Ann sees Rome .", " "), ("characters", "安娜看见罗马。", "")]
)
def test_characters_stand_without_blanks(elmo: Elmo, tmp_path: Path, kind: str, text: str, blank: str) -> None:
    (tmp_path / "text.txt").write_text(text + "\n")
    index = open_index(elmo, [tmp_path / "text.txt"], tmp_path / "index", silent, kind)
    assert explorer(elmo, index, []).blank == blank
