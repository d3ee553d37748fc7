"""Files as lines, plain or compressed, whole or cut off; and files and folders that appear whole or not at all."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest
import zstandard

from ner_elmo.errors import DataError, UsageError
from ner_elmo.text.files import (
    LineWriter,
    characters_in_file,
    open_by_content,
    open_bytes,
    output_stream,
    put_back,
    read_lines,
    replace_directory,
    replace_file,
    require_file,
    write_json,
    write_text,
)


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


def fail_after(path: Path) -> None:
    """Write half of a file."""
    path.write_text("half")
    raise RuntimeError("power cut")


@pytest.mark.parametrize("exists", [False, True])
def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, exists: bool) -> None:
    path = tmp_path / "folder" / "x"
    if exists:
        write_text(path, "before")
    with pytest.raises(RuntimeError, match="power cut"), replace_file(path) as temporary:
        fail_after(temporary)
    assert [file.name for file in path.parent.iterdir()] == ["x"] * exists
    assert not exists or path.read_text() == "before"
    write_text(path, "after \ud800")  # half of a surrogate pair, as JSON may name it
    assert path.read_text(encoding="utf-8", errors="surrogatepass") == "after \ud800"
    assert path.stat().st_mode & 0o777 == write_in_place(tmp_path / "usual").stat().st_mode & 0o777


def write_in_place(path: Path) -> Path:
    """An empty file, made without a temporary name."""
    path.write_text("")
    return path


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path, exists: bool) -> None:
    path = tmp_path / "x"
    if exists:
        path.mkdir()
        (path / "old").touch()
    with pytest.raises(RuntimeError, match="power cut"), replace_directory(path) as temporary:
        fail_after(temporary / "new")
    assert [file.name for file in tmp_path.rglob("*")] == ["x", "old"] * exists
    with replace_directory(path) as temporary:
        (temporary / "new").touch()
    assert [file.name for file in tmp_path.rglob("*")] == ["x", "new"]


def test_json_is_written_for_people(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"é": [1]})
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{\n "é": [\n  1\n ]\n}\n'


def test_a_first_line_keeps_its_byte_order_mark(tmp_path: Path) -> None:
    lines = ["\ufeffa", "\ufeffb", ""]
    with output_stream(tmp_path / "x") as stream:
        writer = LineWriter(stream)
        for line in lines:
            writer.write(line)
    assert list(read_lines(tmp_path / "x")) == lines


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".zst"])
def test_files_are_opened_by_name_and_by_content(tmp_path: Path, suffix: str) -> None:
    content = b"some words\n" * 100
    written = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstandard.ZstdCompressor().compress}
    for path in (tmp_path / f"x{suffix}", tmp_path / "without-a-suffix"):
        path.write_bytes(written[suffix](content))
    with open_bytes(tmp_path / f"x{suffix}") as stream:
        assert stream.read() == content
    with open_by_content(tmp_path / "without-a-suffix") as stream:
        assert stream.read() == content
    assert characters_in_file(tmp_path / f"x{suffix}") == len(content)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory; expected a corpus"):
        require_file(tmp_path, "corpus")
    with pytest.raises(UsageError, match="no such corpus"):
        require_file(tmp_path / "x", "corpus")


def test_lines_that_do_not_decode_may_go_on(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"a\n\xffb\nc\n")
    said: list[tuple[int, str]] = []
    assert list(read_lines(tmp_path / "x", on_undecodable=lambda *found: said.append(found))) == ["a", "\ufffdb", "c"]
    assert [number for number, _ in said] == [2]
    with pytest.raises(UsageError, match="unknown encoding 'klingon'; expected a name such as utf-8"):
        list(read_lines(tmp_path / "x", encoding="klingon"))


def test_a_folder_that_was_left_half_replaced_comes_back(tmp_path: Path) -> None:
    (tmp_path / ".model.x.old" / "model").mkdir(parents=True)
    (tmp_path / ".model.x.old" / "model" / "a").write_text("old")
    put_back(tmp_path / "model")
    assert (tmp_path / "model" / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    with replace_directory(tmp_path / "model") as folder:
        (folder / "a").write_text("new")
    assert (tmp_path / "model" / "a").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
