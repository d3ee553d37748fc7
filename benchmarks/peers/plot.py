"""docs/images/curve.svg: test F1 on CoNLL-2003 by the number of labelled sentences, ours beside others.

    PYTHONPATH=. python benchmarks/peers/plot.py

Reads ``benchmarks/results/peers/curve.json`` (``curve.py``) and the learning curve's table in docs/accuracy.md, which
``tables.py`` makes from the reports.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

from ner_elmo.pages.charts import COLOURS, Panel, dot, frame, line, svg, text

ROOT = Path(__file__).parent.parent.parent
TARGET = ROOT / "docs" / "images" / "curve.svg"
WITH, WITHOUT = "ner-elmo", "ner-elmo without its language model"
Curve = list[tuple[int, float]]


def ours() -> dict[str, Curve]:
    page = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
    table = page.split("<!-- table curve -->")[1].split("<!-- end of table -->")[0]
    curves: dict[str, Curve] = {WITH: [], WITHOUT: []}
    for row in table.splitlines():
        cells = [cell.strip() for cell in row.split("|")[1:-1]]
        if cells and re.fullmatch(r"[\d,]+", cells[0]):
            sentences = int(cells[0].replace(",", ""))
            for name, cell in ((WITHOUT, cells[3]), (WITH, cells[4])):
                curves[name].append((sentences, float(cell.split()[0])))
    return curves


def theirs() -> dict[str, Curve]:
    rows = json.loads((ROOT / "benchmarks" / "results" / "peers" / "curve.json").read_text(encoding="utf-8"))
    curves: dict[str, Curve] = {}
    for row in rows:
        curves.setdefault(row["peer"], []).append((row["sentences"], row["test_f1"]))
    return curves


def main() -> None:
    curves = ours() | theirs()
    sentences = sorted({n for curve in curves.values() for n, _ in curve})
    all_f1 = [f1 for curve in curves.values() for _, f1 in curve]
    ends = math.log(sentences[0]) - 0.15, math.log(sentences[-1]) + 0.15
    panel = Panel("", 46, 20, 420, 260, ends, (10 * math.floor(min(all_f1) / 10), 100))
    parts = frame(panel, "labelled sentences (CoNLL-2003)", [(math.log(n), f"{n:,}") for n in sentences])
    parts.append(text(panel.left, 12, "test F1"))
    for number, (name, curve) in enumerate(sorted(curves.items(), key=lambda item: -item[1][0][1])):
        colour = COLOURS[number]
        points = [(math.log(n), f1) for n, f1 in sorted(curve)]
        parts.append(line(panel, points, colour))
        parts += [dot(panel, point, colour, f"{name}: {point[1]:.2f}") for point in points]
        top = panel.bottom - 20 - 18 * (len(curves) - 1 - number)
        parts.append(f'<rect x="{panel.right - 236:.1f}" y="{top - 9:.1f}" width="10" height="10" fill="{colour}"/>')
        parts.append(text(panel.right - 220, top, name))
    described = "; ".join(f"{name}: " + ", ".join(f"{f1:.1f} with {n:,}" for n, f1 in c) for name, c in curves.items())
    picture = svg(parts, 480, 330, "Test F1 by labelled sentences", described, background="white")
    TARGET.write_text(picture.replace("currentColor", "#333333"), encoding="utf-8")


if __name__ == "__main__":
    main()
