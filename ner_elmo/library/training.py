"""Training from Python: both stages, with the settings of the commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ner_elmo.bilm.perplexity import Perplexity
from ner_elmo.bilm.pretraining.adaptation import with_parent
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.config import read_config as read_pretrain_config
from ner_elmo.bilm.pretraining.preparation import examine_text
from ner_elmo.bilm.pretraining.run import finished_report
from ner_elmo.bilm.pretraining.run import pretrain as run_pretraining
from ner_elmo.errors import UsageError
from ner_elmo.library.evaluation import Scores
from ner_elmo.runs.devices import chosen_device
from ner_elmo.runs.directory import BILM, CONFIG, has_run, require_run_directory
from ner_elmo.runs.events import Report, silent
from ner_elmo.settings import refuse_changes
from ner_elmo.tagger.training.config import TaggerConfig, require_files
from ner_elmo.tagger.training.config import read_config as read_tagger_config
from ner_elmo.tagger.training.run import train_tagger as run_training
from ner_elmo.text.python_inputs import checked_count


def _never() -> bool:
    return False


@dataclass(frozen=True)
class PretrainedBilm:
    """What :func:`pretrain` made.

    Attributes:
        path: the biLM's directory, for ``TaggerConfig(bilm=...)``, :meth:`ner_elmo.Elmo.load` and the commands.
        finished: whether all of it was trained; otherwise it goes on with ``resume=True``, and there is no model yet.
        tokens: how many were trained on.
        perplexity: of held-out text, by the exact softmax; None before the end.
        unigram_perplexity: what a model has that knows only how frequent words are; None before the end.
    """

    path: Path
    finished: bool
    tokens: int
    perplexity: Perplexity | None
    unigram_perplexity: float | None


@dataclass(frozen=True)
class TrainedTagger:
    """What :func:`train_tagger` made.

    Attributes:
        path: the tagger's directory, for :meth:`ner_elmo.Tagger.load` and the commands.
        dev, test: how good it is on these; None where there was none. With several seeds, those of the best on dev.
        report: what ``report.json`` says (docs/reports.md).
    """

    path: Path
    dev: Scores | None
    test: Scores | None
    report: Mapping[str, Any]


def pretrain(
    config: PretrainConfig | None,
    directory: str | Path,
    *,
    device: str = "auto",
    resume: bool = False,
    force: bool = False,
    max_minutes: float | None = None,
    report: Report = silent,
    should_stop: Callable[[], bool] = _never,
) -> PretrainedBilm:
    """Train a bidirectional language model on raw text into ``directory``, as ``ner-elmo pretrain`` does.

    Args:
        config: its settings (docs/settings.md); None for those of the run that goes on.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        resume: whether to go on with the run in ``directory``, from its newest checkpoint; it begins if there is none.
        force: whether to replace what stands there, and to train on text that does not look as it was said to be.
        max_minutes: write a checkpoint and stop after so long.
        report: is told what happens, as dictionaries with an ``event`` (:mod:`ner_elmo.runs.events`); nothing prints.
        should_stop: asked after every step; once it says yes, a checkpoint is written and the run ends early.

    Raises:
        UsageError: settings that cannot be meant, a missing file, a ``directory`` that is taken.
        DataError: text that cannot be read, or is of another kind than was said.
        ModelError: the model to go on from is damaged.
        NerElmoError: the loss stays infinite, or memory or disk are too small.
    """
    directory = Path(directory)
    require_run_directory(directory, resume, force)
    before = read_pretrain_config(directory / CONFIG) if resume and has_run(directory) else None
    given = before if config is None else config
    if given is None:
        raise UsageError(f"{directory}: found no run to resume; expected a PretrainConfig")
    settings, parent = with_parent(given)
    result: Mapping[str, Any] | None = None
    if before is not None:
        refuse_changes(directory, before, settings)
        result = finished_report(directory, before, settings)
    chosen = chosen_device(device)
    if result is None:
        if before is None:
            examine_text(settings, report, force)
        result = run_pretraining(
            settings,
            directory,
            device=chosen,
            resume=resume,
            max_minutes=max_minutes,
            report=report,
            should_stop=should_stop,
            parent=parent,
        )
    perplexity = Perplexity(**result["perplexity"]) if "perplexity" in result else None
    unigram = result.get("unigram_perplexity")
    return PretrainedBilm(directory / BILM, bool(result["finished"]), int(result["tokens"]), perplexity, unigram)


def train_tagger(
    config: TaggerConfig | None,
    directory: str | Path,
    *,
    device: str = "auto",
    resume: bool = False,
    force: bool = False,
    max_minutes: float | None = None,
    cache: str | Path | None = None,
    report: Report = silent,
    jobs: int = 1,
) -> TrainedTagger:
    """Train a tagger on labelled files into ``directory``, as ``ner-elmo train-tagger`` does.

    Args:
        config: its settings (docs/settings.md); None for those of the run that goes on.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        resume: whether to go on with the run in ``directory``, from its last whole epoch; it begins if there is none.
        force: whether to replace what stands there.
        max_minutes: begin no epoch that would probably end later than this.
        cache: a folder that keeps the biLM's layers for other runs; without it, unlike the command, none does.
        report: is told what happens, as dictionaries with an ``event`` (:mod:`ner_elmo.runs.events`); nothing prints.
        jobs: so many seeds are trained side by side, each in a process with one thread; the results are those of one
            after the other in one thread, to the bit. A program that asks for several has its own code below
            ``if __name__ == "__main__":``.

    Raises:
        UsageError: settings that cannot be meant, a missing file, a ``directory`` that is taken.
        DataError: labelled files that cannot be read, with the line.
        ModelError: the biLM is damaged.
        NerElmoError: the loss is not a number.
    """
    directory = Path(directory)
    require_run_directory(directory, resume, force)
    if config is None:
        if not (resume and has_run(directory)):
            raise UsageError(f"{directory}: found no run to resume; expected a TaggerConfig")
        config = read_tagger_config(directory / CONFIG)
    require_files(config)
    found = run_training(
        config,
        directory,
        device=chosen_device(device),
        resume=resume,
        max_minutes=max_minutes,
        cache=None if cache is None else Path(cache),
        report=report,
        jobs=checked_count(jobs, "jobs") or 1,
    )
    dev, test = (Scores.of(found["scores"][part]) if part in found["scores"] else None for part in ("dev", "test"))
    return TrainedTagger(directory, dev, test, found)
