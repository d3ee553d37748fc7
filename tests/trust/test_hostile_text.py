"""Texts as nobody should hand them over, through every command that reads text, in every format that is written."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import httpx
import pytest

from ner_elmo.cli.main import main
from ner_elmo.elmo.encoder import Elmo
from ner_elmo.tagger.tagger import Tagger
from tests.support.devices import one_thread
from tests.support.explored import write_index
from tests.support.hostile_requests import ask
from tests.support.service import Server
from tests.support.soak import cases, generator, tell

pytestmark = pytest.mark.long

PIECES = [
    *(
        "Ann Smith",
        "Rome",
        " ",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "\x00",
        "\x1b[31m",
        "\x1b]0;evil\x07",
        "\x07",
        "\x08",
        "\x7f",
    ),
    *("\x85", "\x9b2J", "\u2028", "\u2029", "\u202e", "\u2066", "\ufeff", "\u200b", "\u200d", "\u0301" * 40, "e\u0301"),
    *(
        "<script>alert(1)</script>",
        "</script>",
        "<!--",
        "]]>",
        "&amp;",
        '"',
        "'",
        "`",
        "\\",
        "\\u0000",
        "\\x1b",
        "{",
        "}",
    ),
    *(
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "=cmd|' /C calc'!A0",
        "\t=1",
        '{"text": "x"}',
        "[1, 2",
        "B-PER",
        "O",
        "-DOCSTART-",
    ),
    *("😀👩‍👩‍👧", "日本語", "العربية", "नमस्ते", "ﷺ", "\U000e0041", "\ufdd0", "\ud7ff", "𝔄", "Å", "ß", "İ"),
    *("x" * 5000, "../../etc/passwd", "%s%n", "${jndi:ldap://x}", "'; DROP TABLE x; --", "#", "# a = b", "1-1\t0-3\tx"),
]
FORMATS = ["jsonl", "text", "conll", "csv", "tsv", "html", "redacted"]
RAW = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]|\x1b")


def nasty(rng: random.Random) -> bytes:
    """A text that somebody thought about, or bytes that nobody did."""
    kind = rng.random()
    if kind < 0.15:
        return rng.randbytes(rng.randrange(1, 400))
    text = "".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 25))).encode("utf-8")
    if kind < 0.4:
        found = bytearray(text)
        for _ in range(rng.randrange(1, 4)):
            found[rng.randrange(len(found))] = rng.randrange(256)
        return bytes(found)
    if kind < 0.45:
        return text.decode().encode("utf-16")
    return text


def command_for(rng: random.Random, text: Path, tagger: Path, bilm: Path, out: Path) -> list[str]:
    """Some command that reads the file."""
    one = ["--threads", "1", "--device", "cpu"]
    errors = rng.choice([[], ["--errors", "replace"]])
    choices = [
        *[["tag", str(text), "-m", str(tagger), "-f", format_, *errors, *one] for format_ in FORMATS],
        ["tag", str(text), "-m", str(tagger), "--from", rng.choice(["jsonl", "csv", "tsv"]), *errors, *one],
        ["tag", str(text), "-m", str(tagger), "--unit", rng.choice(["file", "paragraph"]), *errors, *one],
        ["check", str(text)],
        ["check", str(text), "--from", rng.choice(["conll", "jsonl", "webanno", "conllu", "doccano", "hf"])],
        [
            "convert",
            str(text),
            str(out),
            "--to",
            rng.choice(["jsonl", "iob2", "bioes", "doccano", "webanno", "conllu"]),
        ],
        ["embed", str(text), "--bilm", str(bilm), "-o", str(out), *one],
        ["perplexity", str(text), "--bilm", str(bilm), *one],
        ["evaluate", str(text)],
    ]
    return rng.choice(choices)


def require_clean(text: str, what: str) -> None:
    """Nothing in it drives a terminal."""
    assert not RAW.search(text.encode("utf-8", "surrogatepass")), f"{what}: {text!r:.300}"


def require_output(format_: str, out: str, command: list[str]) -> None:
    """An output that whoever it is for can read, and that does nothing there."""
    if format_ == "jsonl":
        for line in out.split("\n"):
            if line:
                value = json.loads(line)
                for entity in value.get("entities", []):
                    assert value["text"][entity["start"] : entity["end"]] == entity["text"], command
    elif format_ in ("csv", "tsv"):
        rows = list(csv.reader(io.StringIO(out, newline=""), delimiter="," if format_ == "csv" else "\t"))
        assert len({len(row) for row in rows}) <= 1, command
        for row in rows[1:]:
            for cell in row:
                assert not cell.startswith(("=", "+", "@", "\t", "\r")), f"{command}: a formula: {cell!r:.80}"
    elif format_ == "html":
        assert out.count("<script>alert(1)") == 0, command
        assert out.rstrip().endswith("</html>"), command
    elif format_ == "conll":
        for line in out.split("\n"):
            assert not line or line.startswith("#") or "\t" in line or " " in line, f"{command}: {line!r:.80}"


fresh_tagger = Tagger.load


@pytest.fixture
def loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands share a loaded model: loading one took two thirds of a case, and the same bytes are read each time."""
    for kind in (Tagger, Elmo):
        monkeypatch.setattr(kind, "load", cache(kind.load))


@pytest.fixture
def server(trained: Path, tmp_path: Path) -> Iterator[Server]:
    """With all its paths; what it logs is looked at, too."""
    explored = write_index(trained, tmp_path / "explored").directory
    server = Server([trained], explore=str(explored), access_log=True, timeout=600.0, max_bytes=40_000)
    yield server
    server.close()


PAGES = ["/", "/docs", "/explore", "/page.js", "/openapi.json", "/models"]


def require_answer(answer: httpx.Response, case: str) -> None:
    """JSON, by which nothing is run, and no fault of the server's own."""
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, f"{case}: {answer.status_code}"
    assert answer.headers["content-type"] == "application/json", case
    assert answer.headers["x-content-type-options"] == "nosniff", case
    value = json.loads(answer.content.decode("utf-8"))
    assert answer.status_code == 200 or (list(value) == ["error"] and "\n" not in value["error"]), f"{case}: {value}"
    if "error" in value:
        require_clean(value["error"], case)


@pytest.mark.usefixtures("loaded_once")
def test_texts_through_every_command(
    trained: Path, bilm: Path, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An answer, or a line that says what is wrong; never a traceback, and nothing raw in what people read. Every
    fifth text goes to a server."""
    rng = generator("texts")
    counts: Counter[str] = Counter()
    text, out = tmp_path / "text", tmp_path / "out"
    pages = {path: server.get(path).content for path in PAGES}
    capsys.readouterr()
    with one_thread():
        for _ in range(cases(1000, 10_000)):
            text.write_bytes(nasty(rng))
            if rng.random() < 0.2:
                kind, answer = ask(rng, server, text.read_bytes())
                case = f"{kind} of {text.read_bytes()!r:.300}"
                require_answer(answer, case)
                written = capsys.readouterr()
                assert json.loads(written.err)["status"] == answer.status_code, case  # a line of the access log
                assert written.out == "", case
                require_clean(written.err, case)
                counts[f"serve: {answer.status_code}"] += 1
                continue
            out.unlink(missing_ok=True)
            command = command_for(rng, text, trained, bilm, out)
            status = main(command)  # an exception of any kind is a failure
            written = capsys.readouterr()
            case = f"{command} of {text.read_bytes()!r:.300}"
            assert status in (0, 1, 2, 3), case
            assert "Traceback" not in written.err, case
            require_clean(written.err, case)
            if status == 0 and command[0] == "tag":
                require_output(command[command.index("-f") + 1] if "-f" in command else "text", written.out, command)
            elif command[0] in ("check", "perplexity", "evaluate"):
                require_clean(written.out, case)
            if status:
                assert written.err.strip(), case
                assert not out.exists(), f"{case}: something was written"
            assert not list(tmp_path.glob(".*.tmp")), case
            counts[f"{command[0]}: {'answered' if status == 0 else 'refused'}"] += 1
        assert {path: server.get(path).content for path in PAGES} == pages
        require_clean(server.get("/metrics").text, "figures")
        (after,), (before,) = (
            tagger.tag(["Ann sees Rome ."]) for tagger in (Tagger.load(trained), fresh_tagger(trained))
        )
        assert after.to_dict() == before.to_dict()
    tell(f"{sum(counts.values()):,} texts: {dict(sorted(counts.items()))}")
    assert all(counts[f"{name}: answered"] for name in ("tag", "embed", "perplexity"))
    assert all(counts[one] for one in ("tag: refused", "serve: 200", "serve: 422"))


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10_000_000,
        "\u0301" * 300_000,
        pytest.param("😀" * 300_000, marks=pytest.mark.slow),
        "\x00" * 100_000 + "a",
        pytest.param("a " * 100_000, marks=pytest.mark.slow),
        pytest.param("<b>" * 300_000, marks=pytest.mark.slow),
    ],
    ids=["ten million letters", "combining marks", "emoji", "NULs", "blanks", "markup"],
)
def test_one_line_without_an_end(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (tmp_path / "text").write_text(text, encoding="utf-8")
    with one_thread():
        status = main(
            ["tag", str(tmp_path / "text"), "-m", str(trained), "-f", "jsonl", "--threads", "1", "--device", "cpu"]
        )
    written = capsys.readouterr()
    assert status in (0, 3)
    if status == 0:
        assert json.loads(written.out)["text"] == text
    else:
        assert written.err.count("\n") <= 2
        assert "NUL" in written.err


def test_training_files_with_bytes_changed(toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tagger, or one error with its place."""
    rng = generator("training")
    lines = (toy / "train").read_bytes().split(b"\n")[:40]
    small = [
        "--hidden-size",
        "4",
        "--word-dim",
        "4",
        "--char-dim",
        "0",
        "--epochs",
        "1",
        "--threads",
        "1",
        "--device",
        "cpu",
    ]
    counts: Counter[int] = Counter()
    with one_thread():
        for number in range(cases(8, 300)):
            data = bytearray(b"\n".join(lines))
            for _ in range(rng.randrange(1, 6)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            (tmp_path / "train").write_bytes(data)
            run = tmp_path / f"run{number}"
            status = main(
                ["train-tagger", "--train", str(tmp_path / "train"), "-o", str(run), *small, "--device", "cpu"]
            )
            written = capsys.readouterr()
            require_clean(written.err, str(data))
            assert status in (0, 2, 3), written.err
            assert (run / "tagger.json").is_file() == (status == 0)
            assert status == 0 or not run.exists()
            counts[status] += 1
    tell(f"{sum(counts.values()):,} training files with bytes changed: {dict(counts)}")


def test_bytes_that_are_no_text_are_replaced_where_that_is_asked_for(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_bytes(b"Ann Smith\nsees \xff\xfe Rome\n")
    command = ["tag", str(tmp_path / "text"), "-m", str(trained), "-f", "jsonl", "--threads", "1", "--device", "cpu"]
    assert main(command) == 3
    assert "text:2: found byte 0xff at byte 6 of the line" in capsys.readouterr().err
    assert main([*command, "--errors", "replace"]) == 0
    texts = [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()]
    assert texts == ["Ann Smith", "sees \ufffd\ufffd Rome"]


@pytest.mark.parametrize(
    "name",
    [
        *("convert", "embed", "pretrain"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("check", "evaluate", "train-tagger")),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("perplexity", "explore", "suggest")),
    ],
)
def test_every_command_goes_on_where_that_is_asked_for(
    name: str, toy: Path, trained: Path, bilm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each byte that is no text becomes U+FFFD; without --errors replace, its place is named and nothing is written."""
    labelled, text, out = tmp_path / "labelled", tmp_path / "text", tmp_path / "out"
    labelled.write_bytes((toy / "train").read_bytes() + b"Zo\xff B-PER\nsees O\n")
    lines = [f"Zoé visits Málaga and Rome {a} times {b} ." for a in range(20) for b in range(20)]
    text.write_bytes("\n".join(lines).encode() + b"\nBob \xff visits Oslo .\n" * 10)  # more would look wrongly decoded
    one = ["--threads", "1", "--device", "cpu"]
    small = ["--hidden-size", "4", "--word-dim", "4", "--char-dim", "0", "--epochs", "1", "--no-cache"]
    tiny = ["--size", "tiny", "--epochs", "1", "--batch-tokens", "512"]
    command = {
        "check": ["check", labelled],
        "convert": ["convert", labelled, out, "--to", "jsonl"],
        "evaluate": ["evaluate", labelled, "-m", trained, *one],
        "train-tagger": ["train-tagger", "--train", labelled, "-o", out, *small, *one],
        "embed": ["embed", text, "--bilm", bilm, "-o", out, *one],
        "perplexity": ["perplexity", text, "--bilm", bilm, *one],
        "explore": ["explore", "[Ann] sees", "--text", text, "--bilm", bilm, "--index", out, *one],
        "pretrain": ["pretrain", text, "-o", out, *tiny, *one],
        "suggest": ["suggest", text, "-m", trained, *one],
    }[name]
    arguments = [str(argument) for argument in command]
    with one_thread():
        assert main(arguments) == 3
        strict = capsys.readouterr()
        assert "found byte 0xff" in strict.err + strict.out
        assert not out.exists() or name == "explore"  # whose index says that it is not finished
        status = main([*arguments, "--errors", "replace"])
        written = capsys.readouterr()
        assert status == 0, written.err
        if name in ("convert", "pretrain"):
            place = out if name == "convert" else out / "bilm" / "vocab.txt"
            assert "\ufffd" in place.read_text(encoding="utf-8")
        if name in ("train-tagger", "pretrain"):
            assert json.loads((out / "config.json").read_text())["errors"] == "replace"
        assert main([*arguments, "--errors", "none"]) == 2


def test_messages_quote_nothing_where_that_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = "Eva Braun-Mustermann"
    (tmp_path / "x.jsonl").write_text(
        json.dumps({"text": secret, "entities": [{"start": 0, "end": 3, "label": f"{secret} |B-X"}]}) + "\n"
    )
    for command in ("check", "evaluate"):
        assert main([command, str(tmp_path / "x.jsonl")]) != 0
        both = capsys.readouterr()
        quoted = both.err + both.out
        assert main([command, "--no-excerpts", str(tmp_path / "x.jsonl")]) != 0
        both = capsys.readouterr()
        assert secret not in both.err + both.out
        if secret in quoted:
            assert "characters)" in both.err + both.out
