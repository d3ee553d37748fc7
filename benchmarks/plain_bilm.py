"""A biLM as one would write it in plain PyTorch: the baseline of ``pretraining.py``.

The same network, loss and batches as ``ner_elmo.bilm``, from torch's own modules: a convolution for each width, an
``nn.LSTM`` with projection for each layer and direction, a sampled softmax that corrects, masks and concatenates its
logits, Adam over every weight. Like the package it encodes each distinct token of a batch once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ner_elmo.bilm.data.batches import Batch
from ner_elmo.bilm.options import BilmOptions
from ner_elmo.bilm.softmax import Sample


class PlainBilm(nn.Module):
    """Character CNN, highway layers, two stacks of LSTMs, and the output layer."""

    def __init__(self, options: BilmOptions, n_words: int) -> None:
        super().__init__()
        cnn, lstm = options.char_cnn, options.lstm
        assert cnn is not None
        dim = lstm.projection_dim
        self.characters = nn.Embedding(262, cnn.embedding_dim)
        self.convolutions = nn.ModuleList(nn.Conv1d(cnn.embedding_dim, count, width) for width, count in cnn.filters)
        self.highways = nn.ModuleList(nn.Linear(cnn.n_filters, 2 * cnn.n_filters) for _ in range(cnn.n_highway))
        self.projection = nn.Linear(cnn.n_filters, dim)
        self.stacks = nn.ModuleList(
            nn.ModuleList(nn.LSTM(dim, lstm.dim, proj_size=dim) for _ in range(lstm.n_layers)) for _ in range(2)
        )
        self.dropout = nn.Dropout(options.dropout)
        self.weight = nn.Parameter(torch.randn(n_words, dim) * dim**-0.5)
        self.bias = nn.Parameter(torch.zeros(n_words))

    def encode(self, char_ids: Tensor) -> Tensor:
        """``(types, 50)`` to ``(types, dim)``."""
        x = self.characters(char_ids).transpose(1, 2)
        x = torch.relu(torch.cat([convolution(x).max(dim=2).values for convolution in self.convolutions], dim=1))
        for highway in self.highways:
            gate, transform = highway(x).chunk(2, dim=1)
            gate = torch.sigmoid(gate)
            x = gate * torch.relu(transform) + (1 - gate) * x
        return self.projection(x)  # type: ignore[no-any-return]

    def read(self, stack: nn.Module, x: Tensor) -> Tensor:
        """``(time, batch, dim)`` to the top layer's outputs of the same shape."""
        for number, lstm in enumerate(stack):  # type: ignore[arg-type]
            x = self.dropout(x)
            y, _ = lstm(x)
            x = y + x if number else y
        return self.dropout(x)

    def sampled_loss(self, y: Tensor, targets: Tensor, sample: Sample) -> Tensor:
        """``y`` (n, dim), ``targets`` (n,)."""
        sampled = y @ self.weight[sample.ids].t() + self.bias[sample.ids] - sample.log_expected
        sampled = sampled.masked_fill(targets.unsqueeze(1) == sample.ids, -1e9)
        true = (y * self.weight[targets]).sum(1) + self.bias[targets] - sample.log_expected_of(targets)
        logits = torch.cat([true.unsqueeze(1), sampled], dim=1)
        return functional.cross_entropy(logits, torch.zeros(len(targets), dtype=torch.long))

    def loss(self, batch: Batch, sample: Sample) -> Tensor:
        """The mean of both directions."""
        vectors = functional.embedding(batch.tokens, self.encode(batch.types))
        time = torch.arange(len(batch.tokens)).unsqueeze(1)
        real = time[:-1] < batch.lengths - 1
        reversal = torch.where(time < batch.lengths, batch.lengths - 1 - time, time)
        columns = torch.arange(batch.tokens.shape[1])
        losses = []
        for stack, order in zip(self.stacks, (time.expand_as(reversal), reversal), strict=True):
            y = self.read(stack, vectors[order, columns][:-1])
            losses.append(self.sampled_loss(y[real], batch.targets[order, columns][1:][real], sample))
        return (losses[0] + losses[1]) / 2
