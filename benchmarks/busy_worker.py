"""A tagger and a biLM, measured by ``busy.py``, in a process with so many threads."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from worker import serve

BATCH_TOKENS = 1024  # small, so that two processes have enough to share out


class Chunks:
    """What :func:`~ner_elmo.tagger.tagging.workers.tag_in_processes` takes chunks from."""

    def __init__(self, chunks: Sequence[Sequence[str]]) -> None:
        self._left = list(chunks)

    def has_any(self) -> bool:
        return True

    def take(self) -> Sequence[str]:
        return self._left.pop(0) if self._left else []


class Ours:
    """As ``tag`` computes (precision auto), and as programs call (float32)."""

    def start(self, model: str, threads: int) -> dict[str, Any]:
        from ner_elmo import Elmo, Tagger

        torch.set_num_threads(threads)
        self.many = Tagger.load(model, precision="auto", batch_tokens=BATCH_TOKENS)
        self.tagger = Tagger.load(model)
        assert self.tagger.bilm_folder is not None
        self.elmo = Elmo.load(self.tagger.bilm_folder)
        return {"torch": torch.__version__}

    def tag(self, texts: list[str], processes: int) -> dict[str, Any]:
        from ner_elmo.tagger.tagging.workers import tag_in_processes

        start = time.perf_counter()
        if processes == 1:
            documents = list(self.many.tag_each(texts))
        else:
            source = Chunks(list(self.many.chunks(texts)))
            documents = list(tag_in_processes(self.many, source, processes, lambda: None))
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "tokens": sum(len(s) for d in documents for s in getattr(d, "sentences", ()))}

    def calls(self, kind: str, sentences: list[list[str]]) -> dict[str, Any]:
        """A call for each sentence: milliseconds of each."""
        times = []
        for sentence in sentences:
            start = time.perf_counter()
            if kind == "tag":
                list(self.tagger.tag_tokens([sentence]))
            else:
                list(self.elmo.embed([sentence]))
            times.append(1000 * (time.perf_counter() - start))
        return {"milliseconds": times}


if __name__ == "__main__":
    ours = Ours()
    serve({"start": ours.start, "tag": ours.tag, "calls": ours.calls})
