"""Commands that analyse a table: fit, backtest, trends, laws."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from augury.cli import startup
from augury.cli.application import ANALYSE, app
from augury.cli.arguments import needed_columns, parse_point, read_rows
from augury.cli.completing import complete_law
from augury.cli.options import AsJson, Level, LikelihoodName, Map, Scale, Seed, Table, Tasks, Where
from augury.cli.printing import note, print_answer, print_json
from augury.cli.saving import check_out, save_with_figures
from augury.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from augury.laws import Law


@app.command(rich_help_panel=ANALYSE)
def fit(
    table: Table,
    law: Annotated[
        str | None,
        typer.Option(
            help='A law of `augury laws`, a chain "chinchilla+logistic-task", or your own '
            "MODULE:CLASS. Default: chosen by backtest from all that suit the table.",
            autocompletion=complete_law,
        ),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help='Fit each group separately: "task", "family,task".')
    ] = None,
    map_: Map = None,
    scale: Scale = None,
    tasks: Tasks = None,
    where: Where = None,
    likelihood: LikelihoodName = None,
    bootstrap: Annotated[
        int | None,
        typer.Option(
            help=("Number of bootstrap resamples of the runs (default: Laplace intervals).")
        ),
    ] = None,
    nuts: Annotated[bool, typer.Option("--nuts", help="Draw from the posterior instead.")] = False,
    at: Annotated[
        list[str] | None,
        typer.Option(help='Forecast there as well: "params=7B,tokens=4T". Repeatable.'),
    ] = None,
    level: Level = 0.9,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the fit and its figures.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fit a law to a table: parameters, intervals, and how far to trust them."""
    from augury.laws import Chain, parse_law

    points = [parse_point(text) for text in at or ()]
    if bootstrap is not None and nuts:
        raise UsageError("choose one of --bootstrap and --nuts")
    check_out(out)
    uncertainty: Any = "nuts" if nuts else "laplace" if bootstrap is None else "bootstrap"
    if law is None:
        from augury.cli.choice import fit_chosen

        if uncertainty != "laplace":
            raise UsageError("--bootstrap and --nuts need --law")
        if by is not None and (out is not None or points):
            raise UsageError("--by fits each group separately: it takes no --at and no --out")
        fit_chosen(
            table,
            map_,
            scale,
            tasks,
            where,
            likelihood,
            by,
            points,
            level,
            seed,
            out,
            as_json=as_json,
        )
        return
    parsed = parse_law(law)
    columns = [x.strip() for x in (by or "").split(",") if x.strip()]
    needed = [*needed_columns(parsed), *columns]
    data = read_rows(table, map_, where, needed, parsed.output, scale, tasks=tasks)
    if columns:
        if uncertainty != "laplace" or out is not None or points:
            raise UsageError(
                "--by gives standard errors only: it takes no --at, --bootstrap, --nuts or --out"
            )
        _fit_groups(parsed, data, columns, likelihood, as_json=as_json)
        return
    resamples = 1000 if bootstrap is None else bootstrap
    fitted: Any
    if isinstance(parsed, Chain) and parsed.link in data.columns:
        from augury.forecast.chain_fit import fit_chain

        if nuts:
            raise UsageError("a chain is fitted step by step: --bootstrap, or neither")
        with startup.computing(f"fitting {parsed}"):
            fitted = fit_chain(
                parsed,
                data,
                task_likelihood=likelihood,
                uncertainty=None if bootstrap is None else "bootstrap",
                resamples=resamples,
                level=level,
                seed=seed,
            )
    else:
        from augury.fitting.single import fit as fit_law

        with startup.computing(f"fitting {parsed}"):
            fitted = fit_law(
                parsed,
                data,
                likelihood=likelihood,
                uncertainty=uncertainty,
                resamples=resamples,
                level=level,
                seed=seed,
            )
    forecasts = _predicted(fitted, points)
    if out is not None:
        save_with_figures(fitted, out)
    if as_json:
        ahead = {"forecasts": [f.to_dict() for f in forecasts]} if points else {}
        print_json(fitted.to_dict() | ahead)
        return
    print_answer(fitted, fitted.status.remedy)
    for forecast in forecasts:
        print(forecast)


def _predicted(fitted: Any, points: list[dict[str, float]]) -> list[Any]:
    if not points:
        return []
    from augury.forecast.prediction import predict

    with startup.computing("forecasting"):
        return list(predict(fitted, points))


def _fit_groups(
    law: Law, data: pl.DataFrame, columns: list[str], likelihood: str | None, *, as_json: bool
) -> None:
    from augury.fitting import fit_many

    with startup.computing(f"fitting {law} to every group"):
        found = fit_many(law, data, by=columns, likelihood=likelihood)
    rows = found.table.to_dicts()
    if as_json:
        print_json(
            [
                {
                    **{name: row[name] for name in columns},
                    "law": str(found.law),
                    "params": {name: row[name] for name in found.names},
                    "stderr": {name: row[f"{name}_stderr"] for name in found.names},
                    "objective": row["objective"],
                    "status": row["status"],
                }
                for row in rows
            ]
        )
        return
    heads = [f"{name:>12s}" for name in found.names]
    print(f"{','.join(columns):32s} {' '.join(heads)}  status")
    for row in rows:
        key = ",".join(str(row[name]) for name in columns)
        values = [f"{row[name]:12.5g}" for name in found.names]
        print(f"{key:32s} {' '.join(values)}  {row['status']}")


@app.command(rich_help_panel=ANALYSE)
def backtest(
    table: Table,
    law: Annotated[
        list[str],
        typer.Option(
            help='A law, or a chain "chinchilla+logistic-task". Repeatable.',
            autocompletion=complete_law,
        ),
    ],
    holdout: Annotated[
        str | None,
        typer.Option(help='Rows held out, SQL: "params >= 3e9". Default: an expanding window.'),
    ] = None,
    by: Annotated[str | None, typer.Option(help="Scale of the expanding window.")] = None,
    map_: Map = None,
    scale: Scale = None,
    where: Where = None,
    likelihood: LikelihoodName = None,
    level: Level = 0.9,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Fit below a scale, forecast above it, and report how often the intervals held."""
    from augury.forecast.backtesting import backtest as run_backtest
    from augury.laws import Chain, parse_law

    parsed = [parse_law(text) for text in law]
    needed = {
        n
        for x in parsed
        for n in (*needed_columns(x), *((x.link,) if isinstance(x, Chain) else ()))
    }
    data = read_rows(table, map_, where, sorted(needed), parsed[0].output, scale)
    with startup.computing("backtesting"):
        result = run_backtest(
            parsed, data, holdout=holdout, by=by, likelihood=likelihood, level=level, seed=seed
        )
    summary = result.summary.to_dicts()
    if as_json:
        for row in summary:
            own = result.rows.filter(result.rows["law"] == row["law"])
            row["forecasts"] = own.drop("law").to_dicts()
        print_json(summary)
        return
    print(f"{'law':32s} {'n':>5s} {'abs error':>10s} {'CRPS':>10s} {'held':>6s} {'width':>9s}")
    for row in summary:
        print(
            f"{row['law']:32s} {row['n']:5d} {row['mean_abs_error']:10.4g} {row['crps']:10.4g} "
            f"{row['coverage']:6.0%} {row['mean_width']:9.4g}"
        )
    print(f"Intervals are for a new run, at {level:.0%}.")


@app.command(rich_help_panel=ANALYSE)
def trends(
    table: Table,
    by: Annotated[
        str, typer.Option(help='Columns that separate families: "family", "family,params".')
    ] = "family",
    map_: Map = None,
    scale: Scale = None,
    tasks: Tasks = None,
    where: Where = None,
    rate: Annotated[float, typer.Option(help="False-discovery rate.")] = 0.1,
    ahead: Annotated[
        float, typer.Option(help="Forecast scores at this many times the tokens, or the size.")
    ] = 2.0,
    level: Level = 0.9,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the table and the small multiples.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find which abilities rise, fall, turn or leap over training and over size."""
    from augury.data.common_names import SCALES
    from augury.forecast.trends import ahead_of
    from augury.forecast.trends import trends as find_trends
    from augury.forecast.trends.evidence import FEW_RUNS

    check_out(out)
    data = read_rows(table, map_, where, ("task",), "value", scale, SCALES, tasks)
    families = [b.strip() for b in by.split(",")]
    with startup.computing("testing the trends"):
        found = find_trends(data, by=families, rate=rate, level=level)
        coming = ahead_of(data, factor=ahead, by=families, level=level)
    if not found.trends:
        runs = "column run" if "run" in data.columns else "columns model, family, seed and params"
        note(
            f"{table}: nothing to test: by {runs}, no run has two checkpoints, and there are fewer "
            f"than {FEW_RUNS} runs of different sizes"
        )
    next_of = [
        coming.get((t.family, t.task, t.metric, "size" if t.axis == "params" else "training"))
        for t in found.trends
    ]
    if out is not None:
        from augury.report import save_figure, trend_figure
        from augury.runtime.atomic import atomic_file

        save_with_figures(found, out)
        with atomic_file(out / "trends.parquet") as fresh:
            found.table.write_parquet(fresh)
        if any(t.axis != "params" and t.shape != "flat" for t in found.trends):
            chart = trend_figure(found)
            for kind in ("html", "svg", "png"):
                save_figure(chart, out / f"trends.{kind}")
    if as_json:
        both = zip(found.trends, next_of, strict=True)
        print_json([{**t.to_dict(), "outlook": ahead_} for t, ahead_ in both])
        return
    print(f"{'shape':11s} {'axis':7s} {'effect':>8s} {'turns at':>10s} {'q':>8s}  task")
    for t in found.trends:
        point = "" if t.turning_point is None else f"{t.turning_point:.3g}"
        name = " ".join(x for x in (t.family, t.task, t.metric) if x)
        print(f"{t.shape:11s} {t.axis:7s} {t.effect:8.3f} {point:>10s} {t.q:8.2g}  {name}")
    print()
    for t, coming_ in zip(found.trends, next_of, strict=True):
        if t.shape != "flat":
            parts = [f"- {t}", *(["Inverse scaling."] if t.inverse else [])]
            if coming_ is not None:
                low, high = coming_["interval"]
                parts.append(
                    f"At {ahead:g} times the {'size' if t.axis == 'params' else 'training'}: "
                    f"{coming_['value']:.3g} [{low:.3g}, {high:.3g}], below now with probability "
                    f"{coming_['falls']:.0%}."
                )
            print(" ".join([*parts, *(n.message for n in t.notes if n.severity != "info")]))
    if out is not None:
        print(f"\nTable and figures: {out}   (a page of them: augury report {out})")


@app.command(rich_help_panel=ANALYSE)
def laws(as_json: AsJson = False) -> None:
    """List the laws: inputs, outputs and sources."""
    from augury.laws import all_laws

    rows = []
    for kind in all_laws():
        law = kind()
        rows.append(
            {
                "name": law.name,
                "inputs": list(law.inputs),
                "output": law.output,
                "parameters": {n: p.meaning for n, p in law.parameters.items()},
                "settings": law.settings,
                "equation": law.equation,
                "source": law.source,
            }
        )
    if as_json:
        print_json(rows)
        return
    for row in rows:
        takes = ", ".join(row["inputs"])
        print(f"{row['name']:18s} {row['output']:6s} from {takes:18s} {row['source']}")
