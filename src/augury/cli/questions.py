"""Commands that answer a question: optimal, ladder, versus, mix, repeat, size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from augury.cli import startup
from augury.cli.application import FORECAST, app
from augury.cli.arguments import needed_columns, parse_point
from augury.cli.asked import Asked, with_shared
from augury.cli.completing import complete_law
from augury.cli.options import Table
from augury.cli.printing import detail
from augury.errors import UsageError

if TYPE_CHECKING:
    from augury.fitting import Fit
    from augury.forecast.questions import Answer


@app.command(rich_help_panel=FORECAST)
@with_shared("map_", "scale", "where", "any_level", "seed", "out", "as_json")
def optimal(
    asked: Asked,
    fitted: Annotated[
        Path,
        typer.Argument(
            metavar="FIT",
            help="A folder of `fit --out`; or a table of equal budgets, or (--law) of any.",
        ),
    ],
    flops: Annotated[str | None, typer.Option(help="The budget: 1e24.")] = None,
    tokens: Annotated[str | None, typer.Option(help="In place of a budget: 1.4T.")] = None,
    params: Annotated[str | None, typer.Option(help="In place of a budget: 70B.")] = None,
    loss: Annotated[
        str | None, typer.Option(help=("Find the smallest budget that reaches this loss."))
    ] = None,
    served: Annotated[
        str | None,
        typer.Option(help="Tokens to serve, which the budget also pays for: 10T."),
    ] = None,
    law: Annotated[
        str | None,
        typer.Option(
            help="Fit this law to the table first: chinchilla.", autocompletion=complete_law
        ),
    ] = None,
) -> None:
    """Find the parameters and tokens on which to spend a budget."""
    from augury.forecast.questions import find_optimum, isoflop_optimum

    given = {
        name: parse_amount(name, text)
        for name, text in (("flops", flops), ("tokens", tokens), ("params", params))
    }
    asked_loss, serving = parse_amount("loss", loss), parse_amount("served", served)
    answer: Answer
    if fitted.is_dir() or law is not None:
        source = law_fit(fitted, law, asked)
        with startup.computing("finding the optimum"):
            answer = find_optimum(
                source, **given, loss=asked_loss, served=serving or 0.0, level=asked.level
            )
    else:
        if asked_loss is not None or serving is not None:
            raise UsageError("--loss and --served need a fit, or --law to fit the table with")
        data = asked.rows(fitted, ("params", "flops", "loss"), "loss")
        with startup.computing("fitting a parabola per budget"):
            answer = isoflop_optimum(data, **given, level=asked.some_level, seed=asked.seed)
    asked.show(answer)


@app.command(rich_help_panel=FORECAST)
@with_shared("map_", "scale", "tasks", "where", "level", "seed", "out", "as_json")
def ladder(
    asked: Asked,
    table: Annotated[Path, typer.Argument(help="Runs, tasks and checkpoints: a table.")],
    at: Annotated[str, typer.Option(help='The target: "params=7B,tokens=4T".')],
    threshold: Annotated[
        float | None, typer.Option(help="A score: report each task's probability of passing it.")
    ] = None,
) -> None:
    """Forecast all tasks of a ladder: score, interval, probability of passing a threshold."""
    from augury.forecast.questions import ladder_outlook

    data = asked.rows(table, ("task", "params", "tokens", "value"), "value")
    point = parse_point(at)
    with startup.computing("forecasting the ladder's tasks"):
        answer = ladder_outlook(
            data, point, threshold=threshold, level=asked.level, seed=asked.seed
        )
    asked.show(answer, answer.to_list())


@app.command(rich_help_panel=FORECAST)
@with_shared("map_", "scale", "where", "level", "seed", "out", "as_json")
def versus(
    asked: Asked,
    table: Table,
    by: Annotated[str, typer.Option(help="Column that distinguishes the series.")],
    between: Annotated[
        str | None, typer.Option(help="Two of its values, A,B, if there are more.")
    ] = None,
    over: Annotated[
        str, typer.Option(help="Quantity of the ratio: flops, params or tokens.")
    ] = "flops",
    output: Annotated[
        str | None, typer.Option(help="Column compared. Default: loss, else value.")
    ] = None,
    law: Annotated[
        str | None,
        typer.Option(
            help="Law of each series. Default: depends on the table.", autocompletion=complete_law
        ),
    ] = None,
) -> None:
    """Compare two series: the ratio of compute at equal loss or score, and where they cross."""
    from augury.forecast.questions import compare_series

    pair = None if between is None else tuple(part.strip() for part in between.split(","))
    if pair is not None and len(pair) != 2:
        raise UsageError(f"--between '{between}': expected two names, A,B")
    data = asked.rows(table, (over,), output or "loss")
    with startup.computing("comparing the series"):
        answer = compare_series(
            data,
            by,
            between=pair,
            output=output,
            over=over,
            law=law,
            level=asked.level,
            seed=asked.seed,
        )
    asked.show(answer)


@app.command(rich_help_panel=FORECAST)
@with_shared("map_", "where", "level", "seed", "out", "as_json")
def mix(
    asked: Asked,
    table: Table,
    minimise: Annotated[
        list[str] | None, typer.Option(help="Column of a loss. Repeat for the mean of several.")
    ] = None,
    maximise: Annotated[
        list[str] | None, typer.Option(help="Column of a score. Repeat for the mean of several.")
    ] = None,
    cap: Annotated[
        list[str] | None, typer.Option(help='Greatest share: "web=.6". Default: the largest tried.')
    ] = None,
    floor: Annotated[list[str] | None, typer.Option(help='Least share: "code=.1".')] = None,
    unique: Annotated[
        list[str] | None, typer.Option(help='Tokens there are: "books=30B". Needs --tokens.')
    ] = None,
    tokens: Annotated[str | None, typer.Option(help="Tokens of the planned run: 2T.")] = None,
    epochs: Annotated[float, typer.Option(help="How often unique tokens may be repeated.")] = 4.0,
    rank: Annotated[
        Path | None,
        typer.Option(help="A table of mixtures: rank these for a larger model instead."),
    ] = None,
) -> None:
    """Find the best training mixture under limits, and which mixtures to train next."""
    from augury.data import read_table
    from augury.forecast.questions import find_mixture, rank_mixtures

    data = asked.rows(table, [*(minimise or ()), *(maximise or ())], None)
    if rank is not None:
        if cap or floor or unique or tokens:
            raise UsageError("--rank takes mixtures as they are: no --cap, --floor or --unique")
        mixtures = read_table(rank)
        with startup.computing("ranking the mixtures"):
            ranked = rank_mixtures(
                data,
                mixtures,
                minimise=minimise or (),
                maximise=maximise or (),
                level=asked.level,
                seed=asked.seed,
            )
        asked.show(ranked)
        return
    with startup.computing("finding the best mixture"):
        answer = find_mixture(
            data,
            minimise=minimise or (),
            maximise=maximise or (),
            caps=parse_pairs("cap", cap),
            floors=parse_pairs("floor", floor),
            unique_tokens=parse_pairs("unique", unique),
            tokens=parse_amount("tokens", tokens),
            epochs=epochs,
            level=asked.level,
            seed=asked.seed,
        )
    asked.show(answer)


def parse_pairs(option: str, texts: list[str] | None) -> dict[str, float]:
    """Parse NAME=NUMBER pairs.

    Raises:
        UsageError: one has another form.
    """
    from augury.data.numbers import read_cell
    from augury.data.schema import column_of

    found: dict[str, float] = {}
    for text in texts or ():
        name, equals, value = (part.strip() for part in text.partition("="))
        known = column_of("tokens" if option == "unique" else f"share_{name}")
        number = None if known is None else read_cell(value, known)
        if not (name and equals) or number is None:
            raise UsageError(f"--{option} '{text}': expected NAME=NUMBER")
        found[name] = number
    return found


@app.command(rich_help_panel=FORECAST)
@with_shared("map_", "scale", "where", "any_level", "out", "as_json")
def repeat(
    asked: Asked,
    fitted: Annotated[
        Path,
        typer.Argument(
            metavar="FIT",
            help="A folder of `fit --law data-constrained --out`, or a table to fit that law to.",
        ),
    ],
    unique_tokens: Annotated[str, typer.Option(help="Unique tokens available: 25B.")],
    params: Annotated[str, typer.Option(help="Parameters of the planned model: 7B.")],
    least_worth: Annotated[
        float, typer.Option(help="Minimum worth of a repeated token, as a part of a fresh one.")
    ] = 0.5,
) -> None:
    """Find how many epochs over the available tokens are worth running."""
    from augury.forecast.questions import value_repeats

    unique, size = parse_amount("unique-tokens", unique_tokens), parse_amount("params", params)
    law = None if fitted.is_dir() else "data-constrained"
    source = law_fit(fitted, law, asked)
    with startup.computing("valuing repeated tokens"):
        answer = value_repeats(
            source,
            unique_tokens=unique or 0.0,
            params=size or 0.0,
            least_worth=least_worth,
            level=asked.level,
        )
    asked.show(answer)


@app.command(rich_help_panel=FORECAST)
@with_shared("map_", "scale", "where", "level", "out", "as_json")
def size(
    asked: Asked,
    table: Table,
    reference: Annotated[str, typer.Option(help="The reference family.")],
    model: Annotated[str, typer.Option(help="The model to measure.")],
    scores: Annotated[
        str | None,
        typer.Option(help='Columns of scores, "MMLU,GSM8K", in a table with one row per model.'),
    ] = None,
    chance: Annotated[
        list[str] | None, typer.Option(help='Score of a guesser: "MMLU=.25". Repeatable.')
    ] = None,
) -> None:
    """Find the effective size and the density of a model among a reference family."""
    from augury.forecast.questions import measure_size

    columns = [name.strip() for name in (scores or "").split(",") if name.strip()]
    data = asked.rows(table, (), None)
    with startup.computing("comparing with the reference family"):
        answer = measure_size(
            data,
            reference=reference,
            model=model,
            scores=columns,
            chance=parse_pairs("chance", chance),
            level=asked.level,
        )
    asked.show(answer)


def parse_amount(name: str, text: str | None) -> float | None:
    """Parse a positive number as a user types it: 70B, 1.4T, 5.76e23.

    Raises:
        UsageError: it is not one.
    """
    from augury.data.numbers import read_cell
    from augury.data.schema import Column, column_of

    if text is None:
        return None
    known = column_of(name) or column_of("tokens")
    number = read_cell(text.strip(), known or Column(name, "number", "positive", ""))
    if number is None or not number > 0 or number == float("inf"):
        raise UsageError(f"--{name.replace('_', '-')} '{text}': expected a positive number")
    return number


def law_fit(source: Path, law: str | None, asked: Asked) -> Fit:
    """Return the fit of a law: from a folder of `fit --out`, or fitted to a table.

    Args:
        source: the folder, or the table.
        law: the law to fit to a table.
        asked: the shared options.

    Raises:
        UsageError: the folder holds another result, or options of the other source are given.
        DataError: it holds none.
    """
    from augury.fitting import Fit
    from augury.fitting.store import load

    if source.is_dir():
        if asked.map_ or asked.where or asked.scale or law:
            raise UsageError(
                "--law, --map, --scale and --where are for a table; FIT is a saved fit"
            )
        found = load(source)
        if not isinstance(found, Fit):
            raise UsageError(f"{source} holds a {type(found).__name__}; expected a fit of one law")
        return found
    from augury.fitting.single import fit
    from augury.laws import parse_law

    parsed = parse_law(law or "chinchilla")
    data = asked.rows(source, needed_columns(parsed), parsed.output)
    with startup.computing(f"fitting {parsed}"):
        made = fit(parsed, data, level=asked.some_level, seed=asked.seed)
    detail(str(made))
    return made
