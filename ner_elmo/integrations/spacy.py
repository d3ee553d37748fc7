"""The spaCy component ``ner_elmo``: ``nlp.add_pipe("ner_elmo", config={"model": "en"})`` sets ``doc.ents``.

spaCy's tokens are the tagger's, in the forms that its model expects; a model of characters reads the characters of each
token. Sentences are spaCy's where it has them, else the model's own sentence ends. docs/integrations.md has examples.
"""

# No postponed annotations here: spaCy reads those of the factory.

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

import srsly
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.scorer import get_ner_prf
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import minibatch

from ner_elmo.errors import ModelError, UsageError
from ner_elmo.runs.devices import chosen_device
from ner_elmo.tagger.store import copy_tagger, own_files, read_info
from ner_elmo.tagger.tagger import FoundSpan, Tagger, find_model
from ner_elmo.text.files import replace_directory, write_json
from ner_elmo.text.tokenizer import is_by_character, sentences, tokenize

FACTORY = "ner_elmo"
ASSIGNS = ["doc.ents", "token.ent_iob", "token.ent_type"]
SCORE = "ner_elmo_score"  # Span._.ner_elmo_score: the entity's probability in 0..1, or None
_SETTINGS, _MODEL = "ner_elmo.json", "model"  # what to_disk writes
_REFERENCE = "reference"
_FORMS_KEPT = 100_000

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """What ``config`` says.

    Attributes:
        model: a tagger directory, or the name of a model that ships.
        device, precision, batch_tokens: as those of ``ner-elmo tag``.
        scores: whether probabilities are computed.
        overwrite: whether entities that are there already give way to those that overlap them.
        save_model: whether ``to_disk`` and ``to_bytes`` hold the model itself; else they name it.
    """

    model: str
    device: str
    precision: str
    batch_tokens: int | None
    scores: bool
    overwrite: bool
    save_model: bool


Files = Mapping[str, bytes]
Source = Path | Files  # where the model came from: its folder, or the bytes of its files by their places in it


@Language.factory(
    FACTORY,
    assigns=ASSIGNS,
    default_config={
        "model": "en",
        "device": "cpu",
        "precision": "fp32",
        "batch_tokens": None,
        "scores": True,
        "overwrite": False,
        "save_model": True,
    },
    default_score_weights={"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0, "ents_per_type": None},
)
def make_component(
    nlp: Language,
    name: str,
    model: str,
    device: str,
    precision: str,
    batch_tokens: int | None,
    scores: bool,
    overwrite: bool,
    save_model: bool,
) -> "NerElmo":
    """The component that spaCy adds to a pipeline; its settings are those of :class:`Settings`.

    A model that is not there is an error only when it is needed: a pipeline that was saved brings its own.

    Raises:
        UsageError: an unknown device or precision.
        ModelError: the model is damaged.
    """
    settings = Settings(model, device, precision, batch_tokens, scores, overwrite, save_model)
    component = NerElmo(name, settings)
    try:
        folder = find_model(model)
    except UsageError as error:
        component.missing = str(error)
        chosen_device(device)
    else:
        component.take(folder)
    return component


class NerElmo(Pipe):
    """A tagger in a pipeline of spaCy's.

    Attributes:
        missing: why there is no model.
    """

    def __init__(
        self, name: str, settings: Settings, source: Source | None = None, tagger: Tagger | None = None
    ) -> None:
        self.name = name
        self.settings = settings
        self.missing = ""
        self._source = source
        self._tagger = tagger
        if not Span.has_extension(SCORE):
            Span.set_extension(SCORE, default=None)

    def __reduce__(self) -> tuple[Any, ...]:
        return NerElmo, (self.name, self.settings, self._source, self._tagger)

    @property
    def tagger(self) -> Tagger:
        """The tagger.

        Raises:
            UsageError: there is none.
        """
        if self._tagger is None:
            raise UsageError(self.missing)
        return self._tagger

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels it can find; none without a model."""
        return () if self._tagger is None else tuple(self._tagger.labels)

    def take(self, source: Source) -> None:
        """Load the model that lies in a folder, or whose files these are.

        Raises:
            UsageError: an unknown device or precision.
            ModelError: a file is missing or damaged.
        """
        self._tagger = _with_folder(source, self._load)
        self._source = source
        self.missing = ""

    def _load(self, folder: Path) -> Tagger:
        of = self.settings
        device = chosen_device(of.device)
        return Tagger.load(folder, device=device, precision=of.precision, batch_tokens=of.batch_tokens)

    def __call__(self, doc: Doc) -> Doc:
        """Set the entities of one document.

        Raises:
            UsageError: there is no such model.
        """
        for handled in self.pipe([doc], batch_size=1):
            return handled
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Set the entities of many documents, ``batch_size`` of them at a time, in order."""
        for docs in minibatch(stream, size=batch_size):
            batch = list(docs)
            try:
                self._tag(batch)
            except Exception as error:
                self.get_error_handler()(self.name, self, batch, error)
            else:
                yield from batch

    def _tag(self, docs: Sequence[Doc]) -> None:
        tagger = self.tagger
        read = [list(_sentences(doc, tagger.text)) for doc in docs]
        forms = [sentence.forms for of_doc in read for sentence in of_doc]
        numbers = [number for number, of_doc in enumerate(read) for _ in of_doc]
        found = iter(list(tagger.tag_tokens(forms, scores=self.settings.scores, documents=numbers)))
        for doc, of_doc in zip(docs, read, strict=True):
            entities = [entity for sentence in of_doc for entity in _entities(doc, sentence, next(found))]
            _set_entities(doc, entities, self.settings.overwrite)

    def score(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
        """Precision, recall and F1 of entities as spaCy counts them, for ``nlp.evaluate``."""
        return dict(get_ner_prf(examples, **kwargs))

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Write the model, or what names it, into the folder ``path``.

        Raises:
            UsageError: there is no model.
            CannotWriteError: the system refuses.
        """
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / _SETTINGS, self._reference())
        if self.settings.save_model and _MODEL not in exclude:
            if isinstance(self._source, Path):
                copy_tagger(self._source, folder / _MODEL, with_softmax=False)
            else:
                with replace_directory(folder / _MODEL) as temporary:
                    _write_files(self._source or {}, temporary)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> "NerElmo":
        """Read what :meth:`to_disk` wrote.

        Raises:
            UsageError: the model that is named is not there.
            ModelError: it is damaged, or another than the one that was saved.
        """
        folder = Path(path)
        try:
            reference = dict(json.loads((folder / _SETTINGS).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            raise ModelError(f"{folder}: found no {_SETTINGS}, or a damaged one; expected what to_disk wrote") from None
        if _MODEL not in exclude:
            if (folder / _MODEL).is_dir():
                self.take(folder / _MODEL)
            else:
                self._take_reference(reference)
        return self

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """The model, or what names it, as bytes.

        Raises:
            UsageError: there is no model.
        """
        saved: dict[str, Any] = {_REFERENCE: self._reference()}
        if self.settings.save_model and _MODEL not in exclude:
            saved[_MODEL] = dict(self._files())
        return bytes(srsly.msgpack_dumps(saved))

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> "NerElmo":
        """Read what :meth:`to_bytes` gave.

        Raises:
            UsageError: the model that is named is not there.
            ModelError: it is damaged, or another than the one that was saved.
        """
        try:
            saved = srsly.msgpack_loads(data)
            reference, files = dict(saved[_REFERENCE]), saved.get(_MODEL)
        except Exception:  # whatever msgpack makes of it
            raise ModelError(f"{self.name}: damaged bytes; expected what to_bytes gave") from None
        if _MODEL not in exclude:
            if files is not None:
                self.take(_checked(self.name, files))
            else:
                self._take_reference(reference)
        return self

    def _files(self) -> Files:
        if isinstance(self._source, Path):
            return {name: (self._source / name).read_bytes() for name in own_files(self._source)}
        return self._source or {}

    def _reference(self) -> dict[str, str]:
        """The model's name, and the digest by which it is known again."""
        _ = self.tagger  # or there is none
        return {"model": self.settings.model, "sha256": _with_folder(self._source or {}, _digest)}

    def _take_reference(self, reference: Mapping[str, Any]) -> None:
        folder = find_model(self.settings.model)
        if _digest(folder) != reference.get("sha256"):
            raise ModelError(f"{folder}: is another model than the one that was saved with this pipeline")
        if self._source != folder:
            self.take(folder)


# Models ---------------------------------------------------------------------------------------------------------------


def _digest(folder: Path) -> str:
    return str(read_info(folder)["sha256"])


def _with_folder(source: Source, use: Callable[[Path], T]) -> T:
    """What ``use`` makes of the model's folder, which is there for so long."""
    if isinstance(source, Path):
        return use(source)
    with TemporaryDirectory(prefix="ner-elmo-") as folder:
        _write_files(source, Path(folder))
        return use(Path(folder))


def _write_files(files: Files, folder: Path) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def _checked(owner: str, files: Any) -> Files:
    """Files by their places in the model's folder, none of which leads out of it."""
    for name, content in dict(files).items():
        place = PurePosixPath(name) if isinstance(name, str) else PurePosixPath("/")
        if place.is_absolute() or ".." in place.parts or len(place.parts) > 2 or not isinstance(content, bytes):
            raise ModelError(f"{owner}: damaged bytes; expected what to_bytes gave")
    return dict(files)


# Tokens ---------------------------------------------------------------------------------------------------------------


class _Sentence(NamedTuple):
    """The tagger's tokens of a sentence, and for each of them the number of spaCy's token that it stands in."""

    forms: list[str]
    places: list[int]


def _sentences(doc: Doc, kind: str) -> Iterator[_Sentence]:
    """The sentences of a document that have any token; white space is none."""
    begins = _own_begins(doc, kind)
    sentence = _Sentence([], [])
    for token in doc:
        if token.is_sent_start if begins is None else token.i in begins:
            if sentence.forms:
                yield sentence
            sentence = _Sentence([], [])
        for form in _forms(token.text, kind):
            sentence.forms.append(form)
            sentence.places.append(token.i)
    if sentence.forms:
        yield sentence


def _own_begins(doc: Doc, kind: str) -> frozenset[int] | None:
    """The numbers of the tokens that begin a sentence by the rules of ``kind``; None where spaCy knows."""
    if doc.has_annotation("SENT_START"):
        return None
    begins = set()
    starts = iter([sentence[0].start for sentence in sentences(doc.text, kind)])
    start = next(starts, None)
    for token in doc:
        while start is not None and token.idx >= start:
            begins.add(token.i)
            start = next(starts, None)
    return frozenset(begins)


@lru_cache(maxsize=_FORMS_KEPT)
def _forms(text: str, kind: str) -> tuple[str, ...]:
    """What the tagger sees of a token of spaCy's: none of white space, one form, or those of its characters."""
    forms = tuple(token.form for token in tokenize(text, kind))
    return forms if is_by_character(kind) or not forms else ("".join(forms),)


# Entities -------------------------------------------------------------------------------------------------------------


class _Entity(NamedTuple):
    """An entity, from token to token."""

    span: Span
    score: float | None


def _entities(doc: Doc, sentence: _Sentence, found: Sequence[FoundSpan]) -> Iterator[_Entity]:
    """The entities of a sentence; one that begins within a token that another has taken is left out."""
    last = 0
    for span, score in found:
        start, end = sentence.places[span.start], sentence.places[span.end - 1] + 1
        if start >= last:
            yield _Entity(Span(doc, start, end, label=span.label), score)
            last = end


def _set_entities(doc: Doc, found: Sequence[_Entity], overwrite: bool) -> None:
    """Set ``doc.ents``: those that are found, and those that were there and do not overlap them; without ``overwrite``
    the latter come first. Tokens that are kept from being an entity stay so."""
    before = list(doc.ents)
    blocked = [doc[token.i : token.i + 1] for token in doc if token.ent_iob_ == "B" and not token.ent_type_]
    taken = _numbers([*blocked, *(() if overwrite else before)])
    new = [entity for entity in found if taken.isdisjoint(range(entity.span.start, entity.span.end))]
    ours = _numbers(entity.span for entity in new)
    kept = [span for span in before if ours.isdisjoint(range(span.start, span.end))]
    doc.set_ents([*kept, *(entity.span for entity in new)], blocked=blocked, default="outside")
    for entity in new:
        entity.span._.set(SCORE, entity.score)


def _numbers(spans: Iterable[Span]) -> set[int]:
    return {number for span in spans for number in range(span.start, span.end)}
