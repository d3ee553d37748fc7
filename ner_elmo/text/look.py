"""Which kind of text fits raw text, by its look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ner_elmo.text.language_kinds import newest_kind
from ner_elmo.text.languages import Look, look_at
from ner_elmo.text.tokenizer import resolved

# Where no language is clear, these have the rules that serve their script.
_OF_SCRIPT = {"Latin": "en", "Cyrillic": "ru", "Arabic": "ar", "Devanagari": "hi", "Kana": "ja"}
BLANKS_LEAST = 0.01  # of tokens: data in which blanks are tokens


def name_by_look(look: Look) -> str:
    """What ``--text`` should be for a text that looks so: a language's code, or ``characters`` for Chinese."""
    if look.script == "Han":
        return "characters"
    return look.language or _OF_SCRIPT.get(look.script or "Latin", "en")


def kind_by_look(texts: Iterable[str]) -> str:
    """The kind of text for raw text that looks like ``texts``."""
    return resolved(name_by_look(look_at(texts)))


def other_kinds(kind: str, texts: Iterable[str]) -> Iterator[str]:
    """Other names for ``--text`` whose tokens may have the boundaries that those of ``kind`` lack, the likeliest first.

    Of two that do, the first is the one to choose: it leaves more words whole.
    """
    look = look_at(texts)
    names = [name_by_look(look)]
    names += ["fr", "it", "tr"] if look.script == "Latin" else []
    for name in dict.fromkeys([*names, "characters-words", "characters"]):
        if resolved(name) != kind:
            yield name


def share_of_blanks(sentences: Sequence[Sequence[str]]) -> float:
    """How many of the tokens are blanks."""
    n_tokens = sum(map(len, sentences))
    return sum(token.isspace() for tokens in sentences for token in tokens) / max(1, n_tokens)


def is_latin_word(token: str) -> bool:
    return len(token) > 1 and token.isascii() and token.isalnum()


def kind_of_tokens(sentences: Sequence[Sequence[str]], keeps_latin_words: bool = False) -> str:
    """The kind of text whose tokens labelled sentences look to have.

    Args:
        keeps_latin_words: of the kinds of single characters, take that with whole Latin words if there are any.
    """
    n_tokens = sum(map(len, sentences))
    n_single = sum(len(token) == 1 for sentence in sentences for token in sentence)
    if n_tokens and n_single > 0.9 * n_tokens:
        if share_of_blanks(sentences) >= BLANKS_LEAST:
            return "characters-blanks"
        has_words = any(is_latin_word(token) for sentence in sentences for token in sentence)
        return "characters-words" if keeps_latin_words and has_words else "characters"
    look = look_at(" ".join(sentence) for sentence in sentences)
    if look.script == "Han" or newest_kind(name_by_look(look)) is None:
        return resolved("zh-words") if look.script == "Han" and _has_jieba() else "en-1"
    return resolved(name_by_look(look))


def _has_jieba() -> bool:
    import importlib.util

    return importlib.util.find_spec("jieba") is not None
