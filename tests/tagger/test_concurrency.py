"""Threads, forked processes and copies get what one thread gets, to the bit, and leave the objects sound."""

from __future__ import annotations

import copy
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.tagger.tagger import Tagger
from tests.support.precisions import skip_without

pytestmark = pytest.mark.long

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def unseen_sentences(seed: int, n: int) -> list[list[str]]:
    rng = random.Random(seed)
    return [
        ["".join(rng.choices(LETTERS, k=rng.randint(1, 14))).title() for _ in range(rng.choice([1, 2, 3, 9, 25]))]
        for _ in range(n)
    ]


def entities(documents: Any) -> list[object]:
    return [[(e.start, e.end, e.label, e.score) for e in document.entities] for document in documents]


CALLS: list[Callable[[Tagger, list[list[str]]], list[Any]]] = [
    lambda tagger, part: list(tagger.elmo.embed(part)),  # type: ignore[union-attr]
    lambda tagger, part: entities(tagger.tag(part)),
    lambda tagger, part: entities(tagger.tag([" ".join(tokens) for tokens in part], scores=False)),
    lambda tagger, part: list(tagger.tag_tokens(part)),
]


def jobs(seed: int) -> list[tuple[int, list[list[str]]]]:
    sentences = unseen_sentences(seed, 120)
    return [(i % len(CALLS), sentences[i : i + 3]) for i in range(0, len(sentences), 3)]


def do(tagger: Tagger, job: tuple[int, list[list[str]]]) -> list[Any]:
    return CALLS[job[0]](tagger, job[1])


def same(one: list[Any], other: list[Any]) -> bool:
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("precision", ["fp32", "int8", "int8-compiled"])
def test_eight_threads_get_what_one_gets(trained: Path, precision: str) -> None:
    skip_without(precision)
    work = jobs(1)
    alone, shared = (Tagger.load(trained, precision=precision) for _ in range(2))
    wanted = [do(alone, job) for job in work]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: do(shared, job), work))
    assert all(map(same, found, wanted))
    assert all(same(do(shared, job), expected) for job, expected in zip(work, wanted, strict=True))


def test_a_table_that_was_handed_out_stays_valid_when_the_cache_is_emptied(bilm: Path) -> None:
    shared, alone = Elmo.load(bilm), Elmo.load(bilm)
    shared._types._most = 40  # emptied again and again
    sentences = unseen_sentences(2, 150)
    wanted = [next(alone.embed([tokens])) for tokens in sentences]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda tokens: next(shared.embed([tokens])), sentences))
    assert all(map(np.array_equal, found, wanted))


@pytest.mark.parametrize("of", [lambda tagger: pickle.loads(pickle.dumps(tagger)), copy.deepcopy])
@pytest.mark.parametrize("precision", ["fp32", "int8", "int8-compiled"])
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")  # torch's own, in pickling quantised weights
def test_copies(trained: Path, precision: str, of: Callable[[Tagger], Tagger]) -> None:
    skip_without(precision)
    tagger = Tagger.load(trained, precision=precision)
    work = jobs(3)[:8]
    wanted = [do(tagger, job) for job in work]
    copied = of(tagger)
    assert all(same(do(copied, job), expected) for job, expected in zip(work, wanted, strict=True))


FORKED = """
import multiprocessing, sys, threading
import torch
torch.set_num_threads(2)
from ner_elmo import Tagger
tagger = Tagger.load(sys.argv[1])
def find(text):
    return torch.get_num_threads(), [entity.text for entity in tagger.tag(text).entities]
if sys.argv[2] == "used":
    list(tagger.tag(["Ann Smith sees Rome City today . " * 40] * 8))
with tagger.elmo._types._lock:  # as if another thread held it just now
    pool = multiprocessing.get_context("fork").Pool(2)
with pool:
    print(pool.map_async(find, ["Ann sees Rome.", "Bob leaves Oslo."]).get(timeout=60))
print(torch.get_num_threads())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.parametrize("parent", ["used", "unused"])
def test_after_a_fork(trained: Path, repository: Path, parent: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(trained), parent],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.stdout.splitlines() == ["[(1, ['Ann', 'Rome']), (1, ['Bob', 'Oslo'])]", "2"], done.stderr
