"""``train-tagger --teacher``: what a tagger that is trained already says of the sentences that another one learns from.

The teacher's emissions are computed once, before the first epoch, and kept beside the sentences as float32; its
transitions are those of :class:`Teacher`. What is learned from them:
:meth:`~ner_elmo.tagger.network.crf.ConstrainedCrf.cross_entropy`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.elmo.feature_cache import StoredSentence, bilm_digest
from ner_elmo.errors import DataError, UsageError
from ner_elmo.runs.directory import REPORT
from ner_elmo.runs.events import Report, note, warning
from ner_elmo.runs.events import progress as tell_progress
from ner_elmo.tagger.decoding import emissions_of
from ner_elmo.tagger.network.context import document_contexts
from ner_elmo.tagger.network.crf import ConstrainedCrf
from ner_elmo.tagger.network.inputs import Example
from ner_elmo.tagger.network.joined import members_of
from ner_elmo.tagger.network.options import TaggerOptions
from ner_elmo.tagger.report.summary import read_report
from ner_elmo.tagger.store import StoredTagger, digest_of_tagger, load_tagger, require_bilm_fits
from ner_elmo.tagger.tagger import find_model, name_of_model
from ner_elmo.tagger.training.config import TaggerConfig
from ner_elmo.tagger.training.features import Features, frozen_layers
from ner_elmo.text.files import display_name, read_lines, require_file, sha256_of_file
from ner_elmo.text.formats.corpus import LabelledSentence
from ner_elmo.text.formats.labels import listed
from ner_elmo.text.tag_scheme import labels_of

UNLABELLED = "unlabelled"  # the part of the data
DOCUMENT_MARKER = "-DOCSTART-"
_SENTENCES_AT_ONCE = 4000  # between two reports of progress

Sentences = Mapping[str, Sequence[LabelledSentence]]  # by part


@dataclass(frozen=True)
class Teacher:
    """A teacher's CRF, whose emissions stand in the examples (``taught``), and what a report says of it."""

    crf: ConstrainedCrf
    facts: Mapping[str, Any]


def read_unlabelled(config: TaggerConfig) -> list[LabelledSentence]:
    """The sentences of ``config.unlabelled``, file after file, without entities: a line each, tokens parted by blanks.

    Blank lines, and lines that begin with ``-DOCSTART-`` or the marker of ``config``, part documents, if a file has
    any; otherwise each sentence is alone.

    Raises:
        UsageError: there is no such file.
        DataError: it cannot be read, or has no sentence.
    """
    found: list[LabelledSentence] = []
    number = 0
    for path in config.unlabelled or []:
        require_file(path, "text file")
        most = None if config.unlabelled_sentences is None else config.unlabelled_sentences - len(found)
        read = list(_of_file(path, config, most))
        has_bounds = config.reads_running_text or any(document for _, document in read)
        found += [LabelledSentence(tokens, (), number + document if has_bounds else None) for tokens, document in read]
        number += 1 + max((document for _, document in read), default=0)
        if not read and (most is None or most > 0):
            raise DataError(
                f"{display_name(path)}: found no sentence, expected one a line, its tokens parted by blanks"
            )
    return found


def _of_file(path: str, config: TaggerConfig, most: int | None) -> Iterator[tuple[tuple[str, ...], int]]:
    """Tokens of each sentence, and how many bounds of documents stand between it and the first one."""
    markers = (DOCUMENT_MARKER, *([config.document_marker] if config.document_marker else []))
    document, n_read, is_bound = 0, 0, False
    for line in read_lines(path, config.decoding):
        if most is not None and n_read >= most:
            return
        tokens = tuple(line.split())
        if not tokens or line.startswith(markers):
            is_bound = n_read > 0
            continue
        document += is_bound
        is_bound = False
        n_read += 1
        yield tokens, document


def unlabelled_facts(config: TaggerConfig, sentences: Sequence[LabelledSentence]) -> dict[str, Any] | None:
    """What a report says of the unlabelled text: its files with their digests, and how much was read of it."""
    if not config.unlabelled:
        return None
    return {
        "files": [Path(path).name for path in config.unlabelled],
        "sha256": [sha256_of_file(path) for path in config.unlabelled],
        "sentences": len(sentences),
        "tokens": sum(len(sentence.tokens) for sentence in sentences),
    }


def load_teacher(place: str) -> tuple[Path, StoredTagger]:
    """The tagger at a path, or the model that ships by that name, and its folder.

    Raises:
        UsageError: there is none.
        ModelError: it is damaged.
    """
    folder = find_model(place)
    return folder, load_tagger(folder)


def require_same_tags(folder: Path, teacher: TaggerOptions, student: TaggerOptions) -> None:
    """Make sure that both mean the same by a tag sequence.

    Raises:
        UsageError: they do not.
    """
    if teacher.scheme != student.scheme:
        raise UsageError(
            f"--teacher {folder}: found tag scheme {teacher.scheme}, expected {student.scheme}, as this training has"
        )
    if teacher.tags != student.tags:
        here, there = (labels_of(options.tags, options.scheme) for options in (student, teacher))
        raise UsageError(
            f"--teacher {folder}: found the labels {listed(there)}, expected those of the training data: {listed(here)}"
        )


def teach(
    folder: Path,
    stored: StoredTagger,
    config: TaggerConfig,
    options: TaggerOptions,
    elmo: Elmo | None,
    frozen: Features,
    sentences: Sentences,
    examples: Mapping[str, Sequence[Example]],
    device: torch.device,
    cache: Path | None,
    report: Report,
) -> Teacher:
    """Give every example of these parts its teacher's emissions.

    Args:
        folder, stored: the teacher.
        options, elmo, frozen: of the tagger that learns; its features are the teacher's, if both read the same.
        sentences, examples: by part, in the same order.

    Raises:
        UsageError: the teacher has other tags.
        ModelError: the teacher or its biLM is damaged.
    """
    require_same_tags(folder, stored.model.options, options)
    theirs, are_same = _features_of_teacher(folder, stored, options, elmo, frozen, sentences, device, cache, report)
    model = stored.model.to(device)
    if device.type == "cpu":
        model.prepare_for_inference()
    total, done = sum(map(len, sentences.values())), 0
    warn_about_running_text(model.options, options, report)
    note(report, f"the teacher's emissions of {total:,} sentences, once")
    for part, of_part in sentences.items():
        contexts: Sequence[np.ndarray | None] = [None] * len(of_part)
        same_reading = options.context_reading == model.options.context_reading
        if model.options.reads_documents and are_same and options.reads_documents and same_reading:
            contexts = [example.context for example in examples[part]]
        elif model.options.reads_documents:
            tokens = [sentence.tokens for sentence in of_part]
            documents = [sentence.document for sentence in of_part]
            contexts = document_contexts(tokens, documents, theirs[part], *model.options.context_reading)
        for start in range(0, len(of_part), _SENTENCES_AT_ONCE):
            rows = range(start, min(start + _SENTENCES_AT_ONCE, len(of_part)))
            seen = [
                Example(
                    of_part[row].tokens,
                    stored.words.indices(of_part[row].tokens),
                    theirs[part][row] if theirs else None,
                    context=contexts[row],
                )
                for row in rows
            ]
            for row, emissions in zip(rows, emissions_of(model, seen, device), strict=True):
                examples[part][row].taught = emissions
            done += len(rows)
            tell_progress(report, "teacher", done, total)
    saw_dev = trained_on_dev(folder)
    if saw_dev and not config.train_with_dev:
        warning(
            report, "the teacher was trained on its dev data: if that is this training's, its dev score means little"
        )
    facts = {
        "tagger": name_of_model(folder.resolve()),
        "sha256": digest_of_tagger(folder),
        "members": len(members_of(model)),
        "weight": config.teacher_weight,
        "trained_on_dev": saw_dev,
    }
    return Teacher(model.crf.cpu().requires_grad_(False), facts)


def warn_about_running_text(teacher: TaggerOptions, student: TaggerOptions, report: Report) -> None:
    """Where one of both takes a file without marks of documents for one text, and the other does not."""
    if not teacher.reads_documents or teacher.reads_running_text == student.reads_running_text:
        return
    if student.reads_running_text:
        found = "the teacher has no --context-window: a file that marks no documents is one document to it"
        better = "a teacher with one says more"
    else:
        found = "the teacher reads running text, and this tagger takes each sentence of a file without marks by itself"
        better = f"with --context document --context-window {teacher.context_window} the teacher says more"
    warning(report, f"{found}; {better}")


def trained_on_dev(folder: Path) -> bool | None:
    """Whether a tagger's report says that it was trained on dev; None where it does not say."""
    protocol = read_report(folder / REPORT).get("protocol")
    found = protocol.get("trained_on_dev") if isinstance(protocol, dict) else None
    return found if isinstance(found, bool) else None


def _features_of_teacher(
    folder: Path,
    stored: StoredTagger,
    options: TaggerOptions,
    elmo: Elmo | None,
    frozen: Features,
    sentences: Sentences,
    device: torch.device,
    cache: Path | None,
    report: Report,
) -> tuple[Features | dict[str, Sequence[np.ndarray | StoredSentence]], bool]:
    """What the teacher reads of its biLM, nothing without one; and whether it is what the tagger that learns reads."""
    wanted = stored.model.options
    if stored.bilm is None:
        return {}, elmo is None
    own = Elmo.load(stored.bilm, device=device)
    require_bilm_fits(folder, wanted, own.n_layers, own.dim)
    if elmo is not None and bilm_digest(own.files, own.options) == bilm_digest(elmo.files, elmo.options):
        if (wanted.elmo_layers, wanted.mix) == (options.elmo_layers, options.mix):
            return frozen, True
        own = elmo
    tokens = {part: [sentence.tokens for sentence in of_part] for part, of_part in sentences.items()}
    return frozen_layers(own, tokens, wanted, cache, report), False
