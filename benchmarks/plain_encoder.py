"""The encoder as one would first write it, measured by ``encoder.py`` (see ``README.md``): batches as sentences come,
padded; every token through the character CNN; two products and two tanh a step, one direction after the other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from worker import peak_bytes, serve

from ner_elmo.bilm.files.directory import find_bilm, load_bilm
from ner_elmo.bilm.lstm import LstmLayer, LstmStack
from ner_elmo.text.characters import BEGIN_SENTENCE, END_SENTENCE, char_ids


class Plain:
    """The network of our encoder, run without any of what makes it fast."""

    def start(self, folder: str, threads: int) -> dict[str, Any]:
        torch.set_num_threads(threads)
        self.model = load_bilm(find_bilm(folder)).eval()
        return {"program": f"plain, torch {torch.__version__}", "loaded_bytes": peak_bytes()}

    def run(self, sentences: list[list[str]], batch: int) -> dict[str, Any]:
        """All layers of the sentences, ``batch`` at a time."""
        start = time.perf_counter()
        for first in range(0, len(sentences), batch):
            self.encode(sentences[first : first + batch])
        return {"seconds": time.perf_counter() - start, "tokens": sum(map(len, sentences))}

    def vectors(self, sentences: list[list[str]], file: str) -> dict[str, Any]:
        """Write all layers of one batch as arrays "0", "1", ... (layers, tokens, dim)."""
        layers = self.encode(sentences).numpy()
        arrays = {str(row): layers[:, row, 1 : len(tokens) + 1] for row, tokens in enumerate(sentences)}
        np.savez(file, **arrays)  # type: ignore[arg-type]
        return {}

    def encode(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        """Layers ``(layers, batch, time, dim)``; boundaries and padding among them."""
        lines = [[BEGIN_SENTENCE, *tokens, END_SENTENCE] for tokens in sentences]
        with torch.inference_mode():
            ids = [torch.from_numpy(char_ids(line, self.model.options.max_characters)) for line in lines]
            vectors = self.model.token_encoder(torch.cat(ids)).split([len(line) for line in lines])
            ahead = nn.utils.rnn.pad_sequence(vectors)
            back = nn.utils.rnn.pad_sequence([vector.flip(0) for vector in vectors])
            forward = run_stack(self.model.forward_lstm, ahead)
            backward = run_stack(self.model.backward_lstm, back)
            for layer in backward:
                for row, line in enumerate(lines):
                    layer[: len(line), row] = layer[: len(line), row].flip(0)
            tokens = torch.cat([ahead, ahead], dim=2)
            layers = [tokens, *(torch.cat(pair, dim=2) for pair in zip(forward, backward, strict=True))]
            return torch.stack(layers).transpose(1, 2)

    def memory(self) -> dict[str, Any]:
        return {"peak_bytes": peak_bytes()}


def run_stack(stack: LstmStack, x: Tensor) -> list[Tensor]:
    """The outputs ``(time, batch, dim)`` of each layer."""
    outputs = []
    for number, layer in enumerate(stack.layers):
        assert isinstance(layer, LstmLayer)
        y = run_layer(layer, x)
        x = y + x if number and stack.use_skip_connections else y
        outputs.append(x)
    return outputs


def run_layer(layer: LstmLayer, x: Tensor) -> Tensor:
    """One layer (``ner_elmo/bilm/lstm.py`` has the formulas), ``x`` (time, batch, dim)."""
    lstm, clips = layer.lstm, layer.clips
    bias = lstm.bias_ih_l0 + lstm.bias_hh_l0
    h, c = x.new_zeros(x.shape[1], layer.width), x.new_zeros(x.shape[1], layer.dim)
    outputs = []
    for step in x:
        i, f, j, o = (step @ lstm.weight_ih_l0.t() + h @ lstm.weight_hh_l0.t() + bias).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(j)
        if clips.cell is not None:
            c = c.clamp(-clips.cell, clips.cell)
        h = torch.sigmoid(o) * torch.tanh(c)
        if lstm.proj_size:
            h = h @ lstm.weight_hr_l0.t()
            if clips.projection is not None:
                h = h.clamp(-clips.projection, clips.projection)
        outputs.append(h)
    return torch.stack(outputs)


if __name__ == "__main__":
    plain = Plain()
    serve({name: getattr(plain, name) for name in ("start", "run", "vectors", "memory")})
