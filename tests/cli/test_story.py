"""The whole story on the sample data, by the command line: pretrain, train, tag, measure; and a newcomer's mistakes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from ner_elmo.cli.flags import compile_if_asked
from ner_elmo.cli.main import main
from ner_elmo.text.files import read_lines

PRETRAIN = ["--size", "tiny", "--threads", "1", "--device", "cpu"]


@pytest.fixture(scope="session")
def data(repository: Path) -> Path:
    return repository / "data"


@pytest.fixture(scope="session")
def bilm(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("story") / "bilm"
    assert main(["pretrain", str(data / "sample.raw.txt"), "-o", str(folder), "--epochs", "2", *PRETRAIN]) == 0
    return folder


@pytest.fixture(scope="session")
def tagger(data: Path, bilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("story") / "tagger"
    files = [f"--{part}={data / f'sample.{part}.conll'}" for part in ("train", "dev", "test")]
    small = ["--epochs", "3", "--hidden-size", "16", "--word-dim", "16", "--threads", "1", "--device", "cpu"]
    assert main(["train-tagger", *files, "--bilm", str(bilm), "-o", str(folder), *small]) == 0
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.glob("*.hdf5"))}


def test_the_frozen_bilm_is_the_same_before_and_after(bilm: Path, tagger: Path) -> None:
    before, after = digests(bilm / "bilm"), digests(tagger / "bilm")
    assert after["weights.hdf5"] == before["weights.hdf5"]
    assert after["vocab_embedding.hdf5"] == before["vocab_embedding.hdf5"]


def test_tag(data: Path, tagger: Path, tmp_path: Path) -> None:
    text = data / "sample.txt"
    out = tmp_path / "out.jsonl"
    assert main(["tag", str(text), "-m", str(tagger), "-f", "jsonl", "-o", str(out), "--device", "cpu"]) == 0
    units = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [unit["text"] for unit in units] == [line for line in read_lines(text) if line.strip()]
    for unit in units:
        for entity in unit["entities"]:
            assert unit["text"][entity["start"] : entity["end"]] == entity["text"]
            assert entity["label"] in {"PER", "LOC", "ORG", "MISC"}
            assert 0 <= entity["score"] <= 1


def test_evaluate_and_perplexity_print_json(
    data: Path, bilm: Path, tagger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(data / "sample.test.conll"), "-m", str(tagger), "--json", "--device", "cpu"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["sentences"] == 20
    assert {"precision", "recall", "f1", "tokens", "tokens_per_second", "labels"} <= scores.keys()
    assert main(["perplexity", str(data / "sample.raw.txt"), "--bilm", str(bilm), "--json", "--device", "cpu"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert list(values) == ["tokens", "predictions", "forward", "backward", "mean", "unk_rate", "vocabulary", "state"]
    assert values["predictions"] == values["tokens"] + 147
    assert values["state"] == "zero"


@pytest.mark.slow
def test_running_text_by_words_that_share_the_softmax(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = {"lstm": {"dim": 24, "projection_dim": 8, "n_layers": 2, "use_skip_connections": True}}
    (tmp_path / "words.json").write_text(json.dumps(network))
    text, run = str(data / "sample.raw.txt"), str(tmp_path / "run")
    command = ["pretrain", text, "-o", run, "--options", str(tmp_path / "words.json"), "--tie-embeddings"]
    command += ["--carry-state", "--rows", "4", "--optimizer", "adagrad", "--epochs", "1", "--device", "cpu"]
    assert main(command) == 0
    assert "softmax exact (auto: sampled above 10,000 words)" in capsys.readouterr().err
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["learning_rate"], config["clip_norm"], config["decay_share"]) == (0.2, 10.0, 0.0)
    printed = {}
    for flag in ([], ["--carry-state"], ["--zero-state"]):
        assert main(["perplexity", text, "--bilm", run, *flag, "--device", "cpu"]) == 0
        printed[" ".join(flag)] = capsys.readouterr().out
    assert printed[""] == printed["--carry-state"] != printed["--zero-state"]
    assert "one reading, the state carried on (as the model was trained)" in printed[""]
    assert printed["--zero-state"].endswith("each sentence from the zero state\n")
    for storage in ("float16", "bilm-tf"):
        assert main(["convert", run, str(tmp_path / storage), "--to", storage]) == 0
    with h5py.File(tmp_path / "float16" / "softmax.hdf5") as file:
        assert list(file) == ["bias"]
    capsys.readouterr()
    assert main(["perplexity", text, "--bilm", str(tmp_path / "float16"), "--device", "cpu"]) == 0
    assert "one reading" in capsys.readouterr().out
    # What bilm-tf needs of a model with word input: the vocabulary, too.
    assert sorted(file.name for file in (tmp_path / "bilm-tf").iterdir()) == [
        "options.json",
        "vocab.txt",
        "weights.hdf5",
    ]
    assert json.loads((tmp_path / "bilm-tf" / "options.json").read_text())["share_embedding_softmax"] is True
    with h5py.File(tmp_path / "bilm-tf" / "weights.hdf5") as file:
        words = (tmp_path / "bilm-tf" / "vocab.txt").read_text(encoding="utf-8").splitlines()
        assert file["embedding"].shape == (len(words), 8)


def test_embed(data: Path, bilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The river rose .\n\nAgain .\n", encoding="utf-8")
    out = tmp_path / "x.hdf5"
    assert main(["embed", str(text), "--bilm", str(bilm), "-o", str(out), "--device", "cpu"]) == 0
    with h5py.File(out) as file:
        assert [file[str(n)].shape for n in range(3)] == [(3, 4, 64), (3, 0, 64), (3, 2, 64)]
        whole = file["0"][()]
    assert main(["embed", str(text), "--bilm", str(bilm), "-o", str(out), "--layers", "mean", "--device", "cpu"]) == 2
    mean = ["embed", str(text), "--bilm", str(bilm), "-o", str(out), "--layers", "mean", "--force", "--device", "cpu"]
    assert main(mean) == 0
    with h5py.File(out) as file:
        np.testing.assert_allclose(file["0"][()], whole.mean(0), atol=1e-6)


def test_convert_and_info(bilm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(bilm), str(tmp_path / "half"), "--to", "float16"]) == 0
    assert main(["convert", str(bilm), str(tmp_path / "pair"), "--to", "bilm-tf"]) == 0
    assert sorted(file.name for file in (tmp_path / "pair").iterdir()) == ["options.json", "weights.hdf5"]
    assert main(["info", str(tmp_path / "half"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["bilm"]["storage"] == "float16"
    assert facts["bilm"]["shape"] == "2x128_32_64cnn_1xhighway"


def test_resume_of_a_finished_run_says_so(data: Path, bilm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = ["pretrain", str(data / "sample.raw.txt"), "-o", str(bilm), "--epochs", "2", *PRETRAIN, "--resume"]
    before = (bilm / "report.json").read_bytes()
    assert main(again) == 0
    assert "this run is finished" in capsys.readouterr().err
    assert (bilm / "report.json").read_bytes() == before
    assert main([*again, "--seed", "2"]) == 2
    assert "--resume with another seed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_signal_saves_and_the_run_goes_on(
    data: Path, tmp_path: Path, repository: Path, number: signal.Signals, status: int
) -> None:
    command = [sys.executable, "-m", "ner_elmo", "pretrain", str(data / "sample.raw.txt"), "-o", str(tmp_path / "run")]
    command += ["--epochs", "2000", *PRETRAIN]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (log.exists() and '"step": 3,' in log.read_text()):
        time.sleep(0.1)
    process.send_signal(number)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in messages
    assert "--resume" in messages
    (checkpoint,) = sorted((tmp_path / "run" / "checkpoints").glob("step-*.pt"))[-1:]
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines() if '"event": "step"' in line]
    assert checkpoint.name == f"step-{steps[-1]:08d}.pt"


def test_resuming_needs_no_flags_and_a_configuration_reads_back(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    first = ["pretrain", str(data / "sample.raw.txt"), "-o", str(run), "--epochs", "1", "--dropout", "0.2", *PRETRAIN]
    assert main([*first, "--checkpoint-minutes", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["finished"]
    config = json.loads((run / "config.json").read_text())
    assert (config["epochs"], config["vocabulary_size"], config["checkpoint_steps"]) == (1, 10_000, None)
    assert config["options"]["dropout"] == 0.2
    assert (run / "curve.svg").read_text().startswith("<svg")
    assert main(["pretrain", "-o", str(run), "--resume"]) == 0
    assert "this run is finished" in capsys.readouterr().err
    again = ["pretrain", "--config", str(run / "config.json"), "-o", str(tmp_path / "again"), "--seed", "5"]
    assert main([*again, "--threads", "1", "--device", "cpu"]) == 0
    assert json.loads((tmp_path / "again" / "config.json").read_text()) == config | {"seed": 5}


def test_a_dry_run_writes_nothing(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["pretrain", str(data / "sample.raw.txt"), "-o", str(tmp_path / "out"), "--dry-run", *PRETRAIN]
    assert main([*command, "--json"]) == 0
    printed = capsys.readouterr()
    figures = json.loads(printed.out)
    assert {"vocabulary", "unk_rate", "parameters", "peak_memory_bytes", "tokens_per_second", "hours"} <= figures.keys()
    assert 0 <= figures["waiting"] < 0.5
    assert "--init" in printed.err  # so little text
    assert main(command) == 0
    assert "tokens/s" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_bfloat16_is_refused_where_it_is_not_and_a_run_from_elsewhere_goes_on_without(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, text = tmp_path / "run", str(data / "sample.raw.txt")
    monkeypatch.setattr("ner_elmo.nn.precision.processor_has", lambda capability: True)
    few = ["--max-tokens", "600", "--precision", "bf16"]
    assert main(["pretrain", text, "-o", str(run), *PRETRAIN, *few]) == 0
    assert json.loads((run / "config.json").read_text())["precision"] == "bf16"
    monkeypatch.setattr("ner_elmo.nn.precision.processor_has", lambda capability: False)
    assert main(["pretrain", text, "-o", str(tmp_path / "other"), *PRETRAIN, *few]) == 2
    assert "this machine computes no bfloat16; try --precision fp32" in capsys.readouterr().err
    assert main(["pretrain", "-o", str(run), "--resume", "--max-tokens", "900", "--device", "cpu"]) == 0
    assert "it goes on in float32" in capsys.readouterr().err
    assert json.loads((run / "config.json").read_text())["precision"] == "fp32"


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_compile_says_where_it_does_nothing_and_training_goes_on(
    precision: str,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ner_elmo.nn.precision.processor_has", lambda capability: True)
    monkeypatch.setattr("ner_elmo.nn.compiled_passes._InUse.passes", None)
    monkeypatch.setenv("CC", "no-such-cc")
    command = ["pretrain", str(data / "sample.raw.txt"), "-o", str(tmp_path / "run"), *PRETRAIN, "--max-tokens", "600"]
    assert main([*command, "--precision", precision, "--device", "cpu", "--compile"]) == 0
    told = "--compile: there is no C compiler: no program is called no-such-cc; training goes on without"
    assert told in capsys.readouterr().err
    assert (tmp_path / "run" / "bilm").is_dir()


def test_compile_does_nothing_beside_a_gpu() -> None:
    assert compile_if_asked(True, "cuda") == "--compile: for training on a CPU alone; nothing is compiled"
    assert compile_if_asked(False, "cuda") is None


def test_text_that_looks_wrong_is_stopped_unless_forced(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (data / "sample.txt").read_text(encoding="utf-8").splitlines()
    (tmp_path / "raw.txt").write_text("".join(f"{n} {line}\n" for n in range(9) for line in lines), encoding="utf-8")
    command = ["pretrain", str(tmp_path / "raw.txt"), "-o", str(tmp_path / "out"), "--epochs", "1", *PRETRAIN]
    assert main(command) == 3
    assert "--text raw" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*command, "--force"]) == 0
    assert "warning: " in capsys.readouterr().err
    assert main(["pretrain", "-o", str(tmp_path / "out"), "--resume", "--epochs", "2", "--device", "cpu"]) == 0
    assert main([*command, "--text", "raw", "--force"]) == 0


MISTAKES = {
    "no such file": (["pretrain", "missing.txt", "-o", "{out}"], 2, "missing.txt: no such text file"),
    "empty file": (["pretrain", "{empty}", "-o", "{out}"], 3, "found no sentence"),
    "unknown size": (
        ["pretrain", "{raw}", "-o", "{out}", "--size", "huge"],
        2,
        "expected tiny, compact, small, medium or",
    ),
    "existing output": (["pretrain", "{raw}", "-o", "{bilm}"], 2, "--force"),
    "unknown flag": (["pretrain", "{raw}", "-o", "{out}", "--frobnicate"], 2, "No such option"),
    "no output named": (["pretrain", "{raw}"], 2, "nowhere to write to"),
    "unknown encoding": (
        ["pretrain", "{raw}", "-o", "{out}", "--encoding", "utf-99"],
        2,
        'found "utf-99", expected the name of an encoding',
    ),
    "bytes that are not UTF-8": (["pretrain", "{latin}", "-o", "{out}"], 3, "latin.txt:2: found byte 0xe9"),
    "untokenised text": (["pretrain", "{text}", "-o", "{out}"], 3, "try --text raw"),
    "no text": (["pretrain", "-o", "{out}"], 2, "Missing argument 'CORPUS...'"),
    "a configuration that is none": (["pretrain", "--config", "{raw}", "-o", "{out}"], 3, "sample.raw.txt: damaged"),
    "options that are none": (["pretrain", "{raw}", "-o", "{out}", "--options", "{raw}"], 1, "not a JSON file"),
    "no GPU": (["pretrain", "{raw}", "-o", "{out}", "--device", "cuda:99"], 2, "--device cuda:99"),
    "a folder that is no biLM": (["perplexity", "{raw}", "--bilm", "{folder}"], 2, "found no biLM"),
    "a folder as input": (["embed", "{folder}", "--bilm", "{bilm}", "-o", "{out}"], 2, "is a directory"),
    "layers that are not there": (["embed", "{raw}", "--bilm", "{bilm}", "-o", "{out}", "--layers", "7"], 2, "0 to 2"),
    "a text as model": (["tag", "{raw}", "-m", "{raw}"], 2, "is a file"),
    "a missing model": (["tag", "{raw}", "-m", "no-such-model"], 2, "no such tagger"),
    "one column": (
        ["train-tagger", "--train", "{raw}", "--bilm", "{bilm}", "-o", "{out}"],
        3,
        "sample.raw.txt:3: found 17 columns",
    ),
    "column out of range": (["evaluate", "{conll}", "-m", "{tagger}", "--column", "5"], 3, "sample.test.conll:1"),
    "too little running text": (
        ["pretrain", "{raw}", "-o", "{out}", "--carry-state", "--rows", "400"],
        2,
        "does not fill one batch of 400 rows of 20 steps; try --rows",
    ),
    "rows without running text": (["pretrain", "{raw}", "-o", "{out}", "--rows", "4"], 2, "with --carry-state only"),
    "a batch below one row": (
        ["pretrain", "{raw}", "-o", "{out}", "--carry-state", "--batch-tokens", "16"],
        2,
        "--batch-tokens: found 16, less than one row of 20 steps",
    ),
    "unknown order": (["pretrain", "{raw}", "-o", "{out}", "--carry-state", "--order", "x"], 2, "shuffled or text"),
    "unknown optimizer": (["pretrain", "{raw}", "-o", "{out}", "--optimizer", "sgd"], 2, "adam, adamw or adagrad"),
    "unknown precision": (["pretrain", "{raw}", "-o", "{out}", "--precision", "fp16"], 2, "auto, fp32 or bf16"),
    "decay without adamw": (["pretrain", "{raw}", "-o", "{out}", "--weight-decay", "1"], 2, "--optimizer adamw"),
    "tied characters": (["pretrain", "{raw}", "-o", "{out}", "--tie-embeddings"], 2, "no word table to share"),
    "more samples than words": (
        ["pretrain", "{raw}", "-o", "{out}", "--softmax", "sampled", "--samples", "999999"],
        2,
        "--samples 999999: not below the",
    ),
    "damaged archive": (["pretrain", "{broken}", "-o", "{out}"], 3, "damaged compressed file"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_clear_line(
    mistake: str, data: Path, bilm: Path, tagger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {
        "raw": data / "sample.raw.txt",
        "text": data / "sample.txt",
        "conll": data / "sample.test.conll",
        "bilm": bilm,
        "tagger": tagger,
        "out": tmp_path / "out",
        "empty": tmp_path / "empty.txt",
        "latin": tmp_path / "latin.txt",
        "broken": tmp_path / "broken.txt.gz",
        "folder": tmp_path,
    }
    names["empty"].write_bytes(b"\n \n")
    names["latin"].write_bytes(b"fine\ncaf\xe9\n")
    names["broken"].write_bytes(b"\x1f\x8b\x08\x00garbage")
    arguments, status, message = MISTAKES[mistake]
    capsys.readouterr()
    assert main([argument.format(**names) for argument in arguments]) == status
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err
    last = [line for line in printed.err.splitlines() if line.strip()]
    assert sum(line.startswith("ner-elmo") for line in last) == 1
    assert printed.out == ""
    assert not (tmp_path / "out").exists()


def test_help_answers_without_torch(repository: Path) -> None:
    code = "import sys; from ner_elmo.cli.main import main; main([sys.argv[1], '--help'])"
    code += "; assert 'torch' not in sys.modules"
    for name in ("pretrain", "train-tagger", "tag", "evaluate", "perplexity", "embed", "convert", "check", "info"):
        done = subprocess.run([sys.executable, "-c", code, name], cwd=repository, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "Usage" in done.stdout
