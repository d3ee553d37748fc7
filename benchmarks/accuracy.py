"""Accuracy on real corpora, each with and without the biLM; all else is the same tagger with the same word vectors.

    python benchmarks/accuracy.py --data ../shared/data/ner --bilm en=models/en --bilm zh=models/zh \\
        --word-vectors en=en.vectors.txt --word-vectors zh=zh.vectors.txt -o RUNS

``benchmarks/recipes/accuracy.toml`` lists the corpora with the flags and seeds of each. Run again, it goes on where it
stopped; a finished row is not run a second time. Reports go to ``benchmarks/results/accuracy`` (``--results``), with
the table beside them, which names what was not run, too. Needs Python 3.11.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

import tomllib
from rows import Row, figure, not_run, numbers, run_side_by_side, shown, table, write_table

HERE = Path(__file__).parent
WITH, WITHOUT = "with-bilm", "without-bilm"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the corpora's folders")
    parser.add_argument("--bilm", action="append", default=[], metavar="LANGUAGE=BILM")
    parser.add_argument("--word-vectors", action="append", default=[], metavar="LANGUAGE=FILE")
    parser.add_argument("--corpora", help="names of the corpora to run [default: all]")
    parser.add_argument("--kinds", default=f"{WITHOUT},{WITH}", help="[default: both]")
    parser.add_argument("--seeds", help="of every corpus, such as 1,2,3 [default: those of the recipe]")
    parser.add_argument("--jobs", type=int, default=1, help="rows run at once, each in a process with one thread")
    parser.add_argument("--flags", default="", help="further flags of train-tagger, for every row")
    parser.add_argument("-o", "--runs", type=Path, required=True, help="folder for the runs and their feature cache")
    parser.add_argument("--recipe", type=Path, default=HERE / "recipes" / "accuracy.toml")
    parser.add_argument("--results", type=Path, default=HERE / "results" / "accuracy")
    arguments = parser.parse_args()
    recipe = tomllib.loads(arguments.recipe.read_text(encoding="utf-8"))
    chosen = None if arguments.corpora is None else arguments.corpora.split(",")
    if chosen and (unknown := set(chosen) - {corpus["name"] for corpus in recipe["corpus"]}):
        parser.error(f"--corpora: {', '.join(sorted(unknown))} not in {arguments.recipe}")
    bilms, vectors = by_language(parser, arguments.bilm), by_language(parser, arguments.word_vectors)
    found: dict[str, dict[str, Any] | str] = {}
    rows = []
    for corpus in recipe["corpus"]:
        seeds = seeds_of(corpus, recipe, arguments)
        for kind in (WITHOUT, WITH):
            name = f"{corpus['name']}.{kind}"
            if chosen is not None and corpus["name"] not in chosen:
                found[name] = "not chosen (--corpora)"
            elif kind not in arguments.kinds.split(","):
                found[name] = "not chosen (--kinds)"
            elif kind == WITH and corpus["language"] not in bilms:
                found[name] = f"no biLM of this language (--bilm {corpus['language']}=…)"
            else:
                bilm = bilms.get(corpus["language"]) if kind == WITH else None
                row = row_of(corpus, name, bilm, vectors.get(corpus["language"]), recipe, arguments)
                rows.append((row, seeds))
    found |= run_side_by_side(rows, arguments.jobs, arguments.runs, arguments.results)
    lines = [
        cells
        for corpus in recipe["corpus"]
        if (cells := cells_of(corpus, found, len(seeds_of(corpus, recipe, arguments))))
    ]
    head = [
        "corpus",
        "seeds",
        *["dev without", "dev with", "test without", "test with", "difference", "epochs", "s per seed"],
    ]
    text = f"F1; of several seeds, mean ± standard deviation.\n\n{table(head, lines)}{not_run(found)}"
    write_table(text, arguments.results / "table.md")
    failed = [why for why in found.values() if isinstance(why, str) and why.startswith("train-tagger")]
    return 1 if failed else 0


def by_language(parser: argparse.ArgumentParser, values: list[str]) -> dict[str, str]:
    """``en=models/en`` and so on as a dict."""
    for value in values:
        if "=" not in value:
            parser.error(f"{value}: expected LANGUAGE=PATH, such as en=models/en")
    return dict(value.split("=", 1) for value in values)


def seeds_of(corpus: dict[str, Any], recipe: dict[str, Any], arguments: argparse.Namespace) -> list[int]:
    """The seeds of a corpus: those asked for, or the recipe's."""
    return numbers(arguments.seeds or corpus.get("seeds", recipe["seeds"]))


def row_of(
    corpus: dict[str, Any],
    name: str,
    bilm: str | None,
    vectors: str | None,
    recipe: dict[str, Any],
    arguments: argparse.Namespace,
) -> Row:
    """A corpus with or without a biLM."""
    data = {part: arguments.data / corpus[part] for part in ("train", "dev", "test")}
    flags = ["--bilm", bilm] if bilm else []
    flags += ["--word-vectors", vectors] if vectors else []
    further = corpus.get("with_flags", "") if bilm else ""
    flags += shlex.split(f"{recipe.get('flags', '')} {corpus.get('flags', '')} {further} {arguments.flags}")
    return Row(name, data, tuple(flags))


def cells_of(corpus: dict[str, Any], found: dict[str, dict[str, Any] | str], n_seeds: int) -> list[str]:
    """A corpus's line of the table; none if neither of its rows was run."""
    reports = [found[f"{corpus['name']}.{kind}"] for kind in (WITHOUT, WITH)]
    if all(isinstance(report, str) for report in reports):
        return []
    cells, means = [corpus["title"], str(n_seeds)], {}
    for part in ("dev", "test"):
        for kind, report in zip((WITHOUT, WITH), reports, strict=True):
            value = None if isinstance(report, str) else figure(report, part)
            means[part, kind] = value[0] if value else None
            cells.append(shown(value, n_seeds))
    one, other = means["test", WITHOUT], means["test", WITH]
    cells.append("–" if one is None or other is None else f"{other - one:+.2f}")
    whole = [report for report in reports if not isinstance(report, str)]
    cells.append(" / ".join(str(report["training"]["epochs_run"]) for report in whole))
    cells.append(" / ".join(f"{report['seconds']:,.0f}" for report in whole))
    return cells


if __name__ == "__main__":
    sys.exit(main())
