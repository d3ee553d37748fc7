"""The frozen features of a training's sentences: computed once, for all epochs and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.elmo.feature_cache import IN_MEMORY_BYTES, FeatureCache, StoredSentence, counted
from ner_elmo.errors import DataError
from ner_elmo.runs.events import Report, note, warning
from ner_elmo.runs.events import progress as tell_progress
from ner_elmo.tagger.network.context import document_contexts
from ner_elmo.tagger.network.inputs import elmo_layers
from ner_elmo.tagger.network.options import MEAN_MIX, TaggerOptions
from ner_elmo.text.formats.corpus import LabelledSentence

Features = Mapping[str, Sequence[np.ndarray | StoredSentence]]  # by part, for each sentence (layers, time, dim)


def frozen_layers(
    elmo: Elmo, tokens: dict[str, list[tuple[str, ...]]], options: TaggerOptions, folder: Path | None, report: Report
) -> dict[str, Sequence[np.ndarray | StoredSentence]]:
    """The frozen features of every part: read from the cache in ``folder`` if possible, otherwise kept in memory.

    All parts together are read into memory up to ``IN_MEMORY_BYTES``; beyond that, batches read them from disk.
    """

    n_tokens = {part: sum(map(len, sentences)) for part, sentences in tokens.items()}
    total, done = sum(n_tokens.values()), 0
    size = 2 * total * options.n_mixed_layers * options.elmo_dim
    cache = None if folder is None else FeatureCache(elmo, folder, partial(note, report), partial(warning, report))
    in_memory = size <= IN_MEMORY_BYTES
    if cache is None:
        note(report, f"computing biLM layers of {total:,} tokens once (kept in memory: {size / 1e6:,.0f} MB)")
    else:
        where = "kept in memory" if in_memory else "each batch read from disk"
        note(report, f"biLM layers of {total:,} tokens: {size / 1e6:,.0f} MB ({where})")

    def progress(done_of_part: int) -> None:
        tell_progress(report, "biLM layers", done + done_of_part, total)

    frozen: dict[str, Sequence[np.ndarray | StoredSentence]] = {}
    for part, sentences in tokens.items():
        average, found = options.mix == MEAN_MIX, None
        if cache is not None:
            found = cache.features(sentences, options.elmo_layers, average, "float16", in_memory, progress)
        if found is None:
            found = list(counted(elmo_layers(elmo, sentences, options.elmo_layers, average), progress))
        frozen[part] = found
        done += n_tokens[part]
    progress(0)
    return frozen


def contexts_of_parts(
    parts: Mapping[str, Sequence[LabelledSentence]], frozen: Features, options: TaggerOptions, report: Report
) -> dict[str, list[np.ndarray]]:
    """The context of every token, by its document within its part.

    Raises:
        DataError: nothing in the training data says where a document begins.
    """
    if all(sentence.document is None for sentence in parts["train"]):
        raise DataError(
            "train: found no documents, expected lines that begin with -DOCSTART- (or as --document-marker says), or a "
            "text of several sentences in each unit; give --context-window 10 if sentences that stand together belong "
            "together, otherwise leave out --context"
        )
    found = {}
    for part, sentences in parts.items():
        documents = [sentence.document for sentence in sentences]
        tokens = [sentence.tokens for sentence in sentences]
        found[part] = document_contexts(tokens, documents, frozen[part], *options.context_reading)
        n_tokens = sum(map(len, tokens))
        n_with = sum(int(context.any(axis=1).sum()) for context in found[part])
        n_documents = len({document for document in documents if document is not None})
        share = n_with / max(1, n_tokens)
        note(report, f"{part}: {n_documents:,} documents; {share:.0%} of the tokens stand elsewhere in theirs, too")
    return found
