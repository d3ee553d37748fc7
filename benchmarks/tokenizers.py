"""How well and how fast the kinds of text find sentences and tokens: precision and recall on small gold texts.

Each file of ``benchmarks/gold`` is a text in one language, written for this, a sentence a line with cases that go wrong
easily. ``|`` stands between tokens that have no blank between them. Sentences are joined by a blank (Chinese and
Japanese: by nothing), so that every sentence end must be found. Where tokens are characters only sentences count.

The rules were mended on these texts, so that they say which cases are read right. Those in ``benchmarks/gold/unseen``
were written afterwards and looked at once: no rule was changed for them (``--unseen``).

    python benchmarks/tokenizers.py [--unseen] [--seconds 1] [LANGUAGE ...]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

from ner_elmo.text.language_kinds import BY_CHARACTER
from ner_elmo.text.tokenizer import resolved, sentence_forms, sentences

GOLD = Path(__file__).resolve().parent / "gold"
Span = tuple[int, int]


class Gold(NamedTuple):
    """A text with the places of its sentences and tokens."""

    text: str
    sentences: set[Span]
    tokens: set[Span]


class Score(NamedTuple):
    precision: float
    recall: float


def read_gold(language: str, folder: Path = GOLD) -> Gold:
    """The gold text of a language."""
    lines = (folder / f"{language}.txt").read_text(encoding="utf-8").splitlines()
    between = "" if language in ("zh", "ja") else " "
    text, sentence_spans, token_spans = "", set(), set()
    for line in lines:
        text += between if text else ""
        start = len(text)
        for word in line.split(" "):
            text += " " if len(text) > start else ""
            for token in word.split("|"):
                token_spans.add((len(text), len(text) + len(token)))
                text += token
        sentence_spans.add((start, len(text)))
    return Gold(text, sentence_spans, token_spans)


def score(found: set[Span], gold: set[Span]) -> Score:
    """Of spans found, how many are right; of right ones, how many were found."""
    right = len(found & gold)
    return Score(right / max(1, len(found)), right / max(1, len(gold)))


def scores(language: str, folder: Path = GOLD) -> tuple[Score, Score | None]:
    """Of sentences, and of tokens (None where these are characters)."""
    gold = read_gold(language, folder)
    found = sentences(gold.text, resolved(language))
    of_sentences = score({(sentence[0].start, sentence[-1].end) for sentence in found}, gold.sentences)
    if language in BY_CHARACTER:
        return of_sentences, None
    return of_sentences, score({(t.start, t.end) for sentence in found for t in sentence}, gold.tokens)


def speed(language: str, seconds: float) -> float:
    """Tokens a second on one core, a paragraph of the gold text at a time."""
    text, kind = read_gold(language).text, resolved(language)
    n_tokens, started = 0, time.process_time()
    while (spent := time.process_time() - started) < seconds:
        n_tokens += sum(map(len, sentence_forms(text, kind)))
    return n_tokens / spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("languages", nargs="*")
    parser.add_argument("--unseen", action="store_true")
    parser.add_argument("--seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    print("| language | kind | sentences: precision | recall | tokens: precision | recall | tokens/s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    folder = GOLD / "unseen" if arguments.unseen else GOLD
    for language in arguments.languages or sorted(path.stem for path in folder.glob("*.txt")):
        of_sentences, of_tokens = scores(language, folder)
        tokens = f"{of_tokens.precision:.3f} | {of_tokens.recall:.3f}" if of_tokens else "by character | "
        rate = f"{speed(language, arguments.seconds):,.0f}"
        kind = resolved(language)
        print(f"| {language} | {kind} | {of_sentences.precision:.3f} | {of_sentences.recall:.3f} | {tokens} | {rate} |")


if __name__ == "__main__":
    main()
