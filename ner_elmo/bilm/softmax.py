"""The output layer, shared by both directions: exact in chunks, or sampled for training (docs/elmo-format.md §9).

``logits = y Wᵀ + b``. Perplexity is always computed with the exact softmax; the sampled loss is a training device.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ner_elmo.nn.passes import exp_of_negative_, passes_on
from ner_elmo.nn.precision import add_product, product
from ner_elmo.nn.room import Room

CHUNK_ELEMENTS = 1 << 19  # logits held at a time: 2 MiB of float32, which stays in a processor's cache
CHUNK_ELEMENTS_GPU = 1 << 27
LEAST_ROWS = 128  # but a matrix product of fewer rows spends its time on reading the weights
# In mixed precision so many times as many, in chunks of a multiple of so many rows: for each number of rows a product's
# code is made anew.
MIXED_CHUNKS = 4
MIXED_ROWS = 64
TERMS = 32  # products of a multiple of so many terms have no remainder
HUGE = 1e30  # of a sum of exponentials, whose shift was too small
NOTHING_BESIDE = 1e4  # a logit beside which others do not count


LOSS_ROWS = 256  # predictions whose losses are computed together without a gradient
LOSS_ELEMENTS = 1 << 18  # and their logits at a time


class Softmax(nn.Module):
    """Weights ``(n_words, dim)`` and biases ``(n_words,)`` of the output layer."""

    def __init__(self, n_words: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_words, dim))
        self.bias = nn.Parameter(torch.empty(n_words))
        self._room = Room()

    def drop_gradient(self) -> None:
        """Let go of the table's gradient; the next one of :meth:`sampled_loss` stands where it stood."""
        if self.weight.grad is not None:
            self._room.give_back(self.weight.grad)
            self.weight.grad = None

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=self.weight.shape[1] ** -0.5)
        nn.init.zeros_(self.bias)

    def losses(self, y: Tensor, targets: Tensor) -> Tensor:
        """Exact negative log-likelihoods in nats ``(n,)`` of ``targets`` (n,) given ``y`` (n, dim); no gradient."""
        parts = []
        with torch.no_grad():
            for part, wanted in zip(y.split(LOSS_ROWS), targets.split(LOSS_ROWS), strict=True):
                logits = (part * self.weight[wanted]).sum(1) + self.bias[wanted]
                parts.append(log_partition(part, self.weight, self.bias) - logits)
        return torch.cat(parts) if parts else y.new_empty(0)

    def exact_loss(self, y: Tensor, targets: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Mean negative log-likelihood in nats, never holding all logits at once.

        Args:
            dtype: of the numbers that meet in the matrix products; everything else is float32.

        Returns:
            The mean ``()``, with gradients, and that of each prediction ``(n,)``, without.
        """
        return _ChunkedCrossEntropy.apply(y, self.weight, self.bias, targets, dtype)  # type: ignore[no-any-return]

    def sampled_loss(
        self, y: Tensor, targets: Tensor, sample: Sample, dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, Tensor]:
        """The same of the sampled softmax (Jean et al. 2015)."""
        expected = sample.log_expected, sample.log_expected_of(targets)
        return _SampledCrossEntropy.apply(  # type: ignore[no-any-return]
            y, self.weight, self.bias, targets, sample.ids, *expected, dtype, self._room
        )


def log_partition(y: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``log Σ_w exp(y · weight[w] + bias[w])`` for each row of ``y`` (n, dim), ``(n,)``, some words at a time."""
    top, total = y.new_full((len(y), 1), -math.inf), y.new_zeros(len(y), 1)
    elements = LOSS_ELEMENTS if y.device.type == "cpu" else CHUNK_ELEMENTS_GPU
    n_words = max(1, elements // max(1, len(y)))
    for some, biases in zip(weight.split(n_words), bias.split(n_words), strict=True):
        logits = torch.addmm(biases, y, some.t())
        higher = torch.maximum(top, logits.amax(1, keepdim=True))
        total = total * (top - higher).exp() + exp_of_negative_(logits.sub_(higher)).sum(1, keepdim=True)
        top = higher
    return (top + total.log()).squeeze(1)


def _logits(y: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``y Wᵀ + b`` in float32, whatever ``y`` and ``W`` are; a tensor of its own."""
    if y.dtype == bias.dtype:
        return torch.addmm(bias, y, weight.t())
    return torch.mm(y, weight.t()).to(bias.dtype).add_(bias)


def tie(softmax: Softmax, table: nn.Embedding) -> None:
    """Let the output layer's weights be the word table's, from now on one parameter."""
    softmax.weight = table.weight  # type: ignore[assignment] # torch gives a module's parameter the type Tensor


class Sample(NamedTuple):
    """One draw: distinct word ids ``(k,)``, the log of their expected counts, and the number of tries it took."""

    ids: Tensor
    log_expected: Tensor
    tries: int
    n_words: int

    def log_expected_of(self, ids: Tensor) -> Tensor:
        return log_expected_counts(ids, self.n_words, self.tries, self.ids.shape[0])


def rows_at_a_time(n_words: int, device: torch.device) -> int:
    """How many predictions over ``n_words`` words are computed together."""
    return max(LEAST_ROWS, (CHUNK_ELEMENTS if device.type == "cpu" else CHUNK_ELEMENTS_GPU) // n_words)


def log_uniform_probabilities(ids: Tensor, n_words: int) -> Tensor:
    """P(k) = (ln(k + 2) - ln(k + 1)) / ln(n_words + 1): Zipf's law for a vocabulary in order of frequency."""
    return torch.log1p(1.0 / (ids.double() + 1.0)) / math.log(n_words + 1)


def log_expected_counts(ids: Tensor, n_words: int, tries: int, n_samples: int) -> Tensor:
    """Log of how often each id is expected in a draw: 1 - (1 - P)^tries, or tries · P when no try was lost."""
    p = log_uniform_probabilities(ids, n_words)
    expected = p * tries if tries == n_samples else -torch.expm1(tries * torch.log1p(-p))
    return expected.log().float()


def draw_sample(n_samples: int, n_words: int, generator: torch.Generator, device: torch.device | str = "cpu") -> Sample:
    """Draw ``n_samples`` distinct word ids from the log-uniform distribution, by rejection of repeats.

    The number of tries is that of drawing one at a time until enough distinct ids are there.
    """
    if n_samples >= n_words:
        raise ValueError(f"n_samples must be below the vocabulary's {n_words} words, got {n_samples}")
    drawn = torch.empty(0, dtype=torch.long)
    while True:
        uniform = torch.rand(2 * n_samples, generator=generator, dtype=torch.float64)
        ids = (torch.exp(uniform * math.log(n_words + 1)) - 1.0).long().clamp_(0, n_words - 1)
        drawn = torch.cat([drawn, ids])
        distinct, inverse = drawn.unique(return_inverse=True)
        if len(distinct) >= n_samples:
            break
    first = torch.full((len(distinct),), len(drawn)).scatter_reduce(0, inverse, torch.arange(len(drawn)), "amin")
    kept = first.sort().values[:n_samples]
    tries = int(kept[-1]) + 1
    ids = drawn[kept]
    return Sample(ids.to(device), log_expected_counts(ids, n_words, tries, n_samples).to(device), tries, n_words)


class _Candidates:
    """The sampled words as rows of ``y`` (n, dim) meet them: exponentials of logits, some rows at a time, each time
    in the place of those before.

    Attributes:
        weight: ``(k, dim)``, in the numbers of the products.
        shift: what is taken from a row's logits before they are exponentiated, ``(n,)``; the row's own logit at first.
        d_weight, d_bias: the gradients so far, ``(k, dim)`` and ``(k,)``.
    """

    def __init__(self, y: Tensor, weight: Tensor, bias: Tensor, own: Tensor) -> None:
        self.weight, self.shift = weight, own.clone()
        # y 1, and what each number meets: weight and bias, a word a column
        self.rows = torch.cat([y, y.new_ones(len(y), 1)], dim=1)
        self.words = torch.cat([weight, bias.unsqueeze(1)], dim=1).t().contiguous()
        self.logits = y.new_empty(0)
        self.passes = passes_on(y.device)
        self.d_weight, self.d_bias = torch.zeros_like(weight), torch.zeros_like(bias)

    def exponentials(self, part: slice, hits: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """exp(logit − shift) of some rows ``(rows, k)`` in the numbers of the products, 0 where row ``hits`` meets one
        of ``columns``, and the sum of each row ``(rows,)``. The shift of these rows is set to the greatest logit."""
        rows = self.rows[part]
        if len(self.logits) != len(rows):
            self.logits = rows.new_empty(len(rows), len(self.weight))
        logits = torch.mm(rows, self.words, out=self.logits)
        logits[hits, columns] = -math.inf
        return logits, self.passes.shifted_exponentials(logits, self.shift[part])

    def add_gradients(self, p: Tensor, part: slice, share: Tensor) -> None:
        """Add what some rows have brought: exponentials ``p`` (rows, k), to be multiplied by ``share`` (rows, 1)."""
        self.d_weight.addmm_(p.t(), self.rows[part, :-1] * share)
        self.d_bias.addmv_(p.t(), share.squeeze(1))


class _MixedCandidates:
    """The same in bfloat16, with few passes over the logits: the product makes them with their biases and shifted, and
    they are exponentiated where they stand.

    The shift stays the row's own logit unless a sum is beyond all bounds: so logits close to the own one, which matter
    most, are the most exact. Biases and shifts are two numbers each, which together have 16 binary digits.
    """

    def __init__(self, y: Tensor, weight: Tensor, bias: Tensor, own: Tensor) -> None:
        dim, terms = y.shape[1], -(-(y.shape[1] + 4) // TERMS) * TERMS
        self.rows, self.words = (
            y.new_zeros(len(of), terms, dtype=torch.bfloat16) for of in (y, weight)
        )  # y 1 1 −shift, and what each number meets: weight bias 1 1
        self.rows[:, :dim] = y
        self.rows[:, dim : dim + 2] = 1.0
        self.words[:, :dim] = weight
        self.words[:, dim : dim + 2] = _in_two(bias)
        self.words[:, dim + 2 : dim + 4] = 1.0
        self.shifts = self.rows[:, dim + 2 : dim + 4]
        self.shifts.copy_(_in_two(-own))
        self.y, self.weight, self.shift = y, self.words[:, :dim], own.clone()
        self.logits = y.new_empty(0, dtype=torch.bfloat16)
        self.passes = passes_on(y.device)
        # The last column is the gradient of the biases: rows of y are extended by a 1.
        self.gradients = y.new_zeros(len(weight), dim + 1)
        self.d_weight, self.d_bias = self.gradients[:, :-1], self.gradients[:, -1]

    def exponentials(self, part: slice, hits: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        p = self._logits(part, hits, columns)
        total = self.passes.exponentials(p)
        if not bool((total < HUGE).all()):
            self.shifts[part] = 0.0
            self.shift[part] = torch.maximum(self._logits(part, hits, columns).amax(1).float(), self.shift[part])
            self.shifts[part] = _in_two(-self.shift[part])
            p = self._logits(part, hits, columns)
            total = self.passes.exponentials(p)
        return p, total

    def add_gradients(self, p: Tensor, part: slice, share: Tensor) -> None:
        self.gradients.add_(torch.mm(p.t(), torch.cat([self.y[part] * share, share], dim=1).to(p.dtype)))

    def _logits(self, part: slice, hits: Tensor, columns: Tensor) -> Tensor:
        rows = self.rows[part]
        if len(self.logits) != len(rows):
            self.logits = rows.new_empty(len(rows), len(self.words))
        torch.mm(rows, self.words.t(), out=self.logits)
        self.logits[hits, columns] = -math.inf
        return self.logits


def _in_two(x: Tensor) -> Tensor:
    """Two numbers of bfloat16 ``(n, 2)`` whose sum is ``x`` (n,) to 16 binary digits."""
    high = x.bfloat16()
    return torch.stack([high, (x - high).bfloat16()], dim=1)


class _SampledCrossEntropy(torch.autograd.Function):
    """Mean over rows of -log softmax over the target and the sample; candidates equal to the target do not count.

    The gradients are computed beside the loss, chunk by chunk, so that the (rows × samples) logits are made once.
    """

    @staticmethod
    def forward(
        ctx: Any,
        y: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        ids: Tensor,
        log_q: Tensor,
        log_q_true: Tensor,
        dtype: torch.dtype,
        room: Room,
    ) -> tuple[Tensor, Tensor]:
        n, is_mixed = y.shape[0], dtype != y.dtype
        true_weight = weight[targets]
        column_of = torch.full((weight.shape[0],), -1, dtype=torch.long, device=ids.device)
        column_of[ids] = torch.arange(len(ids), device=ids.device)
        columns = column_of[targets]  # where a row's own target stands among the candidates, or -1
        true_logits = (y * true_weight).sum(1) + bias[targets] - log_q_true
        rows = rows_at_a_time(len(ids), y.device)
        if is_mixed:  # rows are filled up, so that products have few different shapes, by some that add nothing
            rows *= MIXED_CHUNKS
            added = -n % min(rows, MIXED_ROWS)
            y_filled = functional.pad(y, (0, 0, 0, added))
            true_logits = functional.pad(true_logits, (0, added), value=NOTHING_BESIDE)
            columns = functional.pad(columns, (0, added), value=-1)
        else:
            y_filled = y
        candidates = (_MixedCandidates if is_mixed else _Candidates)(
            y_filled, weight[ids], bias[ids] - log_q, true_logits
        )
        grad_true = torch.empty_like(true_logits)  # d loss / d true logit
        grad_y = torch.empty_like(y_filled)
        losses = torch.empty_like(true_logits)
        for start in range(0, len(y_filled), rows):
            part = slice(start, min(start + rows, len(y_filled)))
            hits = (columns[part] >= 0).nonzero().squeeze(1)
            p, total = candidates.exponentials(part, hits, columns[part][hits])
            # Few passes over the exponentials: they are left without their normaliser, which goes to what they meet.
            beyond_own = candidates.shift[part] - true_logits[part]
            normaliser = total + (-beyond_own).exp()
            share = normaliser.reciprocal().unsqueeze(1)
            losses[part] = normaliser.log() + beyond_own
            grad_true[part] = -total * share.squeeze(1)
            product(p, candidates.weight, grad_y[part]).mul_(share)
            candidates.add_gradients(p, part, share)
        grad_y, grad_true, losses = grad_y[:n], grad_true[:n], losses[:n]
        grad_y.addcmul_(grad_true.unsqueeze(1), true_weight)
        ctx.n_words, ctx.room = weight.shape[0], room
        ctx.save_for_backward(y, targets, ids, grad_y, grad_true, candidates.d_weight, candidates.d_bias)
        ctx.mark_non_differentiable(losses)
        return losses.sum() / n, losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _grad_losses: Tensor) -> tuple[Tensor | None, ...]:
        y, targets, ids, grad_y, grad_true, d_weight, d_bias = ctx.saved_tensors
        # Scaled before they are spread over the table, which is larger by far than all that stands in it.
        scale = grad / y.shape[0]
        own = grad_true * scale
        grad_weight = ctx.room.take(y, ctx.n_words, y.shape[1], y.dtype).zero_()
        grad_bias = y.new_zeros(ctx.n_words)
        grad_weight.index_add_(0, ids, d_weight * scale).index_add_(0, targets, own.unsqueeze(1) * y)
        grad_bias.index_add_(0, ids, d_bias * scale).index_add_(0, targets, own)
        return grad_y * scale, grad_weight, grad_bias, None, None, None, None, None, None


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Mean over rows of the exact cross-entropy; gradients beside the loss, as above."""

    @staticmethod
    def forward(
        ctx: Any, y: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        n, y_cast, weight_cast = y.shape[0], y.to(dtype), weight.to(dtype)
        grad_y, grad_weight, grad_bias = torch.empty_like(y), torch.zeros_like(weight), torch.zeros_like(bias)
        losses = y.new_empty(n)
        rows = rows_at_a_time(weight.shape[0], y.device)
        for start in range(0, n, rows):
            part = slice(start, start + rows)
            logits = _logits(y_cast[part], weight_cast, bias)
            wanted = targets[part].unsqueeze(1)
            own = logits.gather(1, wanted)
            greatest = logits.amax(1, keepdim=True)
            p = exp_of_negative_(logits.sub_(greatest))
            total = p.sum(1, keepdim=True)
            losses[part] = (total.log() + greatest - own).squeeze(1)
            p.div_(total)
            p.scatter_add_(1, wanted, torch.full_like(own, -1.0))
            grad_bias += p.sum(0)
            p = p.to(dtype)
            product(p, weight_cast, grad_y[part])
            add_product(grad_weight, p.t(), y_cast[part])
        ctx.gradients = [gradient.div_(n) for gradient in (grad_y, grad_weight, grad_bias)]
        ctx.mark_non_differentiable(losses)
        return losses.sum() / n, losses

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _grad_losses: Tensor) -> tuple[Tensor | None, ...]:
        grad_y, grad_weight, grad_bias = (gradient.mul_(grad) for gradient in ctx.gradients)
        ctx.gradients = None
        return grad_y, grad_weight, grad_bias, None, None
