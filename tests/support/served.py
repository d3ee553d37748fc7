"""``ner-elmo serve`` in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.processes import STEP_LIMIT, environment


class Running:
    """A server's process and its address."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process, self.address = process, address

    @property
    def place(self) -> tuple[str, int]:
        host, port = self.address.removeprefix("http://").rstrip("/").split(":")
        return host, int(port)

    def tag(self, value: Any) -> Any:
        request = urllib.request.Request(
            f"{self.address}tag", json.dumps(value).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=STEP_LIMIT) as answer:
            return json.load(answer)


@contextmanager
def running(trained: Path, repository: Path, *arguments: str) -> Iterator[Running]:
    command = [
        sys.executable,
        "-m",
        "ner_elmo",
        "serve",
        "-m",
        str(trained),
        "--port",
        "0",
        "--threads",
        "1",
        *arguments,
    ]
    with subprocess.Popen(
        command, env=environment(PYTHONPATH=str(repository)), text=True, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            while line.startswith("model "):  # of one that ships: its terms
                line = process.stderr.readline()
            assert "serving" in line, line
            yield Running(process, line.split(" at ")[1].strip())
        finally:
            process.kill()
