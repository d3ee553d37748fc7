"""What is equal to the bit and what is not (the table in docs/reliability.md), and sizes at the edges."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from ner_elmo.cli.main import main
from ner_elmo.elmo.encoder import Elmo
from ner_elmo.tagger.network.crf import ConstrainedCrf
from ner_elmo.tagger.network.model import TaggerModel
from ner_elmo.tagger.network.options import TaggerOptions, weight_shapes
from ner_elmo.tagger.tagger import Tagger
from ner_elmo.text.tag_scheme import SCHEMES, TOKEN, allowed, tag_set
from tests.support.command_line import SMALL, ner_elmo
from tests.support.devices import one_thread
from tests.support.precisions import skip_without
from tests.support.soak import cases, generator, tell

ONE = ["--threads", "1", "--device", "cpu"]


def sentences(n: int, seed: str) -> list[list[str]]:
    """Of tokens that nothing has seen, so that each goes through the character CNN in the company it has."""
    rng = generator(seed)
    letters = "abcdefghij"
    return [
        ["".join(rng.choice(letters) for _ in range(rng.randrange(1, 12))) for _ in range(rng.randrange(1, 30))]
        for _ in range(n)
    ]


@cache
def loaded(folder: Path, batch_tokens: int | None) -> Elmo:
    return Elmo.load(folder, batch_tokens=batch_tokens)


def vectors_of(folder: Path, those: list[list[str]], batch_tokens: int | None = None) -> list[bytes]:
    """By an encoder that has seen nothing else."""
    elmo = loaded(folder, batch_tokens)
    elmo._types._table = elmo._types._empty()
    return [array.tobytes() for array in elmo.embed(those)]


@pytest.mark.parametrize("model", ["toy", "en"])
def test_a_sentence_alone_and_in_any_batch(model: str, bilm: Path, repository: Path) -> None:
    """Fresh encoders with one thread: the same to the bit, whatever else is new beside a token."""
    folder = bilm if model == "toy" else repository / "models" / "en" / "bilm"
    those = sentences(cases(12, 100), f"alone/{model}")
    with one_thread():
        together = [np.frombuffer(data, np.float32) for data in vectors_of(folder, those)]
        apart = [np.frombuffer(vectors_of(folder, [one])[0], np.float32) for one in those]
        small = [np.frombuffer(data, np.float32) for data in vectors_of(folder, those, batch_tokens=64)]
    far = max(np.abs(a - b).max() for others in (apart, small) for a, b in zip(together, others, strict=True))
    n_equal = sum(a.tobytes() == b.tobytes() for a, b in zip(together, apart, strict=True))
    tell(f"{model}: {n_equal} of {len(those)} sentences alone equal to the bit; the others within {far:.2g}")
    assert (n_equal, far) == (len(those), 0.0)


def test_the_same_once_more(trained: Path, bilm: Path) -> None:
    """The same batches in the same number of threads, in another encoder: to the bit."""
    those = sentences(20, "twice")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        assert vectors_of(bilm, those) == vectors_of(bilm, those)
    torch.set_num_threads(1)
    text = "Ann Smith sees Rome City today . Bob visits Oslo ."
    answers = [[(e.start, e.end, e.label, e.score) for e in Tagger.load(trained).tag(text).entities] for _ in range(2)]
    assert answers[0] == answers[1]


def test_another_process(trained: Path, repository: Path, tmp_path: Path) -> None:
    """Two processes, and one that shares the work with others, write the same bytes."""
    (tmp_path / "text").write_text("".join(f"Ann Smith sees Rome City {n} times .\n" for n in range(50)))
    command = [sys.executable, "-m", "ner_elmo", "tag", str(tmp_path / "text"), "-m", str(trained), "-f", "jsonl", *ONE]
    environment = os.environ | {"PYTHONPATH": str(repository)}
    runs = [
        subprocess.run([*command, *more], env=environment, capture_output=True, timeout=300)
        for more in ([], [], ["--processes", "2"])
    ]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert runs[0].stdout == runs[1].stdout == runs[2].stdout


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "int8-compiled"])
def test_several_threads_and_one(bilm: Path, trained: Path, precision: str) -> None:
    """To the bit: a thread has whole batches, or a direction, to itself."""
    skip_without(precision)
    those = sentences(20, "threads")
    encoder, tagger = Elmo.load(bilm, precision=precision), Tagger.load(trained, precision=precision)
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        vectors = [one.tobytes() for one in encoder.embed(those)]
        found.append((vectors, list(tagger.tag_tokens(those)), list(tagger.tag_tokens(those[:1]))))
    torch.set_num_threads(1)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "int8-compiled"])
def test_entities_and_scores_alone_and_in_company(trained: Path, precision: str) -> None:
    """Entities are the same, and scores but for the rounding of float64."""
    skip_without(precision)
    those = [one for one in sentences(40, "company") if one]
    tagger = Tagger.load(trained, precision=precision)
    together = list(tagger.tag_tokens(those))
    for sentence, found in zip(those, together, strict=True):
        (alone,) = tagger.tag_tokens([sentence])
        assert [span for span, _ in alone] == [span for span, _ in found]
        assert [score for _, score in alone] == pytest.approx([score for _, score in found], abs=1e-11)


def test_a_sentence_of_many_tokens() -> None:
    """Lattice, best sequence and probabilities of 100,000 tokens in the full run: finite, and in linear memory."""
    length = cases(5_000, 100_000)
    torch.manual_seed(0)
    crf = ConstrainedCrf(tag_set(["A", "B"], "bioes"), "bioes")
    emissions = torch.randn(1, length, 9, requires_grad=True)
    mask = torch.ones(1, length, dtype=torch.bool)
    with torch.no_grad():
        best = crf.decode(emissions, mask)
    loss = crf.neg_log_likelihood(emissions, torch.tensor(best), mask)
    loss.sum().backward()
    assert emissions.grad is not None
    assert torch.isfinite(emissions.grad).all()
    assert torch.isfinite(loss).all()
    assert len(best[0]) == length
    assert all(allowed(crf.tag_set[a], crf.tag_set[b], "bioes") for a, b in zip(best[0][:-1], best[0][1:], strict=True))


def test_vectors_of_a_sentence_of_many_tokens(bilm: Path) -> None:
    length = cases(5_000, 100_000)
    with one_thread():
        (found,) = Elmo.load(bilm).embed([["Ann", "sees", "Rome"] * (length // 3)])
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:, -4], found[:, -1 - 3 * 3], atol=1)  # far from the beginning, all is alike


@pytest.mark.parametrize("n_labels", [1, 500])
def test_few_labels_and_many(n_labels: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of each label two mentions; 500 are trained in less than 1 GB, with a warning."""
    lines = [f"Ann B-L{n % n_labels}\nsees O\n\n" for n in range(cases(1, 2) * n_labels)]
    (tmp_path / "train").write_text("".join(lines))
    (tmp_path / "settings.json").write_text('{"tag_scheme": "iob2"}')
    flags = [*SMALL, "--epochs", "1", "--no-cache", "--config", tmp_path / "settings.json"]
    with one_thread():
        status, _, err = ner_elmo(
            capsys,
            "train-tagger",
            "--train",
            tmp_path / "train",
            "--dev",
            tmp_path / "train",
            "-o",
            tmp_path / "run",
            *flags,
        )
    assert status == 0, err
    assert ("grows with the square" in err) == (n_labels == 500)
    assert len(Tagger.load(tmp_path / "run").labels) == n_labels


def test_a_training_set_of_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train").write_text("Ann B-PER\nsees O\nRome B-LOC\n")
    status, _, err = ner_elmo(
        capsys, "train-tagger", "--train", tmp_path / "train", "-o", tmp_path / "run", "--epochs", "2", *SMALL
    )
    assert "Traceback" not in err
    assert status in (0, 3), err
    assert status == 0 or len(err.strip().splitlines()) <= 3, err


def test_a_dev_file_without_entities(toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dev").write_text("It O\nrains O\n. O\n")
    flags = ["--train", toy / "train", "--dev", tmp_path / "dev", "-o", tmp_path / "run", "--epochs", "1", *SMALL]
    with one_thread():
        status, _, err = ner_elmo(capsys, "train-tagger", *flags)
    assert "Traceback" not in err
    assert status == 0, err
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["scores"]["dev"]["f1"] in (0, 0.0, None)


@pytest.mark.slow
@pytest.mark.parametrize("joint", [" ", ""])
def test_the_same_scores_on_columns_and_on_raw_text(
    joint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labelled characters, with the blanks between words among them or none between (C29)."""
    people, places = ["안나", "보보", "이브이", "에밀"], ["로마에", "서울로", "부산에서", "대구까지"]
    sentences = [[(a, "PER"), (b, "LOC"), ("간다", "")] for a in people for b in places]
    rows, raw = [], []
    for number, sentence in enumerate(sentences * 4):
        text, entities, lines = "", [], []
        for word, label in sentence:
            if text and joint:
                text, lines = text + joint, [*lines, f"{joint}\tO"]
            if label:
                entities.append({"start": len(text), "end": len(text) + len(word), "label": label})
            text += word
            lines += [f"{c}\t{'O' if not label else ('I-' if n else 'B-') + label}" for n, c in enumerate(word)]
        rows.append("\n".join(lines))
        raw.append(json.dumps({"text": text, "entities": entities, "id": number}))
    (tmp_path / "train.tsv").write_text("\n\n".join(rows) + "\n")
    (tmp_path / "raw.jsonl").write_text("\n".join(raw[: len(sentences)]) + "\n")
    train, run = tmp_path / "train.tsv", tmp_path / "run"
    with one_thread():
        status, _, err = ner_elmo(
            capsys, "train-tagger", "--train", train, "--dev", train, "-o", run, "--epochs", "6", "--no-cache", *SMALL
        )
        assert status == 0, err
        status, out, err = ner_elmo(capsys, "evaluate", tmp_path / "raw.jsonl", "-m", run, "--json", "--threads", "1")
    assert status == 0, err
    columns = json.loads((run / "report.json").read_text())["scores"]["dev"]["f1"]
    assert columns > 0.9
    assert json.loads(out)["f1"] > columns - 0.01


@pytest.mark.parametrize("scheme", [*(name for name in SCHEMES if name != "iob1"), TOKEN])
def test_penalties_are_those_of_every_step(scheme: str) -> None:
    """The slow, obvious twin of what is computed from prefixes and labels."""
    names = tag_set(["A", "B", "O-x", "I"], scheme)
    crf = ConstrainedCrf(names, scheme)
    expected = [[0.0 if allowed(one, other, scheme) else -1e4 for other in names] for one in names]
    assert crf.penalties.tolist() == expected


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"char_dim": 0},
        {"lstm_layers": 3},
        {"n_words": 0, "n_tuned_words": 0},
        {"elmo_dim": 6, "elmo_layers": [0, 2]},
        {"elmo_dim": 6, "elmo_layers": [0, 1], "elmo_at": "both"},
        {"elmo_dim": 6, "elmo_layers": [0, 1], "elmo_at": "output", "gamma": False},
        {"elmo_dim": 6, "elmo_layers": [1], "mix": "mean", "context": "document"},
    ],
)
def test_shapes_of_weights_are_those_of_the_network(changes: dict[str, object]) -> None:
    """They are compared with a stranger's file before the network is made."""
    values: dict[str, object] = {"tags": tag_set(["A"], "bioes"), "n_words": 9, "n_tuned_words": 4, "word_dim": 3}
    values |= {"hidden_dim": 5, "char_dim": 4, "char_filters": 6}
    options = TaggerOptions(**(values | changes))  # type: ignore[arg-type]
    state = TaggerModel(options).state_dict()
    state.pop("words.tuned.weight", None)
    assert weight_shapes(options) == {name: tuple(value.shape) for name, value in state.items()}
    assert main(["--version"]) == 0
