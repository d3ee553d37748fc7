"""Probabilities of single tags, which the program itself never asks for."""

from __future__ import annotations

import torch

from ner_elmo.tagger.network.crf import ConstrainedCrf


def token_marginals(crf: ConstrainedCrf, emissions: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """P(tag at token | sentence) ``(batch, time, tags)``, 0 at padding: the gradient of log Z in the emissions."""
    emissions = emissions.detach().double().requires_grad_()
    (gradient,) = torch.autograd.grad(crf.log_partition(emissions, mask).sum(), emissions)
    return gradient
