"""From names on a command line to an :class:`~ner_elmo.explore.exploration.Explorer`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from ner_elmo.bilm.data.corpus import find_files, read_sentences
from ner_elmo.elmo.encoder import Elmo
from ner_elmo.elmo.feature_cache import default_folder
from ner_elmo.errors import UsageError
from ner_elmo.explore.exploration import Explorer
from ner_elmo.explore.index import Made, OccurrenceIndex, build_index, bytes_for, read_info, unit_length
from ner_elmo.explore.static import StaticVectors
from ner_elmo.runs.events import Report, note
from ner_elmo.tagger import store
from ner_elmo.tagger.network.joined import members_of
from ner_elmo.text.files import require_text, shown_name
from ner_elmo.text.language_kinds import newest_kind
from ner_elmo.text.tokenizer import is_by_character, resolved
from ner_elmo.text.word_vectors import read_word_vectors

MAX_TOKENS = 1_000_000


def query_kind(elmo: Elmo, kind: str | None) -> str:
    """How a question is split: as asked; as the biLM's text was; or, if that came in tokens, by its language."""
    if kind is not None:
        return resolved(kind)
    if elmo.text != "whitespace":
        return elmo.text
    language = (elmo.files.info.get("text") or {}).get("language")
    return resolved(language) if language in ("en", "zh") or (language and newest_kind(language)) else "whitespace"


def open_index(
    elmo: Elmo,
    corpus: Sequence[Path],
    directory: Path | None,
    report: Report,
    kind: str | None = None,
    encoding: str = "utf-8",
    max_tokens: int = MAX_TOKENS,
) -> OccurrenceIndex:
    """The index of a corpus, made now if it is not there yet.

    Args:
        corpus: text files or folders; none: ``directory`` must hold an index.
        directory: where it lies; by default in the user's cache, under a name made from what it is made from.
        kind: how the text is split into tokens; by default as the biLM's own was.

    Raises:
        UsageError, DataError: a file is missing or no text, or the index is of something else or damaged.
        NerElmoError: the disk is full.
    """
    bilm = elmo.files.sha256(elmo.files.weights)
    if not corpus:
        if directory is None:
            raise UsageError("nothing to look in; expected --text CORPUS, or --index with a folder made before")
        index = OccurrenceIndex(directory)
        require_same_bilm(index, bilm)
        return index
    files = find_files(corpus)
    for file in files:
        require_text(file, encoding)
    tokenizer = resolved(kind) if kind is not None else elmo.files.checked_tokenizer()
    made = Made(bilm, [[file.name, file.stat().st_size] for file in files], tokenizer, max_tokens)
    directory = directory or default_folder() / "explore" / _name(made)
    info = read_info(directory) if directory.is_dir() else None
    if info is None or not info["finished"]:
        size = bytes_for(max_tokens, elmo) / 1e9
        note(report, f"making an index in {shown_name(directory)}: at most {size:.1f} GB; stop and go on as you like")
    return build_index(elmo, partial(_sentences, files, tokenizer, encoding), directory, made, report)


def _sentences(files: Sequence[Path], tokenizer: str, encoding: str) -> Iterator[list[str]]:
    return read_sentences(files, tokenizer, encoding)


def _name(made: Made) -> str:
    return hashlib.sha256(json.dumps(made.to_json()).encode()).hexdigest()[:16]


def require_same_bilm(index: OccurrenceIndex, bilm: str) -> None:
    """Refuse an index of another biLM.

    Raises:
        UsageError: it is one.
    """
    if index.info["bilm"] != bilm:
        raise UsageError(
            f"{index.directory}: this index was made with another biLM; name that one, or make a new index"
        )


def word_vectors_of_file(path: Path, index: OccurrenceIndex) -> StaticVectors:
    """Static vectors from a file, of the corpus's forms alone.

    Raises:
        UsageError, DataError: it is missing, or no file of vectors.
    """
    words, vectors = read_word_vectors(path, wanted=index.forms)
    if not words:
        raise UsageError(f"{path}: has a vector for none of the words of the text")
    return StaticVectors(f"word vectors of {path.name}", words, unit_length(vectors))


def word_vectors_of_tagger(folder: Path) -> StaticVectors | None:
    """The static vectors of a tagger, as its training left them (of a joined one its first member's); ``None`` if it
    has none."""
    if not (folder / store.INFO).is_file():
        return None
    stored = store.load_tagger(folder)
    first = members_of(stored.model)[0]
    if first.words is None:
        return None
    table = first.words.table().detach().numpy()
    return StaticVectors("the tagger's word vectors", stored.words.words[2:], unit_length(table[2:]))


def explorer(elmo: Elmo, index: OccurrenceIndex, static: Sequence[StaticVectors]) -> Explorer:
    """An explorer whose contexts are written as the text's language is: without blanks where characters are tokens."""
    forms = index.forms[:20_000]
    single = sum(len(form) == 1 for form in forms) > 0.8 * len(forms)
    by_character = is_by_character(str(index.info["kind"])) or single
    return Explorer(elmo, index, static, "" if by_character else " ")
