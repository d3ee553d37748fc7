"""push and pull, with huggingface_hub itself against a stand-in of the hub's HTTP interface."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ner_elmo.cli.main import main
from ner_elmo.errors import ModelError, NerElmoError, UsageError
from ner_elmo.library.hub import pull, push
from ner_elmo.tagger.store import own_files
from ner_elmo.tagger.tagger import Tagger
from tests.support.disks import Disk
from tests.support.hub import TOKEN, Hub, a_hub

pytest.importorskip("huggingface_hub")
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's, of httpx
TEXT = "Ann sees Rome ."


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    with a_hub() as one:
        yield one


def test_a_tagger_there_and_back(trained: Path, tmp_path: Path, hub: Hub) -> None:
    address = push(trained, "me/toy", private=True, token=TOKEN, endpoint=hub.address)
    assert address == f"{hub.address}/me/toy/commit/{hub.sha_of('me/toy')}"
    assert hub.private["me/toy"]
    assert set(hub.files["me/toy"]) - {".gitattributes"} == set(own_files(trained, with_softmax=True))
    hub.files["me/toy"]["evil.py"] = b"print('never fetched')"

    folder = pull("me/toy", tmp_path / "back", endpoint=hub.address)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == sorted(
        own_files(trained, with_softmax=True)
    )
    assert not [line for line in hub.asked if "evil" in line]
    assert Tagger.load(folder).tag(TEXT) == Tagger.load(trained).tag(TEXT)


def test_a_bilm_there_and_back(bilm: Path, tmp_path: Path, hub: Hub) -> None:
    push(bilm, "me/bilm", token=TOKEN, endpoint=hub.address)
    folder = pull("me/bilm", tmp_path / "back", revision="main", endpoint=hub.address)
    for name in ("weights.hdf5", "options.json", "softmax.hdf5"):
        assert (folder / name).read_bytes() == (bilm / name).read_bytes()


def test_what_is_damaged_on_the_way_does_not_arrive(trained: Path, tmp_path: Path, hub: Hub) -> None:
    push(trained, "me/toy", token=TOKEN, endpoint=hub.address)
    hub.cut = "tagger.hdf5"
    with pytest.raises(ModelError, match=r"^me/toy/tagger.hdf5: .*digest"):
        pull("me/toy", tmp_path / "back", endpoint=hub.address)
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_disk_with_too_little_room(trained: Path, tmp_path: Path, hub: Hub, disk: Disk) -> None:
    push(trained, "me/toy", token=TOKEN, endpoint=hub.address)
    with pytest.raises(NerElmoError, match=r"me/toy: has [\d,]+ bytes; the disk has [\d,]+ free"):
        pull("me/toy", disk.of(16) / "back", endpoint=hub.address)
    assert not list(disk.place.iterdir())
    assert pull("me/toy", disk.of(20_000) / "back", endpoint=hub.address).is_dir()


def test_what_the_hub_refuses_is_one_line(trained: Path, tmp_path: Path, hub: Hub) -> None:
    with pytest.raises(NerElmoError, match=r"^me/toy: the hub answers 401: try: hf auth login"):
        push(trained, "me/toy", token="hf_wrong", endpoint=hub.address)
    with pytest.raises(NerElmoError, match=r"^me/none: the hub answers 40[14]: "):
        pull("me/none", tmp_path / "back", endpoint=hub.address)
    with pytest.raises(UsageError, match=r"expected OWNER/NAME"):
        pull("me/too/long", tmp_path / "back", endpoint=hub.address)
    hub.files["me/other"] = {"config.json": b"{}"}
    with pytest.raises(ModelError, match=r"^me/other: found no biLM"):
        pull("me/other", tmp_path / "back", endpoint=hub.address)
    assert not list(tmp_path.iterdir())


def test_one_that_is_not_there(tmp_path: Path) -> None:
    with a_hub() as gone:
        pass
    with pytest.raises(NerElmoError, match=r"^me/toy: the hub cannot be reached"):
        pull("me/toy", tmp_path / "back", endpoint=gone.address)


def test_by_the_command_line(
    trained: Path, tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main(["push", str(trained), "me/toy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["commit"].startswith(hub.address)
    folder = tmp_path / "back"
    assert main(["pull", "me/toy", "-o", str(folder)]) == 0
    assert (folder / "tagger.json").is_file()
    assert main(["pull", "me/toy", "-o", str(folder)]) == 2
    assert main(["pull", "me/toy", "-o", str(folder), "--force"]) == 0
