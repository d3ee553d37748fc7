"""Sentences to label next: doubtful ones, no two alike."""

from __future__ import annotations

import math
import random
import time
from itertools import product
from pathlib import Path

from ner_elmo.tagger.suggestion import LEAST_TOKENS, Suggestion, choose, doubt_of, suggest, words_of
from ner_elmo.tagger.tagger import Tagger
from ner_elmo.text.documents import Document
from ner_elmo.text.tokenizer import sentences


def candidate(number: int, text: str, doubt: float) -> Suggestion:
    return Suggestion(number, Document(text, sentences(text, "whitespace")), doubt)


def test_the_most_doubtful_come_first_and_near_duplicates_never() -> None:
    found = [
        candidate(1, "page 12 of Annual Report", 0.9),
        candidate(2, "page 13 of Annual Report", 0.8),
        candidate(3, "Vogt came", 0.5),
        candidate(4, "nothing here", 0.1),
    ]
    assert [one.number for one in choose(found, {}, 9)] == [1, 3, 4]
    assert [one.number for one in choose(found, {}, 2)] == [1, 3]


def test_what_is_shared_counts_by_its_rareness() -> None:
    found = [candidate(1, "the Vogt case", 0.9), candidate(2, "the Vogt house", 0.8), candidate(3, "the sea is", 0.7)]
    weights = {"vogt": 5.0, "the": 0.0, "case": 1.0, "house": 1.0}
    assert [one.number for one in choose(found, weights, 9)] == [1, 3]


def test_doubts_are_those_of_readings(trained: Path) -> None:
    tagger = Tagger.load(trained)
    texts = ["Ann sees Rome .", "Zzz qqq Xxx .", "Ann sees Rome .", "Bob waits ."]
    found = suggest(tagger, texts, 10)
    assert sorted(one.document.text for one in found) == sorted(set(texts))
    assert all(0.0 <= one.doubt <= 1.0 for one in found)
    by_text = {one.document.text: one for one in found}
    ann = by_text["Ann sees Rome ."]
    assert [(entity.label, entity.text) for entity in ann.document.entities] == [("PER", "Ann"), ("LOC", "Rome")]
    ((_, log_probability),) = tagger.readings([["Ann", "sees", "Rome", "."]])
    assert math.isclose(ann.doubt, doubt_of(log_probability, 4, "token"), rel_tol=1e-3)
    whole = {one.document.text: one.doubt for one in suggest(tagger, texts, 10, per="sentence")}
    assert math.isclose(1.0 - whole["Ann sees Rome ."], math.exp(log_probability), rel_tol=1e-5)


def test_doubt_by_token_does_not_grow_with_length() -> None:
    assert math.isclose(doubt_of(10 * math.log(0.9), 10, "token"), 0.1)
    assert math.isclose(doubt_of(40 * math.log(0.9), 40, "token"), 0.1)
    assert math.isclose(doubt_of(10 * math.log(0.9), 10, "sentence"), 1 - 0.9**10)
    assert doubt_of(-2000.0, 4000, "token") < doubt_of(-2001.0, 4000, "token")  # their probabilities are both 0.0


def test_one_doubtful_word_alone_comes_after_as_doubtful_ones_in_a_sentence() -> None:
    alone, five = doubt_of(math.log(0.5), 1, "token"), doubt_of(5 * math.log(0.5), 5, "token")
    assert alone < five
    assert math.isclose(alone, doubt_of(math.log(0.5), LEAST_TOKENS, "token"))


def likeness(one: Suggestion, other: Suggestion, weights: dict[str, float]) -> float:
    mine, theirs = words_of(one.document), words_of(other.document)
    return sum(weights.get(word, 1.0) for word in mine & theirs) / sum(weights.get(word, 1.0) for word in mine | theirs)


def chosen_one_by_one(found: list[Suggestion], weights: dict[str, float], number: int) -> list[int]:
    """As the definition says, slow and obvious."""
    taken: list[Suggestion] = []
    left = list(found)
    while left and len(taken) < number:
        worst = {one.number: max((likeness(one, other, weights) for other in taken), default=0.0) for one in left}
        left = [one for one in left if worst[one.number] <= 0.6]
        if left:
            taken.append(max(left, key=lambda one: one.doubt * (1.0 - worst[one.number])))
            left.remove(taken[-1])
    return [one.number for one in taken]


def test_as_the_definition_says_and_fast() -> None:
    rng = random.Random(0)
    words = ["".join(letters) for letters in product("abcdefgh", repeat=3)]  # digits would be all alike
    weights = {word: rng.random() * 5 for word in words}
    texts = [" ".join(words[int(512 * rng.random() ** 3)] for _ in range(rng.randrange(2, 25))) for _ in range(4_000)]
    found = [candidate(n, text, rng.random()) for n, text in enumerate(texts)]
    found.sort(key=lambda one: -one.doubt)
    some = found[::100]
    assert [one.number for one in choose(some, weights, 25)] == chosen_one_by_one(some, weights, 25)
    started = time.process_time()
    assert len(choose(found, weights, 200)) == 200
    assert time.process_time() - started < 2  # held each to each it took four
