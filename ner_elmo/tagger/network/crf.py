"""The output layer: a CRF on the legal tag sequences of a scheme, and the probabilities that follow from it.

Letters in shapes: ``batch`` sentences, ``time`` tokens, ``tags`` tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchcrf import CRF

from ner_elmo.nn.scripted import scripted
from ner_elmo.tagger.network.lattice import ROWS, LogPartition, Transitions, messages_after, messages_before
from ner_elmo.text.tag_scheme import OUTSIDE, TOKEN, Span, allowed, split_tag, tags

# What an illegal transition costs. Emissions are kept within ±EMISSION_LIMIT, so no detour through an illegal
# transition can pay: repairing one changes the tags of its two neighbours at most, 4 x EMISSION_LIMIT in all.
ILLEGAL = -1e4
EMISSION_LIMIT = 1e3
DECODED_NUMBERS = 1 << 18  # at once in a step of decoding: 1 MB, which stays in a processor's cache
DECODED_NUMBERS_GPU = 1 << 24


class Expected(NamedTuple):
    """How often the paths through the sentences of a batch are expected to pass each part of the lattice.

    Attributes:
        nodes: each tag at each token ``(batch, time, tags)``, 0 at padding.
        transitions: each start, end and step, in all sentences together.
    """

    nodes: Tensor
    transitions: Transitions


class ConstrainedCrf(nn.Module):
    """A linear-chain CRF over a tag set in which sequences that break the tag scheme have probability zero.

    P(y | e) = exp(s(y)) / Z, with s(y) = start[y₀] + Σ_t e[t, y_t] + Σ_t move[y_t, y_t+1] + end[y_n−1] and Z the sum of
    exp(s(y)) over all tag sequences (Lafferty, McCallum and Pereira 2001, section 3; how it is computed:
    :mod:`ner_elmo.tagger.network.lattice`).

    An illegal step's penalty is added to pytorch-crf's transition parameters whenever they are used, so that likelihood
    and decoding see the same constraints and the parameters themselves stay free.

    Args:
        tag_set: The tags, ``"O"`` first (in ``"token"`` there need be none); a tag's position is its index.
        scheme: ``"iob2"``, ``"bioes"``, ``"bmes"``, or ``"token"``, in which every sequence is legal.
    """

    def __init__(self, tag_set: Sequence[str], scheme: str) -> None:
        super().__init__()
        self.tag_set = list(tag_set)
        self.scheme = scheme
        self.crf = CRF(len(self.tag_set), batch_first=True)
        starts = torch.tensor([_penalty(None, tag, scheme) for tag in self.tag_set])
        ends = torch.tensor([_penalty(tag, None, scheme) for tag in self.tag_set])
        self.start_penalties: Tensor
        self.end_penalties: Tensor
        self.penalties: Tensor
        self.register_buffer("start_penalties", starts, persistent=False)
        self.register_buffer("end_penalties", ends, persistent=False)
        self.register_buffer("penalties", _penalties(self.tag_set, scheme), persistent=False)

    def neg_log_likelihood(self, emissions: Tensor, tag_ids: Tensor, mask: Tensor) -> Tensor:
        """−log P(tags | emissions) of each sentence; 0 for an empty one.

        Shapes: emissions ``(batch, time, tags)``; tag_ids ``(batch, time)`` int64, anything at padding; mask
        ``(batch, time)`` bool, True = real; returns ``(batch,)``.
        """
        if not mask.shape[1]:
            return emissions.new_zeros(len(emissions))
        weights = _bounded(emissions.double())
        likelihood = self._path_score(weights, tag_ids, mask) - self._log_partition(weights, mask)
        return -likelihood.to(emissions.dtype)

    def _path_score(self, weights: Tensor, tag_ids: Tensor, mask: Tensor) -> Tensor:
        """The log-weight s(y) of one path through each sentence, ``(batch,)``."""
        starts, ends, moves = self._transitions(weights.dtype)
        # (batch, time): any tag will do at padding, as its numbers are left out
        tag_ids = tag_ids.masked_fill(~mask, 0)
        # (batch,): Σ_t e[t, y_t]
        emitted = weights.gather(2, tag_ids.unsqueeze(2)).squeeze(2).masked_fill(~mask, 0.0).sum(dim=1)
        # (batch,): Σ_t move[y_t, y_t+1], where there is a token t + 1
        moved = moves[tag_ids[:, :-1], tag_ids[:, 1:]].masked_fill(~mask[:, 1:], 0.0).sum(dim=1)
        # (batch,): the tag of the last token
        last = tag_ids.gather(1, (mask.sum(dim=1, keepdim=True) - 1).clamp(min=0)).squeeze(1)
        return emitted + moved + (starts[tag_ids[:, 0]] + ends[last]) * mask.any(dim=1)

    def decode(self, emissions: Tensor, mask: Tensor) -> list[list[int]]:
        """The most probable legal tag sequence of each sentence, without padding (``[]`` for an empty one).

        Shapes: emissions ``(batch, time, tags)``; mask ``(batch, time)`` bool.
        """
        if not mask.any():
            return [[] for _ in emissions]
        with torch.no_grad():
            transitions = self._transitions(self.crf.transitions.dtype)
            return _best_paths(_bounded(emissions), mask.sum(dim=1), transitions)

    def log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """log Z: the log of the summed weights of all legal tag sequences; 0 for an empty sentence.

        Shapes: emissions ``(batch, time, tags)``; mask ``(batch, time)`` bool; returns ``(batch,)``.
        """
        if not mask.shape[1]:
            return emissions.new_zeros(len(emissions))
        return self._log_partition(_bounded(emissions.double()), mask).to(emissions.dtype)

    def _log_partition(self, weights: Tensor, mask: Tensor) -> Tensor:
        transitions = self._transitions(weights.dtype)
        are_small = self._are_small(weights.detach().masked_fill(~mask.unsqueeze(2), 0.0), transitions)
        return LogPartition.apply(weights, mask, *transitions, are_small)  # type: ignore[no-any-return]

    def expected(self, emissions: Tensor, mask: Tensor, shares: Tensor) -> Expected:
        """How often P(y | emissions) passes each node and each transition, each sentence counted by its share.

        Shapes: emissions ``(batch, time, tags)``, with one token at least; mask ``(batch, time)`` bool; shares
        ``(batch,)``. All is float64. It is the gradient of Σ_b shares[b] · log Z[b].
        """
        weights = _bounded(emissions.detach().double()).requires_grad_()
        transitions = [one.detach().requires_grad_() for one in self._transitions(weights.dtype)]
        are_small = self._are_small(weights.detach().masked_fill(~mask.unsqueeze(2), 0.0), Transitions(*transitions))
        with torch.enable_grad():
            log_z = LogPartition.apply(weights, mask, *transitions, are_small)
            nodes, *steps = torch.autograd.grad(log_z @ shares.double(), [weights, *transitions])
        return Expected(nodes, Transitions(*steps))

    def cross_entropy(
        self, emissions: Tensor, mask: Tensor, tag_ids: Tensor, gold: Tensor, teacher: Expected, taught: Tensor
    ) -> Tensor:
        """What it costs to have neither the tags that are known nor a teacher's distribution of them, ``()``:

            −Σ_b (gold[b] · log P(tags[b]) + taught[b] · Σ_y P_teacher(y) · log P(y))

        As both lattices are sums over nodes and transitions, the sum over all sequences y is log Z less the score of
        each node and transition times how often the teacher expects it (Wang et al. 2021, "Structural knowledge
        distillation: tractably distilling information for structured predictor", case 1a, from one linear-chain CRF to
        another); its gradient in a weight is how often P expects that, less how often the teacher does.

        Shapes: as :meth:`neg_log_likelihood`; gold and taught ``(batch,)``.

        Args:
            gold: what the known tags of a sentence count for; 0 where there are none.
            teacher: :meth:`expected` of the teacher's CRF, with the shares ``taught``.
        """
        if not mask.shape[1]:
            return emissions.new_zeros(())
        weights = _bounded(emissions.double())
        log_z = self._log_partition(weights, mask)
        known = gold.double() * self._path_score(weights, tag_ids, mask)
        hoped = (teacher.nodes * weights.masked_fill(~mask.unsqueeze(2), 0.0)).sum()
        for often, weight in zip(teacher.transitions, self._transitions(weights.dtype), strict=True):
            hoped = hoped + (often * weight).sum()
        cost = ((gold + taught).double() * log_z - known).sum() - hoped
        return cost.to(emissions.dtype)

    def span_log_probabilities(
        self, emissions: Tensor, mask: Tensor, spans: Sequence[Sequence[Span]], temperature: float = 1.0
    ) -> list[list[float]]:
        """log P(span, label | sentence) for each of the ``spans`` of each sentence, exactly.

        That is log Z of the lattice in which the span carries its own tags and does not go on after its end, minus
        log Z. Both come from one forward and one backward pass over the sentence, however many spans it has.
        Shapes: emissions ``(batch, time, tags)``; mask ``(batch, time)`` bool.

        Args:
            temperature: the score of every tag sequence is divided by it, emissions and transitions alike: above 1
                probabilities are less extreme. The most probable sequence stays the same.
        """
        if not any(spans):
            return [[] for _ in spans]
        with torch.no_grad():
            weights = _bounded(emissions.double()) / temperature
            # With sentences added that nobody reads, a sentence has the same scores to the bit in any company.
            added = -len(weights) % ROWS
            weights = functional.pad(weights, (0, 0, 0, 0, 0, added))
            mask = functional.pad(mask, (0, 0, 0, added), value=True)
            transitions = Transitions(*(one / temperature for one in self._transitions(torch.double)))
            are_small = self._are_small(weights, transitions)
            # (batch, time, tags): entry (b, t, j) is the log-sum of all prefixes that end in tag j at token t ...
            before = messages_before(weights, transitions, are_small)
            # ... and of all suffixes after token t, if that has tag j.
            after = messages_after(weights, mask, transitions, are_small)
            # (batch,): every path passes token 0 in some tag
            log_z = torch.logsumexp(before[:, 0] + after[:, 0], dim=1)
            lattice = _Messages(weights, before, after, log_z, mask.sum(dim=1))
            log_probabilities = iter(self._spans(lattice, transitions.moves, spans).clamp(max=0.0).tolist())
        return [[next(log_probabilities) for _ in sentence] for sentence in spans]

    def _are_small(self, weights: Tensor, transitions: Transitions) -> bool:
        """Whether no legal path's weight can underflow beside another's when they meet in a token.

        Reaching one tag instead of another changes the tags of a token and the two before it at most, so log-weights of
        a token's tags lie within 8 times the largest numbers of each kind, a transition aside; float64 has exp(−700).
        """
        size = weights.abs().amax()
        penalties = Transitions(self.start_penalties, self.end_penalties, self.penalties)
        for values, penalty in zip(transitions, penalties, strict=True):
            size = size + values.detach().masked_fill(penalty < 0, 0.0).abs().amax()
        return bool(10 * size < 700)

    def _spans(self, lattice: _Messages, moves: Tensor, spans: Sequence[Sequence[Span]]) -> Tensor:
        """log P of all spans of all sentences, ``(spans,)``: into the first tag, along the tags, out of the last.

        A span from token a up to b (exclusive) with tags f, m, …, m, l fixes those tags, so that its paths are all
        prefixes that end in f at a, the one way along, and all suffixes after l at b − 1 but those that would make the
        span longer:

            log P = α[a, f] + (moves and emissions after a) + log Σ_j exp(move[l, j] + e[b, j] + β[b, j]) − log Z

        with j over the tags that do not go on with it, or with end[l] for that sum where b is the sentence's end.
        """
        labels = sorted({span.label for sentence in spans for span in sentence})
        # For each span, of all sentences one after the other: its sentence, first token, token after its last, label.
        places = [
            (row, span.start, span.end, labels.index(span.label))
            for row, sentence in enumerate(spans)
            for span in sentence
        ]
        # (spans,) each, as all that is indexed by them below
        row, start, end, label = torch.tensor(places, device=moves.device).T
        # By label: (labels, 2), (labels,), (labels,), (labels, tags)
        first, inner, last, goes_on = self._tags_of(labels, moves.device)
        is_single = end - start == 1
        # Tags between the first and the last one
        n_inner = (end - start - 2).clamp(min=0)
        # f, l and m of each span. A span of one token has a tag of its own (S- in BIOES, B- in IOB2), which is both its
        # first and its last; one of two has no m, which is then only added and taken off again.
        first_tag = torch.where(is_single, first[label, 0], first[label, 1])
        last_tag = torch.where(is_single, first_tag, last[label])
        inner_tag = inner[label]
        # (batch, time, tags): entry (b, t, j) is Σ e[u, j] over tokens u from 0 to t, so a difference of two has the
        # emissions of a run of one tag, however long.
        sums = lattice.weights.cumsum(dim=1)
        # (spans,): the emissions after the first token, a + 1 to b - 1, as if all were tagged m ...
        inside = sums[row, end - 1, inner_tag] - sums[row, start, inner_tag]
        # ... and then with l at the last one.
        inside = inside - lattice.weights[row, end - 1, inner_tag] + lattice.weights[row, end - 1, last_tag]
        # (spans,): the transitions within: f to m, m to m as often as needed, m to l; or f to l where there is no m
        along = torch.where(
            n_inner > 0,
            moves[first_tag, inner_tag] + (n_inner - 1) * moves[inner_tag, inner_tag] + moves[inner_tag, last_tag],
            moves[first_tag, last_tag],
        )
        # (spans,): the log-sum of all prefixes that end with the whole span; α has the emission of its first token
        score = lattice.before[row, start, first_tag] + torch.where(is_single, 0.0, inside + along)
        # (spans,): the token after the span; where it is the last one, any will do, as nothing is read of it
        following = end.clamp(max=lattice.weights.shape[1] - 1)
        # (spans, tags): entry (k, j) is the log-sum of all suffixes after span k that have tag j next ...
        on = moves[last_tag] + lattice.weights[row, following] + lattice.after[row, following]
        # (spans,): ... over the tags that do not go on with the span
        on = torch.logsumexp(on.masked_fill(goes_on[label], -torch.inf), dim=1)
        # Where the sentence ends with the span, β of its last token is the end's weight.
        is_at_end = end == lattice.lengths[row]
        return score + torch.where(is_at_end, lattice.after[row, end - 1, last_tag], on) - lattice.log_z[row]

    def _tags_of(self, labels: Sequence[str], device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """For each label: the first tags of a span of one token and of a longer one ``(labels, 2)``; the tag between
        the first and the last, and the last one, ``(labels,)``; which tags would go on with it ``(labels, tags)``."""
        # The scheme itself says them: the tags of a span of one token, and of three, which have all kinds
        one, three = ([tags([Span(0, length, label)], length, self.scheme) for label in labels] for length in (1, 3))
        index = {tag: number for number, tag in enumerate(self.tag_set)}
        first = [[index[single[0]], index[longer[0]]] for single, longer in zip(one, three, strict=True)]
        # In IOB2 I- goes on, in BIOES I- and E-, in BMES M- and E-; in "token" each token is a span of its own.
        on = "" if self.scheme == TOKEN else "IME"
        goes_on = [[tag in {f"{prefix}-{label}" for prefix in on} for tag in self.tag_set] for label in labels]
        return (
            torch.tensor(first, device=device),
            torch.tensor([index[longer[1]] for longer in three], device=device),
            torch.tensor([index[longer[2]] for longer in three], device=device),
            torch.tensor(goes_on, device=device),
        )

    def _transitions(self, dtype: torch.dtype) -> Transitions:
        """pytorch-crf's parameters with the penalties added."""
        return Transitions(
            (self.crf.start_transitions + self.start_penalties).to(dtype),
            (self.crf.end_transitions + self.end_penalties).to(dtype),
            (self.crf.transitions + self.penalties).to(dtype),
        )


class _Messages(NamedTuple):
    weights: Tensor  # (batch, time, tags), as before and after
    before: Tensor
    after: Tensor
    log_z: Tensor  # (batch,)
    lengths: Tensor  # (batch,)


def _best_paths(emissions: Tensor, lengths: Tensor, transitions: Transitions) -> list[list[int]]:
    """Viterbi's algorithm: the tags of the path with the highest weight through each sentence.

    Shapes: emissions ``(batch, time, tags)``; lengths ``(batch,)``.
    """
    starts, ends, moves = transitions
    # (tags, tags): entry (j, i) is the weight of tag j after tag i, so that what is compared lies side by side in
    # memory: with 2,001 tags that is three times as fast as the other way round.
    into = moves.T.contiguous()
    most = DECODED_NUMBERS if emissions.device.type == "cpu" else DECODED_NUMBERS_GPU
    rows = scripted(_best_tags)(emissions, lengths, starts, ends, into, most).tolist()
    return [row[:length] for row, length in zip(rows, lengths.tolist(), strict=True)]


def _best_tags(emissions: Tensor, lengths: Tensor, starts: Tensor, ends: Tensor, into: Tensor, most: int) -> Tensor:
    """The steps of :func:`_best_paths`, in the part of Python that torch compiles, ``(batch, time)``: each sentence's
    tags, and anything after them. ``most``: numbers that a step computes at once."""
    # For each token, (batch, tags): the weight of the best path to each tag; it stays, once the sentence has ended.
    best = [starts + emissions[:, 0]]
    for time in range(1, int(lengths.max())):
        reached = _best_into(best[-1], into, most) + emissions[:, time]
        best.append(torch.where((time < lengths).unsqueeze(1), reached, best[-1]))
    # (batch,): the tag of each sentence's last token
    tag = (best[-1] + ends).argmax(dim=1)
    path = [tag]  # from the end of the longest sentence to its beginning
    for time in range(len(best) - 1, 0, -1):
        # (batch,): the tag before, of all those from which the best path to this one could have come. It is looked for
        # here, for one tag of each token, and not on the way, for all of them.
        before = (best[time - 1] + into[tag]).argmax(dim=1)
        tag = torch.where(time < lengths, before, tag)
        path.append(tag)
    path.reverse()
    return torch.stack(path, dim=1)


def _best_into(best: Tensor, into: Tensor, most: int) -> Tensor:
    """``max_i best[:, i] + into[j, i]``, ``(batch, j)``, some tags j at a time: all would be (batch, tags, tags)."""
    n_tags = max(1, most // best.numel())
    # Places that are made once: thousands of small ones beside large ones that come and go tear memory to pieces.
    reached = torch.empty_like(best)
    room = torch.empty([best.shape[0], min(n_tags, into.shape[0]), best.shape[1]], dtype=best.dtype, device=best.device)
    for start in range(0, into.shape[0], n_tags):
        some = into[start : start + n_tags]
        steps = torch.add(best.unsqueeze(1), some, out=room[:, : some.shape[0]])
        torch.amax(steps, dim=[2], out=reached[:, start : start + n_tags])
    return reached


def _penalties(tag_set: Sequence[str], scheme: str) -> Tensor:
    """:func:`_penalty` of every step, ``(tags, tags)``.

    It depends on the prefixes, and on whether the labels are the same, so that few steps need be looked at.
    """
    parts = [(tag, "") if scheme == TOKEN else split_tag(tag) for tag in tag_set]
    names = sorted({prefix for prefix, _ in parts}) if scheme != TOKEN else [""]
    labels = {label: number for number, label in enumerate(dict.fromkeys(label for _, label in parts))}
    prefix_of = torch.tensor([names.index(prefix) if scheme != TOKEN else 0 for prefix, _ in parts], dtype=torch.long)
    label_of = torch.tensor([labels[label] for _, label in parts], dtype=torch.long)
    # For each prefix, a tag of one label and a tag of another; O has none.
    one, other = ([OUTSIDE if name == OUTSIDE else f"{name}-{label}" for name in names] for label in "XY")
    same, different = (
        torch.tensor([[_penalty(previous, tag, scheme) for tag in those] for previous in one]) for those in (one, other)
    )
    are_same = label_of.unsqueeze(1) == label_of
    rows, columns = prefix_of.unsqueeze(1), prefix_of.unsqueeze(0)
    return torch.where(are_same, same[rows, columns], different[rows, columns])


def _penalty(previous: str | None, current: str | None, scheme: str) -> float:
    return 0.0 if allowed(previous, current, scheme) else ILLEGAL


def _bounded(emissions: Tensor) -> Tensor:
    return emissions.clamp(-EMISSION_LIMIT, EMISSION_LIMIT)
