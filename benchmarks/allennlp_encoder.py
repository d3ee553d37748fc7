"""AllenNLP's ELMo, measured by ``encoder.py`` in an environment of its own (see ``README.md``).

AllenNLP 2.10.1 asks for packages of its time (torch below 1.13, spaCy, transformers, ...). Its ELMo needs only torch,
NumPy and h5py and runs on today's, so it is installed with ``--no-deps``; the other packages that it imports are
replaced here by empty modules where they are missing. AllenNLP's own code is used as it is.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import time
import types
from typing import Any

import numpy as np
import torch
from worker import peak_bytes, serve

NOT_NEEDED = {
    "base58", "boto3", "cached_path", "datasets", "dill", "fairscale", "filelock", "google", "huggingface_hub", "lmdb",
    "more_itertools", "nltk", "PIL", "requests", "sacremoses", "sentencepiece", "sklearn", "scipy", "spacy",
    "tensorboardX", "termcolor", "torchvision", "tqdm", "transformers", "wandb",
}  # fmt: skip


class _Anything(type):
    """A class all of whose attributes are such classes."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})


class _EmptyModule(types.ModuleType):
    __path__: list[str] = []  # noqa: RUF012 – what makes a module a package

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})


class _MissingPackages(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The last to be asked: finds empty modules for what is not installed and not needed."""

    def find_spec(self, name: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        missing = name.split(".")[0] in NOT_NEEDED
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if missing else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _EmptyModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


sys.meta_path.append(_MissingPackages())

from allennlp import __version__  # noqa: E402
from allennlp.modules import elmo, elmo_lstm  # noqa: E402
from allennlp.modules.elmo import batch_to_ids  # noqa: E402

for module in (elmo, elmo_lstm):
    module.cached_path = lambda path: path  # the files are local


class Reference:
    """All layers of AllenNLP's biLM: its ``Elmo`` without the mix."""

    def start(self, options: str, weights: str, threads: int) -> dict[str, Any]:
        torch.set_num_threads(threads)
        self.model = elmo._ElmoBiLm(options, weights).eval()
        return {"program": f"AllenNLP {__version__}, torch {torch.__version__}", "loaded_bytes": peak_bytes()}

    def run(self, sentences: list[list[str]], batch: int) -> dict[str, Any]:
        """Encode ``sentences`` as they come, ``batch`` at a time; converting tokens to characters is part of it."""
        start = time.perf_counter()
        converting = 0.0
        with torch.no_grad():
            for first in range(0, len(sentences), batch):
                before = time.perf_counter()
                char_ids = batch_to_ids(sentences[first : first + batch])
                converting += time.perf_counter() - before
                self.model(char_ids)
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "converting": converting, "tokens": sum(map(len, sentences))}

    def vectors(self, sentences: list[list[str]], file: str) -> dict[str, Any]:
        """Write all layers of one batch, read from the zero state, as arrays "0", "1", ... (layers, tokens, dim)."""
        self.model._elmo_lstm.reset_states()
        with torch.no_grad():
            layers = torch.stack(self.model(batch_to_ids(sentences))["activations"]).numpy()
        arrays = {str(i): layers[:, i, 1 : len(tokens) + 1] for i, tokens in enumerate(sentences)}
        np.savez(file, **arrays)  # type: ignore[arg-type]
        self.model._elmo_lstm.reset_states()
        return {}

    def memory(self) -> dict[str, Any]:
        return {"peak_bytes": peak_bytes()}


if __name__ == "__main__":
    reference = Reference()
    serve({name: getattr(reference, name) for name in ("start", "run", "vectors", "memory")})
