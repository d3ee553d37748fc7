"""Long work tells what happens as events, dictionaries with an ``event``; who began it decides how to show them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Report = Callable[[Mapping[str, Any]], None]


def note(report: Report, message: str) -> None:
    """Something worth knowing."""
    report({"event": "note", "message": message})


def warning(report: Report, message: str) -> None:
    """Something that is probably not as it was meant."""
    report({"event": "warning", "message": message})
