"""What learns in pretraining: the network and its output layer, by which optimizer, part by part.

It knows nothing of text, of steps that lie behind, and of other processes: those are the
:mod:`~ner_elmo.bilm.pretraining.trainer`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ner_elmo.bilm.files.directory import BilmFiles
from ner_elmo.bilm.model import BiLm
from ner_elmo.bilm.predictions import Predictions
from ner_elmo.bilm.pretraining.adaptation import load_parent, start_from_unigrams
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.optimizers import gradient_scale, make_optimizer
from ner_elmo.bilm.pretraining.schedule import Part, learns_by_parts, parts_of_network
from ner_elmo.bilm.softmax import Sample, Softmax, draw_sample, tie
from ner_elmo.bilm.token_encoder import WordTable
from ner_elmo.errors import UsageError
from ner_elmo.nn.precision import fast_products, product_type
from ner_elmo.text.vocabulary import Vocabulary

# Beyond this many words the exact softmax costs more than the network, and `auto` samples.
EXACT_SOFTMAX_WORDS = 10_000


@dataclass(frozen=True)
class Learner:
    """Network and output layer with all that changes them.

    Attributes:
        optimizer: has a group or two for each of ``parts``; without any, everything learns at one rate.
        parts: what has a learning rate of its own and may be frozen; none where all learns alike.
        generator: of the sampled words.
        sampled: whether the softmax is.
        softmax_is_fresh: the output layer is new and the network is not, so that it is to be trained first.
    """

    model: BiLm
    softmax: Softmax
    optimizer: torch.optim.Optimizer
    parts: list[Part]
    generator: torch.Generator
    sampled: bool
    softmax_is_fresh: bool

    def parameters(self) -> list[nn.Parameter]:
        return learned_parameters(self.model, self.softmax)

    def draw(self, n_samples: int, device: torch.device) -> Sample | None:
        """The sampled words of a step, where it samples: one draw for both directions and all processes."""
        if not self.sampled:
            return None
        return draw_sample(n_samples, len(self.softmax.bias), self.generator, device)

    def prepare(self, factors: Sequence[float]) -> None:
        """Drop the gradients, and freeze the parts whose learning rate is multiplied by 0."""
        self.model.train()
        self.softmax.drop_gradient()
        self.optimizer.zero_grad()
        for part, factor in zip(self.parts, factors, strict=True):
            for parameter in part.parameters:
                parameter.requires_grad_(factor > 0)  # without a gradient Adam leaves weights and moments as they are

    def add_gradients(
        self, config: PretrainConfig, predicted: Predictions, sample: Sample | None, n_predictions: int
    ) -> tuple[float, float]:
        """Add the gradients of some predictions of a batch that has ``n_predictions`` in each direction.

        Returns:
            What they add to the batch's mean losses, forward and backward.
        """
        # Both directions at once: the gradient of the whole output layer, nearly all of it zeros, is made once.
        y = torch.cat([predicted.forward, predicted.backward]).float()
        targets = torch.cat([predicted.forward_targets, predicted.backward_targets])
        weight = len(predicted.forward_targets) / n_predictions
        dtype = product_type(config.precision, y.device)
        with fast_products(config.precision):
            if sample is None:
                loss, losses = self.softmax.exact_loss(y, targets, dtype)
            else:
                loss, losses = self.softmax.sampled_loss(y, targets, sample, dtype)
            (loss * (weight * gradient_scale(config))).backward()
        forward, backward = losses.view(2, -1).mean(1).tolist()
        return forward * weight, backward * weight

    def clip(self, most: float) -> float:
        """Scale the gradients down to a norm of ``most``; the norm that they had."""
        parameters = self.parameters()
        norm = nn.utils.get_total_norm(p.grad for p in parameters if p.grad is not None)
        found = float(norm)
        if not found < most - 1e-5:  # below, torch would multiply all by 1; nan stays
            nn.utils.clip_grads_with_norm_(parameters, most, norm)
        return found

    def change(self, rate: float, factors: Sequence[float]) -> None:
        """Change the weights by their gradients, each part at ``rate`` times its factor."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * (factors[group["part"]] if factors else 1.0)
        self.optimizer.step()


def new_learner(
    config: PretrainConfig,
    vocabulary: Vocabulary,
    counts: Counter[str] | None,
    device: torch.device,
    parent: BilmFiles | None = None,
) -> Learner:
    """A network with fresh weights, or those of ``config.init`` (``parent`` if it is open already), and its
    optimizer."""
    torch.manual_seed(config.seed)
    counts = counts or Counter()
    if config.init is not None:
        model, softmax, is_fresh = load_parent(config, vocabulary, counts, parent)
    else:
        model, is_fresh = BiLm(config.bilm_options, len(vocabulary)), False
        model.reset_parameters()
        softmax = Softmax(len(vocabulary), model.options.lstm.projection_dim)
        softmax.reset_parameters()
        if counts:
            start_from_unigrams(softmax, vocabulary, counts)
    if model.options.tied:
        assert isinstance(model.token_encoder, WordTable)
        tie(softmax, model.token_encoder.embedding)
    model.to(device)
    softmax.to(device)
    parts = parts_of_network(model, softmax) if learns_by_parts(config, is_fresh) else []
    return Learner(
        model=model,
        softmax=softmax,
        optimizer=make_optimizer(config, [part.parameters for part in parts] or [learned_parameters(model, softmax)]),
        parts=parts,
        generator=torch.Generator().manual_seed(config.seed),
        sampled=is_sampled(config, len(vocabulary)),
        softmax_is_fresh=is_fresh,
    )


def learned_parameters(model: BiLm, softmax: Softmax) -> list[nn.Parameter]:
    """What the optimizer changes; weights that both share stand once."""
    return [p for p in nn.ModuleList([model, softmax]).parameters() if p.requires_grad]


def is_sampled(config: PretrainConfig, n_words: int) -> bool:
    """Whether training samples the softmax: as asked, or for ``auto`` by the vocabulary's size.

    Raises:
        UsageError: there are not more words than samples to be drawn.
    """
    if config.softmax == "auto":
        return n_words > max(EXACT_SOFTMAX_WORDS, config.n_samples)
    if config.softmax == "sampled" and n_words <= config.n_samples:
        raise UsageError(
            f"--samples {config.n_samples}: not below the {n_words:,} words of the vocabulary; "
            "try fewer, or --softmax exact"
        )
    return config.softmax == "sampled"


def describe_softmax(config: PretrainConfig, n_words: int) -> str:
    """Which softmax training uses, and why, for the log."""
    chosen = f"sampled ({config.n_samples})" if is_sampled(config, n_words) else "exact"
    if config.softmax == "auto":
        chosen += f" (auto: sampled above {max(EXACT_SOFTMAX_WORDS, config.n_samples):,} words)"
    return chosen
