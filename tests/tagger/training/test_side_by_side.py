"""Seeds side by side: the bytes of one after the other, whatever ends one, nothing left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from ner_elmo.elmo import feature_cache
from ner_elmo.errors import DataError, NerElmoError
from ner_elmo.runs.events import Report
from ner_elmo.runs.stop import Stopped
from ner_elmo.tagger.training import run, side_by_side
from ner_elmo.tagger.training.run import train_tagger
from ner_elmo.tagger.training.side_by_side import train_side_by_side
from ner_elmo.text.files import sha256_of_file
from tests.support.command_line import SMALL
from tests.support.devices import CPU, one_thread
from tests.support.toy_language import toy_config, write_toy
from tests.support.toy_training import Events

pytestmark = pytest.mark.long

FORK = "fork"
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")


def files(folder: Path) -> dict[str, str]:
    """All files of a run by their check sums, without what the clock says."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not name.endswith((".pt", ".json", "log.jsonl", ".html", ".md")):
            found[name] = sha256_of_file(path)
    return found


def timeless(report: object) -> object:
    """A report without seconds and speeds."""
    if isinstance(report, dict):
        return {key: timeless(value) for key, value in report.items() if key not in ("seconds", "tokens_per_second")}
    return [timeless(value) for value in report] if isinstance(report, list) else report


@pytest.mark.parametrize("method", [pytest.param(FORK, marks=ON_LINUX), pytest.param("spawn", marks=pytest.mark.slow)])
@pytest.mark.parametrize("is_on_disk", [False, True])
def test_the_bytes_of_one_after_the_other(
    toy: Path, bilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, is_on_disk: bool
) -> None:
    monkeypatch.setattr(run, "start_method", lambda device_type: method)
    if is_on_disk:
        monkeypatch.setattr(feature_cache, "IN_MEMORY_BYTES", 0)
        monkeypatch.setattr("ner_elmo.tagger.training.features.IN_MEMORY_BYTES", 0)
    config = toy_config(toy, bilm=str(bilm), seeds=(3, 1, 2), epochs=2)
    reports, events = {}, {}
    for name, jobs in (("alone", 1), ("beside", 2)):
        events[name] = Events()
        with one_thread():  # as each that trains beside others has
            reports[name] = train_tagger(
                config, tmp_path / name, device=CPU, cache=tmp_path / "cache", jobs=jobs, report=events[name]
            )
    assert files(tmp_path / "alone") == files(tmp_path / "beside")
    assert "tagger.hdf5" in files(tmp_path / "alone")
    assert timeless(reports["alone"]) == timeless(reports["beside"])
    assert list(reports["alone"]["seeds"]["f1"]["dev"]["by_seed"]) == ["3", "1", "2"]
    for events_of in events.values():
        epochs = sorted((event["seed"], event["epoch"]) for event in events_of.of("epoch"))
        assert epochs == [(seed, epoch) for seed in (1, 2, 3) for epoch in (1, 2)]
        assert len(events_of.of("scores")) == 6
    progress = [event["done"] for event in events["beside"].of("progress") if event["what"] == "seeds side by side"]
    n_tokens = next(event["total"] for event in events["alone"].of("progress") if "epoch" in event["what"])
    assert progress == sorted(progress)
    assert progress[-1] == 6 * n_tokens


def test_it_goes_on_with_more_epochs(toy: Path, tmp_path: Path) -> None:
    for epochs in (1, 2):
        train_tagger(toy_config(toy, seeds=(1, 2), epochs=epochs), tmp_path / "beside", device=CPU, jobs=2, resume=True)
    with one_thread():
        train_tagger(toy_config(toy, seeds=(1, 2), epochs=2), tmp_path / "alone", device=CPU)
    assert files(tmp_path / "alone") == files(tmp_path / "beside")


def work(folder: Path, seed: int, *, report: Report) -> dict[str, object]:
    """Say where one is, and then do as the seed says."""
    report({"event": "note", "message": str(seed)})
    (folder / str(seed)).write_text(str(os.getpid()))
    if seed == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if seed == 3:
        raise DataError("the third")
    if seed > 3:
        time.sleep(600)
    return {"seed": seed}


def is_running(pid: int) -> bool:
    """Whether there is such a process that is not dead."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def pids(folder: Path) -> list[int]:
    """Those of the processes, once they have begun."""
    return [int(path.read_text()) for path in folder.iterdir()]


@ON_LINUX
def test_one_that_is_killed_ends_the_run_with_one_line(tmp_path: Path) -> None:
    with pytest.raises(NerElmoError, match=r"^seed 2: its process was killed \(signal 9\); .*--resume"):
        train_side_by_side(partial(work, tmp_path), [4, 2], 2, FORK, lambda event: None)
    assert not any(map(is_running, pids(tmp_path)))


@ON_LINUX
def test_an_error_is_the_one_that_the_seed_had(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the third"):
        train_side_by_side(partial(work, tmp_path), [1, 3, 4], 1, FORK, lambda event: None)
    assert len(pids(tmp_path)) == 2
    assert not any(map(is_running, pids(tmp_path)))


@ON_LINUX
def test_a_signal_that_is_heard_of_late_ends_all(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        train_side_by_side(partial(work, tmp_path), [4, 5], 2, FORK, lambda event: None, lambda: signal.SIGINT)
    assert not any(map(is_running, pids(tmp_path)))


@ON_LINUX
def test_what_a_process_half_wrote_goes_with_it(tmp_path: Path) -> None:
    """It is ended by an exception, so that what cleans up does."""

    def tidy(seed: int, *, report: Report) -> dict[str, object]:
        try:
            (tmp_path / str(seed)).write_text("half")
            report({"event": "note", "message": "begun"})
            time.sleep(600)
        finally:
            (tmp_path / str(seed)).unlink()
        return {}

    def stop(event: object) -> None:
        raise Stopped(signal.SIGTERM)

    with pytest.raises(Stopped):
        train_side_by_side(tidy, [1], 1, FORK, stop)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@ON_LINUX
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_signal_to_the_command_stops_all(toy: Path, tmp_path: Path, number: int, status: int) -> None:
    write_toy(tmp_path / "train", 600, 7)
    command = [sys.executable, "-m", "ner_elmo", "train-tagger", "--train", tmp_path / "train", "--dev", toy / "dev"]
    command += ["-o", tmp_path / "run", "--epochs", "500", "--patience", "500", "--seeds", "1,2,3", "--jobs", "2"]
    with subprocess.Popen(list(map(str, command + SMALL)), stderr=subprocess.PIPE, text=True) as process:
        try:
            for _ in range(1200):
                both = [list(tmp_path.glob(f"run/seed-{seed}/checkpoints/epoch-*.pt")) for seed in (1, 2)]
                if all(both) or process.poll() is not None:
                    break
                time.sleep(0.05)
            children = [
                int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            ]
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == status
    assert all(both)
    assert len(children) >= 2
    for _ in range(200):
        if not any(map(is_running, children)):
            break
        time.sleep(0.05)
    assert not any(map(is_running, children))
    assert "Traceback" not in err
    if number != signal.SIGKILL:
        assert "--resume" in err.splitlines()[-1]
    assert not list((tmp_path / "run").rglob("*.tmp")) or number == signal.SIGKILL


@ON_LINUX
def test_the_method_follows_the_device() -> None:
    assert side_by_side.start_method("cpu") == "fork"
    assert side_by_side.start_method("cuda") == "spawn"


def test_reports_on_disk_are_those_handed_out(toy: Path, tmp_path: Path) -> None:
    report = train_tagger(toy_config(toy, seeds=(1, 2), epochs=1), tmp_path, device=CPU, jobs=5)
    assert json.loads((tmp_path / "report.json").read_text()) == json.loads(json.dumps(report))
