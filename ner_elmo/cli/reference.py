"""The documentation's pages of settings and of commands, made from these themselves.

python -m ner_elmo.cli.reference > docs/settings.md
python -m ner_elmo.cli.reference commands > docs/commands.md
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import typer

from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.cli.main import COMMANDS
from ner_elmo.cli.panels import PanelledCommand
from ner_elmo.service.settings import ServeSettings
from ner_elmo.settings import as_markdown
from ner_elmo.tagger.tagging.settings import TagSettings
from ner_elmo.tagger.training.config import TaggerConfig
from ner_elmo.text.formats.conll import Reading

_HEAD = """# Settings

Made from the settings themselves by `python -m ner_elmo.cli.reference`; do not edit it by hand.

The first column is the key in a configuration file (`--config FILE`, JSON or TOML; a few keys are enough) and in
Python. Flags override the file. A run writes all settings as they took effect to `config.json`, and `--resume` reads
them there.
"""


def settings_page() -> str:
    """``docs/settings.md``."""
    parts = [
        ("`ner-elmo pretrain`", PretrainConfig),
        ("`ner-elmo train-tagger`", TaggerConfig),
        ("`ner-elmo tag`", TagSettings),
        ("`ner-elmo serve`", ServeSettings),
        ("Labelled files: `check`, `convert`, `evaluate`", Reading),
    ]
    return _HEAD + "".join(f"\n## {title}\n\n{as_markdown(owner)}" for title, owner in parts)


_COMMANDS_HEAD = """# Commands

Made from the commands themselves by `python -m ner_elmo.cli.reference commands`; do not edit it by hand.
`ner-elmo COMMAND --help` prints the same. [Settings](settings.md) has the values that each option takes.

What all commands do alike: results go to standard output, progress and messages to standard error. `-` is standard
input. Packed files (`.gz`, `.bz2`, `.xz`, `.zst`) are read as they are. An output that exists is replaced only with
`--force`. `--json` prints one JSON object and nothing else. The exit status says what happened:

| status | what it means |
| --- | --- |
| 0 | done |
| 1 | it could not be done: a damaged model, no memory, a full disk, some inputs failed |
| 2 | wrong usage: an unknown option, a missing file, an output that exists |
| 3 | the data is at fault; the message has the form `file:line: found …, expected …` |
| 130, 143 | stopped by Ctrl-C, or by SIGTERM |
"""


def commands_page() -> str:
    """``docs/commands.md``: what each command does, its arguments and its options, section by section."""
    return _COMMANDS_HEAD + "".join(_command_part(name, _command(name)) for name in COMMANDS)


def _command(name: str) -> Any:
    module = import_module(f"ner_elmo.cli.{name.replace('-', '_')}")
    alone = typer.Typer(add_completion=False)
    alone.command(module.NAME, cls=PanelledCommand)(module.command)
    return typer.main.get_command(alone)


def _command_part(name: str, command: Any) -> str:
    summary, *notes = command.help.split("\n\n")
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    usage = " ".join(["ner-elmo", name, "[OPTIONS]", *(_argument_name(argument) for argument in arguments)])
    sections: dict[str, list[Any]] = {"Options": []}
    for parameter in command.params:
        if parameter.param_type_name == "option":
            sections.setdefault(parameter.rich_help_panel or "Options", []).append(parameter)
    return "".join(
        [
            f"\n## `ner-elmo {name}`\n\n{_one_line(summary)}\n\n    {usage}\n",
            *(f"\n{_one_line(note)}\n" for note in notes),
            _table("argument", [(_argument_name(argument), argument.help) for argument in arguments]),
            *(
                f"\n**{title}**\n"
                + _table("option", [(_option_name(option), _option_help(option)) for option in options])
                for title, options in sections.items()
                if options
            ),
        ]
    )


def _table(what: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"| {what} | what it is |", "| --- | --- |"]
    lines += [f"| `{_cell(name)}` | {_cell(text, is_words=True)} |" for name, text in rows]
    return "\n" + "\n".join(lines) + "\n" if rows else ""


def _cell(text: str, is_words: bool = False) -> str:
    text = _one_line(text).replace("|", "\\|")
    return text.replace("*", "\\*").replace("<", "&lt;").replace("[", "\\[") if is_words else text


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _argument_name(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _option_name(option: Any) -> str:
    return ", ".join([*sorted(option.opts, key=len), *option.secondary_opts])


def _option_help(option: Any) -> str:
    """Its help, with the default that the program itself would show, but for switches."""
    has_own = "[default:" in (option.help or "")
    has_default = option.show_default is True and option.default not in (None, False, (), [])
    return f"{option.help}{f' [default: {option.default}]' if has_default and not has_own else ''}"


if __name__ == "__main__":
    sys.stdout.write(commands_page() if sys.argv[1:] == ["commands"] else settings_page())
