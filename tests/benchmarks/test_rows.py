"""The scripts that make the tables of accuracy and ablations."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

if sys.version_info < (3, 11):
    pytest.skip("the scripts read TOML, which Python 3.10 does not", allow_module_level=True)

import tomllib

from tests.support.toy_language import write_toy


@pytest.fixture
def rows(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("rows")


def test_a_sample_is_a_part_of_every_larger_one(rows: ModuleType, tmp_path: Path) -> None:
    train = write_toy(tmp_path / "train.conll", 800, 1)
    train.write_text("-DOCSTART- O\n\n" + train.read_text())
    small, large = (list(rows.sentences(rows.sample(train, share, tmp_path / "runs"), "utf-8")) for share in (0.1, 0.4))
    whole = list(rows.sentences(train, "utf-8"))
    assert len(whole) == 800
    assert 0 < len(small) < len(large) < 800
    assert all(lines in large for lines in small)
    assert [lines for lines in whole if lines in large] == large
    assert rows.sample(train, 1.0, tmp_path) == train
    again = rows.sample(train, 0.1, tmp_path / "again")
    assert again.read_bytes() == rows.sample(train, 0.1, tmp_path / "runs").read_bytes()


def test_where_a_row_runs_does_not_make_it_another(rows: ModuleType, tmp_path: Path) -> None:
    train = write_toy(tmp_path / "train.conll", 5, 1)
    flags = ["--threads", "2", "--bilm", "/somewhere/en", "--keep-softmax", "--storage", "float16", "--epochs", "3"]
    row = rows.Row("a", {"train": train}, tuple(flags))
    other = rows.Row("a", {"train": train}, ("--bilm", "/elsewhere/en", "--epochs", "3"))
    assert row.identity([1]) == other.identity([1])
    assert row.identity([1])["flags"] == ["--bilm", "en", "--epochs", "3"]


def test_another_bilm_of_the_same_name_makes_another_row(
    rows: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = write_toy(tmp_path / "train.conll", 5, 1)
    identities = []
    for place in ("one", "other"):
        weights = tmp_path / place / "en" / "weights.hdf5"
        weights.parent.mkdir(parents=True)
        weights.write_text(place)
        monkeypatch.setattr(rows, "find_bilm", lambda path: SimpleNamespace(weights=path / "weights.hdf5"))
        identities.append(rows.Row("a", {"train": train}, ("--bilm", str(weights.parent))).identity([1]))
    assert identities[0]["flags"] == identities[1]["flags"]
    assert identities[0]["bilm"] != identities[1]["bilm"]


def test_the_recipes_name_each_row_once(repository: Path) -> None:
    folder = repository / "benchmarks" / "recipes"
    for file, kind in (("ablations.toml", "row"), ("accuracy.toml", "corpus")):
        names = [row["name"] for row in tomllib.loads((folder / file).read_text("utf-8"))[kind]]
        assert len(set(names)) == len(names) > 5


@pytest.mark.slow
def test_tables_are_made_and_finished_rows_are_not_run_again(repository: Path, tmp_path: Path) -> None:
    toy = tmp_path / "toy"
    toy.mkdir()
    for seed, part in enumerate(("train", "dev", "test")):
        write_toy(toy / part, 60, seed)
    environment = os.environ | {"PYTHONPATH": str(repository)}
    tiny = "--epochs 1 --hidden-size 8 --word-dim 8 --threads 1"
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('flags = "--epochs 9"\n[[row]]\nname = "a"\n[[row]]\nname = "b"\nflags = "--no-char-cnn"\n')

    def ablations(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, repository / "benchmarks" / "ablations.py", recipe, "--train", toy / "train"]
        command += ["--dev", toy / "dev", "--test", toy / "test", "--share", "0.5,1", "--seeds", "1,2"]
        command += ["-o", tmp_path / "runs", "--results", tmp_path / "results", "--flags", tiny, *more]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, env=environment)

    done = ablations()
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| a |") == done.stdout.count("| b |") == 2
    assert "±" in done.stdout
    assert (tmp_path / "results" / "table.md").read_text() == done.stdout
    report = json.loads((tmp_path / "results" / "b.0.5.json").read_text())
    assert report["seconds"] > 0
    assert str(tmp_path) not in json.dumps(report)
    again = ablations()
    assert (again.stdout, again.stderr) == (done.stdout, "")
    other = ablations("--seeds", "1,3", "--rows", "a")
    assert other.returncode == 1
    assert "is of another run" in other.stdout

    corpora = tmp_path / "corpora.toml"
    corpora.write_text(
        "".join(
            f'[[corpus]]\nname = "{name}"\ntitle = "{name}"\nlanguage = "en"\ntrain = "{train}"\ndev = "dev"\n'
            'test = "test"\n'
            for name, train in (("toy", "train"), ("gone", "no-such-file"))
        )
    )
    command = [sys.executable, repository / "benchmarks" / "accuracy.py", "--data", toy, "--seeds", "1"]
    command += ["--recipe", corpora, "-o", tmp_path / "runs", "--results", tmp_path / "accuracy", "--flags", tiny]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "| toy | " in done.stdout
    assert "- toy.with-bilm: no biLM of this language (--bilm en=…)" in done.stdout
    assert "- gone.without-bilm: no such file" in done.stdout

    def without_seconds(table: str) -> str:
        return re.sub(r"\| [\d,]+ \|$", "", table, flags=re.MULTILINE)

    corpora.write_text(corpora.read_text().replace("no-such-file", "train"))
    tables = []
    for jobs in ("1", "2"):
        to = ["-o", tmp_path / f"runs-{jobs}", "--results", tmp_path / f"accuracy-{jobs}", "--jobs", jobs]
        command[command.index("-o") : command.index("--flags")] = to
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        tables.append(without_seconds(done.stdout))
    assert tables[0] == tables[1]
    assert "| gone | " in tables[0]
