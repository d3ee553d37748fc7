"""A look at a sample of a corpus before hours are spent on it: is it tokenised, is it decoded, do its tokens fit?"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from ner_elmo.text.files import parted, read_lines, shown_name
from ner_elmo.text.language_kinds import BY_CHARACTER, language_of
from ner_elmo.text.languages import are_near, look_at, scripts_of
from ner_elmo.text.tokenizer import sentence_forms

SAMPLE_LINES = 4_000  # of all files together
_LEAST_LINES = 20  # of each file
_FILES_MOST = 1_000  # files looked at; of more, evenly chosen ones
_LINE_MOST = 20_000  # characters of a line looked at

CUT_MOST = 0.05  # of tokens
PUNCTUATED_MOST = 0.03  # of tokens; tokenised text has under 0.6 %, raw text 8 % (docs/pretraining-text.md)
UNSPACED_MOST = 0.1  # of characters
DAMAGED_MOST = 0.05  # of characters beyond ASCII
MISREAD_MOST = 0.2  # of characters beyond ASCII
SPACED_LEAST = 0.95  # of tokens
_TOKENS_LEAST = 50  # below which a share of tokens says nothing
_HITS_LEAST = 3

# A word with the punctuation that raw text leaves on it; a full stop counts from three letters on ("said.", not "a.").
_CLOSERS = "\"'’”)\\]»"
_PUNCTUATED = re.compile(
    rf"[^\W_][{_CLOSERS}]*[,;:!?…，。；：！？、،؛؟।][{_CLOSERS}]*\Z|[^\W\d_]{{3,}}[{_CLOSERS}]*\.[{_CLOSERS}]*\Z"
)
# Scripts written without blanks between words: more than this many letters in a row are no word.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]{9,}|[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]{31,}")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_DAMAGED = re.compile(r"[\ufffd\x80-\x84\x86-\x9f]")  # U+0085 is a line end of some systems
# UTF-8 read as ISO-8859-1 or Windows-1252 is a run of these; so is Cyrillic or Chinese read so ("Ïðèâåò").
_WINDOWS_1252 = {chr(code): bytes([code]) for code in range(0xA0, 0x100)} | {
    bytes([code]).decode("cp1252"): bytes([code])
    for code in range(0x80, 0xA0)
    if code not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}
_WESTERN = re.compile(f"[{re.escape(''.join(_WINDOWS_1252))}\x80-\x9f]+")
_WESTERN_IN_A_ROW = re.compile(r"[\xa1-\xff]{4,}")


class Sample(NamedTuple):
    """The beginning of one file."""

    name: str
    lines: list[str]


def examine(
    files: Sequence[Path], text: str, kind: str, encoding: str = "utf-8", max_characters: int | None = 50
) -> list[str]:
    """What speaks against training on these files as they would be read, one message a finding; none if all is well.

    The files' beginnings are looked at, each for itself and all together.

    Args:
        text: the ``--text`` that was asked for, for the messages.
        kind: the tokenizer that belongs to it.
        max_characters: of the character CNN; ``None`` for models with word input.

    Raises:
        UsageError, DataError: a file cannot be read.
    """
    samples = list(read_samples(files, encoding))
    everything = Sample(
        "the text" if len(files) > 1 else str(files[0]), [*chain(*(sample.lines for sample in samples))]
    )
    checks: list[Callable[[Sample], str | None]] = [
        lambda sample: decoding_problem(sample, encoding),
        lambda sample: layout_problem(sample, text),
        lambda sample: tokenization_problem(sample, text),
        lambda sample: language_problem(sample, kind),
        lambda sample: cut_problem(sample, kind, max_characters),
    ]
    for check in checks:  # a wrong encoding explains wrong tokens, and unsplit text cut ones: only the first is told
        for parts in samples if len(samples) > 1 else [], [everything]:
            if found := [problem for sample in parts if (problem := check(sample))]:
                return found
    return []


def read_samples(files: Sequence[Path], encoding: str = "utf-8") -> Iterator[Sample]:
    """The first lines of every file (of evenly chosen ones, where there are very many)."""
    chosen = files[:: -(-len(files) // _FILES_MOST)]
    n_lines = max(_LEAST_LINES, SAMPLE_LINES // len(chosen))
    for file in chosen:
        with closing(read_lines(file, encoding, is_looked_at=True)) as lines:  # type: ignore[type-var]
            yield Sample(str(file), [line[:_LINE_MOST] for line in islice(lines, n_lines)])


def decoding_problem(sample: Sample, encoding: str) -> str | None:
    """Replacement characters, control characters, and UTF-8, Cyrillic or Chinese that was read as Western text."""
    encoding, _ = parted(encoding)
    foreign = damaged = misread = hits = 0
    example = ""
    n_nul = sum(line.count("\0") for line in sample.lines)
    if n_nul > 0.001 * sum(map(len, sample.lines)):
        return (
            f"{sample.name}: found {n_nul:,} NUL characters in the sample, so it is not {encoding} text; "
            "name the file's encoding with --encoding (utf-16?)"
        )
    for line in sample.lines:
        if line.isascii():
            continue
        foreign += sum(map(len, _NOT_ASCII.findall(line)))
        damaged += len(_DAMAGED.findall(line))
        for piece in misread_pieces(line):
            misread += len(piece)
            hits += 1
            example = example or piece
    if misread > MISREAD_MOST * foreign and hits >= _HITS_LEAST:
        return (
            f"{sample.name}: looks wrongly decoded: {misread / foreign:.0%} of the characters beyond ASCII are like "
            f"{example[:12]!r}; name the file's encoding with --encoding (now {encoding}; the text may also have been "
            "decoded wrongly before it was saved)"
        )
    if damaged > DAMAGED_MOST * foreign and damaged >= _HITS_LEAST:
        return (
            f"{sample.name}: looks wrongly decoded: {damaged / foreign:.0%} of the characters beyond ASCII are "
            f"replacement (U+FFFD) or control characters; name the file's encoding with --encoding (now {encoding}; "
            "the text may also have been decoded wrongly before it was saved)"
        )
    return None


def misread_pieces(line: str) -> Iterator[str]:
    """The parts of a line that are other text read as ISO-8859-1 or Windows-1252."""
    for match in _WESTERN.finditer(line):
        piece = match[0]
        data = b"".join(_WINDOWS_1252.get(character) or character.encode("latin-1") for character in piece)
        try:
            data.decode("utf-8")
            yield piece
        except UnicodeDecodeError:
            yield from (run[0] for run in _WESTERN_IN_A_ROW.finditer(piece))


# A tag as labelled columns have it at the end of a line.
_TAG = re.compile(r"(?:O|[BIESMLU]-\S+)\Z")
_COLUMNS_LEAST = 0.9  # of lines
_CSV_LEAST = 0.95  # of lines
_CSV_MOST = 2_000  # characters of a line
_ONE_WORD_LEAST = 0.9  # of lines
_LINES_LEAST = 20
_SINGLE_LINE_TOKENS = 500


def layout_problem(sample: Sample, text: str) -> str | None:
    """Something else than a text of sentences in lines: one word a line, labelled columns, JSON, a single line."""
    lines = [line for line in sample.lines if line.strip()]
    if len(lines) == 1 and (
        len(lines[0]) >= _LINE_MOST or (text == "tokenized" and _n_words(lines[0]) >= _SINGLE_LINE_TOKENS)
    ):
        return (
            f"{sample.name}: found a single line ({_n_words(lines[0]):,} words in its first "
            f"{len(lines[0]):,} characters), expected a sentence or a paragraph a line"
        )
    if len(lines) < _LINES_LEAST:
        return None
    plain = [line for line in lines if not line.startswith("#")]
    form = form_of_lines(lines)
    if form == "JSON":
        return f"{sample.name}: nearly every line is JSON; expected text, a sentence a line"
    if form == "CSV":
        return (
            f"{sample.name}: nearly every line has the same number of fields, as in a table (CSV); expected text, a "
            "sentence a line"
        )
    if form == "columns":
        return (
            f"{sample.name}: nearly every line is a token with its columns: labelled data? expected one sentence a line"
        )
    single = [line for line in plain if _n_words(line) == 1 and len(line.strip()) <= 40]
    if len(single) > _ONE_WORD_LEAST * len(plain) and not _is_unspaced(plain):
        return (
            f"{sample.name}: nearly every line has one token: a file of one word a line? expected one sentence a line"
        )
    return None


def doubts_of(lines: Sequence[str], advice: str = "") -> Iterator[str]:
    """What says that some first lines are no running text, a line each, for a command that reads them nevertheless.

    Args:
        advice: what to do about lines of another form.
    """
    form = form_of_lines(lines)
    if form is not None:
        kind = {"columns": "a token with its columns", "CSV": "a row of a table (CSV)"}.get(form, form)
        yield f"nearly every line is {kind}, which is read as it stands{advice}"
    n_nul = sum(line.count("\0") for line in lines)
    if n_nul:
        yield f"found {n_nul:,} NUL characters in the first lines, which become tokens; is the file's --encoding right?"


def doubts_of_file(path: str | Path, encoding: str) -> Iterator[str]:
    """:func:`doubts_of` for the first lines of a file, with its name; of standard input and pipes nothing.

    Raises:
        UsageError, DataError: it cannot be read.
    """
    if Path(path).is_file():
        for doubt in doubts_of(list(islice(read_lines(path, encoding), _LOOKED_AT))):
            yield f"{shown_name(path)}: {doubt}"


_LOOKED_AT = 200  # lines


def form_of_lines(lines: Sequence[str]) -> str | None:
    """``JSON``, ``CSV`` or ``columns`` (a token with its tag or other columns a line) if nearly all lines are so."""
    lines = [line for line in lines if line.strip()]
    if len(lines) < _LINES_LEAST:
        return None
    if sum(line.lstrip()[:1] in "{[" and line.rstrip()[-1:] in "}]," for line in lines) > _COLUMNS_LEAST * len(lines):
        return "JSON"
    plain = [line for line in lines if not line.startswith("#")]
    if not plain:
        return None
    tagged = sum(_TAG.search(line) is not None and 2 <= len(line.split()) <= 12 for line in plain)
    most_tabs, n_lines = Counter(line.count("\t") for line in plain).most_common(1)[0]
    short = sum(_n_words(line.split("\t")[0]) <= 1 for line in plain)
    is_table = most_tabs and n_lines >= _COLUMNS_LEAST * len(plain) and short >= _COLUMNS_LEAST * len(plain)
    if is_table or tagged > _COLUMNS_LEAST * len(plain):
        return "columns"
    return "CSV" if any(_is_csv(plain, delimiter) for delimiter in ",;\t") else None


def _is_csv(lines: Sequence[str], delimiter: str) -> bool:
    """Whether nearly all lines have as many fields, of which the first or the last is one word, such as a label."""
    rows = [next(csv.reader([line[:_CSV_MOST].replace("\0", " ")], delimiter=delimiter), []) for line in lines]
    width, n_rows = Counter(map(len, rows)).most_common(1)[0]
    if width < 2 or n_rows < _CSV_LEAST * len(rows):
        return False
    return any(sum(_n_words(row[place]) <= 1 for row in rows if row) >= _CSV_LEAST * len(rows) for place in (0, -1))


def _n_words(line: str) -> int:
    return len(line.split())


def _is_unspaced(lines: Sequence[str]) -> bool:
    """Whether lines are of a script without blanks, and too long to be words: a sentence each, of one token."""
    look = look_at(lines)
    return look.script in ("Han", "Kana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan") and (
        sum(len(line.strip()) for line in lines) > _WORD_LENGTH * len(lines)
    )


_WORD_LENGTH = 5  # characters: the mean length of lines of one word is below, that of short sentences above
_WORDS_LEAST = 100  # below which the language of a text is not judged by its small words


def language_problem(sample: Sample, kind: str) -> str | None:
    """A text in another script or language than the rules that were asked for."""
    code = language_of(kind)
    if code is None:
        return None
    look = look_at(sample.lines)
    wrong_script = look.script is not None and look.share > 0.5 and look.script not in scripts_of(code)
    if wrong_script and look.script in ("Han", "Kana") and {"Han", "Kana"} & scripts_of(code):
        wrong_script = False
    other = look.language if look.language is not None and not are_near(look.language, code) else None
    if not wrong_script and (other is None or look.words < _WORDS_LEAST):
        return None
    what = (
        f"{look.share:.0%} of its letters are {look.script}"
        if wrong_script
        else f"its small words are those of {other}"
    )
    advice = f"; try --text {look.language}" if look.language else ""
    return f"{sample.name}: {what}, but the rules asked for are those of {code} ({kind}){advice}"


def tokenization_problem(sample: Sample, text: str) -> str | None:
    """Punctuation on words, or no blanks between the words, where ``text`` says that there would be."""
    if text == "characters" or text.startswith(("characters", "zh-words")) or language_of(text) in BY_CHARACTER:
        return None
    tokens = [token for line in sample.lines for token in line.split()]
    n_characters = sum(map(len, tokens))
    unspaced = sum(len(match[0]) for token in tokens for match in _UNSPACED.finditer(token))
    if unspaced > UNSPACED_MOST * n_characters:
        return (
            f"{sample.name}: looks untokenised: {unspaced / n_characters:.0%} of its characters stand in long runs of "
            "a script that is written without blanks; "
            f"try --text {_unspaced_text(sample)}, or put blanks between the words"
        )
    punctuated = [token for token in tokens if _PUNCTUATED.search(token)]
    if text == "tokenized" and len(tokens) >= _TOKENS_LEAST and len(punctuated) > PUNCTUATED_MOST * len(tokens):
        return (
            f"{sample.name}: looks untokenised: {len(punctuated) / len(tokens):.1%} of its tokens end in punctuation; "
            f"try --text raw, which splits sentences and tokens{_of_language(sample)}"
        )
    return None


def split_tokens(tokens: Sequence[str], kind: str) -> list[str]:
    """Those of some tokens that ``kind`` would split, as punctuation stands on them; none where they are few.

    Args:
        kind: a kind of text.
    """
    found = [token for token in tokens if _PUNCTUATED.search(token) and len([*chain(*sentence_forms(token, kind))]) > 1]
    return found if len(tokens) >= _TOKENS_LEAST and len(found) > PUNCTUATED_MOST * len(tokens) else []


def _unspaced_text(sample: Sample) -> str:
    language = look_at(sample.lines).language
    return "characters" if language in (None, "zh", "en") else f"characters or --text {language}"


def _of_language(sample: Sample) -> str:
    """What to add where the text looks to be in another language than English."""
    language = look_at(sample.lines).language
    return f" by English rules, or --text {language} for those of this text" if language not in (None, "en") else ""


def cut_problem(sample: Sample, kind: str, max_characters: int | None) -> str | None:
    """Tokens of which the character CNN would see only the beginning."""
    if max_characters is None:
        return None
    n_tokens = n_cut = 0
    for line in sample.lines:
        for token in chain(*sentence_forms(line, kind)):
            n_tokens += 1
            if is_cut(token, max_characters):
                n_cut += 1
    if n_cut > CUT_MOST * n_tokens and n_cut >= _HITS_LEAST:
        return (
            f"{sample.name}: {n_cut / n_tokens:.1%} of its tokens are cut at the character limit ({max_characters - 2} "
            f"bytes); {_what_fits(kind)}"
        )
    return None


def _what_fits(kind: str) -> str:
    if kind == "whitespace":
        return "try --text raw or --text characters, or --options with a larger max_characters_per_token"
    return "try --options with a larger max_characters_per_token"


def is_cut(token: str, max_characters: int) -> bool:
    """Whether a row of ``max_characters`` ids is too short for the token's bytes and its two boundaries."""
    return len(token) > (max_characters - 2) // 4 and len(token.encode("utf-8", "ignore")) > max_characters - 2


def is_spaced_out(lines: Iterable[str]) -> bool:
    """Whether there is a blank between every two characters, Latin letters and digits included."""
    n_tokens = n_single = n_latin = 0
    for line in lines:
        for token in line.split():
            n_tokens += 1
            n_single += len(token) == 1
            n_latin += len(token) == 1 and token.isascii() and token.isalnum()
    return n_tokens >= _TOKENS_LEAST and n_single >= SPACED_LEAST * n_tokens and n_latin > 0
