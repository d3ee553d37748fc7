"""``ner-elmo``: one thin file a command; each parses, calls one function and prints."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ner_elmo import __version__
from ner_elmo.cli import convert, embed, evaluate, info, perplexity, pretrain, tag, train_tagger
from ner_elmo.errors import NerElmoError

app = typer.Typer(
    name="ner-elmo",
    help="Named-entity tagging on deep contextual word vectors that you can train yourself.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"ner-elmo {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version and stop")
    ] = False,
) -> None:
    pass


for _command in (pretrain, perplexity, train_tagger, evaluate, tag, embed, convert, info):
    app.command(_command.NAME)(_command.command)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status (see ``docs/design.md`` §5)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        # typer's own handling stays on for usage errors (status 2); it exits instead of returning.
        app(args=arguments, prog_name="ner-elmo")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except NerElmoError as error:
        if "--debug" in arguments:
            raise
        print(f"ner-elmo: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("ner-elmo: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing more to say, and nobody to say it to.
        sys.stderr.close()
        return 1
    except MemoryError:
        if "--debug" in arguments:
            raise
        print("ner-elmo: out of memory; try a smaller --batch-tokens", file=sys.stderr)
        return 1
    return 0
