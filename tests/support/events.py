"""Events of a run, made by hand."""

from __future__ import annotations

from typing import Any


def step(number: int, loss: float = 5.0) -> dict[str, Any]:
    return {"event": "step", "step": number, "tokens": 100 * number, "forward": loss - 1, "backward": loss + 1}


def perplexity(number: int, mean: float) -> dict[str, Any]:
    return {"event": "perplexity", "step": number, "tokens_seen": 100 * number, "mean": mean}
