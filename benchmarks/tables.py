"""The tables of the READMEs, of docs/accuracy.md and docs/growth.md, made from the reports in ``results/``.

    python benchmarks/tables.py                                                               # print them
    python benchmarks/tables.py README.md README.zh-CN.md docs/accuracy.md docs/growth.md     # put them in their places

A place is what lies between ``<!-- table NAME -->`` and ``<!-- end of table -->``. Needs Python 3.11.
"""

from __future__ import annotations

import json
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import growth
import tomllib
from accuracy import WITH, WITHOUT
from rows import figure, shown, table

HERE = Path(__file__).parent
RESULTS, RECIPES = HERE / "results", HERE / "recipes"
PLACE = re.compile(r"(?<=<!-- table )([\w-]+)( -->\n).*?(?=<!-- end of table -->)", re.DOTALL)

Report = dict[str, Any]

HEAD = ["dev without", "dev with", "test without", "test with", "fewer errors"]

# name of the report without .with or .without, title, and which figure counts
OTHER = (
    ("conll2003-pos", "CoNLL-2003, parts of speech", "accuracy"),
    ("conll2003-chunks", "CoNLL-2003, chunks", "f1"),
    ("weibo-segmentation", "Weibo, words", "f1"),
    ("weibo-lexical", "Weibo, words and entities", "f1"),
)


def main(arguments: list[str]) -> int:
    tables = {name: make() for name, make in TABLES.items()}
    if not arguments:
        print("\n\n".join(f"{name}\n\n{text}" for name, text in tables.items()))
    for path in map(Path, arguments):
        path.write_text(filled(path.read_text(encoding="utf-8"), tables), encoding="utf-8")
    return 0


def filled(text: str, tables: dict[str, str]) -> str:
    """``text`` with the tables in their places.

    Raises:
        KeyError: it names a table that there is not.
    """
    return PLACE.sub(lambda place: f"{place[1]}{place[2]}{tables[place[1]]}\n", text)


def read(path: Path) -> Report | None:
    """A report; None where the row was not run."""
    found: Report | None = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return found


def n_seeds(*reports: Report | None) -> int:
    """How many seeds a line stands for."""
    return max((len(report["protocol"]["seeds"]) for report in reports if report), default=1)


def fewer_errors(without: Report | None, with_it: Report | None, part: str = "test") -> str:
    """The share of the error, 1 − F1, that the biLM takes away."""
    one, two = (report and figure(report, part) for report in (without, with_it))
    return f"{100 * (two[0] - one[0]) / (100 - one[0]):.1f} %" if one and two else "–"


def accuracy() -> str:
    """F1 of every corpus without and with the biLM."""
    lines = []
    for corpus in recipe("accuracy")["corpus"]:
        reports = [read(RESULTS / "accuracy" / f"{corpus['name']}.{kind}.json") for kind in (WITHOUT, WITH)]
        if any(reports):
            lines.append([f"{corpus['title']} (`{corpus['name']}`)", str(n_seeds(*reports)), *figures(reports)])
    return table(["corpus", "seeds", *HEAD], lines)


HEADLINE = {  # corpus of the READMEs, and what it is
    "conll2003": ("news", "英文新闻"),
    "wnut17": ("posts on the web", "英文网络帖子"),
    "conll2002-es": ("news", "西班牙语新闻"),
    "ncbi-disease": ("diseases in abstracts", "英文医学摘要，疾病"),
    "resume": ("Chinese résumés", "中文简历"),
    "weibo": ("Chinese posts", "中文微博"),
}


def headline(chinese: bool = False) -> str:
    """Test F1 of some corpora without and with the biLM."""
    titles = {corpus["name"]: corpus["title"] for corpus in recipe("accuracy")["corpus"]}
    lines = []
    for name, words in HEADLINE.items():
        reports = [read(RESULTS / "accuracy" / f"{name}.{kind}.json") for kind in (WITHOUT, WITH)]
        if any(reports):
            what = f"{titles[name]}（{words[1]}）" if chinese else f"{titles[name]}, {words[0]}"
            lines.append([what, *(shown(report and figure(report, "test"), n_seeds(report)) for report in reports)])
    return table(["测试集 F1", "不用语言模型", "用语言模型"] if chinese else ["test F1", "without", "with"], lines)


def headline_zh() -> str:
    """The same in Chinese."""
    return headline(chinese=True)


def figures(reports: list[Report | None]) -> list[str]:
    """Dev and test of a pair of reports, and what the second saves."""
    cells = [shown(report and figure(report, part), n_seeds(report)) for part in ("dev", "test") for report in reports]
    return [*cells, fewer_errors(*reports)]


def curve() -> str:
    """F1 by the share of CoNLL-2003 that was trained on."""
    lines = []
    for share in (0.01, 0.05, 0.2):
        lines.append([read(RESULTS / "curve" / f"{row}.{share:g}.json") for row in ("no-bilm", "default")])
    lines.append([read(RESULTS / "accuracy" / f"conll2003.{kind}.json") for kind in (WITHOUT, WITH)])
    rows = [
        [f"{next(r for r in pair if r)['protocol']['data']['train']['sentences']:,}", *figures(pair)]
        for pair in lines
        if any(pair)
    ]
    return table(["training sentences", *HEAD], rows)


def ablations() -> str:
    """One thing changed at a time, on a fifth of CoNLL-2003."""
    reports = {
        row["name"]: read(RESULTS / "ablations" / f"{row['name']}.0.2.json") for row in recipe("ablations")["row"]
    }
    base, lines = reports["default"], []
    for row in recipe("ablations")["row"]:
        report = reports[row["name"]]
        if report is None:
            lines.append([row["title"], "not run", "", "", ""])
            continue
        cells = [row["title"]]
        for part in ("dev", "test"):
            here, there = figure(report, part), base and figure(base, part)
            difference = f"{here[0] - there[0]:+.2f}" if here and there and report is not base else ""
            cells += [shown(here, n_seeds(report)), difference]
        lines.append(cells)
    return table(["", "dev F1", "", "test F1", ""], lines)


def other() -> str:
    """Other labels than entities'."""
    lines = []
    for name, title, kind in OTHER:
        pair = [read(RESULTS / "other" / f"{name}.{suffix}.json") for suffix in ("without", "with")]
        cells = [f"{title} ({'accuracy' if kind == 'accuracy' else 'F1'})"]
        for part in ("dev", "test"):
            cells += [f"{100 * report['scores'][part][kind]:.2f}" if report else "–" for report in pair]
        if any(pair):
            lines.append(cells)
    return table(["", *HEAD[:4]], lines)


def calibration() -> str:
    """Expected calibration error of the entities' probabilities on test, before and after the temperature of dev."""
    lines = []
    for corpus in recipe("accuracy")["corpus"]:
        report = read(RESULTS / "accuracy" / f"{corpus['name']}.{WITH}.json")
        if report:
            found = report["calibration"]
            errors = [found["test"]["uncalibrated"]["ece"], found["test"]["ece"]]
            cells = [
                f"{found['test']['entities']:,}",
                f"{found['temperature']:.2f}",
                *(f"{100 * e:.1f} %" for e in errors),
            ]
            lines.append([corpus["title"], *cells])
    return table(["test", "entities found", "temperature", "error without it", "with it"], lines)


def peers(corpus: str = "curve") -> str:
    """Test F1 of what others have, by the number of labelled sentences."""
    rows = json.loads((RESULTS / "peers" / f"{corpus}.json").read_text(encoding="utf-8"))
    names = list(dict.fromkeys(row["peer"] for row in rows))
    found = {(row["sentences"], row["peer"]): f"{row['test_f1']:.2f}" for row in rows}
    lines = [[f"{n:,}", *(found.get((n, name), "–") for name in names)] for n in sorted({n for n, _ in found})]
    return table(["training sentences", *(f"{name}, test" for name in names)], lines)


def transformer() -> str:
    """What the fine-tuned transformer takes."""
    rows = json.loads((RESULTS / "peers" / "curve.json").read_text(encoding="utf-8"))
    lines = [
        [
            f"{row['sentences']:,}",
            f"{row['rate']:g}",
            f"{row['epoch']} of {row['epochs']}",
            f"{row['cpu_seconds'] - row['of_these_for_dev']:,} s",
            f"{row['training_peak_mb']:,} MB",
            f"{row['tokens_per_cpu_second']:,}; {row['in_bfloat16']:,}",
            f"{row['tagging_peak_mb']:,} MB",
            f"{row['disk_mb']:,} MB",
        ]
        for row in rows
        if "disk_mb" in row
    ]
    head = ["training sentences", "learning rate", "epoch", "training, without dev", "its peak memory"]
    return table([*head, "tagging, tokens/s in fp32; bf16", "its peak memory", "on disk"], lines)


def recipe(name: str) -> dict[str, Any]:
    """A recipe of ``recipes/``."""
    return tomllib.loads((RECIPES / f"{name}.toml").read_text(encoding="utf-8"))


TABLES = {
    "headline": headline,
    "headline-zh": headline_zh,
    "accuracy": accuracy,
    "curve": curve,
    "ablations": ablations,
    "other": other,
    "calibration": calibration,
    "peers": peers,
    "transformer": transformer,
    **{f"growth-{name}": partial(growth.table_of, name) for name in growth.PICTURES},
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
