"""Streams of running text: nothing lost, nothing twice, state carried as in one long reading; and their runs."""

from __future__ import annotations

import json
import random
from collections import Counter
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ner_elmo.bilm.data import batches
from ner_elmo.bilm.data.corpus import TextSource
from ner_elmo.bilm.data.running_text import (
    RunningText,
    ShuffledText,
    Stream,
    TextFrom,
    one_row,
    running_text,
)
from ner_elmo.bilm.files.directory import find_bilm, load_bilm, load_softmax, load_vocabulary
from ner_elmo.bilm.options import options_to_json
from ner_elmo.bilm.perplexity import held_out_perplexity
from ner_elmo.bilm.predictions import running_directions
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.preparation import rows_of
from ner_elmo.bilm.pretraining.run import pretrain
from ner_elmo.bilm.pretraining.trainer import new_trainer
from ner_elmo.bilm.token_encoder import WordTable
from ner_elmo.errors import UsageError
from ner_elmo.text.batching import in_chunks
from ner_elmo.text.counting import count_text
from ner_elmo.text.vocabulary import Vocabulary, most_frequent
from tests.support.devices import CPU
from tests.support.small_bilms import make_model, make_options
from tests.support.toy_pretraining import make_config, toy_text, weights_of

texts = st.lists(st.lists(st.sampled_from("abcd"), max_size=7), min_size=1, max_size=30)


def pairs_of(sentences: list[list[str]], backward: bool) -> Counter[tuple[str, str]]:
    read = [["<S>", *sentence, "</S>"][:: -1 if backward else 1] for sentence in sentences]
    return Counter(pair for symbols in read for pair in pairwise(symbols))


@settings(max_examples=50)
@given(texts, st.integers(1, 4), st.integers(1, 6), st.booleans())
def test_every_token_is_predicted_exactly_once(
    sentences: list[list[str]], n_rows: int, steps: int, backward: bool
) -> None:
    stream = Stream([iter(sentences)] * n_rows, steps, backward)
    found: Counter[tuple[str, str]] = Counter()
    for inputs, targets in stream:
        assert all(len(row) == steps for row in (*inputs, *targets))  # never any padding
        for row in zip(inputs, targets, strict=True):
            found.update(zip(*row, strict=True))
    # What the last, unfilled batch would have held stands in no batch.
    assert found <= pairs_of(sentences, backward)
    unfilled = (pairs_of(sentences, backward) - found).total()
    assert unfilled < n_rows * steps + n_rows * max(len(sentence) + 1 for sentence in sentences)
    if n_rows == 1:
        assert unfilled < steps
        # and the row reads the text as it stands
        row = [token for inputs, _ in Stream([iter(sentences)], steps, backward) for token in inputs[0]]
        read = [["<S>", *sentence, "</S>"][:: -1 if backward else 1][:-1] for sentence in sentences]
        assert row == [token for symbols in read for token in symbols][: len(row)]


@settings(max_examples=30)
@given(texts, st.integers(1, 5))
def test_rows_that_read_on_in_the_text_share_it(sentences: list[list[str]], n_rows: int) -> None:
    n_rows = min(n_rows, len(sentences))
    starts = [row * len(sentences) // n_rows for row in range(n_rows)]
    ends = [*starts[1:], len(sentences)]
    read = [
        sentence
        for start, end in zip(starts, ends, strict=True)
        for sentence in islice(TextFrom(sentences, start), end - start)
    ]
    assert read == sentences
    assert (
        list(islice(TextFrom(sentences, starts[-1]), len(sentences)))
        == sentences[starts[-1] :] + sentences[: starts[-1]]
    )


def write_text(folder: Path, n_files: int = 3) -> TextSource:
    sentences = toy_text(90, 5)
    for number in range(n_files):
        text = "\n".join(" ".join(sentence) for sentence in sentences[number::n_files])
        (folder / f"{number}.txt").write_text(text)
    return TextSource(tuple(sorted(folder.glob("*.txt"))))


def test_a_pass_over_shuffled_text_has_every_sentence_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "SHUFFLE_BUFFER", 7)
    source = write_text(tmp_path)
    stream = ShuffledText(source, "1/forward")
    passes = [list(islice(stream, 90)) for _ in range(3)]
    assert [sorted(one) for one in passes] == [sorted(source.sentences())] * 3
    assert passes[0] != passes[1] != list(source.sentences())
    assert list(islice(ShuffledText(source, "1/backward"), 90)) != passes[0]  # the directions read apart
    again = ShuffledText(source, "1/forward")
    again.seek([1, 40])
    assert list(islice(again, 60)) == passes[1][40:] + passes[2][:10]


@pytest.mark.parametrize("order", ["shuffled", "text"])
def test_streams_go_on_from_where_they_stood(tmp_path: Path, order: str) -> None:
    source = write_text(tmp_path)
    config = make_config(tmp_path, carry_state=True, unroll_steps=6, batch_tokens=24, order=order)
    vocabulary = most_frequent(count_text(source.files, source.tokenizer).counts, 30)
    table = WordTable(len(vocabulary), 1)
    whole, parts = running_text(source, rows_of(config)), running_text(source, rows_of(config))
    for _ in range(40):  # several passes
        wanted = whole.next_batch(vocabulary, table)
        found = parts.next_batch(vocabulary, table)
        assert all(torch.equal(a, b) for a, b in zip(wanted.targets, found.targets, strict=True))
        values = parts.state_dict()
        parts = running_text(source, rows_of(config))
        parts.load_state_dict(values, CPU)


def test_carrying_state_over_batches_is_one_long_reading() -> None:
    model = make_model(make_options(cell_clip=0.5, proj_clip=0.4))
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", *(f"w{n}" for n in range(20))])
    sentences = toy_text(30, 3)
    longest = sum(len(sentence) + 1 for sentence in sentences) // 5 * 5

    def outputs(steps: int) -> tuple[torch.Tensor, torch.Tensor]:
        text = RunningText(*(Stream([iter(sentences)], steps, b) for b in (False, True)))
        found = []
        with torch.no_grad():
            for _ in range(longest // steps):
                (*predicted, _, _), states = running_directions(
                    model, text.next_batch(vocabulary, model.token_encoder), text.states
                )
                text.keep(states)
                found.append(predicted)
        return torch.cat([forward for forward, _ in found]), torch.cat([backward for _, backward in found])

    for a, b in zip(outputs(5), outputs(longest), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_rows_do_not_see_each_other() -> None:
    model = make_model(make_options())
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", *(f"w{n}" for n in range(20))])
    sentences = [toy_text(20, seed) for seed in (1, 2)]

    def outputs(rows: list[list[list[str]]]) -> torch.Tensor:
        text = RunningText(*(Stream([iter(row) for row in rows], 4, b) for b in (False, True)))
        found = []
        with torch.no_grad():
            for _ in range(8):
                (forward, backward, *_), states = running_directions(
                    model, text.next_batch(vocabulary, model.token_encoder), text.states
                )
                text.keep(states)
                found.append(torch.stack([forward, backward]).unflatten(1, (4, len(rows))))
        return torch.cat(found, dim=1)

    both = outputs(sentences)
    for row in range(2):
        torch.testing.assert_close(both[:, :, row], outputs([sentences[row]])[:, :, 0], atol=1e-6, rtol=0)


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    path = tmp_path / "toy.txt"
    path.write_text("\n".join(" ".join(sentence) for sentence in toy_text(300, 1)) + "\n")
    return path


def running_config(toy: Path, **changes: Any) -> PretrainConfig:
    return make_config(toy, **{"carry_state": True, "unroll_steps": 8, "batch_tokens": 96, "epochs": 5} | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"softmax": "sampled", "n_samples": 10, "epochs": 3},
        {"order": "text", "optimizer": "adagrad", "learning_rate": 0.2, "clip_norm": 10.0, "epochs": 2},
    ],
    ids=["shuffled", "text"],
)
def test_a_killed_run_resumes_to_the_bit(toy: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    config = running_config(toy, **changes)
    report = pretrain(config, tmp_path / "whole", device=CPU)
    assert report["perplexity"]["state"] == "carried"
    rng = random.Random(3)
    for _ in range(3):  # inside an epoch, and inside sentences: an epoch has 17 steps
        left = rng.randint(2, 9)

        def stop(counted: list[int] = [left]) -> bool:  # noqa: B006 - a counter of this round
            counted[0] -= 1
            return counted[0] == 0

        assert not pretrain(config, tmp_path / "parts", device=CPU, resume=True, should_stop=stop)["finished"]
    # A kill between checkpoints: steps are done again.
    sorted((tmp_path / "parts" / "checkpoints").glob("step-*.pt"))[-1].unlink()
    again = pretrain(config, tmp_path / "parts", device=CPU, resume=True)
    assert again == report
    assert weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole")


def heldout_of(toy: Path) -> list[list[str]]:
    source = TextSource((toy,)).holding_out()
    return count_text(source.files, source.tokenizer, source.encoding, source.split).heldout


def test_the_model_says_how_it_was_trained(toy: Path, tmp_path: Path) -> None:
    report = pretrain(running_config(toy, epochs=2), tmp_path / "run", device=CPU)
    files = find_bilm(tmp_path / "run")
    assert files.info["state"] == "carried"
    vocabulary = load_vocabulary(files)
    model, softmax = load_bilm(files), load_softmax(files, vocabulary, 8)
    heldout = heldout_of(toy)
    for state in ("carried", "zero"):
        found = held_out_perplexity(model, softmax, vocabulary, heldout, carry_state=state == "carried")
        assert (found.mean == pytest.approx(report["perplexity"]["mean"], rel=1e-5)) == (state == "carried")
        assert found.state == state


def test_a_step_that_is_not_finite_leaves_the_state(toy: Path) -> None:
    config = running_config(toy)
    source = TextSource((toy,))
    counts = count_text(source.files, source.tokenizer).counts
    trainer = new_trainer(config, most_frequent(counts, 50), counts, 10**6, CPU)
    trainer.running_text = running_text(source, rows_of(config))
    trainer.train_on_running_text()
    before = trainer.running_text.states
    with torch.no_grad():
        kept = trainer.learner.softmax.bias[3].clone()
        trainer.learner.softmax.bias[3] = float("nan")
    trainer.train_on_running_text()
    assert trainer.position.skipped == 1
    assert trainer.running_text.states is before
    with torch.no_grad():
        trainer.learner.softmax.bias[3] = kept
    trainer.train_on_running_text()
    assert trainer.position.skipped == 0
    assert trainer.running_text.states is not before


@pytest.mark.parametrize("order", ["shuffled", "text"])
def test_a_text_that_fills_no_batch_is_refused(toy: Path, tmp_path: Path, order: str) -> None:
    config = running_config(toy, unroll_steps=20, batch_tokens=20 * 500, order=order)
    with pytest.raises(UsageError, match=r"does not fill one batch of 500 rows of 20 steps; try --rows \d+ or fewer"):
        pretrain(config, tmp_path / "run", device=CPU)
    assert not (tmp_path / "run").exists()


def tied_options() -> dict[str, Any]:
    values = options_to_json(make_options(dim=16, projection_dim=8)) | {"share_embedding_softmax": True}
    del values["char_cnn"]
    return values


@pytest.mark.parametrize("changes", [{}, {"softmax": "sampled", "n_samples": 10}], ids=["exact", "sampled"])
def test_tied_embeddings_are_one_table(toy: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    config = running_config(toy, options=tied_options(), epochs=4, **changes)
    report = pretrain(config, tmp_path / "run", device=CPU)
    assert report["perplexity"]["mean"] < 0.9 * report["unigram_perplexity"]
    files = find_bilm(tmp_path / "run")
    assert files.info["softmax"]["tied"] is True
    assert json.loads(files.options.read_text())["share_embedding_softmax"] is True
    vocabulary, model = load_vocabulary(files), load_bilm(files)
    softmax = load_softmax(files, vocabulary, 8)
    assert torch.equal(softmax.weight, model.token_encoder.embedding.weight)  # type: ignore[union-attr]
    heldout = heldout_of(toy)
    found = held_out_perplexity(model, softmax, vocabulary, heldout, carry_state=True)
    assert found.mean == pytest.approx(report["perplexity"]["mean"], rel=1e-5)
    # Training goes on with one table, from the same figures.
    second = running_config(
        toy, options=tied_options(), epochs=1, init=str(tmp_path / "run"), learning_rate=1e-9, **changes
    )
    again = pretrain(second, tmp_path / "second", device=CPU)
    assert again["perplexity"]["mean"] == pytest.approx(report["perplexity"]["mean"], rel=1e-4)


def test_gradients_of_a_tied_table_add_up(toy: Path) -> None:
    counts = count_text((toy,), "whitespace").counts
    trainer = new_trainer(make_config(toy, options=tied_options()), most_frequent(counts, 50), counts, 10**6, CPU)
    table = trainer.learner.model.token_encoder.embedding.weight  # type: ignore[union-attr]
    assert trainer.learner.softmax.weight is table
    assert sum(parameter is table for parameter in trainer.learner.parameters()) == 1
    trainer.train_on([["w1", "w4"]])
    assert table.grad is not None  # type: ignore[union-attr]
    assert table.grad.abs().sum(1).min() > 0  # type: ignore[operator,union-attr] # read or not, every word is scored


def test_the_penn_treebank_is_read_as_published(shared: Path) -> None:
    folder = shared / "data" / "lm" / "ptb"
    counts = count_text((folder / "ptb.train.txt.xz",), "whitespace").counts
    vocabulary = most_frequent(counts, 50_000, min_count=1)
    # 10,000 types: 9,998 words, <unk> (here <UNK>) and the end of the sentence (</S>); and <S>, which ends a sentence
    # read backwards.
    assert len(vocabulary) == 10_001
    assert "<unk>" not in vocabulary
    assert vocabulary.id_of("<unk>") == vocabulary.unknown_id
    assert sum(counts.values()) == 929_589
    test = list(TextSource((folder / "ptb.test.txt.xz",)).sentences())
    batches = [
        one_row(chunk, vocabulary, WordTable(len(vocabulary), 1)) for chunk in in_chunks(test, 4096, boundaries=1)
    ]
    assert sum(batch.n_tokens for batch in batches) == 78_669
    for direction in range(2):
        wanted = torch.cat([batch.targets[direction] for batch in batches])
        assert len(wanted) == 82_430
        assert (wanted == vocabulary.unknown_id).sum() == 4_794
