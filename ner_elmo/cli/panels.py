"""``--help`` in plain text: short words for what a flag takes, options in sections, an example at the end."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand, TyperGroup

# What typer's versions call the kinds of values, and what a reader calls them.
_KINDS = {
    "path": "PATH",
    "filename": "PATH",
    "str": "TEXT",
    "text": "TEXT",
    "int": "N",
    "integer": "N",
    "float": "X",
}
_KIND = re.compile(r"(?<= )<?(?:list\[)?(path|filename|str|text|int|integer|float)\]?(?: range)?>?$", re.IGNORECASE)
_LEAST = re.compile(r"\bx>=(-?\d+)(?:\.0)?")
_BETWEEN = re.compile(r"\b(-?\d+)(?:\.0)?<=x<=(-?\d+)(?:\.0)?")
_MANY = re.compile(r"(\[?)([A-Z]+)(?:\.\.\.)?(\]?)\.\.\.")
_BRACES = re.compile(r"\{([A-Z.]+)\}")
_WIDEST = 1000  # letters of a summary: all of it


class PanelledCommand(TyperCommand):
    """A command whose options stand in sections: first those without a panel, then each panel as it first occurs.

    Its epilog is an example: lines that are shown as they are.
    """

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Many values are ``NAME...``, once."""
        pieces = " ".join(self.collect_usage_pieces(ctx))
        formatter.write_usage(ctx.command_path, _MANY.sub(r"\1\2...\3", _BRACES.sub(r"\1", pieces)))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections; arguments have one, too."""
        panels: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        last: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            is_argument = parameter.param_type_name == "argument"
            record = readable(record, is_argument)
            if parameter.name in ("debug", "help"):
                last.append(record)
            elif is_argument:
                panels["Arguments"].append(record)
            else:
                panels.setdefault(getattr(parameter, "rich_help_panel", None) or "Options", []).append(record)
        for panel, records in [*panels.items(), ("Help", last)]:
            if records:
                with formatter.section(panel):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The example."""
        if self.epilog:
            with formatter.section("Example"):
                for line in self.epilog.splitlines():
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Program(TyperGroup):
    """The list of commands, each with the whole of its summary."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """A command a row."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append((name, command.get_short_help_str(_WIDEST)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def readable(record: tuple[str, str], is_argument: bool) -> tuple[str, str]:
    """What is taken (``--threads <int range>``) and what it means, in a reader's words."""
    name, meaning = record
    if is_argument:
        is_many = "..." in name
        name = re.sub(r"[^\w-]", "", name.split(" ")[0]) + ("..." if is_many else "")
    else:
        name = _KIND.sub(lambda found: _KINDS[found[1].lower()], name)
    return name, _BETWEEN.sub(r"\1 to \2", _LEAST.sub(r"at least \1", meaning))
