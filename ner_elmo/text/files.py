"""Text files as users have them: plain, gzip, xz or zstandard, UTF-8 or not, standard input as ``-``.

A line ends at LF or CRLF and nowhere else (not at U+2028, form feeds and the like, which are ordinary characters).
"""

from __future__ import annotations

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
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

from ner_elmo.errors import CannotWriteError, DataError, NerElmoError, UsageError

STANDARD_STREAM = "-"


MOST_SHOWN = 200  # characters of a name, in messages


def display_name(path: str | Path) -> str:
    """The name to print for ``path`` in messages."""
    return "<stdin>" if str(path) == STANDARD_STREAM else shown_name(path)


def shown_name(path: str | Path) -> str:
    """A name that is safe to print on one line: no control characters, no bytes that are not text, not too long."""
    name = str(path)
    name = name if len(name) <= MOST_SHOWN else name[: MOST_SHOWN // 4] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name)


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


def require_file(path: str | Path, what: str = "file") -> Path:
    """Return ``path`` if it is a readable file.

    Raises:
        UsageError: it does not exist, is a folder, or may not be read.
    """
    path = Path(path)
    if is_folder(path):
        raise UsageError(f"{shown_name(path)}: is a directory; expected a {what}")
    if not is_there(path):
        hint = " (to tag text itself: echo TEXT | ner-elmo tag -)" if looks_like_text(path) else ""
        raise UsageError(f"{shown_name(path)}: no such {what}{hint}")
    if not os.access(path, os.R_OK):
        raise UsageError(f"{shown_name(path)}: permission denied")
    return path


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

    def __init__(self, path: Path, blocks: Iterator[bytes]) -> None:
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
        return sys.stdin.buffer
    file = require_file(path)
    opener = _OPENERS.get(file.suffix.lower())
    return opener(file) if opener else open(file, "rb")  # type: ignore[return-value]


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
        DataError: bytes that do not decode (``file:line``), or a damaged compressed file.
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
    """Give a temporary name beside ``path`` to write to; rename it to ``path`` only if the block succeeds.

    A link stays, and what it points to is replaced. What is no file (a pipe, a device) receives the bytes instead.

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
        prefix = f".{target.name[:100]}." if is_replaced else "ner-elmo."
        handle, temporary = tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=folder)
        os.close(handle)
    try:
        with _refusals_named(path):
            yield Path(temporary)
            if is_replaced:
                _permissions_as_usual(Path(temporary))
                os.replace(temporary, target)
            else:
                with open(temporary, "rb") as written, open(path, "wb") as stream:
                    shutil.copyfileobj(written, stream)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


SPARE_FOR_INDEX = 1 << 20  # bytes that a file may need beside its data when it is closed


def require_space(file: str | Path, n_bytes: int) -> None:
    """Make sure that so many bytes can be added to ``file``, and what the HDF5 library writes when it closes it.

    That library ends the whole program where a disk is full.

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


def _permissions_as_usual(path: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)  # mkstemp makes files that only their owner may read


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
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name[:100]}.", suffix=".tmp", dir=path.parent))
    try:
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
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def sha256_of_file(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
