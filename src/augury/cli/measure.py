"""The command that reads results of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from augury.cli.application import MEASURE, app
from augury.cli.completing import complete_kind
from augury.cli.options import AsJson
from augury.cli.printing import print_json
from augury.errors import UsageError


@app.command(rich_help_panel=MEASURE)
def read(
    kind: Annotated[
        str,
        typer.Argument(
            help="lm-eval, inspect, lighteval, loss, wandb ...: see the docs.",
            autocompletion=complete_kind,
        ),
    ],
    paths: Annotated[
        list[Path],
        typer.Argument(help="Files, or folders to search; for wandb, ENTITY/PROJECT."),
    ],
    out: Annotated[Path, typer.Option(help="Table to write: .parquet, .csv, .tsv or .jsonl.")],
    models: Annotated[
        Path | None, typer.Option(help="Table: model, and any of step, params, tokens, loss ...")
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Continue after a file with an error.")
    ] = False,
    newest: Annotated[
        bool,
        typer.Option("--newest", help=("If two files hold the same measurement, keep the latest.")),
    ] = False,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            help=(
                "Keep both of two measurements that differ in this setting: date, "
                "lm_eval_version, batch_size, folder, file. Repeatable."
            )
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read result files of other tools into one table."""
    from augury.cli.waiting import show_wait
    from augury.data.readers import read_results, write_results
    from augury.data.readers.wandb_runs import KIND, fetch_runs
    from augury.data.table import check_table_path

    check_table_path(out)
    if kind == KIND:
        if len(paths) != 1:
            raise UsageError("wandb: give one ENTITY/PROJECT")
        folder = out.with_name(f"{out.stem}-runs")
        with show_wait(f"fetching {paths[0]}"):
            fetched, told = fetch_runs(paths[0].as_posix(), folder)
        kind, paths, models = "loss", fetched, models or told
    found = read_results(
        kind, paths, models=models, keep_going=keep_going, newest=newest, variant=variant or ()
    )
    write_results(found, out)
    if as_json:
        print_json(found.to_dict() | {"out": str(out)})
        return
    print(f"{found}\nTable: {out}")
