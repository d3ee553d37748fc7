"""What each part of the tagger brings: rows of a recipe, each trained on the same share of the same data.

    python benchmarks/ablations.py benchmarks/recipes/ablations.toml \\
        --train eng.train --dev eng.testa --test eng.testb --bilm models/en \\
        --word-vectors en.vectors.txt --share 0.2 --seeds 1,2,3 -o RUNS

Run again, it goes on where it stopped; a finished row is not run a second time. Reports go to
``benchmarks/results/ablations`` (``--results``), with the table beside them. Several shares (``--share
0.01,0.05,0.2,1``) make the learning curve of the chosen ``--rows``. Needs Python 3.11.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

import tomllib
from rows import Row, figure, not_run, numbers, run_rows, sample, sentences, shown, table, write_table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path, help="a TOML file such as recipes/ablations.toml")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--dev", type=Path, required=True)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--bilm", help="left out by rows with bilm = false")
    parser.add_argument("--word-vectors", help="left out by rows with word_vectors = false")
    parser.add_argument("--share", default="1", help="share of the training sentences, or several: 0.01,0.05,0.2,1")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--rows", help="names of the rows to run [default: all]")
    parser.add_argument("--flags", default="", help="further flags of train-tagger, for every row")
    parser.add_argument("--encoding", default="utf-8")
    parser.add_argument("-o", "--runs", type=Path, required=True, help="folder for the runs and their feature cache")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results" / "ablations")
    arguments = parser.parse_args()
    recipe = tomllib.loads(arguments.recipe.read_text(encoding="utf-8"))
    chosen = None if arguments.rows is None else arguments.rows.split(",")
    if chosen and (unknown := set(chosen) - {row["name"] for row in recipe["row"]}):
        parser.error(f"--rows: {', '.join(sorted(unknown))} not in {arguments.recipe}")
    seeds, lines, every = numbers(arguments.seeds), [], {}
    for share in map(float, arguments.share.split(",")):
        train = sample(arguments.train, share, arguments.runs, arguments.encoding)
        data = {"train": train, "dev": arguments.dev} | ({"test": arguments.test} if arguments.test else {})
        n_sentences = sum(1 for _ in sentences(train, arguments.encoding))
        rows = [
            Row(f"{row['name']}.{share:g}", data, tuple(flags_of(row, recipe, arguments)))
            for row in recipe["row"]
            if chosen is None or row["name"] in chosen
        ]
        found = run_rows(rows, seeds, arguments.runs, arguments.results)
        every |= found
        titles = {f"{row['name']}.{share:g}": row.get("title", row["name"]) for row in recipe["row"]}
        for name, report in found.items():
            if not isinstance(report, str):
                scores = [shown(figure(report, part), len(seeds)) for part in ("dev", "test")]
                lines.append([titles[name], f"{n_sentences:,}", *scores, f"{report['seconds']:,.0f}"])
    head = ["row", "training sentences", "dev F1", "test F1", "s per seed"]
    text = f"Seeds {arguments.seeds}: mean ± standard deviation.\n\n{table(head, lines)}{not_run(every)}"
    write_table(text, arguments.results / "table.md")
    return 1 if any(isinstance(report, str) for report in every.values()) else 0


def flags_of(row: dict[str, Any], recipe: dict[str, Any], arguments: argparse.Namespace) -> list[str]:
    """The flags of ``train-tagger`` for a row, without data and seeds; later ones override earlier ones."""
    flags = ["--encoding", arguments.encoding]
    if arguments.bilm and row.get("bilm", True):
        flags += ["--bilm", arguments.bilm]
    if arguments.word_vectors and row.get("word_vectors", True):
        flags += ["--word-vectors", arguments.word_vectors]
    return flags + shlex.split(f"{recipe.get('flags', '')} {row.get('flags', '')} {arguments.flags}")


if __name__ == "__main__":
    sys.exit(main())
