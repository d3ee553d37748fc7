"""What others reach with as many labelled sentences: a CRF over features (sklearn-crfsuite) and spaCy's CPU pipeline.

    PYTHONPATH=. python benchmarks/peers/curve.py --train eng.train --dev eng.testa --test eng.testb \
        --share 0.01,0.05,0.2,1 --folder RUNS --json benchmarks/results/peers/curve.json

Both learn from the same samples of the training sentences as ``ablations.py``, and nothing else: no vectors, no text
beside. spaCy's pipeline is its default for entities on a CPU, trained in batches of 32 sentences with its own dropout
until dev has not improved for some epochs; crfsuite has L-BFGS and the features that its tutorial has, of two words on
either side. F1 is that of :func:`ner_elmo.tagger.report.scores.count`, over whole entities.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.rows import sample
from ner_elmo.library.data import read_corpus
from ner_elmo.tagger.report.scores import count, total
from ner_elmo.text.formats.corpus import LabelledSentence
from ner_elmo.text.tag_scheme import Span, read_tags, tags

Sentences = list[LabelledSentence]
BATCH, MOST_EPOCHS, PATIENCE = 32, 60, 6
LEAST_STEPS = 600  # before spaCy may stop: an epoch of few sentences is few steps


def f1(sentences: Sentences, found: Sequence[Sequence[Span]]) -> float:
    return 100 * total(count([sentence.spans for sentence in sentences], found)).f1


def shape(word: str) -> str:
    return "".join("X" if c.isupper() else "x" if c.islower() else "d" if c.isdigit() else c for c in word)[:8]


def features(tokens: Sequence[str], place: int) -> dict[str, Any]:
    """Of a token and of two on either side."""
    found: dict[str, Any] = {"bias": 1.0}
    for offset in range(-2, 3):
        if not 0 <= place + offset < len(tokens):
            found[f"{offset}:none"] = True
            continue
        word = tokens[place + offset]
        found |= {f"{offset}:lower": word.lower(), f"{offset}:shape": shape(word), f"{offset}:title": word.istitle()}
        if offset == 0:
            found |= {f"suffix{n}": word[-n:] for n in (1, 2, 3, 4)} | {f"prefix{n}": word[:n] for n in (1, 2, 3, 4)}
            found |= {"upper": word.isupper(), "digit": word.isdigit(), "word": word}
    return found


def crfsuite(train: Sentences, dev: Sentences, test: Sentences) -> tuple[float, float]:
    import sklearn_crfsuite

    def inputs(sentences: Sentences) -> list[list[dict[str, Any]]]:
        return [[features(one.tokens, place) for place in range(len(one.tokens))] for one in sentences]

    model = sklearn_crfsuite.CRF(algorithm="lbfgs", c1=0.1, c2=0.05, max_iterations=100, all_possible_transitions=True)
    model.fit(inputs(train), [tags(one.spans, len(one.tokens), "iob2") for one in train])
    dev_f1, test_f1 = (
        f1(part, [read_tags(found, "iob2") for found in model.predict(inputs(part))]) for part in (dev, test)
    )
    return dev_f1, test_f1


def spacy_pipeline(train: Sentences, dev: Sentences, test: Sentences) -> tuple[float, float]:
    import spacy
    from spacy.tokens import Doc
    from spacy.training import Example
    from spacy.util import fix_random_seed

    fix_random_seed(1)
    nlp = spacy.blank("en")
    nlp.add_pipe("ner")
    examples = [Example.from_dict(Doc(nlp.vocab, words=list(one.tokens)), {"entities": biluo(one)}) for one in train]
    optimizer = nlp.initialize(lambda: examples)

    def score(part: Sentences) -> float:
        documents = nlp.pipe(Doc(nlp.vocab, words=list(one.tokens)) for one in part)
        return f1(part, [[Span(e.start, e.end, e.label_) for e in document.ents] for document in documents])

    passes = max(1, 30 * BATCH // len(examples))  # between two looks at dev, where sentences are few
    best, best_test, since, steps, order = -1.0, 0.0, 0, 0, random.Random(1)
    for _ in range(MOST_EPOCHS):
        for _ in range(passes):
            order.shuffle(examples)
            for start in range(0, len(examples), BATCH):
                nlp.update(examples[start : start + BATCH], sgd=optimizer, drop=0.1)
                steps += 1
        found = score(dev)
        if found > best:
            best, best_test, since = found, score(test), 0
        else:
            since += 1
        if since >= PATIENCE and steps >= LEAST_STEPS:
            break
    return best, best_test


def biluo(sentence: LabelledSentence) -> list[str]:
    """The tags of spaCy: as BIOES, with U for S and L for E."""
    return [tag.replace("S-", "U-").replace("E-", "L-") for tag in tags(sentence.spans, len(sentence.tokens), "bioes")]


PEERS = {"sklearn-crfsuite": crfsuite, "spaCy": spacy_pipeline}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for part in ("train", "dev", "test", "folder", "json"):
        parser.add_argument(f"--{part}", type=Path, required=True)
    parser.add_argument("--share", default="0.01,0.05,0.2,1")
    parser.add_argument("--peers", default=",".join(PEERS))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rows = json.loads(arguments.json.read_text(encoding="utf-8")) if arguments.json.exists() else []
    dev, test = (list(read_corpus(path).sentences) for path in (arguments.dev, arguments.test))
    for share in map(float, arguments.share.split(",")):
        train = list(read_corpus(sample(arguments.train, share, arguments.folder, "utf-8")).sentences)
        for name in arguments.peers.split(","):
            begun = time.process_time()
            dev_f1, test_f1 = PEERS[name](train, dev, test)
            row = {"peer": name, "sentences": len(train), "dev_f1": round(dev_f1, 2), "test_f1": round(test_f1, 2)}
            rows.append(row | {"cpu_seconds": round(time.process_time() - begun)})
            print(json.dumps(rows[-1]), flush=True)
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
