"""A whole tagger training: read the files, compute the frozen features once, train every seed, write the best one."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import platform
import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ner_elmo import __version__
from ner_elmo.bilm.directory import find_bilm, tokens_seen_in_all
from ner_elmo.elmo.encoder import Elmo
from ner_elmo.elmo.feature_cache import IN_MEMORY_BYTES, FeatureCache, StoredSentence, bilm_digest, counted
from ner_elmo.errors import DataError, ModelError, UsageError
from ner_elmo.tagger.analysis import (
    ERRORS,
    PAGES,
    add_up,
    analyse,
    in_brief,
    learning_curve,
    predict_parts,
    write_errors,
    write_pages,
)
from ner_elmo.tagger.card import model_card
from ner_elmo.tagger.evaluation import accuracy, count, counts_as_data, scores, seqeval_report
from ner_elmo.tagger.features import (
    Example,
    Words,
    count_words,
    elmo_layers,
    initial_vectors,
    make_examples,
    make_words,
)
from ner_elmo.tagger.model import BOTH, INPUT, LEARNED_MIX, MEAN_MIX, OUTPUT, TaggerModel, TaggerOptions
from ner_elmo.tagger.report_page import main_part
from ner_elmo.tagger.store import (
    BILM,
    CARD,
    INFO,
    REPORT,
    WEIGHTS,
    WORD_VECTORS,
    move_info,
    store_bilm,
    write_json,
    write_tagger,
    write_text,
)
from ner_elmo.tagger.training import (
    TrainingData,
    TrainingOptions,
    TrainingState,
    load_checkpoint,
    start,
    train,
)
from ner_elmo.text.check import CONFLICT, SHARED, check_parts
from ner_elmo.text.conll import write_conll
from ner_elmo.text.corpus import Corpus, LabelledSentence, load_corpus
from ner_elmo.text.files import replace_file, require_file, sha256_of_file
from ner_elmo.text.heldout import is_heldout
from ner_elmo.text.jsonl import is_jsonl
from ner_elmo.text.problems import summary as summary_of_problems
from ner_elmo.text.tag_scheme import TOKEN, tag_set, tags
from ner_elmo.text.tokenizer import text_kind
from ner_elmo.text.word_vectors import read_word_vectors

SCHEMA_VERSION = 1
HELDOUT_SHARE = 0.1
CONFIG, LOG, CHECKPOINTS = "config.json", "log.jsonl", "checkpoints"
PREDICTIONS = {"dev": "predictions.dev.conll", "test": "predictions.test.conll"}
ALL_SEEDS = "sentences_of_all_seeds"  # in the report: counts of each sentence, added up over the seeds
# All that a run writes into its folder, beside the biLM.
RUN_NAMES = (
    *(INFO, WEIGHTS, WORD_VECTORS, REPORT, *PAGES, ERRORS, CARD, CONFIG, LOG, CHECKPOINTS),
    *PREDICTIONS.values(),
)

Report = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class TaggerConfig:
    """Everything that decides what comes out of a run; ``config.json`` holds it.

    Attributes:
        train, dev, test: CoNLL or JSONL files; without ``dev`` a tenth of the training sentences is held out.
        bilm: where the biLM is; None = a tagger without one.
        word_vectors: a vectors file (:mod:`ner_elmo.text.word_vectors`); None = vectors learned from scratch.
        max_word_vectors: so many of its first rows are kept, and those of all words in ``train``, ``dev`` and ``test``.
        tune_word_vectors: whether the vectors of training words are learned on, or all stay as the file has them.
        column, scheme, encoding, comments, strip_token: how to read the files (:class:`ner_elmo.text.conll.Reading`).
        layers: which biLM layers to read; empty = all.
        mix: ``learned``, ``mean``, or the number of the only layer.
        gamma, mix_layer_norm, elmo_at: as in :class:`TaggerOptions`.
        text: the tokenizer for raw text; ``auto`` = the biLM's, or what the training tokens look like.
        licence: terms under which the tagger may be used, for its card.
        storage: ``float32`` or ``float16``.
        keep_softmax: whether the copy of the biLM has its output layer, for perplexity and further pretraining.
        seeds: one training for each; the best on dev is kept.
        train_with_dev: dev is training data: ``epochs`` epochs are trained, the last is kept, and nothing is scored on
            dev. Without ``dev`` nothing is held out.
    """

    train: str
    dev: str | None = None
    test: str | None = None
    bilm: str | None = None
    word_vectors: str | None = None
    max_word_vectors: int = 400_000
    tune_word_vectors: bool = True
    column: int = -1
    scheme: str = "auto"
    encoding: str = "utf-8"
    comments: str | None = None
    strip_token: str | None = None
    layers: tuple[int, ...] = ()
    mix: str = LEARNED_MIX
    gamma: bool = True
    mix_layer_norm: bool = False
    mix_l2: float = 0.001
    elmo_at: str = INPUT
    text: str = "auto"
    licence: str = ""
    storage: str = "float32"
    keep_softmax: bool = False
    seeds: tuple[int, ...] = (1,)
    train_with_dev: bool = False
    tag_scheme: str = "bioes"
    word_dim: int = 100
    min_count: int = 1
    char_dim: int = 25
    char_filters: int = 128
    hidden_dim: int = 256
    lstm_layers: int = 1
    dropout: float = 0.5
    elmo_dropout: float = 0.5
    epochs: int = 50
    learning_rate: float = 1e-3
    lr_patience: int = 2
    lr_factor: float = 0.5
    patience: int = 8
    clip_norm: float = 5.0
    batch_sentences: int = 32
    batch_tokens: int = 2048

    def training_options(self, seed: int, max_minutes: float | None) -> TrainingOptions:
        """The part that the training loop needs."""
        return TrainingOptions(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            lr_patience=self.lr_patience,
            lr_factor=self.lr_factor,
            patience=self.patience,
            clip_norm=self.clip_norm,
            mix_l2=self.mix_l2,
            batch_sentences=self.batch_sentences,
            batch_tokens=self.batch_tokens,
            max_minutes=max_minutes,
            seed=seed,
        )


@dataclass
class Prepared:
    """What all seeds share. ``parts`` has ``train``, ``dev`` (unless it is trained on) and, if given, ``test``."""

    parts: dict[str, list[LabelledSentence]]
    examples: dict[str, list[Example]]
    options: TaggerOptions
    words: Words
    known_words: Sequence[str]
    known_vectors: np.ndarray
    text: str
    protocol: dict[str, Any]


def run(
    config: TaggerConfig,
    directory: Path,
    *,
    device: torch.device,
    resume: bool = False,
    max_minutes: float | None = None,
    cache: Path | None = None,
    report: Report = lambda event: None,
) -> dict[str, Any]:
    """Train a tagger into ``directory``, a run directory that ends up as a tagger directory.

    Args:
        cache: a folder that keeps the frozen features for other runs; without it they are computed for this one alone.
        report: is handed every event as a dictionary with an ``event``: ``note`` and ``warning`` (``message``),
            ``progress`` (``what``, ``done``, ``total``), ``epoch`` (a record and its ``seed``), ``scores`` (``part``,
            ``message``: seqeval's report).

    Returns:
        What ``report.json`` says.

    Raises:
        UsageError, DataError, ModelError: bad input, before anything is written.
        NerElmoError: the loss is not a number.
    """
    begun = time.monotonic()
    if resume and (done := finished_report(directory, config)) is not None:
        before = _settings_before(directory, done)
        _refuse_changes(directory, before, _settings_now(config, before))
        _say(report, f"{directory}: this run is finished; nothing to do")
        return done
    prepared = prepare(config, device, report, cache)
    if resume:
        _reopen(directory)
    else:
        clear_run(directory)
    directory.mkdir(parents=True, exist_ok=True)
    if config.bilm is not None:
        store_bilm(config.bilm, directory, config.keep_softmax)
    reports: dict[int, dict[str, Any]] = {}
    for seed in config.seeds:
        alone = len(config.seeds) == 1
        folder = directory if alone else directory / f"seed-{seed}"
        place = None if config.bilm is None else (BILM if alone else f"../{BILM}")
        left = None if max_minutes is None else max(0.0, max_minutes - (time.monotonic() - begun) / 60)
        one = dataclasses.replace(config, seeds=(seed,))
        done = finished_report(folder, one) if resume else None
        reports[seed] = done or _train_seed(one, prepared, folder, place, device, resume, left, report)
    return _choose_best(config, directory, reports, report)


def finished_report(directory: Path, config: TaggerConfig) -> dict[str, Any] | None:
    """``report.json`` of a run that needs no more epochs, or None."""
    try:
        found = json.loads((directory / REPORT).read_text(encoding="utf-8"))
        training = found["training"]
        complete = training["stopped"] == "patience" or (
            training["stopped"] == "epochs" and training["epochs_run"] >= config.epochs
        )
        all_seeds = set(found["protocol"]["seeds"]) == set(config.seeds)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if complete and all_seeds and (directory / INFO).is_file() else None


def clear_run(directory: Path) -> None:
    """Remove what an earlier run left in ``directory``, and nothing else."""
    for folder in (directory, *directory.glob("seed-*")):
        for name in (*RUN_NAMES, BILM):
            path = folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        if folder != directory and not any(folder.iterdir()):
            folder.rmdir()


# --- what all seeds share ---------------------------------------------------------------------------------------------


Parts = dict[str, list[LabelledSentence]]


def prepare(
    config: TaggerConfig,
    device: torch.device,
    report: Report,
    cache: Path | None = None,
    sample: Callable[[Parts], Parts] = lambda parts: parts,
) -> Prepared:
    """Read the corpora, settle labels, words and layers, and compute the frozen features of every sentence once.

    ``sample`` chooses which sentences of the parts count at all.
    """
    layers, mix = check_config(config)
    corpora = load_corpora(config)
    parts = sample(_split(corpora, config, report))
    learned = parts["train"] + (parts.get("dev", []) if config.train_with_dev else [])
    labels = sorted({span.label for sentence in learned for span in sentence.spans})
    if not labels:
        raise DataError(f"{config.train}: found no entity, expected some to learn from; is another --column meant?")
    _warn_about_unknown_labels(parts, labels, report)

    elmo = None if config.bilm is None else Elmo.load(config.bilm, device=device)
    if elmo is not None:
        layers = _check_layers(layers, elmo.n_layers)
    tokens = {part: [sentence.tokens for sentence in sentences] for part, sentences in parts.items()}
    counts = count_words(sentence.tokens for sentence in learned)
    scheme = TOKEN if corpora["train"].scheme == TOKEN else config.tag_scheme
    known, vectors = _known_vectors(config, tokens)
    words = Words([])
    if config.word_dim:
        words = make_words(counts, config.min_count, known, config.tune_word_vectors)
    options = TaggerOptions(
        tags=tag_set(labels, scheme),
        scheme=scheme,
        n_words=len(words),
        n_tuned_words=words.n_tuned,
        word_dim=vectors.shape[1],
        elmo_dim=0 if elmo is None else elmo.dim,
        elmo_layers=[] if elmo is None else list(layers),
        mix=mix,
        gamma=config.gamma,
        mix_layer_norm=config.mix_layer_norm,
        elmo_at=config.elmo_at,
        elmo_dropout=config.elmo_dropout,
        char_dim=config.char_dim,
        char_filters=config.char_filters,
        hidden_dim=config.hidden_dim,
        lstm_layers=config.lstm_layers,
        dropout=config.dropout,
    )
    _show_data(parts, "tags" if scheme == TOKEN else "entities", report)
    frozen = {} if elmo is None else _frozen_layers(elmo, tokens, options, cache, report)
    tag_index = {tag: index for index, tag in enumerate(options.tags)}
    examples = {
        part: make_examples(sentences, words, tag_index, scheme, frozen.get(part)) for part, sentences in parts.items()
    }
    text = choose_text(config.text, None if elmo is None else elmo.text, tokens["train"])
    protocol = _protocol(config, corpora, parts, elmo)
    if config.train_with_dev:
        _warn_about_dev(len(parts.get("dev", [])), config, report)
        parts["train"], examples["train"] = learned, examples["train"] + examples.pop("dev", [])
        parts.pop("dev", None)
    return Prepared(parts, examples, options, words, known, vectors, text, protocol)


def load_corpora(config: TaggerConfig) -> dict[str, Corpus]:
    """The files of ``train`` and, if given, ``dev`` and ``test``; what labels without prefixes mean, train decides."""
    train = load_labelled(config.train, config, config.scheme)
    scheme = "io" if config.scheme.lower() == "none" else config.scheme
    scheme = TOKEN if train.scheme == TOKEN else scheme
    others = {"dev": config.dev, "test": config.test}
    return {"train": train} | {
        part: load_labelled(path, config, scheme) for part, path in others.items() if path is not None
    }


def load_labelled(path: str, config: TaggerConfig, scheme: str) -> Corpus:
    """A labelled file as ``config`` says; raw text (JSONL) through the tokenizer that the tagger will have."""
    text = None if config.text == "auto" else config.text
    if text is None and config.bilm is not None and is_jsonl(path):
        tokenizer = find_bilm(config.bilm).tokenizer
        text = None if tokenizer == "whitespace" else tokenizer
    return load_corpus(
        path,
        config.column,
        scheme,
        config.encoding,
        comments=config.comments,
        strip_token=config.strip_token,
        text=text,
    )


def check_config(config: TaggerConfig) -> tuple[list[int], str]:
    """The layers to read (empty = all) and how to mix them.

    Raises:
        UsageError: values that cannot be meant; a file that is not there.
    """
    for path in (config.train, config.dev, config.test, config.word_vectors):
        if path is not None and path != "-":
            require_file(path)
    if config.text != "auto":
        text_kind(config.text)
    if not (config.bilm or config.word_dim or config.char_dim):
        raise UsageError("nothing to read: give --bilm, or leave --word-dim or the character CNN on")
    if config.elmo_at not in (INPUT, OUTPUT, BOTH):
        raise UsageError(f"--elmo-at {config.elmo_at}: unknown; expected {INPUT}, {OUTPUT} or {BOTH}")
    if config.bilm and config.elmo_at == OUTPUT and not (config.word_dim or config.char_dim):
        raise UsageError("--elmo-at output: nothing is left for the input; leave --word-dim or the character CNN on")
    if config.mix_layer_norm and config.mix != LEARNED_MIX:
        raise UsageError(f"--mix-layer-norm: is part of the learned mix; found --mix {config.mix}")
    if not config.tune_word_vectors and config.word_vectors is None:
        raise UsageError("--no-tune-word-vectors: without --word-vectors FILE there is nothing to leave as it is")
    layers = list(config.layers)
    if config.mix in (LEARNED_MIX, MEAN_MIX):
        return layers, config.mix
    if not config.mix.isdecimal():
        raise UsageError(f"--mix {config.mix}: expected learned, mean, or the number of a layer such as 2")
    if layers and layers != [int(config.mix)]:
        raise UsageError(f"--mix {config.mix} reads that layer alone; leave out --layers, or use --mix learned")
    return [int(config.mix)], MEAN_MIX


def _check_layers(layers: Sequence[int], n_layers: int) -> list[int]:
    wrong = [layer for layer in layers if not 0 <= layer < n_layers]
    if wrong:
        raise UsageError(f"layer {wrong[0]}: this biLM has layers 0 (tokens) to {n_layers - 1}; see --layers and --mix")
    return list(layers) or list(range(n_layers))


def _split(corpora: dict[str, Corpus], config: TaggerConfig, report: Report) -> dict[str, list[LabelledSentence]]:
    """The sentences of each part; dev is held out from train where no file was given for it."""
    for corpus in corpora.values():
        for message in summary_of_problems(corpus.name, corpus.warnings):
            report({"event": "warning", "message": message})
    parts = {part: corpus.sentences for part, corpus in corpora.items()}
    if "dev" in parts or config.train_with_dev:
        return parts
    train: list[LabelledSentence] = []
    dev: list[LabelledSentence] = []
    for sentence in parts["train"]:
        (dev if is_heldout(sentence.tokens, HELDOUT_SHARE) else train).append(sentence)
    if not dev or not train:
        raise DataError(f"{config.train}: too few sentences to hold a tenth out for --dev; give --dev FILE")
    _say(
        report,
        f"no --dev: {len(dev)} of {len(dev) + len(train)} training sentences are held out, chosen by their tokens",
    )
    test = {"test": parts["test"]} if "test" in parts else {}
    return {"train": train, "dev": dev} | test


def _warn_about_unknown_labels(parts: dict[str, list[LabelledSentence]], labels: list[str], report: Report) -> None:
    for part, sentences in parts.items():
        unknown = sorted({span.label for sentence in sentences for span in sentence.spans} - set(labels))
        if unknown:
            message = f"{part} has labels that train lacks ({', '.join(unknown)}); they count as missed"
            report({"event": "warning", "message": message})


def _warn_about_dev(n_sentences: int, config: TaggerConfig, report: Report) -> None:
    what = f"the {n_sentences:,} dev sentences are training data" if n_sentences else "nothing is held out for dev"
    message = f"--train-with-dev: {what}; there is no dev score, and epoch {config.epochs}, the last, is kept"
    report({"event": "warning", "message": message})


def _show_data(parts: dict[str, list[LabelledSentence]], what: str, report: Report) -> None:
    """What each part holds, and which of its sentences stand in an earlier part, too: ``check`` in brief."""
    for part in check_parts(parts.items()):
        labels = ", ".join(f"{label} {count:,}" for label, count in sorted(part.entities.items()))
        counted_entities = f"{sum(part.entities.values()):,} {what} ({labels})"
        _say(report, f"{part.file}: {part.sentences:,} sentences, {part.tokens:,} tokens, {counted_entities}")
        for kind, said in ((SHARED, "stand in an earlier part, too"), (CONFLICT, "have other entities elsewhere")):
            lines = [problem.line for problem in part.warnings if problem.kind == kind]
            if lines:
                message = f"{part.file}: {len(lines):,} sentences {said}, the first is number {lines[0]}; see check"
                report({"event": "warning", "message": message})


def _known_vectors(config: TaggerConfig, tokens: dict[str, list[tuple[str, ...]]]) -> tuple[Sequence[str], np.ndarray]:
    """Words and vectors of the vectors file, its first and those of any part; none, of the configured size, without
    one."""
    if config.word_vectors is None or not config.word_dim:
        return [], np.zeros((0, config.word_dim), dtype=np.float32)
    wanted = {token for sentences in tokens.values() for sentence in sentences for token in sentence}
    return read_word_vectors(config.word_vectors, wanted, config.max_word_vectors)


def _frozen_layers(
    elmo: Elmo, tokens: dict[str, list[tuple[str, ...]]], options: TaggerOptions, folder: Path | None, report: Report
) -> dict[str, Sequence[np.ndarray | StoredSentence]]:
    """The frozen features of every part: read from the cache in ``folder`` if possible, otherwise kept in memory.

    All parts together are read into memory up to ``IN_MEMORY_BYTES``; beyond that, batches read them from disk.
    """

    def warn(message: str) -> None:
        report({"event": "warning", "message": message})

    def note(message: str) -> None:
        _say(report, message)

    n_tokens = {part: sum(map(len, sentences)) for part, sentences in tokens.items()}
    total, done = sum(n_tokens.values()), 0
    size = 2 * total * options.n_mixed_layers * options.elmo_dim
    cache = None if folder is None else FeatureCache(elmo, folder, note, warn)
    in_memory = size <= IN_MEMORY_BYTES
    if cache is None:
        note(f"computing biLM layers of {total:,} tokens once (kept in memory: {size / 1e6:,.0f} MB)")
    else:
        where = "kept in memory" if in_memory else "each batch read from disk"
        note(f"biLM layers of {total:,} tokens: {size / 1e6:,.0f} MB ({where})")

    def progress(done_of_part: int) -> None:
        report({"event": "progress", "what": "biLM layers", "done": done + done_of_part, "total": total})

    frozen: dict[str, Sequence[np.ndarray | StoredSentence]] = {}
    for part, sentences in tokens.items():
        average, found = options.mix == MEAN_MIX, None
        if cache is not None:
            found = cache.features(sentences, options.elmo_layers, average, "float16", in_memory, progress)
        if found is None:
            found = list(counted(elmo_layers(elmo, sentences, options.elmo_layers, average), progress))
        frozen[part] = found
        done += n_tokens[part]
    progress(0)
    return frozen


def _is_latin_word(token: str) -> bool:
    return len(token) > 1 and token.isascii() and token.isalnum()


def choose_text(wanted: str, bilm_text: str | None, sentences: Sequence[Sequence[str]]) -> str:
    """The tokenizer for raw text: as ``wanted``, or the biLM's, or by the look of the training tokens.

    ``whitespace`` only says that the biLM's text came tokenised, which raw text does not. ``characters-words`` keeps
    Latin words and numbers whole, which labelled data of single characters does not.
    """
    if wanted != "auto":
        return wanted
    if bilm_text not in (None, "whitespace", "characters-words"):
        return str(bilm_text)
    n_tokens = sum(len(sentence) for sentence in sentences)
    n_single = sum(len(token) == 1 for sentence in sentences for token in sentence)
    if n_single <= 0.9 * n_tokens:
        return bilm_text if bilm_text == "characters-words" else "en-1"
    keeps_words = any(_is_latin_word(token) for sentence in sentences for token in sentence)
    return "characters-words" if bilm_text == "characters-words" and keeps_words else "characters"


def _bilm_facts(elmo: Elmo) -> dict[str, Any]:
    """Which biLM it was; ``tokens_seen`` in pretraining, its parents' included, where its maker says so."""
    return {
        "digest": bilm_digest(elmo),
        "tokens_seen": tokens_seen_in_all(elmo.files.info),
        "text": elmo.text,
        "layers": elmo.n_layers,
        "dim": elmo.dim,
    }


def _protocol(
    config: TaggerConfig, corpora: dict[str, Corpus], parts: dict[str, list[LabelledSentence]], elmo: Elmo | None
) -> dict[str, Any]:
    """What a figure means: which data, by name and digest, how it was split and read."""
    paths = {"train": config.train, "dev": config.dev, "test": config.test}
    data = {}
    for part, sentences in parts.items():
        path = paths[part] or config.train
        data[part] = {
            "file": Path(path).name,
            "sha256": sha256_of_file(path) if path != "-" else None,
            "gold_sha256": gold_digest(sentences),
            "scheme": corpora[part if part in corpora else "train"].scheme,
            "sentences": len(sentences),
            "tokens": sum(len(sentence.tokens) for sentence in sentences),
            "entities": sum(len(sentence.spans) for sentence in sentences),
        }
    return {
        "data": data,
        "column": config.column,
        "dev": _origin_of_dev(config),
        "trained_on_dev": config.train_with_dev,
        "seeds": list(config.seeds),
        "bilm": None if elmo is None else _bilm_facts(elmo),
        "word_vectors": None
        if config.word_vectors is None
        else {
            "file": Path(config.word_vectors).name,
            "sha256": sha256_of_file(config.word_vectors),
            "tuned": config.tune_word_vectors,
        },
    }


def gold_digest(sentences: Sequence[LabelledSentence]) -> str:
    """SHA-256 of tokens and entities, however the file writes them: figures over the same ones can be compared."""
    digest = hashlib.sha256()
    for sentence in sentences:
        line = json.dumps([sentence.tokens, sentence.spans], ensure_ascii=True, separators=(",", ":"))
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def _origin_of_dev(config: TaggerConfig) -> str:
    if config.train_with_dev:
        return "none: it was trained on" if config.dev is not None else "none: nothing was held out"
    return "file" if config.dev is not None else "a tenth of the training sentences, by a hash of their tokens"


def figure_name(options: Mapping[str, Any]) -> str:
    """What the one figure of a tagger with these options is called: F1, or accuracy where each token has a tag."""
    return "accuracy" if options["scheme"] == TOKEN else "F1"


# --- one seed ---------------------------------------------------------------------------------------------------------


def _train_seed(
    config: TaggerConfig,
    prepared: Prepared,
    folder: Path,
    bilm: str | None,
    device: torch.device,
    resume: bool,
    max_minutes: float | None,
    report: Report,
) -> dict[str, Any]:
    """Train one seed into ``folder`` and write its tagger, report and predictions."""
    seed = config.seeds[0]
    folder.mkdir(parents=True, exist_ok=True)
    options = config.training_options(seed, max_minutes)
    state = start(new_model(prepared, seed).to(device), options)
    state.setting = _setting(config, prepared)
    resumed = resume and _restore(state, folder, device, report)
    write_json(folder / CONFIG, asdict(config))
    _cut_log(folder / LOG, state.epoch)
    data = TrainingData(
        prepared.examples["train"],
        prepared.examples.get("dev", []),
        [sentence.spans for sentence in prepared.parts.get("dev", [])],
        prepared.words,
    )
    epoch_of = {"epoch": state.epoch + 1}

    def progress(done: int, total: int) -> None:
        report({"event": "progress", "what": f"seed {seed}, epoch {epoch_of['epoch']}", "done": done, "total": total})

    with open(folder / LOG, "a", encoding="utf-8") as log:
        if resumed:
            log.write(json.dumps({"event": "resume", "step": state.epoch}) + "\n")
        for record in train(state, data, options, device, folder / CHECKPOINTS, progress):
            log.write(json.dumps(record.as_dict()) + "\n")
            log.flush()
            epoch_of["epoch"] = record.epoch + 1
            figure = figure_name(prepared.options.as_dict())
            report({"event": "epoch", "seed": seed, "figure": figure, **record.as_dict()})
    return _finish(config, prepared, state, folder, bilm, device, report)


def new_model(prepared: Prepared, seed: int) -> TaggerModel:
    """An untrained network: its random weights follow from ``seed``."""
    torch.manual_seed(seed)
    model = TaggerModel(prepared.options)
    if model.words is not None:
        table = initial_vectors(
            prepared.words, prepared.options.word_dim, prepared.known_words, prepared.known_vectors, seed
        )
        model.words.set_table(torch.from_numpy(table))
    return model


def _setting(config: TaggerConfig, prepared: Prepared) -> dict[str, Any]:
    """What must not change when a run is resumed: the options that matter and the labelled files."""
    return _options(asdict(config)) | _digests(prepared.protocol)


def _options(values: dict[str, Any]) -> dict[str, Any]:
    """All options of a configuration but where the files lie and when to stop.

    Without a dev score the learning rate falls towards the last epoch, which then has to stay.
    """
    free = ["train", "dev", "test", "bilm", "word_vectors", "patience", "licence", "storage", "text"]
    free += [] if values.get("train_with_dev") else ["epochs"]
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    return {name: value for name, value in plain.items() if name not in free}


def _digests(protocol: dict[str, Any]) -> dict[str, Any]:
    """The check sums of the labelled files that are learned from."""
    return {part: protocol["data"][part]["sha256"] for part in ("train", "dev") if part in protocol["data"]}


def _settings_before(directory: Path, done: dict[str, Any]) -> dict[str, Any]:
    """:func:`_setting` of a finished run, from what it left."""
    return _options(json.loads((directory / CONFIG).read_text(encoding="utf-8"))) | _digests(done["protocol"])


def _settings_now(config: TaggerConfig, before: dict[str, Any]) -> dict[str, Any]:
    """:func:`_setting` before anything is read: what was held out ``before`` is of the training file still."""
    files = {"train": config.train, "dev": config.dev or (config.train if "dev" in before else None)}
    return _options(asdict(config)) | {
        part: None if file == "-" else sha256_of_file(require_file(file)) for part, file in files.items() if file
    }


def _refuse_changes(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    before, now = _options(_DEFAULTS) | before, _options(_DEFAULTS) | now  # an older run lacks newer settings
    changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if changed:
        raise UsageError(
            f"{folder}: was begun with other settings ({', '.join(changed)}); resume with the same ones, or begin anew "
            "with --force and without --resume"
        )


_DEFAULTS = asdict(TaggerConfig(train=""))


def _restore(state: TrainingState, folder: Path, device: torch.device, report: Report) -> bool:
    """Go on from the newest sound checkpoint, if there is one."""
    saved, damaged = load_checkpoint(folder / CHECKPOINTS, device)
    for file in damaged:
        report({"event": "warning", "message": f"{file}: damaged; trying the one before"})
    if saved is None:
        _say(report, f"{folder}: no checkpoint to resume from; starting anew")
        return False
    _refuse_changes(folder, saved["setting"], state.setting)
    try:
        state.restore(saved)
    except (KeyError, RuntimeError, ValueError):
        raise ModelError(f"{folder / CHECKPOINTS}: does not fit this data; begin anew with --force") from None
    _say(report, f"{folder}: resuming after epoch {state.epoch}")
    return True


def _cut_log(path: Path, epoch: int) -> None:
    """Drop lines about epochs after ``epoch``: they were not saved, and will be done again."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if int(json.loads(line).get("epoch", 0)) <= epoch and epoch:
                kept.append(line + "\n")
        except ValueError:
            continue  # a line cut short by a crash
    write_text(path, "".join(kept))


def _finish(
    config: TaggerConfig,
    prepared: Prepared,
    state: TrainingState,
    folder: Path,
    bilm: str | None,
    device: torch.device,
    report: Report,
) -> dict[str, Any]:
    """Score the best epoch on dev and test and write everything down."""
    results: dict[str, Any] = {}
    sentence_counts: dict[str, Any] = {}
    analyses: dict[str, Any] = {}
    found_spans, calibration = predict_parts(
        state.model, prepared.examples, prepared.parts, device, prepared.protocol["trained_on_dev"]
    )
    for part, predicted in found_spans.items():
        sentences = prepared.parts[part]
        gold = [sentence.spans for sentence in sentences]
        counts = count(gold, predicted)
        lengths = [len(sentence.tokens) for sentence in sentences]
        figures = scores(counts) | {"accuracy": accuracy(gold, predicted, lengths)}
        results[part] = figures | {"sentences": len(sentences), "tokens": sum(lengths)}
        sentence_counts[part] = counts_as_data(counts)
        analyses[part] = analyse(sentences, predicted)
        with replace_file(folder / PREDICTIONS[part]) as temporary, open(temporary, "w", encoding="utf-8") as stream:
            pairs = zip(sentences, predicted, strict=True)
            scheme = TOKEN if prepared.options.scheme == TOKEN else "iob2"
            write_conll(((s.tokens, tags(found, len(s.tokens), scheme)) for s, found in pairs), stream)
        table = f"{seqeval_report(gold, predicted, lengths)}accuracy {figures['accuracy']:.4f} (of tags, by token)\n"
        report({"event": "scores", "part": part, "seed": config.seeds[0], "message": table})
    found = {
        "schema_version": SCHEMA_VERSION,
        "seed": config.seeds[0],
        "protocol": prepared.protocol | {"seeds": list(config.seeds)},
        "scores": results,
        "mix": state.model.mix_weights(),
        "training": {
            "epochs_run": state.epoch,
            "best_epoch": state.best_epoch,
            "stopped": state.stopped,
            "parameters": sum(parameter.numel() for parameter in state.model.parameters()),
            "curve": learning_curve(folder / LOG),
        },
        "options": prepared.options.as_dict(),
        "config": _without_paths(config),
        "licence": config.licence,
        "versions": {"ner-elmo": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "calibration": calibration,
        "analysis": analyses,
        "sentences": sentence_counts,
    }
    info = {
        "text": {"tokens": prepared.text},
        "licence": config.licence,
        "data": prepared.protocol["data"],
        "created_by": f"ner-elmo {__version__}",
        "calibration": in_brief(calibration),
    }
    write_tagger(folder, state.model.cpu(), prepared.words, info, config.storage, bilm)
    if found_spans:
        part = main_part(found)
        write_errors(folder, part, prepared.parts, found_spans[part])
    write_report(folder, found)
    return found


def _without_paths(config: TaggerConfig) -> dict[str, Any]:
    """The configuration without the folders of the machine it ran on."""
    values = asdict(config)
    for name in ("train", "dev", "test", "bilm", "word_vectors"):
        values[name] = None if values[name] is None else Path(values[name]).name
    return values


def write_report(folder: Path, found: dict[str, Any]) -> None:
    """``report.json``, and the model card and pages, which say the same to people; ``errors.json`` is there already."""
    bilm_info = folder / BILM / "bilm.json"
    if not bilm_info.is_file():
        bilm_info = folder.parent / BILM / "bilm.json"
    has_bilm = found["protocol"]["bilm"] is not None and bilm_info.is_file()
    bilm = json.loads(bilm_info.read_text(encoding="utf-8")) if has_bilm else None
    write_json(folder / REPORT, found)
    write_text(folder / CARD, model_card(found, bilm))
    if found.get("analysis"):  # reports of earlier versions have none, nor has a run that scored nothing
        write_pages(folder, found)


# --- several seeds ----------------------------------------------------------------------------------------------------


def _choose_best(
    config: TaggerConfig, directory: Path, reports: dict[int, dict[str, Any]], report: Report
) -> dict[str, Any]:
    """Put the seed that is best on dev (the first one, if dev was trained on) into ``directory`` itself, with a summary
    of all of them in its report."""
    if len(reports) == 1:
        return next(iter(reports.values()))
    best = config.seeds[0]
    if not config.train_with_dev:
        best = max(reports, key=lambda seed: reports[seed]["scores"]["dev"]["f1"])
    found = reports[best]
    found["protocol"]["seeds"] = list(config.seeds)
    found["seeds"] = summary(reports)
    found[ALL_SEEDS] = {
        part: counts_as_data(add_up([one["sentences"][part] for one in reports.values()]))
        for part in found["sentences"]
    }
    _move_run(directory / f"seed-{best}", directory, None if config.bilm is None else BILM)
    write_json(directory / CONFIG, asdict(config))
    write_report(directory, found)
    why = "without a dev score, kept is the first," if config.train_with_dev else "the best on dev is"
    for part, figures in found["seeds"]["f1"].items():
        spread = f"mean {figures['mean']:.4f} ± {figures['standard_deviation']:.4f}"
        name = figure_name(found["options"])
        _say(report, f"{part} {name} over {len(reports)} seeds: {spread}; {why} seed {best}")
    return found


def summary(reports: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Precision, recall and F1 of every seed on each part, their mean and (sample) standard deviation."""
    parts = list(next(iter(reports.values()))["scores"])
    figures: dict[str, Any] = {name: {} for name in ("f1", "precision", "recall")}
    for name, part in itertools.product(figures, parts):
        by_seed = {str(seed): found["scores"][part][name] for seed, found in reports.items()}
        values = list(by_seed.values())
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        figures[name][part] = {"by_seed": by_seed, "mean": statistics.mean(values), "standard_deviation": spread}
    return figures


def _move_run(source: Path, target: Path, bilm: str | None) -> None:
    """Move a finished run to another folder; its ``tagger.json`` names the biLM's new place."""
    move_info(source, bilm)
    for name in RUN_NAMES:
        if (source / name).exists():
            (source / name).rename(target / name)
    if not any(source.iterdir()):
        source.rmdir()


def _reopen(directory: Path) -> None:
    """Undo :func:`_choose_best` before a run of several seeds goes on."""
    try:
        found = json.loads((directory / REPORT).read_text(encoding="utf-8"))
        seed = found["seed"] if "seeds" in found else None
    except (OSError, ValueError, KeyError, TypeError):
        return
    if seed is not None:
        folder = directory / f"seed-{int(seed)}"
        folder.mkdir(exist_ok=True)
        _move_run(directory, folder, None if not (directory / BILM).exists() else f"../{BILM}")
        found["protocol"]["seeds"] = [seed]
        del found["seeds"]
        found.pop(ALL_SEEDS, None)
        write_report(folder, found)


def _say(report: Report, message: str) -> None:
    report({"event": "note", "message": message})
