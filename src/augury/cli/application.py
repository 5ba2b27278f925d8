"""The application: every command is registered on it, in the group that lists it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cache
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from augury.cli.printing import QUIET, VERBOSE, set_talk

# Groups of `augury --help`, in this order.
GROUPS = ("Measure", "Analyse", "Forecast", "Study", "Setup")
WHOLE = 200  # characters of a command's first sentence in the list: none is cut off
MEASURE, ANALYSE, FORECAST, STUDY, SETUP = GROUPS


def talk_options() -> list[Any]:
    """Return -q and -v, which are accepted before and after the command.

    Typer builds options from a function: this one has only these two.
    """

    def options(
        quiet: Annotated[
            bool,
            typer.Option(
                "--quiet",
                "-q",
                help="No notes and no progress on standard error.",
                callback=lambda asked: set_talk(QUIET) if asked else None,
            ),
        ] = False,
        verbose: Annotated[
            bool,
            typer.Option(
                "--verbose",
                "-v",
                help="Report what was read and how long it took; show where an error arose.",
                callback=lambda asked: set_talk(VERBOSE) if asked else None,
            ),
        ] = False,
    ) -> None: ...

    alone = typer.Typer(add_completion=False)
    alone.command()(options)
    found: list[Any] = [p for p in typer.main.get_command(alone).params if p.name != "help"]
    for option in found:
        option.expose_value = False
    return found


class GroupedCommands(TyperGroup):
    """Commands listed by purpose, each with the common options."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        talk = talk_options()
        for command in (self, *self.commands.values()):
            command.params += talk

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = max(len(name) for name in self.commands) + 2
        for group in GROUPS:
            rows = [
                (f"{name:{width}s}", command.get_short_help_str(limit=WHOLE))
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
    """Handle the options before the command."""


def command_of(words: Sequence[str]) -> Any:
    """Build the command line for these words: with their command alone, or with all.

    Typer takes .07 s of CPU to build all of them.
    """
    asked = next((word for word in words if not word.startswith("-")), "")
    known = [_name(command) for command in app.registered_commands]
    return _built(asked if asked in known else None)


@cache
def _built(name: str | None) -> Any:
    some = copy(app)
    if name is not None:
        some.registered_commands = [c for c in app.registered_commands if _name(c) == name]
    return typer.main.get_command(some)


def _name(command: Any) -> str:
    return str(command.name or typer.main.get_command_name(command.callback.__name__))
