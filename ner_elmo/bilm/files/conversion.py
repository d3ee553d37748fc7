"""A biLM in other formats: half the size, or the two files that bilm-tf and AllenNLP read."""

from __future__ import annotations

import json
from pathlib import Path

from ner_elmo.bilm.files.directory import (
    OPTIONS,
    VOCABULARY,
    WEIGHTS,
    BilmFiles,
    BilmPlace,
    find_bilm,
    load_bilm,
    load_softmax,
    load_vocabulary,
    write_bilm,
)
from ner_elmo.bilm.files.weights import write_weights
from ner_elmo.bilm.options import BilmOptions, options_to_json
from ner_elmo.errors import ModelError
from ner_elmo.text.files import replace_directory
from ner_elmo.text.vocabulary import write_vocabulary


def convert_bilm(source: BilmPlace, target: str | Path, storage: str) -> None:
    """Write a biLM as a biLM directory that stores ``float32`` or ``float16``.

    Raises:
        ModelError: the biLM has no vocabulary or no output layer; only a whole one can be converted. Or it is one of
            ELMoForManyLangs, whose characters and words the format has no place for.
    """
    files = find_bilm(source)
    _refuse_many_langs(files)
    model, vocabulary = load_bilm(files), load_vocabulary(files)
    softmax = load_softmax(files, vocabulary, model.options.lstm.projection_dim)
    write_bilm(target, model, softmax, vocabulary, files.info, storage)


def write_published_pair(source: BilmPlace, target: str | Path) -> list[str]:
    """Write the two files that bilm-tf and AllenNLP read, ``options.json`` and ``weights.hdf5`` in float32.

    A model with word input gets its ``vocab.txt`` beside them, without which its rows mean nothing.

    Returns:
        For each of the two programs that will refuse the network, a line that says so and why.

    Raises:
        ModelError: it is a model of ELMoForManyLangs, or has word input and no vocabulary.
    """
    files = find_bilm(source)
    _refuse_many_langs(files)
    model = load_bilm(files)
    vocabulary = load_vocabulary(files) if model.options.char_cnn is None else None
    with replace_directory(target) as temporary:
        values = json.dumps(options_to_json(model.options), indent=2)
        (temporary / OPTIONS).write_text(values + "\n", encoding="utf-8")
        write_weights(model, temporary / WEIGHTS)
        if vocabulary is not None:
            write_vocabulary(vocabulary, temporary / VOCABULARY)
    return _foreign_limits(model.options)


def _refuse_many_langs(files: BilmFiles) -> None:
    if files.many_langs is not None:
        raise ModelError(
            f"{files.root}: a model of ELMoForManyLangs; its code points and words have no place in the published "
            "format, whose characters are bytes"
        )


def _foreign_limits(options: BilmOptions) -> list[str]:
    """What of a network bilm-tf or AllenNLP cannot read (docs/elmo-format.md §2 and §3)."""
    lstm, cnn = options.lstm, options.char_cnn
    limits = {
        "its input is words": cnn is None,
        "use_skip_connections is false": not lstm.use_skip_connections,
        "it has no LSTM projection (dim = projection_dim)": not lstm.has_projection,
        f"max_characters_per_token is {options.max_characters}, not 50": options.max_characters != 50,
        "it has no CNN projection (as many filters as projection_dim)": cnn and cnn.n_filters == lstm.projection_dim,
    }
    reasons = [reason for reason, applies in limits.items() if applies]
    lines = [f"AllenNLP will not read it: {'; '.join(reasons)}"] if reasons else []
    if cnn and cnn.n_filters < lstm.projection_dim:
        lines.append(f"bilm-tf will not read it: {cnn.n_filters} filters, fewer than projection_dim")
    return lines
