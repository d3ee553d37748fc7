"""A quick check before a long training: does this configuration learn? A sample, some epochs, nothing written."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch

from ner_elmo.errors import NerElmoError
from ner_elmo.nn.precision import chosen_precision
from ner_elmo.runs.events import Report, silent
from ner_elmo.runs.quick import DOES_NOT_LEARN, LEARNS, MINUTES, UNCLEAR
from ner_elmo.runs.quick import advice as advice_on
from ner_elmo.tagger.network.options import DROPOUT_MOST
from ner_elmo.tagger.report.scores import count, figure_name, total
from ner_elmo.tagger.training.config import TEACHER_WEIGHT, TaggerConfig
from ner_elmo.tagger.training.loop import TrainingData, start, train
from ner_elmo.tagger.training.preparation import new_model, prepare
from ner_elmo.tagger.training.schedule import PLATEAU
from ner_elmo.text.formats.corpus import LabelledSentence
from ner_elmo.text.tag_scheme import OUTSIDE, TOKEN, Span, read_tags, tags

TRAIN_SENTENCES = 1_500
DEV_SENTENCES = 500
EPOCHS = 20
PATIENCE = 5
MORE_DROPOUT = 0.2  # of what dropout leaves is dropped, too: a sample is soon learned by heart


def quick_check(
    config: TaggerConfig,
    *,
    device: torch.device,
    minutes: float | None = None,
    report: Report = silent,
) -> dict[str, Any]:
    """Train on a sample with dropout raised, and compare with a baseline that looks tokens up; write nothing.

    Args:
        minutes: no epoch is begun that would probably end later; ``MINUTES`` by default.

    Returns:
        The ``verdict``, the figures behind it (as fractions of 1), and the sizes of the samples.

    Raises:
        UsageError, DataError, ModelError: as :func:`ner_elmo.tagger.training.preparation.prepare`.
    """
    sizes: dict[str, int] = {}

    def sampled(parts: dict[str, list[LabelledSentence]]) -> dict[str, list[LabelledSentence]]:
        sizes.update((part, len(sentences)) for part, sentences in parts.items())
        wanted = {"train": TRAIN_SENTENCES, "dev": DEV_SENTENCES}
        return {part: spread(parts[part], most) for part, most in wanted.items()}

    config = dataclasses.replace(
        config,
        test=None,
        train_with_dev=False,
        join=False,
        teacher=None,
        teacher_weight=TEACHER_WEIGHT,
        unlabelled=None,
        unlabelled_sentences=None,
        schedule=PLATEAU,  # a rate that falls towards the last epoch means nothing where time may end before it
        epochs=min(config.epochs or EPOCHS, EPOCHS),
        patience=min(config.patience or PATIENCE, PATIENCE),
        dropout=_raised(config.dropout),
        elmo_dropout=_raised(config.elmo_dropout),
        precision=chosen_precision(config.precision, device.type),
    )
    prepared = prepare(config, device, report, sample=sampled)
    train_part, dev = prepared.parts["train"], prepared.parts["dev"]
    gold = [sentence.spans for sentence in dev]
    data = TrainingData(prepared.examples["train"], prepared.examples["dev"], gold, prepared.words)
    options = config.training_options(
        config.seeds[0], MINUTES if minutes is None else minutes, len(prepared.examples["train"])
    )
    state = start(new_model(prepared, options.seed).to(device), options)
    failure, begun = "", time.monotonic()
    seconds: list[float] = []
    figure = figure_name(prepared.options.as_dict())
    try:
        for record in train(state, data, options, device):
            report({"event": "epoch", "seed": options.seed, "figure": figure, **record.as_dict()})
            seconds.append(record.seconds)
    except NerElmoError as error:
        failure = str(error)
    scheme = TOKEN if prepared.options.scheme == TOKEN else "iob2"
    baseline = total(count(gold, look_up(train_part, [sentence.tokens for sentence in dev], scheme))).f1
    best = max(0.0, state.best_f1)
    return {
        "verdict": DOES_NOT_LEARN if failure else verdict_on_f1(best, baseline, state.best_epoch == state.epoch),
        "figure": figure,
        "dev": best,
        "baseline": baseline,
        "failure": failure,
        "epochs": state.epoch,
        "seconds": time.monotonic() - begun,
        "seconds_per_whole_epoch": statistics.median(seconds or [0.0]) * sizes["train"] / len(train_part),
        "sentences": {"train": len(train_part), "dev": len(dev)},
        "all_sentences": {"train": sizes["train"], "dev": sizes["dev"]},
    }


def verdict_on_f1(found: float, baseline: float, still_rising: bool) -> str:
    """``learns``, ``unclear`` or ``does not learn``, by the best dev figure and the baseline's.

    Args:
        still_rising: whether the last epoch was the best one.
    """
    if found >= baseline and found > 0:
        return LEARNS
    return UNCLEAR if found > 0 and still_rising else DOES_NOT_LEARN


def look_up(train: Sequence[LabelledSentence], sentences: Sequence[Sequence[str]], scheme: str) -> list[list[Span]]:
    """The baseline: each token gets the tag it most often has in ``train``; one not seen there, that of most tokens."""
    by_form: dict[str, Counter[str]] = {}
    overall: Counter[str] = Counter()
    for tokens, spans, _ in train:
        for token, tag in zip(tokens, tags(spans, len(tokens), scheme), strict=True):
            by_form.setdefault(token, Counter())[tag] += 1
            overall[tag] += 1
    usual = {form: counts.most_common(1)[0][0] for form, counts in by_form.items()}
    unseen = overall.most_common(1)[0][0] if scheme == TOKEN else OUTSIDE
    return [read_tags([usual.get(token, unseen) for token in tokens], scheme) for tokens in sentences]


def spread(sentences: Sequence[LabelledSentence], most: int) -> list[LabelledSentence]:
    """At most so many of the sentences, evenly from all over the file."""
    size = min(most, len(sentences))
    return [sentences[i * len(sentences) // size] for i in range(size)]


def _raised(dropout: float) -> float:
    return min(DROPOUT_MOST, dropout + MORE_DROPOUT * (1 - dropout))


def quick_lines(found: dict[str, Any]) -> list[str]:
    """The figures of a quick check for a person."""
    some, every = found["sentences"], found["all_sentences"]
    hints = {
        UNCLEAR: "still rising: give it longer (--max-minutes)",
        DOES_NOT_LEARN: "try another --learning-rate, and look at the data (ner-elmo check)",
    }
    scored = f"dev {found['figure']} {found['dev']:.4f} after {found['epochs']} epochs ({found['seconds']:,.0f} s)"
    if found["failure"]:
        scored = found["failure"]
    return [
        f"sample        {some['train']:,} of {every['train']:,} training sentences, "
        f"{some['dev']:,} of {every['dev']:,} of dev; dropout raised",
        f"baseline      dev {found['figure']} {found['baseline']:.4f}: each token with its most frequent tag there",
        f"time          about {found['seconds_per_whole_epoch']:,.0f} s for an epoch on all training sentences",
        f"quick check   {found['verdict']}: {scored}{advice_on(found['verdict'], hints)}",
    ]
