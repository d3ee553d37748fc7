"""What all seeds of a training share: the files read, labels and words chosen, the frozen features computed once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ner_elmo.bilm.files.directory import BilmFiles, find_bilm, seen_words, shipped_languages
from ner_elmo.elmo.encoder import Elmo
from ner_elmo.errors import DataError, UsageError
from ner_elmo.runs.events import Report, note, warning
from ner_elmo.settings import part_of
from ner_elmo.tagger.network.inputs import (
    Example,
    Words,
    count_words,
    initial_vectors,
    make_examples,
    make_words,
)
from ner_elmo.tagger.network.model import TaggerModel
from ner_elmo.tagger.network.options import NetworkSettings, TaggerOptions
from ner_elmo.tagger.training.config import TaggerConfig, layers_and_mix, require_files
from ner_elmo.tagger.training.distillation import (
    UNLABELLED,
    Teacher,
    load_teacher,
    read_unlabelled,
    require_same_tags,
    teach,
    unlabelled_facts,
)
from ner_elmo.tagger.training.features import contexts_of_parts, frozen_layers
from ner_elmo.tagger.training.protocol import protocol_of
from ner_elmo.text.examination import split_tokens
from ner_elmo.text.files import STANDARD_STREAM
from ner_elmo.text.formats.check import CONFLICT, SHARED, check_parts, require_learnable, unbroken_in
from ner_elmo.text.formats.corpus import SPANS, Corpus, LabelledSentence, in_documents, load_corpus, look_of_file
from ner_elmo.text.formats.labels import MANY_LABELS, listed_if_labels
from ner_elmo.text.formats.labels import counted as counted_labels
from ner_elmo.text.formats.problems import summary as summary_of_problems
from ner_elmo.text.formats.recognition import is_raw_text
from ner_elmo.text.heldout import is_heldout
from ner_elmo.text.look import BLANKS_LEAST, kind_of_tokens, share_of_blanks
from ner_elmo.text.suitability import complaint, complaint_of_words, look_of_units
from ner_elmo.text.tag_scheme import TOKEN, tag_set
from ner_elmo.text.tokenizer import text_kind
from ner_elmo.text.word_vectors import read_word_vectors

HELDOUT_SHARE = 0.1
_LOOKED_AT = 20_000  # tokens

Parts = dict[str, list[LabelledSentence]]


@dataclass
class PreparedData:
    """What all seeds share. ``parts`` has ``train``, ``dev`` (unless it is trained on) and, if given, ``test``;
    ``unlabelled`` are examples without tags, of which only the teacher says something."""

    parts: dict[str, list[LabelledSentence]]
    examples: dict[str, list[Example]]
    options: TaggerOptions
    words: Words
    known_words: Sequence[str]
    known_vectors: np.ndarray
    text: str
    protocol: dict[str, Any]
    bilm: BilmFiles | None = None
    unlabelled: list[Example] = field(default_factory=list)
    teacher: Teacher | None = None


def prepare(
    config: TaggerConfig,
    device: torch.device,
    report: Report,
    cache: Path | None = None,
    sample: Callable[[Parts], Parts] = lambda parts: parts,
) -> PreparedData:
    """Read the corpora, settle labels, words and layers, and compute the frozen features of every sentence once.

    ``sample`` chooses which sentences of the parts count at all.
    """
    require_files(config)
    layers, mix = layers_and_mix(config)
    bilm = None if config.bilm is None else find_bilm(config.bilm)
    read_as = kind_of_raw_text(config, bilm)
    corpora = load_corpora(config, bilm, read_as)
    parts = sample(_split(corpora, config, report))
    learned = parts["train"] + (parts.get("dev", []) if config.train_with_dev else [])
    frequencies = Counter(span.label for sentence in learned for span in sentence.spans)
    require_learnable(frequencies, corpora["train"].name, config.reading(), corpora["train"].scheme)
    labels = sorted(frequencies)
    if not labels:
        advice = "" if corpora["train"].scheme == SPANS else "; is another --column meant?"
        raise DataError(f"{config.train}: found no entity, expected some to learn from{advice}")
    _warn_about_unknown_labels(parts, labels, report)
    if len(labels) > MANY_LABELS:
        warning(
            report,
            f"{len(labels):,} labels: the time of training and tagging grows with the square of their number; are they "
            "all meant?",
        )

    elmo = None if bilm is None else Elmo.load(bilm, device=device)
    if elmo is not None:
        layers = _check_layers(layers, elmo.n_layers)
    unlabelled = read_unlabelled(config)
    everything = parts | ({UNLABELLED: unlabelled} if unlabelled else {})
    tokens = {part: [sentence.tokens for sentence in sentences] for part, sentences in everything.items()}
    counts = count_words(sentence.tokens for sentence in learned)
    scheme = TOKEN if corpora["train"].scheme == TOKEN else config.tag_scheme
    known, vectors = _known_vectors(config, {part: tokens[part] for part in parts})
    words = Words([])
    if config.word_dim:
        words = make_words(counts, config.min_count, known, config.tune_word_vectors)
    options = TaggerOptions(
        **part_of(config, NetworkSettings) | {"mix": mix, "word_dim": vectors.shape[1]},
        tags=tag_set(labels, scheme),
        scheme=scheme,
        n_words=len(words),
        n_tuned_words=words.n_tuned,
        elmo_dim=0 if elmo is None else elmo.dim,
        elmo_layers=[] if elmo is None else list(layers),
    )
    teacher = None if config.teacher is None else load_teacher(config.teacher)
    if teacher is not None:
        require_same_tags(teacher[0], teacher[1].model.options, options)
    _show_data(parts, "tags" if scheme == TOKEN else "entities", report)
    frozen = {} if elmo is None else frozen_layers(elmo, tokens, options, cache, report)
    tag_index = {tag: index for index, tag in enumerate(options.tags)}
    contexts = {}
    if options.reads_documents:
        contexts = contexts_of_parts(everything, frozen, options, report)
    examples = {
        part: make_examples(sentences, words, tag_index, scheme, frozen.get(part), contexts.get(part))
        for part, sentences in everything.items()
    }
    for example in examples.get(UNLABELLED, []):
        example.tag_ids = None
    text = choose_text(read_as or config.text, None if elmo is None else elmo.text, tokens["train"])
    text_kind(text)
    _warn_about_blanks(text, tokens["train"], report)
    _warn_about_punctuation(text, tokens["train"], report)
    _warn_about_text(bilm, tokens["train"], report)
    protocol = protocol_of(config, corpora, parts, elmo)
    taught = None
    if teacher is not None:
        learned_from = {
            part: sentences
            for part, sentences in everything.items()
            if part in ("train", UNLABELLED) or (part == "dev" and config.train_with_dev)
        }
        taught = teach(*teacher, config, options, elmo, frozen, learned_from, examples, device, cache, report)
    protocol |= {
        "teacher": None if taught is None else dict(taught.facts),
        "unlabelled": unlabelled_facts(config, unlabelled),
    }
    if config.train_with_dev:
        _warn_about_dev(len(parts.get("dev", [])), config, report)
        parts["train"], examples["train"] = learned, examples["train"] + examples.pop("dev", [])
        parts.pop("dev", None)
    without_tags = examples.pop(UNLABELLED, [])
    return PreparedData(parts, examples, options, words, known, vectors, text, protocol, bilm, without_tags, taught)


def kind_of_raw_text(config: TaggerConfig, bilm: BilmFiles | None) -> str | None:
    """The kind of text that the training file is read as, if it is raw text: as the tagger will read raw text."""
    if config.text is not None or config.train == STANDARD_STREAM:
        return config.text
    if not is_raw_text(config.train, config.source, config.decoding):
        return None
    if bilm is not None and bilm.tokenizer != "whitespace":
        return bilm.tokenizer
    return look_of_file(config.train, config.reading())


def load_corpora(config: TaggerConfig, bilm: BilmFiles | None, read_as: str | None = None) -> dict[str, Corpus]:
    """The files of ``train`` and, if given, ``dev`` and ``test``; what labels without prefixes mean, train decides.

    ``read_as``: the kind of text of raw text, as ``train`` has it.
    """
    train = load_labelled(config.train, config, config.scheme, bilm, read_as)
    scheme = "io" if config.scheme.lower() == "none" else config.scheme
    scheme = TOKEN if train.scheme == TOKEN else scheme
    others = {"dev": config.dev, "test": config.test}
    return {"train": train} | {
        part: load_labelled(path, config, scheme, bilm, read_as) for part, path in others.items() if path is not None
    }


def load_labelled(
    path: str, config: TaggerConfig, scheme: str, bilm: BilmFiles | None, read_as: str | None = None
) -> Corpus:
    """A labelled file as ``config`` says; raw text (JSONL) through the tokenizer that the tagger will have."""
    text = read_as or config.text
    if text is None and bilm is not None and is_raw_text(path, config.source, config.decoding):
        text = None if bilm.tokenizer == "whitespace" else bilm.tokenizer
    return load_corpus(path, config.reading(scheme=scheme, text=text))


def _check_layers(layers: Sequence[int], n_layers: int) -> list[int]:
    wrong = [layer for layer in layers if not 0 <= layer < n_layers]
    if wrong:
        raise UsageError(f"layer {wrong[0]}: this biLM has layers 0 (tokens) to {n_layers - 1}; see --layers and --mix")
    return list(layers) or list(range(n_layers))


def _split(corpora: dict[str, Corpus], config: TaggerConfig, report: Report) -> dict[str, list[LabelledSentence]]:
    """The sentences of each part; dev is held out from train where no file was given for it."""
    holds_out = "dev" not in corpora and not config.train_with_dev
    if holds_out and len(corpora["train"].sentences) == 1 and (found := unbroken_in(corpora["train"])):
        raise DataError(f"{corpora['train'].name}:{found[0].line}: {found[0].message}")
    for corpus in corpora.values():
        for message in summary_of_problems(corpus.name, [*corpus.warnings, *unbroken_in(corpus)]):
            warning(report, message)
    parts = {part: list(in_documents(corpus.sentences, config.reads_running_text)) for part, corpus in corpora.items()}
    if not holds_out:
        return parts
    train: list[LabelledSentence] = []
    dev: list[LabelledSentence] = []
    for sentence in parts["train"]:
        (dev if is_heldout(sentence.tokens, HELDOUT_SHARE) else train).append(sentence)
    if not dev or not train:
        raise DataError(f"{config.train}: too few sentences to hold a tenth out for --dev; give --dev FILE")
    note(
        report,
        f"no --dev: {len(dev)} of {len(dev) + len(train)} training sentences are held out, chosen by their tokens",
    )
    test = {"test": parts["test"]} if "test" in parts else {}
    return {"train": train, "dev": dev} | test


def _warn_about_unknown_labels(parts: dict[str, list[LabelledSentence]], labels: list[str], report: Report) -> None:
    for part, sentences in parts.items():
        counts = Counter(span.label for sentence in sentences for span in sentence.spans)
        unknown = {label: number for label, number in counts.items() if label not in labels}
        if unknown:
            message = f"{part} has labels that train lacks ({listed_if_labels(unknown)}); they count as missed"
            warning(report, message)


def _warn_about_dev(n_sentences: int, config: TaggerConfig, report: Report) -> None:
    what = f"the {n_sentences:,} dev sentences are training data" if n_sentences else "nothing is held out for dev"
    message = f"--train-with-dev: {what}; there is no dev score, and epoch {config.epochs}, the last, is kept"
    warning(report, message)


def _show_data(parts: dict[str, list[LabelledSentence]], what: str, report: Report) -> None:
    """What each part holds, and which of its sentences stand in an earlier part, too: ``check`` in brief."""
    for part in check_parts(parts.items()):
        counted_entities = f"{sum(part.entities.values()):,} {what} ({counted_labels(part.entities)})"
        note(report, f"{part.file}: {part.sentences:,} sentences, {part.tokens:,} tokens, {counted_entities}")
        for kind, said in ((SHARED, "stand in an earlier part, too"), (CONFLICT, "have other entities elsewhere")):
            number = part.warnings.counts[kind]
            if number:
                first = next(problem.line for problem in part.warnings if problem.kind == kind)
                message = f"{part.file}: {number:,} sentences {said}, the first is number {first}; see check"
                warning(report, message)


def _known_vectors(config: TaggerConfig, tokens: dict[str, list[tuple[str, ...]]]) -> tuple[Sequence[str], np.ndarray]:
    """Words and vectors of the vectors file, its first and those of any part; none, of the configured size, without
    one."""
    if config.word_vectors is None or not config.word_dim:
        return [], np.zeros((0, config.word_dim), dtype=np.float32)
    wanted = {token for sentences in tokens.values() for sentence in sentences for token in sentence}
    return read_word_vectors(config.word_vectors, wanted, config.max_word_vectors)


def choose_text(wanted: str | None, bilm_text: str | None, sentences: Sequence[Sequence[str]]) -> str:
    """The tokenizer for raw text: as ``wanted``, or the biLM's, or by the look of the training tokens.

    ``whitespace`` only says that the biLM's text came tokenised, which raw text does not. ``characters-words`` keeps
    Latin words and numbers whole, which labelled data of single characters does not.
    """
    if wanted is not None:
        return wanted
    if bilm_text not in (None, "whitespace", "characters-words"):
        return str(bilm_text)
    kind = kind_of_tokens(sentences, bilm_text == "characters-words")
    return bilm_text if bilm_text == "characters-words" and not kind.startswith("characters") else kind


def _warn_about_text(bilm: BilmFiles | None, sentences: Sequence[Sequence[str]], report: Report) -> None:
    """Say it where the training sentences do not look like the biLM's text."""
    if bilm is None:
        return
    looked_at = sentences[:2000]
    look, n_letters = look_of_units([" ".join(sentence) for sentence in looked_at])
    line = complaint(bilm.info.get("text") or {}, look, shipped_languages(), n_letters)
    if line is None:
        line = complaint_of_words(looked_at, seen_words(bilm.vocabulary, bilm.info))
    if line:
        warning(report, line.replace("this model", "the biLM"))


def _warn_about_punctuation(kind: str, sentences: Sequence[Sequence[str]], report: Report) -> None:
    """Say it where punctuation stands on training tokens, which the tokenizer of raw text takes off."""
    sample = list(islice(chain.from_iterable(sentences), _LOOKED_AT))
    if split := split_tokens(sample, kind):
        warning(
            report,
            f"{len(split) / len(sample):.0%} of the training tokens end in punctuation, of which {kind}, the tokenizer "
            "for raw text, makes tokens of its own: the tagger would find little in such text; try --text whitespace, "
            "which splits at blanks alone, or split the training tokens",
        )


def _warn_about_blanks(kind: str, sentences: Sequence[Sequence[str]], report: Report) -> None:
    """Say it where training tokens are blanks, which the tokenizer of raw text does not make."""
    share = share_of_blanks(sentences)
    if share >= BLANKS_LEAST and kind != "characters-blanks":
        warning(
            report,
            f"{share:.0%} of the training tokens are blanks, which {kind}, the tokenizer for raw text, does not make; "
            "try --text characters-blanks",
        )


def new_model(prepared: PreparedData, seed: int) -> TaggerModel:
    """An untrained network: its random weights follow from ``seed``."""
    torch.manual_seed(seed)
    model = TaggerModel(prepared.options)
    model.reset_parameters()
    if model.words is not None:
        table = initial_vectors(
            prepared.words, prepared.options.word_dim, prepared.known_words, prepared.known_vectors, seed
        )
        model.words.set_table(torch.from_numpy(table))
    return model
