"""What the commands share: flags with one meaning everywhere, and the set-up that goes with them.

Nothing here imports torch at the top, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ner_elmo.errors import UsageError
from ner_elmo.runs import launch

if TYPE_CHECKING:
    import torch

Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N", rich_help_panel="Machine")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", min=1, help="CPU threads [default: what this process may use]", rich_help_panel="Machine"
    ),
]
BatchTokens = Annotated[
    int | None, typer.Option("--batch-tokens", min=1, help="tokens computed together", rich_help_panel="Machine")
]
Precision = Annotated[
    str, typer.Option("--precision", help="how the biLM computes: fp32, or int8 (CPU; faster, not exact)")
]
Encoding = Annotated[str, typer.Option("--encoding", help="character encoding of the input files")]
Column = Annotated[int, typer.Option("--column", help="column of the tags; the token is 0, -1 is the last")]
Scheme = Annotated[str, typer.Option("--scheme", help="tag scheme of the files: auto, iob1, iob2, bioes, bmes, none")]
Comments = Annotated[
    str | None, typer.Option("--comments", help="what comment lines begin with [default: # is a token like any other]")
]
StripToken = Annotated[
    str | None,
    typer.Option(
        "--strip-token", help="take away from tokens: language (de:), weibo (digits), or a regular expression"
    ),
]
RawText = Annotated[
    str | None, typer.Option("--text", help="tokenizer for raw text: en-1, characters, whitespace [by its look]")
]
Force = Annotated[bool, typer.Option("--force", help="replace an output that exists")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object on standard output and nothing else")]
Seed = Annotated[int, typer.Option("--seed", help="random seed; on CPU it fixes everything")]
Debug = Annotated[bool, typer.Option("--debug", help="show a traceback when something fails")]


def set_up_torch(device: str = "auto", threads: int | None = None) -> torch.device:
    """Choose the device and the number of threads, before anything is computed.

    Of several processes that ``torchrun`` started, each has its part of the cores and a GPU of its own.

    Raises:
        UsageError: an unknown device, or one that this machine lacks.
    """
    import torch

    # What torchrun sets (one thread each) leaves cores idle where there are more cores than processes.
    torch.set_num_threads(threads or max(1, available_cores() // launch.processes_here()))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise UsageError(f"--device {device}: unknown; expected auto, cpu, cuda or cuda:N") from None
    if chosen.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {device}: not supported; expected auto, cpu, cuda or cuda:N")
    if chosen.type == "cuda" and chosen.index is None and launch.is_launched():
        chosen = torch.device("cuda", launch.rank_here())
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"--device {device}: this machine has {torch.cuda.device_count()} CUDA devices; try --device cpu"
        )
    return chosen


def available_cores() -> int:
    """The cores this process may use, by its affinity and its control group, not the host's number."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # no control group limits this process
    return cores


def refuse_existing(path: Path, force: bool) -> None:
    """Refuse an output that is already there.

    Raises:
        UsageError: ``path`` is a file, or a folder that is not empty, and ``force`` is not set.
    """
    occupied = path.exists() and (not path.is_dir() or any(path.iterdir()))
    if occupied and not force:
        raise UsageError(f"{path}: exists already; choose another name, or --force to replace it")


def print_json(value: Any) -> None:
    """One JSON object on standard output; of several processes the first prints it."""
    import json

    if launch.is_first():
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def note(message: str) -> None:
    """A line for the person at the terminal, on standard error; of several processes the first says it."""
    if launch.is_first():
        print(message, file=sys.stderr, flush=True)
