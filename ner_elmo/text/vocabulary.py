"""Vocabulary files: one token a line, ``<S>``, ``</S>``, ``<UNK>`` first, then by falling frequency."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ner_elmo.errors import DataError
from ner_elmo.text.characters import BEGIN_SENTENCE, END_SENTENCE, UNKNOWN
from ner_elmo.text.files import read_lines

SPECIALS = (BEGIN_SENTENCE, END_SENTENCE, UNKNOWN)
PLACEHOLDER_IN_TEXT = "<unk>"  # what prepared corpora, such as the Penn Treebank's, have for an unknown word
_PLACEHOLDER = "!!!MAXTERMID"  # a line that bilm-tf skips


class Vocabulary:
    """Tokens and their ids, which are line numbers from 0."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = list(tokens)
        self._ids = {token: number for number, token in enumerate(self.tokens)}
        self.begin_id, self.end_id, self.unknown_id = (self._ids[special] for special in SPECIALS)

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def id_of(self, token: str) -> int:
        """The token's id, or that of ``<UNK>``."""
        return self._ids.get(token, self.unknown_id)

    def digest(self) -> str:
        """SHA-256 over the tokens in order; figures over different vocabularies cannot be compared."""
        return hashlib.sha256("\n".join(self.tokens).encode("utf-8", "surrogatepass")).hexdigest()


def most_frequent(counts: Counter[str], size: int, min_count: int = 2) -> Vocabulary:
    """The specials and the most frequent tokens, ``size`` lines at most; ties in order of code points.

    A text's own ``<unk>`` gets no line, and so counts as ``<UNK>``.
    """
    specials = (*SPECIALS, PLACEHOLDER_IN_TEXT)
    frequent = (token for token, n in counts.items() if n >= min_count and token not in specials)
    ranked = sorted(frequent, key=lambda token: (-counts[token], token))
    return Vocabulary([*SPECIALS, *ranked[: size - len(SPECIALS)]])


def extended(vocabulary: Vocabulary, counts: Counter[str], size: int | None = None, min_count: int = 2) -> Vocabulary:
    """``vocabulary`` with the most frequent tokens that it lacks, ``size`` lines at most.

    Without any it stays as it is. Otherwise all words are ranked anew by ``counts``, which the sampled softmax goes by,
    and those that do not occur follow in their old order.
    """
    lacking = Counter({token: n for token, n in counts.items() if token not in vocabulary})
    room = len(lacking) if size is None else size - len(vocabulary)
    added = most_frequent(lacking, len(SPECIALS) + room, min_count).tokens[len(SPECIALS) :]
    if not added:
        return vocabulary
    words = [token for token in vocabulary.tokens if token not in SPECIALS]
    return Vocabulary([*SPECIALS, *sorted([*words, *added], key=lambda token: -counts[token])])


def read_vocabulary(path: str | Path) -> Vocabulary:
    """Read a vocabulary file, as bilm-tf does (lines are stripped).

    Raises:
        DataError: a special token is missing, or a token stands twice.
    """
    tokens: list[str] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(read_lines(path), start=1):
        token = line.strip()
        if token == _PLACEHOLDER:
            continue
        if token in seen:
            raise DataError(
                f"{path}:{number}: found {token!r} again (first on line {seen[token]}), expected each token once"
            )
        seen[token] = number
        tokens.append(token)
    missing = [special for special in SPECIALS if special not in seen]
    if missing:
        raise DataError(f"{path}: found no line {', '.join(missing)}; a vocabulary begins with {', '.join(SPECIALS)}")
    return Vocabulary(tokens)


def write_vocabulary(vocabulary: Vocabulary, path: str | Path) -> None:
    """Write one token a line."""
    Path(path).write_text("".join(f"{token}\n" for token in vocabulary.tokens), encoding="utf-8")
