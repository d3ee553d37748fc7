"""Words of running Chinese text, and spans cut to them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.cli.main import main
from ner_elmo.text.formats.corpus import load_corpus
from ner_elmo.text.formats.segmentation import WORD, lexical_spans, n_cut, split_position, word_spans
from ner_elmo.text.tag_scheme import Span


def test_a_character_and_its_position() -> None:
    assert split_position("科0") == ("科", 0)
    assert split_position("20") == ("2", 0)  # the character is a digit
    assert split_position("212") == ("2", 12)
    assert split_position("\ufffd\ufffd3") == ("\ufffd\ufffd", 3)
    assert split_position("科") is None


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8))
def test_words_are_found_from_the_positions_of_their_characters(lengths: list[int]) -> None:
    positions = [position for length in lengths for position in range(length)]
    assert [span.end - span.start for span in word_spans(positions)] == lengths


def test_a_position_that_does_not_go_on_begins_a_word() -> None:
    assert word_spans([1, 2, 4]) == [Span(0, 2, WORD), Span(2, 3, WORD)]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.data())
def test_in_lexical_analysis_each_character_is_in_one_span(lengths: list[int], data: st.DataObject) -> None:
    words = word_spans([position for length in lengths for position in range(length)])
    size = words[-1].end
    cuts = sorted(data.draw(st.sets(st.integers(0, size), max_size=4)))
    entities = [Span(a, b, "PER") for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    found = lexical_spans(words, entities)
    assert [position for span in found for position in range(span.start, span.end)] == list(range(size))
    assert [span for span in found if span.label == "PER"] == entities
    ends = {word.end for word in words}
    edges = {edge for entity in entities for edge in (entity.start, entity.end)}
    assert {span.end for span in found if span.label == WORD} <= ends | edges
    assert bool(n_cut(words, entities)) == bool(edges - ends - {0})


TEXT = "去0\tO\n北0\tB-LOC\n京1\tI-LOC\n大0\tO\n学1\tO\n\n我0\tO\n"


@pytest.mark.parametrize(
    ("to", "expected", "said"),
    [
        ("segmentation", "去 B-WORD 北 B-WORD 京 I-WORD 大 B-WORD 学 I-WORD . 我 B-WORD .", "4 words"),
        ("lexical", "去 B-WORD 北 B-LOC 京 I-LOC 大 B-WORD 学 I-WORD . 我 B-WORD .", "3 words, 1 entities"),
    ],
)
def test_convert(tmp_path: Path, capsys: pytest.CaptureFixture[str], to: str, expected: str, said: str) -> None:
    (tmp_path / "in").write_text(TEXT, encoding="utf-8")
    assert main(["convert", str(tmp_path / "in"), str(tmp_path / "out"), "--to", to]) == 0
    written = (tmp_path / "out").read_text("utf-8").replace("\t", " ")
    assert " ".join(line or "." for line in written.splitlines()) == expected
    assert said in capsys.readouterr().err


def test_words_that_an_entity_cuts_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").write_text("北0\tB-LOC\n京1\tI-LOC\n人2\tO\n", encoding="utf-8")
    assert main(["convert", str(tmp_path / "in"), str(tmp_path / "out"), "--to", "lexical"]) == 0
    assert (tmp_path / "out").read_text("utf-8") == "北\tB-LOC\n京\tI-LOC\n人\tB-WORD\n\n"
    assert "1 words are cut" in capsys.readouterr().err


def test_a_token_without_a_position_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").write_text("我0\tO\n们\tO\n", encoding="utf-8")
    assert main(["convert", str(tmp_path / "in"), str(tmp_path / "out"), "--to", "segmentation"]) == 3
    assert "in:2: found token '们', expected one with its position" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (tmp_path / "in.jsonl").write_text('{"text": "a", "entities": []}\n')
    assert main(["convert", str(tmp_path / "in.jsonl"), str(tmp_path / "out"), "--to", "lexical"]) == 2


@pytest.mark.parametrize("part", [pytest.param("train", marks=pytest.mark.slow), "dev", "test"])
def test_weibo(shared: Path, tmp_path: Path, part: str) -> None:
    source = shared / "data" / "ner" / "weibo" / f"weiboNER_2nd_conll.{part}"
    entities = [s.spans for s in load_corpus(source, strip_token="weibo").sentences]
    for to in ("segmentation", "lexical"):
        assert main(["convert", str(source), str(tmp_path / to), "--to", to]) == 0
    words, lexical = (load_corpus(tmp_path / to).sentences for to in ("segmentation", "lexical"))
    assert [s.tokens for s in words] == [s.tokens for s in load_corpus(source, strip_token="weibo").sentences]
    for sentence in (*words, *lexical):
        assert sum(span.end - span.start for span in sentence.spans) == len(sentence.tokens)
    assert [tuple(span for span in s.spans if span.label != WORD) for s in lexical] == entities
    assert sum(len(s.spans) for s in words) == {"train": 45_678, "dev": 9_026, "test": 9_131}[part] + (part == "train")
    several = 0
    for sentence, found in zip(words, entities, strict=True):
        starts = {word.start for word in sentence.spans}
        several += sum(any(start in starts for start in range(one.start + 1, one.end)) for one in found)
    assert several == {"train": 450, "dev": 72, "test": 83}[part]
