"""Text files as users have them: plain, gzip, xz or zstandard, UTF-8 or not, standard input as ``-``.

A line ends at LF or CRLF and nowhere else (not at U+2028, form feeds and the like, which are ordinary characters). A
file with carriage returns and no LF at all is refused.
"""

from __future__ import annotations

import codecs
import contextlib
import gzip
import hashlib
import io
import json
import lzma
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

from ner_elmo.errors import DataError, NerElmoError, UsageError

STANDARD_STREAM = "-"
RETURNS_INSIDE = (
    "found carriage returns inside line {number}, expected lines that end at LF or CRLF (old Mac line ends? convert "
    "them)"
)


def encoding_problem(name: str) -> str:
    """What is wrong with the name of an encoding; nothing if text can be read by it."""
    try:
        codec = codecs.lookup(name)
        is_of_text = isinstance(codec.decode(b"")[0], str)
    except (LookupError, ValueError, UnicodeError):
        is_of_text = False
    except Exception:  # codecs of other things than text may want more than no bytes
        is_of_text = False
    return "" if is_of_text else "expected the name of an encoding such as utf-8, iso-8859-1 or gb18030"


def text_problem(text: str) -> str:
    """What is wrong with words that are to be recorded; nothing if UTF-8 can hold them."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "expected text without lone surrogates"
    return ""


def display_name(path: str | Path) -> str:
    """The name to print for ``path`` in messages."""
    return "<stdin>" if str(path) == STANDARD_STREAM else str(path)


def has_returns_inside(line: str) -> bool:
    """Whether carriage returns stand inside a line, not just at its edges: the ends of old Mac lines."""
    return "\r" in line and "\r" in line.strip("\r")


def require_file(path: str | Path, what: str = "file") -> Path:
    """Return ``path`` if it is a readable file.

    Raises:
        UsageError: it does not exist, is a folder, or may not be read.
    """
    path = Path(path)
    if path.is_dir():
        raise UsageError(f"{path}: is a directory; expected a {what}")
    if not path.exists():
        raise UsageError(f"{path}: no such {what}")
    if not os.access(path, os.R_OK):
        raise UsageError(f"{path}: permission denied")
    return path


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
        while block := file.read(1 << 17):
            while block:
                frame = frame or decompressor().decompressobj()
                yield frame.decompress(block)
                block = b""
                if frame.eof:
                    block, frame = frame.unused_data, None
    if frame is not None:
        raise EOFError("it ends in the middle of a frame")


class _Blocks(io.RawIOBase):
    """Blocks of bytes as a stream."""

    def __init__(self, path: str | Path, blocks: Iterator[bytes]) -> None:
        self.name = str(path)
        self._blocks = blocks
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._left = block
        n_bytes = min(len(buffer), len(self._left))
        buffer[:n_bytes] = self._left[:n_bytes]
        self._left = self._left[n_bytes:]
        return n_bytes


_OPENERS: dict[str, Callable[[Path], object]] = {".gz": gzip.GzipFile, ".xz": lzma.LZMAFile, ".zst": _open_zstd}


def open_bytes(path: str | Path) -> BinaryIO:
    """Open ``path`` for reading bytes, decompressed by its suffix (``.gz``, ``.xz``, ``.zst``); ``-`` is stdin.

    Raises:
        UsageError: the file is missing, a folder, or unreadable.
    """
    if str(path) == STANDARD_STREAM:
        return _standard_input()
    file = require_file(path)
    opener = _OPENERS.get(file.suffix.lower())
    return opener(file) if opener else open(file, "rb")  # type: ignore[return-value]


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
    with damage_named(display_name(path)):
        if str(path) != STANDARD_STREAM:
            with open_bytes(path) as stream:
                return stream.read(size)
        if not (_peeked and _peeked[0].stream is sys.stdin.buffer):
            _peeked[:] = [_Peeked(sys.stdin.buffer, sys.stdin.buffer.read(size))]
        return _peeked[0].beginning


def _standard_input() -> BinaryIO:
    stream = sys.stdin.buffer
    if not (_peeked and _peeked[0].stream is stream):
        return stream
    beginning = _peeked.pop().beginning
    rest = iter(lambda: stream.read(1 << 16), b"")
    return io.BufferedReader(_Blocks(STANDARD_STREAM, chain([beginning] if beginning else [], rest)))


_MAGIC = {b"\x1f\x8b": ".gz", b"\xfd7zXZ\x00": ".xz", b"\x28\xb5\x2f\xfd": ".zst"}


def open_by_content(path: str | Path) -> BinaryIO:
    """Open ``path`` for reading bytes, decompressed by what it begins with, whatever its name is.

    Raises:
        UsageError: the file is missing, a folder, or unreadable.
    """
    file = require_file(path)
    with open(file, "rb") as stream:
        beginning = stream.read(8)
    for magic, suffix in _MAGIC.items():
        if beginning.startswith(magic):
            return _OPENERS[suffix](file)  # type: ignore[return-value]
    return open(file, "rb")


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
    path = require_file(path)
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
    suffix = path.suffix.lower()
    if suffix not in _OPENERS:
        return len(data), data
    if suffix == ".zst":
        _open_zstd(path).close()  # says what is missing, if it is
        decompressor: Any = sys.modules["zstandard"].ZstdDecompressor().decompressobj()
    else:
        decompressor = zlib.decompressobj(wbits=31) if suffix == ".gz" else lzma.LZMADecompressor()
    text = decompressor.decompress(data)
    return len(data) - len(decompressor.unused_data), text


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


def read_lines(
    path: str | Path,
    encoding: str = "utf-8",
    on_undecodable: Callable[[int, str], None] | None = None,
    open_stream: Callable[[str | Path], BinaryIO] = open_bytes,
) -> Iterator[str]:
    """Yield the lines of a text file without their line ends, one at a time, in constant memory.

    A byte-order mark at the start is dropped. ``encoding`` is any codec that extends ASCII line ends (UTF-8,
    ISO-8859-1, GB18030 ...), or UTF-16/32, which are decoded as a stream. With ``on_undecodable``, a line that does
    not decode is yielded with U+FFFD for what does not, after a call with its number and what was found (not for
    UTF-16/32, where the next line's place is lost). ``open_stream`` opens the file.

    Raises:
        UsageError: the file cannot be opened or the encoding is unknown.
        DataError: bytes that do not decode (``file:line``), a file whose lines all end at carriage returns alone, or a
            damaged compressed file.
    """
    try:
        codec = codecs.lookup(encoding)
        b"".decode(codec.name)  # some codecs (hex, rot13) are not of text
    except (LookupError, UnicodeError):
        raise UsageError(
            f"unknown encoding {encoding!r}; expected a name such as utf-8, iso-8859-1 or gb18030"
        ) from None
    name = display_name(path)
    stream = open_stream(path)
    number = 0
    try:
        if codec.name.startswith(("utf-16", "utf-32")):
            lines: Iterable[str] = io.TextIOWrapper(stream, encoding=codec.name, newline="\n")
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
        raise NerElmoError(f"{name}: cannot be read ({error.strerror or error})") from None
    finally:
        if stream is not sys.stdin.buffer:
            stream.close()


def _damage() -> tuple[type[Exception], ...]:
    """What the readers of compressed files raise for damaged ones."""
    errors: tuple[type[Exception], ...] = (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile)
    if "zstandard" in sys.modules:
        errors += (sys.modules["zstandard"].ZstdError,)
    return errors


def _decode_lines(
    stream: BinaryIO, encoding: str, name: str, on_undecodable: Callable[[int, str], None] | None
) -> Iterator[str]:
    for number, raw in enumerate(stream, start=1):
        try:
            line = raw.decode(encoding)
        except UnicodeDecodeError as error:
            message = (
                f"found byte 0x{raw[error.start]:02x} at byte {error.start + 1} of the line, expected {encoding} text; "
                "name the file's encoding with --encoding"
            )
            if on_undecodable is None:
                raise DataError(f"{name}:{number}: {message}") from None
            on_undecodable(number, message)
            line = raw.decode(encoding, errors="replace")
        yield line


@contextlib.contextmanager
def replace_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside ``path`` to write to; rename it to ``path`` only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    try:
        yield Path(temporary)
        _permissions_as_usual(Path(temporary))
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _permissions_as_usual(path: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)  # mkstemp makes files that only their owner may read


@contextlib.contextmanager
def replace_directory(path: str | Path) -> Iterator[Path]:
    """Give a temporary folder beside ``path`` to fill; it takes the place of ``path`` only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)
        if path.exists():
            retired = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
            os.replace(path, retired / path.name)
            os.replace(temporary, path)
            shutil.rmtree(retired)
        else:
            os.replace(temporary, path)
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)


@contextlib.contextmanager
def output_stream(path: str | Path | None) -> Iterator[IO[str]]:
    """Standard output for ``None`` or ``-``; otherwise a UTF-8 file that appears only once it is complete."""
    if path is None or str(path) == STANDARD_STREAM:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", newline="\n")
        yield sys.stdout
        sys.stdout.flush()
    else:
        with replace_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as stream:
            yield stream


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file that appears only once it is complete."""
    with replace_file(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogatepass"))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file that appears only once it is complete."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def sha256_of_file(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
