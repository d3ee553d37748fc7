"""Whether a text looks like what a model was trained for, in one line."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ner_elmo.text.language_kinds import language_of
from ner_elmo.text.languages import Look, are_near, look_at, scripts_of

_WORDS_LEAST = 40  # below which small words do not decide
_LETTERS_LEAST = 10
_UNSEEN_MOST = 0.6  # of the tokens
_TOKENS_LEAST = 200
_VOCABULARY_LEAST = 5_000  # of fewer words, unseen ones say nothing


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
    known = (shipped or {}).items()
    fitting = [name for name, code in known if code and look.language and are_near(code, look.language)]
    advice = f"the model {fitting[0]} would fit" if fitting else "no model that ships fits"
    return f"the text does not look like what this model was trained for: {what}; {advice}"


def _named(language: str | None, scripts: Collection[str]) -> str:
    return f"{language!r} ({' and '.join(sorted(scripts))})" if language else " and ".join(sorted(scripts))


def complaint_of_words(sentences: Sequence[Sequence[str]], known: Collection[str]) -> str | None:
    """One line on tokens most of which a large vocabulary lacks."""
    n_tokens = sum(map(len, sentences))
    if n_tokens < _TOKENS_LEAST or len(known) < _VOCABULARY_LEAST:
        return None
    unseen = sum(token not in known and token.lower() not in known for tokens in sentences for token in tokens)
    if unseen <= _UNSEEN_MOST * n_tokens:
        return None
    return (
        f"the text does not look like what this model was trained for: {unseen / n_tokens:.0%} of its tokens are not "
        "among the words that it knows"
    )


def look_of_units(units: Sequence[str]) -> tuple[Look, int]:
    """What units look like, and how many letters that is judged by."""
    return look_at(units), sum(sum(map(str.isalpha, unit)) for unit in units)
