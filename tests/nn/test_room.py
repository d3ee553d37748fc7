"""Memory that is used again."""

from __future__ import annotations

import copy
import pickle
import platform
import subprocess
import sys

import pytest
import torch

from ner_elmo.nn.room import Room


def test_a_copy_of_a_room_is_empty() -> None:
    room = Room()
    room.give_back(room.take(torch.zeros(1), 1000, 1000))
    assert len(pickle.dumps(room)) < 200
    assert copy.deepcopy(room)._free == []


def test_what_was_given_back_is_taken_again_where_it_fits() -> None:
    room = Room()
    first = room.take(torch.zeros(1), 1000, 10)
    room.give_back(first)
    assert room.take(torch.zeros(1), 900, 10, torch.float32).data_ptr() == first.data_ptr()
    room.give_back(first)
    assert room.take(torch.zeros(1), 5, 10).data_ptr() != first.data_ptr()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_that_is_kept_is_not_given_anew_page_by_page() -> None:
    program = """
import resource, sys, torch
from ner_elmo.nn.room import keep_memory
if sys.argv[1] == "keeps":
    keep_memory()
for step in range(5):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    pieces = [torch.ones(1 << 18) for _ in range(40)]
    del pieces
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    pages = {}
    for keeps in ("keeps", "not"):
        done = subprocess.run([sys.executable, "-c", program, keeps], capture_output=True, text=True, check=True)
        pages[keeps] = sum(map(int, done.stdout.split()[1:]))
    assert pages["keeps"] < 0.2 * pages["not"], pages
