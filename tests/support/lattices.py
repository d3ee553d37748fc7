"""Every tag sequence of a small lattice, one by one, and what it weighs."""

from __future__ import annotations

import itertools

import torch

from ner_elmo.tagger.network.crf import ConstrainedCrf
from ner_elmo.text.tag_scheme import allowed


def is_legal(sequence: tuple[str, ...], scheme: str) -> bool:
    edges = [None, *sequence, None]
    return all(allowed(a, b, scheme) for a, b in itertools.pairwise(edges))


def all_sequences(crf: ConstrainedCrf, length: int) -> list[tuple[int, ...]]:
    return [
        ids
        for ids in itertools.product(range(len(crf.tag_set)), repeat=length)
        if is_legal(tuple(crf.tag_set[i] for i in ids), crf.scheme)
    ]


def path_score(crf: ConstrainedCrf, emissions: torch.Tensor, ids: tuple[int, ...]) -> float:
    score = crf.crf.start_transitions[ids[0]] + crf.crf.end_transitions[ids[-1]]
    score = score + sum(emissions[t, i] for t, i in enumerate(ids))
    score = score + sum(crf.crf.transitions[a, b] for a, b in itertools.pairwise(ids))
    return float(score.detach())
