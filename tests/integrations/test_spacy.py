"""The spaCy component, in spaCy: tokens, sentences, entities that are there, saving, processes, DocBin, displaCy."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

spacy = pytest.importorskip("spacy", reason="needs spaCy: pip install -e '.[spacy]'")

from spacy.tokens import Doc, DocBin, Span  # noqa: E402
from spacy.training import Example  # noqa: E402

import ner_elmo.integrations.spacy as integration  # noqa: E402
from ner_elmo.errors import ModelError, UsageError  # noqa: E402
from ner_elmo.tagger.tagger import Tagger  # noqa: E402

TEXT = "Angela Merkel led  Germany.\n\nShe wrote “One Hundred Years” in Mexico City. It isn’t long."


@pytest.fixture(scope="module")
def english() -> Any:
    """A pipeline with the English model that ships."""
    return with_model("en", model="en")


def with_model(language: str, **config: object) -> Any:
    nlp = spacy.blank(language)
    nlp.add_pipe("ner_elmo", config=config)
    return nlp


def found(doc: Doc) -> list[tuple[str, str]]:
    return [(entity.text, entity.label_) for entity in doc.ents]


def test_entities_are_those_of_the_tagger_on_spacys_tokens(english: Any) -> None:
    doc = english(TEXT)
    assert found(doc) == [
        ("Angela Merkel", "PER"),
        ("Germany", "LOC"),
        ("One Hundred Years", "MISC"),
        ("Mexico City", "LOC"),
    ]
    forms = [  # quotes and apostrophes as the model was trained on them; white space is no token
        ["Angela", "Merkel", "led", "Germany", "."],
        ["She", "wrote", '"', "One", "Hundred", "Years", '"', "in", "Mexico", "City", "."],
        ["It", "is", "n't", "long", "."],
    ]
    expected = list(Tagger.load("en").tag_tokens(forms, documents=[0, 0, 0]))
    scores = [entity._.ner_elmo_score for entity in doc.ents]
    assert scores == [score for sentence in expected for _, score in sentence]
    assert all(0 < score <= 1 for score in scores)


def test_a_sentence_is_spacys_where_it_has_any(english: Any) -> None:
    sentencizer = spacy.blank("en")
    sentencizer.add_pipe("sentencizer", config={"punct_chars": ["led"]})
    doc = sentencizer(TEXT)
    read = [sentence.forms for sentence in integration._sentences(doc, "en-1")]
    assert read[0] == ["Angela", "Merkel", "led"]
    assert sum(map(len, read)) == sum(not token.is_space for token in doc)
    assert len(list(integration._sentences(english.make_doc(TEXT), "en-1"))) == 3


def test_documents_without_anything_to_find(english: Any) -> None:
    for text in ("", "   ", "\n\n", "!"):
        assert found(english(text)) == []
    assert len(english("")) == 0


def test_a_long_document_is_the_same_as_its_sentences(english: Any) -> None:
    sentence = "Angela Merkel visited Siemens in Munich . "
    doc = english(sentence * 1500)
    assert len(doc) > 10_000
    assert found(doc) == 1500 * found(english(sentence))


def test_chinese_by_character_and_by_word() -> None:
    nlp = with_model("zh", model="zh")
    text = "张三，男，汉族，毕业于北京大学。"
    assert ("北京大学", "ORG") in found(nlp(text))
    assert ("张三", "PER") in found(nlp(text))
    words = Doc(nlp.vocab, ["张三", "，", "男", "，", "汉族", "，", "毕业", "于", "北京大学", "。"], [False] * 10)
    component = nlp.get_pipe("ner_elmo")
    assert found(component(words)) == found(nlp(text))


@pytest.mark.parametrize(("overwrite", "label"), [(False, "MINE"), (True, "PER")])
def test_entities_that_are_there(overwrite: bool, label: str) -> None:
    nlp = with_model("en", overwrite=overwrite)
    ruler = nlp.add_pipe("entity_ruler", before="ner_elmo")
    ruler.add_patterns([{"label": "MINE", "pattern": "Merkel"}, {"label": "OTHER", "pattern": "visited"}])
    doc = nlp("Angela Merkel visited Siemens.")
    labels = {entity.text: entity.label_ for entity in doc.ents}
    assert labels.pop("Merkel" if not overwrite else "Angela Merkel") == label
    assert labels == {"visited": "OTHER", "Siemens": "ORG"}
    assert next(e for e in doc.ents if e.label_ == "OTHER")._.ner_elmo_score is None


def test_blocked_tokens_stay_blocked(english: Any) -> None:
    doc = english.make_doc("Angela Merkel visited Siemens.")
    doc.set_ents([], blocked=[doc[3:4]], default="missing")
    english.get_pipe("ner_elmo")(doc)
    assert found(doc) == [("Angela Merkel", "PER")]
    assert doc[3].ent_iob_ == "B"
    assert doc[3].ent_type_ == ""


def test_many_texts_at_once_are_the_same_as_one_by_one(english: Any) -> None:
    texts = [TEXT, "", "Siemens is in Munich.", "Nobody is here.", *["Ann met Bob in Paris."] * 5]
    alone = [found(english(text)) for text in texts]
    for batch_size in (1, 2, 100):
        assert [found(doc) for doc in english.pipe(texts, batch_size=batch_size)] == alone


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_two_processes_give_the_same(english: Any) -> None:
    texts = [TEXT, "Siemens is in Munich.", "", "Ann met Bob in Paris."]
    docs = list(english.pipe(texts, n_process=2, batch_size=2))
    assert [found(doc) for doc in docs] == [found(english(text)) for text in texts]
    alone = [entity._.ner_elmo_score for entity in english(texts[0]).ents]
    assert [entity._.ner_elmo_score for entity in docs[0].ents] == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("name", ["trained", "joined"])
def test_a_pipeline_on_disk_needs_nothing_else(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    trained: Path = request.getfixturevalue(name)
    model = tmp_path / "model"
    Path(tmp_path / "here").mkdir()
    integration.copy_tagger(trained, model)
    nlp = with_model("en", model=str(model))
    text = "Ann Smith sees Rome today ."
    expected = found(nlp(text))
    assert expected
    nlp.to_disk(tmp_path / "pipeline")
    (tmp_path / "pipeline").rename(tmp_path / "moved")
    data = nlp.to_bytes()
    model.rename(tmp_path / "gone")
    assert found(spacy.load(tmp_path / "moved")(text)) == expected
    again = with_model("en", model=str(model)).from_bytes(data)
    assert found(again(text)) == expected
    again.to_disk(tmp_path / "second")  # from bytes, without any folder
    assert found(spacy.load(tmp_path / "second")(text)) == expected
    again.to_disk(tmp_path / "second")  # over what it was written to
    assert spacy.load(tmp_path / "second").to_bytes() is not None
    assert not list((tmp_path / "moved").rglob("softmax.hdf5"))
    copy = pickle.loads(pickle.dumps(again.get_pipe("ner_elmo")))
    assert found(copy(nlp.make_doc(text))) == expected


def test_a_pipeline_may_hold_a_reference_alone(trained: Path, tmp_path: Path) -> None:
    integration.copy_tagger(trained, tmp_path / "model")
    nlp = with_model("en", model=str(tmp_path / "model"), save_model=False)
    nlp.to_disk(tmp_path / "pipeline")
    data = nlp.to_bytes()
    assert len(data) < 100_000 > sum(file.stat().st_size for file in (tmp_path / "pipeline" / "ner_elmo").rglob("*"))
    text = "Ann Smith sees Rome today ."
    assert found(spacy.load(tmp_path / "pipeline")(text)) == found(nlp(text))
    (tmp_path / "model").rename(tmp_path / "gone")
    with pytest.raises(UsageError, match="model: no such tagger directory"):
        spacy.load(tmp_path / "pipeline")
    other = with_model("en", model="en", save_model=False)
    with pytest.raises(ModelError, match="another model than the one that was saved"):
        other.from_bytes(data)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model": "no-such"}, "no-such: no such tagger directory; the models that ship are en, zh"),
        ({"precision": "half"}, "half: not available; expected auto, fp32, bf16, int8"),
        ({"device": "tpu"}, "tpu: unknown; expected auto, cpu, cuda or cuda:N"),
    ],
)
def test_a_wrong_setting_gets_one_line(config: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        with_model("en", **config)("Ann sees Rome.")
    assert "\n" not in str(error.value)


def test_a_setting_of_a_wrong_type_or_name_is_refused() -> None:
    for config in ({"model": 3}, {"modle": "en"}):
        with pytest.raises(ValueError, match="ner_elmo"):
            with_model("en", **config)


def test_damaged_bytes_are_refused_and_lead_nowhere(english: Any, tmp_path: Path) -> None:
    component = english.get_pipe("ner_elmo")
    import srsly

    good = srsly.msgpack_loads(component.to_bytes())
    for bad in (
        b"nothing",
        srsly.msgpack_dumps(good | {"model": good["model"] | {"../../outside": b"x"}}),
        srsly.msgpack_dumps(good | {"model": good["model"] | {"tagger.hdf5": b"x"}}),
        srsly.msgpack_dumps({"reference": 3}),
    ):
        with pytest.raises(ModelError):
            with_model("en").get_pipe("ner_elmo").from_bytes(bad)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"found no ner_elmo\.json"):
        with_model("en").get_pipe("ner_elmo").from_disk(tmp_path / "empty")


def test_docbin_displacy_and_scores(english: Any, tmp_path: Path) -> None:
    doc = english(TEXT)
    DocBin(docs=[doc], store_user_data=True).to_disk(tmp_path / "corpus.spacy")
    (again,) = DocBin().from_disk(tmp_path / "corpus.spacy").get_docs(english.vocab)
    assert found(again) == found(doc)
    assert [e._.ner_elmo_score for e in again.ents] == [e._.ner_elmo_score for e in doc.ents]
    html = spacy.displacy.render(doc, style="ent", jupyter=False)
    assert html.count("<mark") == len(doc.ents)
    figures = english.evaluate([Example(english.make_doc(TEXT), doc)])
    assert figures["ents_f"] == 1.0
    assert set(english.get_pipe("ner_elmo").labels) == {"PER", "LOC", "ORG", "MISC"}
    assert english.analyze_pipes()["summary"]["ner_elmo"]["assigns"] == integration.ASSIGNS


def test_errors_go_to_spacys_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    nlp = with_model("en")
    component = nlp.get_pipe("ner_elmo")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(component.tagger, "tag_tokens", fail)
    failed: list[str] = []
    nlp.set_error_handler(lambda name, _, docs, error: failed.append(f"{name}: {len(docs)} ({error})"))
    assert list(nlp.pipe(["Ann sees Rome.", "Bob."])) == []
    assert failed == ["ner_elmo: 2 (no memory)"]


def test_spacy_finds_the_component_by_its_entry_point(repository: Path, tmp_path: Path) -> None:
    """As in an installed package: its metadata name what is in pyproject.toml, and nothing imports ner_elmo."""
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    folder = tmp_path / "ner_elmo-9.9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: ner-elmo\nVersion: 9.9\n")
    lines = [f"{name} = {value}" for name, value in project["entry-points"]["spacy_factories"].items()]
    (folder / "entry_points.txt").write_text("\n".join(["[spacy_factories]", *lines, ""]))
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(repository)!r}]\n"
        "import spacy; nlp = spacy.blank('en'); nlp.add_pipe('ner_elmo', config={'model': 'en'})\n"
        "print([e.text for e in nlp('Angela Merkel spoke.').ents])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "['Angela Merkel']\n", done.stderr


def test_the_extension_is_there_for_spans_of_any_document() -> None:
    with_model("en", model="en")
    assert Span.has_extension(integration.SCORE)
