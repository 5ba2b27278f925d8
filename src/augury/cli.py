"""The command line: parse, call the API, print. Everything heavy is imported inside a command."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from augury.errors import AuguryError, UsageError

if TYPE_CHECKING:
    import polars as pl

# Exit status after Ctrl-C, as shells have it.
STOPPED = 130
# Groups of `augury --help`, in this order.
MEASURE, ANALYSE, FORECAST, STUDY = GROUPS = ("Measure", "Analyse", "Forecast", "Study")


class _Grouped(TyperGroup):
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
    cls=_Grouped,
    help="Forecast which abilities a larger language model will have, before you pay for it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Table = Annotated[Path, typer.Argument(help="CSV, TSV, Parquet or JSON lines.")]
Map = Annotated[
    list[str] | None,
    typer.Option("--map", help='Our column from theirs, as in "params=Model Size". Repeatable.'),
]
Scale = Annotated[
    list[str] | None,
    typer.Option("--scale", help='Factor of a column: "tokens=1e9" if in billions. Repeatable.'),
]
Where = Annotated[str | None, typer.Option(help='Rows to keep, SQL: "loss < 3.43".')]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable on standard output.")]
Level = Annotated[float, typer.Option(help="Level of the intervals.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
LikelihoodName = Annotated[
    str | None,
    typer.Option("--likelihood", help="huber, gaussian, binomial or beta-binomial."),
]


@app.command(rich_help_panel=ANALYSE)
def fit(
    table: Table,
    law: Annotated[str, typer.Option(help="A law of `augury laws`, such as chinchilla.")],
    map_: Map = None,
    scale: Scale = None,
    where: Where = None,
    likelihood: LikelihoodName = None,
    bootstrap: Annotated[
        int | None, typer.Option(help="Resample runs this often (default: Laplace intervals).")
    ] = None,
    nuts: Annotated[bool, typer.Option("--nuts", help="Draw a posterior instead.")] = False,
    level: Level = 0.9,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder to save the fit in.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fit a law to a table: parameters, intervals, and how far to trust them."""
    from augury.fitting import save_fit
    from augury.fitting.fit import fit as fit_law
    from augury.laws import parse_law

    if bootstrap is not None and nuts:
        raise UsageError("choose one of --bootstrap and --nuts")
    parsed = parse_law(law)
    data = _read(table, map_, where, parsed.inputs, parsed.output, parsed.defaults, scale)
    uncertainty: Any = "nuts" if nuts else "laplace" if bootstrap is None else "bootstrap"
    _quick_start()
    fitted = fit_law(
        parsed,
        data,
        likelihood=likelihood,
        uncertainty=uncertainty,
        resamples=1000 if bootstrap is None else bootstrap,
        level=level,
        seed=seed,
    )
    if out is not None:
        save_fit(fitted, out)
    if as_json:
        _print_json(fitted.to_dict())
    else:
        print(fitted)
        if fitted.status.remedy:
            print(f"  {fitted.status.remedy}")


@app.command(rich_help_panel=FORECAST)
def predict(
    folder: Annotated[Path, typer.Argument(metavar="FIT", help="A folder of `fit --out`.")],
    at: Annotated[
        list[str], typer.Option(help='Where: "params=7e9,tokens=4e12". Repeat for more points.')
    ],
    level: Annotated[float | None, typer.Option(help="Level of the intervals.")] = None,
    as_json: AsJson = False,
) -> None:
    """Forecast at new points with a saved fit."""
    from augury.fitting import load_fit
    from augury.forecast.predict import predict as predict_at

    fitted = load_fit(folder)
    forecasts = predict_at(fitted, [_point(text) for text in at], level=level)
    if as_json:
        _print_json([f.to_dict() for f in forecasts])
        return
    if not fitted.usable:
        print(f"The fit is {fitted.status}: {fitted.status.remedy}")
    for f in forecasts:
        print(f)


@app.command(rich_help_panel=ANALYSE)
def backtest(
    table: Table,
    law: Annotated[
        list[str], typer.Option(help='A law, or a chain "chinchilla+logistic-task". Repeatable.')
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
    """Fit below a scale, forecast above it, and count how often the intervals held."""
    from augury.forecast.backtest import backtest as run_backtest
    from augury.forecast.chain import Chain, parse_chain

    parsed = [parse_chain(text) for text in law]
    needed = {n for x in parsed for n in (*x.inputs, *((x.link,) if isinstance(x, Chain) else ()))}
    defaults = {k: v for x in parsed for k, v in x.defaults.items()}
    data = _read(table, map_, where, sorted(needed), parsed[0].output, defaults, scale)
    _quick_start()
    result = run_backtest(
        parsed, data, holdout=holdout, by=by, likelihood=likelihood, level=level, seed=seed
    )
    summary = result.summary.to_dicts()
    if as_json:
        for row in summary:
            own = result.rows.filter(result.rows["law"] == row["law"])
            row["forecasts"] = own.drop("law").to_dicts()
        _print_json(summary)
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
    where: Where = None,
    rate: Annotated[float, typer.Option(help="False-discovery rate.")] = 0.1,
    ahead: Annotated[
        float, typer.Option(help="Forecast scores at so many times the tokens, or the size.")
    ] = 2.0,
    level: Level = 0.9,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the table and the small multiples.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find which abilities rise, fall, turn or leap over training and over size."""
    from augury.forecast.trends import ahead_of
    from augury.forecast.trends import trends as find_trends

    data = _read(table, map_, where, ("task",), "value", {}, scale)
    families = [b.strip() for b in by.split(",")]
    found = find_trends(data, by=families, rate=rate, level=level)
    coming = ahead_of(data, factor=ahead, by=families, level=level)
    next_of = [
        coming.get((t.family, t.task, t.metric, "size" if t.axis == "params" else "training"))
        for t in found.trends
    ]
    if out is not None:
        from augury.report import save_figure, trend_figure

        out.mkdir(parents=True, exist_ok=True)
        found.table.write_parquet(out / "trends.parquet")
        if any(t.axis != "params" and t.shape != "flat" for t in found.trends):
            chart = trend_figure(found)
            for kind in ("html", "svg", "png"):
                save_figure(chart, out / f"trends.{kind}")
    if as_json:
        both = zip(found.trends, next_of, strict=True)
        _print_json([{**t.to_dict(), "outlook": ahead_} for t, ahead_ in both])
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
        print(f"\nTable and figures: {out}")


@app.command(rich_help_panel=MEASURE)
def read(
    kind: Annotated[
        str, typer.Argument(help="lm-eval, inspect, lighteval, loss ...: see the docs.")
    ],
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders that are searched.")],
    out: Annotated[Path, typer.Option(help="Table to write: .parquet, .csv, .tsv or .jsonl.")],
    models: Annotated[
        Path | None, typer.Option(help="Table: model, and any of step, params, tokens, loss ...")
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Read the rest when a file is wrong.")
    ] = False,
    newest: Annotated[
        bool, typer.Option("--newest", help="Of one measurement in two files, keep the latest.")
    ] = False,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            help="Keep both of two measurements that differ in this: date, lm_eval_version, "
            "batch_size, folder, file. Repeatable."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read result files of other tools into one table."""
    from augury.data.readers import read_results, write_results

    found = read_results(
        kind, paths, models=models, keep_going=keep_going, newest=newest, variant=variant or ()
    )
    write_results(found, out)
    if as_json:
        _print_json(found.to_dict() | {"out": str(out)})
        return
    print(f"{found}\nTable: {out}")


@app.command(rich_help_panel=MEASURE)
def passuntil(
    model: Annotated[
        str,
        typer.Option(help="lab:DIR, hf:PATH, hf:FILE.gguf, hf:ID@REVISION, http:URL#MODEL."),
    ],
    task: Annotated[
        str, typer.Option(help="A JSONL file, a task of the lab by name, or lm-eval:NAME.")
    ],
    out: Annotated[Path, typer.Option(help="The study's folder: journal and rows.")],
    checker: Annotated[
        str | None,
        typer.Option(
            help="exact, any-of, prefix, regex, numeric:TOL, last-number, choice, unit-tests, or "
            "your own MODULE:FUNCTION. Default: exact. The lab's and lm-eval's tasks have theirs."
        ),
    ] = None,
    r: Annotated[int | None, typer.Option(help="Passes that end an instance (2).")] = None,
    max_samples: Annotated[
        int | None,
        typer.Option(help="Cap of samples per instance (100,000; 2,000 with --proposal)."),
    ] = None,
    relative_error: Annotated[
        float | None, typer.Option(help="Instead of --r: relative standard error of each rate.")
    ] = None,
    budget: Annotated[
        int | None, typer.Option(help="Samples in all, spent where least is known.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="Temperature of the sampling.")] = 1.0,
    method: Annotated[
        str | None, typer.Option(help="exact, tree or independent. Default: the cheapest.")
    ] = None,
    proposal: Annotated[
        list[str] | None,
        typer.Option(
            help="Rare passes with fewer samples: draw from 'hint' (the solved question before the "
            "prompt) or from another model with the same tokenizer, and weigh. Repeatable."
        ),
    ] = None,
    own_share: Annotated[
        float, typer.Option(help="With --proposal: share of draws from the model itself.")
    ] = 0.2,
    device: Annotated[
        str | None, typer.Option(help="hf: models: cpu, cuda, or auto to spread over several GPUs.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="hf: models: precision, such as bfloat16.")
    ] = None,
    batch_tokens: Annotated[
        int | None,
        typer.Option(help="hf: models: tokens of a batch at most; less needs less memory."),
    ] = None,
    tokens: Annotated[int, typer.Option(help="Tokens to sample, for tasks from a file.")] = 256,
    stop: Annotated[
        list[str] | None, typer.Option(help="Cut a sample before this text. Repeatable.")
    ] = None,
    instances: Annotated[
        int | None,
        typer.Option(help="Instances of a task of the lab (256); the first ones of lm-eval's."),
    ] = None,
    lm_eval_path: Annotated[
        Path | None, typer.Option(help="Folder of more lm-evaluation-harness tasks.")
    ] = None,
    level: Level = 0.9,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Measure a pass rate by sampling until something passes. Run it again to go on."""
    if not 0 < level < 1:
        raise UsageError(f"--level lies between 0 and 1, not {level}")
    from augury.data import read_table
    from augury.evaluate import pass_until, read_task
    from augury.evaluate.models import Loading, open_model
    from augury.lab import lab_instances

    if Path(task).suffix in (".jsonl", ".ndjson"):
        check = checker or "exact"
        asked = read_task(task, checker=check, length=tokens, stop=tuple(stop or ()))
    elif task.startswith("lm-eval:"):
        from augury.evaluate.lm_eval_tasks import lm_eval_task

        name = task.removeprefix("lm-eval:")
        if checker is not None:
            raise UsageError(f"tasks of lm-eval have their own checker, not '{checker}'")
        asked = lm_eval_task(name, include_path=lm_eval_path, limit=instances)
    elif checker not in (None, "prefix"):
        raise UsageError(f"the lab's tasks have the checker prefix, not '{checker}'")
    else:
        asked = lab_instances(task, 256 if instances is None else instances)
    loading = Loading(device=device, dtype=dtype, batch_tokens=batch_tokens)
    backend = open_model(model, loading)
    _quick_start()
    if asked.checker == "choice":
        from augury.evaluate.choices import save_choices

        rows = read_table(save_choices(backend, asked, out), where="instance IS NULL")
        found = rows.select("task", "metric", "value", "stderr", "n", "chance").to_dicts()
        if as_json:
            _print_json(found)
        else:
            print("\n".join(f"{x['task']}: {x['metric']} {x['value']:.4g}" for x in found))
        return
    from augury.live import watched

    with watched() as seen:
        result = pass_until(
            backend,
            asked,
            r=r,
            max_samples=max_samples,
            temperature=temperature,
            method=method,  # type: ignore[arg-type] # checked there
            relative_error=relative_error,
            budget=budget,
            seed=seed,
            study=out,
            progress=seen,
            proposal=tuple(proposal or ()),
            own_share=own_share,
        )
    if as_json:
        _print_json({**result.to_dict(level), "study": str(out)})
        return
    print(result)
    for note in result.notes:
        print(f"  {note}")
    print(f"  rows: {out} (a study's folder is a table: augury passrate {out})")


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
    """Forecast a pass rate from counts, and say which class of growth it follows."""
    from augury.forecast.passrate import forecast_pass_rate

    scales = [name.strip() for name in scale.split(",")]
    data = _read(table, map_, where, ["model", *scales], "value", {})
    found = forecast_pass_rate(
        data, [_point(text) for text in at], scale=scales, level=level, seed=seed
    )
    if as_json:
        shown = [f.to_dict() for f in found]
        _print_json(shown[0] if len(shown) == 1 else shown)
        return
    for f in found:
        print(f)


@app.command(rich_help_panel=FORECAST)
def rare(
    table: Annotated[Path, typer.Argument(help="Rows of single instances: a table or a study.")],
    queries: Annotated[float, typer.Option(help="How many queries are to come, such as 1e5.")],
    map_: Map = None,
    where: Where = None,
    level: Level = 0.9,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Forecast the worst of many queries from the pass rates of few."""
    from augury.data import parse_map, read_table
    from augury.forecast.rare import elicitation_logprobs, forecast_rare

    data = read_table(table, columns=parse_map(map_ or []), where=where)
    found = forecast_rare(elicitation_logprobs(data), queries, level=level, seed=seed)
    if as_json:
        _print_json(found.to_dict())
        return
    print(found)
    for note in found.notes:
        print(f"  {note}")


@app.command(rich_help_panel=MEASURE)
def finetune(
    model: Annotated[
        list[str] | None,
        typer.Option(help="lab:DIR (a checkpoint, a run, a ladder), hf:PATH, hf:ID@REVISION."),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="A task of the lab by name, or a JSONL file.")
    ] = None,
    amounts: Annotated[
        str | None, typer.Option(help='Finetuning examples: "250,1000,4000,16000".')
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The study's folder: records and rows.")] = None,
    plan: Annotated[
        Path | None,
        typer.Option(help="Train nothing: write each run's data here, for another trainer."),
    ] = None,
    collect: Annotated[
        Path | None,
        typer.Option(help="Score the checkpoints that another trainer put into a plan's folder."),
    ] = None,
    subsets: Annotated[int, typer.Option(help="Random subsets of each amount.")] = 2,
    seeds: Annotated[int, typer.Option(help="Runs on each subset.")] = 2,
    method: Annotated[str, typer.Option(help="full, or lora (hf: models).")] = "full",
    learning_rate: Annotated[
        float | None, typer.Option(help="At the middle width. Default: searched there.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Steps at most. Default: 1,000 (lab); as the amount asks (hf:)."),
    ] = None,
    batch: Annotated[int, typer.Option(help="Examples per step.")] = 16,
    patience: Annotated[
        int, typer.Option(help="Looks at the held-out loss without a new best that end a run.")
    ] = 4,
    checker: Annotated[str, typer.Option(help="For a task from a file.")] = "exact",
    tokens: Annotated[int, typer.Option(help="Tokens to sample, for a task from a file.")] = 256,
    stop: Annotated[
        list[str] | None, typer.Option(help="Cut a sample before this text. Repeatable.")
    ] = None,
    samples: Annotated[int, typer.Option(help="An instance, where the score is sampled.")] = 128,
    instances: Annotated[int, typer.Option(help="To score on; never learned from.")] = 2048,
    about: Annotated[
        Path | None, typer.Option(help="Table: model, and any of step, params, tokens, loss ...")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes; 0 for this one. Default: one per core.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Finetune checkpoints on growing amounts of a task, and score them. Run it again to go on."""
    from augury.evaluate import read_task
    from augury.finetune import collect_outside, finetune_sweep, plan_outside
    from augury.live import counted

    if collect is not None:
        out = out or collect / "study"
        rows, missing = collect_outside(collect, out)
        for run in missing:
            print(f"augury: no checkpoint yet: {collect / 'checkpoints' / run}", file=sys.stderr)
    else:
        if not model or task is None or amounts is None:
            raise UsageError("--model, --task and --amounts are needed, or --collect DIR")
        if not amounts.replace(",", "").replace(" ", "").isdigit():
            raise UsageError(f"--amounts '{amounts}': expected numbers of examples, as in 250,1000")
        numbers = [int(a) for a in amounts.split(",") if a.strip()]
        asked: Any = task
        if Path(task).suffix in (".jsonl", ".ndjson"):
            asked = read_task(task, checker=checker, length=tokens, stop=tuple(stop or ()))
        if plan is not None:
            plan_outside(
                model, asked, numbers, range(subsets), range(seeds), plan,
                instances=instances, samples=samples, about=about,
            )  # fmt: skip
            if as_json:
                _print_json({"plan": str(plan), "manifest": str(plan / "manifest.json")})
            else:
                print(
                    f"{plan}: train each of runs/*, put what comes into checkpoints/RUN, then\n"
                    f"  augury finetune --collect {plan}"
                )
            return
        if out is None:
            raise UsageError("--out is needed: the study's folder")
        _quick_start()
        with counted("units") as seen:
            rows = finetune_sweep(
                model,
                asked,
                numbers,
                subsets,
                seeds,
                out=out,
                method=method,  # type: ignore[arg-type] # checked there
                learning_rate=learning_rate,
                steps=steps,
                batch=batch,
                patience=patience,
                instances=instances,
                samples=samples,
                about=about,
                workers=workers,
                progress=seen,
            )
    if as_json:
        _print_json({"study": str(out), "rows": rows.to_dicts()})
        return
    print(f"{'checkpoint':28s} {'examples':>9s} {'score':>10s} {'lowest':>10s} {'highest':>10s}")
    for (run, step, amount), own in rows.group_by(
        "run", "step", "finetune_examples", maintain_order=True
    ):
        name = str(run) if step is None else f"{run} step {step}"
        score = own["value"].to_numpy()
        ends = f"{score.min():10.3g} {score.max():10.3g}"
        print(f"{name:28s} {amount:9d} {score.mean():10.3g} {ends}")
    print(f"{len(rows)} rows: {out} (a study's folder is a table)")


@app.command(rich_help_panel=FORECAST)
def emergence(
    table: Annotated[Path, typer.Argument(help="Finetuned checkpoints: a table, or a study.")],
    scale: Annotated[str, typer.Option(help="loss, or flops where the loss is missing.")] = "loss",
    few_shot_examples: Annotated[
        int | None, typer.Option(help="Examples in the prompt of few-shot rows. Default: shots.")
    ] = None,
    above: Annotated[
        float | None,
        typer.Option(help="Emerged means: so far above chance. Default: the elbow of the curve."),
    ] = None,
    law: Annotated[
        str, typer.Option(help="relu, slopes, saturating, s-shaped, full, or average.")
    ] = "average",
    nuts: Annotated[bool, typer.Option("--nuts", help="Draw by NUTS, with R-hat.")] = False,
    loss_law: Annotated[
        Path | None,
        typer.Option(help="A `fit --out` folder. Default: Chinchilla's on the few-shot rows."),
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
    """Say where a few-shot ability will appear, from finetuned small models."""
    from augury.forecast.emergence import (
        emergence_data,
        emergence_point,
        fit_emergence,
        reaches,
    )

    data = _read(table, map_, where, (scale, "finetune_examples"), "value", {})
    study = emergence_data(data, scale, few_shot_examples=few_shot_examples)  # type: ignore[arg-type]
    _quick_start()
    uncertainty: Any = "nuts" if nuts else "importance"
    fitted = fit_emergence(study, laws=law, uncertainty=uncertainty, level=level, seed=seed)
    definition: Any = "elbow" if above is None else "above"
    point = emergence_point(fitted, definition, distance=above)
    followed = reaches(fitted, data, loss_law, tokens, definition=definition, distance=above)
    if as_json:
        shown = {name: None if r is None else r.to_dict() for name, r in followed.items()}
        _print_json({**point.to_dict(), **shown})
        return
    print(point)
    for reach in followed.values():
        if reach is not None:
            print(f"  {reach}")


@app.command(rich_help_panel=ANALYSE)
def laws(as_json: AsJson = False) -> None:
    """List the laws: what they take, what they give, where they come from."""
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
        _print_json(rows)
        return
    for row in rows:
        takes = ", ".join(row["inputs"])
        print(f"{row['name']:18s} {row['output']:6s} from {takes:18s} {row['source']}")


@app.command(rich_help_panel=STUDY)
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the new study.")] = Path(),
    schema: Annotated[
        bool, typer.Option("--schema", help="Write only study.schema.json, for editors.")
    ] = False,
) -> None:
    """Write a commented study file to start from."""
    from augury.study.plan.template import write_study

    for path in write_study(folder, schema_only=schema):
        print(path)


@app.command(rich_help_panel=STUDY)
def run(
    study: Annotated[Path, typer.Argument(help="A study file, or the folder that holds it.")],
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what is wrong and what it will cost; run nothing.")
    ] = False,
    engine: Annotated[str, typer.Option(help="local, or ray (extra `ray`).")] = "local",
    as_json: AsJson = False,
) -> None:
    """Run a study, or go on with one that was stopped."""
    from augury.study.run.runner import run_study
    from augury.study.run.status import plan_of, plan_text
    from augury.study.run.terminal import live_view

    if plan:
        planned = plan_of(study)
        if as_json:
            _print_json(planned.model_dump())
        else:
            print(plan_text(planned))
        return
    with live_view() as watch:
        outcome = run_study(study, engine=engine, watch=watch)  # type: ignore[arg-type] # checked there
    if as_json:
        _print_json(outcome.to_dict())
    else:
        print(outcome)
    if not outcome.complete:
        raise typer.Exit(1)


@app.command(rich_help_panel=STUDY)
def status(
    study: Annotated[Path, typer.Argument(help="Folder of a study.")], as_json: AsJson = False
) -> None:
    """How far a study is, and what failed."""
    from augury.study.run.status import status_of, status_text

    state = status_of(study)
    if as_json:
        _print_json(state.model_dump())
    else:
        print(status_text(state))


@app.command(rich_help_panel=STUDY)
def scoreboard(
    studies: Annotated[list[Path], typer.Argument(help="Folders of studies.")],
    as_json: AsJson = False,
) -> None:
    """Every forecast on record, and how it fared."""
    from augury.study.results.recording import scoreboard as find_scores
    from augury.study.run.status import scoreboard_text

    rows = find_scores(studies)
    if as_json:
        _print_json([row.model_dump() for row in rows])
    else:
        print(scoreboard_text(rows))


@app.command(rich_help_panel=STUDY)
def report(
    study: Annotated[Path, typer.Argument(help="Folder of a study, or of measurements.")],
    out: Annotated[
        Path | None, typer.Option(help="The page, .html. Default: page.html in the folder.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(help='Measurements alone: where to forecast, "params=1e10".'),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the page: the answer first, figures with their data, in one file."""
    from augury.report.page import write_page
    from augury.report.page.write import figures_folder
    from augury.study.page import story_of

    _quick_start()
    story = story_of(study, at=None if at is None else _point(at))
    default = study / "page.html" if study.is_dir() else study.with_suffix(".html")
    page = write_page(story, out or default)
    if as_json:
        figures = [figure.id for figure in story.figures]
        _print_json({"page": str(page), "answer": list(story.answer), "figures": figures})
        return
    print("\n".join(story.answer))
    print(f"\nPage: {page}   (figures: {figures_folder(page)})")


@app.command(rich_help_panel=STUDY)
def serve(
    study: Annotated[Path, typer.Argument(help="Folder of a study, of measurements, or a page.")],
    port: Annotated[int, typer.Option(help="0: any that is free.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Show the page in a browser while the study runs."""
    from augury.report.page import serve as serve_page
    from augury.study.page import story_of

    _quick_start()

    def say(url: str) -> None:
        print(f"{url}   (Ctrl-C ends it)", flush=True)

    serve_page(study, port, host, say=say, tell=story_of)


@app.command(rich_help_panel=STUDY)
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the study and its page.")] = Path("out/demo"),
    steps: Annotated[int, typer.Option(help="Training steps per model.")] = 500,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """A study of the tiny world: train, finetune, forecast, then train what was forecast."""
    from augury.demo import run_demo

    _quick_start()
    result = run_demo(out, steps=steps, seed=seed, quiet=as_json)
    if as_json:
        _print_json(result)
    if not result["complete"]:
        raise typer.Exit(1)


def main() -> None:
    """Run the command line: mistakes of the user print one line and exit with 2."""
    try:
        code = app(standalone_mode=False)  # of typer.Exit, which does not get here itself
        if code == STOPPED:  # Typer of 2026 takes Ctrl-C for an exit with this status
            raise KeyboardInterrupt
        if code:
            sys.exit(code)
    except AuguryError as error:
        print(f"augury: {error}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        print("augury: stopped", file=sys.stderr)
        sys.exit(STOPPED)
    except BrokenPipeError:
        sys.exit(141)
    except Exception as error:
        # Typer's own parsing errors know how to print themselves in one line.
        shown = getattr(error, "format_message", None)
        if shown is None:
            raise
        print(f"augury: {shown()}", file=sys.stderr)
        sys.exit(2)


def _read(
    table: Path,
    map_: list[str] | None,
    where: str | None,
    inputs: Any,
    output: str,
    defaults: Any,
    scale: list[str] | None = None,
) -> pl.DataFrame:
    from augury.data import parse_map, read_table
    from augury.data.read import parse_scale, repeated_rows
    from augury.data.scores import has_scores

    def read(needed: list[str]) -> pl.DataFrame:
        return read_table(
            table,
            columns=parse_map(map_ or []),
            where=where,
            require=needed,
            scale=parse_scale(scale or []),
        )

    data = read([name for name in inputs if name not in defaults])
    if output not in data.columns and not has_scores(data.columns):
        read([output])
    again = repeated_rows(data)
    if again is not None:
        print(f"augury: note: {table}: {again}", file=sys.stderr)
    return data


def _point(text: str) -> dict[str, float]:
    point = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        try:
            point[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise UsageError(f"--at '{text}': expected name=number,name=number, not '{part}'")
    return point


def _quick_start() -> None:
    """Keep compiled fits on disk between calls: compiling is most of a cold fit's time."""
    import os

    import jax

    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "augury"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    for name, value in (
        ("jax_compilation_cache_dir", str(home / "jax")),
        ("jax_persistent_cache_min_compile_time_secs", 0.1),
        ("jax_persistent_cache_min_entry_size_bytes", 0),
    ):
        jax.config.update(name, value)  # type: ignore[no-untyped-call]


def _print_json(value: Any) -> None:
    print(json.dumps(_plain(value), allow_nan=False))


def _plain(value: Any) -> Any:
    """JSON has no word for infinity and NaN: null."""
    if isinstance(value, dict):
        return {str(k): _plain(x) for k, x in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(x) for x in value]
    if hasattr(value, "item"):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
