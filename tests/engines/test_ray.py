"""Data sets of Ray on a cluster of two nodes: what plain tagging finds, whatever dies or fails in the middle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.engines.ray import embed_dataset, embed_files, tag_dataset
from ner_elmo.errors import UsageError
from ner_elmo.tagger.tagger import Tagger
from tests.support.command_line import ner_elmo
from tests.support.engines import Deadly, Stillborn, plain, ray_cluster, texts_of

# What Ray itself warns of is nobody's business here.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Any]:
    with ray_cluster() as found:
        yield found


def dataset_of(texts: list[Any], blocks: int = 4) -> Any:
    import ray

    return ray.data.from_items([{"id": i, "text": text} for i, text in enumerate(texts)], override_num_blocks=blocks)


def rows_of(dataset: Any) -> list[dict[str, Any]]:
    """The rows by their numbers."""
    return sorted(dataset.take_all(), key=lambda row: row["id"])


@pytest.mark.parametrize("name", ["trained", "joined"])
def test_rows_have_what_tag_finds(name: str, request: pytest.FixtureRequest) -> None:
    trained: Path = request.getfixturevalue(name)
    texts = texts_of(500)
    done = rows_of(tag_dataset(dataset_of(texts), trained, concurrency=(1, 2), batch_rows=100))
    assert [row["id"] for row in done] == list(range(500))
    tagger = Tagger.load(trained, precision="auto")
    expected = [plain(document) for start in range(0, 500, 125) for document in _by_batches(tagger, texts, start)]
    assert [row["entities"] for row in done] == expected
    assert all(row["error"] is None for row in done)


def _by_batches(tagger: Tagger, texts: list[str], start: int) -> list[Any]:
    """What Ray computes together: a block of 125 rows, cut after 100."""
    block = texts[start : start + 125]
    return [*tagger.tag(block[:100]), *tagger.tag(block[100:])]


def test_files_in_files_out(trained: Path, tmp_path: Path) -> None:
    import ray

    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        lines = [json.dumps({"id": f"{name}{i}", "body": text}) for i, text in enumerate(texts_of(50))]
        (tmp_path / f"in/{name}.jsonl").write_text("\n".join(lines))
    (tmp_path / "in.txt").write_text("\n".join(texts_of(50)))
    expected = {text: plain(document) for text, document in zip(texts_of(50), _documents(trained), strict=True)}
    tagged = tag_dataset(ray.data.read_json(str(tmp_path / "in")), trained, "body")
    tagged.write_parquet(str(tmp_path / "out"))
    rows = ray.data.read_parquet(str(tmp_path / "out")).take_all()
    assert sorted(row["id"] for row in rows) == sorted(f"{name}{i}" for name in "ab" for i in range(50))
    assert all(row["entities"] == expected[row["body"]] for row in rows)
    again = tag_dataset(ray.data.read_parquet(str(tmp_path / "out"), columns=["id", "body"]), trained, "body")
    again.write_json(str(tmp_path / "json"))
    lines = [line for file in (tmp_path / "json").iterdir() for line in file.read_text().splitlines()]
    assert all(json.loads(line)["entities"] == expected[json.loads(line)["body"]] for line in lines)
    assert len(lines) == 100
    of_text = tag_dataset(ray.data.read_text(str(tmp_path / "in.txt")), trained).take_all()
    assert {row["text"]: row["entities"] for row in of_text} == expected


def _documents(trained: Path) -> list[Any]:
    return list(Tagger.load(trained, precision="auto").tag(texts_of(50)))


def test_rows_that_fail_do_not_end_the_others(trained: Path) -> None:
    texts: list[Any] = texts_of(60)
    texts[7], texts[20] = None, "Ann had poison in Rome ."
    done = rows_of(tag_dataset(dataset_of(texts), Deadly.load(trained), batch_rows=15))
    assert {row["id"]: row["error"] for row in done if row["error"] is not None} == {
        7: "text: found nothing, expected text",
        20: "poisoned",
    }
    assert [row["id"] for row in done if row["entities"] is None] == [7, 20]
    assert len(done) == 60


def test_an_actor_killed_in_the_middle_loses_nothing(trained: Path, tmp_path: Path) -> None:
    texts = texts_of(400)
    texts[250] = "Bob may die today ."
    tagger = Deadly.load(trained)
    tagger.once = tmp_path / "died"
    done = rows_of(tag_dataset(dataset_of(texts, 8), tagger, concurrency=2, batch_rows=50))
    assert tagger.once.exists()
    assert [row["id"] for row in done] == list(range(400))
    expected = [plain(d) for start in range(0, 400, 50) for d in Tagger.load(trained).tag(texts[start : start + 50])]
    assert [row["entities"] for row in done] == expected


def test_a_text_that_always_kills_ends_the_job_and_does_not_hang(trained: Path) -> None:
    import ray

    with pytest.raises(ray.exceptions.RayError):
        tag_dataset(dataset_of(["Bob may die today ."], 1), Deadly.load(trained)).take_all()


def test_a_model_that_actors_do_not_see_ends_the_job_with_its_line(trained: Path) -> None:
    import ray

    with pytest.raises(ray.exceptions.RayError, match="no-such: no such tagger directory; the models that ship"):
        tag_dataset(dataset_of(texts_of(20)), "no-such").take_all()


def test_actors_that_end_before_they_begin_end_the_job(trained: Path) -> None:
    """As where there is no memory for the model: they are not started again for ever, as Ray itself would."""
    import ray

    with pytest.raises(ray.exceptions.RayActorError):
        tag_dataset(dataset_of(["a"], 1), Stillborn.load(trained)).take_all()


def test_mistakes_are_told_before_anything_is_computed(trained: Path) -> None:
    with pytest.raises(UsageError, match="found no column 'body'; the columns are id, text"):
        tag_dataset(dataset_of(["a"]), trained, "body")
    with pytest.raises(UsageError, match="concurrency: found 0, expected at least 1"):
        tag_dataset(dataset_of(["a"]), trained, concurrency=0)


def test_vectors_of_rows(bilm: Path) -> None:
    texts: list[Any] = texts_of(20)
    texts[3] = None
    elmo = Elmo.load(bilm)
    for layers in ("mean", "all", [0, 2]):
        done = rows_of(embed_dataset(dataset_of(texts, 1), bilm, layers=layers))  # type: ignore[arg-type]
        assert done[3]["vectors"] is None
        assert done[3]["error"] == "text: found nothing, expected text"
        sentences = [text.split() for text in texts if text is not None]
        expected = iter(elmo.embed(sentences, layers))  # type: ignore[arg-type]
        for row in done:
            if row["error"] is None:
                vectors = np.array(nested(row["vectors"]), dtype=np.float32)
                np.testing.assert_array_equal(vectors, next(expected))


def nested(value: Any) -> Any:
    return [nested(part) for part in value] if hasattr(value, "__len__") else float(value)


def test_files_of_vectors_are_those_of_embed(bilm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / f"{name}.txt" for name in "abc"]
    for number, file in enumerate(files):
        file.write_text("\n".join(texts_of(10 * number)))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".a.txt.hdf5.xyz.tmp").write_text("of an actor that was lost")
    done = embed_files(files, bilm, tmp_path / "out", layers="top", concurrency=2)
    assert [(row.lines, row.error) for row in done] == [(0, None), (10, None), (20, None)]
    for file in files:
        status, _, err = ner_elmo(
            capsys, "embed", file, "--bilm", bilm, "-o", tmp_path / "x", "--layers", "top", "--threads", "1", "--force"
        )
        assert status == 0, err
        with h5py.File(tmp_path / "x") as one, h5py.File(tmp_path / "out" / f"{file.name}.hdf5") as other:
            assert list(one) == list(other)
            for name in one:
                np.testing.assert_array_equal(one[name][()], other[name][()])
    (tmp_path / "out" / "b.txt.hdf5").unlink()
    with pytest.raises(UsageError, match="exists already"):
        embed_files(files, bilm, tmp_path / "out")
    assert [Path(row.path).name for row in embed_files(files, bilm, tmp_path / "out", resume=True)] == ["b.txt"]
    files[0].write_bytes(b"\xff\xfe\xfa")
    (failed,) = embed_files(files[:1], bilm, tmp_path / "other")
    assert failed.error is not None
    assert not list((tmp_path / "other").iterdir())
