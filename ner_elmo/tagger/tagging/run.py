"""``tag``: files in, one output or one for each of them out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from ner_elmo.errors import NerElmoError, UsageError
from ner_elmo.runs.events import Report, note
from ner_elmo.tagger.tagging.inputs import InputFile
from ner_elmo.tagger.tagging.manifest import MANIFEST, Manifest
from ner_elmo.tagger.tagging.settings import TagSettings
from ner_elmo.tagger.tagging.watch import Watch
from ner_elmo.tagger.tagging.workers import Source, tag_in_processes
from ner_elmo.text.documents import Document, Failure, Origin
from ner_elmo.text.files import damage_named, output_stream, sha256_of_file, shown_name
from ner_elmo.text.formats.brat import ANNOTATIONS, configure, files_of
from ner_elmo.text.formats.output import Output, unit_of
from ner_elmo.text.formats.problems import strictly
from ner_elmo.text.formats.tagged.summary import Summary
from ner_elmo.text.formats.targets import ENDING_OF, OF_TEXTS, TARGETS
from ner_elmo.text.formats.writers import ENDINGS, FORMATS, HAVE_FAILURES, HAVE_KEYS, refuse_clash, run_writer
from ner_elmo.text.pacing import ReadAhead
from ner_elmo.text.records import FILE, JSONL, Item, kind_of, read_records

if TYPE_CHECKING:
    from ner_elmo.tagger.tagger import Tagger
    from ner_elmo.text.formats.jsonl import Unit

Result = Document | Failure


class TagChunks(Protocol):
    """What tags the chunks of a source elsewhere, and gives what was found in their order."""

    def __call__(
        self,
        tagger: Tagger,
        source: Source,
        before_waiting: Callable[[], object],
        *,
        tokenized: bool = False,
        scores: bool = True,
    ) -> Iterator[Result]: ...


_LONGEST_NAME = 255  # bytes of a file's name, on nearly every system


@dataclass
class Outcome:
    """What came of a run: how many units could not be tagged, and how many files could not be read."""

    failed_units: int = 0
    failed_files: int = 0


class _Unreadable(Failure):
    """A file, from here on."""


class _EndOfFile(Failure):
    """Stands after the last text of each file: two files may have one name (``shown_name``), and one may be empty."""


class _FileError(Exception):
    """What is being written must not be kept."""


@dataclass
class Job:
    """Some files to be tagged by one tagger.

    Attributes:
        name: of the model, for formats that say who found the entities.
        model_digest: what the outputs of another model would have otherwise.
        elsewhere: what tags in place of this process and its workers: an engine.
        n_processes: so many workers; 1 for none.
    """

    tagger: Tagger
    settings: TagSettings
    name: str = ""
    model_digest: str = ""
    report: Report = field(default=lambda event: None)
    elsewhere: TagChunks | None = None
    n_processes: int = 1
    _said: set[str] = field(default_factory=set)  # of what a format has no place for: the same for every output

    def to_one(self, inputs: Sequence[InputFile], target: str | Path | None) -> Outcome:
        """Tag all inputs into one output: a file, a folder (BRAT), or standard output for None.

        Raises:
            UsageError, DataError: an input cannot be read.
        """
        refuse_clashes(inputs, self.settings)
        watch = Watch(self.report, inputs, self.settings, self.tagger)
        items = chain.from_iterable(self._items(input) for input in inputs)
        live = any(input.is_live for input in inputs)
        output = _Flush(sys.stdout)  # which formats of other tools write to
        results = self._results(watch.looked_at(items), live, output.flush)
        summary = Summary()
        with self._outputs(summary) as write:
            write(watch.counted(results), target, output)
        if self.settings.format == "brat" and target is not None and files_of(Path(target)) != (Path(target),):
            configure(Path(target).parent, self.tagger.labels)  # a folder has its own
        watch.end()
        self._tell(summary, is_beside_results=str(target or "-") == "-")
        return Outcome(watch.n_failed)

    def to_each(self, inputs: Sequence[InputFile], folder: Path, resume: bool = False, force: bool = False) -> Outcome:
        """Tag each input into an output of its own below ``folder``; one that cannot be read does not end the others.

        Args:
            resume: leave out what is there already, of the same input, by the same model and settings.
            force: replace what is there.

        Raises:
            UsageError: an output exists; no two inputs may have one output.
        """
        if resume and self.settings.pseudonyms:
            raise UsageError(
                "--resume with --pseudonyms: the stand-ins of the earlier run are not known; expected --force, to "
                "tag all again"
            )
        manifest = Manifest(folder, self.settings.digest(self.model_digest), self._files_of)
        self._check_targets(inputs, folder)
        inputs = self._to_do(inputs, folder, manifest, resume, force)
        refuse_clashes(inputs, self.settings, until_damage=True)
        watch = Watch(self.report, inputs, self.settings, self.tagger)
        digests: dict[str, str] = {}
        items = chain.from_iterable(self._items_or_unreadable(input, digests) for input in inputs)
        groups = _Groups(watch.counted(self._results(watch.looked_at(items), False, lambda: None)))
        summary = Summary()
        with manifest, self._outputs(summary) as write:
            for input in inputs:
                target = self.target_of(input)
                manifest.begin(target)
                try:
                    write(groups.next_file(), folder / target, _Flush())
                    manifest.finish(target, digests.pop(input.path))
                except _FileError as error:
                    watch.file_failed(str(error))
                groups.leave_rest()
        if self.settings.format == "brat" and inputs:
            configure(folder, self.tagger.labels)
        watch.end()
        self._tell(summary, is_beside_results=False)
        return Outcome(watch.n_failed, watch.n_failed_files)

    def target_of(self, input: InputFile) -> str:
        """Where in the output folder what was found in ``input`` goes."""
        format = self.settings.format
        if format == "brat" and self.settings.unit == FILE:  # a pair of files, as people lay them out for BRAT
            return str(Path(input.place).with_suffix(ANNOTATIONS))
        return input.place + (ENDINGS.get(format) or ENDING_OF[format])

    def _files_of(self, output: Path) -> tuple[Path, ...]:
        """The files that an output consists of: BRAT may have pairs."""
        return files_of(output) if self.settings.format == "brat" else (output,)

    def _check_targets(self, inputs: Sequence[InputFile], folder: Path) -> None:
        """Make sure that no output is an input, nor that of two inputs, and that all can have their names.

        Raises:
            UsageError: one is, or cannot.
        """
        sources = {os.path.realpath(input.path) for input in inputs}
        taken: dict[Path, str] = {}
        for input in inputs:
            for file in self._files_of(folder / self.target_of(input)):
                if len(os.fsencode(file.name)) > _LONGEST_NAME:
                    raise UsageError(
                        f"{shown_name(file)}: has too long a name ({_LONGEST_NAME} bytes at most); rename the input"
                    )
                if os.path.realpath(file) in sources:
                    raise UsageError(f"{shown_name(file)}: is an input, and would be replaced; choose another folder")
                if file in taken:
                    raise UsageError(
                        f"{shown_name(file)}: would be the output of both {shown_name(taken[file])} and "
                        f"{shown_name(input.path)}; tag them to folders of their own"
                    )
                taken[file] = input.path

    def _to_do(
        self, inputs: Sequence[InputFile], folder: Path, manifest: Manifest, resume: bool, force: bool
    ) -> list[InputFile]:
        to_do, foreign, changed = [], [], []
        for input in inputs:
            target = self.target_of(input)
            is_there = manifest.first_file(target) is not None
            if resume and manifest.is_current(target, input.path):
                is_intact = manifest.is_intact(target)
                if not is_intact:
                    changed.append(target)
                if is_intact or not force:
                    continue
            if is_there and not force and not (resume and manifest.is_ours(target)):
                foreign.append(target)
            to_do.append(input)
        if foreign:
            raise UsageError(_exists_already(foreign, manifest, resume))
        if len(to_do) < len(inputs):
            note(self.report, f"{len(inputs) - len(to_do):,} of {len(inputs):,} files are done already")
        if changed and not force:
            more = f" and {len(changed) - 1:,} more" if len(changed) > 1 else ""
            kept = f"{shown_name(folder / changed[0])}{more}: changed since tag wrote it, and left as it is"
            note(self.report, f"{kept} (--force tags it again)")
        return to_do

    def _items(self, input: InputFile) -> Iterator[Item]:
        for item in read_records(input.path, input.name, self.settings):
            if self.settings.format in HAVE_KEYS and item.origin is not None:
                refuse_clash(item.origin)
            yield item

    def _items_or_unreadable(self, input: InputFile, digests: dict[str, str]) -> Iterator[Item]:
        """Those of a file, and its end. Its digest is taken first: if it changes meanwhile, ``--resume`` does it
        again."""
        origin = Origin(input.name, 0)
        try:
            with damage_named(shown_name(input.name)):
                digests[input.path] = sha256_of_file(input.path)
            yield from self._items(input)
        except NerElmoError as error:
            yield _Unreadable("", str(error), origin)
        yield _EndOfFile("", "", origin)

    def _results(self, items: Iterable[Item], live: bool, flush: Callable[[], object]) -> Iterator[Result]:
        settings, most = self.settings, self.tagger.chunk_characters
        source = ReadAhead(items, most) if live else _Chunks(self.tagger.chunks(items))
        if self.elsewhere is not None:
            yield from self.elsewhere(self.tagger, source, flush, tokenized=settings.tokenized, scores=settings.scores)
            return
        if self.n_processes > 1:
            yield from tag_in_processes(
                self.tagger, source, self.n_processes, flush, tokenized=settings.tokenized, scores=settings.scores
            )
            return
        while True:
            if not source.has_any():
                flush()
            if not (chunk := source.take()):
                return
            yield from self.tagger.tag_chunk(chunk, tokenized=settings.tokenized, scores=settings.scores)

    @contextmanager
    def _outputs(self, summary: Summary) -> Iterator[Callable[[Iterable[Result], str | Path | None, _Flush], None]]:
        """What writes the outputs of the run, of results in the order of inputs."""
        with ExitStack() as stack:
            is_ours = self.settings.format in FORMATS
            writer = stack.enter_context(run_writer(self.settings)) if is_ours else None

            def write(results: Iterable[Result], target: str | Path | None, output: _Flush) -> None:
                results = (self._kept(result) for result in results)
                if self.settings.summary:
                    results = summary.passing(results)
                if writer is None:
                    self._write_for_tools(results, target)
                    return
                if self.settings.format not in HAVE_FAILURES:
                    results = (result for result in results if isinstance(result, Document))
                with output_stream(target) as stream:
                    output.stream = stream
                    writer(results, stream)  # type: ignore[arg-type]

            yield write

    def _write_for_tools(self, results: Iterable[Result], target: str | Path | None) -> None:
        tool = Output(
            "-" if target is None else target, strictly("<tagged>"), model=self.name, labels=self.tagger.labels
        )
        TARGETS[self.settings.format](self._units(results), tool)
        for line in tool.notices:
            if line not in self._said:
                self._said.add(line)
                note(self.report, line)

    def _tell(self, summary: Summary, is_beside_results: bool) -> None:
        if self.settings.summary:
            message = "\n".join(summary.lines())
            self.report({"event": "summary", "message": message, "is_beside_results": is_beside_results})

    def _kept(self, result: Result) -> Result:
        if isinstance(result, _Unreadable):
            raise _FileError(result.error)
        if isinstance(result, Document) and self.settings.min_score:
            least = self.settings.min_score
            result.entities = [e for e in result.entities if e.score is None or e.score >= least]
        return result

    def _units(self, results: Iterable[Result]) -> Iterator[Unit]:
        with_tokens = self.settings.format not in OF_TEXTS
        for number, result in enumerate(results, start=1):
            if isinstance(result, Document):
                yield unit_of(result, number, "<tagged>", with_tokens=with_tokens)


def _exists_already(outputs: Sequence[str], manifest: Manifest, resume: bool) -> str:
    """Why some outputs are not replaced."""
    place = shown_name(manifest.first_file(outputs[0]) or outputs[0])
    more = f" (and {len(outputs) - 1:,} more)" if len(outputs) > 1 else ""
    if not resume:
        return f"{place}: exists already{more}; choose another folder, --resume to go on, --force to replace it"
    if manifest.knows(outputs[0]):
        return f"{place}: changed since tag wrote it{more}, and so did its input or the settings; --force to replace it"
    return (
        f"{place}: exists already{more}, and {MANIFEST} there does not say that tag wrote it; choose another folder, "
        "--force to replace it"
    )


class _Chunks:
    """Chunks that are there whenever one is asked for."""

    def __init__(self, chunks: Iterator[list[Item]]) -> None:
        self._chunks = chunks

    def has_any(self) -> bool:
        return True

    def take(self) -> Sequence[Item]:
        return next(self._chunks, [])


class _Flush:
    """The stream that is written to, once it is open."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self.stream = stream

    def flush(self) -> None:
        if self.stream is not None:
            self.stream.flush()


class _Groups:
    """Results of one file after the other."""

    def __init__(self, results: Iterator[Result]) -> None:
        self._results = results
        self._is_at_end = True  # of a file

    def next_file(self) -> Iterator[Result]:
        """Those of the next file."""
        self._is_at_end = False
        for result in self._results:
            if isinstance(result, _EndOfFile):
                self._is_at_end = True
                return
            yield result

    def leave_rest(self) -> None:
        """Go on to the next file, whatever was read of this one."""
        while not self._is_at_end:
            self._is_at_end = isinstance(next(self._results), _EndOfFile)


def refuse_clashes(inputs: Sequence[InputFile], settings: TagSettings, until_damage: bool = False) -> None:
    """Look through the keys of objects, where they are to be passed through, before anything is tagged.

    Args:
        until_damage: a file that cannot be read is looked at as far as it can, and is for others to name.

    Raises:
        DataError: one has a name that the output has for itself; a file cannot be read.
    """
    if settings.format not in HAVE_KEYS:
        return
    for input in inputs:
        if not input.is_live and kind_of(input.path, settings.source) == JSONL:
            items = read_records(input.path, input.name, settings)
            for item in _until_damage(items) if until_damage else items:
                if item.origin is not None:
                    refuse_clash(item.origin)


def _until_damage(items: Iterable[Item]) -> Iterator[Item]:
    with suppress(NerElmoError):
        yield from items
