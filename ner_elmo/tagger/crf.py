"""The output layer: pytorch-crf on the legal tag sequences of a scheme, and the probabilities that follow from it.

Letters in shapes: ``batch`` sentences, ``time`` tokens, ``tags`` tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchcrf import CRF

from ner_elmo.text.tag_scheme import Span, allowed, tags

# What an illegal transition costs. Emissions are kept within ±EMISSION_LIMIT, so no detour through an illegal
# transition can pay: repairing one changes the tags of its two neighbours at most, 4 x EMISSION_LIMIT in all.
ILLEGAL = -1e4
EMISSION_LIMIT = 1e3


class ConstrainedCrf(nn.Module):
    """A linear-chain CRF over a tag set in which sequences that break the tag scheme have probability zero.

    The penalty is added to pytorch-crf's transition parameters whenever they are used, so that likelihood and
    decoding see the same constraints and the parameters themselves stay free.

    Args:
        tag_set: The tags, ``"O"`` first; a tag's position is its index.
        scheme: ``"iob2"``, ``"bioes"`` or ``"bmes"``.
    """

    def __init__(self, tag_set: Sequence[str], scheme: str) -> None:
        super().__init__()
        self.tag_set = list(tag_set)
        self.scheme = scheme
        self.crf = _Lattice(len(self.tag_set), batch_first=True)
        starts = [_penalty(None, tag, scheme) for tag in self.tag_set]
        ends = [_penalty(tag, None, scheme) for tag in self.tag_set]
        moves = [[_penalty(previous, tag, scheme) for tag in self.tag_set] for previous in self.tag_set]
        self.start_penalties: Tensor
        self.end_penalties: Tensor
        self.penalties: Tensor
        self.register_buffer("start_penalties", torch.tensor(starts), persistent=False)
        self.register_buffer("end_penalties", torch.tensor(ends), persistent=False)
        self.register_buffer("penalties", torch.tensor(moves), persistent=False)

    def neg_log_likelihood(self, emissions: Tensor, tag_ids: Tensor, mask: Tensor) -> Tensor:
        """−log P(tags | emissions) of each sentence; 0 for an empty one.

        Shapes: emissions ``(batch, time, tags)``; tag_ids ``(batch, time)`` int64, anything at padding; mask
        ``(batch, time)`` bool, True = real; returns ``(batch,)``.
        """
        result = emissions.new_zeros(len(emissions))
        real = mask.any(dim=1)
        if not real.any():
            return result
        tag_ids = tag_ids.masked_fill(~mask, 0)
        likelihood = self._call(_bounded(emissions[real]), tag_ids[real], mask[real])
        return result.masked_scatter(real, -likelihood)

    def decode(self, emissions: Tensor, mask: Tensor) -> list[list[int]]:
        """The most probable legal tag sequence of each sentence, without padding (``[]`` for an empty one).

        Shapes: emissions ``(batch, time, tags)``; mask ``(batch, time)`` bool.
        """
        real = mask.any(dim=1)
        if not real.any():
            return [[] for _ in emissions]
        found = iter(self._call(_bounded(emissions[real]), None, mask[real]))
        return [next(found) if is_real else [] for is_real in real.tolist()]

    def log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """log Z: the log of the summed weights of all legal tag sequences; 0 for an empty sentence.

        Shapes: emissions ``(batch, time, tags)``; mask ``(batch, time)`` bool; returns ``(batch,)``.
        """
        # Outside everywhere is a legal path whose score is quickly added up: log Z = its score − its log-likelihood.
        outside = torch.zeros(mask.shape, dtype=torch.long, device=mask.device)
        emitted = (_bounded(emissions)[:, :, 0] * mask).sum(dim=1)
        moved = self.crf.transitions[0, 0] * (mask.sum(dim=1) - 1)
        ended = self.crf.start_transitions[0] + self.crf.end_transitions[0]
        score = (emitted + moved + ended) * mask.any(dim=1)
        return score + self.neg_log_likelihood(emissions, outside, mask)  # type: ignore[no-any-return]

    def token_marginals(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """P(tag at token | sentence) ``(batch, time, tags)``, 0 at padding: the gradient of log Z in the emissions."""
        with torch.enable_grad():
            emissions = emissions.detach().double().requires_grad_()
            (gradient,) = torch.autograd.grad(self.log_partition(emissions, mask).sum(), emissions)
        return gradient

    def span_log_probabilities(
        self, emissions: Tensor, mask: Tensor, spans: Sequence[Sequence[Span]]
    ) -> list[list[float]]:
        """log P(span, label | sentence) for each of the ``spans`` of each sentence, exactly.

        That is log Z of the lattice in which the span carries its own tags and does not go on after its end, minus
        log Z. Both come from one forward and one backward pass over the sentence, however many spans it has.
        Shapes: emissions ``(batch, time, tags)``; mask ``(batch, time)`` bool.
        """
        if not any(spans):
            return [[] for _ in spans]
        with torch.no_grad():
            # Differences of log-weights of long sentences need more digits than float32 has.
            weights = _bounded(emissions.double())
            before, after = self._messages(weights, mask)
            log_z = torch.logsumexp(before[:, 0] + after[:, 0], dim=1)
            lattice = _Messages(weights.cpu(), before.cpu(), after.cpu(), log_z.cpu(), mask.sum(dim=1).tolist())
            moves = self._legal_parameters(torch.double)["transitions"].cpu()
            return [[self._span(lattice, moves, row, span) for span in found] for row, found in enumerate(spans)]

    def _messages(self, weights: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Log-weights, ``(batch, time, tags)``: of all paths up to a token with a tag, and of all paths onwards."""
        parameters = self._legal_parameters(weights.dtype)
        moves, ends = parameters["transitions"], parameters["end_transitions"].expand(len(weights), -1)
        before = [parameters["start_transitions"] + weights[:, 0]]
        for t in range(1, weights.shape[1]):
            before.append(torch.logsumexp(before[-1].unsqueeze(2) + moves, dim=1) + weights[:, t])
        after = [ends]
        for t in range(weights.shape[1] - 1, 0, -1):
            on = torch.logsumexp(moves + (weights[:, t] + after[-1]).unsqueeze(1), dim=2)
            after.append(torch.where(mask[:, t].unsqueeze(1), on, ends))  # the last real token meets the end
        return torch.stack(before, dim=1), torch.stack(after[::-1], dim=1)

    def _span(self, lattice: _Messages, moves: Tensor, row: int, span: Span) -> float:
        """log P of one span: into its first tag, along its tags, and out of its last one."""
        inside = [self.tag_set.index(tag) for tag in self._tags_of(span)]
        last = inside[-1]
        score = lattice.before[row, span.start, inside[0]]
        if len(inside) > 1:
            places = torch.arange(span.start + 1, span.end)
            score = score + moves[inside[:-1], inside[1:]].sum() + lattice.weights[row, places, inside[1:]].sum()
        if span.end == lattice.lengths[row]:
            score = score + lattice.after[row, span.end - 1, last]
        else:
            on = moves[last] + lattice.weights[row, span.end] + lattice.after[row, span.end]
            on[self._continuations(span)] = -torch.inf
            score = score + torch.logsumexp(on, dim=0)
        return min(0.0, float(score - lattice.log_z[row]))

    def _tags_of(self, span: Span) -> list[str]:
        length = span.end - span.start
        return list(tags([Span(0, length, span.label)], length, self.scheme))

    def _continuations(self, span: Span) -> list[int]:
        """The tags that would make the token after ``span`` part of it."""
        inner = {f"{prefix}-{span.label}" for prefix in "IME"}
        return [index for index, tag in enumerate(self.tag_set) if tag in inner]

    def _call(self, emissions: Tensor, tag_ids: Tensor | None, mask: Tensor):  # type: ignore[no-untyped-def]
        """pytorch-crf with the penalties in its parameters, computed in the precision of the emissions."""
        return torch.func.functional_call(self.crf, self._legal_parameters(emissions.dtype), (emissions, tag_ids, mask))

    def _legal_parameters(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """pytorch-crf's parameters with the penalties added."""
        return {
            "start_transitions": (self.crf.start_transitions + self.start_penalties).to(dtype),
            "end_transitions": (self.crf.end_transitions + self.end_penalties).to(dtype),
            "transitions": (self.crf.transitions + self.penalties).to(dtype),
        }


class _Messages(NamedTuple):
    weights: Tensor  # (batch, time, tags), as before and after
    before: Tensor
    after: Tensor
    log_z: Tensor  # (batch,)
    lengths: list[int]


class _Lattice(CRF):  # type: ignore[misc]
    """pytorch-crf whose ``forward`` also decodes (without tags), since ``functional_call`` reaches nothing else."""

    def forward(self, emissions: Tensor, tags: Tensor | None, mask: Tensor):  # type: ignore[no-untyped-def]
        if tags is None:
            return self.decode(emissions, mask)
        return super().forward(emissions, tags, mask, reduction="none")


def _penalty(previous: str | None, current: str | None, scheme: str) -> float:
    return 0.0 if allowed(previous, current, scheme) else ILLEGAL


def _bounded(emissions: Tensor) -> Tensor:
    return emissions.clamp(-EMISSION_LIMIT, EMISSION_LIMIT)
