"""What the probabilities of entities cost: tagging with and without them, in turns on the same sentences.

    python benchmarks/scores.py eng.testb [-m models/en] [--sentences 1500] [--turns 5] [--threads 1]

Prints the ratio of the two times, the median over the turns, for whole tagging (biLM included) and for what follows
the emissions alone: decoding, and decoding with probabilities.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable

import numpy as np
import torch

from ner_elmo.tagger.decoding import decode, emission_batches
from ner_elmo.tagger.network.inputs import Example, elmo_layers
from ner_elmo.tagger.network.options import MEAN_MIX
from ner_elmo.tagger.tagger import Tagger
from ner_elmo.text.formats.corpus import load_corpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", help="a CoNLL file")
    parser.add_argument("-m", "--model", default="models/en")
    parser.add_argument("--sentences", type=int, default=1500)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    tagger = Tagger.load(arguments.model)
    sentences = [sentence.tokens for sentence in load_corpus(arguments.text).sentences[: arguments.sentences]]

    def tag(scores: bool) -> None:
        for _ in tagger.tag_tokens(sentences, scores=scores):
            pass

    tag(scores=True)  # fills the encoder's cache of token vectors, which neither side shall pay for
    report("tagging", lambda: tag(scores=False), lambda: tag(scores=True), arguments.turns)

    # The biLM and the network left out: their emissions are kept.
    options = tagger.model.options
    layers: Iterable[np.ndarray | None] = [None] * len(sentences)
    if tagger.elmo is not None:
        layers = elmo_layers(tagger.elmo, sentences, options.elmo_layers, average=options.mix == MEAN_MIX)
    examples = [
        Example(tokens, tagger.words.indices(tokens), frozen) for tokens, frozen in zip(sentences, layers, strict=True)
    ]
    batches = [(emissions, mask) for _, emissions, mask in emission_batches(tagger.model, examples, "cpu")]

    def read_out(scores: bool) -> None:
        for emissions, mask in batches:
            found = decode(tagger.model, emissions, mask)
            if scores:
                tagger.model.crf.span_log_probabilities(emissions, mask, found, tagger.temperature)

    report("after the emissions", lambda: read_out(False), lambda: read_out(True), arguments.turns)


def report(what: str, without: Callable[[], None], with_scores: Callable[[], None], turns: int) -> None:
    ratios = []
    for _ in range(turns):
        seconds = []
        for job in (without, with_scores):
            begun = time.process_time()
            job()
            seconds.append(time.process_time() - begun)
        ratios.append(seconds[1] / seconds[0])
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"{what}: with probabilities {statistics.median(ratios):.2f} times the time without ({spread})")


if __name__ == "__main__":
    main()
