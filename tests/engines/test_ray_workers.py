"""tag --engine ray on a cluster of two nodes: the bytes of plain tag, whatever dies in the middle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ner_elmo.engines.ray_workers import RayCluster
from ner_elmo.errors import NerElmoError
from ner_elmo.tagger.tagger import Tagger
from ner_elmo.tagger.tagging.inputs import find_inputs
from ner_elmo.tagger.tagging.run import Job
from ner_elmo.tagger.tagging.settings import TagSettings
from ner_elmo.tagger.tagging.workers import AHEAD
from ner_elmo.text.files import sha256_of_file
from tests.support.command_line import ner_elmo
from tests.support.engines import Deadly, Stillborn, ray_cluster, texts_of
from tests.support.processes import STEP_LIMIT, environment

# What Ray itself warns of is nobody's business here.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with ray_cluster() as found:
        yield found


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Three files, one of objects of which some have no text."""
    folder = tmp_path / "in"
    (folder / "b").mkdir(parents=True)
    (folder / "a.jsonl").write_text("\n".join(json.dumps({"text": text, "n": 1}) for text in texts_of(700)))
    (folder / "b" / "c.jsonl").write_text('{"text": "Ann sees Rome ."}\n{"text": null}\n{"text": "Bob waits ."}\nno\n')
    (folder / "d.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in reversed(texts_of(300))))
    return folder


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256_of_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name[0] != "."
    }


def lasting(messages: str) -> list[str]:
    """Without the lines that a busy machine adds: how far it is, and what is waited for."""
    return [line for line in messages.splitlines() if not line.startswith(("tag: ", "waiting for the cluster"))]


def written(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.jsonl") if path.name[0] != "."]


def job(tagger: Tagger, **changes: Any) -> Job:
    return Job(tagger, TagSettings(format="jsonl", source="jsonl", **changes), "toy", "digest")


def test_no_cluster_at_an_address_is_one_line(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first test here: ``auto`` finds the cluster of the others once that is there."""
    (tmp_path / "in.txt").write_text("Ann sees Rome .\n")
    flags = ["--engine", "ray", "--address", "auto"]
    status, out, err = ner_elmo(capsys, "tag", "-m", trained, tmp_path / "in.txt", *flags)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith("ner-elmo: --address auto: found no Ray cluster (")


def test_the_bytes_of_plain_tag(
    cluster: Any, trained: Path, inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--from", "jsonl", "-f", "jsonl", "--batch-tokens", "32", "-m", trained]
    status, _, plain_err = ner_elmo(capsys, "tag", inputs, "-o", f"{tmp_path}/plain/", "--threads", "1", *more)
    assert status == 1, plain_err  # some objects have no text
    to = ["tag", inputs, "-o", f"{tmp_path}/ray/", "--engine", "ray", "--address", cluster.address, *more]
    status, _, err = ner_elmo(capsys, *to)
    assert status == 1
    assert lasting(err) == lasting(plain_err)
    assert files(tmp_path / "ray") == files(tmp_path / "plain")
    assert len(files(tmp_path / "ray")) == 3
    assert '"error": "text: found nothing, expected text"' in (tmp_path / "ray/b/c.jsonl.jsonl").read_text()
    for again in (to, [*to[:4], *more]):  # either goes on from where the other was
        assert "3 of 3 files are done already" in ner_elmo(capsys, *again, "--resume")[2]
    (tmp_path / "ray/d.jsonl.jsonl").unlink()
    assert "2 of 3 files are done already" in ner_elmo(capsys, *to, "--resume")[2]
    assert files(tmp_path / "ray") == files(tmp_path / "plain")


def test_both_nodes_tag(cluster: Any, trained: Path) -> None:
    import ray

    class Telling(Tagger):
        def tag_chunk(self, chunk: Any, **flags: bool) -> Any:
            time.sleep(0.05)
            done = super().tag_chunk(chunk, **flags)
            for document in done:
                document.scheme = ray.get_runtime_context().get_node_id()
            return done

    tagger = Telling.load(trained, batch_tokens=20)
    chunks = iter(tagger.chunks(texts_of(300)))

    class Source:
        def has_any(self) -> bool:
            return True

        def take(self) -> Any:
            return next(chunks, [])

    with RayCluster() as here:
        done = list(here.tag_chunks(tagger, Source(), lambda: None))
    assert len({document.scheme for document in done}) == 2
    assert [document.text for document in done] == texts_of(300)


def test_a_worker_killed_in_the_middle_loses_nothing(cluster: Any, trained: Path, inputs: Path, tmp_path: Path) -> None:
    (inputs / "e.jsonl").write_text('{"text": "Ann may die today ."}\n')
    found = find_inputs([str(inputs)], source="jsonl")
    tagger = Deadly.load(trained, batch_tokens=32)
    (tmp_path / "died").touch()
    tagger.once = tmp_path / "died"
    job(tagger).to_each(found, tmp_path / "plain")
    (tmp_path / "died").unlink()
    with RayCluster(n_workers=2) as here:
        beside = job(tagger)
        beside.elsewhere = here.tag_chunks
        beside.to_each(found, tmp_path / "ray")
    assert (tmp_path / "died").exists()
    assert files(tmp_path / "ray") == files(tmp_path / "plain")


def test_a_text_that_always_kills_becomes_a_failure(cluster: Any, trained: Path, tmp_path: Path) -> None:
    texts = texts_of(200)
    texts[100] = "Bob may die today ."
    (tmp_path / "in.txt").write_text("\n".join(texts))
    tagger = Deadly.load(trained, batch_tokens=8)
    with RayCluster(n_workers=2) as here:
        beside = Job(tagger, TagSettings(format="jsonl"))
        beside.elsewhere = here.tag_chunks
        outcome = beside.to_one(find_inputs([str(tmp_path / "in.txt")]), tmp_path / "out.jsonl")
    done = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [value["text"] for value in done] == texts
    failed = [value["text"] for value in done if "error" in value]
    assert texts[100] in failed
    assert len(failed) == outcome.failed_units < 20
    assert "twice" in next(value["error"] for value in done if "error" in value)


def test_a_machine_that_goes_away_loses_nothing(trained: Path, inputs: Path, tmp_path: Path) -> None:
    import ray

    ray.shutdown()  # of the other tests; this one has a cluster of its own
    tagger = Tagger.load(trained, batch_tokens=16)
    found = find_inputs([str(inputs)], source="jsonl")
    job(tagger).to_each(found, tmp_path / "plain")
    with ray_cluster() as own:
        gone = own.add_node(num_cpus=2, object_store_memory=200 << 20)
        own.wait_for_nodes()
        seen = 0

        def report(event: Any) -> None:
            nonlocal seen
            seen += event["event"] == "progress"
            if seen == 2 and gone in own.worker_nodes:
                own.remove_node(gone, allow_graceful=False)

        with RayCluster(n_workers=4) as here:
            beside = job(tagger)
            beside.report = report
            beside.elsewhere = slowly(here, tagger)
            beside.to_each(found, tmp_path / "ray")
        assert gone not in own.worker_nodes
    assert files(tmp_path / "ray") == files(tmp_path / "plain")


def slowly(here: RayCluster, tagger: Tagger) -> Any:
    """Give results out so slowly that a machine can go away meanwhile."""

    def tag_chunks(*arguments: Any, **flags: bool) -> Iterator[Any]:
        for number, result in enumerate(here.tag_chunks(*arguments, **flags)):
            if number % 100 == 0:
                time.sleep(0.3)
            yield result

    return tag_chunks


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_ended_goes_on(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    shutil.rmtree(tmp_path / "in", ignore_errors=True)
    (tmp_path / "in").mkdir()
    for name in range(12):
        (tmp_path / f"in/{name:02}.txt").write_text("\n".join(texts_of(800)))
    flags = ["-f", "jsonl", "-m", str(trained)]
    command = ["-m", "ner_elmo", "tag", str(tmp_path / "in"), "-o", f"{tmp_path}/ray/", *flags]
    command += ["--engine", "ray", "--workers", "1"]
    with subprocess.Popen([sys.executable, *command], env=environment(), stderr=subprocess.PIPE, text=True) as process:
        for _ in range(int(STEP_LIMIT / 0.01)):
            if written(tmp_path / "ray") or process.poll() is not None:
                break
            time.sleep(0.01)
        assert process.poll() is None, "it was done before it was ended"
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode in (-number, 128 + number)
    if number == signal.SIGINT:
        assert "--resume" in err
        assert "Traceback" not in err
    n_done = len(written(tmp_path / "ray"))
    assert 0 < n_done < 12
    done = subprocess.run(
        [sys.executable, *command, "--resume"], env=environment(), capture_output=True, text=True, timeout=STEP_LIMIT
    )
    assert done.returncode == 0, done.stderr
    assert f"{n_done} of 12 files are done already" in done.stderr
    ner_elmo(capsys, "tag", tmp_path / "in", "-o", f"{tmp_path}/plain/", "--threads", "1", *flags)
    assert files(tmp_path / "ray") == files(tmp_path / "plain")
    assert not [name for name in os.listdir(tmp_path / "ray") if name.endswith(".tmp")]


def test_a_full_disk_is_one_line(trained: Path, tmp_path: Path) -> None:
    """And Ray is not started again to end the actors of a cluster that is gone."""
    (tmp_path / "in.txt").write_text("\n".join(texts_of(800)))
    command = ["-m", "ner_elmo", "tag", str(tmp_path / "in.txt"), "-f", "jsonl", "-m", str(trained)]
    command += ["--engine", "ray", "--workers", "1"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, *command],
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=STEP_LIMIT,
        )
    assert done.returncode == 1
    assert lasting(done.stderr)[-1] == "ner-elmo: standard output: cannot be written (No space left on device)"


@pytest.mark.parametrize(
    ("how", "line"), [("kill", "the workers of the cluster end before they begin"), ("fail", "has no such model")]
)
def test_workers_that_cannot_begin_end_the_run_with_a_line(cluster: Any, trained: Path, how: str, line: str) -> None:
    """And not with one new worker after the other for ever."""
    tagger = Stillborn.load(trained)
    tagger.how = how

    class Source:
        def has_any(self) -> bool:
            return True

        def take(self) -> Any:
            return []

    with RayCluster(n_workers=2) as here, pytest.raises(NerElmoError, match=line) as caught:
        list(here.tag_chunks(tagger, Source(), lambda: None))
    assert "\n" not in str(caught.value)


def test_no_more_is_read_than_the_workers_need(trained: Path) -> None:
    """So that memory stays the same however much there is."""
    tagger = Tagger.load(trained, batch_tokens=8)
    chunks, taken = list(tagger.chunks(texts_of(400))), 0

    class Source:
        def has_any(self) -> bool:
            return True

        def take(self) -> Any:
            nonlocal taken
            taken += 1
            return chunks[taken - 1] if taken <= len(chunks) else []

    most = given = 0
    with RayCluster(n_workers=2) as here:
        for number, _ in enumerate(here.tag_chunks(tagger, Source(), lambda: None), start=1):
            given = number
            most = max(most, sum(map(len, chunks[:taken])) - given)
    assert given == 400
    assert len(chunks) > 20
    assert most <= (AHEAD * 2 + 1) * max(map(len, chunks))
