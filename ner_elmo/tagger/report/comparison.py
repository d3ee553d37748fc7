"""Runs side by side, from their reports alone: taggers by F1 on the same data, biLMs by perplexity over the same words.

Figures that mean different things are refused: of taggers scored on other sentences or other gold entities, of biLMs
with other vocabularies or held-out text.
"""

from __future__ import annotations

import functools
import json
import operator
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ner_elmo.errors import DataError, UsageError
from ner_elmo.tagger.report.scores import Counts, SentenceCounts
from ner_elmo.tagger.report.significance import paired_bootstrap
from ner_elmo.text.files import json_of

REPORT = "report.json"
FIGURES = ("precision", "recall", "f1")
# Settings of a run that say where things lie or how long it may take, not what it is.
_UNTOLD = {
    "train",
    "dev",
    "test",
    "seeds",
    "join",
    "licence",
    "storage",
    "keep_softmax",
    "encoding",
    "errors",
    "column",
    "token_column",
    "header",
    "comments",
    "text",
}
_MOST_SETTINGS = 6


class Run(NamedTuple):
    """A report and the name it goes by."""

    name: str
    report: Mapping[str, Any]

    @property
    def is_tagger(self) -> bool:
        """Otherwise it is a biLM's perplexity."""
        return "scores" in self.report


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """The reports in run directories or files, named by their folder or file (by the whole path where two share that).

    Raises:
        UsageError: there is no such report.
        DataError: a file is no report, or they are not of the same kind.
    """
    reports = [_read(path) for path in paths]
    names = [_name(path) for path in paths]
    runs = [
        Run(name if names.count(name) == 1 else str(path), report)
        for name, path, report in zip(names, paths, reports, strict=True)
    ]
    for run in runs[1:]:
        if run.is_tagger != runs[0].is_tagger:
            kinds = ["a tagger's report" if r.is_tagger else "a biLM's perplexity" for r in (run, runs[0])]
            raise DataError(f"{run.name}: found {kinds[0]}, expected {kinds[1]} as {runs[0].name} is")
    return runs


def _name(path: Path) -> str:
    path = path.resolve()
    return path.parent.name if path.name == REPORT else path.name if path.is_dir() else path.stem


def _read(path: Path) -> dict[str, Any]:
    """A tagger's report, or what is known of a biLM's perplexity, from a directory or a file."""
    file = path
    if path.is_dir():
        present = [path / name for name in (REPORT, "bilm.json") if (path / name).is_file()]
        if not present:
            raise UsageError(f"{path}: has no {REPORT}; expected the directory of a finished run, or its {REPORT}")
        file = present[0]
    elif not path.exists():
        raise UsageError(f"{path}: no such run directory or report")
    try:
        values = json_of(file)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: found no JSON ({error}), expected a report of train-tagger or pretrain") from None
    if isinstance(values, dict):
        if isinstance(values.get("scores"), dict):
            _check_report(file, values)
            return values
        perplexity = values.get("perplexity", values)
        if isinstance(perplexity, dict) and {"mean", "vocabulary", "predictions"} <= perplexity.keys():
            return {**perplexity, "unigram": values.get("unigram_perplexity")}
    raise DataError(
        f"{file}: found neither scores nor a perplexity, expected a run's report.json or what perplexity --json prints"
    )


def _check_report(file: Path, report: Mapping[str, Any]) -> None:
    """Hold a tagger's report to what a comparison reads of it.

    Raises:
        DataError: something is missing.
    """
    wanted = ["seed", "training best_epoch", "protocol trained_on_dev", "protocol dev"]
    wanted += ["protocol data train sha256", "protocol data train file"]
    for part in report["scores"]:
        wanted += [f"protocol data {part} {name}" for name in ("file", "sha256", "sentences", "entities")]
        wanted += [f"scores {part} {name}" for name in (*FIGURES, "labels")] + [f"sentences {part}"]
    for path in wanted:
        try:
            functools.reduce(operator.getitem, path.split(), report)
        except (KeyError, TypeError):
            missing = path.replace(" ", ".")
            raise DataError(f"{file}: found no {missing}, expected a report that train-tagger wrote") from None


def compare(runs: Sequence[Run]) -> dict[str, Any]:
    """:func:`compare_taggers` or :func:`compare_bilms`, whichever they are."""
    return compare_taggers(runs) if runs[0].is_tagger else compare_bilms(runs)


# --- taggers ----------------------------------------------------------------------------------------------------------


def compare_taggers(runs: Sequence[Run]) -> dict[str, Any]:
    """Each run's figures on the part that all have (``test``, otherwise ``dev``), and the first against the others.

    Returns:
        ``kind``, ``part``, ``data``, and ``runs``: name, seeds, ``precision``, ``recall`` and ``f1`` (mean, standard
        deviation), ``notes`` on the protocol, and for all but the first ``difference`` (F1, its interval, p and the
        relative error reduction).

    Raises:
        DataError: they are not figures over the same sentences and gold entities.
    """
    part = "test" if all("test" in run.report["scores"] for run in runs) else "dev"
    for run in runs:
        if part not in run.report["scores"]:  # trained on dev
            raise DataError(f"{run.name}: has no {part} score; expected all reports to have test scores")
    require_same_data(runs, part)
    settings = _differing_settings(runs)
    counts = [sentence_counts(run.report, part) for run in runs]
    rows: list[dict[str, Any]] = []
    for run, sentences in zip(runs, counts, strict=True):
        figures = {name: _over_seeds(run.report, part, name) for name in FIGURES}
        seeds = list(run.report.get("seeds", {}).get("f1", {}).get(part, {}).get("by_seed", {})) or [
            str(run.report["seed"])
        ]
        row: dict[str, Any] = {"name": run.name, "seeds": seeds, **figures, "notes": _notes(run, runs[0], settings)}
        if run is not runs[0]:
            row["difference"] = _difference(rows[0]["f1"]["mean"], figures["f1"]["mean"], counts[0], sentences)
        rows.append(row)
    data = {name: runs[0].report["protocol"]["data"][part][name] for name in ("file", "sentences", "entities")}
    return {"kind": "taggers", "part": part, "data": data, "runs": rows}


def require_same_data(runs: Sequence[Run], part: str) -> None:
    """Hold all runs to the sentences and gold entities that the first was scored on.

    Raises:
        DataError: one was scored on others; the message says on which.
    """
    first = runs[0]
    for run in runs[1:]:
        expected, scored = (r.report["protocol"]["data"][part] for r in (first, run))
        if "gold_sha256" in expected and "gold_sha256" in scored:
            is_same = expected["gold_sha256"] == scored["gold_sha256"]
        else:  # reports of earlier versions have the files' digests alone
            is_same = expected["sha256"] is not None and expected["sha256"] == scored["sha256"]
        if not is_same or _gold(run.report, part) != _gold(first.report, part):
            raise DataError(
                f"{run.name}: found figures on {_described(scored)}, expected the {part} data of {first.name}, "
                f"{_described(expected)}; figures over different data cannot be compared"
            )


def _described(data: Mapping[str, Any]) -> str:
    digest = str(data.get("gold_sha256") or data["sha256"])[:12]
    return f"{data['file']} ({data['sentences']:,} sentences, {data['entities']:,} entities, digest {digest})"


def _gold(report: Mapping[str, Any], part: str) -> list[dict[str, int]]:
    return [{label: n[0] for label, n in sentence.items() if n[0]} for sentence in report["sentences"][part]]


def sentence_counts(report: Mapping[str, Any], part: str) -> list[SentenceCounts]:
    """The counts of each sentence, of all seeds added up where the report has them."""
    sentences = report.get("sentences_of_all_seeds", report["sentences"])[part]
    return [{label: Counts(*values) for label, values in sentence.items()} for sentence in sentences]


def _over_seeds(report: Mapping[str, Any], part: str, name: str) -> dict[str, Any]:
    """Mean and standard deviation (None for one seed) of a figure."""
    by_seed = report.get("seeds", {}).get(name, {}).get(part, {}).get("by_seed", {})
    values = list(by_seed.values()) or [report["scores"][part][name]]
    spread = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.mean(values), "standard_deviation": spread}


def _difference(
    first_f1: float, f1: float, first: Sequence[SentenceCounts], second: Sequence[SentenceCounts]
) -> dict[str, Any]:
    test = paired_bootstrap(first, second)
    reduction = (f1 - first_f1) / (1 - first_f1) if first_f1 < 1 else 0.0
    interval = [test.low, test.high]
    return {"f1": f1 - first_f1, "interval": interval, "p": test.p, "error_reduction": reduction}


def _differing_settings(runs: Sequence[Run]) -> list[str]:
    """The settings in which the runs differ, in the order of the configuration."""
    configs = [run.report.get("config", {}) for run in runs]
    names = [name for config in configs for name in config if name not in _UNTOLD]
    return [name for name in dict.fromkeys(names) if len({json.dumps(c.get(name)) for c in configs}) > 1]


def _notes(run: Run, first: Run, settings: Sequence[str]) -> list[str]:
    """What to know about a run's protocol beside the others'."""
    protocol, config = run.report["protocol"], run.report.get("config", {})
    notes = []
    if "members" in run.report:
        notes.append(f"{run.report['members'].get('number', 'several')} taggers joined")
    if protocol["trained_on_dev"]:
        notes.append("trained on dev, too")
    if protocol["dev"] != "file":
        notes.append(f"dev: {protocol['dev']}")
    train, expected = (r.report["protocol"]["data"]["train"]["sha256"] for r in (run, first))
    if train != expected:
        notes.append(f"trained on other data: {protocol['data']['train']['file']}")
    shown = [f"{name} {_shown(config.get(name))}" for name in settings[:_MOST_SETTINGS]]
    n_more = len(settings) - len(shown)
    return notes + shown + ([f"and {n_more} more settings"] if n_more else [])


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "all"
    return "none" if value is None else str(value)


# --- biLMs ------------------------------------------------------------------------------------------------------------


def compare_bilms(runs: Sequence[Run]) -> dict[str, Any]:
    """Each biLM's perplexity, and the change against the first.

    Returns:
        ``kind``, ``vocabulary`` and ``runs``: name, perplexities, tokens, ``state``, and ``change`` of the mean, as a
        share of the first's.

    Raises:
        DataError: vocabularies differ, or the text does as far as its numbers of tokens and unknown words show.
    """
    first = runs[0]
    for run in runs[1:]:
        if run.report["vocabulary"] != first.report["vocabulary"]:
            wanted, used = (str(r.report["vocabulary"])[:12] for r in (first, run))
            raise DataError(
                f"{run.name}: found a perplexity over the vocabulary {used}, expected that of {first.name}, {wanted}; "
                "perplexities over different vocabularies cannot be compared"
            )
        numbers = [[r.report.get(name) for name in ("tokens", "predictions", "unk_rate")] for r in (first, run)]
        if numbers[0] != numbers[1]:
            raise DataError(
                f"{run.name}: found a perplexity on {_text_of(run)}, expected the text of {first.name}, "
                f"{_text_of(first)}; measure both on the same: ner-elmo perplexity TEXT --bilm BILM --json"
            )
    names = ("forward", "backward", "mean", "unigram", "tokens", "predictions", "unk_rate", "state")
    rows = []
    for run in runs:
        row = {"name": run.name, **{name: run.report.get(name) for name in names}}
        row["change"] = None if run is first else run.report["mean"] / first.report["mean"] - 1
        rows.append(row)
    return {"kind": "bilms", "vocabulary": first.report["vocabulary"], "runs": rows}


def _text_of(run: Run) -> str:
    tokens, predictions = (run.report.get(name) for name in ("tokens", "predictions"))
    return f"{tokens:,} tokens, {predictions:,} predictions, {run.report.get('unk_rate', 0):.3%} unknown"
