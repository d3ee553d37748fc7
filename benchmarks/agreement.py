"""What the document brings to taggers with ``--context document`` or ``document-twice``, without training them anew.

    PYTHONPATH=. python benchmarks/agreement.py TAGGER... --files eng.testa eng.testb --scheme iob1 [--cache DIR]

F1 on each file with neither, with the vectors of the document alone, with the second pass alone, with both, and with
other weights of the second pass. Prints a line of JSON for each tagger and file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.elmo.feature_cache import FeatureCache
from ner_elmo.tagger import agreement
from ner_elmo.tagger.decoding import predict
from ner_elmo.tagger.network.context import document_contexts
from ner_elmo.tagger.network.inputs import Example, elmo_layers, make_examples
from ner_elmo.tagger.network.options import DOCUMENT, MEAN_MIX, TWICE
from ner_elmo.tagger.report.scores import count, total
from ner_elmo.tagger.store import StoredTagger, load_tagger
from ner_elmo.text.formats.conll import Reading
from ner_elmo.text.formats.corpus import LabelledSentence, load_corpus

WEIGHTS = (0.3, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("taggers", nargs="+", type=Path)
    parser.add_argument("--files", nargs="+", required=True)
    parser.add_argument("--scheme", default="auto")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    for folder in arguments.taggers:
        tagger = load_tagger(folder)
        for file in arguments.files:
            sentences = load_corpus(file, Reading(scheme=arguments.scheme)).sentences
            found = figures(tagger, sentences, arguments.cache)
            print(json.dumps({"tagger": folder.name, "file": Path(file).name, **found}), flush=True)


def figures(tagger: StoredTagger, sentences: list[LabelledSentence], cache: Path | None) -> dict[str, float]:
    """F1 by what is read of the document."""
    examples = examples_of(tagger, sentences, cache)
    f1 = {"with both": score(tagger, sentences, examples, TWICE)}
    for weight in WEIGHTS:
        usual, agreement.WEIGHT = agreement.WEIGHT, weight
        f1[f"both, weight {weight}"] = score(tagger, sentences, examples, TWICE)
        agreement.WEIGHT = usual
    f1["vectors alone"] = score(tagger, sentences, examples, DOCUMENT)
    for example in examples:
        assert example.context is not None
        example.context = np.zeros_like(example.context)
    f1["second pass alone"] = score(tagger, sentences, examples, TWICE)
    f1["neither"] = score(tagger, sentences, examples, DOCUMENT)
    return f1


def examples_of(tagger: StoredTagger, sentences: list[LabelledSentence], folder: Path | None) -> list[Example]:
    """What the network reads."""
    assert tagger.bilm is not None
    elmo, options = Elmo.load(tagger.bilm), tagger.model.options
    tokens = [sentence.tokens for sentence in sentences]
    average, layers = options.mix == MEAN_MIX, None
    if folder is not None:
        cache = FeatureCache(elmo, folder, print, print)
        layers = cache.features(tokens, options.elmo_layers, average, "float16", True, lambda done: None)
    if layers is None:
        layers = list(elmo_layers(elmo, tokens, options.elmo_layers, average))
    documents = [sentence.document for sentence in sentences]
    contexts = document_contexts(tokens, documents, layers, *options.context_reading)
    tag_index = {tag: index for index, tag in enumerate(options.tags)}
    return make_examples(sentences, tagger.words, tag_index, options.scheme, layers, contexts)


def score(tagger: StoredTagger, sentences: list[LabelledSentence], examples: list[Example], context: str) -> float:
    """F1 in per cent."""
    object.__setattr__(tagger.model.options, "context", context)
    found = predict(tagger.model, examples)
    return round(100 * total(count([sentence.spans for sentence in sentences], found)).f1, 2)


if __name__ == "__main__":
    main()
