"""The tagger's network: frozen biLM layers ⊕ words ⊕ characters → BiLSTM (⊕ frozen biLM layers) → CRF.

Letters in shapes: ``batch`` sentences, ``time`` tokens, ``types`` distinct tokens of a batch, ``tags`` tags.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ner_elmo.elmo.scalar_mix import ScalarMix
from ner_elmo.nn.cell import LANES, Types
from ner_elmo.nn.dropout import Dropout
from ner_elmo.nn.form_vectors import FormVectors
from ner_elmo.nn.ordered_sums import product_in_order
from ner_elmo.tagger.network.bilstm import BiLstm
from ner_elmo.tagger.network.crf import ConstrainedCrf
from ner_elmo.tagger.network.inputs import PAD_INDEX, UNKNOWN_INDEX, TaggerBatch, ids_of_forms
from ner_elmo.tagger.network.options import INPUT, LEARNED_MIX, OUTPUT, TaggerOptions
from ner_elmo.tagger.network.spelling import SpellingCnn

SPELLINGS_BYTES = 16 << 20
CONTEXT_SCALE = 0.5  # about the scale that a mix learns for the layers


class TaggerModel(nn.Module):
    """Emissions for each token and the CRF above them. It can be built without any weights at hand.

    A new network holds whatever torch put there: :meth:`reset_parameters` draws the values that training begins with.
    """

    def __init__(self, options: TaggerOptions) -> None:
        super().__init__()
        self.options = options
        self.mix = None if options.elmo_at == OUTPUT else _new_mix(options)
        self.output_mix = None if options.elmo_at == INPUT else _new_mix(options)
        self.words = WordVectors(options) if options.n_words else None
        self.characters = None
        if options.char_dim:
            self.characters = SpellingCnn(options.char_dim, options.char_filters, options.char_width)
        self.dropout = Dropout(options.dropout)
        # What comes of the biLM is dropped by either of two probabilities; one draw decides for both.
        self.frozen_dropout = Dropout(1 - (1 - options.dropout) * (1 - options.elmo_dropout))
        self.lstm = BiLstm(options.input_dim, options.hidden_dim, options.lstm_layers, options.dropout)
        self.output = nn.Linear(options.output_dim, len(options.tags))
        self.crf = ConstrainedCrf(options.tags, options.scheme)
        # For inference: weights and biases of the output, and what spellings give
        self._prepared_output: tuple[Tensor, Tensor] | None = None
        self._spellings: FormVectors | None = None

    def reset_parameters(self) -> None:
        """Draw the BiLSTM's initial values. It takes a while, so a network that is read from a file goes without."""
        for path, parameter in self.lstm.named_parameters():
            name = path.rpartition(".")[2]
            if name.startswith("weight_hh"):
                for gate in parameter.data.chunk(4):
                    nn.init.orthogonal_(gate)
            elif name.startswith("weight_ih"):
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)
                if name.startswith("bias_ih"):
                    parameter.data.chunk(4)[1].fill_(1.0)  # torch's gate order is input, forget, cell, output

    def prepare_for_inference(self, precision: str = "fp32") -> None:
        """Arrange the weights as inference on a CPU reads them, once and for all
        (:meth:`~ner_elmo.tagger.network.bilstm.BiLstm.prepare_for_inference`). A sentence then has the same emissions
        to the bit alone and in any batch."""
        self.lstm.prepare_for_inference(precision, self._context_columns(), self.options.form_dim)
        added = -self.output.out_features % LANES
        with torch.no_grad():
            matrix = functional.pad(self.output.weight.T, (0, added)).contiguous()
            self._prepared_output = matrix, functional.pad(self.output.bias, (0, added))
        if self.characters is not None:
            compute = partial(_spelled, self.characters)
            device = self.output.weight.device
            self._spellings = FormVectors(compute, self.options.char_filters, SPELLINGS_BYTES, device)

    @contextmanager
    def prepared(self, precision: str) -> Iterator[None]:
        """Within the block weights that go on being learned are arranged as :meth:`prepare_for_inference` does."""
        self.prepare_for_inference(precision)
        try:
            yield
        finally:
            self.lstm.forget_prepared()
            self._prepared_output = self._spellings = None

    def _context_columns(self) -> slice | None:
        """Where the context stands in the BiLSTM's input."""
        if not self.options.reads_documents:
            return None
        start = 0 if self.options.elmo_at == OUTPUT else self.options.elmo_dim
        return slice(start, start + self.options.elmo_dim)

    def forward(self, batch: TaggerBatch, in_bfloat16: bool = False) -> Tensor:
        """Emissions ``(batch, time, tags)``; what stands at padding means nothing.

        ``in_bfloat16`` is for training: see :class:`~ner_elmo.tagger.network.bilstm.BiLstm`.
        """
        if not batch.mask.any():
            return self.output.weight.new_zeros(*batch.mask.shape, len(self.options.tags))
        outputs = self.dropout(self._recurrent(batch, in_bfloat16))
        if self.options.elmo_dim and self.options.elmo_at != INPUT:
            outputs = torch.cat([outputs, self._mixed(batch, self.output_mix)], dim=2)
        if self._prepared_output is None or torch.is_grad_enabled():
            return self.output(outputs)  # type: ignore[no-any-return]
        matrix, bias = self._prepared_output
        emissions = product_in_order(bias, outputs.flatten(0, 1), matrix)[:, : self.output.out_features]
        return emissions.view(*outputs.shape[:2], -1)

    def _recurrent(self, batch: TaggerBatch, in_bfloat16: bool) -> Tensor:
        """What the BiLSTM makes of the inputs, ``(batch, time, 2 · units)``."""
        types = None if self._prepared_output is None or torch.is_grad_enabled() else self._types(batch)
        columns = self._context_columns()
        if columns is None or not self.lstm.spares(self.options.input_dim - (columns.stop - columns.start)):
            whole = _joined(self._inputs(batch, types), batch.mask)
            return self.lstm(whole, batch.mask, in_bfloat16, columns, types)  # type: ignore[no-any-return]

        def run(rows: Tensor, with_context: bool) -> Tensor:
            some = batch if len(rows) == len(batch.mask) else batch.rows(rows)
            whole = _joined(self._inputs(some, types, with_context), some.mask)
            return self.lstm(whole, some.mask, types=types and Types(types.vectors, some.type_ids))  # type: ignore[no-any-return]

        # A sentence that has no context is always computed without, so that it does not feel those that have one.
        assert batch.context is not None
        has_any = batch.context.flatten(1).any(dim=1)
        sides = (has_any.nonzero()[:, 0], True), ((~has_any).nonzero()[:, 0], False)
        outputs = [(rows, run(rows, with_context)) for rows, with_context in sides if len(rows)]
        if len(outputs) == 1:
            return outputs[0][1]
        together = outputs[0][1].new_empty(*batch.mask.shape, outputs[0][1].shape[2])
        for rows, of_side in outputs:
            together.index_copy_(0, rows, of_side)
        return together

    def _mixed(self, batch: TaggerBatch, mix: ScalarMix | None) -> Tensor:
        """Mixed biLM layers, ``(batch, time, elmo_dim)``, after dropout."""
        assert batch.layers is not None, "this tagger reads biLM layers"
        mixed = batch.layers[0].float() if mix is None else mix(batch.layers, batch.mask)
        return self.frozen_dropout(mixed)  # type: ignore[no-any-return]

    def _types(self, batch: TaggerBatch) -> Types | None:
        """What a token's form alone gives, its word vector and spelling, of each distinct form of the batch."""
        of_forms: list[Tensor] = []
        if self.words is not None:
            word_ids = batch.word_ids.new_zeros(len(batch.forms))
            word_ids[batch.type_ids[batch.mask]] = batch.word_ids[batch.mask]
            of_forms.append(self.words(word_ids))
        if self.characters is not None:
            assert self._spellings is not None
            table, (rows,) = self._spellings.rows_of([batch.forms])
            of_forms.append(table.index_select(0, torch.tensor(rows, device=table.device)))
        return Types(torch.cat(of_forms, dim=1), batch.type_ids) if of_forms else None

    def _inputs(self, batch: TaggerBatch, types: Types | None, with_context: bool = True) -> list[Tensor]:
        """What the BiLSTM reads, each ``(batch, time, numbers)``, after dropout; without what types have."""
        parts: list[Tensor] = []
        if self.options.elmo_dim and self.options.elmo_at != OUTPUT:
            parts.append(self._mixed(batch, self.mix))
        if self.options.reads_documents and with_context:
            assert batch.context is not None, "this tagger reads the context of documents"
            parts.append(self.frozen_dropout(CONTEXT_SCALE * batch.context.float()))
        if types is not None:
            return parts
        if self.words is not None:
            parts.append(self.dropout(self.words(batch.word_ids)))
        if self.characters is not None:
            parts.append(self.dropout(_spelled(self.characters, batch.forms)[batch.type_ids]))
        return parts

    def loss(self, batch: TaggerBatch, in_bfloat16: bool = False) -> Tensor:
        """Mean negative log-likelihood of a sentence of the batch, ``()``."""
        assert batch.tag_ids is not None
        return self.crf.neg_log_likelihood(self(batch, in_bfloat16), batch.tag_ids, batch.mask).mean()

    def taught_loss(
        self, batch: TaggerBatch, teacher: ConstrainedCrf, teacher_weight: float, in_bfloat16: bool = False
    ) -> Tensor:
        """Mean cost of a sentence of the batch towards its teacher's distribution of tag sequences and, where it has
        tags, these (:meth:`~ner_elmo.tagger.network.crf.ConstrainedCrf.cross_entropy`), ``()``.

        Args:
            teacher: the CRF above the emissions ``batch.taught``.
            teacher_weight: what the teacher counts for in a sentence with tags; in one without it is alone.
        """
        assert batch.taught is not None
        emissions: Tensor = self(batch, in_bfloat16)
        size, tag_ids = len(batch.mask), batch.tag_ids
        if not batch.mask.shape[1]:
            return emissions.sum()
        has_tags = batch.mask.new_full((size,), tag_ids is not None) if batch.is_labelled is None else batch.is_labelled
        gold = has_tags * ((1 - teacher_weight) / size)
        taught = 1 / size - gold
        expected = teacher.expected(batch.taught, batch.mask, taught)
        tag_ids = torch.zeros_like(batch.word_ids) if tag_ids is None else tag_ids
        return self.crf.cross_entropy(emissions, batch.mask, tag_ids, gold, expected, taught)

    def mix_penalty(self) -> Tensor:
        """Σw² over the mixes' weights (γ is free), ``()``."""
        mixes = [mix for mix in (self.mix, self.output_mix) if mix is not None]
        return torch.stack([(mix.weights**2).sum() for mix in mixes]).sum()

    def mix_weights(self) -> dict[str, Any] | None:
        """The learned share of each layer and the scale γ, as plain numbers; None where nothing is mixed.

        Of two mixes the output's stands under ``output``.
        """
        if self.mix is None:
            return None if self.output_mix is None else self._shares(self.output_mix)
        second = {} if self.output_mix is None else {"output": self._shares(self.output_mix)}
        return self._shares(self.mix) | second

    def _shares(self, mix: ScalarMix) -> dict[str, Any]:
        shares = mix.normalised_weights().detach().float().tolist()
        return {
            "layers": dict(zip(map(str, self.options.elmo_layers), shares, strict=True)),
            "gamma": 1.0 if mix.gamma is None else float(mix.gamma.detach()),
        }


def _spelled(characters: SpellingCnn, forms: list[str]) -> Tensor:
    """What the spelling of each form gives, ``(forms, filters)``."""
    return characters(ids_of_forms(forms).to(characters.embedding.weight.device))  # type: ignore[no-any-return]


def _joined(parts: list[Tensor], mask: Tensor) -> Tensor:
    """The parts of an input, one behind the other, ``(batch, time, numbers)``."""
    return torch.cat(parts, dim=2) if parts else torch.empty(*mask.shape, 0)


def _new_mix(options: TaggerOptions) -> ScalarMix | None:
    """A learned mix; None where there is nothing to mix."""
    if not options.elmo_dim or options.mix != LEARNED_MIX:
        return None
    return ScalarMix(options.n_mixed_layers, "sentence" if options.mix_layer_norm else False, options.gamma)


class WordVectors(nn.Module):
    """A table of word vectors of which the first rows are learned and the rest, if any, stay as they were read."""

    def __init__(self, options: TaggerOptions) -> None:
        super().__init__()
        n_fixed = options.n_words - options.n_tuned_words
        self.tuned = nn.Embedding(options.n_tuned_words, options.word_dim, padding_idx=PAD_INDEX)
        self.fixed: Tensor
        # Not in the state: checkpoints would carry the whole vectors file.
        self.register_buffer("fixed", torch.zeros(n_fixed, options.word_dim), persistent=False)

    def set_table(self, table: Tensor) -> None:
        """Take over ``table`` ``(n_words, word_dim)``."""
        n_tuned = len(self.tuned.weight)
        with torch.no_grad():
            self.tuned.weight.copy_(table[:n_tuned])
            self.fixed.copy_(table[n_tuned:])

    def table(self) -> Tensor:
        """All vectors, ``(n_words, word_dim)``."""
        return torch.cat([self.tuned.weight.detach(), self.fixed])

    def forward(self, word_ids: Tensor) -> Tensor:
        """``(…)`` → ``(…, word_dim)``."""
        n_tuned = len(self.tuned.weight)
        if not len(self.fixed):
            return self.tuned(word_ids)  # type: ignore[no-any-return]
        is_fixed = word_ids >= n_tuned
        tuned = self.tuned(word_ids.masked_fill(is_fixed, UNKNOWN_INDEX))
        fixed = self.fixed[(word_ids - n_tuned).clamp(min=0)]
        return torch.where(is_fixed.unsqueeze(-1), fixed, tuned)
