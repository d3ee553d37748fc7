"""Text files as users have them: plain or compressed, UTF-8 or not, standard input as ``-``.

A line ends at LF or CRLF and nowhere else (not at U+2028, form feeds and the like, which are ordinary characters). A
file with carriage returns and no LF at all is refused.
"""

from __future__ import annotations

import bz2
import codecs
import contextlib
import errno
import glob
import gzip
import hashlib
import io
import json
import lzma
import os
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple, TypeVar

from ner_elmo.errors import CannotWriteError, DataError, NerElmoError, UsageError
from ner_elmo.settings import unique_keys

if sys.platform != "win32":
    import fcntl

STANDARD_STREAM = "-"
RETURNS_INSIDE = (
    "found carriage returns inside line {number}, expected lines that end at LF or CRLF (old Mac line ends? convert "
    "them)"
)


def encoding_problem(name: str) -> str:
    """What is wrong with the name of an encoding; nothing if text can be read by it."""
    try:
        is_of_text = isinstance(b" ".decode(name, "ignore"), str)  # refuses codecs that are not of text
    except (LookupError, ValueError, UnicodeError):
        is_of_text = False
    except Exception:  # codecs of other things than text may want more than no bytes
        is_of_text = False
    return "" if is_of_text else "expected the name of an encoding such as utf-8, iso-8859-1 or gb18030"


STRICT, REPLACE = "strict", "replace"
ERRORS_HELP = "bytes that are no text in that encoding: strict (the file is an error) or replace (each becomes U+FFFD)"


def decoding(encoding: str, errors: str) -> str:
    """How bytes are read, as readers of files take it in place of an encoding: ``utf-8``, or ``utf-8:replace``."""
    return encoding if errors == STRICT else f"{encoding}:{errors}"


def parted(way: str) -> tuple[str, bool]:
    """The encoding of :func:`decoding`, and whether what does not decode is replaced."""
    return way.removesuffix(f":{REPLACE}"), way.endswith(f":{REPLACE}")


def text_problem(text: str) -> str:
    """What is wrong with words that are to be recorded; nothing if UTF-8 can hold them."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "expected text without lone surrogates"
    return ""


MOST_SHOWN = 200  # characters of a name, in messages


def display_name(path: str | Path) -> str:
    """The name to print for ``path`` in messages."""
    return "<stdin>" if str(path) == STANDARD_STREAM else shown_name(path)


def shown_name(path: str | Path) -> str:
    """A name that is safe to print on one line: no control characters, no bytes that are not text, not too long."""
    name = str(path)
    return whole_name(name if len(name) <= MOST_SHOWN else name[: MOST_SHOWN // 4] + "...")


def whole_name(path: str | Path) -> str:
    """The same, however long it is: what outputs call a file."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(path))


def is_there(path: Path) -> bool:
    """Whether a name stands for anything; one that the system cannot have stands for nothing."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, a part of it a file, a NUL in it
        return False


def is_folder(path: Path) -> bool:
    """Likewise, for a folder."""
    return is_there(path) and path.is_dir()


def is_stream(path: Path) -> bool:
    """Whether what stands there is written to as it is, and never replaced: a pipe, a device, an open file's name."""
    if not is_there(path) or is_folder(path):
        return False
    return not path.is_file() or path.absolute().parts[:2] in (("/", "dev"), ("/", "proc"))


def cannot_write(path: str | Path, error: OSError) -> CannotWriteError:
    """The error that says that ``path`` cannot be written, and why."""
    reason = error.strerror or (str(error).splitlines() or ["unknown reason"])[0][:200]
    found = CannotWriteError(f"{shown_name(path)}: cannot be written ({reason})")
    found.errno = error.errno
    return found


def has_returns_inside(line: str) -> bool:
    """Whether carriage returns stand inside a line, not just at its edges: the ends of old Mac lines."""
    return "\r" in line and "\r" in line.strip("\r")


def require_file(path: str | Path, what: str = "file", is_read_once: bool = False) -> Path:
    """Return ``path`` if it is a readable file.

    Args:
        is_read_once: a pipe or a device will do, too; otherwise what was read once would be gone.

    Raises:
        UsageError: it does not exist, is a folder or no file at all, or may not be read.
    """
    path = Path(path)
    if is_folder(path):
        raise UsageError(f"{shown_name(path)}: is a directory; expected a {what}")
    if not is_there(path):
        hint = " (to tag text itself: echo TEXT | ner-elmo tag -)" if looks_like_text(path) else ""
        raise UsageError(f"{shown_name(path)}: no such {what}{hint}")
    if not os.access(path, os.R_OK):
        raise UsageError(f"{shown_name(path)}: permission denied")
    if not is_read_once and not path.is_file():
        raise UsageError(
            f"{shown_name(path)}: is a pipe or device, which can be read only once; expected a {what}; write it to one "
            "first"
        )
    return path


def json_of(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        OSError: it is not there, or cannot be read.
        ValueError: it is no file, or holds no JSON, or an object with a key twice.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique_keys)
    except RecursionError:
        raise ValueError("nested too deep") from None


def looks_like_text(name: str | Path) -> bool:
    """Whether what should be the name of a file seems to be a text: it has several words or lines, or is too long."""
    return len(str(name)) > MOST_SHOWN or len(str(name).split()) > 1


def _open_zstd(path: Path) -> BinaryIO:
    try:
        import zstandard
    except ImportError:
        raise UsageError(
            f"{path}: reading .zst needs the zstandard package; try: pip install 'ner-elmo[zstd]'"
        ) from None
    return io.BufferedReader(_Blocks(path, _zstd_blocks(path, zstandard.ZstdDecompressor)))


def _zstd_blocks(path: Path, decompressor: Callable[[], Any]) -> Iterator[bytes]:
    """The decompressed bytes of all frames; unlike zstandard's own reader it notices a file that was cut off."""
    frame = None
    with open(path, "rb") as file:
        while block := file.read(_PIECE):
            while block:
                frame = frame or decompressor().decompressobj()
                yield frame.decompress(block)
                block = b""
                if frame.eof:
                    block, frame = frame.unused_data, None
    if frame is not None:
        raise EOFError("it ends in the middle of a frame")


# Compressed bytes that are decompressed at once: of the worst file, a few of them become a block of 128 kB.
_PIECE = 1 << 10
_MOST_AT_ONCE = 1 << 20  # bytes that come of them at once, where the library can be told
_XZ_MEMORY = 256 << 20  # bytes that a file may want for its dictionary; xz -9 wants 65 million


def _open_xz(path: Path | BinaryIO) -> BinaryIO:
    stream = open(path, "rb") if isinstance(path, Path) else path  # noqa: SIM115
    return io.BufferedReader(_Blocks(str(getattr(stream, "name", path)), _xz_blocks(stream)))


def _xz_blocks(file: BinaryIO) -> Iterator[bytes]:
    """The decompressed bytes of all streams of an .xz or .lzma file, in bounded memory."""
    stream: lzma.LZMADecompressor | None = None
    with file:
        while block := file.read(1 << 16):
            while block or (stream is not None and not stream.needs_input and not stream.eof):
                if stream is None:
                    block = block.lstrip(b"\0")  # padding between two streams
                    if not block:
                        break
                    stream = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
                yield stream.decompress(block, _MOST_AT_ONCE)
                block = b""
                if stream.eof:
                    block, stream = stream.unused_data, None
    if stream is not None:
        raise EOFError("it ends in the middle of a stream")


def _open_zip(path: Path) -> BinaryIO:
    """The one text of a zip.

    Raises:
        DataError: it holds another number of files.
    """
    try:
        archive = zipfile.ZipFile(path)
        names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
        names = [name for name in names if not name.startswith("__MACOSX/")]
        if is_locked(archive):
            raise DataError(f"{path}:1: found a zip with a password, expected one text without; unpack it")
        if len(names) != 1:
            raise DataError(f"{path}:1: found a zip of {len(names):,} files, expected one text in it; unpack it")
        return io.BufferedReader(archive.open(names[0]))  # type: ignore[type-var]
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{path}:1: found a damaged zip ({error}), expected one text in it") from None


_ENCRYPTED = 1  # of the flags of a zip's entry


def is_locked(archive: zipfile.ZipFile) -> bool:
    """Whether a zip, or a part of it, is encrypted."""
    return any(entry.flag_bits & _ENCRYPTED for entry in archive.infolist())


class _Blocks(io.RawIOBase):
    """Blocks of bytes as a stream."""

    def __init__(self, path: str | Path, blocks: Iterator[bytes]) -> None:
        self.name = str(path)
        self._blocks = blocks
        self._left = memoryview(b"")  # what is cut off from it is not copied

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._left = memoryview(block)
        n_bytes = min(len(buffer), len(self._left))
        buffer[:n_bytes] = self._left[:n_bytes]
        self._left = self._left[n_bytes:]
        return n_bytes


_OPENERS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.GzipFile,
    ".bz2": bz2.BZ2File,
    ".xz": _open_xz,
    ".zst": _open_zstd,
    ".zip": _open_zip,
}
_MAGIC = {
    b"\x1f\x8b": ".gz",
    b"BZh": ".bz2",
    b"\xfd7zXZ\x00": ".xz",
    b"\x28\xb5\x2f\xfd": ".zst",
    b"PK\x03\x04": ".zip",
}
_BLOCK_MAGIC = (b"1AY&SY", b"\x17rE8P\x90")  # the fifth byte of .bz2 on: a text may begin with BZh
# What a file may be that holds no text, by what it begins with.
_NO_TEXT = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"%PDF-": "a PDF file",
    b"\xd0\xcf\x11\xe0": "a file of an old office program",
    b"\x89HDF": "an HDF5 file",
    b"PK\x05\x06": "an empty zip archive",
}
_TAR = slice(257, 262)
_BEGINNING = 4096


def open_bytes(path: str | Path) -> BinaryIO:
    """Open ``path`` for reading bytes, decompressed by what it begins with, or else by its suffix (``.gz``, ``.bz2``,
    ``.xz``, ``.zst``, ``.zip`` of one text); ``-`` is stdin.

    Raises:
        UsageError: the file is missing, a folder, or unreadable.
        DataError: it is an archive of several files, or holds no text at all.
    """
    if str(path) == STANDARD_STREAM:
        return _open_standard_input()
    file = require_file(path, is_read_once=True)
    if not file.is_file():  # a pipe: what was read once is gone
        return _decompressed_as_it_comes(open(file, "rb"), shown_name(path))
    try:
        with open(file, "rb") as stream:
            beginning = stream.read(512)
    except OSError as error:
        raise NerElmoError(f"{path}: cannot be read ({error.strerror or error})") from None
    packed = _packed_as(beginning)
    _refuse_archive(beginning, str(path))
    opener = _OPENERS.get(packed or file.suffix.lower())
    return opener(file) if opener else open(file, "rb")


class _Peeked(NamedTuple):
    """What was read ahead of a standard input, and has to be read again."""

    stream: BinaryIO
    beginning: bytes


_peeked: list[_Peeked] = []  # none or one


def beginning_of(path: str | Path, size: int = 1 << 16) -> bytes:
    """The first ``size`` bytes of a file, decompressed by its suffix; of standard input, too, which loses nothing.

    Raises:
        UsageError: the file is missing, a folder, or unreadable.
        DataError: a damaged compressed file.
    """
    with damage_named(f"{display_name(path)}:1"):
        if str(path) != STANDARD_STREAM:
            with open_bytes(path) as stream:
                return stream.read(size)
        stream = _own_standard_input()
        if not (_peeked and _peeked[0].stream is stream):
            _peeked[:] = [_Peeked(stream, stream.read(size))]
        return _peeked[0].beginning


_own: list[tuple[Any, BinaryIO]] = []  # Python's standard input, and ours; none or one


def _own_standard_input() -> BinaryIO:
    """Standard input by an object of our own.

    Python ends by force if a thread still waits for its own one when the program ends.
    """
    stream = sys.stdin.buffer
    if not (_own and _own[0][0] is stream):
        try:
            ours: BinaryIO = open(stream.fileno(), "rb", closefd=False)  # noqa: SIM115
        except (OSError, AttributeError):  # it is no file, as in tests
            ours = stream
        _own[:] = [(stream, ours)]
    return _own[0][1]


def _standard_input() -> BinaryIO:
    stream = _own_standard_input()
    if not (_peeked and _peeked[0].stream is stream):
        return stream
    beginning = _peeked.pop().beginning
    rest = iter(lambda: stream.read(1 << 16), b"")
    return io.BufferedReader(_Blocks(STANDARD_STREAM, chain([beginning] if beginning else [], rest)))


def open_by_content(path: str | Path) -> BinaryIO:
    """Open ``path`` for reading bytes, decompressed by what it begins with, whatever its name is.

    Raises:
        UsageError: the file is missing, a folder, or unreadable.
    """
    file = require_file(path)
    with open(file, "rb") as stream:
        packed = _packed_as(stream.read(512))
    return _OPENERS[packed](file) if packed else open(file, "rb")


def require_text(path: str | Path, encoding: str) -> None:
    """Look at the beginning of a file whose readers do not.

    Raises:
        UsageError: it cannot be opened.
        DataError: it looks to be no text in ``encoding``.
    """
    for _ in read_lines(path, encoding):
        break


def _open_standard_input() -> BinaryIO:
    return _decompressed_as_it_comes(_standard_input(), display_name(STANDARD_STREAM))


def _decompressed_as_it_comes(stream: BinaryIO, name: str) -> BinaryIO:
    """A stream that can be read once, decompressed where that needs no second look at it."""
    beginning = _look_ahead(stream)
    packed = _packed_as(beginning)
    _refuse_archive(beginning, name)
    if packed == ".gz":
        return gzip.GzipFile(fileobj=stream)  # type: ignore[return-value]
    if packed == ".bz2":
        return bz2.BZ2File(stream)  # type: ignore[return-value]
    if packed == ".xz":
        return _open_xz(stream)
    if packed:
        raise DataError(f"{name}:1: found a {packed} file, expected text; decompress it first, or name the file")
    return stream


def _packed_as(beginning: bytes) -> str | None:
    """The suffix that a compressed file's beginning speaks for."""
    for magic, suffix in _MAGIC.items():
        if beginning.startswith(magic) and (suffix != ".bz2" or beginning[4:10] in _BLOCK_MAGIC):
            return suffix
    return None


def _look_ahead(stream: Any) -> bytes:
    """The beginning of a stream that can be looked at without being read; nothing of others."""
    return bytes(stream.peek(_BEGINNING)[:_BEGINNING]) if hasattr(stream, "peek") else b""


def _refuse_archive(beginning: bytes, name: str) -> None:
    """Raise a DataError for a file that is no text whatever its encoding."""
    what = "a tar archive" if beginning[_TAR] == b"ustar" else None
    for magic, called in _NO_TEXT.items():
        if beginning.startswith(magic):
            what = called
    if what:
        raise DataError(f"{name}:1: found {what}, expected text; unpack it, and name the texts in it")


def _refuse_binary(beginning: bytes, name: str, encoding: str) -> None:
    """Raise a DataError for text in another encoding than ``encoding``, which it happens to decode in."""
    n_control = len(beginning) - len(beginning.translate(None, _CONTROL))
    if n_control >= _CONTROL_LEAST and n_control > _CONTROL_MOST * len(beginning):
        n_nul = beginning.count(0)
        what = f"{n_nul:,} NUL characters" if 2 * n_nul > n_control else f"{n_control:,} control characters"
        raise DataError(
            f"{name}:1: found {what} in the first {len(beginning):,} bytes, so it is not {encoding} "
            "text; expected text; name the file's encoding with --encoding (utf-16?)"
        )


_CONTROL = bytes([*range(0x09), *range(0x0E, 0x1B), *range(0x1C, 0x20)])
_CONTROL_LEAST, _CONTROL_MOST = 16, 0.15


@contextlib.contextmanager
def damage_named(name: str) -> Iterator[None]:
    """Within the block, damage to a compressed file and failures of the disk become errors that name the file."""
    try:
        yield
    except _damage() as error:
        raise DataError(f"{name}: found a damaged compressed file ({error}), expected it to go on") from None
    except OSError as error:
        raise NerElmoError(f"{name}: cannot be read ({error.strerror or error})") from None


def characters_in_file(path: str | Path, encoding: str = "utf-8") -> int:
    """About how many characters a file holds, from its beginning and its size.

    Raises:
        UsageError: the file is missing or unreadable, or the encoding is unknown.
        DataError: a damaged compressed file.
    """
    path, encoding = require_file(path), parted(encoding)[0]
    size = path.stat().st_size
    with open(path, "rb") as stream:
        data = stream.read(1 << 22)
    try:
        read, text = _decompressed(data, path)
        return round(size * len(text.decode(encoding, "ignore")) / max(1, read))
    except LookupError:
        raise UsageError(f"unknown encoding {encoding!r}") from None
    except _damage() as error:
        raise DataError(f"{path}:1: found a damaged compressed file ({error}), expected it to go on") from None


def _decompressed(data: bytes, path: Path) -> tuple[int, bytes]:
    """How many of the first bytes of a file were read, and what they decompress to."""
    suffix = _packed_as(data[:512]) or path.suffix.lower()
    if suffix not in _OPENERS:
        return len(data), data
    if suffix == ".zip":
        with _open_zip(path) as stream, zipfile.ZipFile(path) as archive:
            text = stream.read(1 << 22)
            sizes = max(entry.file_size for entry in archive.infolist())
            return round(path.stat().st_size * len(text) / max(1, sizes)), text
    if suffix == ".zst":
        _open_zstd(path).close()  # says what is missing, if it is
        decompressor: Any = sys.modules["zstandard"].ZstdDecompressor().decompressobj()
    elif suffix == ".gz":
        decompressor = zlib.decompressobj(wbits=31)
    else:
        decompressor = bz2.BZ2Decompressor() if suffix == ".bz2" else lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
    most = {".gz": (_MOST_AT_ONCE,), ".bz2": (_MOST_AT_ONCE,), ".xz": (_MOST_AT_ONCE,)}.get(suffix, ())
    parts: list[bytes] = []
    read = 0
    try:
        while read < len(data) and sum(map(len, parts)) < (1 << 22) and not decompressor.eof:
            piece = data[read : read + _PIECE]
            parts.append(decompressor.decompress(getattr(decompressor, "unconsumed_tail", b"") + piece, *most))
            read += len(piece)
    except OSError as error:  # of bz2, which has no error of its own
        raise EOFError(str(error)) from None
    return read - len(decompressor.unused_data), b"".join(parts)


class LineWriter:
    """Lines of a file that :func:`read_lines` reads back as they were written.

    It takes one byte-order mark from the beginning of a file, so a first line that begins with one gets another.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._begun = False

    def write(self, line: str) -> None:
        """Write a line, given without its end."""
        if not self._begun and line.startswith("\ufeff"):
            self._stream.write("\ufeff")
        self._begun = True
        self._stream.write(line + "\n")


def _passed_over(number: int, found: str) -> None:
    """What does not decode has become U+FFFD, as was asked for."""


MOST_OF_A_LINE = 128 << 20  # bytes: a small compressed file may hold a line of any length


def read_lines(
    path: str | Path,
    encoding: str = "utf-8",
    on_undecodable: Callable[[int, str], None] | None = None,
    open_stream: Callable[[str | Path], BinaryIO] = open_bytes,
    is_looked_at: bool = False,
) -> Iterator[str]:
    """Yield the lines of a text file without their line ends, one at a time, in memory for one line.

    A byte-order mark at the start is dropped. ``encoding`` is any codec that extends ASCII line ends (UTF-8,
    ISO-8859-1, GB18030 ...), or UTF-16/32, which are decoded as a stream. With ``on_undecodable``, a line that does
    not decode is yielded with U+FFFD for what does not, after a call with its number and what was found (not for
    UTF-16/32, where the next line's place is lost); so it is without a call for ``utf-8:replace`` (:func:`decoding`).
    ``open_stream`` opens the file. Text full of control characters,
    as UTF-16 is when it is read as UTF-8, is refused, unless it ``is_looked_at`` elsewhere.

    Raises:
        UsageError: the file cannot be opened or the encoding is unknown.
        DataError: bytes that do not decode (``file:line``), a file whose lines all end at carriage returns alone, a
            line of more than ``MOST_OF_A_LINE``, or a damaged compressed file.
    """
    encoding, replaces = parted(encoding)
    if replaces:
        on_undecodable = _passed_over
    try:
        codec = codecs.lookup(encoding)
        if encoding_problem(encoding):  # some codecs (hex, rot13) are not of text
            raise LookupError(encoding)
    except (LookupError, ValueError):
        raise UsageError(
            f"unknown encoding {encoding!r}; expected a name such as utf-8, iso-8859-1 or gb18030"
        ) from None
    name = display_name(path)
    stream = open_stream(path)
    number = 0
    try:
        beginning = _look_ahead(stream)
        _refuse_archive(beginning, name)
        if not is_looked_at and not codec.name.startswith(("utf-16", "utf-32")):
            _refuse_binary(beginning, name, encoding)
        if codec.name.startswith(("utf-16", "utf-32")):
            wide = io.TextIOWrapper(stream, encoding=codec.name, newline="\n")
            lines: Iterable[str] = _bounded(lambda: wide.readline(MOST_OF_A_LINE // 2 + 1), MOST_OF_A_LINE // 2, name)
        else:
            lines = _decode_lines(stream, codec.name, name, on_undecodable)
        for number, line in enumerate(lines, start=1):
            if number == 1 and line.startswith("\ufeff"):
                line = line[1:]
            if number == 1 and not line.endswith("\n") and has_returns_inside(line):  # nor is there another line
                raise DataError(f"{name}:1: {RETURNS_INSIDE.format(number=1)}")
            yield line.removesuffix("\n").removesuffix("\r")
    except UnicodeError as error:
        raise DataError(
            f"{name}:{number + 1}: found {error}, expected {encoding} text; name the file's encoding with --encoding"
        ) from None
    except _damage() as error:
        raise DataError(
            f"{name}:{number + 1}: found a damaged compressed file ({error}), expected it to go on"
        ) from None
    except OSError as error:
        if error.errno is None:  # bz2 has no error of its own
            raise DataError(
                f"{name}:{number + 1}: found a damaged compressed file ({error}), expected it to go on"
            ) from None
        raise NerElmoError(f"{name}: cannot be read ({error.strerror or error})") from None
    finally:
        if str(path) != STANDARD_STREAM:
            stream.close()


def _damage() -> tuple[type[Exception], ...]:
    """What the readers of compressed files raise for damaged ones."""
    errors: tuple[type[Exception], ...] = (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile)
    if "zstandard" in sys.modules:
        errors += (sys.modules["zstandard"].ZstdError,)
    return errors


Line = TypeVar("Line", str, bytes)


def _bounded(read_line: Callable[[], Line], most: int, name: str) -> Iterator[Line]:
    """The lines that ``read_line`` gives, until it gives nothing.

    Raises:
        DataError: one is longer than ``most``.
    """
    number = 0
    while line := read_line():
        number += 1
        if len(line) > most:
            raise DataError(
                f"{name}:{number}: found a line of more than {MOST_OF_A_LINE >> 20} MB, expected lines, such as a "
                "sentence or a paragraph each; break it"
            )
        yield line


def _decode_lines(
    stream: BinaryIO, encoding: str, name: str, on_undecodable: Callable[[int, str], None] | None
) -> Iterator[str]:
    for number, raw in enumerate(_bounded(lambda: stream.readline(MOST_OF_A_LINE + 1), MOST_OF_A_LINE, name), start=1):
        try:
            line = raw.decode(encoding)
        except UnicodeDecodeError as error:
            message = (
                f"found byte 0x{raw[error.start]:02x} at byte {error.start + 1} of the line, expected {encoding} text; "
                "name the file's encoding with --encoding"
            )
            if number == 1 and raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
                message += " (utf-16?)"
            if on_undecodable is None:
                raise DataError(f"{name}:{number}: {message}") from None
            on_undecodable(number, message)
            line = raw.decode(encoding, errors="replace")
        yield line


_MOST_OF_NAME = 100  # bytes of a file's name that a temporary one has; systems allow 255


def temporary_prefix(name: str) -> str:
    """What the names begin with under which a file called ``name`` is written (they end in ``.tmp``)."""
    while len(os.fsencode(name)) > _MOST_OF_NAME:
        name = name[:-1]
    return f".{name}."


@contextlib.contextmanager
def replace_file(path: str | Path, permissions: int | None = None) -> Iterator[Path]:
    """Give a temporary name beside ``path`` to write to; rename it to ``path`` only if the block succeeds.

    A link stays, and what it points to is replaced. What is no file (a pipe, a device) receives the bytes instead.

    Args:
        permissions: of the file; ``None``: those that files usually have here. Until then its owner alone may read it.

    Raises:
        CannotWriteError: the system refuses, or the disk is full.
    """
    path = Path(path)
    with _refusals_named(path):
        target = path.resolve() if path.is_symlink() else path
        is_replaced = not is_stream(path)
        folder = target.parent if is_replaced else None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        prefix = temporary_prefix(target.name) if is_replaced else "ner-elmo."
        if folder is not None:
            _remove_abandoned(folder, prefix)
        handle, temporary = tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=folder)
    try:
        _is_free(handle)
        with _refusals_named(path):
            yield Path(temporary)
            if is_replaced:
                _set_permissions(Path(temporary), permissions)
                os.replace(temporary, target)
            else:
                with open(temporary, "rb") as written, open(path, "wb") as stream:
                    shutil.copyfileobj(written, stream)
    finally:
        os.close(handle)
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def _remove_abandoned(folder: Path, prefix: str) -> None:
    """Remove what programs that were killed were writing under such a name. One that still writes holds it locked."""
    for left in folder.glob(f"{glob.escape(prefix)}????????.tmp"):
        with contextlib.suppress(OSError):
            handle = os.open(left, os.O_RDONLY)
            try:
                if _is_free(handle):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
            finally:
                os.close(handle)


def _is_free(handle: int) -> bool:
    """Whether nobody else holds a file or folder; it is held from now on, until ``handle`` is closed."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held, or of a file system without locks
        return False
    return True


SPARE_FOR_INDEX = 1 << 20  # bytes that a folder of files may need beside their data


def require_space(file: str | Path, n_bytes: int) -> None:
    """Make sure that so many bytes can be added beside ``file``.

    Raises:
        OSError: the disk has no such space.
    """
    free = shutil.disk_usage(Path(file).absolute().parent).free
    if free < n_bytes + SPARE_FOR_INDEX:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# What the system says of a place that cannot be written to, whatever was written there.
_REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


@contextlib.contextmanager
def _refusals_named(path: Path) -> Iterator[None]:
    """Within the block an error of the system's becomes one that names ``path``, if it is about writing there."""
    try:
        yield
    except BrokenPipeError:
        raise  # its reader has gone, which is no error
    except NerElmoError:
        raise
    except OSError as error:
        about = "" if error.filename is None else os.path.dirname(os.path.abspath(os.fsdecode(error.filename)))
        folder = os.path.abspath(path.parent)
        if error.errno not in _REFUSALS and not (about and f"{folder}/".startswith(f"{about}/")) and about != folder:
            raise
        raise cannot_write(path, error) from None


def _set_permissions(path: Path, permissions: int | None) -> None:
    umask = os.umask(0)
    os.umask(umask)
    # mkstemp makes files that only their owner may read
    path.chmod(0o666 & ~umask if permissions is None else permissions)


@contextlib.contextmanager
def replace_directory(path: str | Path) -> Iterator[Path]:
    """Give a temporary folder beside ``path`` to fill; it takes the place of ``path`` only if the block succeeds.

    If the program is ended just while the two change places, the old folder is put back when ``path`` is written next.

    Raises:
        CannotWriteError: the system refuses, or the disk is full.
    """
    path = Path(path)
    with _refusals_named(path):
        path = path.resolve() if path.is_symlink() else path
        path.parent.mkdir(parents=True, exist_ok=True)
        put_back(path)
        prefix = temporary_prefix(path.name)
        _remove_abandoned(path.parent, prefix)
        temporary = Path(tempfile.mkdtemp(prefix=prefix, suffix=".tmp", dir=path.parent))
        handle = os.open(temporary, os.O_RDONLY) if sys.platform != "win32" else None
    try:
        if handle is not None:
            _is_free(handle)
        with _refusals_named(path):
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o777 & ~umask)
            if path.exists():
                retired = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
                os.replace(path, retired / path.name)
                try:
                    os.replace(temporary, path)
                except OSError:
                    os.replace(retired / path.name, path)
                    raise
                finally:
                    shutil.rmtree(retired, ignore_errors=True)
            else:
                os.replace(temporary, path)
    finally:
        if handle is not None:
            os.close(handle)
        shutil.rmtree(temporary, ignore_errors=True)


def put_back(path: Path) -> None:
    """Put back the folder that a program which was ended had moved away from ``path`` in order to replace it."""
    if is_there(path) or not is_folder(path.parent):
        return
    for retired in path.parent.glob(f".{glob.escape(path.name)}.*.old"):
        if (retired / path.name).is_dir():
            os.replace(retired / path.name, path)
            retired.rmdir()
            return


@contextlib.contextmanager
def output_stream(path: str | Path | None) -> Iterator[IO[str]]:
    """Standard output for ``None`` or ``-``; a pipe or device as it is; otherwise a UTF-8 file that appears only once
    it is complete.

    Raises:
        CannotWriteError: the system refuses, or the disk is full.
    """
    if path is None or str(path) == STANDARD_STREAM:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
        yield sys.stdout
        sys.stdout.flush()
    elif is_stream(Path(path)):
        with (
            _refusals_named(Path(path)),
            open(path, "w", encoding="utf-8", newline="\n") as stream,
        ):
            yield stream
    else:
        with replace_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as stream:
            yield stream


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file that appears only once it is complete."""
    with replace_file(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogatepass"))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file that appears only once it is complete."""
    write_text(path, json_text(value, indent=1) + "\n")


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON that any file can hold: what is no character (of a file's name that is not UTF-8) stands as ``\\udcff``."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def sha256_of_file(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
