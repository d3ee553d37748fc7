"""What a tagger comes to: its scores on dev and test, its temperature, and all files that say so beside the weights."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ner_elmo import __version__
from ner_elmo.runs.events import Report
from ner_elmo.tagger.network.inputs import Example, Words
from ner_elmo.tagger.network.joined import Network, members_of
from ner_elmo.tagger.report.facts import analyse, in_brief, predict_parts, write_errors
from ner_elmo.tagger.report.page import main_part
from ner_elmo.tagger.report.scores import accuracy, count, counts_as_data, scores, seqeval_report
from ner_elmo.tagger.store import StoredBilm, write_tagger
from ner_elmo.tagger.training.run_directory import PREDICTIONS, write_report
from ner_elmo.text.files import replace_file
from ner_elmo.text.formats.conll import write_conll
from ner_elmo.text.formats.corpus import LabelledSentence
from ner_elmo.text.tag_scheme import TOKEN, tags

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ScoredData:
    """What a tagger is scored on: sentences and examples of ``dev`` and ``test``, as far as there are any (other parts
    are passed over), the tagger's words, and its temperature; None: it is fitted on dev."""

    parts: Mapping[str, Sequence[LabelledSentence]]
    examples: Mapping[str, Sequence[Example]]
    words: Words
    temperature: float | None


def write_results(
    folder: Path,
    model: Network,
    data: ScoredData,
    facts: Mapping[str, Any],
    info: Mapping[str, Any],
    storage: str,
    bilm: StoredBilm | None,
    device: torch.device,
    report: Report,
) -> dict[str, Any]:
    """Score a network on dev and test, and write it with its report, card, pages, errors and predictions.

    Args:
        facts: what the report says beyond its scores: seed, protocol, training, config, licence and the like.
        info: what ``tagger.json`` says beyond the network.
        bilm: its biLM, which stands there already.
        report: is told seqeval's table of each part.

    Returns:
        What ``report.json`` says.
    """
    results: dict[str, Any] = {}
    sentence_counts: dict[str, Any] = {}
    analyses: dict[str, Any] = {}
    found_spans, calibration = predict_parts(model, data.examples, data.parts, device, data.temperature)
    for part, predicted in found_spans.items():
        sentences = data.parts[part]
        gold = [sentence.spans for sentence in sentences]
        counts = count(gold, predicted)
        lengths = [len(sentence.tokens) for sentence in sentences]
        figures = scores(counts) | {"accuracy": accuracy(gold, predicted, lengths)}
        results[part] = figures | {"sentences": len(sentences), "tokens": sum(lengths)}
        sentence_counts[part] = counts_as_data(counts)
        analyses[part] = analyse(sentences, predicted)
        with replace_file(folder / PREDICTIONS[part]) as temporary, open(temporary, "w", encoding="utf-8") as stream:
            pairs = zip(sentences, predicted, strict=True)
            scheme = TOKEN if model.options.scheme == TOKEN else "iob2"
            write_conll(((s.tokens, tags(found, len(s.tokens), scheme)) for s, found in pairs), stream)
        table = f"{seqeval_report(gold, predicted, lengths)}accuracy {figures['accuracy']:.4f} (of tags, by token)\n"
        report({"event": "scores", "part": part, "seed": facts["seed"], "message": table})
    found = {
        "schema_version": SCHEMA_VERSION,
        **facts,
        "scores": results,
        "mix": model.mix_weights(),
        "options": model.options.as_dict(),
        "versions": {"ner-elmo": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "calibration": calibration,
        "analysis": analyses,
        "sentences": sentence_counts,
    }
    info = {**info, "created_by": f"ner-elmo {__version__}", "calibration": in_brief(calibration)}
    write_tagger(folder, model.cpu(), data.words, info, storage, bilm)
    if found_spans:
        part = main_part(found)
        write_errors(folder, part, data.parts, found_spans[part])
    write_report(folder, found)
    return found


def number_of_parameters(model: Network) -> int:
    """How many numbers were trained."""
    return sum(parameter.numel() for member in members_of(model) for parameter in member.parameters())


def training_of_members(model: Network, reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """``training`` of a joined tagger's report: what its members have in common; a curve is each member's own.

    It is stopped as the member is that would go on the soonest: by max-minutes, by its epochs, by its patience.
    """
    trainings = [one["training"] for one in reports]
    stopped = next(
        (why for why in ("max-minutes", "epochs") if any(one["stopped"] == why for one in trainings)), "patience"
    )
    return {
        "epochs_run": min((one["epochs_run"] for one in trainings if one["stopped"] == stopped), default=0),
        "best_epoch": None,
        "stopped": stopped,
        "parameters": number_of_parameters(model),
        "curve": [],
    }
