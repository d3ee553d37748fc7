"""How well and how fast the kinds of text find sentences and tokens: precision and recall on small gold texts.

Each file of ``benchmarks/gold`` is a text in one language, written for this, a sentence a line with cases that go wrong
easily. ``|`` stands between tokens that have no blank between them. Sentences are joined by a blank (Chinese and
Japanese: by nothing), so that every sentence end must be found. Where tokens are characters only sentences count.

The rules were mended on these texts, so that they say which cases are read right. Those in ``benchmarks/gold/unseen``
were written afterwards and looked at once: no rule was changed for them (``--unseen``).

``--ud FOLDER`` scores on treebanks of Universal Dependencies in its place: the files ``LANGUAGE*.conllu`` of a folder,
each read as one text, its sentences joined in the same way. What counts as a token is the surface word (``du``, not
``de`` and ``le``). ``--half 1`` takes every other sentence, from the first, ``--half 2`` the others.

    python benchmarks/tokenizers.py [--unseen | --ud FOLDER [--half 1|2]] [--seconds 1] [--differences] [LANGUAGE ...]
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterable, Iterator
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


Sentence = list[tuple[str, bool]]  # its tokens, each with whether a blank follows


def read_gold(language: str, folder: Path = GOLD) -> Gold:
    """Our own gold text of a language."""
    lines = (folder / f"{language}.txt").read_text(encoding="utf-8").splitlines()
    words = ([word.split("|") for word in line.split(" ")] for line in lines)
    return joined(language, ([(token, token is parts[-1]) for parts in line for token in parts] for line in words))


def read_treebank(language: str, folder: Path, half: int | None = None) -> Gold:
    """The sentences of a language's ``*.conllu``, or every other one of them.

    Raises:
        ValueError: there is no such file.
    """
    files = sorted(file for file in folder.glob(f"{language}*.conllu") if re.match(rf"{language}[._\-]", file.name))
    if not files:
        raise ValueError(f"{folder}: found no {language}*.conllu")
    found = [sentence for file in files for sentence in conllu_sentences(file)]
    return joined(language, found[half - 1 :: 2] if half else found)


def conllu_sentences(file: Path) -> Iterator[Sentence]:
    """The surface tokens of each sentence: of a multi-word token its first line, of empty nodes none."""
    for block in re.split(r"\n\s*\n", file.read_text(encoding="utf-8")):
        sentence: Sentence = []
        covered = 0
        for line in block.splitlines():
            columns = line.split("\t")
            if line.startswith("#") or len(columns) != 10 or "." in columns[0]:
                continue
            first, _, last = columns[0].partition("-")
            if int(first) > covered:
                sentence.append((columns[1], "SpaceAfter=No" not in columns[9].split("|")))
                covered = int(last or first)
        if sentence:
            yield sentence


def joined(language: str, sentences: Iterable[Sentence]) -> Gold:
    """One text of the sentences, joined by a blank (Chinese and Japanese: by nothing)."""
    between = "" if language in ("zh", "ja") else " "
    text, sentence_spans, token_spans = "", set(), set()
    for sentence in sentences:
        text += between if text else ""
        start = len(text)
        for i, (token, blank) in enumerate(sentence):
            token_spans.add((len(text), len(text) + len(token)))
            text += token + (" " if blank and i < len(sentence) - 1 else "")
        sentence_spans.add((start, len(text)))
    return Gold(text, sentence_spans, token_spans)


def score(found: set[Span], gold: set[Span]) -> Score:
    """Of spans found, how many are right; of right ones, how many were found."""
    right = len(found & gold)
    return Score(right / max(1, len(found)), right / max(1, len(gold)))


def found_spans(gold: Gold, language: str) -> tuple[set[Span], set[Span]]:
    """The sentences and tokens that our rules find in a gold text."""
    found = sentences(gold.text, resolved(language))
    return (
        {(sentence[0].start, sentence[-1].end) for sentence in found},
        {(token.start, token.end) for sentence in found for token in sentence},
    )


def scores(gold: Gold, language: str) -> tuple[Score, Score | None]:
    """Of sentences, and of tokens (None where these are characters)."""
    found_sentences, found_tokens = found_spans(gold, language)
    of_tokens = None if language in BY_CHARACTER else score(found_tokens, gold.tokens)
    return score(found_sentences, gold.sentences), of_tokens


def differences(gold: Gold, language: str) -> Iterator[str]:
    """What was found and is not right (``+``), what is right and was not found (``-``), in the order of the text."""
    pairs = [*zip(found_spans(gold, language), (gold.sentences, gold.tokens), strict=True)]
    for found, right in pairs[: 1 if language in BY_CHARACTER else 2]:
        for start, end in sorted(found ^ right):
            yield f"{'+' if (start, end) in found else '-'} {gold.text[start:end]}"


def speed(gold: Gold, language: str, seconds: float) -> float:
    """Tokens a second on one core, the whole gold text at a time."""
    kind = resolved(language)
    n_tokens, started = 0, time.process_time()
    while (spent := time.process_time() - started) < seconds:
        n_tokens += sum(map(len, sentence_forms(gold.text, kind)))
    return n_tokens / spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("languages", nargs="*")
    parser.add_argument("--unseen", action="store_true")
    parser.add_argument("--ud", type=Path, metavar="FOLDER")
    parser.add_argument("--half", type=int, choices=[1, 2])
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--differences", action="store_true", help="list them")
    arguments = parser.parse_args()
    print("| language | sentences | precision | recall | tokens | precision | recall | tokens/s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    folder = arguments.ud or (GOLD / "unseen" if arguments.unseen else GOLD)
    names = folder.glob("*.conllu" if arguments.ud else "*.txt")
    for language in arguments.languages or sorted({re.split(r"[._\-]", path.name)[0] for path in names}):
        gold = read_treebank(language, folder, arguments.half) if arguments.ud else read_gold(language, folder)
        of_sentences, of_tokens = scores(gold, language)
        tokens = f"{of_tokens.precision:.3f} | {of_tokens.recall:.3f}" if of_tokens else "by character | "
        rate = f"{speed(gold, language, arguments.seconds):,.0f}" if arguments.seconds else ""
        print(
            f"| {language} | {len(gold.sentences)} | {of_sentences.precision:.3f} | {of_sentences.recall:.3f} | "
            f"{len(gold.tokens)} | {tokens} | {rate} |"
        )
        if arguments.differences:
            print(*differences(gold, language), sep="\n")


if __name__ == "__main__":
    main()
