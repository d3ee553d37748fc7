"""The cache of frozen features: exact, shared, and never believed when damaged."""

from __future__ import annotations

import shutil
import tempfile
import tracemalloc
from collections import namedtuple
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ner_elmo.elmo import feature_cache
from ner_elmo.elmo.encoder import Elmo
from ner_elmo.elmo.feature_cache import FeatureCache, StoredSentence, compute_features, default_folder
from tests.support.small_bilms import small_bilm

SENTENCES = [["a"], [], ["b", "a", "new"], ["x"] * 200, ["a", "b"], ["日本"]]


class Talk(list[str]):
    """A cache's notes and warnings."""

    def note(self, message: str) -> None:
        self.append(message)

    def warn(self, message: str) -> None:
        self.append(f"warning: {message}")

    def warnings(self) -> list[str]:
        return [line for line in self if line.startswith("warning: ")]


@pytest.fixture(scope="module")
def elmo(tmp_path_factory: pytest.TempPathFactory) -> Elmo:
    folder = tmp_path_factory.mktemp("bilm")
    small_bilm(folder / "bilm")
    return Elmo.load(folder / "bilm", device="cpu")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two positions a chunk or so, so that sentences span chunks and blocks."""
    monkeypatch.setattr(feature_cache, "CHUNK_BYTES", 130)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[int]]:
    """The layers of each call of ``Elmo.embed`` and ``embed_half``."""
    calls: list[Sequence[int]] = []

    def count(name: str) -> None:
        embed = getattr(Elmo, name)

        def counting(self: Elmo, sentences: Any, layers: Any = "all") -> Iterator[np.ndarray]:
            calls.append(layers)
            return embed(self, sentences, layers)  # type: ignore[no-any-return]

        monkeypatch.setattr(Elmo, name, counting)

    count("embed")
    count("embed_half")
    return calls


def talking(elmo: Elmo, folder: Path) -> tuple[FeatureCache, Talk]:
    talk = Talk()
    return FeatureCache(elmo, folder, talk.note, talk.warn), talk


def assert_same(found: Sequence[Any] | None, wanted: Sequence[np.ndarray]) -> None:
    assert found is not None
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.shape == theirs.shape
        array = np.asarray(ours)
        assert array.dtype == theirs.dtype
        assert array.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(("layers", "average"), [([0, 1, 2], False), ([2, 0], False), ([0, 2], True), ([1], True)])
def test_what_is_read_is_what_is_computed(
    elmo: Elmo, tmp_path: Path, dtype: str, layers: list[int], average: bool, in_memory: bool
) -> None:
    cache, talk = talking(elmo, tmp_path)
    wanted = list(compute_features(elmo, SENTENCES, layers, average, dtype))
    for _ in range(2):
        found = cache.features(SENTENCES, layers, average, dtype, in_memory)
        assert_same(found, wanted)
        assert isinstance(found[0], np.ndarray if in_memory else StoredSentence)  # type: ignore[index]
    assert ["computing" in line for line in talk] == [True, False]
    (file,) = tmp_path.iterdir()
    with h5py.File(file, locking=False) as opened:
        assert opened["features"].chunks is not None
        assert opened["features"].shape == (207, 1 if average else len(layers), 10)


@settings(max_examples=15)
@given(st.lists(st.lists(st.text(max_size=3), max_size=30), max_size=4))
def test_round_trip(elmo: Elmo, sentences: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = FeatureCache(elmo, Path(folder)).features(sentences, [0, 1, 2])
        if not any(sentences):
            assert found is None
        else:
            assert_same(found, list(compute_features(elmo, sentences, [0, 1, 2])))


def test_what_the_features_depend_on_is_told_apart(elmo: Elmo, tmp_path: Path, computed: list[Sequence[int]]) -> None:
    cache = FeatureCache(elmo, tmp_path)
    others: list[tuple[list[list[str]], list[int], bool, str]] = [
        ([["a", "b"], ["a"]], [0, 1], False, "float16"),
        ([["a"], ["b", "a"]], [0, 1], False, "float16"),
        ([["ab"], ["a"]], [0, 1], False, "float16"),
        ([["a", "b", "a"]], [0, 1], False, "float16"),
        ([["a", "b"], ["a"]], [1, 0], False, "float16"),
        ([["a", "b"], ["a"]], [0, 1], True, "float16"),
        ([["a", "b"], ["a"]], [0, 1], False, "float32"),
    ]
    for n_files, (sentences, layers, average, dtype) in enumerate(others, start=1):
        for _ in range(2):
            wanted = list(compute_features(elmo, sentences, layers, average, dtype))
            assert_same(cache.features(sentences, layers, average, dtype), wanted)
        assert len(list(tmp_path.iterdir())) == n_files
        assert len(computed) == 3 * n_files  # twice above, and once into the cache


def test_another_bilm_has_other_files(elmo: Elmo, tmp_path: Path) -> None:
    small_bilm(tmp_path / "bilm", "float16")
    other = Elmo.load(tmp_path / "bilm", device="cpu")
    copy = shutil.copytree(elmo.path, tmp_path / "copy")
    same = Elmo.load(copy, device="cpu")
    eighths = Elmo.load(copy, device="cpu", precision="int8")
    for bilm, n_files in [(elmo, 1), (other, 2), (same, 2), (eighths, 3)]:
        found = FeatureCache(bilm, tmp_path / "cache").features(SENTENCES, [0, 1, 2])
        assert_same(found, list(compute_features(bilm, SENTENCES, [0, 1, 2])))
        assert len(list((tmp_path / "cache").iterdir())) == n_files


@pytest.mark.parametrize("in_memory", [True, False])
def test_ablations_read_from_a_file_of_all_layers(
    elmo: Elmo, tmp_path: Path, computed: list[Sequence[int]], in_memory: bool
) -> None:
    cache, talk = talking(elmo, tmp_path)
    cache.features(SENTENCES, [0, 1, 2])
    wanted = [list(compute_features(elmo, SENTENCES, layers)) for layers in ([1], [2, 0])]
    computed.clear()
    assert_same(cache.features(SENTENCES, [1], in_memory=in_memory), wanted[0])
    assert_same(cache.features(SENTENCES, [2, 0], in_memory=in_memory), wanted[1])
    assert not computed
    assert len(list(tmp_path.iterdir())) == 1
    assert not talk.warnings()


def the_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def flip(file: Path) -> None:
    with h5py.File(file, locking=False) as opened:
        place = opened["features"].id.get_chunk_info(5).byte_offset + 7
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def text(file: Path) -> None:
    file.write_text("not HDF5 at all\n")


def another_key(file: Path) -> None:
    with h5py.File(file, "r+") as opened:
        opened.attrs["key"] = np.bytes_(opened.attrs["key"].replace(b'"format_version": 2', b'"format_version": 0'))


def no_key(file: Path) -> None:
    with h5py.File(file, "r+") as opened:
        del opened.attrs["key"]


def other_shape(file: Path) -> None:
    with h5py.File(file, "r+") as opened:
        values = opened["features"][:-1]
        del opened["features"]
        opened["features"] = values


def other_type(file: Path) -> None:
    with h5py.File(file, "r+") as opened:
        values = opened["features"][:]
        del opened["features"]
        opened["features"] = values.view(np.int16)


def other_lengths(file: Path) -> None:
    with h5py.File(file, "r+") as opened:
        opened["offsets"][1] = 0


def fewer_checks(file: Path) -> None:
    with h5py.File(file, "r+") as opened:
        values = opened["checks"][:-1]
        del opened["checks"]
        opened["checks"] = values


def elsewhere(file: Path) -> None:
    with h5py.File(file, "r+") as opened:
        del opened["features"]
        opened["features"] = h5py.ExternalLink("other.hdf5", "features")


@pytest.mark.parametrize(
    "damage",
    [cut_off, flip, empty, text, another_key, no_key, other_shape, other_type, other_lengths, fewer_checks, elsewhere],
)
def test_damage_is_noticed_and_repaired_with_one_warning(elmo: Elmo, tmp_path: Path, damage: Any) -> None:
    wanted = list(compute_features(elmo, SENTENCES, [0, 1, 2]))
    cache, talk = talking(elmo, tmp_path)
    cache.features(SENTENCES, [0, 1, 2])
    damage(the_file(tmp_path))
    talk.clear()
    assert_same(cache.features(SENTENCES, [0, 1, 2]), wanted)
    (warning,) = talk.warnings()
    assert warning.startswith(f"warning: {the_file(tmp_path)}: not usable (")
    assert "anew" in warning
    assert "\n" not in warning
    talk.clear()
    assert_same(cache.features(SENTENCES, [0, 1, 2]), wanted)
    assert ["read from" in line for line in talk] == [True]


@settings(max_examples=40)
@given(st.data())
def test_a_byte_changed_anywhere_never_changes_the_features(elmo: Elmo, data: st.DataObject) -> None:
    wanted = list(compute_features(elmo, SENTENCES, [0, 1]))
    with tempfile.TemporaryDirectory() as folder:
        cache = FeatureCache(elmo, Path(folder))
        cache.features(SENTENCES, [0, 1])
        file = the_file(Path(folder))
        content = bytearray(file.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        file.write_bytes(content)
        assert_same(cache.features(SENTENCES, [0, 1]), wanted)


def test_a_file_of_another_bilm_under_this_ones_name_is_replaced(elmo: Elmo, tmp_path: Path) -> None:
    small_bilm(tmp_path / "bilm", "float16")
    other = Elmo.load(tmp_path / "bilm", device="cpu")
    FeatureCache(other, tmp_path / "theirs").features(SENTENCES, [0])
    cache, talk = talking(elmo, tmp_path / "ours")
    cache.features(SENTENCES, [0])
    the_file(tmp_path / "theirs").replace(the_file(tmp_path / "ours"))
    assert_same(cache.features(SENTENCES, [0]), list(compute_features(elmo, SENTENCES, [0])))
    assert "of this biLM" in talk.warnings()[0]


def test_without_space_nothing_is_written(elmo: Elmo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12, 100_000_000))
    cache, talk = talking(elmo, tmp_path)
    assert cache.features(SENTENCES, [0]) is None
    assert "100 MB free" in talk.warnings()[0]
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_leaves_nothing_behind(
    elmo: Elmo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(feature_cache, "_write", full)
    cache, talk = talking(elmo, tmp_path)
    assert cache.features(SENTENCES, [0]) is None
    assert "No space left on device" in talk.warnings()[0]
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made(elmo: Elmo, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache, talk = talking(elmo, tmp_path / "file" / "cache")
    assert cache.features(SENTENCES, [0]) is None
    assert "going on without a cache" in talk.warnings()[0]


def test_two_writers_of_the_same_features(elmo: Elmo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one writes, another begins and finishes; a third has the file open all the while."""
    wanted = list(compute_features(elmo, SENTENCES, [0, 1, 2]))
    write, found = feature_cache._write, []

    def interrupted(*arguments: Any) -> None:
        monkeypatch.setattr(feature_cache, "_write", write)
        found.append(FeatureCache(elmo, tmp_path).features(SENTENCES, [0, 1, 2], in_memory=False))
        write(*arguments)

    monkeypatch.setattr(feature_cache, "_write", interrupted)
    found.append(FeatureCache(elmo, tmp_path).features(SENTENCES, [0, 1, 2], in_memory=False))
    assert len(found) == 2
    for features in found:
        assert_same(features, wanted)
    assert the_file(tmp_path).suffix == ".hdf5"


def test_a_write_that_is_interrupted_leaves_nothing_behind(
    elmo: Elmo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FeatureCache(elmo, tmp_path).features(SENTENCES, [0], progress=stop)
    assert not list(tmp_path.iterdir())


def test_memory_is_bounded_by_a_block(elmo: Elmo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """32 MB are written and read in blocks of 4 MiB."""
    monkeypatch.setattr(feature_cache, "CHUNK_BYTES", 128 << 10)
    rng = np.random.default_rng(0)
    key = {"layers": [0], "average": False, "dtype": "float16"}
    offsets = np.arange(33) * 512
    tracemalloc.start()
    try:
        arrays = (rng.integers(0, 100, (1, 512, 1024), dtype=np.int16).astype(np.float16) for _ in range(32))
        feature_cache._write(tmp_path / "file", key, offsets, (1, 1024), arrays)
        found = feature_cache._read(tmp_path / "file", key, offsets, (1, 1024), [0], in_memory=False)
        total = sum(np.asarray(sentence).sum(dtype=np.float64) for sentence in found)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    rng = np.random.default_rng(0)
    assert total == sum(int(rng.integers(0, 100, (1, 512, 1024), dtype=np.int16).sum()) for _ in range(32))
    assert 4 << 20 < peak < 16 << 20


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NER_ELMO_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".cache" / "ner-elmo"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_folder() == tmp_path / ".cache" / "ner-elmo"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_folder() == tmp_path / "xdg" / "ner-elmo"
    monkeypatch.setenv("NER_ELMO_CACHE", str(tmp_path / "mine"))
    assert default_folder() == tmp_path / "mine"
