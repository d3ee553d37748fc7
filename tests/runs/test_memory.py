"""Memory that a process keeps."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_that_is_kept_is_not_given_anew_page_by_page() -> None:
    program = """
import resource, sys, torch
from ner_elmo.runs.memory import keep_memory
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


def test_the_collector_leaves_alone_what_stands() -> None:
    program = """
import gc
from ner_elmo.runs.memory import collect_rarely
kept = [[] for _ in range(1000)]
collect_rarely()
assert gc.get_freeze_count() > 1000
assert len(gc.get_objects()) < 1000
before = gc.get_stats()[0]["collections"]
new = [[] for _ in range(20_000)]
assert gc.get_stats()[0]["collections"] == before
"""
    subprocess.run([sys.executable, "-c", program], check=True)
