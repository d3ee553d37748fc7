"""What the cache of frozen features saves: an epoch that reads it, and one that computes the biLM's layers.

    python benchmarks/feature_cache.py TRAIN --bilm models/en
    python benchmarks/feature_cache.py TRAIN --shape original --sentences 3000

TRAIN is a labelled file, such as CoNLL-2003's eng.train; ``--shape`` takes random weights of a published shape. Prints
one JSON object: seconds of one pass over the training features in batches, as an epoch makes it, computed by the biLM
(all sentences at once, in the encoder's own order, or batch by batch, as a training that keeps nothing has to), read
from disk a sentence at a time, and read from memory; of checking and opening the file; and of an epoch of a tagger's
training on each. Passes take turns, so that other load on the machine falls on all of them, and the fastest of the
rounds counts.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from encoder import write_random_model

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.elmo.feature_cache import FeatureCache, compute_features
from ner_elmo.nn.precision import best_precision
from ner_elmo.tagger.network.inputs import Example
from ner_elmo.tagger.training import loop as training
from ner_elmo.tagger.training.config import TaggerConfig, TrainingOptions
from ner_elmo.tagger.training.loop import TrainingData, start, train
from ner_elmo.tagger.training.preparation import PreparedData, new_model, prepare
from ner_elmo.text.batching import batches_by_length

Features = Sequence[Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", help="a labelled file")
    bilm = parser.add_mutually_exclusive_group(required=True)
    bilm.add_argument("--bilm", type=Path)
    bilm.add_argument("--shape", choices=["small", "original"], help="random weights of this published shape")
    parser.add_argument("--cache", type=Path, help="folder for the cache [default: a temporary one]")
    parser.add_argument("--column", type=int, default=-1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sentences", type=int, help="the first so many [default: all]")
    parser.add_argument("--batch-sentences", type=int, default=TrainingOptions.batch_sentences)
    parser.add_argument("--no-epochs", action="store_true", help="measure the passes over the features alone")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    # The labels, words and batches of a real training; it needs no biLM, nor dev, to be prepared.
    config = TaggerConfig(train=arguments.train, dev=arguments.train, column=arguments.column)
    prepared = prepare(config, torch.device("cpu"), lambda event: None)
    prepared.examples["train"] = prepared.examples["train"][: arguments.sentences]
    with tempfile.TemporaryDirectory() as folder:
        bilm = arguments.bilm or write_random_model(arguments.shape, Path(folder) / arguments.shape)
        measured = measure(arguments, prepared, Elmo.load(bilm), arguments.cache or Path(folder))
    print(json.dumps(measured, indent=2))


def measure(arguments: argparse.Namespace, prepared: PreparedData, elmo: Elmo, folder: Path) -> dict[str, Any]:
    sentences = [example.tokens for example in prepared.examples["train"]]
    layers = list(range(elmo.n_layers))
    options = TrainingOptions(
        epochs=1,
        batch_sentences=arguments.batch_sentences,
        batch_tokens=64 * arguments.batch_sentences,
        precision=best_precision("cpu"),
    )
    cache = FeatureCache(elmo, folder, warn=lambda line: print(line, file=sys.stderr))

    def computed() -> Features:
        """With the vectors of all tokens in the encoder's own cache already, as in every epoch but the first."""
        return list(compute_features(elmo, sentences, layers))

    def computed_batch(batch: Sequence[Example]) -> list[Example]:
        found = compute_features(elmo, [example.tokens for example in batch], layers)
        return [dataclasses.replace(example, layers=one) for example, one in zip(batch, found, strict=True)]

    def cached(in_memory: bool) -> Features:
        found = cache.features(sentences, layers, in_memory=in_memory)
        if found is None:
            raise SystemExit("the cache cannot be used")
        return found

    _, fill = timed(lambda: cached(False))
    stored, in_memory = cached(False), cached(True)
    plain = prepared.examples["train"]
    passes: dict[str, Callable[[], object]] = {
        "computed": lambda: visit(options, computed()),
        "computed_by_batch": lambda: [
            computed_batch([plain[i] for i in batch]) for batch in batches(options, sentences)
        ],
        "open": lambda: cached(False),
        "open_into_memory": lambda: cached(True),
        "from_disk": lambda: visit(options, stored),
        "from_memory": lambda: visit(options, in_memory),
    }
    if not arguments.no_epochs:
        passes["epoch_computed"] = lambda: epoch(prepared, elmo, options, computed())
        passes["epoch_computed_by_batch"] = lambda: epoch(prepared, elmo, options, [None] * len(plain), computed_batch)
        passes["epoch_from_disk"] = lambda: epoch(prepared, elmo, options, stored)
        passes["epoch_from_memory"] = lambda: epoch(prepared, elmo, options, in_memory)
    seconds: dict[str, list[float]] = {name: [] for name in passes}
    for _ in range(arguments.rounds):
        for name, once in passes.items():
            seconds[name].append(timed(once)[1])
    best = {name: min(values) for name, values in seconds.items()}
    stems = [""] if arguments.no_epochs else ["", "epoch_"]
    ratios = {
        f"{stem}{kept} against {stem}{made}": round(best[stem + made] / best[stem + kept], 1)
        for stem in stems
        for kept in ("from_disk", "from_memory")
        for made in ("computed", "computed_by_batch")
    }
    size = sum(file.stat().st_size for file in folder.glob("features-*.hdf5"))
    n_tokens = sum(map(len, sentences))
    return {
        "data": {"sentences": len(sentences), "tokens": n_tokens, "cache_bytes": size},
        "bilm": {"layers": elmo.n_layers, "dim": elmo.dim, "lstm_units": elmo.options.lstm.dim},
        "threads": arguments.threads,
        "tagger": {"precision": options.precision, "batch_sentences": options.batch_sentences},
        "seconds": {"fill": fill} | best,
        "times_faster": ratios,
        "all_rounds": seconds,
    }


def timed(once: Callable[[], Any]) -> tuple[Any, float]:
    begun = time.perf_counter()
    found = once()
    return found, time.perf_counter() - begun


def examples_with(prepared: PreparedData, features: Features) -> list[Example]:
    plain = prepared.examples["train"]
    return [
        Example(example.tokens, example.word_ids, found, example.tag_ids)
        for example, found in zip(plain, features, strict=True)
    ]


def batches(options: TrainingOptions, sentences: Sequence[Sequence[Any]]) -> list[list[int]]:
    """The random batches of an epoch."""
    lengths = [len(sentence) for sentence in sentences]
    return batches_by_length(lengths, options.batch_tokens, options.batch_sentences, np.random.default_rng(1))


def visit(options: TrainingOptions, features: Features) -> None:
    """Read every sentence's features once, in the random batches of an epoch."""
    lengths = [range(found.shape[1]) for found in features]
    for indices in batches(options, lengths):
        for index in indices:
            np.array(features[index])  # a copy, as a batch is one: a view of memory would read nothing


def epoch(
    prepared: PreparedData,
    elmo: Elmo,
    options: TrainingOptions,
    features: Features,
    at_the_last_moment: Callable[[Sequence[Example]], Sequence[Example]] = lambda batch: batch,
) -> None:
    """One epoch of training as ``train-tagger`` makes it, without a dev set; ``at_the_last_moment`` is done to each
    batch."""
    reads_layers = dataclasses.replace(prepared.options, elmo_dim=elmo.dim, elmo_layers=list(range(elmo.n_layers)))
    model = new_model(dataclasses.replace(prepared, options=reads_layers), seed=1)
    data = TrainingData(examples_with(prepared, features), [], [], prepared.words)
    collate = training.collate
    training.collate = lambda batch: collate(at_the_last_moment(batch))
    try:
        list(train(start(model, options), data, options))
    finally:
        training.collate = collate


if __name__ == "__main__":
    main()
