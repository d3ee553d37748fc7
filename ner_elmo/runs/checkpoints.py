"""Checkpoints of both stages: whole or not at all, with check sums, the newest few kept, plain values and tensors only.

:func:`torch.save` writes a zip archive, whose check sums :func:`torch.load` does not look at; here they are.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ner_elmo.errors import CannotWriteError, ModelError, NerElmoError
from ner_elmo.runs.events import Report, note, warning
from ner_elmo.text.files import replace_file

KEPT = 2

Values = dict[str, Any]


class Checkpoints(NamedTuple):
    """The files ``NAME-NUMBER.pt`` of a folder.

    Attributes:
        name: what is counted: ``step`` or ``epoch``.
        digits: of the number, so that names sort.
    """

    folder: Path
    name: str
    digits: int

    def path(self, number: int) -> Path:
        """Where the checkpoint of ``number`` stands."""
        return self.folder / f"{self.name}-{number:0{self.digits}d}.pt"

    def files(self) -> list[Path]:
        """Those that are there, newest first."""
        return sorted(self.folder.glob(f"{self.name}-*.pt"), reverse=True)

    def save(self, number: int, values: Mapping[str, Any]) -> Path:
        """Write a checkpoint and drop all but the newest few.

        Raises:
            NerElmoError: it cannot be written; those before are still there.
        """
        path = self.path(number)
        write_tensors(values, path)
        for old in self.files()[KEPT:]:
            old.unlink()
        return path

    def resume(self, restore: Callable[[Values, Path], None], report: Report) -> bool:
        """Hand the newest sound checkpoint to ``restore``; a damaged one is named and the one before is tried.

        ``restore`` must look at everything before it changes anything. Whatever it raises that is no
        :class:`NerElmoError` counts as damage.

        Returns:
            Whether there was one.
        """
        files = self.files()
        for path in files:
            try:
                restore(read_tensors(path), path)
            except NerElmoError:
                raise
            except Exception as error:  # whatever a torn or foreign file makes of torch.load
                message = f"{path}: not a sound checkpoint ({type(error).__name__}); trying the one before"
                warning(report, message)
                continue
            return True
        if files:
            warning(report, f"{self.folder}: found no sound checkpoint; starting anew")
        else:
            note(report, f"{self.folder}: no checkpoint to resume from; starting anew")
        return False


def write_tensors(values: Mapping[str, Any], path: Path) -> None:
    """Write a dictionary of tensors and plain values, whole or not at all.

    Raises:
        NerElmoError: it cannot be written.
    """
    try:
        with replace_file(path) as temporary:
            torch.save(values, temporary)
    except CannotWriteError as error:
        raise NerElmoError(f"{error}; is the disk full?") from error
    except RuntimeError as error:  # torch's writer makes RuntimeErrors of a full disk, in words of its own
        raise NerElmoError(f"{path}: cannot be written; is the disk full?") from error


def read_tensors(path: Path) -> Values:
    """Read back what :func:`write_tensors` wrote, holding it to its check sums.

    Raises:
        Exception: of many kinds, for a file that is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        if (name := archive.testzip()) is not None:
            raise ValueError(f"{path}: {name} differs from its check sum")
    values = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(values, dict):
        raise ValueError(f"{path}: found {type(values).__name__}, expected a dictionary")
    return values


def require_fit(path: Path, module: nn.Module, state: Mapping[str, Any], what: str) -> None:
    """Hold the weights of a checkpoint to the shapes of ``module``.

    Raises:
        ModelError: one is missing, too many, or of another shape; the message names it.
    """
    expected = module.state_dict()
    for name in sorted({*expected, *state}):
        if name not in expected or name not in state:
            where = "found no" if name not in state else "found an unknown"
            raise ModelError(f"{path}: {what}: {where} {name}; it does not fit this run, begin anew with --force")
        _require_shape(path, f"{what}: {name}", state[name], expected[name])


def require_optimizer_fit(path: Path, optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Hold the moments of a checkpoint to the parameters: torch copies them unseen, and an operation then writes beyond
    the end of one that is too small.

    Raises:
        ModelError: groups or shapes are others.
    """
    groups, saved = optimizer.param_groups, state["param_groups"]
    if [len(group["params"]) for group in groups] != [len(group["params"]) for group in saved]:
        raise ModelError(f"{path}: optimizer: found other groups; it does not fit this run, begin anew with --force")
    parameters = [parameter for group in groups for parameter in group["params"]]
    numbers = [number for group in saved for number in group["params"]]
    for number, parameter in zip(numbers, parameters, strict=True):
        for name, value in state["state"].get(number, {}).items():
            if name != "step":
                _require_shape(path, f"optimizer: {name} of parameter {number}", value, parameter)


def _require_shape(path: Path, what: str, value: Any, expected: Tensor) -> None:
    if not isinstance(value, Tensor) or value.shape != expected.shape:
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ModelError(
            f"{path}: {what}: found {shape}, expected shape {tuple(expected.shape)}; it does not fit this run, begin "
            "anew with --force"
        )
