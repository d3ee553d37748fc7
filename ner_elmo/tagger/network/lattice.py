"""Sums over all tag sequences of a sentence: forward and backward messages, log Z, and its gradient.

A lattice has a node for each tag at each token. The weight of a path is the sum of its emissions, its transitions, a
start and an end; log Z is the log of the summed exponentials of all paths. Its gradient is how often a path is expected
to pass: a node (the marginals) or a transition. So it follows from the messages (Rabiner 1989, equations 19-25, 37) and
nothing need be recorded on the way, which takes half the time that a gradient through every step does.

Everything is float64: differences of log-weights of long sentences need more digits than float32 has.

Letters in shapes: ``batch`` sentences, ``time`` tokens, ``tags`` tags.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


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
    """Log-weights of all paths up to a token with a tag, its emission included, ``(batch, time, tags)``.

    Args:
        weights: emissions ``(batch, time, tags)``, with one token at least.
        are_small: see :func:`_log_product`.
    """
    exp_moves = transitions.moves.exp() if are_small else None
    before = [transitions.starts + weights[:, 0]]
    for t in range(1, weights.shape[1]):
        before.append(_log_product(before[-1], transitions.moves, exp_moves) + weights[:, t])
    return torch.stack(before, dim=1)


def messages_after(weights: Tensor, mask: Tensor, transitions: Transitions, are_small: bool) -> Tensor:
    """Log-weights of all paths onwards from a token with a tag, its emission excluded, ``(batch, time, tags)``.

    The last token where ``mask`` ``(batch, time)`` is True meets the end; what stands after it means nothing.
    """
    moves, ends = transitions.moves.T, transitions.ends.expand(len(weights), -1)
    exp_moves = moves.exp() if are_small else None
    after = [ends]
    for t in range(weights.shape[1] - 1, 0, -1):
        on = _log_product(weights[:, t] + after[-1], moves, exp_moves)
        after.append(torch.where(mask[:, t].unsqueeze(1), on, ends))
    return torch.stack(after[::-1], dim=1)


def _log_product(values: Tensor, moves: Tensor, exp_moves: Tensor | None) -> Tensor:
    """``log Σ_a exp(values[:, a] + moves[a, b])``, ``(batch, b)``.

    With ``exp_moves`` it is a product of matrices, which needs far fewer exponentials, if weights are so small that
    none that counts underflows beside another.
    """
    if exp_moves is None:
        return torch.logsumexp(values.unsqueeze(2) + moves, dim=1)
    top = values.amax(dim=1, keepdim=True)
    return top + torch.log(torch.exp(values - top) @ exp_moves)


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
        before = messages_before(weights, Transitions(starts, ends, moves), are_small)
        last = (mask.sum(dim=1) - 1).clamp(min=0)
        log_z = torch.logsumexp(before[torch.arange(len(last), device=last.device), last] + ends, dim=1)
        ctx.save_for_backward(weights, mask, starts, ends, moves, before, last, log_z)
        ctx.are_small = are_small
        return log_z * mask.any(dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_log_z: Tensor) -> tuple[Tensor | None, ...]:
        weights, mask, starts, ends, moves, before, last, log_z = ctx.saved_tensors
        after = messages_after(weights, mask, Transitions(starts, ends, moves), ctx.are_small)
        log_z, scale = log_z[:, None, None], (d_log_z * mask.any(dim=1))[:, None, None]
        expected = scale * torch.exp(before + after - log_z) * mask.unsqueeze(2)
        d_ends = expected[torch.arange(len(last), device=last.device), last].sum(dim=0)
        onwards = weights + after - log_z
        steps = _steps_by_products if ctx.are_small else _steps_by_sums
        d_moves = steps(before[:, :-1], onwards[:, 1:], moves, scale * mask[:, 1:].unsqueeze(2))
        return expected, None, expected[:, 0].sum(dim=0), d_ends, d_moves, None


def _steps_by_products(before: Tensor, onwards: Tensor, moves: Tensor, scale: Tensor) -> Tensor:
    """How often each step from tag to tag is expected, ``(tags, tags)``; a sentence's count as ``scale`` says.

    Args:
        before: messages of all tokens but the last ``(batch, time - 1, tags)``.
        onwards: those from the next token on, its emission included and log Z taken off, of the same shape.
        scale: ``(batch, time - 1, 1)``, 0 where there is no next token.
    """
    top = before.amax(dim=2, keepdim=True)
    left, right = torch.exp(before - top), torch.exp((onwards + top).masked_fill(scale == 0, -torch.inf)) * scale
    return moves.exp() * (left.flatten(0, 1).T @ right.flatten(0, 1))


def _steps_by_sums(before: Tensor, onwards: Tensor, moves: Tensor, scale: Tensor) -> Tensor:
    """The same, whatever the weights are."""
    total = torch.zeros_like(moves)
    for t in range(before.shape[1]):
        joined = before[:, t].unsqueeze(2) + moves + onwards[:, t].unsqueeze(1)
        total += (torch.exp(joined) * scale[:, t].unsqueeze(2)).sum(dim=0)
    return total
