"""Sums over all tag sequences of a sentence: forward and backward messages, log Z, and its gradient.

A lattice has a node for each tag at each token. The log-weight of a path y through a sentence of n tokens is the sum of
a start, its emissions, its transitions and an end:

    s(y) = start[y₀] + Σ_t e[t, y_t] + Σ_t move[y_t, y_t+1] + end[y_n−1]

and Z = Σ_y exp s(y) over all paths, so that P(y) = exp(s(y) − log Z) (a linear-chain CRF: Lafferty, McCallum and
Pereira 2001, section 3). Two messages (Rabiner 1989, equations 19-25) add up the paths through a node from either side:

    α[t, j] = e[t, j] + log Σ_i exp(α[t−1, i] + move[i, j])              α[0, j] = start[j] + e[0, j]
    β[t, i] = log Σ_j exp(move[i, j] + e[t+1, j] + β[t+1, j])            β[n−1, i] = end[i]
    log Z   = log Σ_j exp(α[n−1, j] + end[j]) = log Σ_j exp(α[t, j] + β[t, j]) at any t

The gradient of log Z is how often a path is expected to pass: a node or a transition (Rabiner's equations 27 and 37):

    ∂ log Z / ∂ e[t, j]    = P(y_t = j)                = exp(α[t, j] + β[t, j] − log Z)
    ∂ log Z / ∂ move[i, j] = Σ_t P(y_t = i, y_t+1 = j) = Σ_t exp(α[t, i] + move[i, j] + e[t+1, j] + β[t+1, j] − log Z)

So it follows from the messages, and nothing need be recorded on the way, which takes half the time that a gradient
through every step does. In the code α is ``before``, β ``after``, e ``weights``, and t, i, j index as here.

Everything is float64: differences of log-weights of long sentences need more digits than float32 has.

Letters in shapes: ``batch`` sentences, ``time`` tokens, ``tags`` tags.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ner_elmo.nn.scripted import scripted

# Products of float64 of so many rows and columns, or multiples, are computed in the same way in each row (seen with MKL
# on a processor of AMD); what is left over is not.
ROWS = 4
COLUMNS = 16
NUMBERS_AT_ONCE = 1 << 24  # of float64, where every sentence needs (tags, tags): 128 MB


class Transitions(NamedTuple):
    """What a path's tags weigh beside their emissions. An illegal step has a weight so low that no path can pay for it.

    Attributes:
        starts, ends: of the first and the last tag, ``(tags,)``.
        moves: from the first dimension's tag to the second's, ``(tags, tags)``.
    """

    starts: Tensor
    ends: Tensor
    moves: Tensor


def messages_before(weights: Tensor, transitions: Transitions, are_small: bool) -> Tensor:
    """Log-weights of all paths up to a token with a tag, its emission included, ``(batch, time, tags)``: α.

    What stands at padding means nothing.

    Args:
        weights: emissions ``(batch, time, tags)``, with one token at least.
        are_small: see :func:`_log_product`.
    """
    exp_moves = _exponentials(transitions.moves) if are_small else None
    return scripted(_before)(weights, transitions.starts, transitions.moves, exp_moves, NUMBERS_AT_ONCE)


def messages_after(weights: Tensor, mask: Tensor, transitions: Transitions, are_small: bool) -> Tensor:
    """Log-weights of all paths onwards from a token with a tag, its emission excluded, ``(batch, time, tags)``: β.

    The last token where ``mask`` ``(batch, time)`` is True meets the end; what stands after it means nothing.
    """
    # (tags, tags), entry (j, i) the step from i to j, as the sum is over where it leads; (batch, tags)
    moves, ends = transitions.moves.T, transitions.ends.expand(len(weights), -1)
    exp_moves = _exponentials(moves) if are_small else None
    return scripted(_after)(weights, mask, ends, moves, exp_moves, NUMBERS_AT_ONCE)


def _before(weights: Tensor, starts: Tensor, moves: Tensor, exp_moves: Tensor | None, at_once: int) -> Tensor:
    """The steps of :func:`messages_before`, in the part of Python that torch compiles."""
    # A tensor (batch, tags) for each token. Entry (b, j) of before[t] is the log-sum of all prefixes of sentence b,
    # tokens 0 to t, that end in tag j at token t: their start, emissions and transitions. At token 0 there is one.
    before = [starts + weights[:, 0]]
    for t in range(1, weights.shape[1]):
        # (batch, tags): a prefix that ends in j at token t is one that ends in some i at t - 1, and the step i to j.
        before.append(_log_product(before[-1], moves, exp_moves, at_once) + weights[:, t])
    # (batch, time, tags)
    return torch.stack(before, dim=1)


def _after(
    weights: Tensor, mask: Tensor, ends: Tensor, moves: Tensor, exp_moves: Tensor | None, at_once: int
) -> Tensor:
    """The steps of :func:`messages_after`, likewise; ``moves`` and ``exp_moves`` from where a step leads."""
    # From the last token to the first, a tensor (batch, tags) each. Entry (b, i) for token t is the log-sum of all
    # suffixes of sentence b after token t, if that has tag i: the step from i, all that follows, and the end.
    after = [ends]
    is_padded = not bool(mask.all())
    for t in range(weights.shape[1] - 1, 0, -1):
        # (batch, tags): a suffix after token t - 1 is the step to any j at t, the emission there, and a suffix after t.
        on = _log_product(weights[:, t] + after[-1], moves, exp_moves, at_once)
        if is_padded:  # where token t is padding, t - 1 is the last token or padding itself, and only the end follows
            on = torch.where(mask[:, t].unsqueeze(1), on, ends)
        after.append(on)
    # (batch, time, tags), turned round
    after.reverse()
    return torch.stack(after, dim=1)


def _log_product(values: Tensor, moves: Tensor, exp_moves: Tensor | None, at_once: int) -> Tensor:
    """``log Σ_a exp(values[:, a] + moves[a, b])``, ``(batch, b)``.

    With ``exp_moves`` it is a product of matrices, which needs far fewer exponentials, if weights are so small that
    none that counts underflows beside another.

    Args:
        values: ``(batch, tags)``.
        moves: ``(tags, tags)``.
        exp_moves: their exponentials (:func:`_exponentials`), or None.
        at_once: numbers that memory has room for, where every sentence needs (tags, tags).
    """
    if exp_moves is None:
        # (batch, a, b), summed over a
        parts = values.split(max(1, at_once // moves.numel()))
        return torch.cat([torch.logsumexp(part.unsqueeze(2) + moves, dim=1) for part in parts])
    # (batch, 1): taken out of the sum, so that its greatest term is exp(0)
    top = values.amax(dim=1, keepdim=True)
    # (batch, a) @ (a, b)
    return top + torch.log((torch.exp(values - top) @ exp_moves)[:, : moves.shape[1]])


def _exponentials(moves: Tensor) -> Tensor:
    """exp of ``moves`` (a, b) for products, with columns of zeros behind, ``(a, COLUMNS · n)``."""
    return functional.pad(moves.exp(), (0, -moves.shape[1] % COLUMNS)).contiguous()


class LogPartition(torch.autograd.Function):
    """log Z of each sentence ``(batch,)``, 0 for an empty one, with its gradient in everything that weighs.

    Shapes: weights ``(batch, time, tags)`` float64, what stands at padding means nothing; mask ``(batch, time)`` bool;
    starts and ends ``(tags,)``, moves ``(tags, tags)``.
    """

    @staticmethod
    def forward(
        ctx: Any, weights: Tensor, mask: Tensor, starts: Tensor, ends: Tensor, moves: Tensor, are_small: bool
    ) -> Tensor:
        weights = weights.masked_fill(~mask.unsqueeze(2), 0.0)
        # (batch, time, tags): entry (b, t, j) is the log-sum of all prefixes of sentence b that end in tag j at t.
        before = messages_before(weights, Transitions(starts, ends, moves), are_small)
        # (batch,): the place of each sentence's last token; 0 for an empty one, whose log Z is set to 0 below.
        last = (mask.sum(dim=1) - 1).clamp(min=0)
        # (batch,): every path is a prefix that ends in some tag at the last token, and the end there.
        log_z = torch.logsumexp(before[torch.arange(len(last), device=last.device), last] + ends, dim=1)
        ctx.save_for_backward(weights, mask, starts, ends, moves, before, last, log_z)
        ctx.are_small = are_small
        return log_z * mask.any(dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_log_z: Tensor) -> tuple[Tensor | None, ...]:
        weights, mask, starts, ends, moves, before, last, log_z = ctx.saved_tensors
        # (batch, time, tags): entry (b, t, i) is the log-sum of all suffixes of sentence b after token t with tag i.
        after = messages_after(weights, mask, Transitions(starts, ends, moves), ctx.are_small)
        # (batch, 1, 1) each; the scale is what a sentence's log Z counts for in the loss, 0 for an empty one.
        log_z, scale = log_z[:, None, None], (d_log_z * mask.any(dim=1))[:, None, None]
        # (batch, time, tags): entry (b, t, j) is P(tag j at token t), times the scale: the paths through that node, all
        # prefixes joined to all suffixes, as a share of all paths. It is 0 at padding, and the emissions' gradient.
        # Far behind a short sentence's end, beside a long one, the exponential would be infinite, and 0 times that NaN.
        expected = scale * torch.exp((before + after - log_z).masked_fill(~mask.unsqueeze(2), -torch.inf))
        # (tags,): a path has one end, at its last token (and one start, at token 0)
        d_ends = expected[torch.arange(len(last), device=last.device), last].sum(dim=0)
        # (batch, time, tags): entry (b, t, j) is the log-sum of what goes on from tag j at token t, the emission there
        # included, less log Z, so that with a prefix and a step in front it is the log of a probability.
        onwards = weights + after - log_z
        steps = _steps_by_products if ctx.are_small else _steps_by_sums
        # (tags, tags): the prefixes up to each token but the last, joined to what goes on from the token after it
        d_moves = steps(before[:, :-1], onwards[:, 1:], moves, scale * mask[:, 1:].unsqueeze(2))
        return expected, None, expected[:, 0].sum(dim=0), d_ends, d_moves, None


def _steps_by_products(before: Tensor, onwards: Tensor, moves: Tensor, scale: Tensor) -> Tensor:
    """How often each step from tag to tag is expected, ``(tags, tags)``; a sentence's count as ``scale`` says:

        Σ_b Σ_t scale[b] · exp(α[b, t, i] + move[i, j] + onwards[b, t, j])

    As move[i, j] is the same at every token, its exponential stands before the sum, which is a product of matrices.

    Args:
        before: messages of all tokens but the last ``(batch, time - 1, tags)``.
        onwards: those from the next token on, its emission included and log Z taken off, of the same shape.
        scale: ``(batch, time - 1, 1)``, 0 where there is no next token.
    """
    # (batch, time - 1, 1): moved from one factor to the other, so that neither overflows
    top = before.amax(dim=2, keepdim=True)
    # (batch, time - 1, tags) each: entry (b, t, i) of the left is exp α[t, i], entry (b, t, j) of the right the scaled
    # exp of what goes on from j at t + 1, and 0 where there is no next token
    left, right = torch.exp(before - top), torch.exp((onwards + top).masked_fill(scale == 0, -torch.inf)) * scale
    # (i, batch · (time - 1)) @ (batch · (time - 1), j)
    return moves.exp() * (left.flatten(0, 1).T @ right.flatten(0, 1))


def _steps_by_sums(before: Tensor, onwards: Tensor, moves: Tensor, scale: Tensor) -> Tensor:
    """The same, whatever the weights are."""
    # (tags, tags): entry (i, j) is how often the step from i to j is expected before token t, in all sentences
    total = torch.zeros_like(moves)
    for t in range(before.shape[1]):
        # (batch, i, j): the log of P(tag i at token t, tag j at t + 1)
        parts = (one[:, t].split(max(1, NUMBERS_AT_ONCE // moves.numel())) for one in (before, onwards, scale))
        for ahead, behind, share in zip(*parts, strict=True):
            joined = (ahead.unsqueeze(2) + moves + behind.unsqueeze(1)).masked_fill(share.unsqueeze(2) == 0, -torch.inf)
            total += (torch.exp(joined) * share.unsqueeze(2)).sum(dim=0)
    return total
