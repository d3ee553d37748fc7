"""Labelled files from Python: reading them, and writing them, or a biLM, in another format."""

from __future__ import annotations

from pathlib import Path

from ner_elmo.errors import UsageError
from ner_elmo.text.files import is_folder, is_stream, is_there
from ner_elmo.text.formats.brat import CONFIGURATIONS, files_of
from ner_elmo.text.formats.conll import Reading
from ner_elmo.text.formats.conll_sidecar import sidecar_of
from ner_elmo.text.formats.conversion import TARGETS, Job
from ner_elmo.text.formats.conversion import convert as convert_labelled
from ner_elmo.text.formats.corpus import Corpus, load_corpus
from ner_elmo.text.outputs import refuse_existing, refuse_foreign, refuse_same

MODEL_FORMATS = ("float16", "float32", "bilm-tf")
Place = str | Path


def read_corpus(path: Place, reading: Reading = Reading()) -> Corpus:  # noqa: B008 - frozen
    """A labelled file of any kind that ``ner-elmo check`` reads: its ``sentences``, each with ``tokens`` and ``spans``
    (the entities: ``start``, ``end``, ``label``, counted in tokens), and ``warnings``.

    Args:
        path: what it is shows in its content, whatever its name; ``reading`` may say it (``Reading(source="brat")``).
        reading: columns, tag scheme, encoding and so on, as the flags of ``check``.

    Raises:
        UsageError: the file cannot be opened; an unknown scheme, tokenizer or column.
        DataError: what in it cannot be read, with its line.
    """
    return load_corpus(path, reading)


def convert(
    source: Place,
    target: Place,
    *,
    to: str,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    force: bool = False,
) -> list[str]:
    """Write a labelled file, or a biLM, in another format, as ``ner-elmo convert`` does.

    Args:
        source: a labelled file of any kind, or a folder of BRAT's; a biLM for ``float16``, ``float32``, ``bilm-tf``.
        target: the file or directory to write; it appears once it is complete. ``-`` is standard output.
        to: the format or tag scheme, such as ``bioes``, ``jsonl``, ``docbin`` (``ner-elmo convert --help`` has all).
        reading: how a labelled file is read.
        force: whether what stands at ``target`` is replaced.

    Returns:
        Lines for people: what the new format has no place for, what was repaired.

    Raises:
        UsageError: an unknown format; no such file; ``target`` exists, or is what is read.
        DataError: what cannot be converted, with its line; nothing is written then.
        ModelError: the biLM is damaged, or lacks what the format needs.
    """
    source, target = str(source), Path(target)
    if to in MODEL_FORMATS:
        return _convert_bilm(Path(source), target, to, force)
    if to not in TARGETS:
        raise UsageError(f"--to {to}: unknown; expected {', '.join((*TARGETS, *MODEL_FORMATS))}")
    for file in files_of(target) if to == "brat" else (target, sidecar_of(target)):
        if str(target) != "-":
            refuse_existing(file, force)
    refuse_same(source, target)
    if to == "brat":
        ours = {file.name for file in target.iterdir() if _is_of_a_pair(file)} if is_folder(target) else set()
        refuse_foreign(target, lambda name: name in ours or bool(ours and name in CONFIGURATIONS), "BRAT's")
    elif is_folder(target):
        raise UsageError(f"{target}: is a directory; expected the name of a file")
    return convert_labelled(Job(source, target, to, reading))


def _is_of_a_pair(file: Path) -> bool:
    """Whether a file is one of X.ann, X.txt and X.units.jsonl, of which there are at least the first two."""
    stem = file.with_name(file.name.removesuffix(".units.jsonl")) if file.name.endswith(".units.jsonl") else file
    if stem is file and file.suffix not in (".ann", ".txt"):
        return False
    base = stem if stem is not file else file.with_suffix("")
    return all(base.with_name(base.name + suffix).is_file() for suffix in (".ann", ".txt"))


def _convert_bilm(source: Path, target: Path, to: str, force: bool) -> list[str]:
    from ner_elmo.bilm.files.conversion import convert_bilm, write_published_pair
    from ner_elmo.bilm.files.directory import BILM_FILES

    refuse_existing(target, force)
    refuse_same(source, target)
    if is_stream(target) or (is_there(target) and not target.is_dir()):
        raise UsageError(f"{target}: is no directory; a model is written as one, choose another name")
    refuse_foreign(target, BILM_FILES.__contains__, "a model's")
    if to == "bilm-tf":
        return [f"{target}: {line}" for line in write_published_pair(source, target)]
    convert_bilm(source, target, to)
    return []
