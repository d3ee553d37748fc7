"""``ner-elmo tag``: raw text in, entities out."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ner_elmo.cli import flags, show
from ner_elmo.errors import UsageError
from ner_elmo.runs.memory import collect_rarely
from ner_elmo.settings import Source, build
from ner_elmo.tagger.tagging.settings import HERE, TagSettings

if TYPE_CHECKING:
    from ner_elmo.tagger.tagging.inputs import InputFile
    from ner_elmo.tagger.tagging.run import Outcome

NAME = "tag"
EXAMPLE = """\
ner-elmo tag letters/ -m my-tagger -f jsonl -o tagged/
echo "Maria Sanchez flew to Lima." | ner-elmo tag -
"""


@flags.takes_settings(TagSettings)
def command(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="text files, folders of them, or - for standard input")
    ],
    given: dict[str, Any],
    model: Annotated[str | None, typer.Option("--model", "-m", help="tagger directory or name [default: en]")] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="file to write; a folder, or a name that ends in /: an output for each input "
            "[default: standard output]",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="leave out inputs whose output is there, of the same model and settings")
    ] = False,
    force: flags.Force = False,
    device: flags.Device = "auto",
    threads: flags.Threads = None,
    debug: flags.Debug = False,
) -> None:
    """Find the entities of text files, each with its probability.

    With -f doccano, label-studio and so on, people correct the entities in these tools (label-studio and prodigy show
    the scores); convert reads what they export.
    With -f jsonl: one object for each non-blank line,
    {"text", "entities": [{"start", "end", "label", "text", "score"}], "file", "line"}, offsets in Unicode code points.
    """
    from ner_elmo.tagger.tagging.inputs import find_inputs, refuse_idle

    settings = build(TagSettings, [Source("", given)])
    folder = _folder(output)
    files = find_inputs(inputs, settings.pattern, settings.source, folder)
    refuse_idle(inputs, files, settings)
    _check_output(files, settings, output, folder, resume, force)
    outcome = _run(files, settings, model, output, folder, resume, force, device, threads)
    if outcome.failed_units or outcome.failed_files:
        raise typer.Exit(1)


def _folder(output: str | None) -> Path | None:
    """The folder for an output for each input, if one was named."""
    from ner_elmo.text.files import is_folder

    if output is None or output == "-":
        return None
    return Path(output) if output.endswith("/") or is_folder(Path(output)) else None


def _check_output(
    files: list[InputFile], settings: TagSettings, output: str | None, folder: Path | None, resume: bool, force: bool
) -> None:
    from ner_elmo.text.files import is_folder, is_there, shown_name
    from ner_elmo.text.formats.brat import files_of
    from ner_elmo.text.formats.targets import NOT_STREAMS

    if resume and folder is None:
        raise UsageError("--resume goes on in a folder with an output for each input; expected -o FOLDER/")
    if folder is not None:
        if is_there(folder) and not is_folder(folder):
            raise UsageError(f"{shown_name(folder)}: is a file; expected the name of a folder")
        for file in files:
            if file.is_live:
                name = "standard input" if file.path == "-" else f"{shown_name(file.path)}: a pipe"
                raise UsageError(f"{name} has no output in a folder, since --resume could not go on; expected -o FILE")
    elif output is None or output == "-":
        if settings.format in NOT_STREAMS:
            raise UsageError(f"-f {settings.format}: {NOT_STREAMS[settings.format]}; name it with -o")
    else:
        written_to = files_of(Path(output)) if settings.format == "brat" else (Path(output),)
        for file in files:
            if file.path != "-":
                for written in written_to:
                    flags.refuse_same(file.path, written)
        for written in written_to:
            flags.refuse_existing(written, force)


def _run(
    files: list[InputFile],
    settings: TagSettings,
    model: str | None,
    output: str | None,
    folder: Path | None,
    resume: bool,
    force: bool,
    device: str,
    threads: int | None,
) -> Outcome:
    torch_device = flags.set_up_torch(device, threads, starts_fast=settings.engine == HERE)
    if settings.engine != HERE and torch_device.type != "cpu":
        if device != "auto":
            raise UsageError(
                f"--device {device}: workers of --engine {settings.engine} have a CPU each; for GPUs, see "
                "tag_dataset in docs/scale.md"
            )
        torch_device = flags.set_up_torch("cpu", threads)
    import torch

    from ner_elmo.tagger.store import digest_of_tagger
    from ner_elmo.tagger.tagger import Tagger, find_model, name_of_model
    from ner_elmo.tagger.tagging.run import Job
    from ner_elmo.tagger.tagging.workers import usual_processes
    from ner_elmo.text.files import shown_name

    place = find_model(model)
    show.model_in_use(model)
    tagger = Tagger.load(
        model,
        device=torch_device,
        precision=settings.precision,
        batch_tokens=settings.batch_tokens,
        text=settings.text,
    )
    collect_rarely()
    tagger.dehyphenate, tagger.fold_long_s = settings.dehyphenate, settings.fold_long_s
    # Where results and progress would share a terminal, results are what one looks at.
    is_shared = output in (None, "-") and sys.stdout.isatty() and sys.stderr.isatty()
    with ExitStack() as stack:
        display = stack.enter_context(show.Display(bars=not is_shared))
        name = Path(model).name if model else name_of_model(place)
        job = Job(tagger, settings, name, digest_of_tagger(place), display)
        job.n_processes = settings.processes or usual_processes(
            sum(file.n_bytes for file in files), torch.get_num_threads(), torch_device
        )
        if settings.engine != HERE:
            from ner_elmo.engines.ray_workers import RayCluster

            cluster = RayCluster(settings.address, settings.workers, display)
            job.elsewhere = stack.enter_context(cluster).tag_chunks
        if folder is None:
            return job.to_one(files, output)
        try:
            return job.to_each(files, folder, resume, force)
        except KeyboardInterrupt:
            display.line(f"stopped; the same command goes on with --resume ({shown_name(folder)} has what is done)")
            raise
