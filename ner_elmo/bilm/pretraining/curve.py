"""The picture of a run: training loss and held-out perplexity over the tokens seen, as SVG with nothing else needed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ner_elmo.pages.charts import COLOURS, Panel, Point, dot, frame, level, line, padded_range, svg

WIDTH, HEIGHT = 720, 560  # of the picture, in pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 20, 44, 44  # margins around each panel
_POINTS_MOST = 300  # of the loss curve; neighbours are averaged
_BLUE, _ORANGE = COLOURS[:2]


def draw_curve(events: Iterable[Mapping[str, Any]]) -> str:
    """An SVG document from the events of a ``log.jsonl``: the loss above, held-out perplexity below.

    Steps that were done again after a kill replace those of the first time.
    """
    losses: dict[int, Point] = {}
    perplexities: dict[int, Point] = {}
    unigram, softmax = None, "exact"
    for event in events:
        if event["event"] == "step":
            loss = event.get("loss", (event["forward"] + event["backward"]) / 2)
            losses[event["step"]] = (event["tokens"], loss)
        elif event["event"] == "perplexity":
            perplexities[event["step"]] = (event["tokens_seen"], event["mean"])
        elif event["event"] == "finished":
            unigram = event["unigram_perplexity"]
        elif event["event"] == "start":
            softmax = event["softmax"]
    loss_points = _thinned([point for _, point in sorted(losses.items()) if math.isfinite(point[1])])
    held_out = [point for _, point in sorted(perplexities.items()) if math.isfinite(point[1])]
    last = max((point[0] for point in [*loss_points, *held_out]), default=1) or 1  # before training there is only 0
    height, width = HEIGHT / 2 - _TOP - _BOTTOM, WIDTH - _LEFT - _RIGHT
    loss_title = f"training loss, nats a prediction; softmax {softmax}"
    loss_range = padded_range(y for _, y in loss_points)
    loss_panel = Panel(loss_title, _LEFT, _TOP, width, height, (0, last), loss_range)
    shown = [y for _, y in held_out] + ([unigram] if unigram else [])
    low, high = padded_range(shown, is_log=True)
    below = HEIGHT / 2 + _TOP
    perplexity_panel = Panel("held-out perplexity", _LEFT, below, width, height, (0, last), (low, high), is_log=True)
    parts = [
        *frame(loss_panel, "tokens seen"),
        line(loss_panel, loss_points, _BLUE),
        *frame(perplexity_panel, "tokens seen"),
        *([level(perplexity_panel, unigram, f"a unigram model's {unigram:,.0f}")] if unigram else []),
        line(perplexity_panel, held_out, _ORANGE),
        *(dot(perplexity_panel, point, _ORANGE, f"{point[1]:.2f}") for point in held_out),
    ]
    return svg(parts, WIDTH, HEIGHT, "training loss and held-out perplexity over the tokens seen", background="white")


def _thinned(points: Sequence[Point]) -> list[Point]:
    """At most ``_POINTS_MOST`` points, each the mean of a group of neighbours."""
    group = -(-len(points) // _POINTS_MOST) or 1
    groups = [points[start : start + group] for start in range(0, len(points), group)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in groups]
