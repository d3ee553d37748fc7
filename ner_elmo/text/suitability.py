"""Whether a text looks like what a model was trained for, in one line."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ner_elmo.text.language_kinds import language_of
from ner_elmo.text.languages import Look, are_near, look_at, scripts_of

_WORDS_LEAST = 40  # below which small words do not decide
_LETTERS_LEAST = 10
_TOKENS_LEAST = 100  # with a letter
_VOCABULARY_LEAST = 4_000  # of fewer words, unseen ones say nothing
_VOCABULARY_LARGE = 20_000
# Seen (docs/languages.md): text of the model's own kind has 12 % unseen words at most and 1.1 % unseen letters; another
# language 41 % and more.
_UNSEEN_MOST = 0.3  # of tokens with a letter, if the vocabulary is large
_UNSEEN_MOST_OF_SMALL = 0.6
_TIMES_HELDOUT = 4  # what of the model's own held-out text it did not know
_UNSEEN_LETTERS_MOST = 0.05
# Characters beyond the commonest quarter of the vocabulary: 24 % at most, traditional ones for a simplified model 54 %.
_RARE_CHARACTERS_MOST = 0.4
# Program code: rare words and many of these signs. Tweets have 4 % of them and 16 % rare words.
_CODE_SIGNS = frozenset("{}[]()=<>_;\\|*^~")
_CODE_SIGNS_MOST = 0.05
_RARE_WORDS_MOST = 0.25


class Known(NamedTuple):
    """What a model has seen.

    Attributes:
        words: those of the tagger.
        vocabulary: those of its biLM by falling frequency.
        unknown_rate: how many of the biLM's own held-out tokens its vocabulary lacks; None where that is not known.
    """

    words: Collection[str] = ()
    vocabulary: Sequence[str] = ()
    unknown_rate: float | None = None


def trained_for(text: Mapping[str, Any]) -> tuple[str | None, frozenset[str]]:
    """The language and the scripts of a model, by the ``text`` of its ``bilm.json`` or ``tagger.json``."""
    kind = str(text.get("tokens", ""))
    language = text.get("language") or language_of(kind)
    scripts = frozenset([text["script"]] if text.get("script") else ())
    if language:
        scripts |= scripts_of(str(language).split("-")[0])
    elif kind == "characters-words":
        scripts |= {"Han"}
    return (str(language) if language else None), scripts


def complaint(
    text: Mapping[str, Any], look: Look, shipped: Mapping[str, str | None] | None = None, n_letters: int = 1_000
) -> str | None:
    """One line on a text that looks like ``look``, if a model of ``text`` was not trained for such; None if it was.

    Args:
        shipped: the names of models that ship, each with its language.
    """
    language, scripts = trained_for(text)
    if look.script is None or n_letters < _LETTERS_LEAST:
        return None
    if scripts and look.share > 0.5 and look.script not in scripts:
        what = f"{look.share:.0%} of its letters are {look.script}, not {_named(language, scripts)}"
    elif language and look.language and not are_near(look.language, language) and look.words >= _WORDS_LEAST:
        what = f"it looks to be in language {look.language!r}, not {language!r}"
    else:
        return None
    return f"{_BEGINNING}: {what}; {_what_fits(look, shipped)}"


_BEGINNING = "the text does not look like what this model was trained for"


def _what_fits(look: Look, shipped: Mapping[str, str | None] | None) -> str:
    known = (shipped or {}).items()
    fitting = [name for name, code in known if code and look.language and are_near(code, look.language)]
    return f"the model {fitting[0]} would fit" if fitting else "no model that ships fits"


def _named(language: str | None, scripts: Collection[str]) -> str:
    return f"{language!r} ({' and '.join(sorted(scripts))})" if language else " and ".join(sorted(scripts))


def complaint_of_words(sentences: Iterable[Sequence[str]], known: Known) -> str | None:
    """One line on tokens that a model has not seen, or seldom, if they are many more than in text of its own kind.

    Small vocabularies say nothing, nor do few tokens.
    """
    tokens = [token for sentence in sentences for token in sentence]
    worded = [token for token in tokens if any(map(str.isalpha, token))]
    words = {*known.words, *known.vocabulary}
    if len(worded) < _TOKENS_LEAST or len(words) < _VOCABULARY_LEAST:
        return None
    unseen = sum(token not in words and token.lower() not in words for token in worded) / len(worded)
    letters = [letter for token in worded for letter in token if letter.isalpha()]
    inventory = set().union(*words)
    strange = sum(letter not in inventory and letter.lower() not in inventory for letter in letters) / len(letters)
    if unseen > _most_unseen(len(words), known.unknown_rate) or strange > _UNSEEN_LETTERS_MOST:
        return (
            f"{_BEGINNING}: {unseen:.0%} of its words and {strange:.0%} of its letters are not among those that "
            f"the model has seen; {_MORE}"
        )
    rare = _share_of_rare(worded, known.vocabulary)
    if sum(map(len, worded)) < 1.5 * len(worded):  # characters
        if rare > _RARE_CHARACTERS_MOST:
            return f"{_BEGINNING}: {rare:.0%} of its characters are rare in what the model has seen; {_MORE}"
        return None
    signs = sum(character in _CODE_SIGNS for token in tokens for character in token) / sum(map(len, tokens))
    if len(words) >= _VOCABULARY_LARGE and signs > _CODE_SIGNS_MOST and rare > _RARE_WORDS_MOST:
        return (
            f"{_BEGINNING}: {rare:.0%} of its words are rare or not among those that the model has seen, and "
            f"{signs:.0%} of its characters are brackets and signs, as in program code; take running text"
        )
    return None


_MORE = "a model trained on such text would fit"


def _most_unseen(n_words: int, unknown_rate: float | None) -> float:
    if unknown_rate is not None:
        return max(_UNSEEN_MOST, _TIMES_HELDOUT * unknown_rate)
    return _UNSEEN_MOST if n_words >= _VOCABULARY_LARGE else _UNSEEN_MOST_OF_SMALL


def _share_of_rare(tokens: Sequence[str], vocabulary: Sequence[str]) -> float:
    """How many tokens are not in the commonest quarter of a vocabulary; 0 without a vocabulary."""
    if len(vocabulary) < _VOCABULARY_LEAST:
        return 0.0
    common = set(vocabulary[: len(vocabulary) // 4])
    return sum(token not in common and token.lower() not in common for token in tokens) / len(tokens)


def look_of_units(units: Sequence[str]) -> tuple[Look, int]:
    """What units look like, and how many letters that is judged by."""
    return look_at(units), sum(sum(map(str.isalpha, unit)) for unit in units)
