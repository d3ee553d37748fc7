"""A tagger that reads documents, as it is, but with a second pass over each: scored anew, its temperature fitted anew.

    python benchmarks/recipes/second_pass.py TAGGER --dev CONLL --test CONLL --scheme iob1 -o FOLDER

Nothing is learned for ``--context document-twice``, so a tagger that was trained with ``document`` needs no training.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.library.data import Reading, read_corpus
from ner_elmo.runs.directory import REPORT
from ner_elmo.runs.events import silent
from ner_elmo.tagger.network.options import TWICE
from ner_elmo.tagger.report.summary import read_report
from ner_elmo.tagger.store import load_tagger, store_bilm
from ner_elmo.tagger.tagger import Tagger
from ner_elmo.tagger.training.results import ScoredData, write_results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tagger", type=Path)
    parser.add_argument("--dev", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--scheme", default="auto")
    parser.add_argument("--storage", default="float16")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    stored, before = load_tagger(arguments.tagger), read_report(arguments.tagger / REPORT)
    stored.model.options = replace(stored.model.options, context=TWICE)
    arguments.output.mkdir(parents=True)
    bilm = store_bilm(stored.bilm, arguments.output, with_softmax=True)
    tagger = Tagger(stored.model, stored.words, stored.text, Elmo.load(stored.bilm))
    corpora = {
        part: read_corpus(file, Reading(scheme=arguments.scheme)).sentences
        for part, file in (("dev", arguments.dev), ("test", arguments.test))
    }
    examples = {
        part: tagger.examples([one.tokens for one in sentences], [one.document for one in sentences])
        for part, sentences in corpora.items()
    }
    facts = {name: before[name] for name in ("seed", "protocol", "training", "licence")}
    facts["config"] = before["config"] | {"context": TWICE}
    info = {name: stored.info[name] for name in ("text", "licence", "data")}
    data = ScoredData(corpora, examples, stored.words, None)
    found = write_results(
        arguments.output, stored.model, data, facts, info, arguments.storage, bilm, torch.device("cpu"), silent
    )
    print({part: round(100 * figures["f1"], 2) for part, figures in found["scores"].items()})


if __name__ == "__main__":
    main()
