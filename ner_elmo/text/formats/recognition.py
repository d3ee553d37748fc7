"""What a labelled file is, by what it begins with: one answer for every command, from standard input, too.

A name decides only where the content cannot: an empty ``.jsonl``, a ``.ann``. ``--from`` decides before both. Kinds
that are known but not read are named, with what would work (:func:`recognize` raises then).
"""

from __future__ import annotations

import codecs
import csv
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ner_elmo.errors import DataError, UsageError
from ner_elmo.text.files import STANDARD_STREAM, beginning_of, display_name, is_folder, is_there, parted, require_file

AUTO = "auto"

# The kinds that are read (`--from` takes their names), and what each is.
KINDS = {
    "conll": "columns, a token and its tag on each line",
    "jsonl": 'the JSONL of tag: {"text", "entities": [{"start", "end", "label"}]}',
    "doccano": "doccano's JSONL",
    "label-studio": "Label Studio's JSON or JSON-MIN",
    "prodigy": "Prodigy's JSONL",
    "webanno": "WebAnno TSV 3 (INCEpTION)",
    "conllu": "CoNLL-U with entities in MISC",
    "hf": 'JSONL of Hugging Face: {"tokens", "ner_tags"}',
    "spacy": "the JSON that spaCy was trained on",
    "docbin": "spaCy's DocBin (.spacy)",
    "parquet": "Parquet with tokens and ner_tags",
    "brat": "BRAT: a folder, or X.ann beside X.txt",
}

_HEAD = 1 << 18  # bytes that are looked at
_PLAIN_SUFFIX = re.compile(r"\.(gz|xz|zst)\Z", re.IGNORECASE)
_TAG = re.compile(r"\A(?:O|[BIESLUM]-\S+)\Z")
_JSON_START = re.compile(r"\s*(?:\{\s*(?:\"|\}\s*\Z)|\[\s*(?:[{\[]|\]))")
_BRAT_LINE = re.compile(r"[TREAMN*#][^\t]*\t\S")
_BRAT_ENTITY = re.compile(r"T\S*\t\S+ [0-9]+ [0-9;  ]+(\t|\Z)")
_CONLLU_ID = re.compile(r"[0-9]+(?:[-.][0-9]+)?\Z")
_KEY = re.compile(r'"(\w+)"\s*:')
ENTITY_KEYS = ("NE", "NER", "NamedEntity", "Entity")  # of CoNLL-U's last column
TAG_KEYS = ("ner_tags", "ner", "tags", "labels")  # beside "tokens"

_ARROW = "an Arrow file; write it as Parquet (Dataset.to_parquet)"

# What files begin with that are read nowhere, and what would work.
_BINARY = {
    b"\x1f\x8b": "gzip data; call it *.gz",
    b"\xfd7zXZ\x00": "xz data; call it *.xz",
    b"\x28\xb5\x2f\xfd": "zstandard data; call it *.zst",
    b"BZh": "bzip2 data; unpack it first",
    b"PK\x03\x04": "a zip archive (or a document of Word or Excel); unpack it, or export it as text",
    b"%PDF-": "a PDF document; export it as text",
    b"SQLite format 3": "an SQLite database; export its table",
    b"\x89HDF\r\n": "an HDF5 file; labelled files are text",
    b"7z\xbc\xaf": "a 7z archive; unpack it first",
    b"Rar!": "a rar archive; unpack it first",
    b"ARROW1": _ARROW,
    b"\xff\xff\xff\xff": _ARROW,
    b"{\\rtf": "a rich text document; export it as plain text",
}
_PICKLE = re.compile(rb"\x80[\x02-\x05][\x00-\xff]")


def recognize(path: str | Path, kind: str = AUTO, encoding: str = "utf-8", column: int = -1) -> str:
    """The kind of a labelled file, one of :data:`KINDS`: as declared, or by what it begins with.

    Raises:
        UsageError: it cannot be opened, or is a folder without a file to read.
        DataError: it is of a kind that is known and not read; the message says what would work.
    """
    if str(path) != STANDARD_STREAM and is_there(Path(path)) and not is_folder(Path(path)):
        require_file(path)  # no pipe: it is looked at, and then read
    if kind != AUTO:
        return kind
    if str(path) != STANDARD_STREAM and Path(path).is_dir():
        return _kind_of_folder(Path(path))
    if _has_annotations_beside(path):
        return "brat"
    head = beginning_of(path, _HEAD)
    name = display_name(path)
    if unreadable := _kind_of_bytes(head, str(path), encoding):
        if unreadable in KINDS:
            return unreadable
        raise DataError(f"{name}:1: {_not_read(unreadable)}")
    found = _kind_of_text(_decoded(head, encoding), str(path), column)
    if found in KINDS:
        return found
    raise DataError(f"{name}:1: {_not_read(found)} (columns nevertheless: --from conll)")


def _not_read(found: str) -> str:
    """The message for a kind that is not read, given as ``what; what would work``."""
    what, _, advice = found.partition("; ")
    expected = advice if advice.startswith("expected") else f"expected labelled text: {advice}"
    return f"found what looks like {what}, {expected}"


def has_own_tokens(kind: str) -> bool:
    """Whether files of a kind always say what their tokens are, so that no tokenizer is needed."""
    return kind in ("conll", "conllu", "hf", "webanno", "parquet", "docbin")


def is_raw_text(path: str | Path, kind: str = AUTO, encoding: str = "utf-8") -> bool:
    """Whether a file holds texts that a tokenizer may have to read; what cannot be recognized is none."""
    try:
        return not has_own_tokens(recognize(path, kind, encoding))
    except DataError:
        return False


def _kind_of_folder(path: Path) -> str:
    if any(path.rglob("*.ann")):
        return "brat"
    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        raise UsageError(f"{path}: is a data set that Hugging Face's library saved; expected it as Parquet "
                         "(Dataset.to_parquet)")  # fmt: skip
    texts = sum(1 for _ in path.rglob("*.txt"))
    detail = f"{texts:,} .txt files, but no .ann file" if texts else "no .ann file (BRAT)"
    raise UsageError(f"{path}: is a directory; expected a file, or a folder with BRAT's pairs; found {detail} in it")


def require_labelled(path: str | Path, kind: str = AUTO) -> Path:
    """Return ``path`` if it is a readable file, or a folder that is read as one (BRAT).

    Raises:
        UsageError: it is not.
    """
    path = Path(path)
    if kind in (AUTO, "brat") and path.is_dir():
        _kind_of_folder(path)
        return path
    return require_file(path)


def is_of_several_files(path: str | Path, kind: str = AUTO) -> bool:
    """Whether what is read under a name lies in several files: a pair of BRAT's, or a folder of them."""
    return kind in (AUTO, "brat") and (Path(path).is_dir() or _has_annotations_beside(path))


def _has_annotations_beside(path: str | Path) -> bool:
    """Whether ``path`` is one of BRAT's pair: X.ann, or X.txt with X.ann beside it."""
    path = Path(path)
    return path.suffix == ".ann" or (path.suffix == ".txt" and path.with_suffix(".ann").is_file())


# Bytes ----------------------------------------------------------------------------------------------------------------


def _kind_of_bytes(head: bytes, name: str, encoding: str) -> str | None:
    if head[:4] == b"PAR1":
        return "parquet"
    for magic, what in _BINARY.items():
        if head.startswith(magic):
            return what
    if _PICKLE.match(head) and (b"\x00" in head[:64] or head[:2] in (b"\x80\x04", b"\x80\x05")):
        return "a pickle of Python, which is never opened, as it could run anything; export its content as JSON"
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it first"
    plain = _PLAIN_SUFFIX.sub("", name).lower()
    if plain.endswith(".spacy") or (head[:1] == b"x" and b"attrs" in _inflated(head)):
        return "docbin"
    return _wide(head, encoding)


def _inflated(head: bytes) -> bytes:
    """What the beginning of zlib's data says; nothing if it is none."""
    try:
        return zlib.decompressobj().decompress(head, 1 << 12)
    except zlib.error:
        return b""


def _wide(head: bytes, encoding: str) -> str | None:
    """What to say of text in UTF-16 or UTF-32, or of other bytes with NULs, where another encoding was named."""
    try:
        named = codecs.lookup(parted(encoding)[0]).name
    except LookupError:
        return None  # the reader says so
    if named.startswith(("utf-16", "utf-32")):
        return None
    if head.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return "text in UTF-32; name it with --encoding utf-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text in UTF-16; name it with --encoding utf-16"
    n_nuls = head.count(0)
    if not n_nuls:
        return None
    even, odd = head[::2].count(0), head[1::2].count(0)
    few = 8 * n_nuls < len(head)  # wide text has more of them, as tabs, line ends and tags have one each
    guess = "" if few else "utf-16-le" if odd > 10 * even else "utf-16-be" if even > 10 * odd else ""
    found = f"({n_nuls:,} NUL characters at its beginning)"
    if guess:
        return f"text in UTF-16 {found}; expected {named} text, or the name of its encoding: --encoding {guess}"
    return f"binary data {found}; expected {named} text"


def _decoded(head: bytes, encoding: str) -> str:
    try:
        return codecs.getincrementaldecoder(parted(encoding)[0])("replace").decode(head).removeprefix("\ufeff")
    except (LookupError, UnicodeError):
        return ""  # the reader says so


# Text -----------------------------------------------------------------------------------------------------------------


def _kind_of_text(head: str, name: str, column: int) -> str:
    lines = [line.removesuffix("\r") for line in head.split("\n")]
    if len(head) >= _HEAD // 4 and len(lines) > 1:
        lines.pop()  # it may be cut off
    lines = [line for line in lines if line.strip()]
    is_jsonl = _PLAIN_SUFFIX.sub("", name).lower().endswith(".jsonl")
    for look in _LOOKS:
        if (found := look(head, lines)) and (found in KINDS or not is_jsonl):
            return found
    if is_jsonl:
        return "jsonl"
    if column == -1 and _is_conllu(lines):
        return "conllu"
    return "conll"


def _looks_like_json(head: str, lines: Sequence[str]) -> str | None:
    if not _JSON_START.match(head):
        return None
    if lines and re.fullmatch(r"\[\S*[ \t]+\S+", lines[0]) and _TAG.match(lines[0].split()[-1]):
        return None  # the token "["
    objects = list(_first_objects(head))
    for value in objects:
        if found := kind_of_object(value):
            return found
    if objects:
        return _undecided(objects)
    return _kind_of_keys(set(_KEY.findall(head)))


def _first_objects(head: str, most: int = 50) -> Iterator[Any]:
    """The first values of JSON that are there as a whole, be they items of an array or one after another."""
    decoder = json.JSONDecoder()
    at = len(head) - len(head.lstrip())
    in_array = head.startswith("[", at)
    if in_array and head[at + 1 :].lstrip().startswith('"'):
        in_array = False  # ["text", {...}], one on a line
    at += in_array
    for _ in range(most):
        while at < len(head) and head[at] in " \t\r\n,":
            at += 1
        try:
            value, at = decoder.raw_decode(head, at)
        except (ValueError, RecursionError):
            return
        yield value


def kind_of_object(value: Any) -> str | None:
    """The kind of file that an item of JSON belongs to; None where it could be of several, or of none."""
    if isinstance(value, list):
        return "spacy" if len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict) else None
    if not isinstance(value, dict):
        return None
    if "paragraphs" in value or _is_list_of(value.get("annotations"), list):
        return "spacy"
    if isinstance(value.get("data"), dict) or any(_is_json_min(item) for item in value.values()):
        return "label-studio"
    if _is_list_of(value.get("tokens"), str) and any(isinstance(value.get(key), list) for key in TAG_KEYS):
        return "hf"
    if isinstance(value.get("spans"), list) and "text" in value:
        return "prodigy"
    for key in ("entities", "label", "labels", "annotations"):
        items = value.get(key)
        if isinstance(items, list) and items and (isinstance(items[0], list) or _has(items[0], "start_offset")):
            return "doccano"
    if _is_list_of(value.get("entities"), dict) or ("text" in value and "error" in value):
        return "jsonl"
    return None


def _has(value: Any, key: str) -> bool:
    return isinstance(value, dict) and key in value


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], kind)


def _is_json_min(items: Any) -> bool:
    return isinstance(items, list) and _is_list_of(items, dict) and "labels" in items[0] and "start" in items[0]


def _undecided(objects: Sequence[Any]) -> str:
    """The kind of texts without any entity, or what to say of JSON of no known layout."""
    first = next((value for value in objects if isinstance(value, dict)), None)
    if first is None:
        return (
            "jsonl" if objects == [[]] else "JSON that is no list of objects; expected objects with text and entities"
        )
    if "text" in first or "data" in first:
        return "doccano" if {"label", "labels", "Comments"} & set(first) else "jsonl"
    keys = ", ".join(f'"{str(key)[:20]}"' for key in list(first)[:6])
    return f'JSON of another layout (its keys: {keys or "none"}); expected {{"text": …, "entities": […]}}'


def _kind_of_keys(keys: set[str]) -> str:
    """A guess from all keys of a value that is larger than what is looked at, or broken."""
    for kind, names in (
        ("spacy", {"paragraphs"}),
        ("label-studio", {"data", "annotations"}),
        ("label-studio", {"start", "labels"}),
        ("hf", {"tokens", "ner_tags"}),
        ("prodigy", {"spans", "text"}),
        ("doccano", {"start_offset"}),
    ):
        if names <= keys:
            return kind
    return "doccano" if {"label", "text"} <= keys and "entities" not in keys else "jsonl"


def _looks_like_markup(head: str, lines: Sequence[str]) -> str | None:
    start = head.lstrip()[:200].lower()
    if start.startswith(("<!doctype html", "<html")):
        return "HTML; save its text, or export the labelled data in another form"
    tagged = sum(line.lstrip().startswith("<") and "\t" not in line for line in lines[:20])
    if start.startswith(("<?xml", "<!doctype")) or (lines and start.startswith("<") and 2 * tagged > len(lines[:20])):
        return "XML; export the labelled data as CoNLL columns, JSON or WebAnno TSV"
    return None


def _looks_like_webanno(head: str, lines: Sequence[str]) -> str | None:
    if not head.startswith("#FORMAT=WebAnno TSV"):
        return "WebAnno TSV of version 1 or 2; export it as WebAnno TSV v3.3" if _is_old_webanno(lines) else None
    return (
        "webanno" if head.startswith("#FORMAT=WebAnno TSV 3") else "WebAnno TSV of another version; export it as v3.3"
    )


def _is_old_webanno(lines: Sequence[str]) -> bool:
    return bool(lines) and lines[0].startswith("# webanno.custom")


def _looks_like_brat(head: str, lines: Sequence[str]) -> str | None:
    if lines and all(_BRAT_LINE.match(line) for line in lines) and any(_BRAT_ENTITY.match(line) for line in lines):
        return "BRAT's annotations; expected them in a file X.ann beside the text X.txt"
    return None


def _looks_like_pairs(head: str, lines: Sequence[str]) -> str | None:
    """``word|TAG word|TAG``: a sentence a line."""
    for mark in "|/":
        fields = [field for line in lines[:20] for field in line.split()]
        cut = [field.rpartition(mark) for field in fields]
        if fields and all(word and _TAG.match(tag) for word, _, tag in cut) and any("-" in tag for *_, tag in cut):
            return f"a sentence a line, of word{mark}TAG; expected a token and its tag on each line, separated by a tab"
    return None


def _looks_like_csv(head: str, lines: Sequence[str]) -> str | None:
    shown = lines[:50]
    if len(shown) < 2:
        return None
    if sum(bool(_TAG.match(line.split(" ")[-1])) and " " in line for line in shown) > len(shown) // 2:
        return None  # columns separated by blanks
    for delimiter, what in ((",", "comma"), (";", "semicolon"), ("|", "bar"), ("\t", "tab")):
        if _is_quoted(lines[0], delimiter) or (delimiter != "\t" and _is_table(shown, delimiter)):
            quoted = " in quotes" if delimiter == "\t" else ""
            return f"{what}-separated values{quoted}; {_advice_for_table(lines[0])}"
    return None


def _is_quoted(first: str, delimiter: str) -> bool:
    """Whether a line is nothing but cells in quotes, as programs name columns: ``"id","text"``."""
    cells = first.split(delimiter)
    return len(cells) > 1 and all(len(cell) > 2 and cell[0] == cell[-1] == '"' for cell in cells)


def _is_table(lines: Sequence[str], delimiter: str) -> bool:
    """Whether all lines have as many cells; cells in quotes may go over several lines."""
    if "\t" in lines[0] or ('"' not in "".join(lines) and any("\t" in line for line in lines)):
        return False
    try:
        rows = list(csv.reader([f"{line}\n" for line in lines], delimiter=delimiter))
    except csv.Error:
        return False
    whole = rows[:-1] if len(rows) > 2 else rows  # the last may be cut off
    widths = {len(row) for row in whole}
    return len(widths) == 1 and widths != {1}


def _advice_for_table(first: str) -> str:
    if {"annotation_id", "lead_time", "annotator"} & set(re.findall(r"\w+", first)):
        return "export from Label Studio as JSON"
    return "expected columns separated by tabs or blanks, without quotes, and a blank line between sentences"


def _is_conllu(lines: Sequence[str]) -> bool:
    rows = [line.split("\t") for line in lines[:200] if not line.startswith("#")]
    if not rows or not all(len(row) == 10 and _CONLLU_ID.match(row[0]) for row in rows):
        return False
    return not all(_TAG.match(row[9]) for row in rows)


_LOOKS: tuple[Callable[[str, Sequence[str]], str | None], ...] = (
    _looks_like_webanno,
    _looks_like_json,
    _looks_like_markup,
    _looks_like_brat,
    _looks_like_pairs,
    _looks_like_csv,
)
