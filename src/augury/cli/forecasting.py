"""Commands that forecast: forecast, predict, passrate, rare, emergence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from augury.cli import startup
from augury.cli.application import FORECAST, app
from augury.cli.arguments import parse_point, read_rows
from augury.cli.options import AsJson, Level, Map, Scale, Seed, Table, Tasks, Where
from augury.cli.printing import print_json
from augury.errors import UsageError


@app.command(rich_help_panel=FORECAST)
def forecast(
    table: Table,
    at: Annotated[
        list[str], typer.Option(help='Where: "params=7B,tokens=4T". Repeat for more points.')
    ],
    output: Annotated[
        str | None,
        typer.Option(help="Column to forecast. Default: loss; value if --tasks is given."),
    ] = None,
    over: Annotated[
        str | None,
        typer.Option(
            help=("The scale along which the models grow. Default: flops, else tokens or params.")
        ),
    ] = None,
    map_: Map = None,
    scale: Scale = None,
    tasks: Tasks = None,
    where: Where = None,
    level: Level = 0.9,
    as_json: AsJson = False,
) -> None:
    """Forecast losses or scores of larger models without choosing a law."""
    from augury.data.common_names import SCALES
    from augury.forecast.ahead import forecast_ahead

    output = output or ("value" if tasks else "loss")
    data = read_rows(table, map_, where, (), output, scale, SCALES, tasks)
    found = forecast_ahead(
        data, [parse_point(text) for text in at], output=output, over=over, level=level
    )
    if as_json:
        print_json([f.to_dict() for f in found])
        return
    for f in found:
        print(f)
        for note in f.notes:
            print(f"  {note.severity}: {note.message}")


@app.command(rich_help_panel=FORECAST)
def predict(
    folder: Annotated[Path, typer.Argument(metavar="FIT", help="A folder of `fit --out`.")],
    at: Annotated[
        list[str], typer.Option(help='Where: "params=7B,tokens=4T". Repeat for more points.')
    ],
    law: Annotated[
        str | None, typer.Option(help="MODULE:CLASS, if the fit is of a law of your own.")
    ] = None,
    level: Annotated[float | None, typer.Option(help="Level of the intervals.")] = None,
    as_json: AsJson = False,
) -> None:
    """Forecast at new points with a saved fit."""
    from augury.fitting.store import load
    from augury.forecast.prediction import predict as predict_at
    from augury.laws import parse_law

    if law is not None:
        parse_law(law)  # imports it: a saved fit never imports code by itself
    fitted = load(folder)
    if not hasattr(fitted, "usable"):
        raise UsageError(f"{folder} holds a {type(fitted).__name__}; predict takes a fit")
    forecasts = predict_at(fitted, [parse_point(text) for text in at], level=level)
    if as_json:
        status = {"status": str(fitted.status)}
        print_json([f.to_dict() | status for f in forecasts])
        return
    if not fitted.usable:
        print(f"The fit is {fitted.status}: {fitted.status.remedy}")
    for f in forecasts:
        print(f)


@app.command(rich_help_panel=FORECAST)
def passrate(
    table: Annotated[Path, typer.Argument(help="Counts: a table, or a study's folder.")],
    at: Annotated[list[str], typer.Option(help='Where: "params=1.13e10". Repeat for more places.')],
    scale: Annotated[
        str, typer.Option(help='What models grow along: params, flops, loss, "params,tokens".')
    ] = "params",
    map_: Map = None,
    where: Where = None,
    level: Level = 0.9,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Forecast a pass rate from counts, and report its class of growth."""
    from augury.forecast.passrate import forecast_pass_rate

    scales = [name.strip() for name in scale.split(",")]
    data = read_rows(table, map_, where, ["model", *scales], "value")
    with startup.computing("forecasting the pass rate"):
        found = forecast_pass_rate(
            data, [parse_point(text) for text in at], scale=scales, level=level, seed=seed
        )
    if as_json:
        shown = [f.to_dict() for f in found]
        print_json(shown[0] if len(shown) == 1 else shown)
        return
    for f in found:
        print(f)


@app.command(rich_help_panel=FORECAST)
def rare(
    table: Annotated[Path, typer.Argument(help="Rows of single instances: a table or a study.")],
    queries: Annotated[float, typer.Option(help="Number of future queries, such as 1e5.")],
    map_: Map = None,
    where: Where = None,
    level: Level = 0.9,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Forecast the worst of many queries from the pass rates of few."""
    from augury.forecast.rare import elicitation_logprobs, forecast_rare

    data = read_rows(table, map_, where, (), None)
    with startup.computing("forecasting the worst case"):
        found = forecast_rare(elicitation_logprobs(data), queries, level=level, seed=seed)
    if as_json:
        print_json(found.to_dict())
        return
    print(found)
    for note in found.notes:
        print(f"  {note}")


@app.command(rich_help_panel=FORECAST)
def emergence(
    table: Annotated[Path, typer.Argument(help="Finetuned checkpoints: a table, or a study.")],
    scale: Annotated[str, typer.Option(help="loss, or flops where the loss is missing.")] = "loss",
    few_shot_examples: Annotated[
        int | None, typer.Option(help="Examples in the prompt of few-shot rows. Default: shots.")
    ] = None,
    above: Annotated[
        float | None,
        typer.Option(
            help="Emerged means: this far above chance. Default: .1, or the elbow of a ReLU law."
        ),
    ] = None,
    law: Annotated[
        str | None,
        typer.Option(
            help=(
                "moved, relu, slopes, saturating, s-shaped, full, or average. Default: moved, "
                "if there are few-shot rows (finetune_examples 0)."
            )
        ),
    ] = None,
    nuts: Annotated[bool, typer.Option("--nuts", help="Draw by NUTS, with R-hat.")] = False,
    loss_law: Annotated[
        Path | None,
        typer.Option(help="A `fit --out` folder. Default: Chinchilla's on the few-shot rows."),
    ] = None,
    floor: Annotated[float | None, typer.Option(help="The irreducible loss, if known.")] = None,
    params: Annotated[
        float | None,
        typer.Option(
            help=("Parameters of a planned model (with --tokens): will it have the ability?")
        ),
    ] = None,
    tokens: Annotated[
        float | None, typer.Option(help="Pretraining tokens for the answer in parameters.")
    ] = None,
    map_: Map = None,
    where: Where = None,
    level: Level = 0.9,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Forecast where a few-shot ability will appear, from finetuned small models."""
    from augury.data.common_names import SCALES
    from augury.forecast.emergence import (
        emergence_data,
        emergence_point,
        fit_emergence,
        reaches,
    )
    from augury.forecast.emergence.moved_answer import answer_moved, is_moved_default

    if scale not in ("loss", "flops"):
        raise UsageError(f"--scale takes loss or flops, not '{scale}'")
    data = read_rows(table, map_, where, (scale, "finetune_examples"), "value", wished=SCALES)
    if law is None:
        law = "moved" if is_moved_default(data) else "average"
    if law == "moved":
        with startup.computing("fitting where the ability emerges"):
            answers = answer_moved(
                data,
                scale,
                above=above,
                floor=floor,
                loss_law=loss_law,
                few_shot_examples=few_shot_examples,
                params=params,
                tokens=tokens,
                level=level,
                seed=seed,
            )
        if as_json:
            shown_all = [answer.to_dict() for answer in answers]
            print_json(shown_all[0] if len(shown_all) == 1 else shown_all)
            return
        for answer in answers:
            print(answer)
        return
    study = emergence_data(data, scale, few_shot_examples=few_shot_examples)  # type: ignore[arg-type]
    uncertainty: Any = "nuts" if nuts else "importance"
    definition: Any = "elbow" if above is None else "above"
    with startup.computing("fitting where the ability emerges"):
        fitted = fit_emergence(study, laws=law, uncertainty=uncertainty, level=level, seed=seed)
        point = emergence_point(fitted, definition, distance=above)
        followed = reaches(fitted, data, loss_law, tokens, definition=definition, distance=above)
    if as_json:
        shown = {name: None if r is None else r.to_dict() for name, r in followed.items()}
        print_json({**point.to_dict(), **shown})
        return
    print(point)
    for reach in followed.values():
        if reach is not None:
            print(f"  {reach}")
