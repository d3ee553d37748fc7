"""What the options of train-tagger change in the network, in training and in what is computed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from ner_elmo.elmo.encoder import Elmo
from ner_elmo.elmo.scalar_mix import ScalarMix, normalise_layer
from ner_elmo.errors import DataError, UsageError
from ner_elmo.nn.dropout import Dropout
from ner_elmo.nn.inference import run_both as run_few
from ner_elmo.tagger.decoding import predict_scored
from ner_elmo.tagger.network.inputs import Example, collate, make_words
from ner_elmo.tagger.network.model import TaggerModel, TaggerOptions
from ner_elmo.tagger.report.comparison import compare_taggers, read_runs
from ner_elmo.tagger.store import load_tagger
from ner_elmo.tagger.tagger import Tagger
from ner_elmo.tagger.training.loop import TrainingOptions, load_checkpoint, train
from ner_elmo.tagger.training.preparation import prepare
from ner_elmo.tagger.training.quick_check import look_up, quick_check, spread, verdict
from ner_elmo.tagger.training.run import run
from ner_elmo.text.files import sha256_of_file
from ner_elmo.text.formats.corpus import LabelledSentence
from ner_elmo.text.tag_scheme import Span
from tests.tagger.test_commands import SMALL, ner_elmo
from tests.tagger.toy_language import toy_config
from tests.tagger.training.test_run import CPU, Events, begin, timeless

EVERYTHING = {"elmo_at": "both", "mix_layer_norm": True, "gamma": False, "lstm_layers": 2, "char_dim": 3}


def test_layer_norm_of_a_sentence_is_the_references_with_a_batch_of_one() -> None:
    layers = torch.randn(2, 3, 5, 4)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], dtype=torch.bool)
    by_sentence, by_batch = ScalarMix(2, "sentence"), ScalarMix(2, "batch")
    found = by_sentence(layers, mask)
    assert found.isfinite().all()
    for row in range(2):
        alone = by_batch(layers[:, row : row + 1], mask[row : row + 1])
        torch.testing.assert_close(found[row : row + 1][mask[row : row + 1]], alone[mask[row : row + 1]])
    torch.testing.assert_close(ScalarMix(2, True)(layers, mask)[mask], by_batch(layers, mask)[mask])
    assert not torch.allclose(found[mask], by_batch(layers, mask)[mask])
    one = ScalarMix(1, "sentence")(layers[:1, 1:2], None)
    torch.testing.assert_close(one, normalise_layer(layers[0, 1:2], None))


def test_a_mix_without_gamma_has_no_such_parameter() -> None:
    mix = ScalarMix(2, gamma=False)
    assert list(mix.state_dict()) == ["weights"]
    layers = torch.randn(2, 1, 3, 4)
    torch.testing.assert_close(mix(layers), layers.mean(dim=0))


def test_a_single_layer_may_stand_at_the_output(toy: Path, bilm: Path, tmp_path: Path) -> None:
    run(toy_config(toy, bilm=str(bilm), mix="1", elmo_at="output", epochs=1), tmp_path, device=CPU)
    assert Tagger.load(tmp_path).tag("Ann sees Rome.").sentences


def test_the_whole_of_it_is_stored_and_resumed_to_the_bit(toy: Path, bilm: Path, tmp_path: Path) -> None:
    config = toy_config(toy, bilm=str(bilm), epochs=2, **EVERYTHING)
    run(config, tmp_path / "whole", device=CPU)
    run(toy_config(toy, bilm=str(bilm), epochs=1, **EVERYTHING), tmp_path / "parts", device=CPU)
    report = run(config, tmp_path / "parts", device=CPU, resume=True)
    for file in ("tagger.hdf5", "word_vectors.hdf5", "tagger.json", "predictions.test.conll"):
        assert sha256_of_file(tmp_path / "parts" / file) == sha256_of_file(tmp_path / "whole" / file), file
    assert report["mix"]["gamma"] == report["mix"]["output"]["gamma"] == 1.0
    stored = load_tagger(tmp_path / "parts").model
    assert stored.options.elmo_at == "both"
    assert "second learned mix" in (tmp_path / "parts" / "README.md").read_text()


def test_a_tagger_written_before_these_options_still_loads(trained: Path, tmp_path: Path) -> None:
    """Its tagger.json lacks them: their defaults are what was."""
    info = json.loads((trained / "tagger.json").read_text())
    newer = {"gamma", "mix_layer_norm", "elmo_at"}
    assert newer <= set(info["options"])
    values = {name: value for name, value in info["options"].items() if name not in newer}
    TaggerModel(TaggerOptions(**values)).load_state_dict(load_tagger(trained).model.state_dict())


@pytest.mark.parametrize(("layers", "expected"), [((0,), [0, 0]), ((0, 1), [1, 0]), ((2,), [1, 1]), ((), [1, 1])])
@pytest.mark.parametrize("few", [False, True])
def test_what_no_layer_needs_is_not_computed(
    toy: Path,
    bilm: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    layers: tuple[int, ...],
    expected: list[int],
    few: bool,
) -> None:
    """Counts which of the two LSTM layers run: for the cache in training, and for a tagger that tags. The one step that
    an encoder makes once, over a sentence's boundary, is not counted."""
    ran = [0, 0]

    def watch(elmo: Elmo) -> Elmo:
        for stack in (elmo.model.forward_lstm, elmo.model.backward_lstm):
            for number, layer in enumerate(stack.layers):
                layer.register_forward_hook(lambda _, read, out, number=number: note(number, len(read[0])))
        joined = elmo.model._joined
        assert joined is not None

        def run_both(x: torch.Tensor, sizes: list[int], weights: object, *more: object) -> object:
            note([one is weights for one in joined].index(True), x.shape[1])
            return run_few(x, sizes, weights, *more)  # type: ignore[arg-type]

        monkeypatch.setattr("ner_elmo.bilm.model.run_both", run_both)
        return elmo

    def note(number: int, positions: int) -> None:
        if positions > 1:
            ran[number] = 1

    load = Elmo.load
    monkeypatch.setattr(Elmo, "load", lambda *arguments, **more: watch(load(*arguments, **more)))
    config = toy_config(toy, bilm=str(bilm), layers=layers, epochs=1, test=None)
    run(config, tmp_path / "run", device=CPU, cache=tmp_path / "cache")
    assert ran == expected
    ran[:] = [0, 0]
    tagger = Tagger.load(tmp_path / "run")
    list(tagger.tag([["Ann", "sees", "Rome"]] * (1 if few else 40)))
    assert ran == expected


def test_no_dropout_when_tagging(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while tagging nor while an epoch is scored on dev."""
    tagger = Tagger.load(trained)
    assert any(isinstance(module, Dropout) and module.p > 0 for module in tagger.model.modules())

    def refuse(*_: object) -> torch.Tensor:
        raise AssertionError("dropout")

    monkeypatch.setattr("ner_elmo.nn.dropout._factors", refuse)
    texts = [["Ann", "Smith", "sees", "Rome"]] * 3
    first, *others = [document.entities for document in tagger.tag(texts)]
    assert first
    assert all(entities == first for entities in others)
    tagger.model.train()
    layers = np.zeros((3, 2, 8), dtype=np.float16)
    assert predict_scored(tagger.model, [Example(("a", "b"), np.array([1, 1]), layers)])
    assert tagger.model.training
    with pytest.raises(AssertionError, match="dropout"):
        tagger.model(collate([Example(("a", "b"), np.array([1, 1]), layers)]))


def test_vectors_that_stay_as_they_are(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "vectors.txt").write_text("ann 1 2 3\nrome 4 5 6\nzanzibar 7 8 9\noslo 0 1 0\n")
    config = toy_config(
        toy, word_vectors=str(tmp_path / "vectors.txt"), tune_word_vectors=False, max_word_vectors=1, epochs=2
    )
    run(config, tmp_path / "run", device=CPU)
    tagger = Tagger.load(tmp_path / "run")
    assert tagger.words.words == ["<pad>", "<unk>", "ann", "rome", "oslo"]  # the first one, and those of the corpora
    assert tagger.words.n_tuned == 2
    assert tagger.model.words is not None
    np.testing.assert_array_equal(tagger.model.words.table()[2:], [[1, 2, 3], [4, 5, 6], [0, 1, 0]])
    assert [tagger.words.index(form) for form in ("Ann", "ANN", "Zanzibar")] == [2, 2, 1]
    assert "as they are" in (tmp_path / "run" / "README.md").read_text()
    assert make_words(Counter({"Rome": 3}), known=["rome"], tuned=False).words == ["<pad>", "<unk>", "rome"]


def test_training_with_dev(toy: Path, bilm: Path, tmp_path: Path) -> None:
    events = Events()
    config = toy_config(toy, bilm=str(bilm), train_with_dev=True, epochs=3)
    report = run(config, tmp_path / "run", device=CPU, report=events)
    assert set(report["scores"]) == {"test"}
    assert report["protocol"]["trained_on_dev"] is True
    assert {part: data["sentences"] for part, data in report["protocol"]["data"].items()} == {
        "train": 120,
        "dev": 20,
        "test": 20,
    }
    assert report["training"]["best_epoch"] == report["training"]["epochs_run"] == 3
    assert "the 20 dev sentences are training data; there is no dev score" in events.text()
    rates = [event["learning_rate"] for event in events.of("epoch")]
    assert rates == pytest.approx([0.02, 0.02 * 2 / 3, 0.02 / 3])
    assert events.of("epoch")[0]["f1"] is None
    assert "**Dev was trained on**" in (tmp_path / "run" / "README.md").read_text()
    assert not (tmp_path / "run" / "predictions.dev.conll").exists()
    assert "TRAINED ON DEV, too: there is no dev score" in (tmp_path / "run" / "report.md").read_text()
    run(toy_config(toy, train_with_dev=True, test=None, epochs=1), tmp_path / "no-test", device=CPU)
    assert Tagger.load(tmp_path / "no-test").tag("Ann sees Rome.").sentences
    assert compare_taggers(read_runs([tmp_path / "run", tmp_path / "run"]))["part"] == "test"
    with pytest.raises(DataError, match="has no dev score"):
        compare_taggers(read_runs([tmp_path / "run", tmp_path / "no-test"]))
    with pytest.raises(UsageError, match="epochs"):
        run(toy_config(toy, bilm=str(bilm), train_with_dev=True, epochs=4), tmp_path / "run", device=CPU, resume=True)
    prepared = prepare(toy_config(toy, train_with_dev=True, dev=None), CPU, lambda event: None)
    assert len(prepared.parts["train"]) == 120
    assert "dev" not in prepared.parts


def test_training_with_dev_resumes_to_the_bit_and_keeps_the_first_seed(toy: Path, tmp_path: Path) -> None:
    changes = {"train_with_dev": True, "epochs": 3}
    options = TrainingOptions(epochs=3, learning_rate=0.02, batch_sentences=8)
    whole, data = begin_with_dev(toy, options)
    expected = [timeless(record) for record in train(whole, data, options)]
    first, data = begin_with_dev(toy, options)
    found = []
    for record in train(first, data, options, checkpoints=tmp_path / "checkpoints"):
        found.append(timeless(record))
        if record.epoch == 2:
            break
    second, data = begin_with_dev(toy, options)
    saved, _ = load_checkpoint(tmp_path / "checkpoints")
    assert saved is not None
    second.restore(saved)
    found += [timeless(record) for record in train(second, data, options)]
    assert found == expected
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name

    report = run(toy_config(toy, seeds=(7, 3), **(changes | {"epochs": 1})), tmp_path / "run", device=CPU)
    assert report["seed"] == 7


def begin_with_dev(toy: Path, options: TrainingOptions):  # type: ignore[no-untyped-def]
    state, data = begin(toy, options)
    data.train, data.dev, data.dev_spans = data.train + data.dev, [], []
    return state, data


def test_flags_reach_the_run(toy: Path, bilm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = "--elmo-at both --mix-layer-norm --no-gamma --mix-l2 0.5 --clip-norm 2 --lr-patience 7 --lr-factor 0.25"
    flags += " --char-dim 3 --char-filters 5 --batch-tokens 99 --max-word-vectors 12 --epochs 1 --patience 3"
    command = ["train-tagger", "--train", toy / "train", "--dev", toy / "dev", "--bilm", bilm, "-o", tmp_path / "run"]
    assert ner_elmo(capsys, *command, *flags.split(), *SMALL)[0] == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    expected = {"elmo_at": "both", "mix_layer_norm": True, "gamma": False, "mix_l2": 0.5, "clip_norm": 2}
    expected |= {"lr_patience": 7, "lr_factor": 0.25, "char_dim": 3, "char_filters": 5, "batch_tokens": 99}
    expected |= {"max_word_vectors": 12, "patience": 3, "epochs": 1}
    assert {name: config[name] for name in expected} == expected
    mistakes = [
        ("give --epochs", ["--train-with-dev"]),
        ("expected input, output or both", ["--elmo-at", "top"]),
        ("leave --word-dim or the character CNN on", ["--elmo-at", "output", "--word-dim", "0", "--no-char-cnn"]),
        ("part of the learned mix", ["--mix", "mean", "--mix-layer-norm"]),
        ("without --word-vectors FILE", ["--no-tune-word-vectors"]),
        ("expected a number above 0", ["--clip-norm", 0]),
    ]
    for message, wrong in mistakes:
        status, out, err = ner_elmo(capsys, *command[:-1], tmp_path / "x", *SMALL, *wrong)
        assert (status, out) == (2, ""), wrong
        assert message in err
        assert err.count("\n") == 1
    assert "expected -o DIRECTORY" in (ner_elmo(capsys, *command[:-2])[2])
    assert not (tmp_path / "x").exists()


def test_a_quick_check_says_whether_it_learns_and_writes_nothing(
    toy: Path, bilm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dev = tmp_path / "dev"
    # Names to be known by their places.
    dev.write_text((toy / "dev").read_text().replace("Ann", "Zoe").replace("Rome", "Cairo"))
    command = ["train-tagger", "--train", toy / "train", "--dev", dev, "--bilm", bilm, *SMALL, "--quick"]
    before = {path: path.stat().st_mtime for path in Path(toy).iterdir()}
    status, out, err = ner_elmo(capsys, *command, "--epochs", 8)
    assert status == 0
    assert "quick check   learns: dev F1" in out
    assert "120 of 120 training sentences" in out
    assert err.count("epoch") >= 3
    status, out, _ = ner_elmo(capsys, *command, "--epochs", 3, "--lr", 1e-9, "--json")
    found = json.loads(out)["quick"]
    assert (status, found["verdict"]) == (1, "does not learn")
    assert found["dev"] < found["baseline"] < 0.95
    assert list(tmp_path.iterdir()) == [dev]
    assert {path: path.stat().st_mtime for path in Path(toy).iterdir()} == before


def test_a_loss_that_is_no_number_does_not_learn(toy: Path) -> None:
    found = quick_check(toy_config(toy, learning_rate=1e30, epochs=2), device=CPU)
    assert found["verdict"] == "does not learn"
    assert "smaller --learning-rate" in found["failure"]


def test_verdicts() -> None:
    assert verdict(0.5, 0.4, still_rising=False) == verdict(1.0, 1.0, still_rising=False) == "learns"
    assert verdict(0.4, 0.5, still_rising=True) == "unclear"
    assert verdict(0.4, 0.5, still_rising=False) == verdict(0.0, 0.0, still_rising=True) == "does not learn"


def test_the_baseline_looks_tokens_up() -> None:
    train_part = [LabelledSentence(("Rome", "x"), (Span(0, 1, "LOC"),))] * 2
    train_part += [LabelledSentence(("Rome", "y"), (Span(0, 1, "ORG"),))]
    assert look_up(train_part, [["Rome", "z"]], "iob2") == [[Span(0, 1, "LOC")]]
    tagged = [LabelledSentence(("a", "b", "c"), (Span(0, 1, "X"), Span(1, 2, "Y"), Span(2, 3, "Y")))]
    assert look_up(tagged, [["a", "new"]], "token") == [[Span(0, 1, "X"), Span(1, 2, "Y")]]
    ten = [LabelledSentence((str(i),), ()) for i in range(10)]
    assert [sentence.tokens[0] for sentence in spread(ten, 4)] == ["0", "2", "5", "7"]


@pytest.mark.parametrize("changes", [{}, {"char_dim": 0}])
def test_a_tagger_without_word_vectors_learns_and_tags(
    toy: Path, bilm: Path, tmp_path: Path, changes: dict[str, int]
) -> None:
    config = toy_config(toy, bilm=str(bilm), word_dim=0, epochs=1, **changes)
    run(config, tmp_path, device=torch.device("cpu"))
    tagger = Tagger.load(tmp_path)
    assert tagger.tag("Anna lives in Rome .").text == "Anna lives in Rome ."
