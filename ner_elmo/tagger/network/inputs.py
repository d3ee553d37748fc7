"""From sentences to the tensors the tagger reads: word indices, distinct tokens' characters, frozen biLM layers.

Letters in shapes: ``batch`` sentences, ``time`` tokens, ``types`` distinct tokens of the batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ner_elmo.elmo.feature_cache import StoredSentence, compute_features
from ner_elmo.text.characters import PADDING_ID, char_ids
from ner_elmo.text.tag_scheme import Span, tags

if TYPE_CHECKING:
    from ner_elmo.elmo.encoder import Elmo
    from ner_elmo.text.formats.corpus import LabelledSentence

PAD_INDEX = 0
UNKNOWN_INDEX = 1
PAD_WORD = "<pad>"
UNKNOWN_WORD = "<unk>"
MAX_CHARACTERS = 50


class _Index(dict[str, int]):
    """Where a word stands, or what stands for it."""

    def __missing__(self, form: str) -> int:
        return self.get(form.lower(), UNKNOWN_INDEX)


class Words:
    """A list of words and the index of each; 0 is padding and 1 the unknown word.

    Attributes:
        words: all of them, by index.
        n_tuned: the first so many are learned; the rest have vectors that stay as the file gave them.
        singletons: which indices were seen only once in training, ``(len(words),)`` bool.
    """

    def __init__(self, words: Sequence[str], n_tuned: int | None = None, singletons: np.ndarray | None = None) -> None:
        self.words = list(words)
        self.n_tuned = len(self.words) if n_tuned is None else n_tuned
        self.singletons = np.zeros(len(self.words), dtype=bool) if singletons is None else singletons
        self._index = _Index((word, index) for index, word in enumerate(self.words))

    def __len__(self) -> int:
        return len(self.words)

    def index(self, form: str) -> int:
        """The index of ``form``; failing that, of its lower-case form; failing that, of the unknown word."""
        return self._index[form]

    def indices(self, tokens: Sequence[str]) -> np.ndarray:
        """``(len(tokens),)`` int64."""
        return np.fromiter(map(self._index.__getitem__, tokens), dtype=np.int64, count=len(tokens))


def count_words(sentences: Iterable[Sequence[str]]) -> Counter[str]:
    """How often each form occurs."""
    return Counter(token for sentence in sentences for token in sentence)


def make_words(counts: Counter[str], min_count: int = 1, known: Sequence[str] = (), tuned: bool = True) -> Words:
    """The words seen at least ``min_count`` times, most frequent first, then the words of a vectors file (``known``).

    A training word whose lower-case form has a vector is kept: it is learned from there on. If vectors are not
    ``tuned``, there are those of the file alone, and only that of the unknown word is learned.
    """
    special = {PAD_WORD, UNKNOWN_WORD}
    seen = [word for word, count in counts.most_common() if tuned and count >= min_count and word not in special]
    listed = {*seen, *special}
    known_only = [word for word in known if word not in listed]
    words = [PAD_WORD, UNKNOWN_WORD, *seen, *known_only]
    singletons = np.array([counts[word] == 1 for word in words])
    return Words(words, n_tuned=2 + len(seen), singletons=singletons)


def initial_vectors(words: Words, dim: int, known: Sequence[str], vectors: np.ndarray, seed: int) -> np.ndarray:
    """``(len(words), dim)`` float32: a word's vector from the file, exact or lower-cased, otherwise a random one.

    Random vectors are as long as the file's are on average; without a file, entries are uniform in ±sqrt(3 / dim).
    """
    spread = float(vectors.std()) if len(vectors) else 1 / np.sqrt(dim)
    half_width = np.sqrt(3) * spread
    table = np.random.default_rng(seed).uniform(-half_width, half_width, (len(words), dim)).astype(np.float32)
    rows = {word: row for row, word in enumerate(known)}
    for index, word in enumerate(words.words):
        row = rows.get(word, rows.get(word.lower()))
        if row is not None:
            table[index] = vectors[row]
    table[PAD_INDEX] = 0
    return table


@dataclass(slots=True)
class Example:
    """A sentence ready for batching.

    Attributes:
        tokens: its forms.
        word_ids: ``(time,)`` int64.
        layers: frozen biLM layers ``(layers, time, dim)`` float16, in memory or on disk, or None for a tagger without
            a biLM.
        tag_ids: ``(time,)`` int64, or None where it is not known.
        context: of its document (:mod:`~ner_elmo.tagger.network.context`), ``(time, dim)`` float16, or None for a
            tagger that reads none.
        taught: a teacher's emissions ``(time, tags)`` float32, or None where there is no teacher.
        document: a number or name of its document; None: by itself.
    """

    tokens: tuple[str, ...]
    word_ids: np.ndarray
    layers: np.ndarray | StoredSentence | None = None
    tag_ids: np.ndarray | None = None
    context: np.ndarray | None = None
    taught: np.ndarray | None = None
    document: Hashable | None = None


@dataclass(slots=True)
class TaggerBatch:
    """Sentences padded to the longest, as tensors.

    Attributes:
        word_ids: ``(batch, time)`` int64, 0 at padding.
        type_ids: ``(batch, time)`` int64, each token's place among ``forms``.
        forms: the distinct tokens.
        layers: ``(layers, batch, time, dim)`` float16, or None.
        mask: ``(batch, time)`` bool, True = real.
        tag_ids: ``(batch, time)`` int64, 0 in sentences that have none, or None if no sentence has any.
        context: ``(batch, time, dim)`` float16, or None.
        taught: a teacher's emissions ``(batch, time, tags)`` float32, or None.
        is_labelled: which sentences have tags ``(batch,)`` bool, or None if all have, or none.
    """

    word_ids: Tensor
    type_ids: Tensor
    forms: list[str]
    layers: Tensor | None
    mask: Tensor
    tag_ids: Tensor | None
    context: Tensor | None = None
    taught: Tensor | None = None
    is_labelled: Tensor | None = None

    def rows(self, rows: Tensor) -> TaggerBatch:
        """Some of its sentences, ``rows`` int64, as wide as it is; the forms are those of all."""
        names = [field.name for field in fields(self) if field.name not in ("forms", "layers")]
        values = {name: getattr(self, name) for name in names}
        some: dict[str, Any] = {
            n: None if value is None else value.index_select(0, rows) for n, value in values.items()
        }
        layers = None if self.layers is None else self.layers.index_select(1, rows)
        return replace(self, layers=layers, **some)

    def to(self, device: torch.device | str) -> TaggerBatch:
        """The same batch on ``device``."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {
            name: value.to(device) if isinstance(value, Tensor) else value for name, value in values.items()
        }
        return TaggerBatch(**moved)


def elmo_layers(
    elmo: Elmo,
    sentences: Iterable[Sequence[str]],
    layers: Sequence[int],
    average: bool,
) -> Iterator[np.ndarray]:
    """The frozen features of each sentence, in order: ``(len(layers) or 1, time, dim)`` float16.

    Half precision keeps a corpus in memory at ``2 · layers · dim`` bytes a token (CoNLL-2003's three files with three
    layers of 256: 460 MB). Tagging rounds in the same way, so that it sees what training saw.
    """
    return compute_features(elmo, sentences, layers, average, "float16")


def make_examples(
    sentences: Sequence[LabelledSentence],
    words: Words,
    tag_index: dict[str, int],
    scheme: str,
    layers: Sequence[np.ndarray | StoredSentence] | None = None,
    contexts: Sequence[np.ndarray] | None = None,
) -> list[Example]:
    """Examples of labelled sentences; tags that are not in ``tag_index`` become the first, which is ``O`` save in the
    scheme ``token``."""
    examples = []
    for position, sentence in enumerate(sentences):
        tokens = sentence.tokens
        known = [span for span in sentence.spans if _is_known(span, tag_index, scheme)]
        tag_ids = np.array([tag_index.get(tag, 0) for tag in tags(known, len(tokens), scheme)], dtype=np.int64)
        frozen = None if layers is None else layers[position]
        context = None if contexts is None else contexts[position]
        examples.append(Example(tokens, words.indices(tokens), frozen, tag_ids, context, document=sentence.document))
    return examples


def _is_known(span: Span, tag_index: dict[str, int], scheme: str) -> bool:
    return tags([Span(0, 1, span.label)], 1, scheme)[0] in tag_index


def collate(examples: Sequence[Example]) -> TaggerBatch:
    """Pad ``examples`` into one :class:`TaggerBatch`; a batch of empty sentences has ``time`` 0."""
    size, time = len(examples), max((len(example.tokens) for example in examples), default=0)
    types: dict[str, int] = {}
    word_ids = np.zeros((size, time), dtype=np.int64)
    type_ids = np.zeros((size, time), dtype=np.int64)
    tag_ids = np.zeros((size, time), dtype=np.int64)
    mask = np.zeros((size, time), dtype=bool)
    for row, example in enumerate(examples):
        length = len(example.tokens)
        word_ids[row, :length] = example.word_ids
        type_ids[row, :length] = [types.setdefault(token, len(types)) for token in example.tokens]
        mask[row, :length] = True
        if example.tag_ids is not None:
            tag_ids[row, :length] = example.tag_ids
    is_labelled = [example.tag_ids is not None for example in examples]
    return TaggerBatch(
        torch.from_numpy(word_ids),
        torch.from_numpy(type_ids),
        list(types),
        _padded_layers(examples, time),
        torch.from_numpy(mask),
        torch.from_numpy(tag_ids) if any(is_labelled) or not examples else None,
        _padded([example.context for example in examples], time, np.float16),
        _padded([example.taught for example in examples], time, np.float32),
        torch.tensor(is_labelled) if len({*is_labelled}) == 2 else None,
    )


def ids_of_forms(forms: list[str]) -> Tensor:
    """Raw character ids of some forms ``(forms, width)`` int64, as wide as the longest of them."""
    ids = char_ids(forms, MAX_CHARACTERS)
    width = int((ids != PADDING_ID).sum(axis=1).max(initial=1))
    return torch.from_numpy(np.ascontiguousarray(ids[:, :width]))


def _padded_layers(examples: Sequence[Example], time: int) -> Tensor | None:
    if not examples or examples[0].layers is None:
        return None
    n_layers, _, dim = examples[0].layers.shape
    padded = np.zeros((n_layers, len(examples), time, dim), dtype=np.float16)
    for row, example in enumerate(examples):
        assert example.layers is not None
        padded[:, row, : len(example.tokens)] = np.asarray(example.layers)
    return torch.from_numpy(padded)


def _padded(vectors: Sequence[np.ndarray | None], time: int, dtype: type[np.floating]) -> Tensor | None:
    """Of each sentence ``(time, dim)``, as ``(batch, time, dim)``; None where the sentences have none."""
    if not vectors or vectors[0] is None:
        return None
    padded = np.zeros((len(vectors), time, vectors[0].shape[1]), dtype=dtype)
    for row, one in enumerate(vectors):
        assert one is not None
        padded[row, : len(one)] = one
    return torch.from_numpy(padded)


def drop_contexts(batch: TaggerBatch, probability: float) -> TaggerBatch:
    """Take the context away from each sentence with ``probability``, so that the tagger learns to do without, too:
    a line by itself has no document."""
    if batch.context is None or not probability:
        return batch
    kept = torch.rand(len(batch.context), 1, 1) >= probability
    return replace(batch, context=batch.context * kept)


def drop_singletons(batch: TaggerBatch, words: Words, probability: float = 0.5) -> TaggerBatch:
    """A training batch in which words seen once are unknown with ``probability``: so the unknown word is learned."""
    if not len(words):  # a tagger without word vectors has no words to look up
        return batch
    once = torch.from_numpy(words.singletons)[batch.word_ids]
    dropped = once & (torch.rand(once.shape) < probability)
    word_ids = batch.word_ids.masked_fill(dropped, UNKNOWN_INDEX)
    return replace(batch, word_ids=word_ids)
