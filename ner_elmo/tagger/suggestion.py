"""Which sentences to label next: those that a tagger is least sure of, but not one like another.

A sentence's doubt comes from the probability of its most probable reading. Per token it is 1 minus the geometric mean
of that probability over the tokens, which ranks as the normalised log probability does (MNLP: Shen et al., 2018, "Deep
Active Learning for Named Entity Recognition", section 4). Per sentence it is 1 minus the probability itself (least
confidence: Culotta, McCallum, 2005, "Reducing labeling effort for structured prediction tasks"), which grows with
length.

Sentences are taken one after the other: each time the one whose doubt, times how little it shares with what was taken,
is largest. Shared words count the more, the rarer they are.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import tee
from typing import Literal

from ner_elmo.tagger.tagger import Tagger
from ner_elmo.text.documents import Document, Entity, Token
from ner_elmo.text.tokenizer import sentences as split_sentences

POOL = 20  # sentences that are kept to choose from, for each that is asked for
_LEAST_POOL = 1000
LEAST_TOKENS = 5  # what a shorter sentence counts as: one doubtful word alone teaches less than one in its context
Per = Literal["token", "sentence"]
_MOST_ALIKE = 0.6  # beyond this, a sentence is a near duplicate and never taken


@dataclass(frozen=True)
class Suggestion:
    """A sentence to label: as a document of its own, with what the tagger finds in it.

    Attributes:
        number: its place among all sentences, from 1.
        doubt: how unsure the tagger is of what was found, 0 to 1, as :func:`doubt_of` says.
    """

    number: int
    document: Document
    doubt: float


def suggest(tagger: Tagger, texts: Iterable[str], number: int, per: Per = "token") -> list[Suggestion]:
    """The sentences of ``texts`` to label next, at most ``number`` of them, in the order of their use.

    Texts are read as a stream; memory grows with ``number`` and with the number of different words alone.

    Args:
        per: what doubt is counted by; see :func:`doubt_of`.
    """
    frequencies: Counter[str] = Counter()
    pool: list[tuple[float, int, Suggestion]] = []  # a heap: the least doubtful first
    size = max(POOL * number, _LEAST_POOL)
    held: set[str] = set()  # the texts in the pool, none of them twice
    n_sentences = 0
    for suggestion in _read(tagger, texts, per):
        n_sentences += 1
        frequencies.update(words_of(suggestion.document))
        text = suggestion.document.text
        if text in held:
            continue
        held.add(text)
        item = (suggestion.doubt, -suggestion.number, suggestion)
        if len(pool) < size:
            heapq.heappush(pool, item)
        else:
            held.discard(heapq.heappushpop(pool, item)[2].document.text)
    candidates = [suggestion for *_, suggestion in sorted(pool, reverse=True)]
    weights = {word: math.log((1 + n_sentences) / n) for word, n in frequencies.items()}
    return choose(candidates, weights, number)


def doubt_of(log_probability: float, n_tokens: int, per: Per) -> float:
    """How much a tagger doubts a reading, 0 to 1, by the log probability of the reading.

    Per token it is 1 minus the geometric mean of the probability over the tokens, of which there are taken to be at
    least :data:`LEAST_TOKENS`; per sentence, 1 minus the probability.
    """
    length = max(n_tokens, LEAST_TOKENS) if per == "token" else 1
    return -math.expm1(log_probability / length)


def choose(candidates: Sequence[Suggestion], weights: dict[str, float], number: int) -> list[Suggestion]:
    """The candidates, given with the most doubtful first, to take: doubtful ones, none much like another.

    Args:
        weights: how much a word counts that two sentences share.
    """
    words = [words_of(candidate.document) for candidate in candidates]
    totals = [math.fsum(weights.get(word, 1.0) for word in own) for own in words]
    likeness = [0.0] * len(candidates)  # to the most similar one that was taken, of those it was held to so far
    chosen: list[int] = []
    # How much each is worth at most, as it only falls with what is taken: so only the best has to be held to all that
    # was taken, again and again, until it stays the best.
    heap = [(-candidate.doubt, i, 0) for i, candidate in enumerate(candidates)]
    heapq.heapify(heap)
    while heap and len(chosen) < number:
        _, best, n_held = heapq.heappop(heap)
        if n_held == len(chosen):
            chosen.append(best)
            continue
        for i in chosen[n_held:]:
            shared = math.fsum(weights.get(word, 1.0) for word in words[i] & words[best])
            union = totals[i] + totals[best] - shared
            alike = shared / union if union else float(words[i] == words[best])
            likeness[best] = max(likeness[best], alike)
        if likeness[best] <= _MOST_ALIKE:
            heapq.heappush(heap, (-candidates[best].doubt * (1.0 - likeness[best]), best, len(chosen)))
    return [candidates[i] for i in chosen]


def words_of(document: Document) -> frozenset[str]:
    """The words that make a sentence like another: in lower case, and all digits alike."""
    forms = (token.form.lower() for sentence in document.sentences for token in sentence)
    return frozenset("".join("0" if character.isdigit() else character for character in form) for form in forms)


def _read(tagger: Tagger, texts: Iterable[str], per: Per) -> Iterator[Suggestion]:
    """All sentences with their doubts."""
    ours, theirs = tee(_sentences(tagger, texts))
    forms = ([token.form for token in document.sentences[0]] for document in theirs)
    readings = zip(ours, tagger.readings(forms), strict=True)
    for number, (document, (spans, log_probability)) in enumerate(readings, start=1):
        tokens = document.sentences[0]
        places = [(tokens[span.start].start, tokens[span.end - 1].end, span.label) for span in spans]
        entities = [Entity(a, b, label, document.text[a:b], None) for a, b, label in places]
        doubt = doubt_of(log_probability, len(tokens), per)
        yield Suggestion(number, replace(document, entities=entities), doubt)


def _sentences(tagger: Tagger, texts: Iterable[str]) -> Iterator[Document]:
    """Each sentence of the texts as a document of its own."""
    for text in texts:
        for tokens in split_sentences(text, tagger.text):
            start, end = tokens[0].start, tokens[-1].end
            moved = [Token(token.start - start, token.end - start, token.form) for token in tokens]
            yield Document(text[start:end], [moved])
