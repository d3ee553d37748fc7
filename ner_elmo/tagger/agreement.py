"""A second pass over a document: what the first one found of a name in other sentences counts for it here, too.

A document that has found "Essex" to be a club in four sentences hardly means the county in the fifth. Krishnan and
Manning (2006, "An effective two-stage model for exploiting non-local dependencies in named entity recognition") and
Ratinov and Roth (2009, "Design challenges and misconceptions in named entity recognition") gave a second tagger
features of what a first one found. Here nothing more is learned: with p_l the mean over the occurrences of the same
form in the document's other sentences of the probability of label l, by the first pass's emissions alone,

    e'[t, y] = e[t, y] + WEIGHT · log p'_label(y)           p'_l = (n p_l + PRIOR) / (n + PRIOR · labels)

with n occurrences; O is a label, too. It speaks of labels and not of tags, as a name may begin here and end there.
Forms are compared without regard to capitals, for headlines; those without any capital are no names in text that has
them, and stay as they are, as does all text of a script without capitals.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from ner_elmo.tagger.network.context import Elsewhere, documents_in
from ner_elmo.text.tag_scheme import TOKEN, split_tag

# Chosen on dev of CoNLL-2003; from 0.4 to 1 and from 0.02 to 0.15 it makes no difference.
WEIGHT = 0.6
PRIOR = 0.05


def with_agreement(
    emissions: Sequence[np.ndarray],
    tokens: Sequence[Sequence[str]],
    documents: Sequence[Hashable | None],
    tag_set: Sequence[str],
    scheme: str,
    window: int | None = None,
) -> list[np.ndarray]:
    """The emissions of the second pass.

    Args:
        emissions: of each sentence, ``(time, tags)`` float32: those of the first pass.
        tokens: its forms.
        documents: a number or name of each sentence's document; those of one stand together; None: by itself.
        window: how many sentences before and after a sentence are looked at; None: all of the document.

    Returns:
        As ``emissions``; the arrays themselves where nothing is added.
    """
    # (tags,): the label of each
    names = [tag if scheme == TOKEN else split_tag(tag)[1] for tag in tag_set]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    label_of = np.array([numbers[name] for name in names])
    found = list(emissions)
    for part in documents_in(documents, list(map(len, tokens))):
        if part.stop - part.start > 1:
            found[part] = _agreed(emissions[part], tokens[part], label_of, window)
    return found


def _agreed(
    emissions: Sequence[np.ndarray], tokens: Sequence[Sequence[str]], label_of: np.ndarray, window: int | None
) -> list[np.ndarray]:
    """Those of one document."""
    forms: dict[str, int] = {}
    # Of the tokens that are looked at: sentence, place in it, form
    rows = [
        (row, place, forms.setdefault(token.casefold(), len(forms)))
        for row, sentence in enumerate(tokens)
        for place, token in enumerate(sentence)
        if token != token.lower()
    ]
    if not rows:
        return list(emissions)
    sentence_of, place_of, form_of = np.array(rows).T
    # (looked at, labels)
    shares = _label_shares(np.stack([emissions[row][place] for row, place, _ in rows]), label_of)
    elsewhere = Elsewhere(form_of, sentence_of, window)
    n = elsewhere.n[:, None]
    smoothed = (elsewhere.sums(shares).clip(min=0) + PRIOR) / (n + PRIOR * shares.shape[1])
    added = np.where(n > 0, WEIGHT * np.log(smoothed), 0.0).astype(np.float32)
    found = [one.copy() for one in emissions]
    for row, place, one in zip(sentence_of, place_of, added, strict=True):
        found[row][place] += one[label_of]
    return found


def _label_shares(emissions: np.ndarray, label_of: np.ndarray) -> np.ndarray:
    """The softmax over tags, added up by label: ``(rows, tags)`` to ``(rows, labels)`` float64."""
    weights = np.exp(emissions.astype(np.float64) - emissions.max(axis=1, keepdims=True))
    shares = np.zeros((len(weights), label_of.max() + 1))
    for tag, label in enumerate(label_of):
        shares[:, label] += weights[:, tag]
    normalised: np.ndarray = shares / shares.sum(axis=1, keepdims=True)
    return normalised
