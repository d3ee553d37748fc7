"""What the commands share: flags with one meaning everywhere, and the set-up that goes with them.

Nothing here imports torch at the top, so that ``--help`` answers at once.
"""

from __future__ import annotations

import dataclasses
import functools
import gc
import importlib
import inspect
import os
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_origin

import typer

from ner_elmo.cli import show
from ner_elmo.errors import UsageError
from ner_elmo.nn import precisions
from ner_elmo.runs import launch
from ner_elmo.runs.devices import chosen_device
from ner_elmo.runs.directory import has_run, require_run_directory
from ner_elmo.runs.stop import unswallowed_interrupts
from ner_elmo.settings import Known, expected, from_text, settings_of
from ner_elmo.text.files import ERRORS_HELP, REPLACE, STRICT, decoding, shown_name
from ner_elmo.text.outputs import refuse_existing as refuse_existing
from ner_elmo.text.outputs import refuse_same as refuse_same

if TYPE_CHECKING:
    import torch

C = TypeVar("C")
MOST_THREADS = 1024  # of one process; what is above was never meant

Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N", rich_help_panel="Machine")]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="let the C compiler ($CC, cc) make training on a CPU faster",
        rich_help_panel="Machine",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        max=MOST_THREADS,
        help="CPU threads [default: what this process may use; 1 beside a GPU]",
        rich_help_panel="Machine",
    ),
]
BatchTokens = Annotated[
    int | None, typer.Option("--batch-tokens", min=1, help="tokens computed together", rich_help_panel="Machine")
]
Precision = Annotated[
    str, typer.Option("--precision", help=precisions.INFERENCE_HELP, metavar="|".join(precisions.INFERENCE))
]
Encoding = Annotated[str, typer.Option("--encoding", help="character encoding of the input files")]
Errors = Annotated[str, typer.Option("--errors", metavar="NAME", help=ERRORS_HELP)]
Text = Annotated[
    str | None,
    typer.Option(
        "--text",
        help="kind of raw text: a language's code (de, fr, ar, ja and others), en-1, characters, whitespace",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="replace an output that exists")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object on standard output and nothing else")]
RunDirectory = Annotated[Path | None, typer.Option("--output", "-o", help="run directory to write", show_default=False)]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", help="some or all settings, as JSON or TOML (a run's config.json is one); flags override it"
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="go on from the newest checkpoint in the output; needs no other flag")
]
Track = Annotated[
    str | None,
    typer.Option(
        "--track",
        metavar="NAME",
        help="show the figures in tensorboard, wandb or mlflow, too",
        rich_help_panel="Output",
    ),
]
MaxMinutes = Annotated[
    float | None,
    typer.Option(
        "--max-minutes",
        min=0.0,
        help="save and stop after so long (a tagger begins no epoch that would end later)",
        rich_help_panel="Training",
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="show a traceback when something fails")]


def decoding_of(encoding: str, errors: str) -> str:
    """How the bytes of the input files are read.

    Raises:
        UsageError: an unknown ``errors``.
    """
    if errors not in (STRICT, REPLACE):
        raise UsageError(f"--errors {shown_name(errors)}: unknown; expected {STRICT} or {REPLACE}")
    return decoding(encoding, errors)


def takes_settings(owner: type, leave_out: Sequence[str] = ()) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command an option for every setting of ``owner`` that has a flag.

    The command receives those that were given as ``given``, a dictionary by the settings' names, in their types. They
    are taken as text and checked where the settings are, so that they are refused in the same words as anywhere.
    """
    flagged = {name: known for name, known in settings_of(owner).items() if known.of.flag and name not in leave_out}

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_settings(**values: Any) -> Any:
            texts = {name: values.pop(name) for name in flagged}
            joined = {
                name: ",".join(value) if isinstance(value, list) and str in flagged[name].types else value
                for name, value in texts.items()
            }
            given = {
                name: from_text(flagged[name], value) if isinstance(value, str) else value
                for name, value in joined.items()
                if value is not None
            }
            return command(**values, given=given)

        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "given"]
        own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        parameters = [p for p in own if not _has_panel(p)]
        parameters += [_option(known) for known in flagged.values()]
        parameters += [p for p in own if _has_panel(p)]
        with_settings.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_settings.__annotations__ = {p.name: p.annotation for p in parameters}
        return with_settings

    return decorate


def _has_panel(parameter: inspect.Parameter) -> bool:
    return any(getattr(part, "rich_help_panel", None) for part in getattr(parameter.annotation, "__metadata__", ()))


def _option(known: Known) -> inspect.Parameter:
    """The parameter from which typer makes the setting's option; ``None``: it was not given."""
    is_switch = known.types[0] is bool
    names = [known.flag if "/" not in known.of.flag else known.of.flag]
    names += ["--lr"] if names == ["--learning-rate"] else []
    names += [known.of.short] if known.of.short else []
    option = typer.Option(
        *names,
        help=known.of.help + _values_words(known) + _default_words(known),
        metavar=None if is_switch else _metavar(known),
        show_default=False,
        rich_help_panel=known.of.panel or None,
    )
    kind: Any = bool if is_switch else list[str] if known.of.repeats else str
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(known.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _values_words(known: Known) -> str:
    """Choices that the help does not name, or the bounds of a number."""
    of = known.of
    if of.choices:
        return "" if all(choice in of.help for choice in of.choices) else f": {', '.join(of.choices)}"
    words = expected(known)
    bounds = words.removeprefix("a whole number").removeprefix("a number").strip()
    return f" ({bounds})" if bounds != words and bounds and not bounds.startswith("of at least 0") else ""


def _default_words(known: Known) -> str:
    if known.of.by_default:
        return f" [default: {known.of.by_default}]"
    if known.default is None or isinstance(known.default, bool | tuple) or known.default in ("", MISSING):
        return " [default: on]" if known.default is True else ""
    return f" [default: {known.default:,}]" if isinstance(known.default, int) else f" [default: {known.default}]"


def _metavar(known: Known) -> str:
    if known.of.metavar:
        return known.of.metavar
    kind = get_origin(known.types[0]) or known.types[0]
    return {int: "N", float: "X", tuple: "N,N,...", str: "TEXT"}.get(kind, "TEXT") if not known.of.choices else "NAME"


def set_up_torch(device: str = "auto", threads: int | None = None, starts_fast: bool = False) -> torch.device:
    """Choose the device and the number of threads, before anything is computed.

    Of several processes that ``torchrun`` started, each has its part of the cores and a GPU of its own.

    Args:
        starts_fast: leave out what only ``torch.compile`` and tensors without data need; for a command without them.

    Raises:
        UsageError: an unknown device, or one that this machine lacks.
    """
    _load_torch(_ONLY_WITHOUT_DATA if starts_fast else ())
    import torch

    chosen = chosen_device(device)
    torch.set_num_threads(threads or _usual_threads(chosen.type))
    return chosen


def compile_if_asked(asked: bool, device_type: str) -> str | None:
    """``--compile``: what is to be said where it does nothing."""
    if not asked:
        return None
    if device_type != "cpu":
        return "--compile: for training on a CPU alone; nothing is compiled"
    from ner_elmo.nn.compiled_passes import use_compiler

    why_not = use_compiler()
    return None if why_not is None else f"--compile: {why_not}; training goes on without"


def _usual_threads(device_type: str) -> int:
    """What torchrun sets (one thread each) leaves cores idle where there are more cores than processes. Beside a GPU
    there is too little for a processor to do to be divided: sixteen threads that other programs keep waiting made
    pretraining six times slower than one (docs/pretraining.md)."""
    return 1 if device_type == "cuda" else max(1, available_cores() // launch.processes_here())


# How often one of torch's threads (those of GNU's OpenMP) looks for work before it sleeps: some tenths of a
# millisecond. Its own 300,000 are several, during which it keeps others, and the thread it waits for, from a core.
_LOOKS_FOR_WORK = "10000"
# How many compiled operations torch's library oneDNN keeps, one for each shape of a batch. Tagging fills all of its own
# 1,024, since no two batches are alike: 130 MB that are hardly ever used again. Products in bfloat16 have few shapes
# (nn/bfloat16.py), but with 32 they were compiled again and again: a quarter of the time.
_KEPT_OPERATIONS = "128"


# Modules of torch that say what shapes its operations give on tensors without data. Nothing here asks for that, and
# they are a quarter of the time of its import. They can be imported later.
_ONLY_WITHOUT_DATA = ("torch._meta_registrations", "torch.distributed._meta_registrations")


def _load_torch(left_out: Sequence[str] = ()) -> None:
    """Import torch without some of its modules, and without Python's collector of garbage: it would go through all that
    is new again and again, and once more at the end, though nearly all of it stays. That is a fifth of the time
    (``benchmarks/start.py``)."""
    if "torch" in sys.modules:
        return
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _LOOKS_FOR_WORK)
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _KEPT_OPERATIONS)
    gc.disable()
    sys.modules.update({name: types.ModuleType(name) for name in left_out})
    try:
        with unswallowed_interrupts():
            importlib.import_module("torch")
    finally:
        gc.enable()
        for name in left_out:
            sys.modules.pop(name, None)
    gc.freeze()


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


def checked_run_directory(output: Path | None, resume: bool, force: bool) -> Path:
    """The directory that a run writes to.

    Raises:
        UsageError: none was named, it is a file, or something stands there that is neither to be resumed nor replaced.
    """
    if output is None:
        raise UsageError("nowhere to write to; expected -o DIRECTORY, or --quick to write nothing")
    require_run_directory(output, resume, force)
    return output


def with_precision_of(config: C, device: torch.device, asked: str | None) -> C:
    """Settings with a ``precision`` that ``device`` has: a run from another machine may have to go on in float32.

    Raises:
        UsageError: another one was asked for.
    """
    from ner_elmo.nn.precision import multiplies_bf16

    if config.precision != "bf16" or multiplies_bf16(device.type):  # type: ignore[attr-defined]
        return config
    if asked == "bf16":
        raise UsageError("--precision bf16: this machine computes no bfloat16; try --precision fp32")
    show.note("this run was in bfloat16, which this machine does not compute; it goes on in float32")
    return dataclasses.replace(config, precision="fp32")  # type: ignore[type-var]


def say_how_to_go_on(command: str, output: Path) -> None:
    """After a signal: what stands in the output, and what goes on from there."""
    if has_run(output):
        show.note(f"stopped; the run goes on with: ner-elmo {command} -o {output} --resume")
    else:
        show.note("stopped before training began; nothing was written")
