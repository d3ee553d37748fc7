"""Taggers, measured by ``tagging.py``: ours in one precision, or spaCy's, in a process of their own."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from worker import peak_bytes, serve

GEMM_SIZE = 1024


class Spacy:
    """A pipeline that was trained and saved by ``tagging.py``."""

    def start(self, folder: str, threads: int, precision: str = "") -> dict[str, Any]:
        import spacy

        self.nlp = spacy.load(folder)
        return {"program": f"spaCy {spacy.__version__}"}

    def tag(self, texts: list[str]) -> dict[str, Any]:
        start, cpu = time.perf_counter(), time.process_time()
        documents = list(self.nlp.pipe(texts))
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        n_entities = sum(len(document.ents) for document in documents)
        return {"seconds": seconds, "cpu": cpu, "tokens": sum(map(len, documents)), "entities": n_entities}

    def memory(self) -> dict[str, Any]:
        return {"peak_bytes": peak_bytes()}


class Ours:
    """:class:`ner_elmo.Tagger`, and what the machine could do at most."""

    def start(self, folder: str, precision: str, threads: int) -> dict[str, Any]:
        from ner_elmo import Tagger
        from ner_elmo.errors import UsageError
        from ner_elmo.runs.memory import collect_rarely, keep_memory

        keep_memory()  # as the program does, and below
        torch.set_num_threads(threads)
        try:
            self.tagger = Tagger.load(folder, precision=precision)
        except UsageError as error:
            return {"refused": str(error)}
        collect_rarely()
        return {"program": f"ner-elmo {precision}, torch {torch.__version__}"}

    def tag(self, texts: list[str]) -> dict[str, Any]:
        start, cpu = time.perf_counter(), time.process_time()
        documents = list(self.tagger.tag(texts))
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        tokens = sum(len(sentence) for document in documents for sentence in document.sentences)
        return {
            "seconds": seconds,
            "cpu": cpu,
            "tokens": tokens,
            "entities": sum(len(document.entities) for document in documents),
        }

    def calls(self, texts: list[str]) -> dict[str, Any]:
        """A call for each text: milliseconds of each."""
        times = []
        for text in texts:
            start = time.perf_counter()
            self.tagger.tag(text)
            times.append(1000 * (time.perf_counter() - start))
        return {"milliseconds": times}

    def stages(self, texts: list[str]) -> dict[str, Any]:
        """Processor seconds of each stage of a pass over the texts."""
        from ner_elmo.bilm.lstm import LstmStack
        from ner_elmo.nn.form_vectors import FormVectors
        from ner_elmo.tagger import decoding, tagger
        from ner_elmo.tagger.network.bilstm import BiLstm
        from ner_elmo.tagger.network.crf import ConstrainedCrf

        places: list[tuple[Any, str, str]] = [
            (tagger, "repaired_sentences", "sentences and tokens"),
            (FormVectors, "rows_of", "character CNNs"),
            (LstmStack, "forward", "LSTMs of the biLM"),
            (tagger, "document_contexts", "context of documents"),
            (decoding, "collate", "batches"),
            (BiLstm, "forward", "LSTM of the tagger"),
            (ConstrainedCrf, "decode", "CRF: the best tags"),
            (ConstrainedCrf, "span_log_probabilities", "CRF: probabilities"),
        ]
        spent: Counter[str] = Counter()
        before = [getattr(where, name) for where, name, _ in places]
        for (where, name, stage), function in zip(places, before, strict=True):
            setattr(where, name, _timed(function, stage, spent))
        start = time.process_time()
        list(self.tagger.tag(texts))
        whole = time.process_time() - start
        for (where, name, _), function in zip(places, before, strict=True):
            setattr(where, name, function)
        spent["everything else"] = whole - sum(spent.values())
        return {"stages": dict(spent), "cpu": whole}

    def memory(self) -> dict[str, Any]:
        return {"peak_bytes": peak_bytes()}

    def gemm(self) -> dict[str, Any]:
        """The rates of a large product in float32 and bfloat16, in flops a second."""
        rates = {}
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            a = torch.randn(GEMM_SIZE, GEMM_SIZE).to(dtype)
            out = a.new_empty(GEMM_SIZE, GEMM_SIZE)
            best = min(_seconds_of(lambda a=a, out=out: torch.mm(a, a, out=out)) for _ in range(20))
            rates[name] = 2 * GEMM_SIZE**3 / best
        return rates


def _seconds_of(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _timed(function: Callable[..., Any], stage: str, spent: Counter[str]) -> Callable[..., Any]:
    def timed(*arguments: Any, **keywords: Any) -> Any:
        start = time.process_time()
        try:
            return function(*arguments, **keywords)
        finally:
            spent[stage] += time.process_time() - start

    return timed


class Either:
    """Begins as one or the other."""

    side: Any

    def start(self, kind: str, **arguments: Any) -> dict[str, Any]:
        self.side = Spacy() if kind == "spacy" else Ours()
        return self.side.start(**arguments)  # type: ignore[no-any-return]

    def do(self, name: str, **arguments: Any) -> dict[str, Any]:
        return getattr(self.side, name)(**arguments)  # type: ignore[no-any-return]


if __name__ == "__main__":
    either = Either()
    serve({"start": either.start, "do": either.do})
