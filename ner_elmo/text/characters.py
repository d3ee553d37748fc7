"""Tokens as rows of character ids: UTF-8 bytes between word boundaries, as published for ELMo.

Ids 0..255 are bytes; five more are markers. :func:`char_ids` gives the *raw* ids; the published prediction
convention, where every id is one higher and 0 means "no token here", is ``char_ids(...) + 1``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BEGIN_SENTENCE_ID = 256
END_SENTENCE_ID = 257
BEGIN_WORD_ID = 258
END_WORD_ID = 259
PADDING_ID = 260
N_CHARACTERS = 261

BEGIN_SENTENCE = "<S>"
END_SENTENCE = "</S>"
UNKNOWN = "<UNK>"


def token_bytes(token: str, max_characters: int) -> bytes:
    """The bytes of ``token`` that fit a row: lone surrogates dropped, cut after ``max_characters - 2`` bytes."""
    return token.encode("utf-8", "ignore")[: max_characters - 2]


def char_ids(tokens: Sequence[str], max_characters: int = 50) -> np.ndarray:
    """Raw character ids, ``(len(tokens), max_characters)`` int64: begin-of-word, bytes, end-of-word, padding.

    ``<S>`` and ``</S>`` become the sentence-boundary rows, as in bilm-tf and AllenNLP.
    """
    ids = np.full((len(tokens), max_characters), PADDING_ID, dtype=np.int64)
    ids[:, 0] = BEGIN_WORD_ID
    for row, token in zip(ids, tokens, strict=True):
        if token == BEGIN_SENTENCE:
            row[1:3] = BEGIN_SENTENCE_ID, END_WORD_ID
        elif token == END_SENTENCE:
            row[1:3] = END_SENTENCE_ID, END_WORD_ID
        else:
            data = token_bytes(token, max_characters)
            row[1 : len(data) + 1] = np.frombuffer(data, dtype=np.uint8)
            row[len(data) + 1] = END_WORD_ID
    return ids
