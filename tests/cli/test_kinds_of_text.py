"""--text everywhere, files that are no text, text that a model was not made for: as a user meets them."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import random
import tarfile
import zipfile
from pathlib import Path

import h5py
import pytest

from ner_elmo.cli.main import main
from ner_elmo.text.tokenizer import resolved

LINE = "Lena Vogt visited Ulm.\nIt rained in Kiel.\n"


def run(*arguments: object) -> int:
    return main([*map(str, arguments), "--device", "cpu"]) if arguments[0] != "check" else main([*map(str, arguments)])


def packed(tmp_path: Path) -> dict[str, Path]:
    """The same text, packed in every way, under names that say something else."""
    data = LINE.encode()
    files = {"gz": gzip.compress(data), "bz2": bz2.compress(data)}
    for name, content in files.items():
        (tmp_path / f"{name}.txt").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "zip.txt", "w") as archive:
        archive.writestr("folder/a.txt", data)
    return {name: tmp_path / f"{name}.txt" for name in (*files, "zip")}


def test_packed_texts_are_read_by_their_content(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in packed(tmp_path).values():
        assert run("tag", file, "-m", "en", "-f", "jsonl", "--no-scores") == 0
        units = [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()]
        assert units == LINE.splitlines()


@pytest.mark.parametrize("kind", ["tar.gz", "tar", "two.zip", "utf-16-le", "cyrillic", "pdf"])
def test_what_is_no_text_is_named_and_refused(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / f"x.{kind}"
    stream = io.BytesIO()
    if kind.startswith("tar"):
        with tarfile.open(fileobj=stream, mode="w:gz" if kind.endswith("gz") else "w") as archive:
            member = tarfile.TarInfo("a.txt")
            member.size = len(LINE)
            archive.addfile(member, io.BytesIO(LINE.encode()))
    elif kind == "two.zip":
        with zipfile.ZipFile(stream, "w") as archive_of_two:
            archive_of_two.writestr("a.txt", LINE)
            archive_of_two.writestr("b.txt", LINE)
    elif kind == "pdf":
        stream.write(b"%PDF-1.7\n" + LINE.encode())
    else:
        stream.write(("Привет, это простой текст.\n" * 3 if kind == "cyrillic" else LINE).encode("utf-16-le"))
    file.write_bytes(stream.getvalue())
    for command in (
        ["tag", file, "-m", "en"],
        ["embed", file, "--bilm", "en", "-o", tmp_path / "v.hdf5"],
        ["perplexity", file, "--bilm", "en"],
        ["check", file],
        ["pretrain", file, "-o", tmp_path / "lm", "--size", "tiny"],
    ):
        assert run(*command) == 3, command
        captured = capsys.readouterr()
        assert "found" in captured.err + captured.out, command
        assert "Traceback" not in captured.err
    assert not (tmp_path / "v.hdf5").exists()
    assert not (tmp_path / "lm").exists()


def words(n: int) -> list[str]:
    draw = random.Random(1)
    return ["".join(draw.choices("abdeiklmnoprstu", k=draw.randint(2, 8))) for _ in range(n)]


@pytest.mark.parametrize(
    ("name", "text", "text_option", "said"),
    [
        ("vertical", "\n".join(words(200)), "tokenized", "one word a line"),
        ("columns", "\n".join(f"{word}\tO" for word in words(200)), "tokenized", "labelled data"),
        ("blanks", "\n".join(f"{word} B-LOC" for word in words(200)), "raw", "labelled data"),
        ("conllu", "\n".join(f"{i}\t{word}\t_\tN" for i, word in enumerate(words(200))), "tokenized", "its columns"),
        ("single", " ".join(words(600)), "tokenized", "single line"),
        ("json", "\n".join(json.dumps({"text": word}) for word in words(60)), "raw", "JSON"),
        ("csv", "\n".join(f'{i},"{word}, {word} the",B' for i, word in enumerate(words(60))), "raw", "(CSV)"),
        ("russian", "Он не знал, что это было в городе.\n" * 40, "de", "100% of its letters are Cyrillic"),
        ("french", "Le maire est dans la ville avec les autres et il ne part pas.\n" * 40, "de", "--text fr"),
    ],
)
def test_pretraining_stops_at_text_of_another_kind(
    name: str, text: str, text_option: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"{name}.txt"
    file.write_text(text + "\n", encoding="utf-8")
    arguments = ["pretrain", file, "-o", tmp_path / "lm", "--size", "tiny", "--text", text_option]
    assert run(*arguments) == 3
    error = capsys.readouterr().err
    assert said in error
    assert "--force trains on it as it is" in error
    assert not (tmp_path / "lm").exists()


def test_tag_reads_text_as_it_is_told_and_says_what_does_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.txt"
    file.write_text("L'Arena d'Alice.\n", encoding="utf-8")
    assert run("tag", file, "-m", "en", "-f", "conll", "--text", "fr") == 0
    assert [line.split("\t")[0] for line in capsys.readouterr().out.split("\n")[:5]] == [
        "L'",
        "Arena",
        "d'",
        "Alice",
        ".",
    ]
    assert run("tag", file, "-m", "en", "--text", "klingon") == 2
    assert "expected one of whitespace, characters" in capsys.readouterr().err
    file.write_text("张三在北京工作，他很高兴。\n", encoding="utf-8")
    assert run("tag", file, "-m", "en") == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "does not look like" in line]
    assert line.endswith("the model zh would fit")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Ann\tO", "a token with its columns"),
        ('{"text": "Ann went to Paris."}', "nearly every line is JSON"),
        ('7,"Ann went to Paris, they say.",yes', "a row of a table (CSV)"),
        ("Ann went\0to Paris.", "30 NUL characters"),
        ("Ann went to Paris, and Bob stayed.", ""),
    ],
)
def test_tag_says_what_is_no_running_text(
    line: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.txt"
    file.write_text(f"{line}\n" * 30)
    assert run("tag", file, "-m", "en") == 0
    error = capsys.readouterr().err
    assert said in error
    assert ("nearly every line" in error or "NUL" in error) == bool(said)


def test_wrapped_and_parted_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.txt"
    file.write_text("Ann Lee of Acme went to Hei-\ndelberg in May.\n", encoding="utf-8")
    assert run("tag", file, "-m", "en", "--dehyphenate") == 2
    capsys.readouterr()
    assert run("tag", file, "-m", "en", "--dehyphenate", "--unit", "paragraph", "-f", "jsonl") == 0
    unit = json.loads(capsys.readouterr().out)
    assert "Hei-\ndelberg" in [entity["text"] for entity in unit["entities"]]
    file.write_text("The man who lives in the house on the hill went to the\n" * 1 + "old town and then to the\n" * 30)
    assert run("tag", file, "-m", "en") == 0
    assert "--unit paragraph" in capsys.readouterr().err


def test_embed_and_perplexity_split_raw_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.txt"
    file.write_text("She didn't. He did.\n", encoding="utf-8")
    for more, lengths in (([], [4]), (["--text", "en"], [4, 3])):
        output = tmp_path / f"{len(lengths)}.hdf5"
        assert run("embed", file, "--bilm", "en", "-o", output, "--layers", "top", *more) == 0
        with h5py.File(output) as vectors:
            assert [vectors[str(i)].shape[0] for i in range(len(lengths))] == lengths
    capsys.readouterr()


def test_a_model_of_an_unknown_kind_is_refused_with_what_to_do(tmp_path: Path) -> None:
    from ner_elmo.bilm.files.directory import known_kind
    from ner_elmo.errors import ModelError

    with pytest.raises(ModelError, match=r"tagger.json: kind of text 'fr-sentencex0\.6-1'.* --text"):
        known_kind("fr-sentencex0.6-1", tmp_path / "tagger.json")
    assert known_kind(resolved("fr"), tmp_path / "tagger.json") == resolved("fr")
