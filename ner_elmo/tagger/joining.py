"""Joining taggers that were trained one by one: what they must have in common, and what the joined one is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ner_elmo.errors import ModelError, UsageError, shown_value
from ner_elmo.runs.directory import BILM, REPORT
from ner_elmo.tagger.network.joined import MOST_MEMBERS, Network, joined, members_of
from ner_elmo.tagger.network.options import TaggerOptions
from ner_elmo.tagger.report.facts import ERRORS, PAGES
from ner_elmo.tagger.store import CARD, INFO, WEIGHTS, WORD_VECTORS, StoredTagger, load_tagger
from ner_elmo.tagger.training.run_directory import PREDICTIONS

# What stands in the folder of a tagger that was joined.
WRITTEN = {INFO, WEIGHTS, WORD_VECTORS, REPORT, *PAGES, ERRORS, CARD, BILM, *PREDICTIONS.values()}
# Settings of training, which mean nothing to a tagger that is read.
_OF_TRAINING = {"dropout", "elmo_dropout"}
_NOTES_OF_BILM = "bilm.json"  # says where it is from; its vectors are the same without


@dataclass(frozen=True)
class JoinedTagger:
    """Several taggers as one: the network, the first one, of which all but the weights is taken, and a temperature,
    the geometric mean of theirs."""

    model: Network
    first: StoredTagger
    temperature: float


def join(folders: Sequence[Path]) -> JoinedTagger:
    """The tagger whose members are those of these folders, each with the same say. Joined ones count with all theirs.

    Raises:
        UsageError: there are fewer than two, or one has not what the first has; the message says what.
        ModelError: one is damaged.
    """
    if len(folders) < 2:
        raise UsageError(f"found {len(folders)} tagger to join, expected at least two")
    seen: dict[Path, Path] = {}
    for folder in folders:
        if (before := seen.setdefault(folder.resolve(), folder)) is not folder:
            raise UsageError(f"{folder}: is named twice ({before}); expected different taggers")
    stored = [load_tagger(folder) for folder in folders]
    for folder, other in zip(folders[1:], stored[1:], strict=True):
        _require_alike(folders[0], stored[0], folder, other)
    members = [member for one in stored for member in members_of(one.model)]
    if len(members) > MOST_MEMBERS:
        raise UsageError(f"found {len(members)} networks to join, expected at most {MOST_MEMBERS}")
    temperature = math.exp(sum(math.log(one.temperature) for one in stored) / len(stored))
    return JoinedTagger(joined(members), stored[0], temperature)


def _require_alike(first: Path, one: StoredTagger, folder: Path, other: StoredTagger) -> None:
    """Hold a tagger to all that the members of a joined one share with the first.

    Raises:
        UsageError: something differs.
    """
    ours, theirs = _settings(one.model.options), _settings(other.model.options)
    for name, value in ours.items():
        if theirs[name] != value:
            raise UsageError(
                f"{folder}: found {name} {shown_value(theirs[name])}, expected {shown_value(value)} as {first} has; "
                "joined taggers differ in their weights alone"
            )
    if _bilm_files(one) != _bilm_files(other):
        raise UsageError(f"{folder}: its biLM is another one than that of {first}; joined taggers share one")
    if one.text != other.text:
        raise UsageError(f"{folder}: found text {other.text}, expected {one.text} as {first} has")
    if one.words.words != other.words.words or not _have_same_vectors(one, other):
        raise UsageError(
            f"{folder}: it has other words or vectors than {first}; joined taggers are trained on the same file with "
            "the same --word-vectors"
        )


def _settings(options: TaggerOptions) -> dict[str, Any]:
    return {name: value for name, value in options.as_dict().items() if name not in _OF_TRAINING}


def _bilm_files(stored: StoredTagger) -> dict[str, str] | None:
    """The digests of its biLM's files by their names; None without a biLM."""
    place = stored.info["bilm"]
    if place is None:
        return None
    return {
        name.rpartition("/")[2]: digest
        for name, digest in stored.info["files"].items()
        if name.startswith(f"{place}/") and not name.endswith(_NOTES_OF_BILM)
    }


def _have_same_vectors(one: StoredTagger, other: StoredTagger) -> bool:
    """Whether the vectors that are not learned are the same."""
    ours, theirs = (members_of(stored.model)[0].words for stored in (one, other))
    return (ours is None and theirs is None) or (
        ours is not None and theirs is not None and torch.equal(ours.fixed, theirs.fixed)
    )


def names_of(folders: Sequence[Path], reports: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each tagger is called in a report: its folder's name and its seed, told apart by a number if need be."""
    names: list[str] = []
    for folder, report in zip(folders, reports, strict=True):
        name = f"{folder.resolve().name} (seed {report['seed']})"
        names.append(name if name not in names else f"{name} {len(names) + 1}")
    return names


def require_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Make sure that a tagger's report says how it was trained.

    Raises:
        ModelError: it is missing or damaged.
    """
    if not {"seed", "protocol", "training", "scores", "config", "licence"} <= report.keys():
        raise ModelError(f"{folder}: found no sound report.json, expected the folder that train-tagger wrote")
