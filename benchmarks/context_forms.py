"""Forms of what a document says of a token elsewhere, each trained: which of them brings most.

    PYTHONPATH=. python benchmarks/context_forms.py --forms mean,max,... --results DIR -o RUNS -- FLAGS OF train-tagger

FLAGS name data, biLM and several seeds. ``mean`` is the mean of the layers' mean over the occurrences of the
same form in the document's other sentences. The others change one thing of it each, within this script alone but for
``lower``, which is what the package does:

* ``max``: of each number the one of greatest magnitude; ``mean-max``: both, side by side.
* ``layer-1``, ``layer-2``: one layer of the biLM in place of their mean.
* ``own-mix``: all layers, with learned weights and a learned scale of their own.
* ``shrunk``: times n / (n + 1), with n occurrences; ``counted``: with log(1 + n) as one number more.
* ``lower``: forms compared without regard to capitals; ``lower-layer-2``: of these the top layer of two alone.
* ``partial``: where a form stands nowhere else, the form without capitals, then words with the same five first letters.
* ``none``: zeros, as if no sentence had a document.
* ``carried``: the mean as usual, of a biLM that reads each document from its first sentence to its last, and back, as
  ``pretrain --carry-state`` reads text: each sentence begins in the state that the one before left.

Run again, it goes on where it stopped. Prints a line of JSON for each form.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Hashable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from ner_elmo.cli.main import main as command_line
from ner_elmo.elmo.encoder import Elmo
from ner_elmo.elmo.scalar_mix import ScalarMix
from ner_elmo.nn.cell import Types
from ner_elmo.tagger.network import context as usual
from ner_elmo.tagger.network.inputs import TaggerBatch
from ner_elmo.tagger.network.model import CONTEXT_SCALE, TaggerModel
from ner_elmo.tagger.network.options import OUTPUT, TaggerOptions
from ner_elmo.tagger.training import preparation
from ner_elmo.text.characters import BEGIN_SENTENCE, END_SENTENCE

DOCUMENTS = 32  # read at once
PREFIX = 5  # letters that two words have in common, for "partial"
Document = Callable[[Sequence[Sequence[str]], Sequence[np.ndarray]], list[np.ndarray]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forms", default="mean")
    parser.add_argument("--results", type=Path)
    parser.add_argument("-o", "--runs", type=Path, required=True)
    parser.add_argument("flags", nargs="*", help="of train-tagger, after --")
    arguments = parser.parse_args()
    for form in arguments.forms.split(","):
        run = arguments.runs / form
        with ExitStack() as patches:
            for one in changes(form):
                patches.enter_context(one)
            flags = [
                *arguments.flags,
                "--context-forms",
                "exact",
                "-o",
                str(run),
                *(["--resume"] if run.exists() else []),
            ]
            if status := command_line(["train-tagger", *flags]):
                return status
        report = json.loads((run / "report.json").read_text())
        print(json.dumps({"form": form} | figures(report)), flush=True)
        if arguments.results:
            arguments.results.mkdir(parents=True, exist_ok=True)
            (arguments.results / f"{form}.json").write_text((run / "report.json").read_text())
    return 0


def figures(report: dict[str, Any]) -> dict[str, Any]:
    """F1 of each seed in percent, their mean and standard deviation, by part."""
    found: dict[str, Any] = {}
    for part, of_part in report["seeds"]["f1"].items():
        f1 = {seed: round(100 * x, 2) for seed, x in of_part["by_seed"].items()}
        found[part] = f1 | {
            "mean": round(100 * of_part["mean"], 2),
            "sd": round(100 * of_part["standard_deviation"], 2),
        }
    return found


def changes(form: str) -> list[Any]:
    """What is patched for a form."""
    of_document, layers, width = FORMS[form]
    if form == "mean":
        return []
    if form == "carried":
        return _reading_on()
    own_mix = form == "own-mix"

    def document_contexts(
        tokens: Sequence[Sequence[str]], documents: Sequence[Hashable | None], frozen: Sequence[Any], *_: Any
    ) -> list[np.ndarray]:
        found: list[np.ndarray] = []
        for part in usual.documents_in(documents, list(map(len, tokens))):
            vectors = [layers(np.asarray(one, dtype=np.float32)) for one in frozen[part]]
            found += [one.astype(np.float16) for one in of_document(tokens[part], vectors)]
        return found

    def n_context(options: TaggerOptions) -> int:
        return width(options.elmo_dim)

    def input_dim(options: TaggerOptions) -> int:
        words = options.word_dim if options.n_words else 0
        elmo = (0 if options.elmo_at == OUTPUT else options.elmo_dim) + n_context(options)
        return elmo + words + (options.char_filters if options.char_dim else 0)

    def columns(model: TaggerModel) -> slice | None:
        if own_mix:  # these have a gradient
            return None
        start = 0 if model.options.elmo_at == OUTPUT else model.options.elmo_dim
        return slice(start, start + n_context(model.options))

    found = [
        patch("ner_elmo.tagger.training.features.document_contexts", document_contexts),
        patch.object(TaggerOptions, "input_dim", property(input_dim)),
        patch.object(TaggerModel, "_context_columns", columns),
    ]
    return [*found, *_with_own_mix()] if own_mix else found


def _with_own_mix() -> list[Any]:
    """The context's layers arrive side by side and are mixed."""
    begin, inputs = TaggerModel.__init__, TaggerModel._inputs

    def init(model: TaggerModel, options: TaggerOptions) -> None:
        begin(model, options)
        model.context_mix = ScalarMix(len(options.elmo_layers), False, True)
        with torch.no_grad():
            assert model.context_mix.gamma is not None
            model.context_mix.gamma.fill_(CONTEXT_SCALE)

    def mixed(model: TaggerModel, batch: TaggerBatch, types: Types | None, with_context: bool = True) -> list[Tensor]:
        assert batch.context is not None
        layers = torch.stack(batch.context.chunk(len(model.options.elmo_layers), dim=2))
        context, batch.context = batch.context, batch.context[..., : model.options.elmo_dim]
        parts = inputs(model, batch, types, with_context)
        batch.context = context
        parts[0 if model.options.elmo_at == OUTPUT else 1] = model.frozen_dropout(model.context_mix(layers, batch.mask))
        return parts

    return [patch.object(TaggerModel, "__init__", init), patch.object(TaggerModel, "_inputs", mixed)]


def _reading_on() -> list[Any]:
    """The layers are computed anew, document by document."""
    begin, contexts, encoders = preparation.frozen_layers, preparation.contexts_of_parts, []

    def frozen_layers(elmo: Elmo, *others: Any) -> Any:
        encoders.append(elmo)
        return begin(elmo, *others)

    def contexts_of_parts(parts: Any, frozen: dict[str, Any], options: TaggerOptions, report: Any) -> Any:
        for part, sentences in parts.items():
            documents = [sentence.document for sentence in sentences]
            frozen[part] = carried_layers(encoders[-1], [sentence.tokens for sentence in sentences], documents)
        return contexts(parts, frozen, options, report)

    where = "ner_elmo.tagger.training.preparation."
    return [patch(f"{where}frozen_layers", frozen_layers), patch(f"{where}contexts_of_parts", contexts_of_parts)]


def carried_layers(
    elmo: Elmo, tokens: Sequence[Sequence[str]], documents: Sequence[Hashable | None]
) -> list[np.ndarray]:
    """Of each sentence ``(layers, time, dim)`` float16."""
    parts = sorted(usual.documents_in(documents, list(map(len, tokens))), key=lambda part: part.stop - part.start)
    found: list[np.ndarray | None] = [None] * len(tokens)
    for start in range(0, len(parts), DOCUMENTS):
        group = parts[start : start + DOCUMENTS]
        group.sort(key=lambda part: -sum(len(one) + 1 for one in tokens[part]))
        there = _read(elmo, [[t for one in tokens[part] for t in (BEGIN_SENTENCE, *one)] for part in group])
        back = _read(elmo, [[t for one in tokens[part] for t in (*one, END_SENTENCE)] for part in group])
        half, at = elmo.dim // 2, 0
        for row in (row for part in group for row in range(part.start, part.stop)):
            n = len(tokens[row])
            forward, backward = there[:, at + 1 : at + n + 1, :half], back[:, at : at + n, half:]
            found[row] = torch.cat([forward, backward], dim=2).half().numpy()
            at += n + 1
    return found  # type: ignore[return-value]


def _read(elmo: Elmo, rows: list[list[str]]) -> Tensor:
    """All layers ``(layers, positions, dim)`` of rows of symbols of falling lengths, one after the other."""
    with torch.inference_mode():
        table, numbers = elmo._types.rows_of(rows)
        vectors = table[torch.tensor([number for row in numbers for number in row])]
        return elmo.model.layers(vectors, list(map(len, rows)))


def mean_of(key: Callable[[str], str] = str) -> Document:
    """The mean over the tokens of the same key in the other sentences; zeros where there are none."""
    return lambda tokens, vectors: usual.contexts_of([[key(form) for form in one] for one in tokens], vectors)


def _others(tokens: Sequence[Sequence[str]]) -> list[list[list[tuple[int, int]]]]:
    """For each token the places (sentence, token) of its form in other sentences."""
    places: dict[str, list[tuple[int, int]]] = {}
    for row, sentence in enumerate(tokens):
        for at, form in enumerate(sentence):
            places.setdefault(form, []).append((row, at))
    return [
        [[place for place in places[form] if place[0] != row] for form in sentence]
        for row, sentence in enumerate(tokens)
    ]


def greatest(tokens: Sequence[Sequence[str]], vectors: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Of each number the one of greatest magnitude over the other occurrences."""
    found = [np.zeros_like(one) for one in vectors]
    for row, sentence in enumerate(_others(tokens)):
        for at, places in enumerate(sentence):
            if places:
                elsewhere = np.stack([vectors[other][place] for other, place in places])
                found[row][at] = np.take_along_axis(elsewhere, np.abs(elsewhere).argmax(0)[None], 0)[0]
    return found


def both(tokens: Sequence[Sequence[str]], vectors: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [
        np.concatenate(pair, axis=1) for pair in zip(mean_of()(tokens, vectors), greatest(tokens, vectors), strict=True)
    ]


def _counts(tokens: Sequence[Sequence[str]]) -> list[np.ndarray]:
    return [np.array([[len(places)] for places in one], dtype=np.float32).reshape(-1, 1) for one in _others(tokens)]


def shrunk(tokens: Sequence[Sequence[str]], vectors: Sequence[np.ndarray]) -> list[np.ndarray]:
    pairs = zip(mean_of()(tokens, vectors), _counts(tokens), strict=True)
    return [mean * (n / (n + 1)) for mean, n in pairs]


def counted(tokens: Sequence[Sequence[str]], vectors: Sequence[np.ndarray]) -> list[np.ndarray]:
    pairs = zip(mean_of()(tokens, vectors), _counts(tokens), strict=True)
    return [np.concatenate([mean, np.log1p(n)], axis=1) for mean, n in pairs]


def partial(tokens: Sequence[Sequence[str]], vectors: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The first of three keys that finds anything elsewhere."""
    found = mean_of()(tokens, vectors)
    for key in (str.casefold, lambda form: form.casefold()[:PREFIX] if len(form) >= PREFIX else form.casefold()):
        further = mean_of(key)(tokens, vectors)
        found = [np.where(one.any(axis=1, keepdims=True), one, more) for one, more in zip(found, further, strict=True)]
    return found


def nothing(tokens: Sequence[Sequence[str]], vectors: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [np.zeros_like(one) for one in vectors]


def _mean_layer(layers: np.ndarray) -> np.ndarray:
    found: np.ndarray = layers.mean(axis=0)
    return found


def _same(dim: int) -> int:
    return dim


# What is made of a document's vectors, what is taken of the layers, and numbers of a context by those of a layer.
FORMS: dict[str, tuple[Document, Callable[[np.ndarray], np.ndarray], Callable[[int], int]]] = {
    "none": (nothing, _mean_layer, _same),
    "mean": (mean_of(), _mean_layer, _same),
    "max": (greatest, _mean_layer, _same),
    "mean-max": (both, _mean_layer, lambda dim: 2 * dim),
    "layer-1": (mean_of(), lambda layers: layers[1], _same),
    "layer-2": (mean_of(), lambda layers: layers[2], _same),
    "own-mix": (mean_of(), lambda layers: np.concatenate(list(layers), axis=1), _same),
    "shrunk": (shrunk, _mean_layer, _same),
    "counted": (counted, _mean_layer, lambda dim: dim + 1),
    "lower": (mean_of(str.casefold), _mean_layer, _same),
    "lower-layer-2": (mean_of(str.casefold), lambda layers: layers[2], _same),
    "partial": (partial, _mean_layer, _same),
    "carried": (mean_of(), _mean_layer, _same),
}


if __name__ == "__main__":
    sys.exit(main())
