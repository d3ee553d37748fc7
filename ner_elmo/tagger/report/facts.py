"""What a finished run knows of itself beyond its scores: for ``report.json`` and the pages made from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ner_elmo.pages.page import to_html, to_markdown
from ner_elmo.runs.log import read_events
from ner_elmo.tagger.network.inputs import Example
from ner_elmo.tagger.network.joined import Network
from ner_elmo.tagger.report.calibration import calibration_figures, fit_temperature, predict_for_calibration
from ner_elmo.tagger.report.errors import Recurring, confusion, count_kinds, counts_by_length, recurring_errors
from ner_elmo.tagger.report.page import report_blocks, title_of
from ner_elmo.tagger.report.scores import Counts, SentenceCounts, count
from ner_elmo.tagger.report.significance import f1_intervals
from ner_elmo.text.files import write_json, write_text
from ner_elmo.text.formats.corpus import LabelledSentence
from ner_elmo.text.tag_scheme import Span

ERRORS = "errors.json"
PAGES = ("report.md", "report.html")

Parts = Mapping[str, Sequence[LabelledSentence]]


def predict_parts(
    model: Network,
    examples: Mapping[str, Sequence[Example]],
    sentences: Parts,
    device: torch.device | str,
    temperature: float | None = None,
) -> tuple[dict[str, list[list[Span]]], dict[str, Any]]:
    """The entities of dev and, if there is one, test; and how far their probabilities can be believed.

    Args:
        temperature: None: it is fitted on dev. If that was trained on, it should be 1: a model is surer of what it has
            learned.

    Returns:
        The entities of each part's sentences; ``calibration`` of ``report.json``.
    """
    predictions = {
        part: predict_for_calibration(model, examples[part], [s.spans for s in sentences[part]], device)
        for part in ("dev", "test")
        if part in sentences
    }
    if temperature is None:
        temperature = fit_temperature(predictions["dev"])
    calibration: dict[str, Any] = {"temperature": temperature}
    calibration |= {part: calibration_figures(of_part, temperature) for part, of_part in predictions.items()}
    return {part: of_part.spans for part, of_part in predictions.items()}, calibration


def analyse(sentences: Sequence[LabelledSentence], predicted: Sequence[Sequence[Span]]) -> dict[str, Any]:
    """``analysis`` of one part in ``report.json``: intervals of F1, counts by entity length, confusion of labels."""
    gold = [sentence.spans for sentence in sentences]
    return {
        "intervals": f1_intervals(count(gold, predicted)),
        "by_length": counts_by_length(gold, predicted),
        "confusion": confusion(gold, predicted),
    }


def learning_curve(log: Path) -> list[dict[str, Any]]:
    """The epochs of a ``log.jsonl`` without their times, which differ from run to run."""
    rows = {}
    names = ("epoch", "loss", "precision", "recall", "f1", "learning_rate")
    for values in read_events(log):
        if set(names) <= values.keys():
            rows[values["epoch"]] = {name: values[name] for name in names}
    return [row for _, row in sorted(rows.items())]


def in_brief(calibration: Mapping[str, Any]) -> dict[str, Any]:
    """For ``tagger.json``: the temperature, and each part's expected calibration error with it and without."""
    parts = {part: figures for part, figures in calibration.items() if part != "temperature"}
    return {
        "temperature": calibration["temperature"],
        "ece": {part: figures["ece"] for part, figures in parts.items()},
        "uncalibrated_ece": {part: figures["uncalibrated"]["ece"] for part, figures in parts.items()},
    }


def sum_over_runs(runs: Sequence[Sequence[SentenceCounts]]) -> list[SentenceCounts]:
    """The counts of each sentence over several runs."""
    added: list[SentenceCounts] = []
    for same in zip(*runs, strict=True):
        total: SentenceCounts = {}
        for sentence in same:
            for label, counts in sentence.items():
                total[label] = total.get(label, Counts()).plus(Counts(*counts))
        added.append(total)
    return added


def write_errors(folder: Path, part: str, sentences: Parts, predicted: Sequence[Sequence[Span]]) -> None:
    """``errors.json``: how many errors of each kind there are on ``part``, and those that recur, with sentences."""
    errors = [error.as_dict() for error in recurring_errors(sentences[part], predicted)]
    write_json(
        folder / ERRORS, {"part": part, "kinds": count_kinds(sentences[part], predicted), "most_frequent": errors}
    )


def write_pages(folder: Path, report: Mapping[str, Any]) -> None:
    """``report.md`` and ``report.html`` beside a ``report.json`` and an ``errors.json``."""
    listed = json.loads((folder / ERRORS).read_text(encoding="utf-8"))
    errors = [Recurring.from_dict(values) for values in listed["most_frequent"]]
    blocks = list(report_blocks(report, errors, listed["kinds"]))
    for name, write in zip(PAGES, (to_markdown, to_html), strict=True):
        write_text(folder / name, write(title_of(report), blocks))
