"""Tagging: texts or tokens in, entities with their probabilities out, lazily and in order."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
import torch

from ner_elmo.bilm.files.directory import (
    VOCABULARY,
    info_of,
    known_kind,
    seen_words,
    shipped_languages,
    shipped_models,
    text_of,
)
from ner_elmo.errors import NerElmoError, UsageError, is_out_of_memory
from ner_elmo.nn.precision import inference_precision, tagger_precision
from ner_elmo.nn.thread_count import begin_as_usual, threads_for_now
from ner_elmo.runs.devices import chosen_device
from ner_elmo.tagger.decoding import Reading, predict, predict_readings, predict_scored
from ner_elmo.tagger.network.context import document_contexts, in_whole_documents
from ner_elmo.tagger.network.inputs import Example, Words, elmo_layers
from ner_elmo.tagger.network.joined import Network
from ner_elmo.tagger.network.options import MEAN_MIX
from ner_elmo.tagger.store import INFO, StoredTagger, load_tagger, require_bilm_fits
from ner_elmo.text.batching import in_chunks
from ner_elmo.text.documents import Document, Entity, Failure, Record, Token
from ner_elmo.text.files import is_folder, is_there, shown_name
from ner_elmo.text.pacing import as_they_come
from ner_elmo.text.python_inputs import (
    UntilError,
    checked_count,
    checked_iterable,
    checked_name,
    checked_path,
    checked_sentence,
    checked_unit,
    require_lines_of_length,
)
from ner_elmo.text.repair import repaired_sentences
from ner_elmo.text.suitability import Known, complaint, complaint_of_words, look_of_units
from ner_elmo.text.tag_scheme import TOKEN, Span, labels_of
from ner_elmo.text.tokenizer import resolved

if TYPE_CHECKING:
    from ner_elmo.elmo.encoder import Elmo

DEFAULT_MODEL = "en"
BATCH_TOKENS = 8192
# Sentences are sorted by length within so many batches' worth of tokens; no more than that is held at once.
CHUNK_BATCHES = 4
CHUNK_CHARACTERS = 4  # of raw text for each token of a chunk, roughly those of a token and its blank

Unit = str | Sequence[str] | Record
U = TypeVar("U", bound=Sized)
FoundSpan = tuple[Span, float | None]  # with its probability, if that was asked for


def find_model(path_or_name: str | Path | None = None) -> Path:
    """The folder of a tagger: a path, or the name of a model that ships (``en`` without any).

    Raises:
        UsageError: it is neither; the message names the models that ship.
    """
    wanted = DEFAULT_MODEL if path_or_name is None else checked_path(path_or_name, "a tagger's directory or name")
    path = Path(wanted)
    if is_folder(path):
        return path
    if is_there(path):
        raise UsageError(f"{path}: is a file; expected a tagger directory or the name of a model that ships")
    shipped = shipped_models()
    if str(wanted) in shipped:
        return shipped[str(wanted)]
    names = sorted(shipped)
    known = (
        f"the models that ship are {', '.join(names)}"
        if names
        else "no model is installed; try: pip install 'ner-elmo[en]'"
    )
    raise UsageError(f"{shown_name(wanted)}: no such tagger directory; {known}")


def name_of_model(place: Path) -> str:
    """What people call the model in a folder: by the folder's name, but one that ships by the name that finds it (the
    folder of an installed one is called after its package)."""
    return next((name for name, folder in shipped_models().items() if folder == place), place.name)


class Tagger:
    """A trained tagger. It keeps no state between sentences: a sentence's entities depend on nothing beside it.

    Any number of threads may use one at once, and get what one thread gets, to the bit. It may be used after a fork,
    where torch then computes in one thread, and pickled.

    Use :meth:`load`; then :meth:`tag` for texts and :meth:`tag_tokens` for tokenised sentences.
    """

    def __init__(
        self,
        model: Network,
        words: Words,
        text: str,
        elmo: Elmo | None = None,
        device: torch.device | str = "cpu",
        batch_tokens: int | None = None,
        temperature: float = 1.0,
        trained_on: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model.to(device).eval()
        self.words = words
        self.text = text
        self.elmo = elmo
        self.device = device
        self.batch_tokens = batch_tokens or BATCH_TOKENS
        self.temperature = temperature
        self.trained_on = dict(trained_on or {"tokens": text})
        self.bilm_folder: Path | None = None
        self.dehyphenate = False
        self.fold_long_s = False

    @classmethod
    def load(
        cls,
        path_or_name: str | Path | None = None,
        device: torch.device | str = "cpu",
        precision: str = "fp32",
        batch_tokens: int | None = None,
        text: str | None = None,
    ) -> Tagger:
        """Load a tagger directory, or a model that ships by its name (``en`` without any).

        Args:
            precision: how the LSTMs compute: ``fp32``; ``bf16`` on a CPU that has it and ``int8`` on any, for many
                texts faster and less exact, for one short text slower; ``int8-compiled``, the fastest for few and
                many, which the C compiler (``$CC``, ``cc``) makes in a second or two, once in a process; or ``auto``:
                what is fastest for many texts on this CPU without a compiler and loses next to nothing, which is what
                ``ner-elmo tag`` does.
            batch_tokens: tokens computed together, padding included.
            text: how raw text is read, in place of the model's own kind: a kind of text or a language's code.

        Raises:
            UsageError: there is no such tagger, device, precision or kind of text.
            ModelError: one of its files is missing or damaged; the message names it.
        """
        kind = None if text is None else resolved(checked_name(text, "text"))
        device, batch_tokens = chosen_device(device), checked_count(batch_tokens, "batch_tokens")
        of_bilm, of_tagger = inference_precision(precision, device), tagger_precision(precision, device)
        folder = find_model(path_or_name)
        with threads_for_now(
            1
        ):  # copies, mostly: a second thread brings little, and waiting for it much on a busy machine
            stored: StoredTagger = load_tagger(folder)
            if kind is None:
                kind = known_kind(stored.text, folder / INFO)
            elmo = None
            if stored.bilm is not None:
                from ner_elmo.elmo.encoder import Elmo

                elmo = Elmo.load(stored.bilm, device=device, precision=of_bilm, batch_tokens=batch_tokens)
                require_bilm_fits(folder, stored.model.options, elmo.n_layers, elmo.dim)
            if device.type == "cpu":
                stored.model.prepare_for_inference(of_tagger)
        trained_on = stored.info.get("text") or {}
        if "script" not in trained_on and stored.bilm is not None:  # of before it was recorded: as its biLM
            trained_on = {**text_of(stored.bilm), **trained_on}
        tagger = cls(stored.model, stored.words, kind, elmo, device, batch_tokens, stored.temperature, trained_on)
        tagger.bilm_folder = stored.bilm
        return tagger

    def complaints(self, units: Sequence[str]) -> list[str]:
        """What in some first units does not look like what the model was trained for, a line each."""
        look, n_letters = look_of_units(units)
        found = complaint(self.trained_on, look, shipped_languages(), n_letters)
        if found is None:
            forms = [[t.form for t in sentence] for unit in units for sentence in self._read(unit, False).sentences]
            found = complaint_of_words(forms, self._seen())
        return [] if found is None else [found]

    def longest_sentence(self, text: str, tokenized: bool = False) -> int:
        """Tokens of the longest sentence in a text.

        Raises:
            DataError: a line is too long to be looked at.
        """
        return max(map(len, self._read(text, tokenized).sentences), default=0)

    def _seen(self) -> Known:
        """The words of the tagger and its biLM."""
        folder = self.bilm_folder
        of_bilm = Known() if folder is None else seen_words(folder / VOCABULARY, info_of(folder))
        return of_bilm._replace(words=self.words.words)

    @property
    def labels(self) -> list[str]:
        """The labels it can find, in alphabetical order."""
        return labels_of(self.model.options.tags, self.model.options.scheme)

    @overload
    def tag(self, text: str, *, tokenized: bool = ..., scores: bool = ...) -> Document: ...  # type: ignore[overload-overlap]

    @overload
    def tag(self, text: Iterable[Unit], *, tokenized: bool = ..., scores: bool = ...) -> Iterator[Document]: ...

    def tag(
        self, text: str | Iterable[Unit], *, tokenized: bool = False, scores: bool = True
    ) -> Document | Iterator[Document]:
        """The document of one text; or, lazily and in order, those of many texts or lists of tokens.

        A list of tokens is one sentence, whose text is the tokens joined by blanks. With ``tokenized``, texts are not
        tokenised: a line is a sentence, and blanks separate its tokens. Without ``scores``, entities have None for
        their probability, which takes time to compute.

        Raises:
            WrongTypeError: it is neither, at once; or one of many is not, once the documents before it are given out.
        """
        if isinstance(text, str):
            return self._documents([text], tokenized, scores)[0]
        return self._tag_many(checked_iterable(text, "a str, or many texts or lists of tokens"), tokenized, scores)

    def _tag_many(self, units: Iterable[Unit], tokenized: bool, scores: bool) -> Iterator[Document]:
        checked = UntilError(units, checked_unit)
        for chunk in self.chunks(checked):
            yield from self._documents(chunk, tokenized, scores)
        checked.raise_error()

    def pipe(self, units: Iterable[Unit], *, tokenized: bool = False, scores: bool = True) -> Iterator[Document]:
        """As :meth:`tag` for many units that come slowly, or one by one: each is answered when it has come, at most
        0.2 s later, and larger batches are computed only where they come faster than that.

        ``units`` are read by a thread of their own, ahead of what is handed out, but no more than some
        16 batches: a reader that is slow makes them wait. Close what is returned
        (:func:`contextlib.closing`) to stop before their end.

        Raises:
            WrongTypeError: as :meth:`tag`.
        """
        return self._pipe(checked_iterable(units, "many texts or lists of tokens"), tokenized, scores)

    def _pipe(self, units: Iterable[Unit], tokenized: bool, scores: bool) -> Iterator[Document]:
        checked = UntilError(units, checked_unit)
        with closing(as_they_come(checked, self.chunk_characters)) as chunks:
            for chunk in chunks:
                yield from self._documents(chunk, tokenized, scores)
        checked.raise_error()

    def tag_each(
        self, units: Iterable[Unit], *, tokenized: bool = False, scores: bool = True
    ) -> Iterator[Document | Failure]:
        """As :meth:`tag` for many units, but one that fails does not end the others: it becomes a :class:`Failure`.

        Raises:
            WrongTypeError: as :meth:`tag`.
        """
        return self._tag_each(checked_iterable(units, "many texts or lists of tokens"), tokenized, scores)

    def _tag_each(self, units: Iterable[Unit], tokenized: bool, scores: bool) -> Iterator[Document | Failure]:
        checked = UntilError(units, checked_unit)
        for chunk in self.chunks(checked):
            yield from self.tag_chunk(chunk, tokenized=tokenized, scores=scores)
        checked.raise_error()

    def tag_chunk(
        self, chunk: Sequence[Unit | Failure], *, tokenized: bool = False, scores: bool = True
    ) -> list[Document | Failure]:
        """The documents of some units, all computed together; what has failed already stays as it is."""
        units = [unit for unit in chunk if not isinstance(unit, Failure)]
        results: list[Document | Failure]
        try:
            results = list(self._documents(units, tokenized, scores))
        except (NerElmoError, MemoryError, RuntimeError, ValueError):
            results = [self._document_or_failure(unit, tokenized, scores) for unit in units]
        done = iter(results)
        return [unit if isinstance(unit, Failure) else next(done) for unit in chunk]

    def _document_or_failure(self, unit: Unit, tokenized: bool, scores: bool) -> Document | Failure:
        try:
            return self._documents([unit], tokenized, scores)[0]
        except (NerElmoError, MemoryError, RuntimeError, ValueError) as error:
            message = "out of memory" if is_out_of_memory(error) else str(error) or type(error).__name__
            if isinstance(unit, Record):
                return Failure(unit.text, message, unit.origin)
            return Failure(unit if isinstance(unit, str) else " ".join(unit), message)

    def tag_tokens(
        self,
        sentences: Iterable[Sequence[str]],
        *,
        scores: bool = True,
        documents: Iterable[Hashable | None] | None = None,
    ) -> Iterator[list[FoundSpan]]:
        """The entities of tokenised sentences, lazily and in order, each with its probability in 0..1 (None without
        ``scores``).

        Args:
            documents: a number or name of each sentence's document, for a tagger that reads their context; sentences
                of one stand together. None: a sentence by itself, as are all without this.

        Raises:
            WrongTypeError: a sentence is no list of tokens, once those before it are done.
            UsageError: ``documents`` end before the sentences, once those before are done.
        """
        if documents is not None:
            documents = checked_iterable(documents, "documents: one for each sentence")
        return self._tag_tokens(checked_iterable(sentences, "lists of tokens"), scores, documents)

    def _tag_tokens(
        self, sentences: Iterable[Sequence[str]], scores: bool, documents: Iterable[Hashable | None] | None
    ) -> Iterator[list[FoundSpan]]:
        checked = UntilError(sentences, checked_sentence)
        most = CHUNK_BATCHES * self.batch_tokens
        if self.reads_documents and documents is not None:
            for group in in_whole_documents(_numbered(checked, documents), most):
                yield from self._predict([tokens for tokens, _ in group], scores, [number for _, number in group])
        else:
            for chunk in in_chunks(checked, most):
                yield from self._predict(chunk, scores, None)
        checked.raise_error()

    @property
    def reads_documents(self) -> bool:
        """Whether what it finds in a sentence depends on the other sentences of its document."""
        return self.model.options.reads_documents

    @property
    def chunk_characters(self) -> int:
        """Of so many characters documents are held at once. A single one may be a book, so their sentences are cut
        again."""
        return CHUNK_CHARACTERS * CHUNK_BATCHES * self.batch_tokens

    def chunks(self, units: Iterable[U]) -> Iterator[list[U]]:
        """Units that are tagged together."""
        return in_chunks(units, self.chunk_characters)

    @property
    def _scheme(self) -> str:
        """How what it finds is written as tags."""
        return TOKEN if self.model.options.scheme == TOKEN else "iob2"

    def _documents(self, units: Sequence[Unit], tokenized: bool, scores: bool) -> list[Document]:
        documents = [self._read(unit, tokenized) for unit in units]
        forms = [[token.form for token in sentence] for document in documents for sentence in document.sentences]
        numbers = [number for number, document in enumerate(documents) for _ in document.sentences]
        entities = iter(self.tag_tokens(forms, scores=scores, documents=numbers))
        for document in documents:
            for sentence in document.sentences:
                document.entities += [_entity(document.text, sentence, *scored) for scored in next(entities)]
        return documents

    def _read(self, unit: Unit, tokenized: bool) -> Document:
        if isinstance(unit, str | Record):
            text, origin = (unit, None) if isinstance(unit, str) else (unit.text, unit.origin)
            kind = "whitespace" if tokenized else self.text
            require_lines_of_length(text)
            sentences = repaired_sentences(text, kind, self.dehyphenate, self.fold_long_s)
            return Document(text, sentences, scheme=self._scheme, origin=origin)
        tokens, start = [], 0
        for form in unit:
            tokens.append(Token(start, start + len(form), form))
            start += len(form) + 1
        return Document(" ".join(unit), [tokens] if tokens else [], scheme=self._scheme)

    def readings(self, sentences: Iterable[Sequence[str]]) -> Iterator[Reading]:
        """The most probable reading of tokenised sentences, each with its log probability among all readings: lazily
        and in order."""
        for chunk in in_chunks(sentences, CHUNK_BATCHES * self.batch_tokens):
            begin_as_usual()
            examples = self.examples(chunk, None)
            yield from predict_readings(self.model, examples, self.device, self.batch_tokens)

    def _predict(
        self, sentences: Sequence[Sequence[str]], scores: bool, documents: Sequence[Hashable | None] | None
    ) -> list[list[FoundSpan]]:
        begin_as_usual()
        examples = self.examples(sentences, documents)
        if not scores:
            unscored = predict(self.model, examples, self.device, self.batch_tokens)
            return [[(span, None) for span in sentence] for sentence in unscored]
        scored = predict_scored(self.model, examples, self.device, self.batch_tokens, self.temperature)
        return [list(sentence) for sentence in scored]

    def examples(
        self, sentences: Sequence[Sequence[str]], documents: Sequence[Hashable | None] | None
    ) -> list[Example]:
        """What the network reads of tokenised sentences, held in memory; ``documents`` as in :meth:`tag_tokens`."""
        options = self.model.options
        layers: Iterable[np.ndarray | None] = [None] * len(sentences)
        if self.elmo is not None:
            layers = elmo_layers(self.elmo, sentences, options.elmo_layers, average=options.mix == MEAN_MIX)
        examples = [
            Example(tuple(tokens), self.words.indices(tokens), frozen)
            for tokens, frozen in zip(sentences, layers, strict=True)
        ]
        if self.reads_documents:
            numbers = [None] * len(sentences) if documents is None else documents
            found = document_contexts(
                sentences,
                numbers,
                [example.layers for example in examples],  # type: ignore[misc]
                *options.context_reading,
            )
            for example, context, number in zip(examples, found, numbers, strict=True):
                example.context, example.document = context, number
        return examples


def _numbered(
    sentences: Iterable[Sequence[str]], documents: Iterable[Hashable | None]
) -> Iterator[tuple[Sequence[str], Hashable | None]]:
    numbers = iter(documents)
    nothing = object()
    for place, sentence in enumerate(sentences):
        if (number := next(numbers, nothing)) is nothing:
            raise UsageError(f"documents: ended after {place:,}, expected one for each sentence")
        yield sentence, number


def _entity(text: str, sentence: Sequence[Token], span: Span, score: float | None) -> Entity:
    start, end = sentence[span.start].start, sentence[span.end - 1].end
    return Entity(start, end, span.label, text[start:end], score)
