"""What a figure means: which data, by name and digest, how it was read and split, and over which biLM and vectors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ner_elmo.bilm.files.directory import tokens_seen_in_all
from ner_elmo.elmo.encoder import Elmo
from ner_elmo.elmo.feature_cache import bilm_digest
from ner_elmo.tagger.training.config import TaggerConfig
from ner_elmo.text.files import sha256_of_file
from ner_elmo.text.formats.corpus import Corpus, LabelledSentence, sha256_of_labelled


def protocol_of(
    config: TaggerConfig, corpora: dict[str, Corpus], parts: dict[str, list[LabelledSentence]], elmo: Elmo | None
) -> dict[str, Any]:
    """What a figure means: which data, by name and digest, how it was split and read."""
    paths = {"train": config.train, "dev": config.dev, "test": config.test}
    data = {}
    for part, sentences in parts.items():
        path = paths[part] or config.train
        data[part] = {
            "file": Path(path).name,
            "sha256": sha256_of_labelled(path, config.source) if path != "-" else None,
            "gold_sha256": gold_digest(sentences),
            "scheme": corpora[part if part in corpora else "train"].scheme,
            "sentences": len(sentences),
            "tokens": sum(len(sentence.tokens) for sentence in sentences),
            "entities": sum(len(sentence.spans) for sentence in sentences),
        }
    return {
        "data": data,
        "column": config.column,
        "token_column": config.token_column or 0,
        "dev": _origin_of_dev(config),
        "trained_on_dev": config.train_with_dev,
        "seeds": list(config.seeds),
        "bilm": None if elmo is None else _bilm_facts(elmo),
        "word_vectors": None
        if config.word_vectors is None
        else {
            "file": Path(config.word_vectors).name,
            "sha256": sha256_of_file(config.word_vectors),
            "tuned": config.tune_word_vectors,
        },
    }


def gold_digest(sentences: Sequence[LabelledSentence]) -> str:
    """SHA-256 of tokens and entities, however the file writes them: figures over the same ones can be compared."""
    digest = hashlib.sha256()
    for sentence in sentences:
        line = json.dumps([sentence.tokens, sentence.spans], ensure_ascii=True, separators=(",", ":"))
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def _origin_of_dev(config: TaggerConfig) -> str:
    if config.train_with_dev:
        return "none: it was trained on" if config.dev is not None else "none: nothing was held out"
    return "file" if config.dev is not None else "a tenth of the training sentences, by a hash of their tokens"


def _bilm_facts(elmo: Elmo) -> dict[str, Any]:
    """Which biLM it was; ``tokens_seen`` in pretraining, its parents' included, where its maker says so."""
    return {
        "digest": bilm_digest(elmo.files, elmo.options),
        "tokens_seen": tokens_seen_in_all(elmo.files.info),
        "text": elmo.text,
        "layers": elmo.n_layers,
        "dim": elmo.dim,
    }
