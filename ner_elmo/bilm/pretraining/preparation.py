"""Before training: the text is examined and counted, and what nobody chose is settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ner_elmo.bilm.data.corpus import HELDOUT_MOST, TextSource, describe, find_files, read_sentences, tokenizer_of
from ner_elmo.bilm.data.running_text import Rows, require_enough_text
from ner_elmo.bilm.files.directory import BilmFiles, load_vocabulary
from ner_elmo.bilm.pretraining.adaptation import find_parent, keeps_words, vocabulary_from_parent
from ner_elmo.bilm.pretraining.config import OWN_TEXTS, PretrainConfig
from ner_elmo.bilm.pretraining.defaults import FREQUENT, advice, settle
from ner_elmo.bilm.pretraining.distributed import Processes
from ner_elmo.bilm.pretraining.kept_count import count_key, read_count
from ner_elmo.bilm.pretraining.shards import Shards, own_files
from ner_elmo.errors import DataError
from ner_elmo.runs.events import Report, note, warning
from ner_elmo.text.counting import TextCount, count_text
from ner_elmo.text.examination import examine, is_spaced_out, read_samples
from ner_elmo.text.files import sha256_of_file
from ner_elmo.text.heldout import Split, sentence_digest
from ner_elmo.text.vocabulary import Vocabulary, most_frequent, read_vocabulary


@dataclass
class PreparedText:
    """The text as counted before training, and the settings with nothing left open.

    Attributes:
        scale: of how many times the counted text the whole is (1 unless only a sample was counted).
        file_digests: SHA-256 of each file of the training text; none if only a sample was counted.
        count_key: of the count (:func:`ner_elmo.bilm.pretraining.kept_count.count_key`).
        was_kept: whether the count was that of an earlier start.
    """

    config: PretrainConfig
    source: TextSource
    heldout: list[list[str]]
    vocabulary: Vocabulary
    count: TextCount
    scale: float = 1.0
    parent: BilmFiles | None = None
    shards: Shards | None = None
    file_digests: Sequence[str] = ()
    count_key: str = ""
    was_kept: bool = False

    @property
    def own_source(self) -> TextSource:
        """The text that this process reads for training."""
        return self.source if self.shards is None else self.shards.own(self.source)

    def digests(self) -> dict[str, str]:
        """What a run that goes on must find as it was: its texts, and the model that it began with."""
        found = {"text": "/".join(self.file_digests)}
        if self.config.heldout is not None:
            found["held-out text"] = "/".join(map(sha256_of_file, find_files([self.config.heldout])))
        if self.parent is not None:
            found["model of --init"] = self.parent.sha256(self.parent.weights)
        return found

    @property
    def counts(self) -> Counter[str]:
        """How often each token occurs in the training text, with the number of its sentences under ``</S>``."""
        return self.count.counts

    @property
    def n_tokens(self) -> int:
        """Tokens of the training text."""
        return round(self.count.n_tokens * self.scale)

    @property
    def total_tokens(self) -> int:
        """Tokens to train on."""
        return self.config.tokens_to_train_on(self.n_tokens)


def prepare(
    config: PretrainConfig,
    device: str,
    report: Report,
    count_processes: int = 1,
    sample: Sequence[int] | None = None,
    scale: float = 1.0,
    parent: BilmFiles | None = None,
    processes: Processes = Processes(),  # noqa: B008 - immutable
    checkpoints: Path | None = None,
) -> PreparedText:
    """Find the text, count it in one pass, settle what the configuration leaves open, the vocabulary and the held-out
    sentences.

    Args:
        device: ``cpu`` or ``cuda``, which the defaults depend on.
        count_processes: that count tokens.
        sample: characters of each file to count; the whole text is ``scale`` times as much.
        parent: the model of ``config.init`` if it is open already.
        processes: those that share out the files among them, with ``config.shard_files``.
        checkpoints: of a run that goes on, where the count may have been kept.

    Raises:
        UsageError: a file is missing, or there are fewer than processes that want one each.
        DataError: no sentence in the text, or none left to hold out.
    """
    source = TextSource(tuple(find_files(config.corpus)), tokenizer_of(config.text), config.decoding)
    if config.text not in OWN_TEXTS:
        note(report, f"the text is read as {source.tokenizer} (--text tokenized: a sentence a line, as it is)")
    shards = Shards(source.files, processes) if config.shard_files else None
    heldout: list[list[str]] = []
    if config.heldout is None:
        source = source.holding_out() if shards is None else shards.holding_out(source)
    else:
        heldout = list(read_sentences(find_files([config.heldout]), source.tokenizer, config.decoding))
        source = replace(source, split=Split(elsewhere=frozenset(map(sentence_digest, heldout))))
    digests = _file_digests(source, shards) if sample is None else []
    key = count_key(source, digests)
    kept = read_count(checkpoints, key) if checkpoints is not None and sample is None else None
    was_kept = not processes.any(kept is None)  # all of them count, or none does
    if kept is not None and was_kept:
        note(report, "the text is as it was counted before")
        count = kept
    else:
        note(report, f"counting tokens in {describe(source.files)}")
        count = _count(source, shards, count_processes, sample)
    report({"event": "counted", **count_facts(count)})
    if count.n_forgotten:
        note(
            report,
            f"too many distinct tokens to count all: {count.n_forgotten:,} of the rarest are left out of the count",
        )
    source = replace(source, sizes=tuple(count.sentences))
    heldout = heldout or count.heldout
    if not count.counts["</S>"]:
        raise DataError(f"{describe(source.files)}: found no sentence; expected text, one sentence a line")
    if not heldout:
        raise DataError("found no sentence to hold out for perplexity; give more text, or --heldout FILE")
    n_tokens = round(count.n_tokens * scale)
    frequent = max(2, round(FREQUENT / scale))
    n_frequent = sum(n >= frequent for token, n in count.counts.items() if token != "</S>")
    if config.init is not None:
        parent = parent or find_parent(config.init)
    is_open = parent is None or not keeps_words(parent)
    config, chosen = settle(config, n_tokens, n_frequent, device, torch.get_num_threads(), is_open)
    if chosen:
        note(report, "chosen for this text and device: " + ", ".join(chosen))
    if little := advice(config, n_tokens):
        note(report, little)
    if config.carry_state:
        require_enough_text(rows_of(config), n_tokens, count.counts["</S>"])
    vocabulary = _vocabulary(config, parent, count.counts)
    if parent is not None and keeps_words(parent):
        n_new = len(vocabulary) - sum(token in vocabulary for token in load_vocabulary(parent).tokens)
        note(report, f"vocabulary: {len(vocabulary) - n_new:,} words of {config.init}, {n_new:,} others")
    return PreparedText(config, source, heldout, vocabulary, count, scale, parent, shards, digests, key, was_kept)


def _file_digests(source: TextSource, shards: Shards | None) -> list[str]:
    return list(map(sha256_of_file, source.files)) if shards is None else shards.digests()


def _count(source: TextSource, shards: Shards | None, processes: int, sample: Sequence[int] | None) -> TextCount:
    """The count of the whole text, of which with ``shards`` each process reads its own part."""
    if shards is None:
        return _count_files(source, processes, sample)
    return shards.joined(_count_files(shards.own(source), processes, sample), HELDOUT_MOST)


def _count_files(source: TextSource, processes: int, sample: Sequence[int] | None) -> TextCount:
    return count_text(
        source.files,
        source.tokenizer,
        source.encoding,
        source.split,
        heldout_most=HELDOUT_MOST,
        processes=processes,
        most_characters=sample,
    )


def rows_of(config: PretrainConfig) -> Rows:
    """How the settings lay out running text."""
    return Rows(config.batch_tokens // config.unroll_steps, config.unroll_steps, config.order, config.seed)


def _vocabulary(config: PretrainConfig, parent: BilmFiles | None, counts: Counter[str]) -> Vocabulary:
    if config.vocabulary is not None:
        return read_vocabulary(config.vocabulary)
    if parent is not None:
        return vocabulary_from_parent(config, parent, counts)
    return most_frequent(counts, config.vocabulary_size or 0, config.min_count)


def examine_text(
    config: PretrainConfig,
    report: Report,
    force: bool = False,
    processes: Processes = Processes(),  # noqa: B008 - immutable
) -> None:
    """Look at a sample of all files: is it text of the kind, in the encoding, that the configuration says?

    Args:
        force: only warn.
        processes: each looks at its own files, with ``config.shard_files``.

    Raises:
        UsageError: a file is missing.
        DataError: the text looks untokenised or wrongly decoded, or too many tokens are cut; the message names the
            option that fits.
    """
    files = find_files(config.corpus)
    if config.shard_files:
        files = [files[number] for number in own_files(files, processes)[processes.rank]]
    files += find_files([config.heldout]) if config.heldout else []
    has_characters = config.options is None or config.bilm_options.char_cnn is not None
    max_characters = (config.bilm_options.max_characters if config.options else 50) if has_characters else None
    problems = examine(files, config.text, tokenizer_of(config.text), config.decoding, max_characters)
    if problems and not force:
        more = f" (and {len(problems) - 1} more files)" if len(problems) > 1 else ""
        raise DataError(f"{problems[0]}{more}; --force trains on it as it is")
    for problem in problems:
        warning(report, problem)
    if config.text == "characters":
        for sample in read_samples(files, config.decoding):
            if is_spaced_out(sample.lines):
                note(
                    report,
                    f"{sample.name}: has a blank between every two characters, Latin letters and digits too; for "
                    "labelled data that has single letters and digits as tokens, too, train with --text tokenized",
                )


def count_facts(count: TextCount) -> dict[str, Any]:
    return {
        "corpus_tokens": count.n_tokens,
        "corpus_sentences": count.counts["</S>"],
        "types": len(count.counts) - 1,
        "repeated_sentences": count.repeated.number(),
        "repeated_is_exact": count.repeated.is_exact,
        "left_out_as_heldout": count.n_elsewhere,
    }
