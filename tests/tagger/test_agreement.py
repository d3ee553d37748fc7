"""The second pass: what it adds, beside the plainest way to write it down, and that nothing else is touched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.errors import DataError
from ner_elmo.library.evaluation import compare, read_gold
from ner_elmo.settings import SettingError
from ner_elmo.tagger.agreement import PRIOR, WEIGHT, with_agreement
from ner_elmo.tagger.decoding import emissions_of, predict, predict_scored
from ner_elmo.tagger.network.inputs import Example
from ner_elmo.tagger.network.model import TaggerModel
from ner_elmo.tagger.network.options import DOCUMENT, TWICE, TaggerOptions, parse_options
from ner_elmo.tagger.tagger import FoundSpan, Tagger
from ner_elmo.tagger.training.run import train_tagger
from ner_elmo.text.formats.corpus import load_corpus
from ner_elmo.text.tag_scheme import tag_set
from tests.support.devices import CPU
from tests.support.toy_language import toy_config

TAGS = tag_set(["LOC", "PER"], "bioes")
LABELS = ["", "LOC", "PER"]


def label(tag: str) -> str:
    return tag[2:]


def plainly(
    emissions: list[np.ndarray], sentences: list[list[str]], documents: list[int | None], window: int
) -> list[list[list[float]]]:
    """Every token looks for the others itself."""
    found = [[list(map(float, row)) for row in one] for one in emissions]
    for here, sentence in enumerate(sentences):
        for place, token in enumerate(sentence):
            if token == token.lower() or documents[here] is None:
                continue
            votes, n = dict.fromkeys(LABELS, 0.0), 0
            for there, other in enumerate(sentences):
                if there == here or documents[there] != documents[here] or abs(there - here) > window:
                    continue
                for where, form in enumerate(other):
                    if form != form.lower() and form.casefold() == token.casefold():
                        weights = [math.exp(value) for value in emissions[there][where]]
                        n += 1
                        for tag, weight in zip(TAGS, weights, strict=True):
                            votes[label(tag)] += weight / sum(weights)
            for number, tag in enumerate(TAGS):
                if n:
                    share = (votes[label(tag)] + PRIOR) / (n + PRIOR * len(LABELS))
                    found[here][place][number] += WEIGHT * math.log(share)
    return found


TOKENS = st.lists(st.sampled_from(["Essex", "ESSEX", "essex", "Smith", "of", "9", "İst", "東京"]), max_size=5)


@given(
    sentences=st.lists(TOKENS, max_size=7),
    numbers=st.lists(st.sampled_from([None, 1, 2]), min_size=7, max_size=7),
    seed=st.integers(0, 99),
    window=st.none() | st.integers(1, 3),
)
def test_it_is_what_the_plainest_way_finds(
    sentences: list[list[str]], numbers: list[int | None], seed: int, window: int | None
) -> None:
    documents = sorted(numbers[: len(sentences)], key=lambda number: (number is None, number))
    rng = np.random.default_rng(seed)
    emissions = [rng.normal(0, 3, (len(one), len(TAGS))).astype(np.float32) for one in sentences]
    before = [one.copy() for one in emissions]
    found = with_agreement(emissions, sentences, documents, TAGS, "bioes", window)
    for one, other in zip(found, plainly(emissions, sentences, documents, window or len(sentences)), strict=True):
        np.testing.assert_allclose(one, np.array(other).reshape(one.shape), atol=1e-4)
    for one, kept in zip(emissions, before, strict=True):
        assert np.array_equal(one, kept)


def network(context: str) -> TaggerModel:
    torch.manual_seed(4)
    options = TaggerOptions(
        tags=TAGS, elmo_dim=4, elmo_layers=[0], mix="mean", hidden_dim=8, char_dim=0, context=context
    )
    return TaggerModel(options).eval()


def examples_of(sentences: list[list[str]], documents: list[int | None]) -> list[Example]:
    rng = np.random.default_rng(5)
    return [
        Example(
            tuple(tokens),
            np.zeros(len(tokens), dtype=np.int64),
            rng.normal(size=(1, len(tokens), 4)).astype(np.float16),
            context=rng.normal(size=(len(tokens), 4)).astype(np.float16),
            document=document,
        )
        for tokens, document in zip(sentences, documents, strict=True)
    ]


def test_the_second_pass_is_decoded() -> None:
    """The best tags are those of the emissions that are added to, scores theirs too, and a sentence of no document is
    as with one pass."""
    sentences = [["Essex", "won", "ESSEX"], ["in", "Essex"], ["essex"], ["Essex"], [], ["Smith", "of", "Essex"]]
    documents = [1, 1, 1, None, 2, 2]
    once, twice = network(DOCUMENT), network(TWICE)
    twice.load_state_dict(once.state_dict())
    with torch.no_grad():
        for model in (once, twice):
            model.output.weight.mul_(9)
    examples = examples_of(sentences, documents)
    raw = emissions_of(twice, examples)
    for one, other in zip(raw, emissions_of(once, examples), strict=True):
        assert np.array_equal(one, other)
    agreed = with_agreement(raw, sentences, documents, TAGS, "bioes")
    expected = []
    for one in agreed:
        padded, mask = torch.from_numpy(one).unsqueeze(0), torch.ones(1, len(one), dtype=torch.bool)
        expected.append([TAGS[tag] for tag in once.crf.decode(padded, mask)[0]])
    for found in (predict(twice, examples), [[s for s, _ in one] for one in predict_scored(twice, examples)]):
        for spans, tags in zip(found, expected, strict=True):
            assert {place for span in spans for place in range(span.start, span.end)} == {
                place for place, tag in enumerate(tags) if tag != "O"
            }
    assert predict(twice, examples)[3] == predict(once, examples)[3]
    assert any(not np.array_equal(one, other) for one, other in zip(agreed, raw, strict=True))
    assert predict_scored(twice, examples)[:2] != predict_scored(once, examples)[:2]


def test_a_tagger_of_before_passes_once() -> None:
    """What is stored says which; what says nothing or ``document`` is as it was."""
    values = network(DOCUMENT).options.as_dict()
    assert not parse_options(values).passes_twice
    assert parse_options(values | {"context": TWICE}).passes_twice
    with pytest.raises(ValueError, match="context"):
        parse_options(values | {"context": "thrice"})


def test_a_tagger_of_before_compares_forms_as_they_are() -> None:
    """So were its weights learned; what is trained now says that it folds them."""
    values = network(DOCUMENT).options.as_dict()
    assert parse_options(values).context_reading[0]
    del values["context_forms"]
    assert not parse_options(values).context_reading[0]
    with pytest.raises(ValueError, match="context_forms"):
        parse_options(values | {"context_forms": "upside-down"})


def test_a_tagger_of_before_reads_the_mean_of_the_layers() -> None:
    values = network(DOCUMENT).options.as_dict()
    assert parse_options(values | {"context_layers": "top"}).context_reading[2]
    del values["context_layers"]
    assert not parse_options(values).context_reading[2]
    with pytest.raises(ValueError, match="context_layers"):
        parse_options(values | {"context_layers": "bottom"})


def test_where_nothing_is_said_of_documents_nothing_is_added() -> None:
    emissions = [np.ones((1, len(TAGS)), dtype=np.float32)] * 2
    found = with_agreement(emissions, [["A"], ["A"]], [None, None], TAGS, "bioes")
    assert all(one is other for one, other in zip(found, emissions, strict=True))


def with_documents(path: Path, folder: Path) -> Path:
    """A copy of a file of the toy language in documents of five sentences, with a headline in capitals in each."""
    sentences = path.read_text(encoding="utf-8").split("\n\n")
    parts = []
    for start in range(0, len(sentences), 5):
        headline = "".join(f"{line.split(chr(9))[0].upper()}\tO\n" for line in sentences[start].splitlines())
        parts += ["-DOCSTART-\tO\n", headline, *(f"{one.strip()}\n" for one in sentences[start : start + 5])]
    copy = folder / path.name
    copy.write_text("\n".join(parts), encoding="utf-8")
    return copy


def assert_same(one: Sequence[list[FoundSpan]], other: Sequence[list[FoundSpan]]) -> None:
    """The same entities, with probabilities that differ by rounding at most."""
    for found, expected in zip(one, other, strict=True):
        assert [span for span, _ in found] == [span for span, _ in expected]
        assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-12)


def test_from_training_to_tagging(toy: Path, bilm: Path, tmp_path: Path) -> None:
    """A tagger that was trained so says so in its options, and finds in each document what the report scored, alone and
    beside others."""
    files = {part: str(with_documents(toy / part, tmp_path)) for part in ("train", "dev", "test")}
    config = toy_config(toy, **files, bilm=str(bilm), context=TWICE, context_dropout=0.3, epochs=2)
    train_tagger(config, tmp_path / "run", device=CPU)
    tagger = Tagger.load(tmp_path / "run", precision="fp32")
    assert tagger.reads_documents
    assert tagger.model.options.passes_twice
    assert tagger.model.options.context_reading[0]
    sentences = load_corpus(files["test"], config.reading()).sentences
    tokens, documents = [one.tokens for one in sentences], [one.document for one in sentences]
    together = list(tagger.tag_tokens(tokens, documents=documents))
    by_document = [
        found
        for number in dict.fromkeys(documents)
        for found in tagger.tag_tokens(
            [tokens[row] for row, other in enumerate(documents) if other == number],
            documents=[number] * documents.count(number),
        )
    ]
    assert_same(together, by_document)
    tagger.batch_tokens = 1
    assert_same(together, list(tagger.tag_tokens(tokens, documents=documents)))
    object.__setattr__(tagger.model.options, "context", DOCUMENT)
    assert list(tagger.tag_tokens(tokens, documents=documents)) != together
    predicted = load_corpus(tmp_path / "run" / "predictions.test.conll", config.reading()).sentences
    assert [list(one.spans) for one in predicted] == [[span for span, _ in one] for one in together]


def test_running_text_has_the_context_of_the_sentences_around(toy: Path, bilm: Path, tmp_path: Path) -> None:
    """A file that marks no documents is learned from and scored as one text; so is what is tagged as one unit."""
    config = toy_config(toy, bilm=str(bilm), context=TWICE, context_window=3, epochs=2)
    train_tagger(config, tmp_path / "run", device=CPU)
    tagger = Tagger.load(tmp_path / "run", precision="fp32")
    predicted = load_corpus(tmp_path / "run" / "predictions.test.conll", config.reading()).sentences
    tokens = [one.tokens for one in predicted]
    found = list(tagger.tag_tokens(tokens, documents=[0] * len(tokens)))
    assert [list(one.spans) for one in predicted] == [[span for span, _ in one] for one in found]
    # The second pass looks at three sentences, whose first pass looked at three beyond.
    near = list(tagger.tag_tokens(tokens[:7], documents=[0] * 7))
    assert_same(found[:1], near[:1])
    compared = compare(read_gold([toy / "test"], config.reading()), tagger)
    assert compared.found == [[span for span, _ in one] for one in found]
    assert found != list(tagger.tag_tokens(tokens))
    with pytest.raises(DataError, match="--context-window 10"):
        train_tagger(toy_config(toy, bilm=str(bilm), context=TWICE, epochs=2), tmp_path / "other", device=CPU)
    with pytest.raises(SettingError, match="context_window"):
        toy_config(toy, bilm=str(bilm), context_window=3)
