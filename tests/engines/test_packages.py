"""An engine that is not installed is one line, which says what to install."""

from __future__ import annotations

from pathlib import Path

import pytest

from ner_elmo.engines import packages
from ner_elmo.errors import UsageError
from tests.support.command_line import ner_elmo


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str) -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(packages.importlib, "import_module", missing)
    with pytest.raises(UsageError, match=r"^ray: needs the ray package; try: pip install 'ner-elmo\[ray\]'$"):
        packages.require("ray.data", "ray")


def test_the_command_says_so(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text("Ann sees Rome .\n")
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    status, out, err = ner_elmo(capsys, "tag", "-m", trained, tmp_path / "in.txt", "--engine", "ray")
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].endswith("needs the ray package; try: pip install 'ner-elmo[ray]'")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--workers", "2"], "--workers: is for an engine; expected --engine ray with it"),
        (["--address", "auto"], "--address: is for an engine"),
        (["--engine", "ray", "--processes", "2"], "--processes: are of this machine; expected --workers N"),
        (["--engine", "dask"], '--engine: found "dask", expected here or ray'),
    ],
)
def test_flags_that_do_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    (tmp_path / "in.txt").write_text("Ann sees Rome .\n")
    status, _, err = ner_elmo(capsys, "tag", tmp_path / "in.txt", *flags)
    assert status == 2
    assert message in err
