"""Runs of the command line in processes of their own, alone or several together."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

STEP_LIMIT = 240.0  # seconds until a process that is waited for is taken to hang


def environment(**changes: str) -> dict[str, str]:
    """This process's environment, with one thread and every warning shown."""
    # torch 2.6 makes a folder at its import (distributed/nn/jit/instantiator.py), which Python clears away.
    warnings = "default,ignore:Implicitly cleaning up <TemporaryDirectory:ResourceWarning"
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": warnings} | changes


def run_alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    """``python ARGUMENTS``, ended, with what it wrote."""
    return subprocess.run(
        [sys.executable, *arguments], env=environment(), capture_output=True, text=True, timeout=STEP_LIMIT
    )


def start_processes(n: int, *arguments: str) -> list[subprocess.Popen[str]]:
    """What torchrun does, less torchrun: its own start takes as long as the test."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        subprocess.Popen(
            [sys.executable, *arguments],
            env=environment(
                **{"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(n), "LOCAL_WORLD_SIZE": str(n)},
                **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(n)
    ]


def finish(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Exit status, standard output and standard error of each."""
    outputs = [process.communicate(timeout=STEP_LIMIT) for process in processes]
    return [(process.returncode, *output) for process, output in zip(processes, outputs, strict=True)]
