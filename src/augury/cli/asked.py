"""Options that many commands share, declared once: a command names those that it has."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from augury.cli.arguments import read_rows
from augury.cli.options import AsJson, Level, Map, Scale, Seed, Tasks, Where
from augury.cli.printing import print_answer, print_json
from augury.cli.saving import check_out, save_with_figures

if TYPE_CHECKING:
    import polars as pl

    from augury.forecast.questions import Answer

Out = Annotated[Path | None, typer.Option(help="Folder for the answer and its figures.")]
AnyLevel = Annotated[float | None, typer.Option(help="Level of the intervals. Default: .9.")]
# Type and default of each. `any_level` is `level` for commands where a saved fit brings its own.
SHARED: dict[str, tuple[Any, Any]] = {
    "map_": (Map, None),
    "scale": (Scale, None),
    "tasks": (Tasks, None),
    "where": (Where, None),
    "level": (Level, 0.9),
    "any_level": (AnyLevel, None),
    "seed": (Seed, 0),
    "out": (Out, None),
    "as_json": (AsJson, False),
}


@dataclass(frozen=True)
class Asked:
    """The values of the shared options; those that a command lacks have their defaults."""

    map_: list[str] | None = None
    scale: list[str] | None = None
    tasks: list[str] | None = None
    where: str | None = None
    level: Any = 0.9
    seed: int = 0
    out: Path | None = None
    as_json: bool = False

    @property
    def some_level(self) -> float:
        """The level, .9 by default."""
        return 0.9 if self.level is None else float(self.level)

    def rows(self, table: Path, needed: Sequence[str], output: str | None) -> pl.DataFrame:
        """Read the rows of a table, as `read_rows` does; `--out` is checked first."""
        check_out(self.out)
        return read_rows(table, self.map_, self.where, needed, output, self.scale, tasks=self.tasks)

    def show(self, answer: Answer, as_json: Any = None) -> None:
        """Write the answer and its figures if requested, and print it.

        Args:
            answer: any answer.
            as_json: what to print as JSON instead of the whole answer.
        """
        if self.out is not None:
            save_with_figures(answer, self.out)
        if self.as_json:
            print_json(answer.to_dict() if as_json is None else as_json)
            return
        print_answer(answer, answer.remedy)
        if self.out is not None:
            print(f"  Pictures: {self.out / 'figures'}")


def with_shared(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add shared options after a command's own; it takes them as its first argument, `Asked`.

    Args:
        names: of `SHARED`, in the order in which the help lists them.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
        shared = [
            inspect.Parameter(
                name.removeprefix("any_"),
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                annotation=SHARED[name][0],
                default=SHARED[name][1],
            )
            for name in names
        ]

        def run(**given: Any) -> None:
            said = {p.name: given.pop(p.name) for p in shared}
            command(Asked(**said), **given)

        every: Any = run  # Typer reads this from a function
        every.__signature__ = inspect.Signature([*own, *shared])
        every.__annotations__ = {p.name: p.annotation for p in (*own, *shared)}
        every.__name__, every.__doc__ = command.__name__, command.__doc__
        return run

    return decorate
