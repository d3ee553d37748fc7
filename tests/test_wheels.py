"""The program's wheel and a model's, built and installed as a user would: small, complete, found by name."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def wheel_of(project: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(project)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob(
        f"{project.name.replace('-', '_')}*.whl" if project.name.startswith("ner-") else "ner_elmo-*.whl"
    )
    return wheel


def test_the_program_and_a_model_are_installed_apart(repository: Path, tmp_path: Path) -> None:
    program = wheel_of(repository, tmp_path)
    assert program.stat().st_size < 2_000_000
    names = zipfile.ZipFile(program).namelist()
    assert not [name for name in names if name.endswith(".hdf5")]
    assert "ner_elmo/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)

    home = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(home)]
    subprocess.run([*install, str(program)], check=True)
    alone = find_en(home)
    assert alone.returncode != 0
    assert "no model is installed; try: pip install 'ner-elmo[en]'" in alone.stderr

    model = wheel_of(repository / "packaging" / "ner-elmo-model-zh", tmp_path)
    subprocess.run([*install, str(model)], check=True)
    found = find_en(home, "zh")
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == str(home / "ner_elmo_model_zh")


def find_en(home: Path, name: str = "en") -> subprocess.CompletedProcess[str]:
    code = f"from ner_elmo.tagger.tagger import Tagger, find_model; Tagger.load({name!r}); print(find_model({name!r}))"
    environment = os.environ | {"PYTHONPATH": str(home)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=home)
