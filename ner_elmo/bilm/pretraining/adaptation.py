"""Going on from another biLM on new text (``pretrain --init``): its vocabulary, its network, its output layer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ner_elmo.bilm.data.corpus import find_files
from ner_elmo.bilm.files.directory import BilmFiles, find_bilm, load_softmax, load_vocabulary
from ner_elmo.bilm.files.weights import read_weights
from ner_elmo.bilm.model import BiLm
from ner_elmo.bilm.options import options_to_json, read_options
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.softmax import Softmax
from ner_elmo.bilm.token_encoder import WordTable
from ner_elmo.errors import ModelError, UsageError
from ner_elmo.settings import SettingError
from ner_elmo.text.characters import BEGIN_SENTENCE, END_SENTENCE
from ner_elmo.text.vocabulary import Vocabulary, extended, most_frequent


class Start(NamedTuple):
    """Where training starts. ``softmax_is_fresh``: the parent has none, and it is to be trained first."""

    model: BiLm
    softmax: Softmax
    softmax_is_fresh: bool


def find_parent(path: str | Path) -> BilmFiles:
    """The biLM to go on from, opened.

    Raises:
        UsageError: nothing is there, or a model of ELMoForManyLangs.
        ModelError: as :func:`~ner_elmo.bilm.files.directory.find_bilm`.
    """
    files = find_bilm(path)
    if files.many_langs is not None:
        raise UsageError(
            f"--init {path}: a model of ELMoForManyLangs, which can be used but not trained further (its code points "
            "and words have no place in a biLM directory); give a biLM directory, or options.json and weights.hdf5"
        )
    return files


def with_network_of_parent(config: PretrainConfig, parent: BilmFiles) -> PretrainConfig:
    """The settings of ``--init`` with the network of ``parent``, the model that it names.

    Raises:
        SettingError: the word table is to be the softmax's, and the parent has both, apart.
    """
    network = read_options(parent.options)
    if config.tie_embeddings and not network.tied and network.char_cnn is None:
        raise SettingError(
            "tie_embeddings", f"{config.init} has a word table and a softmax of its own; leave the flag out"
        )
    return replace(config, options=options_to_json(network))


def with_parent(config: PretrainConfig) -> tuple[PretrainConfig, BilmFiles | None]:
    """The settings with the network of ``init``, and that model if it had to be opened for it; what else they name is
    there.

    Raises:
        UsageError, ModelError: a file is missing, or the model is none to go on from.
        SettingError: as :func:`with_network_of_parent`.
    """
    parent = None
    if config.init is not None and config.options is None:
        parent = find_parent(config.init)
        config = with_network_of_parent(config, parent)
    find_files([*config.corpus, *filter(None, (config.heldout, config.vocabulary))])
    return config, parent


def keeps_words(files: BilmFiles) -> bool:
    """Whether the parent's vocabulary goes on: its words have weights, in the output layer or a word table."""
    return files.softmax is not None or read_options(files.options).char_cnn is None


def vocabulary_from_parent(config: PretrainConfig, files: BilmFiles, counts: Counter[str]) -> Vocabulary:
    """The parent's words and those that ``counts`` has ``min_count`` times or more, at most ``vocabulary_size``
    together; the text's alone if nothing of the parent is bound to words.

    Raises:
        UsageError: ``vocabulary_size`` has no room for the parent's words.
        ModelError: the parent has no vocabulary though it needs one.
    """
    if not keeps_words(files):
        return most_frequent(counts, config.vocabulary_size or len(counts) + 3, config.min_count)
    parent = load_vocabulary(files)
    size = config.vocabulary_size
    if size is not None and size < len(parent):
        raise UsageError(
            f"--vocab-size {size}: the model of --init has {len(parent):,} words already; give at least so many, or "
            "a --vocab FILE"
        )
    return extended(parent, counts, size, config.min_count)


def load_parent(
    config: PretrainConfig, vocabulary: Vocabulary, counts: Mapping[str, int], parent: BilmFiles | None = None
) -> Start:
    """The parent's network and output layer for ``vocabulary``, with gradients for all that is learned.

    Args:
        parent: the model of ``config.init`` if it is open already.

    Raises:
        ModelError: a file is damaged, or the word table and the vocabulary do not fit one another.
    """
    assert config.init is not None
    files = parent or find_parent(config.init)
    options = read_options(files.options)
    if config.dropout is not None:
        options = replace(options, dropout=config.dropout)
    model = read_weights(files.weights, options)
    old = load_vocabulary(files) if keeps_words(files) else None
    if isinstance(model.token_encoder, WordTable):
        assert old is not None
        if model.token_encoder.n_words != len(old):
            raise ModelError(
                f"{files.weights}: found {model.token_encoder.n_words:,} word vectors, but {files.vocabulary} has "
                f"{len(old):,} words"
            )
        if old.tokens != vocabulary.tokens:
            model.token_encoder = table_for(model.token_encoder, old, vocabulary)
    if files.softmax is None or old is None:
        softmax = unigram_softmax(vocabulary, options.lstm.projection_dim, counts)
    else:
        softmax = load_softmax(files, old, options.lstm.projection_dim)
        if old.tokens != vocabulary.tokens:
            softmax = with_rows_for(softmax, old, vocabulary, counts)
    return Start(model, softmax, softmax_is_fresh=files.softmax is None)


def unigram_softmax(vocabulary: Vocabulary, dim: int, counts: Mapping[str, int]) -> Softmax:
    """An output layer without weights whose biases make it a unigram model: where it is trained before the network,
    there is no symmetry to break, and nothing to unlearn."""
    softmax = Softmax(len(vocabulary), dim)
    nn.init.zeros_(softmax.weight)
    start_from_unigrams(softmax, vocabulary, counts)
    return softmax


def start_from_unigrams(softmax: Softmax, vocabulary: Vocabulary, counts: Mapping[str, int]) -> None:
    """Set the output biases to log unigram probabilities, so that training does not begin by learning them.

    Backward, a sentence ends with ``<S>``, which is as frequent as ``</S>`` then.
    """
    weights = torch.ones(len(vocabulary))
    for token, n in {**counts, BEGIN_SENTENCE: counts.get(END_SENTENCE, 0)}.items():
        weights[vocabulary.id_of(token)] += n
    with torch.no_grad():
        softmax.bias.copy_((weights / weights.sum()).log())


def with_rows_for(softmax: Softmax, old: Vocabulary, new: Vocabulary, counts: Mapping[str, int]) -> Softmax:
    """The output layer for another vocabulary: rows of words that both have are kept.

    New words start as ``<UNK>``, which is how the old model wrote them. They and what is still unknown divide the
    probability of ``<UNK>`` by their counts, so that nothing changes for the words that both have.
    """
    adapted = Softmax(len(new), softmax.weight.shape[1])
    shares = {i: max(counts.get(token, 0), 1) for i, token in enumerate(new.tokens) if token not in old}
    n_unknown = sum(n for token, n in counts.items() if token not in old and token not in new)
    if shares:
        shares[new.unknown_id] = max(n_unknown, 1)
    total = sum(shares.values())
    with torch.no_grad():
        adapted.weight.copy_(_rows_for(softmax.weight, old, new))
        adapted.bias.copy_(_rows_for(softmax.bias, old, new))
        for i, n in shares.items():
            adapted.bias[i] += math.log(n / total)
    return adapted


def table_for(table: WordTable, old: Vocabulary, new: Vocabulary) -> WordTable:
    """The word table for another vocabulary; new words start as ``<UNK>``, which is how the old model read them."""
    rows = table.embedding.weight
    adapted = WordTable(len(new), rows.shape[1])
    with torch.no_grad():
        adapted.embedding.weight.copy_(_rows_for(rows, old, new))
    return adapted


def _rows_for(values: Tensor, old: Vocabulary, new: Vocabulary) -> Tensor:
    """The rows of ``values``, in the order of ``old``, in that of ``new``."""
    return values[torch.tensor([old.id_of(token) for token in new.tokens])]
