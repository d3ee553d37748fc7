"""The pictures of reports, for one run or several side by side: SVG from what ``report.json`` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ner_elmo.pages.charts import (
    COLOURS,
    GREY,
    Panel,
    bar,
    colours,
    dot,
    frame,
    legend,
    line,
    padded_range,
    svg,
    text,
    whisker,
)
from ner_elmo.tagger.report.errors import LENGTHS
from ner_elmo.tagger.report.scores import Counts, most_frequent_in

WIDTH = 440  # of a picture, in pixels: narrow enough for its words to be read on a phone
_LEFT, _RIGHT, _TOP, _PANEL, _BOTTOM = 46, 12, 34, 190, 42
_UNNAMED = 16  # what a picture is lower by if its x axis has no name
_FEWEST = 10  # entities of a bin whose share of right ones is more than chance

Reports = Mapping[str, Mapping[str, Any]]  # name of a run → its report


def f1_curve(reports: Reports) -> str:
    """Dev F1 over the epochs; a larger dot marks the epoch that was kept. Empty without epochs."""
    return _curve(reports, "f1", "F1 on dev, %", factor=100)


def loss_curve(reports: Reports) -> str:
    """Training loss over the epochs. Empty without epochs."""
    return _curve(reports, "loss", "training loss, nats a sentence")


def _curve(reports: Reports, figure: str, title: str, factor: float = 1.0) -> str:
    curves = {name: report["training"].get("curve", []) for name, report in reports.items()}
    lines = {  # without a dev score, where dev was trained on
        name: [(row["epoch"], factor * row[figure]) for row in curve if row[figure] is not None]
        for name, curve in curves.items()
    }
    values = [y for points in lines.values() for _, y in points]
    if not values:
        return ""
    last = max(x for points in lines.values() for x, _ in points)
    panel, parts, height = _panel(title, list(lines), (min(1, last - 1), last), padded_range(values))
    first, last = int(panel.x_range[0]), int(panel.x_range[1])
    step = -(-(last - first) // 8)
    parts += frame(panel, "epochs", [(epoch, str(epoch)) for epoch in range(first, last + 1, step)])
    for (name, points), colour in zip(lines.items(), colours(len(lines)), strict=True):
        parts.append(line(panel, points, colour))
        best = reports[name]["training"]["best_epoch"]
        parts += [
            dot(panel, (x, y), colour, f"{name}, epoch {x:g}: {y:.2f}", 5 if figure == "f1" and x == best else 2)
            for x, y in points
        ]
    ends = "; ".join(f"{name}: {points[0][1]:.2f} to {points[-1][1]:.2f}" for name, points in lines.items() if points)
    return svg(parts, WIDTH, height, title, f"Over {last:g} epochs. {ends}.")


def f1_by_label(reports: Reports, part: str) -> str:
    """F1 of each label, and of all, with its interval where the report has one."""
    labels = most_frequent_in(reports.values(), part)
    rows = {}
    for name, report in reports.items():
        scores, intervals = report["scores"][part], report.get("analysis", {}).get(part, {}).get("intervals", {})
        by_label = intervals.get("labels", {})
        rows[name] = [(scores["f1"], intervals.get("f1"))] + [
            (scores["labels"].get(label, {}).get("f1"), by_label.get(label)) for label in labels
        ]
    return _by_category(f"F1 on {part} by label, %", ["all", *labels], rows)


def f1_by_length(reports: Reports, part: str) -> str:
    """F1 of entities of 1, 2, 3, 4 and 5 or more tokens. Empty if no report counts them."""
    rows = {}
    for name, report in reports.items():
        counts = report.get("analysis", {}).get(part, {}).get("by_length")
        if counts:
            of_lengths = [Counts(*counts[length]) for length in LENGTHS]
            rows[name] = [(c.f1 if c.gold + c.predicted else None, None) for c in of_lengths]
    return _by_category(f"F1 on {part} by length in tokens, %", LENGTHS, rows) if rows else ""


def _by_category(title: str, categories: Sequence[str], rows: Mapping[str, Sequence[tuple[Any, Any]]]) -> str:
    """A dot for each category of each run, beside one another; with a whisker where there is an interval."""
    present = [pair for row in rows.values() for pair in row if pair[0] is not None]
    shown = [100 * value for f1, interval in present for value in (f1, *(interval or ()))]
    low, high = padded_range(shown)
    ends = (-0.5, len(categories) - 0.5)
    panel, parts, height = _panel(title, list(rows), ends, (max(0, low), min(102, high)))
    parts += frame(panel, x_marks=[(index, _cut(name, 9)) for index, name in enumerate(categories)])
    step = 0.6 / max(2, len(rows))
    for number, ((name, row), colour) in enumerate(zip(rows.items(), colours(len(rows)), strict=True)):
        for index, (f1, interval) in enumerate(row):
            x = index + (number - (len(rows) - 1) / 2) * step
            if f1 is None:
                continue
            if interval is not None:
                parts.append(whisker(panel, x, (100 * interval[0], 100 * interval[1]), colour))
            parts.append(dot(panel, (x, 100 * f1), colour, f"{name}, {categories[index]}: {100 * f1:.2f}", 4))
    said = "; ".join(
        f"{name}: "
        + ", ".join(f"{c} {100 * f1:.1f}" for c, (f1, _) in zip(categories, row, strict=True) if f1 is not None)
        for name, row in rows.items()
    )
    return svg(parts, WIDTH, height - _UNNAMED, title, said)


def layer_weights(mix: Mapping[str, Any]) -> str:
    """The share of each biLM layer in the learned mix, as bars."""
    shares = {layer: 100 * share for layer, share in mix["layers"].items()}
    title = f"share of each biLM layer, %; γ = {mix['gamma']:.3f}"
    panel, parts, height = _panel(title, [], (-0.5, len(shares) - 0.5), (0, 1.08 * max(shares.values())))
    parts += frame(panel, x_marks=[(index, layer_name(layer)) for index, layer in enumerate(shares)])
    for index, share in enumerate(shares.values()):
        parts.append(bar(panel, (index - 0.3, index + 0.3), share, COLOURS[0], f"{share:.1f} %"))
        x, y = panel.place((index, share))
        parts.append(text(x, y - 4, f"{share:.1f}", anchor="middle"))
    said = ", ".join(f"{layer_name(layer)} {share:.1f} %" for layer, share in shares.items())
    return svg(parts, WIDTH, height - _UNNAMED, title, said)


def layer_name(layer: str) -> str:
    """``tokens`` for layer 0, ``LSTM 1`` and so on above it."""
    return "tokens" if layer == "0" else f"LSTM {layer}"


def reliability_picture(figures: Mapping[str, Any], part: str, temperature: float) -> str:
    """The share of right entities over the probability they were given; bars below say how many there are.

    On the dashed diagonal probabilities are what they say. With a temperature, the curve without it is there, too.
    """
    shown = {"as given": figures["reliability"]}
    if temperature != 1.0:
        shown = {f"as given (T = {temperature:.2f})": figures["reliability"]}
        shown["without temperature"] = figures["uncalibrated"]["reliability"]
    title = f"probability and share of right entities, {part}, %"
    panel, parts, height = _panel(title, list(shown), (0, 100), (0, 100))
    parts += frame(panel, "probability, %")
    most = max((row["entities"] for row in figures["reliability"]), default=1)
    for row in figures["reliability"]:
        tip = f"{row['entities']:,} entities"
        ends = (100 * row["low"], 100 * row["high"])
        parts.append(bar(panel, ends, 30 * row["entities"] / most, GREY, tip, opacity=0.35))
    parts.append(line(panel, [(0, 0), (100, 100)], GREY, dashed=True))
    for rows, colour in zip(shown.values(), colours(len(shown)), strict=True):
        points = [(100 * row["confidence"], 100 * row["accuracy"]) for row in rows]
        is_firm = [row["entities"] >= _FEWEST for row in rows]
        parts.append(line(panel, [point for point, firm in zip(points, is_firm, strict=True) if firm], colour))
        for row, point, firm in zip(rows, points, is_firm, strict=True):
            tip = f"{row['entities']:,} entities: probability {point[0]:.1f} %, right {point[1]:.1f} %"
            parts.append(dot(panel, point, colour, tip, radius=3.5 if firm else 1.5))
    said = "; ".join(
        f"given {100 * row['confidence']:.0f} %, right {100 * row['accuracy']:.0f} % ({row['entities']:,} entities)"
        for row in figures["reliability"]
    )
    return svg(parts, WIDTH, height, title, said)


def _panel(
    title: str, names: Sequence[str], x_range: tuple[float, float], y_range: tuple[float, float]
) -> tuple[Panel, list[str], float]:
    """A panel below a legend of the series (none for one alone), the legend's parts, and the picture's height."""
    shown = [_cut(name, 44) for name in names] if len(names) > 1 else []
    rows = _legend_rows(shown)
    parts = legend(shown, _LEFT, 36, _room, WIDTH - _LEFT - _RIGHT)
    top = _TOP + 16 * rows
    parts.append(text(_LEFT, 16, title, weight="bold"))
    panel = Panel("", _LEFT, top, WIDTH - _LEFT - _RIGHT, _PANEL, x_range, y_range)
    return panel, parts, top + _PANEL + _BOTTOM


def _room(name: str) -> float:
    """About how many pixels a legend's entry takes."""
    return 30 + 6.6 * len(name)


def _legend_rows(names: Sequence[str]) -> int:
    rows, x = (1 if names else 0), 0.0
    for name in names:
        if x and x + _room(name) > WIDTH - _LEFT - _RIGHT:
            rows, x = rows + 1, 0.0
        x += _room(name)
    return rows


def _cut(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
