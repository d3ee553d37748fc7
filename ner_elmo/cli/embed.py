"""``ner-elmo embed``: contextual vectors of tokenised sentences, as an HDF5 file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ner_elmo.cli import flags, show
from ner_elmo.errors import UsageError
from ner_elmo.runs.memory import collect_rarely
from ner_elmo.text.examination import doubts_of_file
from ner_elmo.text.files import STANDARD_STREAM, read_lines, replace_file, require_file
from ner_elmo.text.tokenizer import resolved, sentence_forms

if TYPE_CHECKING:
    from ner_elmo.elmo.encoder import Layers

NAME = "embed"
EXAMPLE = "ner-elmo embed sentences.txt --bilm my-bilm --layers mean -o vectors.hdf5"
LAYER_NAMES: tuple[Literal["all", "mean", "top"], ...] = ("all", "mean", "top")


def command(
    inputs: Annotated[
        list[Path],
        typer.Argument(help="one tokenised sentence a line (plain, .gz, .xz, .zst, or -)", metavar="INPUT..."),
    ],
    bilm: Annotated[Path, typer.Option("--bilm", help="biLM, run or tagger directory, or a weights file")],
    output: Annotated[Path, typer.Option("-o", "--output", help="HDF5 file to write")],
    layers: Annotated[str, typer.Option("--layers", help="all, mean, top, or numbers such as 0,1")] = "all",
    precision: flags.Precision = "fp32",
    text: flags.Text = None,
    encoding: flags.Encoding = "utf-8",
    errors: flags.Errors = "strict",
    device: flags.Device = "auto",
    threads: flags.Threads = None,
    batch_tokens: flags.BatchTokens = None,
    force: flags.Force = False,
    as_json: flags.Json = False,
    debug: flags.Debug = False,
) -> None:
    """Write the vectors of every line: a float32 dataset a line, named by its number from 0.

    Its shape is (layers, tokens, 2 · projection_dim), or (tokens, 2 · projection_dim) for mean and top. A blank line
    keeps its number and has 0 tokens. sentence_to_index maps each line to its number. With --text the input is raw
    text, and each of its sentences takes the place of a line.
    """
    from ner_elmo.elmo.dump import write_embeddings
    from ner_elmo.elmo.encoder import Elmo

    wanted, encoding = parse_layers(layers), flags.decoding_of(encoding, errors)
    kind = None if text is None else resolved(text)
    flags.refuse_existing(output, force)
    for path in inputs:
        if str(path) != STANDARD_STREAM:
            require_file(path, "text file")
            flags.refuse_same(path, output)
    for path in inputs:
        for doubt in doubts_of_file(path, encoding):
            show.note(f"warning: {doubt}")
    torch_device = flags.set_up_torch(device, threads)
    elmo = Elmo.load(bilm, device=torch_device, precision=precision, batch_tokens=batch_tokens)
    collect_rarely()
    with replace_file(output) as temporary:
        lines, tokens = write_embeddings(elmo, _sentences(inputs, encoding, kind), temporary, wanted, show.note)
    if as_json:
        show.print_json({"output": str(output), "lines": lines, "tokens": tokens, "layers": layers})
    else:
        show.note(f"{output}: {lines:,} lines, {tokens:,} tokens")


def _sentences(inputs: Iterable[Path], encoding: str, kind: str | None) -> Iterator[str | list[str]]:
    """The lines as they are, one tokenised sentence each; with ``kind``, the sentences of raw text, tokenised."""
    for path in inputs:
        for line in read_lines(path, encoding):
            if kind is None:
                yield line
            else:
                yield from sentence_forms(line, kind)


def parse_layers(value: str) -> Layers:
    """``all``, ``mean``, ``top``, or a list of layer numbers.

    Raises:
        UsageError: none of these.
    """
    for name in LAYER_NAMES:
        if value == name:
            return name
    try:
        return [int(number) for number in value.split(",")]
    except ValueError:
        raise UsageError(f"--layers {value}: unknown; expected all, mean, top or numbers such as 0,1") from None
