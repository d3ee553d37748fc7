"""Small tagger networks with random weights, and sentences made ready for them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch

from ner_elmo.tagger.network.inputs import Example, make_words
from ner_elmo.tagger.network.model import TaggerModel
from ner_elmo.tagger.network.options import TaggerOptions
from ner_elmo.text.tag_scheme import tag_set

TAGS = tag_set(["A", "B"], "bioes")


def example(*tokens: str, layers: int = 0) -> Example:
    """A sentence of these tokens, with ``layers`` frozen layers of 4 numbers for each."""
    rng = np.random.default_rng(len(tokens))
    words = make_words(Counter({"a": 2, "b": 2}))
    frozen = rng.normal(size=(layers, len(tokens), 4)).astype(np.float16) if layers else None
    return Example(tokens, words.indices(tokens), frozen, np.zeros(len(tokens), dtype=np.int64))


def tiny_model(**changes: object) -> TaggerModel:
    """A tagger's network for inference, over four words and ``TAGS``."""
    torch.manual_seed(0)
    values: dict[str, object] = {"tags": TAGS, "n_words": 4, "n_tuned_words": 4, "word_dim": 3, "hidden_dim": 5}
    values |= {"char_dim": 4, "char_filters": 6}
    model = TaggerModel(TaggerOptions(**(values | changes))).eval()  # type: ignore[arg-type]
    model.reset_parameters()
    return model
