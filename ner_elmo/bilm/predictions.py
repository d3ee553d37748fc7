"""What both directions of a biLM predict of a batch, beside what was to be predicted: for training and for perplexity.

A sentence of n tokens gives n + 1 predictions in each direction: its tokens and the closing boundary.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ner_elmo.bilm.data.batches import Batch
from ner_elmo.bilm.data.running_text import RunningBatch
from ner_elmo.bilm.model import BiLm
from ner_elmo.nn.cell import States
from ner_elmo.nn.packing import reversal, reverse


class Predictions(NamedTuple):
    """The predictions of a batch, without its padding; row for row an output and the word that it is to predict.

    Attributes:
        forward, backward: outputs of each direction, from which the softmax predicts ``(predictions, projection_dim)``.
        forward_targets, backward_targets: their word ids ``(predictions,)``; of the same number, in another order.
    """

    forward: Tensor
    backward: Tensor
    forward_targets: Tensor
    backward_targets: Tensor


def directions(model: BiLm, batch: Batch) -> Predictions:
    """The predictions of sentences that are each read from the zero state.

    The token encoder runs once for each distinct token of the batch.
    """
    vectors = functional.embedding(batch.tokens, model.token_encoder(batch.types))
    forward, backward = model.predictions(vectors, batch.lengths)
    time = batch.targets.shape[0]
    real = torch.arange(time - 1, device=batch.lengths.device).unsqueeze(1) < batch.lengths - 1  # (time - 1, batch)
    reversed_targets = reverse(batch.targets, reversal(batch.lengths, time))
    return Predictions(forward[real], backward[real], batch.targets[1:][real], reversed_targets[1:][real])


def running_directions(model: BiLm, batch: RunningBatch, states: States) -> tuple[Predictions, States]:
    """The predictions of text that goes on from ``states``, and the states after the batch.

    The token encoder runs once for each distinct token of both directions.
    """
    vectors = model.token_encoder(batch.types)
    read_forward, read_backward = (functional.embedding(part, vectors) for part in batch.inputs)
    forward, backward, states = model.running_predictions(read_forward, read_backward, states)
    forward_targets, backward_targets = batch.targets
    outputs = forward.flatten(0, 1), backward.flatten(0, 1)
    return Predictions(*outputs, forward_targets.flatten(), backward_targets.flatten()), states
