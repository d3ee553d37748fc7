"""What the package's pictures share: panels with axes and round ticks, lines and dots, as plain SVG text.

Frames and words take the colour of the text around them (``currentColor``), so that a picture inside a page follows
its dark or light dress.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

# Legible on white and on black (contrast of at least 3), and told apart by most colour-blind people.
COLOURS = ("#3579c6", "#c8631d", "#2f9270", "#b0579b", "#8d7a1f", "#7b70c9")
GREY = "#8a8a8a"

Point = tuple[float, float]


class Panel(NamedTuple):
    """One chart: its place in the picture (pixels) and what its axes show. ``is_log``: the y axis is logarithmic."""

    title: str
    left: float
    top: float
    width: float
    height: float
    x_range: Point
    y_range: Point
    is_log: bool = False

    @property
    def right(self) -> float:
        """Where the x axis ends."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Where the y axis ends."""
        return self.top + self.height

    def place(self, point: Point) -> Point:
        """Where a point of data lies in the picture."""
        (x_low, x_high), (y_low, y_high), y = self.x_range, self.y_range, point[1]
        if self.is_log:
            y_low, y_high, y = math.log(y_low), math.log(y_high), math.log(y)
        across = (point[0] - x_low) / (x_high - x_low)
        up = (y - y_low) / (y_high - y_low)
        return self.left + across * self.width, self.top + (1 - up) * self.height


def ticks(low: float, high: float, n_most: int = 6) -> list[float]:
    """Round numbers between ``low`` and ``high``: multiples of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    step = 10.0 ** math.floor(math.log10((high - low) / n_most))
    while (high - low) / step > n_most:
        step *= 2.5 if f"{step:e}".startswith("2") else 2
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers for a logarithmic axis."""
    marks = [
        digit * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for digit in ((1, 2, 5) if high / low > 4 else range(1, 10))
    ]
    inside = [mark for mark in marks if low <= mark <= high]
    return inside if len(inside) >= 2 else ticks(low, high)


def padded_range(values: Iterable[float], is_log: bool = False) -> Point:
    """A range for an axis: that of the values and a margin; 1 to 10 without any."""
    values = list(values)
    if not values:
        return (1, 10)
    low, high = min(values), max(values)
    if is_log:
        return low / 1.1, high * 1.1
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def short(number: float) -> str:
    """``1.5 M`` and the like."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= unit:
            return f"{number / unit:g}{name}"
    return f"{number:g}"


def frame(
    panel: Panel, x_name: str = "", x_marks: Sequence[tuple[float, str]] | None = None, y_format: str = ",.4g"
) -> list[str]:
    """Title, grid, axes and their numbers; ``x_marks`` are places on the x axis with their names, otherwise round
    numbers."""
    if x_marks is None:
        x_marks = [(x, short(x)) for x in ticks(*panel.x_range)]
    parts = [text(panel.left, panel.top - 12, panel.title, weight="bold")] if panel.title else []
    for y in log_ticks(*panel.y_range) if panel.is_log else ticks(*panel.y_range):
        _, height = panel.place((panel.x_range[0], y))
        parts.append(f'<path d="M{panel.left:g} {height:.1f}H{panel.right:g}" stroke="currentColor" opacity="0.15"/>')
        parts.append(text(panel.left - 8, height + 4, format(y, y_format), anchor="end"))
    for x, name in x_marks:
        across, _ = panel.place((x, panel.y_range[0]))
        parts.append(f'<path d="M{across:.1f} {panel.bottom:.1f}v4" stroke="currentColor"/>')
        parts.append(text(across, panel.bottom + 17, name, anchor="middle"))
    parts.append(
        f'<path d="M{panel.left:g} {panel.top:.1f}V{panel.bottom:.1f}H{panel.right:g}" fill="none" '
        'stroke="currentColor"/>'
    )
    if x_name:
        parts.append(text(panel.right, panel.bottom + 34, x_name, anchor="end"))
    return parts


def text(x: float, y: float, words: str, anchor: str = "start", weight: str = "normal", opacity: float = 1.0) -> str:
    """Words at a place."""
    more = (f' text-anchor="{anchor}"' if anchor != "start" else "") + (
        f' font-weight="{weight}"' if weight != "normal" else ""
    )
    more += f' opacity="{opacity:g}"' if opacity != 1 else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="currentColor"{more}>{escape(words)}</text>'


def line(panel: Panel, points: Sequence[Point], colour: str, dashed: bool = False) -> str:
    """A line through points of data; nothing without any."""
    if not points:
        return ""
    path = " ".join("{:.1f},{:.1f}".format(*panel.place(point)) for point in points)
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dashes}/>'


def dot(panel: Panel, point: Point, colour: str, title: str, radius: float = 3) -> str:
    """A point of data, with what to say when it is pointed at."""
    x, y = panel.place(point)
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{colour}"><title>{escape(title)}</title></circle>'


def whisker(panel: Panel, x: float, interval: Point, colour: str) -> str:
    """A vertical line over an interval of y, with short ends."""
    (across, high), (_, low) = panel.place((x, interval[1])), panel.place((x, interval[0]))
    return (
        f'<path d="M{across:.1f} {low:.1f}V{high:.1f}M{across - 4:.1f} {low:.1f}h8M{across - 4:.1f} {high:.1f}h8" '
        f'stroke="{colour}" stroke-width="1.5" fill="none"/>'
    )


def bar(panel: Panel, x_range: Point, y: float, colour: str, title: str, opacity: float = 1.0) -> str:
    """A bar from the bottom of the panel to ``y``."""
    left, high = panel.place((x_range[0], y))
    right, low = panel.place((x_range[1], panel.y_range[0]))
    return (
        f'<rect x="{left:.1f}" y="{high:.1f}" width="{right - left:.1f}" height="{max(0.0, low - high):.1f}" '
        f'fill="{colour}" opacity="{opacity:g}"><title>{escape(title)}</title></rect>'
    )


def level(panel: Panel, y: float, name: str) -> str:
    """A dashed line at ``y`` and its name below it."""
    _, height = panel.place((panel.x_range[0], y))
    return (
        f'<path d="M{panel.left:g} {height:.1f}H{panel.right:g}" stroke="{GREY}" stroke-dasharray="5 4"/>'
        f"{text(panel.right, height + 15, name, anchor='end', opacity=0.7)}"
    )


def legend(names: Sequence[str], left: float, top: float, room: Callable[[str], float], width: float) -> list[str]:
    """The names of the series in their colours, in rows of at most ``width``; ``room`` is what a name takes."""
    parts, x = [], left
    for name, colour in zip(names, colours(len(names)), strict=True):
        if x > left and x + room(name) > left + width:
            x, top = left, top + 16
        parts.append(f'<rect x="{x:.1f}" y="{top - 9:.1f}" width="10" height="10" fill="{colour}"/>')
        parts.append(text(x + 14, top, name))
        x += room(name)
    return parts


def colours(number: int) -> list[str]:
    """As many colours as there are series; they repeat after six."""
    return [COLOURS[index % len(COLOURS)] for index in range(number)]


def svg(
    parts: Iterable[str], width: float, height: float, title: str, description: str = "", background: str = ""
) -> str:
    """An SVG document, also for the inside of a page; ``description`` says the picture to those who do not see it."""
    body = "\n".join(part for part in parts if part)
    paper = f'<rect width="100%" height="100%" fill="{background}"/>\n' if background else ""
    described = f"<desc>{escape(description)}</desc>\n" if description else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" font-family="sans-serif" font-size="12">\n'
        f"<title>{escape(title)}</title>\n{described}{paper}{body}\n</svg>\n"
    )
