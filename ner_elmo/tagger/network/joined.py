"""Several networks as one: a joined tagger scores a tag sequence by the mean of what its members give it.

The members read the same biLM, words and tags, and differ in their weights. A member's score of a sequence,

    s_m(y) = start_m[y₀] + Σ_t e_m[t, y_t] + Σ_t move_m[y_t, y_t+1] + end_m[y_n−1],

is a sum of numbers of one lattice, so the mean of the members' scores is the score in a lattice of the same shape whose
starts, emissions, transitions and ends are the means of theirs. That lattice gives P(y) ∝ (Π_m P_m(y))^(1/M), the
normalised geometric mean of the members' distributions (a product of experts with equal weights: Hinton 1999, "Products
of experts", equation 1), and everything beyond the emissions is as for one network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ner_elmo.tagger.network.crf import ConstrainedCrf
from ner_elmo.tagger.network.inputs import TaggerBatch
from ner_elmo.tagger.network.model import TaggerModel

MOST_MEMBERS = 64


class JoinedModel(nn.Module):
    """Mean emissions for each token and a CRF of mean transitions; for inference alone.

    It shares what its members have: fixed word vectors are the first member's.

    Args:
        members: of the same options, at least one.
    """

    def __init__(self, members: Sequence[TaggerModel]) -> None:
        super().__init__()
        first = members[0]
        self.options = first.options
        self.members = nn.ModuleList(members)
        self.crf = ConstrainedCrf(first.options.tags, first.options.scheme)
        with torch.no_grad():
            for name, value in self.crf.named_parameters():
                value.copy_(torch.stack([member.crf.get_parameter(name) for member in members]).mean(dim=0))
                value.requires_grad_(False)
        for member in members[1:]:
            if first.words is not None and member.words is not None:
                member.words.fixed = first.words.fixed

    def prepare_for_inference(self, precision: str = "fp32") -> None:
        """As :meth:`TaggerModel.prepare_for_inference`, for every member."""
        for member in self.members:
            member.prepare_for_inference(precision)  # type: ignore[operator]

    def forward(self, batch: TaggerBatch) -> Tensor:
        """Mean emissions ``(batch, time, tags)``; what stands at padding means nothing. One member after the other, so
        that a sentence's are the same to the bit alone and in any batch, if the members' are."""
        first, *others = self.members
        total = first(batch)
        for member in others:
            total = total + member(batch)
        return total / len(self.members)  # type: ignore[no-any-return]

    def mix_weights(self) -> dict[str, Any] | None:
        """The means of the members' :meth:`TaggerModel.mix_weights`; None where nothing is mixed."""
        found = [member.mix_weights() for member in self.members]  # type: ignore[operator]
        return None if found[0] is None else _mean_of(found)


Network = TaggerModel | JoinedModel  # whatever gives emissions and a CRF


def members_of(model: Network) -> list[TaggerModel]:
    """The networks that were trained: a joined one's members, or the network itself."""
    return list(model.members) if isinstance(model, JoinedModel) else [model]  # type: ignore[arg-type]


def joined(members: Sequence[TaggerModel]) -> Network:
    """One network of several; a single one stays as it is."""
    return members[0] if len(members) == 1 else JoinedModel(members).eval()


def _mean_of(values: Sequence[Any]) -> Any:
    """The mean of numbers, or of dictionaries of the same keys, key by key."""
    if isinstance(values[0], Mapping):
        return {key: _mean_of([value[key] for value in values]) for key in values[0]}
    return sum(values) / len(values)
