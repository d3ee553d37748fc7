"""Long work tells what happens as events, dictionaries with an ``event``; who began it decides how to show them.

Both stages: ``note`` and ``warning`` (``message``); ``progress`` (``what``, and tokens ``done`` of ``total``);
``resume`` (``step``); ``finished``. Pretraining: ``counted``, ``start``, ``step``, ``skipped``, ``perplexity``,
``processes``, ``stopped``. The tagger: ``epoch`` (``seed`` and figures), ``scores`` (a table as ``message``).
Tagging: ``summary`` (tables as ``message``; ``is_beside_results``: whether standard output has what was found).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Report = Callable[[Mapping[str, Any]], None]


def silent(event: Mapping[str, Any]) -> None:
    """Report nothing."""


def note(report: Report, message: str) -> None:
    """Something worth knowing."""
    report({"event": "note", "message": message})


def warning(report: Report, message: str) -> None:
    """Something that is probably not as it was meant."""
    report({"event": "warning", "message": message})


def progress(report: Report, what: str, done: int, total: int) -> None:
    """So many tokens of ``what`` are done."""
    report({"event": "progress", "what": what, "done": done, "total": total})
