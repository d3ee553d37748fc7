"""``ner-elmo convert``: a labelled file, or a model, in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ner_elmo.cli import flags, show
from ner_elmo.errors import UsageError
from ner_elmo.settings import Source, build
from ner_elmo.text.files import is_folder, is_stream, is_there
from ner_elmo.text.formats.conll import Reading

NAME = "convert"
MODEL_FORMATS = ("float16", "float32", "bilm-tf")


@flags.takes_settings(Reading)
def command(
    given: dict[str, Any],
    path: Annotated[
        str,
        typer.Argument(
            help="labelled file of any kind that --from names, or a folder of BRAT's; or a biLM, run or tagger "
            "directory, or a weights file",
            metavar="IN",
        ),
    ],
    target: Annotated[Path, typer.Argument(help="file or directory to write; - is standard output", metavar="OUT")],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="iob1, iob2, bioes, bmes, none, token, conll (iob2); jsonl, brat, doccano, label-studio, prodigy, "
            "webanno, conllu, hf, docbin, parquet; segmentation, lexical; float16, float32, bilm-tf",
        ),
    ],
    force: flags.Force = False,
    debug: flags.Debug = False,
) -> None:
    """Write labelled data, or a biLM, in another format.

    Labelled data, there and back without loss: the tag schemes keep the other columns; jsonl is what tag writes; brat
    is X.txt and X.ann, a unit a line, or a folder of pairs. What BRAT, or columns made of raw text, have no place for
    lies beside them in X.units.jsonl. To the other formats of labelled text: a line says what they have no place for.
    Characters with their positions in words, as in Weibo NER: segmentation makes
    the words spans, lexical the entities and the words outside of them. A biLM: float16 halves it, float32 undoes that
    (not the rounding), and bilm-tf writes the options.json and weights.hdf5 that bilm-tf and AllenNLP read.
    """
    if to in MODEL_FORMATS:
        _convert_bilm(Path(path), target, to, force)
        return
    from ner_elmo.text.formats.brat import CONFIGURATIONS, files_of
    from ner_elmo.text.formats.conll_sidecar import sidecar_of
    from ner_elmo.text.formats.conversion import TARGETS, Job, convert

    if to not in TARGETS:
        raise UsageError(f"--to {to}: unknown; expected {', '.join((*TARGETS, *MODEL_FORMATS))}")
    for file in files_of(target) if to == "brat" else (target, sidecar_of(target)):
        if str(target) != "-":
            flags.refuse_existing(file, force)
    flags.refuse_same(path, target)
    if to == "brat":
        ours = {file.name for file in target.iterdir() if _is_of_a_pair(file)} if is_folder(target) else set()
        flags.refuse_foreign(target, lambda name: name in ours or bool(ours and name in CONFIGURATIONS), "BRAT's")
    elif is_folder(target):
        raise UsageError(f"{target}: is a directory; expected the name of a file")
    reading = build(Reading, [Source("", given)])
    for line in convert(Job(path, target, to, reading)):
        show.note(line)
    if str(target) != "-":
        show.note(f"{target}: written as {to}")


def _is_of_a_pair(file: Path) -> bool:
    """Whether a file is one of X.ann, X.txt and X.units.jsonl, of which there are at least the first two."""
    stem = file.with_name(file.name.removesuffix(".units.jsonl")) if file.name.endswith(".units.jsonl") else file
    if stem is file and file.suffix not in (".ann", ".txt"):
        return False
    base = stem if stem is not file else file.with_suffix("")
    return all(base.with_name(base.name + suffix).is_file() for suffix in (".ann", ".txt"))


def _convert_bilm(source: Path, target: Path, to: str, force: bool) -> None:
    from ner_elmo.bilm.files.conversion import convert_bilm, write_published_pair
    from ner_elmo.bilm.files.directory import BILM_FILES

    flags.refuse_existing(target, force)
    flags.refuse_same(source, target)
    if is_stream(target) or (is_there(target) and not target.is_dir()):
        raise UsageError(f"{target}: is no directory; a model is written as one, choose another name")
    flags.refuse_foreign(target, BILM_FILES.__contains__, "a model's")

    if to == "bilm-tf":
        limits = write_published_pair(source, target)
    else:
        limits = []
        convert_bilm(source, target, to)
    show.note(f"{target}: written as {to}")
    for line in limits:
        show.note(f"{target}: {line}")
