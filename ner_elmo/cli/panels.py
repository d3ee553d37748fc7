"""``--help`` in plain text, with options grouped under the names that ``rich_help_panel`` gives them."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class PanelledCommand(TyperCommand):
    """A command whose options stand in sections: first those without a panel, then each panel as it first occurs."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections; arguments have one, too."""
        panels: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        last: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            if parameter.name in ("debug", "help"):
                last.append(record)
            elif parameter.param_type_name == "argument":
                panels["Arguments"].append(record)
            else:
                panels.setdefault(getattr(parameter, "rich_help_panel", None) or "Options", []).append(record)
        for panel, records in [*panels.items(), ("Help", last)]:
            if records:
                with formatter.section(panel):
                    formatter.write_dl(records)
