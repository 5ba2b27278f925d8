"""The command that finetunes checkpoints, or plans it for another trainer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from augury.cli import startup
from augury.cli.application import MEASURE, app
from augury.cli.arguments import parse_stops
from augury.cli.options import AsJson
from augury.cli.printing import print_json
from augury.errors import UsageError


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
        typer.Option(help="Score checkpoints that another trainer wrote into a plan's folder."),
    ] = None,
    subsets: Annotated[int, typer.Option(help="Random subsets of each amount.")] = 2,
    seeds: Annotated[int, typer.Option(help="Runs on each subset.")] = 2,
    method: Annotated[str, typer.Option(help="full, lora (hf: models), or head.")] = "full",
    only: Annotated[
        str | None,
        typer.Option(help="head: train the output embedding alone, as --method head does."),
    ] = None,
    subspace: Annotated[
        str | None,
        typer.Option(
            help='lab: models: also train in random subspaces of the weights, "16,64,256" '
            "dimensions, and say how few have 90 % of the gain."
        ),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="At the middle width. Default: searched there.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Maximum steps. Default: 1,000 (lab); depends on the amount (hf:)."),
    ] = None,
    batch: Annotated[int, typer.Option(help="Examples per step.")] = 16,
    patience: Annotated[
        int,
        typer.Option(help=("Evaluations of the held-out loss without improvement that end a run.")),
    ] = 4,
    checker: Annotated[str, typer.Option(help="For a task from a file.")] = "exact",
    tokens: Annotated[int, typer.Option(help="Tokens to sample, for a task from a file.")] = 256,
    stop: Annotated[
        list[str] | None,
        typer.Option(help=r"End a sample before this text; \n is a newline. Repeatable."),
    ] = None,
    samples: Annotated[
        int, typer.Option(help=("Samples per instance, if the score is sampled."))
    ] = 128,
    instances: Annotated[int, typer.Option(help="Instances to score on; never trained on.")] = 2048,
    about: Annotated[
        Path | None, typer.Option(help="Table: model, and any of step, params, tokens, loss ...")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="lab: models: runs at once; 0: one, in this process. Default: one per core."
        ),
    ] = None,
    processes: Annotated[
        int,
        typer.Option(
            help="hf: models: processes that share every run, one per GPU. accelerate starts them."
        ),
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Finetune checkpoints on growing amounts of a task, and score them. Run it again to resume."""
    from augury.cli.progress import show_counts
    from augury.evaluate import read_task
    from augury.finetune import collect_outside, finetune_sweep, plan_outside

    if only is not None:
        if only != "head" or method not in ("full", "head"):
            raise UsageError(f"--only takes 'head', without --method, not '{only}'")
        method = only
    if collect is not None:
        out = out or collect / "study"
        rows, missing = collect_outside(collect, out)
        for run in missing:
            print(f"augury: no checkpoint yet: {collect / 'checkpoints' / run}", file=sys.stderr)
    else:
        if not model or task is None or amounts is None:
            raise UsageError("--model, --task and --amounts are required, or --collect DIR")
        numbers = _numbers("--amounts", amounts, "numbers of examples, as in 250,1000")
        dimensions = []
        if subspace is not None:
            dimensions = _numbers("--subspace", subspace, "dimensions, as in 16,64,256")
        asked: Any = task
        if Path(task).suffix in (".jsonl", ".ndjson"):
            asked = read_task(task, checker=checker, length=tokens, stop=parse_stops(stop))
        if plan is not None:
            if dimensions:
                raise UsageError("--subspace trains here: it takes no --plan")
            if processes != 1:
                raise UsageError("--processes trains here: it takes no --plan")
            plan_outside(
                model, asked, numbers, range(subsets), range(seeds), plan,
                method=method,  # type: ignore[arg-type] # checked there
                learning_rate=learning_rate, batch=batch, steps=steps, instances=instances,
                samples=samples, about=about,
            )  # fmt: skip
            if as_json:
                print_json({"plan": str(plan), "manifest": str(plan / "manifest.json")})
            else:
                print(
                    f"{plan}: train each of runs/*, put the results into checkpoints/RUN, then\n  "
                    f"augury finetune --collect {plan}"
                )
            return
        if out is None:
            raise UsageError("--out is required: the study's folder")
        startup.keep_compiled()
        with show_counts("units") as seen:
            rows = finetune_sweep(
                model,
                asked,
                numbers,
                subsets,
                seeds,
                out=out,
                method=method,  # type: ignore[arg-type] # checked there
                subspace=dimensions,
                learning_rate=learning_rate,
                steps=steps,
                batch=batch,
                patience=patience,
                instances=instances,
                samples=samples,
                about=about,
                workers=workers,
                processes=processes,
                progress=seen,
            )
    few = _intrinsic_dimensions(rows)
    if as_json:
        known = {} if not few else {"intrinsic": [found.to_dict() for found in few]}
        print_json({"study": str(out), "rows": rows.to_dicts(), **known})
        return
    print(f"{'checkpoint':28s} {'examples':>9s} {'score':>10s} {'lowest':>10s} {'highest':>10s}")
    by = ["run", "step", "finetune_examples", *(["trained_params"] if few else [])]
    for (run, step, amount, *trained), own in rows.group_by(by, maintain_order=True):
        name = str(run) if step is None else f"{run} step {step}"
        if trained and trained[0] is not None:
            name = f"{name}, {trained[0]:.0f} dim."
        score = own["value"].to_numpy()
        ends = f"{score.min():10.3g} {score.max():10.3g}"
        print(f"{name:28s} {amount:9d} {score.mean():10.3g} {ends}")
    for found in few:
        _print_intrinsic(found)
    print(f"{len(rows)} rows: {out} (a study's folder is a table)")


def _numbers(option: str, text: str, expected: str) -> list[int]:
    """Parse whole numbers between commas, at least one."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() for part in parts):
        raise UsageError(f"{option} '{text}': expected {expected}")
    return [int(part) for part in parts]


def _intrinsic_dimensions(rows: Any) -> list[Any]:
    """Return the intrinsic dimension per number of examples, if subspaces were trained."""
    if "trained_params" not in rows.columns:
        return []
    from augury.forecast.intrinsic import measure_intrinsic_dimension

    amounts = sorted(set(rows["finetune_examples"].to_list()) - {0})
    return [
        measure_intrinsic_dimension(rows.filter(rows["finetune_examples"].is_in([0, amount])))
        for amount in amounts
    ]


def _print_intrinsic(found: Any) -> None:
    share = f"{100 * found.share:g}"
    print(f"d_{share}: dimensions for {share} % of the gain in log-probability of all weights")
    for row in found.table.to_dicts():
        if row["dimension"] is None:
            said = f"not reached by {row['seeds'] - row['reached']} of {row['seeds']} seeds"
        else:
            said = f"{row['dimension']:.0f}"
            if row["low"] is not None:
                said += f" [{row['low']:.0f}, {row['high']:.0f}]"
        print(f"  {row['run']:28s} {row['params']:9.0f} parameters: {said}")
    if found.exponent is not None:
        print(f"  {found}")
