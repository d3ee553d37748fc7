"""Programs that are measured in turns: each is a process of its own that answers a line of JSON with a line of JSON.

Both sides of :mod:`benchmarks/encoder.py` use it, in different environments: the standard library only.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Handler = Callable[..., dict[str, Any]]


def peak_bytes() -> int:
    """The most memory that this process has held so far, in bytes (Linux counts in KiB)."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def serve(handlers: Mapping[str, Handler]) -> None:
    """Answer requests ``{"do": NAME, ...}`` from standard input until it ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    sys.stdout = sys.stderr  # whatever a library prints is no answer
    for line in sys.stdin:
        request = json.loads(line)
        answer = handlers[request.pop("do")](**request)
        print(json.dumps(answer), file=answers, flush=True)


class Worker:
    """A process that :func:`serve` answers in; used with ``with``."""

    def __init__(self, python: str, script: Path, threads: int, **arguments: Any) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self.arguments = {"threads": threads, **arguments}
        self._process = subprocess.Popen(
            [python, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __enter__(self) -> Worker:
        self.facts = self.ask("start", **self.arguments)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            RuntimeError: the process ended; its own message is on standard error.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"do": do, **request}), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self._process.args}: ended without an answer to {do!r}")  # type: ignore[str-bytes-safe]
        return json.loads(answer)  # type: ignore[no-any-return]
