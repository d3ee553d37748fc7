"""The table of ``recipes/adapt.sh``: held-out perplexity before and after, and F1 of the taggers.

    python benchmarks/adaptation.py RUNS

Writes ``adaptation.jsonl`` (a line for each run) and ``adaptation.md`` into RUNS and prints the latter.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

ADAPTED = {
    "plain": "plain --init",
    "slanted": "+ --schedule slanted",
    "decay": "+ --layer-decay 2.6",
    "unfreeze": "+ --unfreeze 0.3",
}
RUNS = ADAPTED | {"scratch": "from scratch"}
TAGGERS = {"tagger-before": "the biLM as it was", "tagger-after": "adapted", "tagger-scratch": "from scratch"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="the folder that the recipe has written")
    parser.add_argument("--best", action="store_true", help="only print the adapted run with the lowest perplexity")
    arguments = parser.parse_args()
    if arguments.best:
        print(min(ADAPTED, key=lambda name: read(arguments.runs / name / "report.json")["perplexity"]["mean"]))
        return
    rows = [perplexity_row(arguments.runs / name) for name in RUNS]
    if len({row["vocabulary"] for row in rows}) > 1:
        raise SystemExit(f"{arguments.runs}: the runs have different vocabularies; their perplexities do not compare")
    rows += [tagger_row(arguments.runs / name) for name in TAGGERS]
    (arguments.runs / "adaptation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = markdown(rows)
    (arguments.runs / "adaptation.md").write_text(text)
    print(text, end="")


def perplexity_row(run: Path) -> dict[str, Any]:
    """``before`` is ``None`` for a run that began with fresh weights."""
    report = read(run / "report.json")
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    start = [event for event in events if event["event"] == "perplexity" and event["step"] == 0]
    return {
        "run": run.name,
        "before": start[0]["mean"] if start else None,
        "after": report["perplexity"]["mean"],
        "unigram": report["unigram_perplexity"],
        "unk_rate": report["perplexity"]["unk_rate"],
        "heldout_tokens": report["perplexity"]["tokens"],
        "tokens": report["tokens"],
        "vocabulary": report["perplexity"]["vocabulary"],
    }


def tagger_row(run: Path) -> dict[str, Any]:
    """F1 in percent, a mean over the seeds; ``deviation`` is ``None`` for one seed."""
    report = read(run / "report.json")
    row: dict[str, Any] = {"run": run.name, "bilm": report["config"]["bilm"], "seeds": report["protocol"]["seeds"]}
    for part in ("dev", "test"):
        figures = report.get("seeds", {}).get("f1", {}).get(part)
        row[part] = 100 * (figures["mean"] if figures else report["scores"][part]["f1"])
        row[f"{part}_deviation"] = 100 * figures["standard_deviation"] if figures else None
    return row


def markdown(rows: list[dict[str, Any]]) -> str:
    lines = ["| biLM | held-out perplexity before | after | tokens seen |", "|---|---|---|---|"]
    for row in rows:
        if row["run"] in RUNS:
            before = "" if row["before"] is None else f"{row['before']:.1f}"
            lines.append(f"| {RUNS[row['run']]} | {before} | {row['after']:.1f} | {row['tokens']:,} |")
    first = rows[0]
    lines += [
        "",
        f"{first['heldout_tokens']:,} held-out tokens, {first['unk_rate']:.2%} of them unknown, the same vocabulary in "
        f"all rows; a unigram model's perplexity: {first['unigram']:.1f}.",
        "",
        "| tagger with | dev F1 | test F1 | seeds |",
        "|---|---|---|---|",
    ]
    for row in rows:
        if row["run"] in TAGGERS:
            dev, test = (f1(row[part], row[f"{part}_deviation"]) for part in ("dev", "test"))
            lines.append(f"| {TAGGERS[row['run']]} (`{row['bilm']}`) | {dev} | {test} | {len(row['seeds'])} |")
    return "\n".join(lines) + "\n"


def f1(mean: float, deviation: float | None) -> str:
    return f"{mean:.2f}" + ("" if deviation is None else f" ± {deviation:.2f}")


def read(path: Path) -> dict[str, Any]:
    values = json.loads(path.read_text())
    assert isinstance(values, dict)
    return values


if __name__ == "__main__":
    main()
