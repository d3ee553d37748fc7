"""``Elmo.embed``, measured by ``encoder.py`` (see ``README.md``)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from worker import peak_bytes, serve

from ner_elmo.bilm.options import LstmOptions
from ner_elmo.elmo.encoder import Elmo
from ner_elmo.errors import UsageError
from ner_elmo.text.batching import by_length
from ner_elmo.text.files import read_lines

GEMM_SIZE = 2048


class Ours:
    """Our encoder, and what the machine could do at most."""

    stream: Iterator[tuple[np.ndarray, int]]

    def start(self, folder: str, precision: str, threads: int, device: str = "cpu") -> dict[str, Any]:
        torch.set_num_threads(threads)
        try:
            self.elmo = Elmo.load(folder, precision=precision, device=device)
        except UsageError as error:
            return {"refused": str(error)}
        return {"program": f"ner-elmo {precision}, torch {torch.__version__}", "loaded_bytes": peak_bytes()}

    def open(self, text: str, n_sentences: int | None = None) -> dict[str, Any]:
        """Begin a stream over the first lines of ``text``; nothing is read yet. It must end with the last sentence that
        is taken: what is read ahead is computed, too."""
        lines = islice(read_lines(Path(text)), n_sentences)
        self.stream = self.elmo.embed(line.split() for line in lines)
        return {}

    def take(self, n_sentences: int) -> dict[str, Any]:
        """The next vectors of the stream."""
        start = time.perf_counter()
        tokens = sum(vectors.shape[1] for vectors in islice(self.stream, n_sentences))
        return {"seconds": time.perf_counter() - start, "tokens": tokens}

    def calls(self, sentences: list[list[str]]) -> dict[str, Any]:
        """A call of ``embed`` for each sentence."""
        start = time.perf_counter()
        for sentence in sentences:
            next(self.elmo.embed([sentence]))
        return {"seconds": time.perf_counter() - start, "tokens": sum(map(len, sentences))}

    def vectors(self, sentences: list[list[str]], file: str) -> dict[str, Any]:
        np.savez(file, **{str(i): v for i, v in enumerate(self.elmo.embed(sentences))})  # type: ignore[arg-type]
        return {}

    def lstm(self, sentences: list[list[str]]) -> dict[str, Any]:
        """The LSTMs alone, on random token vectors of sentences with these lengths, in the batches that embed makes."""
        seconds, positions = 0.0, 0
        for group in by_length(sentences, self.elmo.batch_tokens):
            lengths = sorted((len(sentences[i]) + 2 for i in group), reverse=True)
            vectors = torch.randn(sum(lengths), self.elmo.options.lstm.projection_dim, device=self.elmo.device)
            self.wait()
            start = time.perf_counter()
            with torch.inference_mode():
                self.elmo.model.layers(vectors, lengths)
            self.wait()
            seconds += time.perf_counter() - start
            positions += sum(lengths)
        return {"seconds": seconds, "flops": positions * lstm_flops(self.elmo.options.lstm)}

    def gemm(self) -> dict[str, Any]:
        """The rate of a large float32 matrix product, by the median of five."""
        a, b = torch.randn(2, GEMM_SIZE, GEMM_SIZE, device=self.elmo.device)
        seconds = []
        for _ in range(5):
            self.wait()
            start = time.perf_counter()
            torch.mm(a, b)
            self.wait()
            seconds.append(time.perf_counter() - start)
        return {"seconds": statistics.median(seconds), "flops": 2 * GEMM_SIZE**3}

    def memory(self) -> dict[str, Any]:
        on_gpu = self.elmo.device.type == "cuda"
        return {"peak_bytes": peak_bytes()} | ({"gpu_bytes": torch.cuda.max_memory_allocated()} if on_gpu else {})

    def wait(self) -> None:
        """Until a GPU has done what it was given."""
        if self.elmo.device.type == "cuda":
            torch.cuda.synchronize()


def lstm_flops(lstm: LstmOptions) -> int:
    """Floating-point operations of all LSTM matrix products for one position, both directions together."""
    cells, dim = lstm.dim, lstm.projection_dim
    return 2 * lstm.n_layers * 2 * (4 * cells * (dim + dim) + cells * dim)


if __name__ == "__main__":
    ours = Ours()
    names = ("start", "open", "take", "calls", "vectors", "lstm", "gemm", "memory")
    serve({name: getattr(ours, name) for name in names})
