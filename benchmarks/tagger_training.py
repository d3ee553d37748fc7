"""How fast a tagger trains, beside the same tagger from torch's own parts.

    PYTHONPATH=. python benchmarks/tagger_training.py eng.train [--elmo-dim 256] [--threads 1] [--turns 5]

The plain side has torch's dropout and convolution, torch's LSTMs in float32, pytorch-crf's likelihood with the gradient
that torch records, and torch's clipping; ours is measured in float32 and with products in bfloat16. The sides take the
same batches in turns; layers of the biLM are random numbers of ``--elmo-dim`` (0: none), three of them. Prints tokens a
second, the median of the turns, and the ratios. Wants a quiet machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torchcrf import CRF

from ner_elmo.nn.dropout import Dropout
from ner_elmo.nn.precision import multiplies_bf16
from ner_elmo.tagger.network.crf import ConstrainedCrf
from ner_elmo.tagger.network.model import TaggerModel
from ner_elmo.tagger.training import loop as training
from ner_elmo.tagger.training.config import TaggerConfig, TrainingOptions
from ner_elmo.tagger.training.preparation import PreparedData, new_model, prepare

LAYERS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", help="a labelled file")
    parser.add_argument("--elmo-dim", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sentences", type=int, default=3000, help="in a turn")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    config = TaggerConfig(train=arguments.train, dev=arguments.train)
    prepared = with_layers(prepare(config, torch.device("cpu"), lambda event: None), arguments.elmo_dim)
    prepared.examples["train"] = prepared.examples["train"][: arguments.sentences]
    sides = {"plain": one_side(prepared, "fp32", plain=True), "ours, fp32": one_side(prepared, "fp32")}
    if multiplies_bf16("cpu"):
        sides["ours, bf16"] = one_side(prepared, "bf16")
    for turn in sides.values():
        turn()
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(arguments.turns):
        for name, turn in sides.items():
            rates[name].append(turn())
    medians = {name: statistics.median(values) for name, values in rates.items()}
    found = {
        "elmo_dim": arguments.elmo_dim,
        "threads": arguments.threads,
        "tokens_per_second": {name: round(value) for name, value in medians.items()},
        "times_plain": {name: round(value / medians["plain"], 2) for name, value in medians.items()},
    }
    print(json.dumps(found, indent=2))


def with_layers(prepared: PreparedData, dim: int) -> PreparedData:
    """Examples with random biLM layers, and options to match."""
    if not dim:
        return prepared
    rng = np.random.default_rng(1)
    for example in prepared.examples["train"]:
        example.layers = rng.standard_normal((LAYERS, len(example.tokens), dim), dtype=np.float32).astype(np.float16)
    options = dataclasses.replace(prepared.options, elmo_dim=dim, elmo_layers=list(range(LAYERS)))
    return dataclasses.replace(prepared, options=options)


def one_side(prepared: PreparedData, precision: str, plain: bool = False) -> Callable[[], float]:
    """What trains on all batches once and says how many tokens a second that was."""
    options = TrainingOptions(precision=precision, schedule="plateau")
    model = new_model(prepared, seed=1)
    if plain:
        from_torch(model)
    state = training.start(model, options)
    data = training.TrainingData(prepared.examples["train"], [], [], prepared.words)

    def turn() -> float:
        ours = training._clip
        training._clip = clip_grad_norm_ if plain else ours  # type: ignore[assignment]
        try:
            torch.manual_seed(1)
            begun = time.perf_counter()
            _, n_tokens = training._train_once(state, data, options, "cpu", np.random.default_rng(1), None)
            return n_tokens / (time.perf_counter() - begun)
        finally:
            training._clip = ours

    return turn


def from_torch(model: TaggerModel) -> None:
    """Replace what is ours by what torch and pytorch-crf have."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, Dropout):
                setattr(module, name, nn.Dropout(child.p))
    if model.characters is not None:
        model.characters._looked_up = model.characters._convolved  # type: ignore[method-assign]
    model.crf.neg_log_likelihood = recorded_likelihood(model.crf)  # type: ignore[method-assign]


def recorded_likelihood(ours: ConstrainedCrf) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """pytorch-crf's, in float32, over the same parameters."""
    plain = CRF(len(ours.tag_set), batch_first=True)

    def likelihood(emissions: Tensor, tag_ids: Tensor, mask: Tensor) -> Tensor:
        starts, ends, moves = ours._transitions(emissions.dtype)
        legal = {"start_transitions": starts, "end_transitions": ends, "transitions": moves}
        given = (emissions, tag_ids.masked_fill(~mask, 0), mask)
        return -torch.func.functional_call(plain, legal, given, {"reduction": "none"})  # type: ignore[no-any-return]

    return likelihood


if __name__ == "__main__":
    main()
