"""Loops over steps that torch compiles: what takes less time to compute than to ask for, one operation after the other,
takes half the time so, and threads do not wait for one another in it, since it needs no lock of Python."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from functools import cache
from typing import ParamSpec, TypeVar

import torch

from ner_elmo.nn.forking import Lock

P = ParamSpec("P")
R = TypeVar("R")
_compiling = Lock()


def scripted(function: Callable[P, R]) -> Callable[P, R]:
    """``function`` compiled by ``torch.jit.script``, once in a process; itself where this torch does not."""
    with _compiling:
        return _compiled(function)


@cache
def _compiled(function: Callable[P, R]) -> Callable[P, R]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch means to drop it one day
            return torch.jit.script(function)
    except Exception as error:  # whatever comes in its place
        logging.getLogger(__name__).debug("torch.jit: %s", error)
        return function
