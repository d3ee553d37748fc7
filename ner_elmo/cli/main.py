"""``ner-elmo``: one thin file a command; each parses, calls one function and prints."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from ner_elmo import __version__
from ner_elmo.cli import show
from ner_elmo.cli.panels import PanelledCommand, Program
from ner_elmo.cli.streams import flush_standard_output, give_up_standard_output, open_standard_streams, say
from ner_elmo.errors import DataError, NerElmoError, UsageError, describe_os_error, is_out_of_memory, leave_out_excerpts
from ner_elmo.runs.launch import is_first
from ner_elmo.runs.memory import keep_memory
from ner_elmo.text.files import MOST_SHOWN, shown_name

# What typer raises for a command line it cannot parse; newer versions keep the class to themselves.
_CommandLineError: type[Exception] = typer.BadParameter.__mro__[1]

NO_EXCERPTS = "--no-excerpts"
_FIRST_HAS_SPOKEN = 10.0  # seconds, after which one of several processes no longer waits to be ended

# In the order of --help. Each is a module of this folder, and is imported where it is asked for.
COMMANDS = (
    "pretrain",
    "perplexity",
    "train-tagger",
    "join",
    "evaluate",
    "tag",
    "serve",
    "suggest",
    "embed",
    "explore",
    "check",
    "convert",
    "compare",
    "info",
    "push",
    "pull",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"ner-elmo {__version__}")
        raise typer.Exit


def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version and stop")
    ] = False,
    no_excerpts: Annotated[  # taken away before, wherever it stands
        bool, typer.Option(NO_EXCERPTS, help="with any command: messages quote nothing of what is read")
    ] = False,
) -> None:
    pass


def _program(arguments: Sequence[str]) -> typer.Typer:
    """The program with the command that ``arguments`` begin with; with all commands where that is none of them."""
    program = typer.Typer(
        name="ner-elmo",
        cls=Program,
        help="Named-entity tagging on deep contextual word vectors that you can train yourself.",
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    program.callback()(_global_options)
    for name in arguments[:1] if arguments[0] in COMMANDS else COMMANDS:
        module = import_module(f"ner_elmo.cli.{name.replace('-', '_')}")
        program.command(module.NAME, cls=PanelledCommand, epilog=module.EXAMPLE)(module.command)
    return program


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status (see ``docs/design.md`` §5)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    leave_out_excerpts(NO_EXCERPTS in arguments or bool(os.environ.get("NER_ELMO_NO_EXCERPTS")))
    arguments = [argument for argument in arguments if argument != NO_EXCERPTS] or ["--help"]
    open_standard_streams()
    keep_memory()
    try:
        status = _program(arguments)(args=arguments, prog_name="ner-elmo", standalone_mode=False)
        flush_standard_output()
        return status if isinstance(status, int) else 0
    except _CommandLineError as error:
        if _first_says(error):
            return 2
        where = getattr(getattr(error, "ctx", None), "command_path", None) or "ner-elmo"
        say(f"{where}: {error.format_message()} (try {where} --help)")  # type: ignore[attr-defined]
        return 2
    except NerElmoError as error:
        if "--debug" in arguments:
            raise
        if _first_says(error):
            return error.exit_status
        _say(str(error), arguments)
        return error.exit_status
    except KeyboardInterrupt:
        say("ner-elmo: interrupted")
        return 130
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing more to say, and nobody to say it to.
        give_up_standard_output()
        return 1
    except OSError as error:
        if "--debug" in arguments:
            raise
        if error.errno == errno.ENAMETOOLONG and error.filename and str(error.filename) in arguments:
            _say(
                f"{shown_name(error.filename)}: no such file (to tag text itself: echo TEXT | ner-elmo tag -)",
                arguments,
            )
            return 2
        if error.filename is None:  # no file of ours: those are named where they are written
            give_up_standard_output()
            _say(f"standard output: cannot be written ({error.strerror or error})", arguments)
            return 1
        _say(describe_os_error(error), arguments)
        return 1
    except (MemoryError, RuntimeError) as error:
        if "--debug" in arguments or not is_out_of_memory(error):
            raise
        _say("out of memory; try a smaller --batch-tokens, or a smaller model", arguments)
        return 1


def _say(message: str, arguments: Sequence[str]) -> None:
    for argument in arguments:
        if "\n" in argument or len(argument) > MOST_SHOWN:  # a text where a name should be
            message = message.replace(argument, shown_name(argument))
    say(f"ner-elmo: {show.printable(message)}")


def _first_says(error: Exception) -> bool:
    """Whether another process says the same as ``error``, which is the user's mistake; waits until it has.

    ``torchrun`` ends all processes as soon as one ends, so a process that must not speak must not end first either.
    """
    if is_first() or (isinstance(error, NerElmoError) and not isinstance(error, UsageError | DataError)):
        return False
    time.sleep(_FIRST_HAS_SPOKEN)
    return True
