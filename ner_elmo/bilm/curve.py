"""The picture of a run: training loss and held-out perplexity over the tokens seen, as SVG with nothing else needed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 560  # of the picture, in pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 20, 44, 44  # margins around each panel
_POINTS_MOST = 300  # of the loss curve; neighbours are averaged
_BLUE, _ORANGE, _GREY = "#1f5fa8", "#c2571a", "#8a8a8a"

Point = tuple[float, float]


class Panel(NamedTuple):
    """One chart: its place in the picture and what its axes show. ``is_log``: the y axis is logarithmic."""

    title: str
    top: float
    height: float
    x_range: Point
    y_range: Point
    is_log: bool = False

    def place(self, point: Point) -> Point:
        """Where a point of data lies in the picture."""
        (x_low, x_high), (y_low, y_high), y = self.x_range, self.y_range, point[1]
        if self.is_log:
            y_low, y_high, y = math.log(y_low), math.log(y_high), math.log(y)
        across = (point[0] - x_low) / (x_high - x_low)
        up = (y - y_low) / (y_high - y_low)
        return _LEFT + across * (WIDTH - _LEFT - _RIGHT), self.top + (1 - up) * self.height


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
    height = HEIGHT / 2 - _TOP - _BOTTOM
    loss_panel = Panel(
        f"training loss, nats a prediction; softmax {softmax}", _TOP, height, (0, last), _range(loss_points)
    )
    shown = [*held_out, *([(0, unigram)] if unigram else [])]
    perplexity_panel = Panel(
        "held-out perplexity", HEIGHT / 2 + _TOP, height, (0, last), _range(shown, is_log=True), is_log=True
    )
    parts = [
        *_frame(loss_panel),
        _line(loss_panel, loss_points, _BLUE),
        *_frame(perplexity_panel),
        *([_level(perplexity_panel, unigram, "a unigram model's")] if unigram else []),
        _line(perplexity_panel, held_out, _ORANGE),
        *(_dot(perplexity_panel, point) for point in held_out),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def _thinned(points: Sequence[Point]) -> list[Point]:
    """At most ``_POINTS_MOST`` points, each the mean of a group of neighbours."""
    group = -(-len(points) // _POINTS_MOST) or 1
    groups = [points[start : start + group] for start in range(0, len(points), group)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in groups]


def _range(points: Sequence[Point], is_log: bool = False) -> Point:
    """The y axis: the points' range and a margin."""
    if not points:
        return (1, 10)
    low, high = min(y for _, y in points), max(y for _, y in points)
    if is_log:
        return low / 1.1, high * 1.1
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def ticks(low: float, high: float, n_most: int = 6) -> list[float]:
    """Round numbers between ``low`` and ``high``: multiples of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    step = 10.0 ** math.floor(math.log10((high - low) / n_most))
    while (high - low) / step > n_most:
        step *= 2.5 if f"{step:e}".startswith("2") else 2
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    marks = [
        digit * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for digit in ((1, 2, 5) if high / low > 4 else range(1, 10))
    ]
    inside = [mark for mark in marks if low <= mark <= high]
    return inside if len(inside) >= 2 else ticks(low, high)


def _frame(panel: Panel) -> list[str]:
    """Title, grid, axes and their numbers."""
    bottom, right = panel.top + panel.height, WIDTH - _RIGHT
    parts = [f'<text x="{_LEFT}" y="{panel.top - 12:.1f}" font-weight="bold">{escape(panel.title)}</text>']
    for y in _log_ticks(*panel.y_range) if panel.is_log else ticks(*panel.y_range):
        _, height = panel.place((0, y))
        parts.append(f'<path d="M{_LEFT} {height:.1f}H{right}" stroke="#dddddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{height + 4:.1f}" text-anchor="end">{y:,.4g}</text>')
    for x in ticks(*panel.x_range):
        across, _ = panel.place((x, panel.y_range[0]))
        parts.append(f'<path d="M{across:.1f} {bottom:.1f}v4" stroke="black"/>')
        parts.append(f'<text x="{across:.1f}" y="{bottom + 17:.1f}" text-anchor="middle">{_short(x)}</text>')
    parts.append(f'<path d="M{_LEFT} {panel.top:.1f}V{bottom:.1f}H{right}" fill="none" stroke="black"/>')
    parts.append(f'<text x="{right}" y="{bottom + 34:.1f}" text-anchor="end">tokens seen</text>')
    return parts


def _short(number: float) -> str:
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= unit:
            return f"{number / unit:g}{name}"
    return f"{number:g}"


def _line(panel: Panel, points: Sequence[Point], colour: str) -> str:
    if not points:
        return ""
    path = " ".join("{:.1f},{:.1f}".format(*panel.place(point)) for point in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _dot(panel: Panel, point: Point) -> str:
    x, y = panel.place(point)
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{_ORANGE}"><title>{point[1]:.2f}</title></circle>'


def _level(panel: Panel, y: float, name: str) -> str:
    """A dashed line at ``y``."""
    _, height = panel.place((0, y))
    right = WIDTH - _RIGHT
    return (
        f'<path d="M{_LEFT} {height:.1f}H{right}" stroke="{_GREY}" stroke-dasharray="5 4"/>'
        f'<text x="{right}" y="{height + 15:.1f}" text-anchor="end" fill="#555555">{escape(name)} {y:,.0f}</text>'
    )
