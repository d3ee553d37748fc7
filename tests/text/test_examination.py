"""A corpus is looked at before it is trained on: what is fine passes, for the rest the fitting option is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ner_elmo.bilm.data.corpus import TOKENIZER_OF_TEXT
from ner_elmo.text.examination import examine, is_cut, is_spaced_out, misread_pieces

CHINESE = [
    "我国是全球第三大盐碱地分布国家，今年以来，我国集聚优势资源对盐碱地进行高效治理。",
    "2024年GDP增长约5%；其中具有农业利用前景的盐碱地总面积1.85亿亩。",
    "什葉派，來自（Shia-ne-Ali）的縮寫，原意為阿里的追隨者，與遜尼派併列為伊斯蘭教的兩大主要教派之一。",
] * 10
FRENCH = ["Le garçon élève sa voix à l’école où il a été reçu , dit - il .", "Ça n’a pas été très drôle ."] * 20
RUSSIAN = ["Он пришёл домой и сказал : « Здравствуйте ! »"] * 10


def found(tmp_path: Path, lines: Sequence[str], text: str, encoding: str = "utf-8", saved: str = "utf-8") -> list[str]:
    path = tmp_path / "text.txt"
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(saved))
    return examine([path], text, TOKENIZER_OF_TEXT[text], encoding)


@pytest.fixture
def tokenized(repository: Path) -> list[str]:
    return (repository / "data" / "sample.raw.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def raw(repository: Path) -> list[str]:
    return (repository / "data" / "sample.txt").read_text(encoding="utf-8").splitlines()


def test_good_text_passes(tmp_path: Path, tokenized: list[str], raw: list[str]) -> None:
    assert not found(tmp_path, tokenized, "tokenized")
    assert not found(tmp_path, tokenized, "raw")
    assert not found(tmp_path, raw, "raw")
    assert not found(tmp_path, [" ".join(line) for line in CHINESE], "tokenized")
    assert not found(tmp_path, CHINESE, "characters")
    assert not found(tmp_path, FRENCH, "tokenized")
    assert not found(tmp_path, FRENCH, "tokenized", "cp1252", "cp1252")
    assert not found(tmp_path, RUSSIAN, "tokenized", "cp1251", "cp1251")
    assert not found(tmp_path, ["a 中文 name", "© 1999 « É » Ã"] * 20, "tokenized")
    assert not found(tmp_path, [], "tokenized")


def test_untokenised_text_is_named_with_the_option_that_fits(tmp_path: Path, raw: list[str]) -> None:
    (message,) = found(tmp_path, raw, "tokenized")
    assert "text.txt: looks untokenised" in message
    assert "--text raw" in message
    for text in ("tokenized", "raw"):
        (message,) = found(tmp_path, CHINESE, text)
        assert "looks untokenised" in message
        assert "--text characters" in message


@pytest.mark.parametrize(
    ("lines", "saved", "encoding"),
    [
        (FRENCH, "utf-8", "iso-8859-1"),
        (FRENCH, "utf-8", "cp1252"),
        (CHINESE, "utf-8", "iso-8859-1"),
        (CHINESE, "gb18030", "iso-8859-1"),
        (RUSSIAN, "cp1251", "iso-8859-1"),
        (["plain words"] * 20, "utf-16-le", "utf-8"),
        ([line.encode("ascii", "replace").decode().replace("?", "\ufffd") for line in FRENCH], "utf-8", "utf-8"),
        (["na\x92ve words \x93 here \x94"] * 20, "utf-8", "utf-8"),  # Windows-1252 read as ISO-8859-1 and saved
        ([line.encode().decode("latin-1") for line in FRENCH], "utf-8", "utf-8"),  # saved after the mistake
    ],
)
def test_wrongly_decoded_text_is_named(tmp_path: Path, lines: list[str], saved: str, encoding: str) -> None:
    (message,) = found(tmp_path, lines, "tokenized", encoding, saved)
    assert "decoded" in message or "NUL" in message
    assert "--encoding" in message


def test_misread_pieces() -> None:
    assert list(misread_pieces("cafÃ© â€™s naïve “É” ÖÐ¹ú 中")) == ["Ã©", "â€™", "ÖÐ¹ú"]


def test_tokens_beyond_the_character_limit(tmp_path: Path) -> None:
    long = "x" * 49
    assert is_cut(long, 50)
    assert not is_cut(long[1:], 50)
    assert is_cut("é" * 25, 50)
    assert not is_cut(long, 51)
    few, many = ["a b c d e f g h i j"] * 9 + [long] * 4, ["a b c d e f g h i j"] * 9 + [long] * 5
    assert not found(tmp_path, few, "tokenized")
    (message,) = found(tmp_path, many, "tokenized")
    assert "5.3% of its tokens are cut at the character limit (48 bytes)" in message
    assert "--text raw" in message
    assert "max_characters_per_token" in message
    assert not examine([tmp_path / "text.txt"], "tokenized", "whitespace", max_characters=None)


def test_one_bad_file_among_good_ones_is_named(tmp_path: Path, tokenized: list[str], raw: list[str]) -> None:
    paths = [tmp_path / f"{number}.txt" for number in range(4)]
    for path in paths:
        path.write_text("\n".join(tokenized))
    paths[2].write_text("\n".join(raw))
    (message,) = examine(paths, "tokenized", "whitespace")
    assert "2.txt: looks untokenised" in message


def test_text_with_blanks_between_all_characters_is_known() -> None:
    assert is_spaced_out([" ".join(line) for line in CHINESE])
    assert not is_spaced_out(CHINESE)
    assert not is_spaced_out(["我国 是 全球 第三 大 2024 年 GDP"] * 20)


@pytest.mark.slow
def test_the_real_corpora_pass(shared: Path) -> None:
    for path in sorted((shared / "data" / "lm").rglob("*.xz")):
        assert not examine([path], "tokenized", "whitespace")
    for name in ("en", "zh"):
        (message,) = examine([shared / "data" / "raw" / f"{name}.raw.txt"], "tokenized", "whitespace")
        assert "looks untokenised" in message
