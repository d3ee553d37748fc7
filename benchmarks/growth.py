"""How time and memory grow: tokens a second and peak memory by length, batch, labels, vocabulary, corpus and workers.

    PYTHONPATH=. python benchmarks/growth.py measure TEXT --train CONLL -o benchmarks/results/growth.json
    PYTHONPATH=. python benchmarks/growth.py plots                                   # docs/images/growth-*.svg
    python benchmarks/tables.py docs/growth.md                                        # its tables

TEXT has a tokenised sentence on each line; CONLL trains the small tagger without a biLM that goes through large
corpora. Each point is measured in a process of its own (``growth_points.py``), whose peak memory it is, with one thread
and in seconds of the processor, so that it holds on a machine that does other work, too; only threads and processes are
taken by the clock and want a quiet one. ``--curves`` chooses, and what is measured replaces what the file has;
``--quick`` takes the smaller values alone and shows that it runs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ner_elmo.pages.charts import COLOURS, Panel, dot, frame, line, padded_range, short, svg, text

HERE = Path(__file__).parent
MEASURED = HERE / "results" / "growth.json"
IMAGES = HERE.parent / "docs" / "images"
SMALL_TAGGER = ("--epochs", "2", "--hidden-size", "64", "--word-dim", "50", "--char-filters", "32", "--seed", "1")

Point = dict[str, float]


@dataclass(frozen=True)
class Curve:
    """What is measured at which values of ``x``; ``quick`` of them for a look."""

    title: str
    x: str
    values: tuple[int, ...]
    quick: int = 2


CURVES = {
    "sentence": Curve("tagging", "tokens of the sentence", (10, 100, 1000, 10_000, 100_000), 3),
    "batch": Curve("tagging", "`--batch-tokens`", (64, 256, 1024, 4096, 8192, 16_384, 65_536)),
    "labels-tagging": Curve("tagging", "labels", (4, 20, 100, 500, 1000)),
    "labels-training": Curve("training", "labels", (4, 20, 100, 500, 1000)),
    "words-tagging": Curve("tagging", "words", (10_000, 100_000, 1_000_000), 1),
    "words-fixed": Curve("training, 10,000 learned", "words", (10_000, 100_000, 1_000_000), 1),
    "words-learned": Curve("training, all learned", "words", (10_000, 100_000, 1_000_000), 1),
    "vocabulary-sampled": Curve(
        "training, 4,096 sampled", "words of the vocabulary", (10_000, 30_000, 100_000, 300_000, 1_000_000), 1
    ),
    "vocabulary-exact": Curve("the exact softmax alone", "words of the vocabulary", (10_000, 100_000, 1_000_000), 1),
    "corpus-tag": Curve("`tag`, without a biLM", "MB of text", (1, 10, 100)),
    "corpus-tag-en": Curve("`tag -m en`", "MB of text", (1, 10), 1),
    "corpus-read": Curve("`pretrain`: counting, reading, batches", "MB of text", (1, 10, 100, 1000)),
    "threads": Curve("`tag -m en --threads`", "threads, or processes", (1, 2)),
    "processes": Curve("`tag -m en --processes`", "threads, or processes", (1, 2)),
}
PICTURES = {  # file: title, curves
    "sentence": ("Tagging one sentence", ("sentence",)),
    "batch": ("Tagging by the size of a batch", ("batch",)),
    "labels": ("By the number of labels", ("labels-tagging", "labels-training")),
    "words": ("Taggers by the number of their words", ("words-tagging", "words-fixed", "words-learned")),
    "vocabulary": ("Pretraining by its vocabulary", ("vocabulary-sampled", "vocabulary-exact")),
    "corpus": ("By the size of the text", ("corpus-tag", "corpus-tag-en", "corpus-read")),
    "workers": ("By threads and processes", ("threads", "processes")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("text", type=Path, nargs="+", help="a tokenised sentence on each line, plain or compressed")
    measuring.add_argument("--train", type=Path, required=True, help="a labelled file")
    measuring.add_argument("--small", type=Path, help="that tagger, if it is there already")
    measuring.add_argument("-m", "--model", default="en")
    measuring.add_argument("--curves", default=",".join(CURVES))
    measuring.add_argument("--values", help="of one curve, in place of its own, e.g. 10,100")
    measuring.add_argument("--quick", action="store_true")
    measuring.add_argument("-o", "--output", type=Path, required=True)
    commands.add_parser("plots").add_argument("measured", type=Path, nargs="?", default=MEASURED)
    arguments = parser.parse_args()
    if arguments.command == "measure":
        measure(arguments)
        return
    curves = read(arguments.measured)
    for name, (title, shown) in PICTURES.items():
        if present := {curve: curves[curve] for curve in shown if curve in curves}:
            (IMAGES / f"growth-{name}.svg").write_text(picture(title, present), encoding="utf-8")


# ---- measuring ------------------------------------------------------------------------------------------------------


def measure(arguments: argparse.Namespace) -> None:
    """Each point in its own process, and the file after each."""
    found: dict[str, Any] = {"curves": {}}
    if arguments.output.exists():
        found = json.loads(arguments.output.read_text(encoding="utf-8"))
    found["machine"] = {"cores": os.cpu_count(), "processor": processor(), "python": platform.python_version()}
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.curves.split(","):
            curve = CURVES[name]
            values = curve.values[: curve.quick] if arguments.quick else curve.values
            if arguments.values:
                values = tuple(map(int, arguments.values.split(",")))
            if name == "corpus-tag":
                small_tagger(arguments.train, arguments.small, Path(folder) / "small")
            points = {point["x"]: point for point in found["curves"].get(name, [])}
            for value in values:
                points[value] = point_of(name, value, arguments, folder)
                found["curves"][name] = [points[x] for x in sorted(points)]
                arguments.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def point_of(name: str, value: int, arguments: argparse.Namespace, folder: str) -> Point:
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} if name != "threads" else {}
    command = [sys.executable, str(HERE / "growth_points.py"), name, str(value)]
    command += ["--model", arguments.model, "--folder", folder, "--text", *map(str, arguments.text)]
    root = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    answer = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, env=os.environ | threads | {"PYTHONPATH": root}
    )
    point: Point = {"x": value} | json.loads(answer.stdout)
    print(f"{name}: {json.dumps(point)}", flush=True)
    return point


def small_tagger(train: Path, ready: Path | None, folder: Path) -> None:
    """A tagger without a biLM, for corpora that one with a biLM would take hours for."""
    if ready is not None:
        shutil.copytree(ready, folder)
        return
    command = [sys.executable, "-m", "ner_elmo", "train-tagger", "--train", str(train), "-o", str(folder)]
    subprocess.run([*command, *SMALL_TAGGER], check=True, stdout=subprocess.DEVNULL)


def processor() -> str:
    """Its name, as Linux has it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((one.partition(":")[2].strip() for one in lines if one.startswith("model name")), platform.machine())


# ---- showing --------------------------------------------------------------------------------------------------------


def rate(point: Point) -> float:
    return point["tokens"] / point["seconds"]


def table_of(name: str) -> str:
    """The table of one of ``PICTURES`` from what stands in ``results/``."""
    curves = read(MEASURED)
    present = {curve: curves[curve] for curve in PICTURES[name][1] if curve in curves}
    return table(present) if present else "Not measured yet."


def read(measured: Path) -> dict[str, list[Point]]:
    return json.loads(measured.read_text(encoding="utf-8"))["curves"]  # type: ignore[no-any-return]


def table(curves: dict[str, list[Point]]) -> str:
    """In Markdown: a line for each x, and of each curve tokens a second and peak memory."""
    first = CURVES[next(iter(curves))]
    head = [first.x, *(cell for name in curves for cell in (f"{CURVES[name].title}: tokens/s", "MB"))]
    by_x = {name: {point["x"]: point for point in points} for name, points in curves.items()}
    lines = [head, ["---"] * len(head)]
    for x in sorted({x for points in by_x.values() for x in points}):
        cells = [f"{x:,}"]
        for points in by_x.values():
            cells += [f"{rate(points[x]):,.0f}", f"{points[x]['peak_mb']:,}"] if x in points else ["", ""]
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def picture(title: str, curves: dict[str, list[Point]]) -> str:
    """Two charts: speed, and peak memory; both axes of both are logarithmic."""
    xs = sorted({point["x"] for points in curves.values() for point in points})
    ends = math.log(xs[0]) - 0.2, math.log(xs[-1]) + 0.2
    marks: list[tuple[float, str]] = []
    for place, x in ((math.log(x), x) for x in xs):
        if not marks or place - marks[-1][0] > 0.12 * (ends[1] - ends[0]):  # no name upon another
            marks.append((place, f"{x:,.0f}" if x < 10_000 or x % 1000 else short(x)))
    x_name = CURVES[next(iter(curves))].x.replace("`", "")
    parts = []
    for number, (what, value_of) in enumerate((("tokens/s", rate), ("peak MB", lambda point: point["peak_mb"]))):
        values = [value_of(point) for points in curves.values() for point in points]
        bounds = padded_range(values, is_log=True)
        bounds = bounds[0] / 2, bounds[1] * 2  # so that what is flat looks flat
        panel = Panel(what, 76 + 380 * number, 48, 290, 200, ends, bounds, is_log=True)
        parts += frame(panel, x_name, marks, y_format=",.0f")
        for colour, points in zip(COLOURS, curves.values(), strict=False):
            places = [(math.log(point["x"]), value_of(point)) for point in points]
            parts.append(line(panel, places, colour))
            parts += [dot(panel, place, colour, f"{place[1]:,.0f}") for place in places]
    if len(curves) > 1:
        for number, (colour, name) in enumerate(zip(COLOURS, curves, strict=False)):
            top = 310 + 18 * number
            parts.append(f'<rect x="76" y="{top - 9}" width="10" height="10" fill="{colour}"/>')
            parts.append(text(92, top, CURVES[name].title.replace("`", "")))
    described = "; ".join(
        f"{CURVES[name].title}: "
        + ", ".join(f"{rate(p):,.0f} tokens/s and {p['peak_mb']} MB at {p['x']:,}" for p in points)
        for name, points in curves.items()
    )
    height = 300 + (18 * len(curves) if len(curves) > 1 else 0)
    drawn = svg([text(76, 16, title, weight="bold"), *parts], 780, height, title, described, background="white")
    return drawn.replace("currentColor", "#333333")


if __name__ == "__main__":
    main()
