"""Pretraining: the corpus, the run, its interruption, and perplexity against a twin that goes word by word."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ner_elmo.bilm.data import batches
from ner_elmo.bilm.data.corpus import TextSource
from ner_elmo.bilm.files.directory import find_bilm, load_bilm, load_softmax, load_vocabulary, write_bilm
from ner_elmo.bilm.options import options_to_json
from ner_elmo.bilm.perplexity import held_out_perplexity, unigram_perplexity
from ner_elmo.bilm.pretraining import run as pretrain
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.pretraining.preparation import prepare
from ner_elmo.bilm.softmax import Softmax
from ner_elmo.elmo.encoder import Elmo
from ner_elmo.errors import DataError, ModelError, UsageError
from ner_elmo.text.characters import char_ids
from ner_elmo.text.counting import count_text
from ner_elmo.text.vocabulary import Vocabulary, most_frequent, read_vocabulary, write_vocabulary
from tests import reference
from tests.bilm.conftest import make_model, make_options
from tests.bilm.test_model import file_arrays

CPU = torch.device("cpu")


def toy_text(n_sentences: int, seed: int) -> list[list[str]]:
    """A language in which a word mostly decides the next, so that there is something to learn."""
    rng = random.Random(seed)
    words = [f"w{n}" for n in range(20)]
    sentences = []
    for _ in range(n_sentences):
        at, sentence = rng.randrange(20), []
        for _ in range(rng.randint(1, 9)):
            sentence.append(words[at])
            at = (3 * at + 1) % 20 if rng.random() < 0.9 else rng.randrange(20)
        sentences.append(sentence)
    return sentences


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    path = tmp_path / "toy.txt"
    path.write_text("\n".join(" ".join(sentence) for sentence in toy_text(400, 1)) + "\n")
    return path


def make_config(toy: Path, **changes: Any) -> PretrainConfig:
    values: dict[str, Any] = {
        "corpus": [str(toy)],
        "options": options_to_json(make_options(dim=16, projection_dim=8)) | {"dropout": 0.1},
        "batch_tokens": 128,
        "epochs": 12,
        "learning_rate": 0.02,
        "warmup_steps": 5,
        "checkpoint_steps": 4,
        "evaluations": 3,
    }
    return PretrainConfig(**(values | changes))


def weights_of(directory: Path) -> dict[str, bytes]:
    return {name: (directory / "bilm" / name).read_bytes() for name in ("weights.hdf5", "softmax.hdf5")}


@pytest.mark.parametrize(
    ("changes", "share_of_unigram"),
    [
        ({"softmax": "exact"}, 0.75),
        pytest.param({"softmax": "sampled", "n_samples": 10}, 0.75, marks=pytest.mark.slow),
        pytest.param(
            {"schedule": "slanted", "layer_decay": 1.5, "unfreeze": 0.5, "softmax_steps": 9},
            1.0,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["exact", "sampled", "by-parts"],
)
def test_training_learns_and_a_killed_run_resumes_to_the_bit(
    toy: Path, tmp_path: Path, changes: dict[str, Any], share_of_unigram: float
) -> None:
    config = make_config(toy, **changes)
    report = pretrain.run(config, tmp_path / "whole", device=CPU)
    assert report["finished"]
    assert report["perplexity"]["mean"] < share_of_unigram * report["unigram_perplexity"]
    rng = random.Random(7)
    for _ in range(3):  # stopped more than once, at any step; then what is on disk is all there is
        left = rng.randint(1, 9)

        def stop(counted: list[int] = [left]) -> bool:  # noqa: B006 - a counter of this round
            counted[0] -= 1
            return counted[0] == 0

        pretrain.run(config, tmp_path / "parts", device=CPU, resume=True, should_stop=stop)
    # A kill between checkpoints: the newest is from before, and steps are done again.
    newest = sorted((tmp_path / "parts" / "checkpoints").glob("step-*.pt"))[-1]
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    warnings: list[str] = []
    again = pretrain.run(
        config,
        tmp_path / "parts",
        device=CPU,
        resume=True,
        report=lambda event: warnings.append(event["message"]) if event["event"] == "warning" else None,
    )
    assert len(warnings) == 1
    assert "not a sound checkpoint" in warnings[0]
    assert again == report
    assert weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole")
    events = [json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    assert sum(event["event"] == "resume" for event in events) == 3


def test_a_run_on_several_files_resumes_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "SHUFFLE_BUFFER", 60)
    (tmp_path / "text").mkdir()
    for number, n_sentences in enumerate((150, 50, 20)):
        lines = [" ".join(sentence) for sentence in toy_text(n_sentences, number)]
        (tmp_path / "text" / f"{number}.txt").write_text("\n".join(lines))
    config = make_config(tmp_path / "text", epochs=2)
    pretrain.run(config, tmp_path / "whole", device=CPU)
    left = iter([False, False, True])
    pretrain.run(config, tmp_path / "parts", device=CPU, should_stop=lambda: next(left))
    pretrain.run(config, tmp_path / "parts", device=CPU, resume=True)
    assert weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole")


def test_the_sample_for_perplexity_comes_from_all_parts_of_the_text() -> None:
    sentences = [[f"part{i // 250}"] * 5 for i in range(1000)]
    chosen = pretrain.even_sample(sentences, 1000)
    assert sum(map(len, chosen)) == 1000
    assert Counter(sentence[0] for sentence in chosen) == {f"part{i}": 50 for i in range(4)}
    assert pretrain.even_sample(sentences, 5000) == pretrain.even_sample(sentences, 10**9) == sentences
    assert pretrain.even_sample(sentences, 1) == sentences[:1]


def test_lines_of_the_held_out_file_are_not_trained_on(toy: Path, tmp_path: Path) -> None:
    lines = toy.read_text().splitlines()
    (tmp_path / "out.txt").write_text("\n".join(lines[:30]))
    events: list[Any] = []
    prepared = prepare(make_config(toy, heldout=str(tmp_path / "out.txt")), events.append)
    out = {tuple(sentence) for sentence in prepared.heldout}
    kept = [tuple(sentence) for sentence in prepared.source.sentences()]
    assert len(prepared.heldout) == 30
    assert not out & set(kept)
    assert kept == [words for words in map(tuple, map(str.split, lines)) if words not in out]
    (counted,) = [event for event in events if event["event"] == "counted"]
    assert counted["left_out_as_heldout"] == 400 - len(kept) >= 30
    assert counted["repeated_sentences"] == 400 - len(set(lines))


def test_checkpoints_by_steps_by_minutes_or_by_either() -> None:
    def due(steps: int | None, minutes: float | None) -> list[int]:
        config = PretrainConfig(["x"], checkpoint_steps=steps, checkpoint_minutes=minutes)
        saved, found = 0, []
        for step in range(1, 13):  # half a minute a step
            if pretrain.checkpoint_is_due(config, step, 30.0 * (step - saved)):
                saved = step
                found.append(step)
        return found

    assert due(5, None) == [5, 10]
    assert due(None, 2) == [4, 8, 12]
    assert due(5, 2) == [4, 5, 9, 10]


def test_perplexity_equals_a_twin_that_goes_word_by_word(tmp_path: Path) -> None:
    options = make_options()
    model, softmax = make_model(options), Softmax(6, 5)
    softmax.reset_parameters()
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", "a", "bb", "ccc"])
    sentences = [["a", "bb"], ["ccc"], ["never", "a", "a", "bb"]]
    weights, cnn = file_arrays(model, tmp_path / "w.hdf5"), options.char_cnn
    assert cnn is not None
    matrix, bias = softmax.weight.detach().numpy(), softmax.bias.detach().numpy()
    sums = [0.0, 0.0]
    for sentence in sentences:
        tokens = ["<S>", *sentence, "</S>"]
        rows = char_ids(tokens, cnn.max_characters_per_token)
        vectors = [reference.token_vector(row, weights, cnn.filters, cnn.activation, cnn.n_highway) for row in rows]
        for direction, order in enumerate((1, -1)):
            top = reference.direction_layers(vectors[::order], weights, direction, 2, (None, None), True)[-1]
            for state, target in zip(top, tokens[::order][1:], strict=False):
                sums[direction] -= reference.log_softmax(matrix @ state + bias)[vocabulary.id_of(target)]
    found = held_out_perplexity(model, softmax, vocabulary, sentences, batch_tokens=9)
    assert (found.tokens, found.predictions) == (7, 10)
    assert found.unk_rate == pytest.approx(1 / 7)
    assert found.forward == pytest.approx(math.exp(sums[0] / 10), rel=1e-5)
    assert found.backward == pytest.approx(math.exp(sums[1] / 10), rel=1e-5)
    assert found.mean == pytest.approx(math.exp(sum(sums) / 20), rel=1e-5)


def test_carried_state_is_one_long_reading() -> None:
    model, softmax = make_model(make_options()), Softmax(6, 5)
    softmax.reset_parameters()
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", "a", "bb", "ccc"])
    sentences = [["a", "bb"], ["ccc"], ["never", "a", "a", "bb"]]
    found = held_out_perplexity(model, softmax, vocabulary, sentences, carry_state=True)
    sums = [0.0, 0.0]
    with torch.no_grad():
        for direction, (stack, order) in enumerate(((model.forward_lstm, 1), (model.backward_lstm, -1))):
            read = [["<S>", *sentence, "</S>"][::order] for sentence in sentences]
            inputs = [token for tokens in read for token in tokens[:-1]]  # a sentence's last symbol is only predicted
            wanted = torch.tensor([vocabulary.id_of(token) for tokens in read for token in tokens[1:]])
            vectors = model.token_encoder(torch.from_numpy(char_ids(inputs, 12)))
            outputs, _ = stack(vectors, [1] * len(vectors))
            sums[direction] = softmax.losses(outputs[-1], wanted).sum().item()
    assert found.forward == pytest.approx(math.exp(sums[0] / 10), rel=1e-5)
    assert found.backward == pytest.approx(math.exp(sums[1] / 10), rel=1e-5)
    assert found.mean != pytest.approx(held_out_perplexity(model, softmax, vocabulary, sentences).mean, rel=1e-4)


def test_unigram_perplexity_by_hand() -> None:
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", "a"])
    counts = Counter({"a": 2, "x": 1, "</S>": 1})
    # add-one over 4 words and 4 counts: a 3/8, <UNK> 2/8, </S> 2/8
    expected = math.exp(-(math.log(3 / 8) + math.log(2 / 8) + math.log(2 / 8)) / 3)
    assert unigram_perplexity(counts, vocabulary, [["a", "y"]]) == pytest.approx(expected)


@pytest.mark.slow
def test_word_input_trains(toy: Path, tmp_path: Path) -> None:
    options = options_to_json(make_options(dim=16, projection_dim=8))
    del options["char_cnn"]
    report = pretrain.run(make_config(toy, options=options), tmp_path / "run", device=CPU)
    assert report["perplexity"]["mean"] < 0.8 * report["unigram_perplexity"]
    (vectors,) = Elmo.load(tmp_path / "run").embed([["w1", "never-seen"]])
    assert vectors.shape == (3, 2, 16)


@pytest.mark.slow
def test_init_goes_on_from_a_model(toy: Path, tmp_path: Path) -> None:
    first = pretrain.run(make_config(toy), tmp_path / "first", device=CPU)
    config = make_config(toy, init=str(tmp_path / "first"), epochs=1, learning_rate=1e-9)
    second = pretrain.run(config, tmp_path / "second", device=CPU)
    assert second["perplexity"]["mean"] == pytest.approx(first["perplexity"]["mean"], rel=1e-4)


def test_held_out_sentences_are_not_trained_on(toy: Path) -> None:
    source = TextSource((toy,)).holding_out()
    kept, out = list(source.sentences()), count_text(source.files, "whitespace", split=source.split).heldout
    assert out
    assert len(kept) + len(out) == 400
    assert not {tuple(s) for s in kept} & {tuple(s) for s in out}


def test_vocabulary_round_trip_and_order(tmp_path: Path) -> None:
    vocabulary = most_frequent(Counter({"b": 3, "a": 3, "c": 5, "rare": 1}), 10)
    assert vocabulary.tokens == ["<S>", "</S>", "<UNK>", "c", "a", "b"]
    write_vocabulary(vocabulary, tmp_path / "vocab.txt")
    again = read_vocabulary(tmp_path / "vocab.txt")
    assert again.tokens == vocabulary.tokens
    assert again.digest() == vocabulary.digest()
    (tmp_path / "bad.txt").write_text("<S>\n</S>\na\n")
    with pytest.raises(DataError, match="found no line <UNK>"):
        read_vocabulary(tmp_path / "bad.txt")


def small_bilm(folder: Path, storage: str = "float32") -> None:
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", "a", "b"])
    softmax = Softmax(5, 5)
    softmax.reset_parameters()
    write_bilm(folder, make_model(make_options()), softmax, vocabulary, {"text": {"tokens": "whitespace"}}, storage)


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_a_bilm_directory_reads_back(tmp_path: Path, storage: str) -> None:
    small_bilm(tmp_path / "bilm", storage)
    for place in (tmp_path / "bilm", tmp_path):  # the directory itself, or one that holds it
        files = find_bilm(place)
        vocabulary = load_vocabulary(files)
        assert load_softmax(files, vocabulary, 5).weight.shape == (5, 5)
        assert load_bilm(files).options.lstm.dim == 7
    stored = Elmo.load(tmp_path / "bilm")
    plain = Elmo.load(tmp_path / "bilm" / "weights.hdf5")  # the same weights, every token through its characters
    for a, b in zip(stored.embed([["a", "new"]]), plain.embed([["a", "new"]]), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_damage_is_named(tmp_path: Path) -> None:
    small_bilm(tmp_path / "bilm")
    weights = tmp_path / "bilm" / "weights.hdf5"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ModelError, match=r"weights\.hdf5: its contents differ from the digest"):
        find_bilm(tmp_path / "bilm")
    weights.unlink()
    with pytest.raises(UsageError, match="found no biLM"):
        find_bilm(tmp_path / "bilm")
