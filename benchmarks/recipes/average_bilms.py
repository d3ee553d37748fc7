"""A biLM whose weights lie between those of two: of one, and of one that went on from it on other text.

    python benchmarks/recipes/average_bilms.py FIRST SECOND SHARE --heldout TEXT -o BILM

With SHARE 0.15 the weights are 0.85 of FIRST's and 0.15 of SECOND's. Where SECOND has unlearned what FIRST knew of text
that it did not see, the mean keeps most of that, and has a part of what SECOND learned (Wortsman et al. 2022, WiSE-FT).
Both have the same vocabulary. The perplexity that ``bilm.json`` names is measured on TEXT.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from torch import nn

from ner_elmo.bilm.files.directory import find_bilm, load_bilm, load_softmax, load_vocabulary, write_bilm
from ner_elmo.bilm.perplexity import held_out_perplexity
from ner_elmo.text.files import read_lines


def move(first: nn.Module, second: nn.Module, share: float) -> None:
    """Move the weights of ``first`` towards those of ``second`` by ``share`` of the way."""
    there = second.state_dict()
    first.load_state_dict({name: value.lerp(there[name], share) for name, value in first.state_dict().items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("share", type=float)
    parser.add_argument("--heldout", type=Path, required=True)
    parser.add_argument("--storage", default="float16")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    first, second = find_bilm(arguments.first), find_bilm(arguments.second)
    vocabulary = load_vocabulary(first)
    if vocabulary.tokens != load_vocabulary(second).tokens:
        parser.error("the two have different vocabularies")
    model, other = load_bilm(first), load_bilm(second)
    softmax = load_softmax(first, vocabulary, model.options.lstm.projection_dim)
    move(model, other, arguments.share)
    move(softmax, load_softmax(second, vocabulary, model.options.lstm.projection_dim), arguments.share)
    heldout = [line.split() for line in read_lines(arguments.heldout)]
    perplexity = held_out_perplexity(model, softmax, vocabulary, heldout)
    dropped = ("sha256", "format_version", "storage", "perplexity")
    info = {name: value for name, value in second.info.items() if name not in dropped}
    info["perplexity"] = perplexity.to_json()
    info["weights"] = f"{1 - arguments.share:g} of the parent's, {arguments.share:g} of those trained on from it"
    write_bilm(arguments.output, model, softmax, vocabulary, info, arguments.storage)


if __name__ == "__main__":
    main()
