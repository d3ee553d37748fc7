"""Going on from another model: its words and rows, published weights, what is frozen when, and how fast it learns."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from ner_elmo.bilm.files.conversion import write_published_pair
from ner_elmo.bilm.files.directory import find_bilm, load_bilm, load_softmax, load_vocabulary
from ner_elmo.bilm.files.many_langs import ENCODER, TOKEN_EMBEDDER
from ner_elmo.bilm.files.weights import write_weights
from ner_elmo.bilm.options import options_to_json
from ner_elmo.bilm.perplexity import held_out_perplexity, unigram_perplexity
from ner_elmo.bilm.pretraining.adaptation import (
    find_parent,
    load_parent,
    table_for,
    vocabulary_from_parent,
    with_rows_for,
)
from ner_elmo.bilm.pretraining.preparation import prepare
from ner_elmo.bilm.pretraining.run import pretrain
from ner_elmo.bilm.pretraining.trainer import new_trainer
from ner_elmo.bilm.softmax import Softmax
from ner_elmo.bilm.token_encoder import WordTable
from ner_elmo.cli.main import main
from ner_elmo.errors import ModelError, UsageError
from ner_elmo.runs.checkpoints import read_tensors
from ner_elmo.text.files import sha256_of_file
from ner_elmo.text.vocabulary import Vocabulary
from tests.support.devices import CPU
from tests.support.processes import finish, start_processes
from tests.support.small_bilms import make_model, make_options
from tests.support.toy_pretraining import make_config, toy_text

OLD = Vocabulary(["<S>", "</S>", "<UNK>", "b", "a"])
COUNTS = Counter({"a": 5, "new": 9, "b": 2, "newer": 3, "rare": 1, "<unk>": 7, "</S>": 4})


def write_text(path: Path, sentences: list[list[str]]) -> Path:
    path.write_text("\n".join(map(" ".join, sentences)) + "\n")
    return path


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of a language in which one word mostly decides the next."""
    folder = tmp_path_factory.mktemp("parent")
    pretrain(make_config(write_text(folder / "toy.txt", toy_text(400, 1)), epochs=6), folder / "run", device=CPU)
    return folder / "run"


@pytest.fixture
def domain(tmp_path: Path) -> Path:
    """The parent's language with three words of it replaced by others."""
    names = {"w1": "gene", "w4": "cell", "w13": "drug"}
    return write_text(
        tmp_path / "domain.txt", [[names.get(word, word) for word in sentence] for sentence in toy_text(300, 2)]
    )


def adapt(domain: Path, parent: Path, output: Path, **changes: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The report of a run from ``parent``, and its events."""
    values = {"options": options_to_json(pretrain_options(parent)), "init": str(parent), "epochs": 3} | changes
    report = pretrain(make_config(domain, **values), output, device=CPU)
    return report, [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]


def pretrain_options(parent: Path) -> Any:
    return load_bilm(find_bilm(parent)).options


def perplexities(events: list[dict[str, Any]]) -> list[tuple[int, float]]:
    return [(event["step"], event["mean"]) for event in events if event["event"] == "perplexity"]


def test_new_words_share_the_probability_of_unknown_ones_and_nothing_else_changes() -> None:
    torch.manual_seed(3)
    softmax = Softmax(5, 4)
    torch.nn.init.normal_(softmax.weight)
    torch.nn.init.normal_(softmax.bias)
    new = Vocabulary(["<S>", "</S>", "<UNK>", "new", "a", "newer", "unseen"])
    new_with_all = Vocabulary([*new.tokens, "b"])
    adapted = with_rows_for(softmax, OLD, new_with_all, COUNTS)
    y = torch.randn(4)
    before = torch.softmax(softmax.weight @ y + softmax.bias, 0).detach()
    after = torch.softmax(adapted.weight @ y + adapted.bias, 0).detach()
    for token in ("<S>", "</S>", "a", "b"):
        assert after[new_with_all.id_of(token)] == pytest.approx(before[OLD.id_of(token)].item(), rel=1e-5)
    total = 9 + 3 + 1 + 1 + 7  # new, newer, unseen as one, and what stays unknown: rare, <unk>
    for token, n in (("new", 9), ("newer", 3), ("unseen", 1), ("<UNK>", 8)):
        share = before[OLD.unknown_id].item() * n / total
        assert after[new_with_all.id_of(token)] == pytest.approx(share, rel=1e-5)
    dropped = with_rows_for(softmax, OLD, new, COUNTS)
    assert torch.equal(dropped.weight[new.id_of("a")], softmax.weight[OLD.id_of("a")])
    table = WordTable(5, 4)
    rows = table_for(table, OLD, new).embedding.weight
    for token in new.tokens:
        assert torch.equal(rows[new.id_of(token)], table.embedding.weight[OLD.id_of(token)])


def test_frozen_parts_stay_and_the_others_learn(domain: Path, parent: Path) -> None:
    config = make_config(domain, init=str(parent), unfreeze=0.6, softmax_steps=2, layer_decay=1.3, dropout=0.0)
    counts = Counter({"w1": 3, "gene": 2})
    vocabulary = vocabulary_from_parent(config, find_parent(parent), counts)
    trainer = new_trainer(config, vocabulary, counts, 2000, CPU)
    assert trainer.learner.model.options.dropout == 0.0  # --dropout, not the parent's

    def state() -> dict[str, list[torch.Tensor]]:
        return {part.name: [p.detach().clone() for p in part.parameters] for part in trainer.learner.parts}

    seen: list[tuple[str, ...]] = []
    before = state()
    sentences = toy_text(600, 5)
    while trainer.position.tokens < 2000:
        frozen = {
            part.name for part, factor in zip(trainer.learner.parts, trainer.rate_factors(), strict=True) if factor == 0
        }
        start = 20 * trainer.position.step
        trainer.train_on(sentences[start : start + 20])
        now = state()
        changed = {
            name for name in now if any(not torch.equal(a, b) for a, b in zip(now[name], before[name], strict=True))
        }
        assert changed == set(now) - frozen
        assert all((p.grad is None) == (part.name in frozen) for part in trainer.learner.parts for p in part.parameters)
        before = now
        if not seen or seen[-1] != tuple(sorted(changed)):
            seen.append(tuple(sorted(changed)))
    assert [len(changed) for changed in seen] == [1, 2, 3, 4]


def test_adapting_to_a_domain(domain: Path, parent: Path, tmp_path: Path) -> None:
    report, events = adapt(domain, parent, tmp_path / "run", schedule="slanted", layer_decay=1.3, unfreeze=0.2)
    assert {"gene", "cell", "drug", "w1", "w4"} <= set(load_vocabulary(find_bilm(tmp_path / "run")).tokens)
    said = find_bilm(tmp_path / "run").info["parent"]
    assert said["weights_sha256"] == sha256_of_file(find_bilm(parent).weights)
    assert str(tmp_path.parent) not in json.dumps(said), "a machine's path must not be in what ships"
    found = perplexities(events)
    assert found[0][0] == 0
    assert report["perplexity"]["mean"] < 0.7 * found[0][1]
    assert {event["vocabulary"] for event in events if event["event"] == "perplexity"} == {
        report["perplexity"]["vocabulary"]
    }
    assert any("learning rates: softmax 0.02" in event.get("message", "") for event in events)
    rates = [event["learning_rate"] for event in events if event["event"] == "step"]
    assert rates[0] == pytest.approx(0.02 / 32)
    assert rates[-1] < max(rates) / 10
    # A text of the parent's words alone has the perplexity that the parent gives it, with either vocabulary.
    kept = [[word for word in sentence if word not in ("w1", "w4", "w13")] for sentence in toy_text(40, 9)]
    sentences = [sentence for sentence in kept if sentence]
    config = make_config(domain, init=str(parent))
    vocabulary, old = load_vocabulary(find_bilm(tmp_path / "run")), load_vocabulary(find_bilm(parent))
    start = load_parent(config, vocabulary, Counter({"gene": 3, "cell": 1}))
    softmax = load_softmax(find_bilm(parent), old, 8)
    as_before = held_out_perplexity(load_bilm(find_bilm(parent)), softmax, old, sentences)
    as_now = held_out_perplexity(start.model, start.softmax, vocabulary, sentences)
    assert as_now.mean == pytest.approx(as_before.mean, rel=1e-4)


@pytest.mark.parametrize("tied", [False, True])
def test_a_word_model_gets_rows_for_new_words(domain: Path, tmp_path: Path, tied: bool) -> None:
    options = options_to_json(make_options(dim=16, projection_dim=8)) | (
        {"share_embedding_softmax": True} if tied else {}
    )
    del options["char_cnn"]
    toy = write_text(tmp_path / "toy.txt", toy_text(300, 1))
    pretrain(make_config(toy, options=options, epochs=6), tmp_path / "first", device=CPU)
    report, events = adapt(domain, tmp_path / "first", tmp_path / "second")
    assert report["perplexity"]["mean"] < 0.8 * perplexities(events)[0][1]
    model, vocabulary = load_bilm(find_bilm(tmp_path / "second")), load_vocabulary(find_bilm(tmp_path / "second"))
    assert model.n_words == len(vocabulary) > len(load_vocabulary(find_bilm(tmp_path / "first")))
    # Before training the words of both mean the same.
    old = load_vocabulary(find_bilm(tmp_path / "first"))
    start = load_parent(make_config(domain, init=str(tmp_path / "first")), vocabulary, Counter())
    first = load_bilm(find_bilm(tmp_path / "first"))
    ids = [vocabulary.id_of(word) for word in old.tokens]
    assert torch.equal(start.model.token_encoder(torch.tensor(ids)), first.token_encoder(torch.arange(len(old))))


def test_published_weights_get_an_output_layer_first(domain: Path, tmp_path: Path) -> None:
    options = make_options(dim=16, projection_dim=8, cell_clip=3.0, proj_clip=3.0)
    (tmp_path / "options.json").write_text(json.dumps(options_to_json(options)))
    weights = tmp_path / "weights.hdf5"
    write_weights(make_model(options), weights)
    config = make_config(domain, options=options_to_json(options), init=str(weights), softmax_steps=12, epochs=4)
    steps = iter(range(1, 12 + 1))
    pretrain(config, tmp_path / "run", device=CPU, should_stop=lambda: next(steps) == 12)
    first = load_bilm(find_bilm(weights)).state_dict()
    at_12 = read_tensors(tmp_path / "run" / "checkpoints" / "step-00000012.pt")["model"]
    assert all(torch.equal(at_12[name], first[name]) for name in first)
    report = pretrain(config, tmp_path / "run", device=CPU, resume=True)
    events = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    before = next(event for event in events if event["event"] == "perplexity")
    prepared = prepare(make_config(domain, init=str(weights)), "cpu", lambda event: None)
    counts = Counter({**prepared.counts, "<S>": prepared.counts["</S>"]})
    unigram = unigram_perplexity(counts, prepared.vocabulary, prepared.heldout)
    assert before["step"] == 0
    assert before["forward"] == pytest.approx(unigram, rel=1e-4)  # nothing is known yet but counts
    assert before["backward"] == pytest.approx(unigram, rel=1e-4)
    assert report["perplexity"]["mean"] < 0.95 * report["unigram_perplexity"]
    adapted = load_bilm(find_bilm(tmp_path / "run"))
    assert (adapted.options.lstm.cell_clip, adapted.options.lstm.proj_clip) == (3.0, 3.0)
    assert "gene" in load_vocabulary(find_bilm(tmp_path / "run"))
    last = sorted((tmp_path / "run" / "checkpoints").glob("step-*.pt"))[-1]
    assert any(not torch.equal(read_tensors(last)["model"][name], first[name]) for name in first)
    started = [event["message"] for event in events if "learning rates" in event.get("message", "")]
    assert started == [
        "learning rates: softmax 0.02, layer 2 0.02 from step 12 on, layer 1 0.02 from step 12 on, "
        "token encoder 0.02 from step 12 on"
    ]


def test_without_steps_a_new_output_layer_has_a_twentieth_of_the_run(
    domain: Path, parent: Path, tmp_path: Path
) -> None:
    write_published_pair(parent, tmp_path / "pair")
    config = make_config(domain, init=str(tmp_path / "pair"), vocabulary_size=15)
    counts = Counter({f"w{n}": 30 - n for n in range(20)})
    vocabulary = vocabulary_from_parent(config, find_parent(tmp_path / "pair"), counts)
    assert len(vocabulary) == 15
    trainer = new_trainer(config, vocabulary, counts, 40_000, CPU)
    open_parts = []
    while trainer.position.tokens < 2200:
        open_parts.append(sum(factor > 0 for factor in trainer.rate_factors()))
        at = trainer.position.tokens
        trainer.train_on(toy_text(20, trainer.position.step))
        assert (open_parts[-1] == 1) == (at < 2000)
    assert set(open_parts) == {1, 4}


def test_mistakes(domain: Path, parent: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_config(domain, init=str(parent), vocabulary_size=12)
    with pytest.raises(UsageError, match=r"--vocab-size 12: the model of --init has \d\d words"):
        vocabulary_from_parent(config, find_parent(parent), COUNTS)
    options = dataclasses.replace(make_options(), char_cnn=None)
    (tmp_path / "options.json").write_text(json.dumps(options_to_json(options)))
    write_weights(make_model(options, n_words=9), tmp_path / "weights.hdf5")
    words = make_config(domain, init=str(tmp_path / "weights.hdf5"))
    with pytest.raises(ModelError, match=r"found no vocab\.txt"):
        vocabulary_from_parent(words, find_parent(tmp_path / "weights.hdf5"), COUNTS)
    (tmp_path / "vocab.txt").write_text("\n".join(OLD.tokens))
    with pytest.raises(ModelError, match=r"found 9 word vectors, but .*vocab\.txt has 5 words"):
        load_parent(words, OLD, COUNTS)
    (tmp_path / "many").mkdir()
    for name in (ENCODER, TOKEN_EMBEDDER):  # which is how such a directory is known
        (tmp_path / "many" / name).touch()
    start = ["pretrain", str(domain), "-o", str(tmp_path / "run")]
    for flags, message in (
        (["--init", str(tmp_path / "many")], "a model of ELMoForManyLangs, which can be used but not trained further"),
        (["--layer-decay", "2.6"], "--layer-decay: found 2.6, which has a meaning with --init only"),
        (["--unfreeze", "0.3"], "--unfreeze: found 0.3, which has a meaning with --init only"),
        (["--softmax-steps", "3"], "--softmax-steps: found 3, which has a meaning with --init only"),
        (["--init", str(parent), "--layer-decay", "0.5"], "--layer-decay: found 0.5, expected a number of at least 1"),
        (["--init", str(parent), "--unfreeze", "2"], "--unfreeze: found 2.0, expected a number from 0 to 1"),
        (["--schedule", "cosine"], '--schedule: found "cosine", expected linear or slanted'),
    ):
        assert main([*start, *flags]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_two_processes_adapt_as_one_does(domain: Path, parent: Path, tmp_path: Path) -> None:
    program = "import sys; from ner_elmo.bilm.pretraining import distributed; distributed.SPARSE_ROWS = 10; "
    program += "from ner_elmo.cli.main import main; sys.exit(main(sys.argv[1:]))"

    def command(output: Path) -> list[str]:
        return [
            *("pretrain", str(domain), "-o", str(output), "--init", str(parent), "--device", "cpu", "--threads", "1"),
            *("--softmax-steps", "3", "--unfreeze", "0.5", "--layer-decay", "2", "--schedule", "slanted"),
            *("--dropout", "0", "--batch-tokens", "96", "--epochs", "2", "--learning-rate", "0.02"),
        ]

    two = start_processes(2, "-c", program, *command(tmp_path / "two"))
    assert main(command(tmp_path / "one")) == 0
    for status, _, errors in finish(two):
        assert status == 0, errors
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("one", "two")]
    assert reports[1]["perplexity"]["mean"] == pytest.approx(reports[0]["perplexity"]["mean"], rel=1e-4)
    assert not math.isnan(reports[0]["perplexity"]["mean"])
