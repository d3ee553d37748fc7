"""A setting stands in one place, and a wrong value is refused in the same words wherever it comes from."""

from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from ner_elmo.bilm.pretraining import config as pretraining
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.cli.main import main
from ner_elmo.cli.reference import commands_page, settings_page
from ner_elmo.errors import DataError, UsageError
from ner_elmo.settings import SettingError, Source, build, expected, read_values, refuse_changes, settings_of
from ner_elmo.tagger.training import config as tagging
from ner_elmo.tagger.training.config import TaggerConfig
from ner_elmo.text.formats.conll import Reading

BOTH: list[tuple[type, dict[str, Any]]] = [(PretrainConfig, {"corpus": ["x"]}), (TaggerConfig, {"train": "x"})]

WRONG: list[tuple[type, dict[str, Any], str, str]] = [
    (PretrainConfig, {"optimizer": "sgd"}, "optimizer", 'found "sgd", expected adam, adamw or adagrad'),
    (PretrainConfig, {"schedule": "cosine"}, "schedule", 'found "cosine", expected linear or slanted'),
    (PretrainConfig, {"softmax": "full"}, "softmax", 'found "full", expected auto, sampled or exact'),
    (PretrainConfig, {"unroll_steps": 0}, "unroll_steps", "found 0, expected a whole number of at least 1"),
    (PretrainConfig, {"learning_rate": -1.0}, "learning_rate", "found -1.0, expected a number above 0"),
    (PretrainConfig, {"learning_rate": float("nan")}, "learning_rate", "found NaN, expected a number above 0"),
    (PretrainConfig, {"dropout": 1.0}, "dropout", "found 1.0, expected a number from 0 to below 1"),
    (PretrainConfig, {"seed": -1}, "seed", "found -1, expected a whole number from 0 to 4,294,967,295"),
    (PretrainConfig, {"unfreeze": 0.5}, "unfreeze", "found 0.5, which has a meaning with --init only"),
    (PretrainConfig, {"rows": 4}, "rows", "found 4, which has a meaning with --carry-state only"),
    (TaggerConfig, {"elmo_at": "top"}, "elmo_at", 'found "top", expected input, output or both'),
    (TaggerConfig, {"lr_factor": 1.0}, "lr_factor", "found 1.0, expected a number from 0.01 to 0.99"),
    (
        TaggerConfig,
        {"seeds": (1, 1)},
        "seeds",
        "found [1, 1], expected whole numbers from 0 to 4,294,967,295, each once",
    ),
    (TaggerConfig, {"storage": "int4"}, "storage", 'found "int4", expected float32 or float16'),
    (TaggerConfig, {"mix": "top"}, "mix", "found 'top', expected learned, mean, or the number of a layer such as 2"),
]


def as_flag(owner: type, name: str, value: Any) -> list[str]:
    flag = settings_of(owner)[name].flag
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return [flag, text]


@pytest.mark.parametrize(("owner", "values", "key", "problem"), WRONG)
def test_a_wrong_value_is_refused_in_the_same_words(
    owner: type, values: dict[str, Any], key: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = dict(BOTH)[owner]
    with pytest.raises(SettingError) as error:
        owner(**needed, **values)
    assert (error.value.key, error.value.problem[: len(problem)]) == (key, problem)

    file = tmp_path / "some.json"
    file.write_text(json.dumps(needed | values))
    command = ["pretrain"] if owner is PretrainConfig else ["train-tagger"]
    assert main([*command, "--config", str(file), "-o", str(tmp_path / "out")]) == 3
    assert capsys.readouterr().err.startswith(f"ner-elmo: {file}: {key}: {problem}")

    file.write_text(json.dumps(needed))
    flags = [text for name, value in values.items() for text in as_flag(owner, name, value)]
    assert main([*command, "--config", str(file), "-o", str(tmp_path / "out"), *flags]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"ner-elmo: {settings_of(owner)[key].flag}: {problem}")
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_unknown_key_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    file = tmp_path / "some.json"
    file.write_text('{"learning_rat": 1}')
    with pytest.raises(
        DataError, match=r"some\.json: found an unknown setting 'learning_rat'; did you mean 'learning_rate'"
    ):
        read_values(file, PretrainConfig)
    file.write_text('{"qqqq": 1}')
    with pytest.raises(DataError, match="expected some of average, batch_sentences"):
        read_values(file, TaggerConfig)
    file.write_text("[1]")
    with pytest.raises(DataError, match="expected an object with settings"):
        read_values(file, TaggerConfig)


def test_a_few_settings_are_enough_in_json_and_toml_and_flags_override_them(tmp_path: Path) -> None:
    (tmp_path / "some.json").write_text('{"corpus": ["a"], "epochs": 3, "optimizer": "adagrad"}')
    (tmp_path / "some.toml").write_text('corpus = ["a"]\nepochs = 3\noptimizer = "adagrad"\n')
    for name in ("some.json", "some.toml"):
        config = pretraining.config_from({}, tmp_path / name)
        assert config == PretrainConfig(["a"], epochs=3, optimizer="adagrad")
        assert (config.learning_rate, config.clip_norm, config.warmup_steps) == (0.2, 10.0, 0)
        over = pretraining.config_from({"epochs": 1, "optimizer": "adam"}, tmp_path / name)
        assert (over.epochs, over.optimizer, over.learning_rate) == (1, "adam", 0.002)
    (tmp_path / "tagger.toml").write_text('train = "t"\nseeds = [1, 2]\nchar_cnn = false\n')
    tagger = tagging.config_from({"epochs": 2}, tmp_path / "tagger.toml")
    assert tagger == TaggerConfig(train="t", seeds=(1, 2), char_dim=0, epochs=2)
    assert tagging.config_from({"seed": 7}, tmp_path / "tagger.toml").seeds == (7,)


def test_other_words_for_a_setting_take_its_place() -> None:
    earlier = Source("run/config.json", {"corpus": ["x"], "options": {"lstm": {"dim": 1}}, "checkpoint_steps": 9})
    later = build(PretrainConfig, [earlier, Source("", {"size": "tiny", "checkpoint_minutes": 2.0})])
    assert later.bilm_options.lstm.dim == 128
    assert (later.size, later.checkpoint_steps, later.checkpoint_minutes) == (None, None, 2.0)
    rows = build(PretrainConfig, [Source("", {"corpus": ["x"], "carry_state": True, "rows": 4, "unroll_steps": 5})])
    assert (rows.batch_tokens, rows.rows) == (20, None)


@pytest.mark.parametrize(("owner", "needed"), BOTH)
def test_settings_read_back_from_what_a_run_writes(owner: Any, needed: dict[str, Any], tmp_path: Path) -> None:
    config = owner(**needed)
    (tmp_path / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    module = pretraining if owner is PretrainConfig else tagging
    assert module.read_config(tmp_path / "config.json") == config


@pytest.mark.parametrize(("owner", "needed"), BOTH)
def test_a_resumed_run_may_change_what_says_so_and_nothing_else(owner: Any, needed: dict[str, Any]) -> None:
    before = owner(**needed)
    for known in settings_of(owner).values():
        now = dataclasses.replace(before)
        object.__setattr__(now, known.name, "another")
        if known.of.may_change:
            refuse_changes("run", before, now)
        else:
            with pytest.raises(UsageError, match=f'run: --resume with another {known.name} \\("another", the run has'):
                refuse_changes("run", before, now)


@pytest.mark.parametrize("owner", [PretrainConfig, TaggerConfig, Reading])
def test_every_field_is_a_setting_with_words_and_its_default_fits(owner: Any) -> None:
    known = settings_of(owner)
    assert set(known) == {field.name for field in dataclasses.fields(owner)}
    for one in known.values():
        assert one.of.help
        assert expected(one)
        assert not one.of.help.endswith(".")


def test_every_flag_of_a_setting_is_one_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    for command, owner in (("pretrain", PretrainConfig), ("train-tagger", TaggerConfig), ("check", Reading)):
        assert main([command, "--help"]) == 0
        text = capsys.readouterr().out
        for known in settings_of(owner).values():
            if known.flag:
                assert (
                    f"{known.flag} " in text or f"{known.flag}," in text or f"{known.flag}/" in text.replace(" / ", "/")
                )


def test_no_setting_of_a_dataclass_is_written_into_a_command() -> None:
    """A command names no setting among its own parameters."""
    from ner_elmo.cli import pretrain, train_tagger

    for module, owner in ((pretrain, PretrainConfig), (train_tagger, TaggerConfig)):
        own = inspect.unwrap(module.command).__code__.co_varnames[: module.command.__wrapped__.__code__.co_argcount]
        assert set(own) & set(settings_of(owner)) <= {"corpus"}  # its files are the command's argument


def test_the_documentations_tables_are_the_settings(repository: Path) -> None:
    page = (repository / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == settings_page(), "run: python -m ner_elmo.cli.reference > docs/settings.md"


def test_the_documentations_commands_are_the_commands(repository: Path) -> None:
    page = (repository / "docs" / "commands.md").read_text(encoding="utf-8")
    assert page == commands_page(), "run: python -m ner_elmo.cli.reference commands > docs/commands.md"


def test_every_optimizer_and_schedule_that_is_accepted_is_one() -> None:
    from ner_elmo.bilm.pretraining.optimizers import MAKERS
    from ner_elmo.bilm.pretraining.schedule import SCHEDULES

    assert settings_of(PretrainConfig)["optimizer"].of.choices == tuple(MAKERS) == tuple(pretraining.OPTIMIZERS)
    assert settings_of(PretrainConfig)["schedule"].of.choices == tuple(SCHEDULES)


def test_a_run_that_goes_on_is_held_to_a_configuration_file_too(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = str(repository / "data" / "sample.train.conll")
    small = ["--word-dim", "4", "--no-char-cnn", "--hidden-size", "4", "--epochs", "1", "--device", "cpu"]
    command = ["train-tagger", "-o", str(tmp_path / "run")]
    assert main([*command, "--train", train, *small]) == 0
    (tmp_path / "some.json").write_text('{"hidden_dim": 5}')
    assert main([*command, "--resume", "--config", str(tmp_path / "some.json")]) == 2
    assert "--resume with another hidden_dim (5, the run has 4)" in capsys.readouterr().err
    (tmp_path / "some.json").write_text('{"hidden_dim": 4}')
    assert main([*command, "--resume", "--config", str(tmp_path / "some.json")]) == 0
