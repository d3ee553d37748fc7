"""How time and memory grow: tokens a second and peak memory by length, batch, labels, vocabulary, corpus and workers.

    PYTHONPATH=. python benchmarks/growth.py measure TEXT --train CONLL -o benchmarks/results/growth.json
    PYTHONPATH=. python benchmarks/growth.py plots benchmarks/results/growth.json     # docs/images/growth-*.svg
    PYTHONPATH=. python benchmarks/growth.py tables benchmarks/results/growth.json    # those of docs/growth.md

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
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ner_elmo.pages.charts import COLOURS, Panel, dot, frame, line, svg, text

HERE = Path(__file__).parent
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
    "sentence": Curve(
        "tagging one sentence (`models/en`)", "tokens of the sentence", (10, 100, 1000, 10_000, 100_000), 3
    ),
    "batch": Curve(
        "tagging (`models/en`), `--batch-tokens`", "batch-tokens", (64, 256, 1024, 4096, 8192, 16_384, 65_536)
    ),
    "labels-tagging": Curve("tagging", "labels", (4, 20, 100, 500)),
    "labels-training": Curve("tagger training", "labels", (4, 20, 100, 500)),
    "words-tagging": Curve("tagging", "words with a vector", (10_000, 100_000, 1_000_000), 1),
    "words-fixed": Curve(
        "tagger training, 10,000 words learned, the others fixed", "words", (10_000, 100_000, 1_000_000), 1
    ),
    "words-learned": Curve("tagger training, all words learned", "words", (10_000, 100_000, 1_000_000), 1),
    "vocabulary-sampled": Curve(
        "pretraining, 4,096 words sampled", "words", (10_000, 30_000, 100_000, 300_000, 1_000_000), 1
    ),
    "vocabulary-exact": Curve("held-out perplexity: the exact softmax alone", "words", (10_000, 100_000, 1_000_000), 1),
    "corpus-tag": Curve("`tag`, a small tagger without a biLM", "MB of text", (1, 10, 100)),
    "corpus-tag-en": Curve("`tag -m en`", "MB of text", (1, 2, 4), 1),
    "corpus-read": Curve("reading, counting and batches of `pretrain`", "MB of text", (1, 10, 100, 1000)),
    "threads": Curve("`tag -m en --threads`", "threads", (1, 2)),
    "processes": Curve("`tag -m en --processes`", "processes", (1, 2)),
}
PICTURES = {  # file: title, curves
    "sentence": ("Tagging by the length of one sentence", ("sentence",)),
    "batch": ("Tagging by the size of a batch", ("batch",)),
    "labels": ("By the number of labels", ("labels-tagging", "labels-training")),
    "words": ("Taggers by the number of words", ("words-tagging", "words-fixed", "words-learned")),
    "vocabulary": ("Pretraining by its vocabulary", ("vocabulary-sampled", "vocabulary-exact")),
    "corpus": ("By the size of the text", ("corpus-tag", "corpus-tag-en", "corpus-read")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("text", type=Path, nargs="+", help="a tokenised sentence on each line, plain or compressed")
    measuring.add_argument("--train", type=Path, required=True, help="a labelled file")
    measuring.add_argument("-m", "--model", default="en")
    measuring.add_argument("--curves", default=",".join(CURVES))
    measuring.add_argument("--values", help="of one curve, in place of its own, e.g. 10,100")
    measuring.add_argument("--quick", action="store_true")
    measuring.add_argument("-o", "--output", type=Path, required=True)
    for name in ("plots", "tables"):
        commands.add_parser(name).add_argument("measured", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "measure":
        measure(arguments)
        return
    curves: dict[str, list[Point]] = json.loads(arguments.measured.read_text(encoding="utf-8"))["curves"]
    if arguments.command == "tables":
        print("\n\n".join(table(name, curves[name]) for name in CURVES if name in curves))
        return
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
                small_tagger(arguments.train, Path(folder) / "small")
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


def small_tagger(train: Path, folder: Path) -> None:
    """A tagger without a biLM, for corpora that one with a biLM would take hours for."""
    command = [sys.executable, "-m", "ner_elmo", "train-tagger", "--train", str(train), "-o", str(folder)]
    subprocess.run([*command, *SMALL_TAGGER], check=True, stdout=subprocess.DEVNULL)


def processor() -> str:
    """Its name, as Linux has it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((one.partition(":")[2].strip() for one in lines if one.startswith("model name")), platform.machine())


# ---- showing --------------------------------------------------------------------------------------------------------


def rate(point: Point) -> float:
    return point["tokens"] / point["seconds"]


def table(name: str, points: Sequence[Point]) -> str:
    """In Markdown."""
    curve = CURVES[name]
    rows = [
        [f"{point['x']:,}", f"{point['tokens']:,}", f"{rate(point):,.0f}", f"{point['peak_mb']:,}"] for point in points
    ]
    head = [curve.x, "tokens measured", "tokens/s", "peak MB"]
    lines = [head, ["---"] * len(head), *rows]
    return f"{curve.title}:\n\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def picture(title: str, curves: dict[str, list[Point]]) -> str:
    """Two charts: speed, and peak memory; both axes of both are logarithmic."""
    xs = sorted({point["x"] for points in curves.values() for point in points})
    ends = math.log(xs[0]) - 0.2, math.log(xs[-1]) + 0.2
    marks = [(math.log(x), f"{x:,.0f}") for x in xs if math.isclose(10 ** round(math.log10(x)), x) or len(xs) <= 5]
    x_name = " / ".join(dict.fromkeys(CURVES[name].x for name in curves))
    parts = []
    for number, (what, value_of) in enumerate((("tokens/s", rate), ("peak MB", lambda point: point["peak_mb"]))):
        values = [value_of(point) for points in curves.values() for point in points]
        bounds = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values) * 1.01))
        panel = Panel(what, 66 + 390 * number, 48, 300, 200, ends, bounds, is_log=True)
        parts += frame(panel, x_name, marks)
        for colour, points in zip(COLOURS, curves.values(), strict=False):
            places = [(math.log(point["x"]), value_of(point)) for point in points]
            parts.append(line(panel, places, colour))
            parts += [dot(panel, place, colour, f"{place[1]:,.0f}") for place in places]
    if len(curves) > 1:
        for number, (colour, name) in enumerate(zip(COLOURS, curves, strict=False)):
            top = 310 + 18 * number
            parts.append(f'<rect x="66" y="{top - 9}" width="10" height="10" fill="{colour}"/>')
            parts.append(text(82, top, CURVES[name].title.replace("`", "")))
    described = "; ".join(
        f"{CURVES[name].title}: "
        + ", ".join(f"{rate(p):,.0f} tokens/s and {p['peak_mb']} MB at {p['x']:,}" for p in points)
        for name, points in curves.items()
    )
    height = 300 + (18 * len(curves) if len(curves) > 1 else 0)
    drawn = svg([text(66, 16, title, weight="bold"), *parts], 780, height, title, described, background="white")
    return drawn.replace("currentColor", "#333333")


if __name__ == "__main__":
    main()
