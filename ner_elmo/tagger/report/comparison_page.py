"""The page of a comparison, from what :mod:`ner_elmo.tagger.report.comparison` found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ner_elmo.pages.page import Block, Heading, Paragraph, Pictures, Table
from ner_elmo.tagger.report import charts
from ner_elmo.tagger.report.comparison import FIGURES, Run
from ner_elmo.tagger.report.page import length_table, percent
from ner_elmo.tagger.report.scores import most_frequent_in
from ner_elmo.tagger.report.significance import N_PAIRED_RESAMPLES


def comparison_blocks(comparison: Mapping[str, Any]) -> Iterator[Block]:
    """The words and tables of either kind of comparison."""
    return tagger_blocks(comparison) if comparison["kind"] == "taggers" else bilm_blocks(comparison)


# --- taggers ----------------------------------------------------------------------------------------------------------


def tagger_blocks(comparison: Mapping[str, Any]) -> Iterator[Block]:
    """The comparison as a page: table and how to read it."""
    data, part = comparison["data"], comparison["part"]
    yield Paragraph(
        f"Scored on {part}: {data['file']}, {data['sentences']:,} sentences, {data['entities']:,} entities. "
        "Figures in percent; mean ± sample standard deviation over seeds."
    )
    header = ["run", "seeds", "precision", "recall", "F1", "difference", "95 % interval", "error reduction", "p"]
    yield Table(header, [_tagger_row(row) for row in comparison["runs"]])
    notes = [[row["name"], "; ".join(row["notes"]) or "–"] for row in comparison["runs"]]
    yield Table(["run", "settings that differ"], notes, is_words=True)
    yield Paragraph(
        "Difference, error reduction (of 100 − F1) and p are against the first run. Interval and p: paired bootstrap "
        f"over the sentences, {N_PAIRED_RESAMPLES:,} drawings, two-sided (Berg-Kirkpatrick, Burkett and Klein, 2012), "
        "the counts of all seeds added up. It asks whether other sentences would show the difference, too, not whether "
        "other seeds would: that is what ± says."
    )
    if part == "dev":
        yield Paragraph("Not all runs have a test part, so dev is compared, which chose each run's epoch: beware.")


def _tagger_row(row: Mapping[str, Any]) -> list[str]:
    cells = [row["name"], str(len(row["seeds"])), *(_mean_of(row[name]) for name in FIGURES)]
    if "difference" not in row:
        return [*cells, "", "", "", ""]
    difference = row["difference"]
    ends = " to ".join(f"{100 * end:+.2f}" for end in difference["interval"])
    p = f"{difference['p']:.4f}" if difference["p"] >= 0.001 else "< 0.001"
    return [*cells, f"{100 * difference['f1']:+.2f}", ends, f"{100 * difference['error_reduction']:+.1f}", p]


def _mean_of(figure: Mapping[str, Any]) -> str:
    spread = figure["standard_deviation"]
    return percent(figure["mean"]) + ("" if spread is None else f" ± {percent(spread)}")


def picture_blocks(runs: Sequence[Run], part: str) -> Iterator[Block]:
    """Learning curves, F1 by label and by length of all runs; what a report of an earlier version lacks is left out."""
    reports = {run.name: run.report for run in runs}
    curves = [svg for svg in (charts.f1_curve(reports), charts.loss_curve(reports)) if svg]
    if curves:
        yield Heading("Learning curves")
        yield Pictures(curves)
        yield Paragraph("The larger dot is the epoch that was kept. With several seeds: the one that is best on dev.")
        yield _curve_table(reports)
    counted = {name: report for name, report in reports.items() if part in report.get("analysis", {})}
    yield Heading("F1 by label and by length of the entity")
    yield Pictures([svg for svg in (charts.f1_by_label(reports, part), charts.f1_by_length(counted, part)) if svg])
    labels = most_frequent_in(reports.values(), part)
    yield Table(["F1", *labels], [[name, *_label_f1(report, part, labels)] for name, report in reports.items()])
    if counted:
        yield length_table(counted, part)
    missing = [name for name in reports if name not in counted]
    if missing:
        yield Paragraph(f"Reports of an earlier version, without curves and lengths: {', '.join(missing)}.")


def _curve_table(reports: Mapping[str, Mapping[str, Any]]) -> Table:
    """Dev F1 of every epoch of every run."""
    f1 = {
        name: {row["epoch"]: row["f1"] for row in report["training"].get("curve", []) if row["f1"] is not None}
        for name, report in reports.items()
    }
    epochs = sorted({epoch for of_run in f1.values() for epoch in of_run})
    rows = [[str(e), *(percent(of_run[e]) if e in of_run else "–" for of_run in f1.values())] for e in epochs]
    return Table(["epoch", *f1], rows, "F1 on dev at every epoch", folded=True)


def _label_f1(report: Mapping[str, Any], part: str, labels: Sequence[str]) -> list[str]:
    scores = report["scores"][part]["labels"]
    return [percent(scores[label]["f1"]) if label in scores else "–" for label in labels]


# --- biLMs ------------------------------------------------------------------------------------------------------------


def bilm_blocks(comparison: Mapping[str, Any]) -> Iterator[Block]:
    """The comparison as a page."""
    first = comparison["runs"][0]
    yield Paragraph(
        f"Held-out perplexity by the exact softmax on {first['tokens']:,} tokens; vocabulary "
        f"{str(comparison['vocabulary'])[:12]}."
    )
    rows = []
    for row in comparison["runs"]:
        figures = [f"{row[name]:.2f}" for name in ("forward", "backward", "mean")]
        change = "" if row["change"] is None else f"{100 * row['change']:+.1f} %"
        rows.append([row["name"], *figures, change, row["state"] or "zero"])
    yield Table(["biLM", "forward", "backward", "mean", "change", "state between sentences"], rows)
    if len({row["state"] or "zero" for row in comparison["runs"]}) > 1:
        yield Paragraph("One reading carries its state from sentence to sentence and another does not: beware.")
