"""What a model is, as lines for people: ``ner-elmo info``.

Everything is taken from ``tagger.json``, ``bilm.json`` and ``report.json`` as it stands there; what is missing, or not
of its kind, is left out. Nothing is cut: long values go on below.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ner_elmo.text.files import json_of

NAMES_WIDTH = 15
BAR = 24  # characters of a bar that stands for 1
_EIGHTHS = " ▏▎▍▌▋▊▉"

Row = tuple[str, str]


def read_report(path: Path) -> dict[str, Any]:
    """What a ``report.json`` says; nothing where there is none to read."""
    try:
        values = json_of(path)
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def summary(name: str, facts: Mapping[str, Any], report: Mapping[str, Any], width: int = 100) -> str:
    """The lines.

    Args:
        facts: ``tagger`` and ``bilm``, or one of them, as ``ner-elmo info --json`` gives them.
        report: of the tagger's training; empty if it is not there.
        width: of the lines, in characters.
    """
    parts = []
    if tagger := facts.get("tagger"):
        parts.append((f"{name}: a tagger", list(_tagger_rows(tagger, report))))
    if bilm := facts.get("bilm"):
        parts.append(("its biLM" if tagger else f"{name}: a biLM", list(_bilm_rows(bilm))))
    lines: list[str] = []
    for title, rows in parts:
        lines += ([""] if lines else []) + [title]
        for row in rows:
            lines += _wrapped(*row, width)
    return "\n".join(lines)


def _wrapped(name: str, value: str, width: int) -> list[str]:
    indent = " " * (NAMES_WIDTH + 4)
    found = textwrap.wrap(value, max(20, width - len(indent)), break_on_hyphens=False, break_long_words=False) or [""]
    return [f"  {name:{NAMES_WIDTH}}  {found[0]}", *(indent + line for line in found[1:])]


def _tagger_rows(tagger: Mapping[str, Any], report: Mapping[str, Any]) -> Iterator[Row]:
    tags = _at(tagger, "tags")
    if isinstance(tags, list):
        labels = sorted({str(tag)[2:] for tag in tags if str(tag)[1:2] == "-"})
        yield "labels", ", ".join(labels)
    yield from _text_rows(_at(tagger, "text"))
    for part in ("train", "dev", "test"):
        yield from _data_rows(part, _at(tagger, "data", part))
    yield from _score_rows(report)
    yield from _mix_rows(_at(report, "mix"))
    yield from _network_rows(tagger, report)
    yield from _calibration_rows(_at(tagger, "calibration"))
    yield from _plain_rows(tagger, {"storage": "storage", "created_by": "made by", "licence": "terms"})


def _data_rows(part: str, data: Any) -> Iterator[Row]:
    if isinstance(data, Mapping):
        counts = [f"{data[key]:,} {key}" for key in ("sentences", "tokens", "entities") if _is_number(data.get(key))]
        yield part, f"{data.get('file', '')}: {', '.join(counts)}"
        if data.get("sha256"):
            yield "", f"sha256 {data['sha256']}"


def _score_rows(report: Mapping[str, Any]) -> Iterator[Row]:
    for part in ("dev", "test"):
        scores = _at(report, "scores", part)
        if not isinstance(scores, Mapping):
            continue
        f1, precision, recall = (scores.get(key) for key in ("f1", "precision", "recall"))
        if _is_number(f1):
            figures = [f"F1 {f1:.2%}"]
            figures += [f"{n} {x:.2%}" for n, x in (("precision", precision), ("recall", recall)) if _is_number(x)]
            yield f"F1 on {part}", ", ".join(figures)
            by_label = _items(_at(scores, "labels"))
            each = [f"{label} {_at(one, 'f1'):.2%}" for label, one in by_label if _is_number(_at(one, "f1"))]
            if each:
                yield "", ", ".join(each)


def _mix_rows(mix: Any) -> Iterator[Row]:
    mixes = {"": mix} if _at(mix, "layers") else mix
    for place, one in _items(mixes):
        if layers := _items(_at(one, "layers")):
            yield f"mix {place}".strip(), "the learned weight of each layer of the biLM"
            for layer, weight in layers:
                if _is_number(weight):
                    yield f"  layer {layer}", f"{bar(weight)} {weight:.3f}"
            if _is_number(_at(one, "gamma")):
                yield "  scale", f"{_at(one, 'gamma'):.3f}"


def _network_rows(tagger: Mapping[str, Any], report: Mapping[str, Any]) -> Iterator[Row]:
    options = _at(tagger, "options")
    if isinstance(options, Mapping):
        layers, units = options.get("lstm_layers"), options.get("hidden_dim")
        parts = [f"BiLSTM {layers} × {units} units in each direction"]
        if _is_number(options.get("n_words")) and options["n_words"]:
            parts.append(f"vectors of {options['n_words']:,} words ({options.get('word_dim')} numbers each)")
        if options.get("char_filters"):
            parts.append(f"{options['char_filters']} character filters of width {options.get('char_width')}")
        if options.get("context") not in (None, "none"):
            forms, window = options.get("context_forms"), options.get("context_window")
            parts.append(f"context {options['context']}" + (f", forms {forms}" if forms else ""))
            if options.get("context_layers") == "top":
                parts[-1] += ", the top layer"
            if _is_number(window):
                parts[-1] += f", {window} sentences before and after"
        parameters = _at(report, "training", "parameters")
        yield "network", "; ".join(parts) + (f"; {parameters:,} parameters" if _is_number(parameters) else "")
    if _is_number(tagger.get("members")):
        yield "members", f"{tagger['members']} networks; it tags by the mean of their scores"
    if teacher := _at(tagger, "teacher"):
        said = f"{_at(teacher, 'tagger')}, weight {_at(teacher, 'weight')}"
        if _is_number(_at(tagger, "unlabelled", "sentences")):
            said += f"; {tagger['unlabelled']['sentences']:,} unlabelled sentences"
        yield "teacher", said
        yield "", f"sha256 {_at(teacher, 'sha256')}"
    best, run = _at(report, "training", "best_epoch"), _at(report, "training", "epochs_run")
    if _is_number(best) and _is_number(run):
        yield "training", f"epoch {best} of {run} was kept" + (f"; seed {report['seed']}" if "seed" in report else "")


def _calibration_rows(calibration: Any) -> Iterator[Row]:
    if isinstance(calibration, Mapping) and _is_number(calibration.get("temperature")):
        errors = [f"{part} {error:.2%}" for part, error in _items(calibration.get("ece")) if _is_number(error)]
        said = f"; expected calibration error {', '.join(errors)}" if errors else ""
        yield "probabilities", f"temperature {calibration['temperature']:.3f}{said}"


def _bilm_rows(bilm: Mapping[str, Any]) -> Iterator[Row]:
    yield "shape", str(bilm.get("shape", ""))
    yield from _text_rows(bilm.get("text"))
    for file in _sequence(bilm.get("training_data")):
        yield "training text", f"{_at(file, 'name')}"
        if _at(file, "sha256"):
            yield "", f"sha256 {_at(file, 'sha256')}"
    for key, name in (("corpus_tokens", "tokens of it"), ("tokens_seen", "tokens seen")):
        if _is_number(bilm.get(key)):
            yield name, f"{bilm[key]:,}"
    parent = bilm.get("parent")
    if isinstance(parent, Mapping):
        before = parent.get("tokens_seen_in_all") or parent.get("tokens_seen")
        yield "went on from", f"{parent.get('name')}" + (f", {before:,} tokens seen" if _is_number(before) else "")
    perplexity = bilm.get("perplexity")
    if isinstance(perplexity, Mapping) and _is_number(perplexity.get("mean")):
        unigram = bilm.get("unigram_perplexity")
        said = f" (a unigram model's: {unigram:,.1f})" if _is_number(unigram) else ""
        tokens = f" on {perplexity['tokens']:,} held-out tokens" if _is_number(perplexity.get("tokens")) else ""
        yield "perplexity", f"{perplexity['mean']:,.1f}{tokens}{said}"
    yield from _plain_rows(bilm, {"state": "state", "storage": "storage", "licence": "terms"})
    for file, digest in _items(bilm.get("sha256")):
        yield file, f"sha256 {digest}"


def _text_rows(text: Any) -> Iterator[Row]:
    if isinstance(text, Mapping):
        kinds = [f"{text['tokens']}"] if text.get("tokens") else []
        kinds += [f"{name} {text[name]}" for name in ("language", "script", "normalization") if text.get(name)]
        yield "text", ", ".join(kinds)


def _plain_rows(values: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[Row]:
    for key, name in names.items():
        if isinstance(values.get(key), str):
            yield name, values[key]


def bar(share: float) -> str:
    """A bar of ``share`` of its whole length, in eighths of a character, padded to that length."""
    eighths = round(8 * BAR * min(1.0, max(0.0, share)))
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()).ljust(BAR)


def _at(values: Any, *keys: str) -> Any:
    """What stands below these keys; ``None`` if nothing does."""
    for key in keys:
        if not isinstance(values, Mapping) or key not in values:
            return None
        values = values[key]
    return values


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _items(values: Any) -> list[tuple[str, Any]]:
    return [(str(key), value) for key, value in values.items()] if isinstance(values, Mapping) else []


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []
