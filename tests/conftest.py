"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from ner_elmo.bilm.files.directory import write_bilm
from ner_elmo.bilm.model import BiLm
from ner_elmo.bilm.options import parse_options
from ner_elmo.bilm.softmax import Softmax
from ner_elmo.tagger.store import copy_tagger
from ner_elmo.tagger.training.run import train_tagger
from ner_elmo.text.vocabulary import Vocabulary
from tests.support.devices import CPU, one_thread
from tests.support.disks import Disk, new_disk
from tests.support.toy_language import BILM_OPTIONS, PEOPLE, PLACES, toy_config, write_toy

# A deadline measures the machine, not the code.
settings.register_profile("ner-elmo", deadline=None)
settings.load_profile("ner-elmo")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real corpora beside the checkout, which may not be redistributed; tests that need them are skipped without."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the real corpora in ../shared, which are not part of the repository")
    return folder


@pytest.fixture(scope="session")
def goldens(shared: Path) -> Path:
    """Vectors computed by the reference implementations of ELMo."""
    return shared / "elmo" / "goldens"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A small file system in memory."""
    yield from new_disk(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Commands keep their cached features away from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_ELMO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``train``, ``dev`` and ``test``."""
    folder = tmp_path_factory.mktemp("toy")
    for seed, (part, size) in enumerate([("train", 120), ("dev", 20), ("test", 20)]):
        write_toy(folder / part, size, seed)
    return folder


@pytest.fixture(scope="session")
def bilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A biLM directory: layers 0..2 of 8 numbers, random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("bilm") / "bilm"
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", *PEOPLE, *PLACES, "."])
    model = BiLm(parse_options(BILM_OPTIONS))
    softmax = Softmax(len(vocabulary), 4)
    for parameter in [*model.parameters(), *softmax.parameters()]:
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.5)
    info = {"text": {"tokens": "en-1", "normalization": None, "language": "en"}, "state": "zero"}
    write_bilm(folder, model, softmax, vocabulary, info)
    return folder


@pytest.fixture(scope="session")
def trained(toy: Path, bilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tagger directory with a biLM; do not change it."""
    folder = tmp_path_factory.mktemp("trained") / "tagger"
    with one_thread():
        # All seeds are done with dev after two epochs; of this one the tagger knows sentences of other kinds as well.
        train_tagger(toy_config(toy, bilm=str(bilm), seeds=(9,)), folder, device=CPU)
    return folder


@pytest.fixture(scope="session")
def joined(toy: Path, bilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tagger directory of two members, ready to ship; do not change it."""
    folder = tmp_path_factory.mktemp("joined")
    with one_thread():
        train_tagger(toy_config(toy, bilm=str(bilm), seeds=(1, 2), join=True), folder / "run", device=CPU)
    copy_tagger(folder / "run", folder / "tagger")
    return folder / "tagger"
