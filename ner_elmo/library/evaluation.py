"""How well a tagger finds the entities of labelled files."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ner_elmo.errors import DataError
from ner_elmo.runs.devices import chosen_device
from ner_elmo.runs.events import Report, silent, warning
from ner_elmo.text.formats.check import unbroken_in
from ner_elmo.text.formats.conll import ConllFile, Reading
from ner_elmo.text.formats.corpus import Corpus, LabelledSentence, in_documents, load_corpus
from ner_elmo.text.formats.labels import listed, listed_if_labels
from ner_elmo.text.formats.problems import summary
from ner_elmo.text.formats.recognition import is_raw_text, recognize
from ner_elmo.text.tag_scheme import TOKEN, Span

if TYPE_CHECKING:
    from ner_elmo.tagger.tagger import Tagger

Place = str | Path


@dataclass(frozen=True)
class LabelScores:
    """Of one label: fractions of 1, and ``support``, how many entities of the gold standard have it."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Scores:
    """How good predicted entities are, as conlleval counts: an entity is right if its start, end and label are.

    Attributes:
        precision, recall, f1: fractions of 1, over all entities.
        accuracy: the share of tokens with the right tag.
        sentences, tokens: how many were compared.
        labels: the same for each label.
    """

    precision: float
    recall: float
    f1: float
    accuracy: float
    sentences: int
    tokens: int
    labels: dict[str, LabelScores]

    @classmethod
    def of(cls, figures: Mapping[str, Any]) -> Scores:
        """The figures as ``report.json`` and ``evaluate --json`` have them."""
        labels = {name: LabelScores(**row) for name, row in figures["labels"].items()}
        micro = {name: float(figures[name]) for name in ("precision", "recall", "f1", "accuracy")}
        return cls(**micro, sentences=int(figures["sentences"]), tokens=int(figures["tokens"]), labels=labels)


@dataclass(frozen=True)
class Compared:
    """The entities of the gold standard, sentence by sentence, beside those that were found.

    Attributes:
        lengths: tokens of each sentence.
        seconds: that finding them took.
    """

    gold: Sequence[Sequence[Span]]
    found: Sequence[Sequence[Span]]
    lengths: Sequence[int]
    seconds: float

    @cached_property
    def figures(self) -> dict[str, Any]:
        """What :meth:`Scores.of` reads."""
        from ner_elmo.tagger.report.scores import accuracy, count, scores

        figures = scores(count(self.gold, self.found))
        micro = {name: figures[name] for name in ("precision", "recall", "f1")}
        sizes = {"sentences": len(self.gold), "tokens": sum(self.lengths)}
        return micro | {"accuracy": accuracy(self.gold, self.found, self.lengths), **sizes, "labels": figures["labels"]}


def evaluate(
    model: Tagger | Place | None,
    files: Place | Sequence[Place],
    reading: Reading = Reading(),  # noqa: B008 - frozen
    *,
    device: str = "auto",
    precision: str = "fp32",
    batch_tokens: int | None = None,
    report: Report = silent,
) -> Scores:
    """Compare a tagger's entities with those of labelled files, all files together, as ``ner-elmo evaluate`` does.

    Args:
        model: a tagger, its directory, or the name of a model that ships (None: ``en``).
        files: of any kind that ``ner-elmo check`` reads.
        reading: how they are read, such as ``Reading(column=3, scheme="iob1")``.
        device: where a tagger that is loaded here computes; one that was handed in has its own.
        precision: how its LSTMs compute: ``fp32``, ``bf16``, ``int8`` or ``auto`` (:meth:`ner_elmo.Tagger.load`).
        batch_tokens: tokens computed together.
        report: is told warnings, dictionaries with an ``event`` and a ``message``.

    Raises:
        UsageError: no such file, model, scheme, column or device.
        DataError: what cannot be read, with its line.
        ModelError: the model is damaged.
    """
    from ner_elmo.tagger.tagger import Tagger

    names = [files] if isinstance(files, str | Path) else list(files)
    gold = read_gold(names, reading_for(names, model, reading), report)
    if not isinstance(model, Tagger):
        model = Tagger.load(model, device=chosen_device(device), precision=precision, batch_tokens=batch_tokens)
    return Scores.of(compare(gold, model, report).figures)


def reading_for(files: Sequence[Place], model: Tagger | Place | None, reading: Reading) -> Reading:
    """``reading`` as a tagger needs it: raw text in its tokens, and a tag for each token where it gives one.

    Raises:
        UsageError, ModelError: there is no such tagger, or it is damaged.
    """
    kind, scheme = _nature(model)
    if any(is_raw_text(file, reading.source, reading.decoding) for file in files):
        reading = replace(reading, text=kind)
    return replace(reading, scheme=TOKEN) if scheme == TOKEN else reading


def _nature(model: Tagger | Place | None) -> tuple[str, str]:
    """The kind of raw text that a tagger reads, and its tag scheme; its weights are not read for that."""
    from ner_elmo.tagger.store import read_info
    from ner_elmo.tagger.tagger import Tagger, find_model

    if isinstance(model, Tagger):
        return model.text, model.model.options.scheme
    info = read_info(find_model(model))
    return str(info["text"]["tokens"]), str(info["scheme"])


def read_gold(files: Sequence[Place], reading: Reading, report: Report = silent) -> list[Corpus]:
    """Labelled files; what is doubtful in them is reported as warnings.

    Raises:
        UsageError, DataError: as :func:`~ner_elmo.text.formats.corpus.load_corpus`.
    """
    return [_load(file, reading, report) for file in files]


def _load(file: Place, reading: Reading, report: Report) -> Corpus:
    corpus = load_corpus(file, reading)
    for line in summary(corpus.name, [*corpus.warnings, *unbroken_in(corpus)]):
        warning(report, line)
    return corpus


def compare(gold: Sequence[Corpus], tagger: Tagger, report: Report = silent) -> Compared:
    """The entities of ``gold`` beside those that ``tagger`` finds in its tokens; labels that it does not know are
    named in a warning, and count as missed."""
    sentences = [sentence for corpus in gold for sentence in corpus.sentences]
    counts = Counter(span.label for sentence in sentences for span in sentence.spans)
    unknown = {label: number for label, number in counts.items() if label not in tagger.labels}
    if unknown:
        names, known = listed_if_labels(unknown), listed(tagger.labels)
        warning(report, f"labels that the model does not know count as missed: {names} (it knows {known})")
    begun = time.monotonic()
    tokens = [sentence.tokens for sentence in sentences]
    documents = _numbers_of_documents(gold, tagger.model.options.reads_running_text)
    scored = tagger.tag_tokens(tokens, scores=False, documents=documents)
    found = [[span for span, _ in spans] for spans in scored]
    return _compared(gold, found, time.monotonic() - begun)


def _numbers_of_documents(corpora: Sequence[Corpus], running_text: bool) -> list[tuple[int, int] | None]:
    """Of each sentence the numbers of its file and of its document there, or None."""
    return [
        None if sentence.document is None else (number, sentence.document)
        for number, corpus in enumerate(corpora)
        for sentence in in_documents(corpus.sentences, running_text)
    ]


def compare_with_file(gold: Sequence[Corpus], predictions: Path, reading: Reading, report: Report = silent) -> Compared:
    """The same for the entities of a file of predictions, which must have the same sentences.

    Raises:
        UsageError, DataError: it cannot be read, or has others.
    """
    begun = time.monotonic()
    predicted = _load(predictions, _reading_of_predictions(predictions, reading), report)
    _require_same_tokens(gold, predicted)
    return _compared(gold, [sentence.spans for sentence in predicted.sentences], time.monotonic() - begun)


def _compared(gold: Sequence[Corpus], found: Sequence[Sequence[Span]], seconds: float) -> Compared:
    sentences = [sentence for corpus in gold for sentence in corpus.sentences]
    lengths = [len(sentence.tokens) for sentence in sentences]
    return Compared([sentence.spans for sentence in sentences], found, lengths, seconds)


def _reading_of_predictions(path: Path, reading: Reading) -> Reading:
    """As the gold files are read; but ``token<TAB>tag``, which ``tag`` writes, where those have further columns."""
    if str(path) == "-" or recognize(path, reading.source, reading.decoding) != "conll":
        return reading
    columns = {column % 2 for column in (reading.column, reading.token_column or 0) if -2 <= column < 2}
    plain = replace(reading, column=-1, token_column=None, header=None)
    return plain if len(columns) < 2 and ConllFile(path, plain).n_columns == 2 else reading


def _require_same_tokens(gold: Sequence[Corpus], predicted: Corpus) -> None:
    """Hold a file of predictions to the sentences of the gold files, in their order.

    Raises:
        DataError: sentences are missing, added, or of other tokens; the first such is named.
    """
    expected = [(corpus.name, number, s) for corpus in gold for number, s in enumerate(corpus.sentences, start=1)]
    for index, ((name, number, one), other) in enumerate(zip(expected, predicted.sentences, strict=False)):
        if one.tokens != other.tokens:
            raise DataError(
                f"{predicted.name}:{predicted.lines[index]}: found another sentence ({_difference(one, other)}), "
                f"expected sentence {number} of {name}"
            )
    if len(expected) != len(predicted.sentences):
        raise DataError(
            f"{predicted.name}:{predicted.lines[-1]}: found {len(predicted.sentences)} sentences, expected as many as "
            f"in the gold standard: {len(expected)}"
        )


def _difference(one: LabelledSentence, other: LabelledSentence) -> str:
    """How the tokens of two sentences differ, without any of their words."""
    if len(one.tokens) != len(other.tokens):
        return f"of {len(other.tokens)} tokens instead of {len(one.tokens)}"
    first = next(n for n, (a, b) in enumerate(zip(one.tokens, other.tokens, strict=True), start=1) if a != b)
    return f"token {first} is another one"
