"""The model card: what a tagger is, what it was made from and how good it is, from the facts of its report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ner_elmo.tagger.report.scores import most_frequent_in
from ner_elmo.text.formats.labels import MANY_LABELS, listed
from ner_elmo.text.tag_scheme import TOKEN, labels_of


def model_card(report: Mapping[str, Any], bilm: Mapping[str, Any] | None) -> str:
    """Markdown from ``report.json`` and, where there is one, the biLM's ``bilm.json``."""
    labels = labels_of(report["options"]["tags"], report["options"]["scheme"])
    lines = [
        *_header(report, bilm),
        "# A tagger of tokens" if _is_of_tokens(report) else "# A named-entity tagger",
        "",
        f"{'Tags' if _is_of_tokens(report) else 'Labels'}: {listed(labels, 30 if len(labels) <= MANY_LABELS else 3)}. "
        f"Made by `ner-elmo train-tagger` (ner-elmo {report['versions']['ner-elmo']}).",
        "",
        "    ner-elmo tag input.txt -m THIS_FOLDER",
        "",
        "## Scores",
        "",
        *_scores(report),
        "",
        "## Data",
        "",
        *_data(report),
        "",
        "## How it was made",
        "",
        *_making(report),
        "",
        "## Terms",
        "",
        report["licence"] or "Not stated: whoever trained it has to say; the terms of the training texts apply.",
        "",
    ]
    if bilm is not None:
        lines += ["## Its biLM", "", *_bilm(bilm), ""]
    return "\n".join(lines)


def _header(report: Mapping[str, Any], bilm: Mapping[str, Any] | None) -> list[str]:
    """What model hubs read: YAML between two lines of ``---``, each value written as JSON, which YAML contains."""
    data = report["protocol"]["data"]
    values: dict[str, Any] = {
        "library_name": "ner-elmo",
        "pipeline_tag": "token-classification",
        "tags": ["named-entity-recognition", "elmo", "bilstm-crf"],
        "license": "other",
    }
    if report["licence"]:
        values["license_name"] = report["licence"]
    if language := ((bilm or {}).get("text") or {}).get("language"):
        values["language"] = language
    if bilm is not None:
        values["datasets"] = [entry["name"] for entry in bilm.get("training_data") or []] + [data["train"]["file"]]
    results = [_result(report, part) for part in report["scores"] if part in data]
    if results:
        values["metrics"] = ["precision", "recall", "f1"]
        values["model-index"] = [{"name": "tagger", "results": results}]
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]
    return ["---", *lines, "---", ""]


def _result(report: Mapping[str, Any], part: str) -> dict[str, Any]:
    """One part's scores as a hub's ``model-index`` has them."""
    file, scores = report["protocol"]["data"][part]["file"], report["scores"][part]
    return {
        "task": {"type": "token-classification", "name": "named-entity recognition"},
        "dataset": {"name": file, "type": file, "split": part},
        "metrics": [{"type": name, "value": round(scores[name], 4)} for name in ("precision", "recall", "f1")],
    }


def _is_of_tokens(report: Mapping[str, Any]) -> bool:
    return bool(report["options"]["scheme"] == TOKEN)


def _scores(report: Mapping[str, Any]) -> list[str]:
    if not report["scores"] and "members" in report:
        return ["None: it was joined without dev and test data."]
    if not report["scores"]:
        return ["None: there was no test data, and dev was trained on."]
    lines = ["| part | label | precision | recall | F1 | entities |", "|---|---|---|---|---|---|"]
    for part, scores in report["scores"].items():
        support = sum(row["support"] for row in scores["labels"].values())
        shown = {label: scores["labels"][label] for label in most_frequent_in([report], part)}
        rows = {"all": {**scores, "support": support}, **shown}
        for label, row in rows.items():
            figures = " | ".join(f"{row[name]:.4f}" for name in ("precision", "recall", "f1"))
            lines.append(f"| {part} | {label} | {figures} | {row['support']:,} |")
    lines += [""]
    for part, scores in report["scores"].items():
        if "accuracy" in scores:  # reports of older versions have none
            lines.append(f"Accuracy on {part}, the share of tokens with the right tag: {scores['accuracy']:.4f}.")
    if not _is_of_tokens(report):
        right = "Entities count as right if start, end and label are"
        lines.append(f"{right} (micro averages; the figures of conlleval and seqeval).")
    for part, figures in report.get("seeds", {}).get("f1", {}).items():
        n_seeds = len(figures["by_seed"])
        which = "the first" if report["protocol"]["trained_on_dev"] else "the best on dev"
        lines.append(
            f"Over {n_seeds} seeds, {part} F1 is {figures['mean']:.4f} ± {figures['standard_deviation']:.4f}; "
            f"this is seed {report['seed']}, {which}."
        )
    for part, figures in report.get("members", {}).get("f1", {}).items():
        lines.append(
            f"Its {len(figures['by_seed'])} members alone have a {part} F1 of {figures['mean']:.4f} ± "
            f"{figures['standard_deviation']:.4f}."
        )
    if "calibration" in report and report["protocol"]["trained_on_dev"]:
        lines += ["", "Probabilities: not calibrated, as dev was trained on."]
    elif "calibration" in report:
        lines += ["", _calibration(report["calibration"])]
    return lines


def _calibration(calibration: Mapping[str, Any]) -> str:
    """One sentence about the probabilities of the entities found."""
    errors = "; ".join(
        f"{100 * figures['ece']:.2f} % on {part} ({100 * figures['uncalibrated']['ece']:.2f} % without it)"
        for part, figures in calibration.items()
        if part != "temperature"
    )
    temperature = calibration["temperature"]
    origin = "fitted on dev" if "dev" in calibration else "the mean of its members'"
    return f"Probabilities: temperature {temperature:.3f}, {origin}; expected calibration error {errors}."


def _data(report: Mapping[str, Any]) -> list[str]:
    lines = ["| part | file | sentences | tokens | entities | SHA-256 |", "|---|---|---|---|---|---|"]
    for part, data in report["protocol"]["data"].items():
        sizes = " | ".join(f"{data[name]:,}" for name in ("sentences", "tokens", "entities"))
        lines.append(f"| {part} | {data['file']} | {sizes} | {data['sha256']} |")
    if report["protocol"]["trained_on_dev"]:
        dev = "**Dev was trained on**" if "dev" in report["protocol"]["data"] else "There was no dev part"
        return [*lines, "", f"{dev}: there is no dev score, and the last epoch is kept. It was not trained on test."]
    if report["protocol"]["dev"] != "file":
        lines += ["", f"Dev is {report['protocol']['dev']}."]
    chosen = "epoch of each member" if "members" in report else "epoch"
    lines += ["", f"It was not trained on dev or test; dev chose the {chosen}."]
    return lines


def _making(report: Mapping[str, Any]) -> list[str]:
    options, training, mix = report["options"], report["training"], report["mix"]
    parts = []
    if options["elmo_dim"]:
        parts.append(
            f"frozen biLM layers {', '.join(map(str, options['elmo_layers']))} ({options['elmo_dim']} numbers each)"
        )
    if options["n_words"]:
        vectors = report["protocol"]["word_vectors"]
        origin = f"from {vectors['file']}" if vectors else "learned from scratch"
        if vectors and not vectors.get("tuned", True):
            origin += ", as they are"
        parts.append(f"vectors of {options['n_words']:,} words ({options['word_dim']} numbers each, {origin})")
    if options["char_dim"]:
        parts.append(f"a character CNN ({options['char_filters']} filters of width {options['char_width']})")
    lines = [
        f"- Input: {'; '.join(parts)}.",
        f"- BiLSTM: {options['lstm_layers']} × {options['hidden_dim']} units in each direction; "
        f"CRF over {'one tag a token' if _is_of_tokens(report) else options['scheme'] + ' tags'}.",
        f"- {_training(report)} {training['parameters']:,} parameters.",
        *_distilling(report["protocol"]),
    ]
    if mix is not None:
        shares = ", ".join(f"layer {layer} {share:.3f}" for layer, share in mix["layers"].items())
        lines.append(f"- Learned mix: {shares}; scale {mix['gamma']:.3f}.")
        if "output" in mix:
            shares = ", ".join(f"layer {layer} {share:.3f}" for layer, share in mix["output"]["layers"].items())
            scale = mix["output"]["gamma"]
            lines.append(f"- A second learned mix beside the BiLSTM's output: {shares}; scale {scale:.3f}.")
    return lines


def _training(report: Mapping[str, Any]) -> str:
    training = report["training"]
    if "members" not in report:
        return (
            f"Trained for {training['epochs_run']} epochs with seed {report['seed']}; "
            f"epoch {training['best_epoch']} is kept."
        )
    names = report["members"].get("names") or [f"seed {seed}" for seed in report["protocol"]["seeds"]]
    return f"Joined: it tags by the mean of the scores of {len(names)} taggers ({', '.join(names)})."


def _distilling(protocol: Mapping[str, Any]) -> list[str]:
    """What it was distilled from, if it was."""
    teacher, unlabelled = protocol.get("teacher"), protocol.get("unlabelled")
    if not teacher:
        return []
    members = f", {teacher['members']} members joined" if teacher["members"] > 1 else ""
    line = (
        f"- Distilled from the tagger {teacher['tagger']}{members} (SHA-256 of its tagger.json {teacher['sha256']}), "
        f"{'which was trained on its dev data, too, and ' if teacher.get('trained_on_dev') else ''}"
        f"whose distribution over tag sequences counts for {teacher['weight']:g} in labelled sentences"
    )
    if not unlabelled:
        return [f"{line}."]
    files = ", ".join(
        f"{name} (SHA-256 {digest})" for name, digest in zip(unlabelled["files"], unlabelled["sha256"], strict=True)
    )
    return [
        f"{line}, and alone in {unlabelled['sentences']:,} unlabelled sentences ({unlabelled['tokens']:,} tokens) of "
        f"{files}."
    ]


def _bilm(bilm: Mapping[str, Any]) -> list[str]:
    """Whatever ``bilm.json`` says about itself, leaving out digests."""
    shown = {name: value for name, value in bilm.items() if name not in ("sha256", "format_version")}
    return [f"- {name}: {value if isinstance(value, str) else _plain(value)}" for name, value in shown.items()]


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_plain(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, float):
        return f"{value:.5g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
