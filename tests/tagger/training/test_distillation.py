"""Learning from a teacher: what is read, what is computed once, what is refused, and that a resumed run is the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ner_elmo.errors import DataError, UsageError
from ner_elmo.settings import SettingError
from ner_elmo.tagger.network.inputs import collate
from ner_elmo.tagger.store import digest_of_tagger, load_tagger
from ner_elmo.tagger.training.config import TaggerConfig
from ner_elmo.tagger.training.distillation import read_unlabelled, warn_about_running_text
from ner_elmo.tagger.training.preparation import prepare
from ner_elmo.tagger.training.run import train_tagger
from ner_elmo.text.files import sha256_of_file
from tests.support.devices import CPU, one_thread
from tests.support.toy_language import toy_config
from tests.support.toy_training import Events

SENTENCES = "Ann Smith sees Rome .\nBob visits Oslo City today .\nZoe leaves Bonn .\n"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "text").write_text(SENTENCES, encoding="utf-8")
    return tmp_path / "text"


def taught_config(toy: Path, bilm: Path, teacher: Path, text: Path | None, **changes: object) -> TaggerConfig:
    """A training with a teacher."""
    unlabelled = None if text is None else [str(text)]
    return toy_config(toy, bilm=str(bilm), teacher=str(teacher), unlabelled=unlabelled, **changes)


@pytest.mark.parametrize(
    ("content", "documents"),
    [
        ("a b\nc\nd e\n", [None, None, None]),
        ("\n\na b\nc\nd e\n\n", [None, None, None]),  # bounds of nothing
        ("a b\nc\n\nd e\n", [0, 0, 1]),
        ("-DOCSTART-\n\na b\n\n-DOCSTART- -X-\nc\nd e\n", [0, 1, 1]),
    ],
)
def test_documents_of_unlabelled_text(toy: Path, tmp_path: Path, content: str, documents: list[int | None]) -> None:
    (tmp_path / "text").write_text(content, encoding="utf-8")
    config = toy_config(toy, teacher="en", unlabelled=[str(tmp_path / "text")])
    found = read_unlabelled(config)
    assert [sentence.tokens for sentence in found] == [("a", "b"), ("c",), ("d", "e")]
    assert [sentence.document for sentence in found] == documents
    both = read_unlabelled(replace(config, unlabelled=[str(tmp_path / "text")] * 2, unlabelled_sentences=4))
    assert len(both) == 4
    assert both[:3] == found
    assert both[3].document is None or both[3].document not in documents


def test_a_text_of_nothing_is_refused(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n\n", encoding="utf-8")
    with pytest.raises(DataError, match="empty: found no sentence"):
        read_unlabelled(toy_config(toy, teacher="en", unlabelled=[str(tmp_path / "empty")]))
    with pytest.raises(UsageError, match="none"):
        read_unlabelled(toy_config(toy, teacher="en", unlabelled=[str(tmp_path / "none")]))


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"unlabelled": ["text"]}, "unlabelled"),
        ({"teacher_weight": 0.7}, "teacher_weight"),
        ({"teacher": "en", "teacher_weight": 1.5}, "teacher_weight"),
        ({"teacher": "en", "unlabelled_sentences": 5}, "unlabelled_sentences"),
    ],
)
def test_settings_that_mean_nothing_are_refused(toy: Path, settings: dict[str, object], key: str) -> None:
    with pytest.raises(SettingError) as refused:
        toy_config(toy, **settings)
    assert refused.value.key == key


def test_emissions_are_the_teachers_in_every_sentence(toy: Path, bilm: Path, trained: Path, text: Path) -> None:
    """Computed here sentence by sentence by the teacher's own network; the layers are computed once for both."""
    events = Events()
    prepared = prepare(taught_config(toy, bilm, trained, text), CPU, events)
    teacher = load_tagger(trained)
    assert prepared.teacher is not None
    for example in [*prepared.examples["train"][:5], *prepared.unlabelled]:
        with torch.inference_mode():
            alone = replace(example, word_ids=teacher.words.indices(example.tokens), taught=None)
            expected = teacher.model(collate([alone]))[0].numpy()
        assert example.taught is not None
        np.testing.assert_allclose(example.taught, expected, atol=1e-5)
    assert [example.tag_ids for example in prepared.unlabelled] == [None] * 3
    assert all(example.taught is None for example in prepared.examples["dev"])
    assert events.text().count("biLM layers") == 1


def test_a_teacher_over_another_bilm_reads_its_own(toy: Path, bilm: Path, trained: Path, text: Path) -> None:
    """Here the tagger that learns reads none at all."""
    config = replace(taught_config(toy, bilm, trained, text), bilm=None)
    ours, theirs = prepare(config, CPU, Events()), prepare(taught_config(toy, bilm, trained, text), CPU, Events())
    assert ours.examples["train"][0].layers is None
    for one, other in zip(ours.unlabelled, theirs.unlabelled, strict=True):
        assert one.taught is not None
        assert other.taught is not None
        np.testing.assert_array_equal(one.taught, other.taught)


def test_what_was_learned_from_is_written_down(
    toy: Path, bilm: Path, trained: Path, text: Path, tmp_path: Path
) -> None:
    with one_thread():
        report = train_tagger(taught_config(toy, bilm, trained, text), tmp_path / "run", device=CPU)
    teacher, unlabelled = report["protocol"]["teacher"], report["protocol"]["unlabelled"]
    assert teacher["sha256"] == digest_of_tagger(trained)
    assert unlabelled == {"files": ["text"], "sha256": [sha256_of_file(text)], "sentences": 3, "tokens": 15}
    info = json.loads((tmp_path / "run" / "tagger.json").read_text())
    assert info["teacher"] == teacher
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert "Distilled from the tagger tagger" in card
    assert sha256_of_file(text) in card
    assert str(tmp_path) not in card + json.dumps(report)
    assert report["scores"]["dev"]["f1"] > 0.5


def test_a_resumed_run_is_the_same_to_the_bit(toy: Path, bilm: Path, trained: Path, text: Path, tmp_path: Path) -> None:
    with one_thread():
        for folder, epochs in (("parts", (1, 3)), ("whole", (3,))):
            for number in epochs:
                config = taught_config(toy, bilm, trained, text, epochs=number, test=None)
                train_tagger(config, tmp_path / folder, device=CPU, resume=number != epochs[0])
    for name in ("tagger.hdf5", "word_vectors.hdf5"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    config = taught_config(toy, bilm, trained, text, epochs=4, test=None)
    with pytest.raises(UsageError, match="another teacher_weight"):
        train_tagger(replace(config, teacher_weight=0.1), tmp_path / "whole", device=CPU, resume=True)
    with pytest.raises(UsageError, match="another teacher than"):
        train_tagger(replace(config, teacher=str(tmp_path / "parts")), tmp_path / "whole", device=CPU, resume=True)
    text.write_text(SENTENCES + "Eva sees Lima .\n", encoding="utf-8")
    with pytest.raises(UsageError, match="another unlabelled text"):
        train_tagger(config, tmp_path / "whole", device=CPU, resume=True)


def test_without_weight_and_text_a_teacher_changes_nothing_but_rounding(
    toy: Path, bilm: Path, trained: Path, tmp_path: Path
) -> None:
    taught = taught_config(toy, bilm, trained, None, teacher_weight=0.0, epochs=1, test=None)
    with one_thread():
        ours = train_tagger(taught, tmp_path / "taught", device=CPU)
        theirs = train_tagger(toy_config(toy, bilm=str(bilm), epochs=1, test=None), tmp_path / "plain", device=CPU)
    found, expected = (report["training"]["curve"][0]["loss"] for report in (ours, theirs))
    assert found == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("teacher", "student", "said"),
    [
        ({"context": "document", "context_window": 7}, {"context": "document"}, "--context-window 7"),
        ({"context": "document", "context_window": 7}, {}, "--context-window 7"),
        ({"context": "document"}, {"context": "document", "context_window": 7}, "no --context-window"),
        ({"context": "document", "context_window": 7}, {"context": "document-twice", "context_window": 3}, None),
        ({}, {"context": "document", "context_window": 7}, None),
    ],
)
def test_other_bounds_of_documents_are_told(
    trained: Path, teacher: dict[str, Any], student: dict[str, Any], said: str | None
) -> None:
    options, events = load_tagger(trained).model.options, Events()
    warn_about_running_text(replace(options, **teacher), replace(options, **student), events)
    told = [event["message"] for event in events.of("warning")]
    assert len(told) == (said is not None)
    assert said is None or said in told[0]


def test_a_teacher_of_other_tags_is_refused(toy: Path, bilm: Path, trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "train"
    file.write_text("Ann\tB-PER\nsees\tO\n.\tO\n\nBob\tB-PER\nleaves\tO\n", encoding="utf-8")
    config = taught_config(toy, bilm, trained, None)
    with pytest.raises(UsageError, match=r"found the labels LOC, PER, expected those of the training data: PER"):
        prepare(replace(config, train=str(file), dev=str(file), test=None), CPU, Events())
    with pytest.raises(UsageError, match="found tag scheme bioes, expected iob2"):
        prepare(replace(config, tag_scheme="iob2"), CPU, Events())
    with pytest.raises(UsageError, match="no such tagger directory"):
        prepare(replace(config, teacher=str(tmp_path / "nothing")), CPU, Events())
