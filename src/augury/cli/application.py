"""The application: every command is registered on it, under the group it is listed in."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

# Groups of `augury --help`, in this order.
GROUPS = ("Measure", "Analyse", "Forecast", "Study", "Setup")
MEASURE, ANALYSE, FORECAST, STUDY, SETUP = GROUPS


class GroupedCommands(TyperGroup):
    """Commands listed under what they are for."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = max(len(name) for name in self.commands) + 2
        for group in GROUPS:
            rows = [
                (f"{name:{width}s}", command.get_short_help_str(limit=formatter.width))
                for name, command in self.commands.items()
                if getattr(command, "rich_help_panel", None) == group
            ]
            with formatter.section(group):
                formatter.write_dl(rows)


app = typer.Typer(
    cls=GroupedCommands,
    help="Forecast which abilities a larger language model will have, before you pay for it.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        from augury import __version__

        print(f"augury {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Options before the command."""
