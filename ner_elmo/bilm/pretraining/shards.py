"""--shard-files: the files of a text dealt to the processes of a run, so that none reads all of it.

Which process reads what follows from the files' sizes and the number of processes. What every process has to know of
the whole text (counts, what is held out, digests) each finds for its own files, and all put it together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ner_elmo.bilm.data.corpus import TextSource, describe
from ner_elmo.bilm.data.interleave import dealt
from ner_elmo.bilm.pretraining.distributed import Processes
from ner_elmo.errors import DataError, NerElmoError, UsageError
from ner_elmo.text.counting import TextCount
from ner_elmo.text.files import sha256_of_file
from ner_elmo.text.heldout import Split


def own_files(files: Sequence[Path], processes: Processes) -> list[list[int]]:
    """For each process the numbers of its files: about as many bytes as any other's.

    Raises:
        UsageError: there are fewer files than processes.
    """
    if len(files) < processes.size:
        raise UsageError(
            f"--shard-files: found {len(files)} file(s) for {processes.size} processes; expected at least one for "
            f"each (split -n l/{processes.size} TEXT parts one)"
        )
    return [sorted(lane) for lane in dealt([file.stat().st_size for file in files], processes.size)]


class Shards:
    """The files of each process.

    Raises:
        UsageError: there are fewer files than processes.
        NerElmoError: the processes do not see the same files.
    """

    def __init__(self, files: Sequence[Path], processes: Processes) -> None:
        self._files, self._processes = files, processes
        self._numbers = own_files(files, processes)
        if any(numbers != self._numbers for numbers in list(processes.gathered(self._numbers))):
            raise NerElmoError(
                "--shard-files: the processes see different files; the text must be on a disk they share"
            )

    def own(self, source: TextSource) -> TextSource:
        """This process's part of the text."""
        numbers = self._numbers[self._processes.rank]
        sizes = tuple(source.sizes[number] for number in numbers) if source.sizes else ()
        return replace(source, files=tuple(source.files[number] for number in numbers), sizes=sizes)

    def holding_out(self, source: TextSource) -> TextSource:
        """As :meth:`TextSource.holding_out`; the text is little where each process's part is."""
        own = self.own(source).holding_out().split
        found = self._processes.gathered((own.share, sorted(own.elsewhere)))
        share, elsewhere = min(found, key=lambda split: split[0])
        return replace(source, split=Split(share, frozenset(elsewhere)))

    def joined(self, own: TextCount, heldout_most: int) -> TextCount:
        """The count of the whole text, the same in all processes, from each one's count of its own part.

        Raises:
            DataError: a process has no sentence to train on.
        """
        total = TextCount(Counter(), [0] * len(self._files))
        counts = map(TextCount.from_dict, self._processes.gathered(own.to_dict()))
        for numbers, count in zip(self._numbers, counts, strict=True):
            if not sum(count.sentences):
                names = describe(self._files[number] for number in numbers)
                raise DataError(f"--shard-files: {names}: found no sentence to train on, which a process needs")
            total.add(count, numbers, heldout_most)
        return total

    def digests(self) -> list[str]:
        """SHA-256 of each file of the whole text."""
        mine = [(n, sha256_of_file(self._files[n])) for n in self._numbers[self._processes.rank]]
        found: dict[int, str] = {}
        for digests in self._processes.gathered(mine):
            found.update(digests)
        return [found[number] for number in range(len(self._files))]
