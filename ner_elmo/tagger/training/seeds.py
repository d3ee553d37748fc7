"""Several seeds of one training: their mean and spread, and the best one put in front."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ner_elmo.runs.directory import BILM, REPORT, write_config
from ner_elmo.runs.events import Report, note
from ner_elmo.tagger.report.facts import sum_over_runs
from ner_elmo.tagger.report.scores import counts_as_data, figure_name
from ner_elmo.tagger.training.config import TaggerConfig
from ner_elmo.tagger.training.run_directory import move_run, write_report
from ner_elmo.text.files import json_of

ALL_SEEDS = "sentences_of_all_seeds"  # in the report: counts of each sentence, added up over the seeds


def choose_best(
    config: TaggerConfig, directory: Path, reports: dict[int, dict[str, Any]], report: Report
) -> dict[str, Any]:
    """Put the seed that is best on dev (the first one, if dev was trained on) into ``directory`` itself, with a summary
    of all of them in its report."""
    if len(reports) == 1:
        return next(iter(reports.values()))
    best = config.seeds[0]
    if not config.train_with_dev:
        best = max(reports, key=lambda seed: reports[seed]["scores"]["dev"]["f1"])
    found = reports[best]
    found["protocol"]["seeds"] = list(config.seeds)
    found["seeds"] = summary(reports)
    found[ALL_SEEDS] = {
        part: counts_as_data(sum_over_runs([one["sentences"][part] for one in reports.values()]))
        for part in found["sentences"]
    }
    move_run(directory / f"seed-{best}", directory, None if config.bilm is None else BILM)
    write_config(directory, config)
    write_report(directory, found)
    why = "without a dev score, kept is the first," if config.train_with_dev else "the best on dev is"
    for part, figures in found["seeds"]["f1"].items():
        spread = f"mean {figures['mean']:.4f} ± {figures['standard_deviation']:.4f}"
        name = figure_name(found["options"])
        note(report, f"{part} {name} over {len(reports)} seeds: {spread}; {why} seed {best}")
    return found


def summary(reports: Mapping[Any, Mapping[str, Any]]) -> dict[str, Any]:
    """Precision, recall and F1 of every seed, or run of another name, on each part, their mean and (sample) standard
    deviation."""
    parts = list(next(iter(reports.values()))["scores"])
    figures: dict[str, Any] = {name: {} for name in ("f1", "precision", "recall")}
    for name, part in itertools.product(figures, parts):
        by_seed = {str(seed): found["scores"][part][name] for seed, found in reports.items()}
        values = list(by_seed.values())
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        figures[name][part] = {"by_seed": by_seed, "mean": statistics.mean(values), "standard_deviation": spread}
    return figures


def reopen(directory: Path) -> None:
    """Undo :func:`choose_best` before a run of several seeds goes on."""
    try:
        found = json_of(directory / REPORT)
        seed = found["seed"] if "seeds" in found else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return
    if seed is not None:
        folder = directory / f"seed-{int(seed)}"
        folder.mkdir(exist_ok=True)
        move_run(directory, folder, None if not (directory / BILM).exists() else f"../{BILM}")
        found["protocol"]["seeds"] = [seed]
        del found["seeds"]
        found.pop(ALL_SEEDS, None)
        write_report(folder, found)
