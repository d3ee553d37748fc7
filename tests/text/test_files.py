"""Files as lines, plain or compressed: where a line ends, and what is said of a file that was cut off."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest
import zstandard

from ner_elmo.errors import DataError
from ner_elmo.text.files import read_lines


def test_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes("\ufeffa\u2028b\r\n\x0cc\rd\n\ne".encode())
    assert list(read_lines(path)) == ["a\u2028b", "\x0cc\rd", "", "e"]
    path.write_bytes(b"ok\n\xff\xfe\n")
    with pytest.raises(DataError, match=r"x\.txt:2: found byte 0xff at byte 1 of the line, expected utf-8"):
        list(read_lines(path))


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
def test_compressed_files_and_cut_off_ones(tmp_path: Path, suffix: str) -> None:
    content = "".join(f"line {number} Ünïcode\n" for number in range(5000)).encode()
    frames = [content[:30_000], content[30_000:]]  # files may be put together of several compressed ones
    compress = {".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstandard.ZstdCompressor().compress}[suffix]
    path = tmp_path / f"x.txt{suffix}"
    path.write_bytes(b"".join(map(compress, frames)))
    assert "\n".join(read_lines(path)) + "\n" == content.decode()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="damaged compressed file"):
        list(read_lines(path))
