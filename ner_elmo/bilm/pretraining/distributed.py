"""Several processes that train one network (``torchrun --nproc-per-node N -m ner_elmo pretrain ...``).

Every process holds the whole network and goes through the same batches; of each batch it computes its own share of
the sentences, and the gradients are added up. What the sum is has no rounding left to chance, so that a resumed run
equals an uninterrupted one with any number of processes. That is why this is not torch's DistributedDataParallel: it
regroups the gradients after its first step, so that the first step after a resumption is rounded differently with
three processes or more; it cannot go back when memory runs out in the backward pass; and it would send the whole
gradient of the output layer, of which a sampled step touches a few rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, distributed

from ner_elmo.errors import NerElmoError
from ner_elmo.runs.launch import is_launched

SPARSE_ROWS = 10_000  # a gradient with more rows is sent without those that are zero

Sentence = list[str]
T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """The processes of a run as one of them sees it; the default is a run of a single one."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each value summed over the processes, the same to the bit in all of them."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(total)
        return [float(value) for value in total]

    def any(self, value: bool) -> bool:
        """Whether ``value`` is true in any process."""
        return self.sum([float(value)])[0] > 0

    def highest(self, value: int | None) -> int | None:
        """The highest ``value`` of all processes, ``None`` being below all."""
        if self.size == 1:
            return value
        highest = torch.tensor(-1 if value is None else value)
        distributed.all_reduce(highest, distributed.ReduceOp.MAX)
        return None if highest < 0 else int(highest)

    def from_one(self, rank: int, value: T | None) -> T:
        """The ``value`` that one process has, which JSON can hold, in all of them."""
        if self.size == 1:
            return value  # type: ignore[return-value]
        packed = json.dumps(value).encode() if self.rank == rank else b""
        length = torch.tensor(len(packed))
        distributed.broadcast(length, rank)
        data = torch.frombuffer(bytearray(packed or int(length)), dtype=torch.uint8)
        distributed.broadcast(data, rank)
        return value if self.rank == rank else json.loads(data.numpy().tobytes())  # type: ignore[return-value]

    def gathered(self, value: T) -> Iterator[T]:
        """The values of all processes in their order, one after the other: no process holds all at once."""
        for rank in range(self.size):
            yield self.from_one(rank, value if rank == self.rank else None)

    def wait(self) -> None:
        """Return once all processes have come here."""
        self.sum([0.0])

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace every gradient by its sum over the processes, the same to the bit in all of them."""
        if self.size == 1:
            return
        small: list[Tensor] = []
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if len(parameter) > SPARSE_ROWS:
                _add_rows(parameter.grad)
            else:
                small.append(parameter.grad)
        if not small:
            return
        together = torch.cat([gradient.reshape(-1) for gradient in small])
        distributed.all_reduce(together)
        for gradient, total in zip(small, together.split([gradient.numel() for gradient in small]), strict=True):
            gradient.copy_(total.view_as(gradient))

    def share(self, sentences: list[Sentence]) -> list[Sentence]:
        """This process's share of a batch: about as many tokens as any other's, possibly none.

        The longest sentence first, each goes to the process with the fewest tokens so far.
        """
        if self.size == 1:
            return sentences
        loads = [0] * self.size
        mine = []
        for i in sorted(range(len(sentences)), key=lambda i: -len(sentences[i])):
            rank = loads.index(min(loads))
            loads[rank] += len(sentences[i]) + 1
            if rank == self.rank:
                mine.append(i)
        return [sentences[i] for i in sorted(mine)]


def _add_rows(gradient: Tensor) -> None:
    """Sum ``gradient`` (rows, ...) over the processes, sending only rows that are not zero in all of them."""
    touched = (gradient != 0).view(len(gradient), -1).any(1).to(torch.uint8)
    distributed.all_reduce(touched, distributed.ReduceOp.MAX)
    rows = touched.nonzero().squeeze(1)
    values = gradient[rows]
    distributed.all_reduce(values)
    gradient[rows] = values


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Meet the other processes that ``torchrun`` started; without it, a single process.

    Raises:
        NerElmoError: another process went away in the middle.
    """
    if not is_launched():
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        # Figures and flags go through the processor in any case.
        distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    except RuntimeError as error:
        if not _is_lost_connection(error):
            raise
        raise NerElmoError(
            "another process of this run ended; what was saved is sound: go on with the same command and --resume"
        ) from error
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _is_lost_connection(error: RuntimeError) -> bool:
    """Whether a collective operation failed because its other side is gone."""
    if isinstance(error, distributed.DistError):
        return True
    message = str(error).lower()
    return any(sign in message for sign in ("gloo/transport", "connection closed by peer", "connection reset by peer"))
