"""Models from strangers: damaged, cut off, of other shapes, with NaN, with digests that fit all that."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.support.attempts import ANSWERED, REFUSED, Outcome, attempt
from tests.support.devices import one_thread
from tests.support.hostile_models import (
    digests_recomputed,
    files_of,
    flipped,
    restored,
    truncations,
    use_bilm,
    use_tagger,
)
from tests.support.soak import cases, generator, tell

pytestmark = pytest.mark.long

SECONDS, MEGABYTES = 5.0, 300.0
USES: dict[str, Callable[[Path], Any]] = {"bilm": use_bilm, "tagger": use_tagger, "joined": use_tagger}


class Target:
    """A model to be damaged: ``clean`` as it was made, ``folder`` to be changed, and what the clean one answers."""

    def __init__(self, kind: str, source: Path, place: Path) -> None:
        self.use = USES[kind]
        self.clean, self.folder = place / "clean", place / "model"
        restored(source, self.clean)
        shutil.rmtree(self.clean / "checkpoints", ignore_errors=True)
        for name in ("config.json", "errors.json", "report.json"):  # not read by what is tried here
            (self.clean / name).unlink(missing_ok=True)
        restored(self.clean, self.folder)
        found = attempt(lambda: self.use(self.clean), 60)
        assert found.kind == ANSWERED, found
        self.answer = found.value

    def tried(self) -> Outcome:
        """What the changed model answers; afterwards it is as it was."""
        found = attempt(lambda: self.use(self.folder), SECONDS)
        restored(self.clean, self.folder)
        return found

    def tried_with(self, name: str, content: bytes, fit: bool) -> Outcome:
        """What it answers with another content of one file, and digests that fit it or do not."""
        (self.folder / name).write_bytes(content)
        if fit:
            digests_recomputed(self.folder)
        return self.tried()


@pytest.fixture(params=["bilm", "tagger", pytest.param("joined", marks=pytest.mark.slow)])
def target(request: pytest.FixtureRequest, bilm: Path, trained: Path, joined: Path, tmp_path: Path) -> Iterator[Target]:
    with one_thread():
        yield Target(request.param, {"bilm": bilm, "tagger": trained, "joined": joined}[request.param], tmp_path)


def require_sound(found: Outcome, case: str, target: Target) -> None:
    """One clear line that names a file of the model, or an answer that is one; in time and memory."""
    assert found.kind in (ANSWERED, REFUSED), f"{case}: {found}"
    assert found.seconds <= SECONDS, f"{case}: {found}"
    assert found.megabytes <= MEGABYTES, f"{case}: {found}"
    if found.kind == REFUSED:
        line = str(found.value)
        is_named = str(target.folder) in line or line.startswith(("the tagger computes", "the biLM gives"))
        assert is_named, f"{case}: {line}"
        assert line.isprintable(), f"{case}: {line!r}"
        assert len(line) <= 600, f"{case}: {line}"
    else:
        numbers = [float(part) for part in _texts(found.value) if _is_number(part)]
        assert all(map(math.isfinite, numbers)), f"{case}: {found}"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return len(text) < 30


def test_files_that_are_cut_off_and_bytes_that_are_flipped(target: Target) -> None:
    """With digests as they were, nothing but the sound model answers, and it answers the same. With digests that fit,
    a number within the weights may be another one, which makes another model; whatever else is changed is refused, or
    changes nothing."""
    counts: Counter[str] = Counter()
    for name in files_of(target.clean):
        data = (target.clean / name).read_bytes()
        rng = generator(f"{target.use.__name__}/{name}")
        contents = [data[:length] for length in truncations(len(data), cases(6, 100))]
        contents += [flipped(data, rng) for _ in range(cases(18, 1000))]
        for number, content in enumerate(contents):
            fit = number % 2 == 1
            found, case = target.tried_with(name, content, fit), f"{name}, case {number}"
            require_sound(found, case, target)
            is_same = found.kind == ANSWERED and found.value == target.answer
            assert fit or found.kind == REFUSED or is_same, f"{case}: another answer without a word: {found}"
            counts["refused" if found.kind == REFUSED else "the same" if is_same else "another model"] += 1
    tell(f"{target.use.__name__}: {sum(counts.values()):,} damaged files: {dict(counts)}")
    assert counts["refused"] > counts["another model"]


def test_groups_whose_signature_is_damaged(target: Target) -> None:
    """Random bytes seldom meet them, and h5py has an error of another kind at each."""
    places = []
    for name in files_of(target.clean):
        if name.endswith(".hdf5"):
            data = (target.clean / name).read_bytes()
            places += [(name, match.start()) for match in re.finditer(b"HEAP|TREE|SNOD", data)]
    rng = generator(f"groups/{target.use.__name__}")
    for name, place in rng.sample(places, min(len(places), cases(15, len(places)))):
        data = bytearray((target.clean / name).read_bytes())
        data[place] ^= 1
        found = target.tried_with(name, bytes(data), fit=True)
        require_sound(found, f"{name}, byte {place}", target)
    tell(f"{target.use.__name__}: {len(places):,} groups of HDF5 with a damaged signature")


def test_files_that_are_missing(target: Target) -> None:
    for name in files_of(target.clean):
        for fit in (False, True):
            (target.folder / name).unlink()
            if fit:
                digests_recomputed(target.folder)
            found = target.tried()
            is_same = found.kind == ANSWERED and found.value == target.answer
            assert found.kind == REFUSED or is_same, f"{name}: {found}"
            if found.kind == REFUSED:
                assert str(found.value).count("\n") == 0


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "device"])
def test_files_that_are_none(target: Target, kind: str) -> None:
    """A pipe in a file's place is never waited for; a link is followed, as a user may have made it."""
    for name in files_of(target.clean):
        place = target.folder / name
        place.unlink()
        if kind == "link":
            place.symlink_to(target.clean / name)
        elif kind == "pipe":
            os.mkfifo(place)
        elif kind == "folder":
            place.mkdir()
        else:
            place.symlink_to("/dev/zero")
        found = target.tried()
        is_same = found.kind == ANSWERED and found.value == target.answer
        assert is_same or (found.kind == REFUSED and kind != "link"), f"{name}: {found}"
        assert found.seconds < SECONDS


VALUES: list[Any] = [
    *(
        None,
        True,
        -1,
        0,
        1,
        7,
        2**31,
        2**63,
        10**30,
        1e308,
        math.nan,
        math.inf,
        0.5,
        "",
        "x",
        "é" * 1000,
        "a\nb\x1b[31m",
    ),
    *([], {}, [None], [[1, 2]], {"a": 1}, ["x"] * 5, [2**40], {"": {}}),
]


def places_in(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in JSON; of lists the first three."""
    if before:
        yield before
    if isinstance(value, dict):
        for key in value:
            yield from places_in(value[key], (*before, key))
    elif isinstance(value, list):
        for index in range(min(3, len(value))):
            yield from places_in(value[index], (*before, index))


def changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value there, or none for ``...``."""
    copied = json.loads(json.dumps(value))
    at = copied
    for key in place[:-1]:
        at = at[key]
    if new is ...:
        del at[place[-1]]
    else:
        at[place[-1]] = new
    return copied


def test_every_key_of_json_with_values_of_every_kind(target: Target) -> None:
    counts: Counter[str] = Counter()
    for name in files_of(target.clean):
        if not name.endswith(".json"):
            continue
        values = json.loads((target.clean / name).read_text(encoding="utf-8"))
        tries = [(place, new) for place in places_in(values) for new in (..., *VALUES)]
        rng = generator(f"json/{target.use.__name__}/{name}")
        for place, new in rng.sample(tries, min(len(tries), cases(60, len(tries)))):
            content = json.dumps(changed(values, place, new)).encode()
            case = f"{name}: {'.'.join(map(str, place))} = {new!r:.40}"
            found = target.tried_with(name, content, fit=True)
            if found.kind == REFUSED and place[0] == "text" and len(str(found.value)) > 600:
                continue
            require_sound(found, case, target)
            counts[found.kind] += 1
    tell(f"{target.use.__name__}: {sum(counts.values()):,} values in JSON: {dict(counts)}")
    assert counts[REFUSED]


@pytest.mark.parametrize("nesting", ["[" * 100_000, '{"a":' * 50_000, "[" * 500 + "]" * 500])
def test_json_of_great_depth(target: Target, nesting: str) -> None:
    for name in files_of(target.clean):
        if name.endswith(".json"):
            found = target.tried_with(name, nesting.encode(), fit=False)
            assert found.kind == REFUSED, found
            require_sound(found, name, target)


def test_a_key_that_stands_twice(target: Target) -> None:
    for name in files_of(target.clean):
        if name.endswith(".json"):
            text = (target.clean / name).read_text(encoding="utf-8")
            key = next(iter(json.loads(text)))
            found = target.tried_with(name, text.replace("{", f'{{"{key}": 1, ', 1).encode(), fit=False)
            assert found.kind == REFUSED, found


def every_dataset(file: Path) -> list[str]:
    names: list[str] = []
    with h5py.File(file) as opened:
        opened.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
    return names


def with_nan(file: h5py.File, name: str) -> None:
    file[name][(0,) * len(file[name].shape)] = np.nan


def with_infinity(file: h5py.File, name: str) -> None:
    file[name][(-1,) * len(file[name].shape)] = -np.inf


def of_another_shape(file: h5py.File, name: str) -> None:
    values = file[name][()]
    del file[name]
    file[name] = np.concatenate([values, values])


def of_integers(file: h5py.File, name: str) -> None:
    values = file[name][()]
    del file[name]
    file[name] = values.astype(np.int32)


def of_a_huge_claim(file: h5py.File, name: str) -> None:
    del file[name]
    file.create_dataset(name, (2**30, 2**10), np.float32, chunks=(2**10, 2**10), compression="gzip")


def behind_a_link(file: h5py.File, name: str) -> None:
    file.move(name, "elsewhere")
    file[name] = h5py.SoftLink("/elsewhere")


def in_another_file(file: h5py.File, name: str) -> None:
    shape = file[name].shape
    del file[name]
    file.create_dataset(name, shape, np.float32, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def made_of_another_file(file: h5py.File, name: str) -> None:
    shape = file[name].shape
    del file[name]
    layout = h5py.VirtualLayout(shape, np.float32)
    layout[:] = h5py.VirtualSource("other.hdf5", "x", shape)
    file.create_virtual_dataset(name, layout)


def not_there(file: h5py.File, name: str) -> None:
    del file[name]


CHANGES = [
    with_nan,
    with_infinity,
    of_another_shape,
    of_integers,
    of_a_huge_claim,
    behind_a_link,
    in_another_file,
    made_of_another_file,
    not_there,
]


def test_datasets_that_do_not_fit(target: Target) -> None:
    """Each is refused by one line with the file and the dataset."""
    for name in files_of(target.clean):
        if not name.endswith(".hdf5"):
            continue
        rng = generator(f"datasets/{name}")
        tries = [(dataset, change) for dataset in every_dataset(target.clean / name) for change in CHANGES]
        for dataset, change in rng.sample(tries, min(len(tries), cases(9, len(tries)))):
            if dataset == "words" and change in (with_nan, with_infinity, of_integers, of_another_shape):
                continue  # bytes of text
            with h5py.File(target.folder / name, "r+") as file:
                change(file, dataset)
            digests_recomputed(target.folder)
            found, case = target.tried(), f"{name}: {dataset} {change.__name__}"
            require_sound(found, case, target)
            assert found.kind == REFUSED, f"{case}: {found}"
            assert f"{name}: " in str(found.value), f"{case}: {found}"
            assert dataset in str(found.value), f"{case}: {found}"
            if "softmax" in name and target.use is use_tagger:
                pytest.fail("a tagger reads no softmax")


def test_weights_so_large_that_sums_overflow(target: Target) -> None:
    """NaN arises on the way, and is told, instead of a text without entities."""
    names = [name for name in files_of(target.clean) if name.endswith(".hdf5")]
    for name in names:
        with h5py.File(target.folder / name, "r+") as file:
            for dataset in every_dataset(target.clean / name):
                if dataset != "words":
                    file[dataset][...] = np.float32(3e38) * np.where(np.arange(file[dataset].size) % 2, 1, -1).reshape(
                        file[dataset].shape
                    )
        digests_recomputed(target.folder)
        require_sound(target.tried(), name, target)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickles_are_not_loaded(target: Target, protocol: int, tmp_path: Path) -> None:
    import pickle

    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {ran}",)

    for name in files_of(target.clean):
        for fit in (False, True):
            found = target.tried_with(name, pickle.dumps(Evil(), protocol), fit)
            assert found.kind == REFUSED, f"{name}: {found}"
    assert not ran.exists()


def test_a_model_in_a_zip(bilm: Path, tmp_path: Path) -> None:
    """Names that lead outside are left out, and what grows beyond a model's measure is refused."""
    good = tmp_path / "good.zip"
    with zipfile.ZipFile(good, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in bilm.iterdir():
            archive.write(file, file.name)
        for name in ("../evil.json", "/tmp/evil.json", "a/../../evil.txt", "..\\evil.json"):
            archive.writestr(name, "{}")
    found = attempt(lambda: use_bilm(good), 20)
    assert found.kind == ANSWERED, found
    assert not [*tmp_path.rglob("*evil*"), *Path("/tmp").glob("evil*")]
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.hdf5", b"\0" * (256 << 20))
        archive.writestr("options.json", "{}")
    found = attempt(lambda: use_bilm(bomb), SECONDS)
    assert found.kind == REFUSED
    assert "bomb.zip: would be 268,435,458 bytes unpacked" in str(found.value)
    assert found.megabytes < 50
    (tmp_path / "broken.zip").write_bytes(good.read_bytes()[:-30])
    found = attempt(lambda: use_bilm(tmp_path / "broken.zip"), SECONDS)
    assert found.kind == REFUSED, found


def test_a_tar_is_no_model(bilm: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(bilm, "bilm")
    assert attempt(lambda: use_bilm(tmp_path / "model.tar.gz"), SECONDS).kind == REFUSED


def test_a_file_that_no_digest_names_is_not_read(bilm: Path, tmp_path: Path) -> None:
    """Vectors of a vocabulary that came from elsewhere would give other answers."""
    target = Target("bilm", bilm, tmp_path)
    info = json.loads((target.folder / "bilm.json").read_text())
    del info["sha256"]["vocab_embedding.hdf5"]
    (target.folder / "bilm.json").write_text(json.dumps(info))
    found = target.tried()
    assert found.kind == REFUSED
    assert "vocab_embedding.hdf5: bilm.json has no digest of it" in str(found.value)
