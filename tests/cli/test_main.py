"""The list of commands, and what a start loads."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from ner_elmo.cli import flags, main


def run(repository: Path, code: str, **environment: str) -> str:
    usual = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, env=usual | environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_command_is_in_the_list(repository: Path) -> None:
    files = (repository / "ner_elmo" / "cli").glob("*.py")
    modules = [import_module(f"ner_elmo.cli.{file.stem}") for file in files if file.stem != "__init__"]
    names = {module.NAME: module for module in modules if hasattr(module, "NAME")}
    assert set(names) == set(main.COMMANDS)
    for name, module in names.items():
        assert module.__name__ == f"ner_elmo.cli.{name.replace('-', '_')}"


def test_help_has_every_command_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([]) == 0
    listed = capsys.readouterr().out.partition("Commands:")[2].splitlines()
    assert [line.split()[0] for line in listed if line.startswith("  ") and line[2] != " "] == list(main.COMMANDS)


def test_an_unknown_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["tags"]) == 2
    assert "No such command 'tags'" in capsys.readouterr().err
    assert main.main(["--version", "tag"]) == 0


def test_a_command_loads_no_other(repository: Path) -> None:
    code = "import sys; from ner_elmo.cli.main import main; main(['tag', '--help'])\n"
    code += "print(sorted(name for name in sys.modules if name.startswith('ner_elmo.cli.')))"
    loaded = run(repository, code).splitlines()[-1]
    assert "ner_elmo.cli.tag" in loaded
    assert not [name for name in main.COMMANDS if name != "tag" and f"'ner_elmo.cli.{name}'" in loaded]


def test_the_collector_is_back_once_torch_is_there(repository: Path) -> None:
    code = "import gc; from ner_elmo.cli.flags import set_up_torch; set_up_torch('cpu')\n"
    assert run(repository, code + "print(gc.isenabled(), gc.get_freeze_count() > 10_000)") == "True True\n"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_threads_that_wait_give_way_unless_they_were_told_how(
    repository: Path, environment: dict[str, str], expected: str
) -> None:
    code = "import os; from ner_elmo.cli.flags import set_up_torch; set_up_torch('cpu')\n"
    assert run(repository, code + "print(os.environ.get('GOMP_SPINCOUNT'))", **environment) == f"{expected}\n"


def test_what_tag_leaves_out_of_torch_can_be_imported_later(repository: Path) -> None:
    code = "import sys; from ner_elmo.cli import flags; flags.set_up_torch('cpu', 1, starts_fast=True)\n"
    code += "assert not [name for name in sys.modules if name.endswith('._meta_registrations')]\n"
    code += "import torch, torch._meta_registrations as left_out; assert left_out.__file__\n"
    code += "assert torch.empty(2, 3, device='meta').t().shape == (3, 2)"
    assert run(repository, code) == ""


def test_beside_a_gpu_one_thread_computes() -> None:
    assert flags._usual_threads("cuda") == 1
    assert flags._usual_threads("cpu") == flags.available_cores()
