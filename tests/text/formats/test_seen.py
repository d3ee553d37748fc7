"""Sentences that were seen: against a dictionary, up to a limit, and in little memory."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from ner_elmo.text.formats.check import CrossCheck, check_file
from ner_elmo.text.formats.conll import Reading
from ner_elmo.text.formats.seen import Seen, SeenSentences
from ner_elmo.text.tag_scheme import Span


def test_as_a_dictionary_would() -> None:
    rng = random.Random(0)
    seen, known = SeenSentences(), dict[tuple[str, ...], Seen]()
    for line in range(1, 20_001):
        tokens = tuple(rng.choice("abc") for _ in range(rng.randrange(1, 9)))
        starts = [start for start in range(len(tokens)) if rng.random() < 0.5]
        spans = tuple(Span(start, start + 1, rng.choice(["PER", "LOC"])) for start in starts)
        file = f"f{line // 5000}"
        assert seen.first(tokens, file, line, spans) == known.get(tokens)
        known.setdefault(tokens, Seen(file, line, spans))
    assert len(known) > 4000


def test_beyond_the_limit_none_is_remembered() -> None:
    seen = SeenSentences(most=3)
    assert [seen.first(token, "f", n, []) for n, token in enumerate("abcd")] == [None] * 4
    assert seen.is_full
    assert [place and place.line for place in (seen.first(token, "f", 9, []) for token in "abcd")] == [0, 1, 2, None]


def test_a_sentence_of_two_entities_takes_some_sixty_bytes() -> None:
    seen = SeenSentences()
    for n in range(60_000):
        seen.first(["w", str(n)], "f", n, [Span(0, 1, "PER"), Span(1, 2, "LOC")])
    kept = (value for value in vars(seen).values() if not isinstance(value, int))
    assert sum(map(sys.getsizeof, kept)) < 80 * 60_000


def test_the_limit_is_said_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    texts = [*"abcde", "a"]
    path.write_text("".join(json.dumps({"text": text, "entities": []}) + "\n" for text in texts))
    report = check_file(path, Reading(), CrossCheck(most=3))
    assert [(problem.line, problem.kind) for problem in report.warnings] == [
        (4, "many sentences"),
        (6, "repeated sentence"),
    ]
