"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Table = Annotated[Path, typer.Argument(help="CSV, TSV, Parquet, JSON lines; - is standard input.")]
Map = Annotated[
    list[str] | None,
    typer.Option("--map", help='Read your column as ours: "params=Model Size". Repeatable.'),
]
Scale = Annotated[
    list[str] | None,
    typer.Option(
        "--scale", help='Multiply a column: "tokens=1e9" if it is in billions. Repeatable.'
    ),
]
Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--tasks", help='Columns that hold the scores of a task each: "MMLU,ARC-C", "icl/*".'
    ),
]
Where = Annotated[str | None, typer.Option(help='Rows to keep, SQL: "loss < 3.43".')]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Level = Annotated[float, typer.Option(help="Level of the intervals.")]
Seed = Annotated[int, typer.Option(help="Random seed.")]
LikelihoodName = Annotated[
    str | None,
    typer.Option("--likelihood", help="huber, gaussian, binomial, beta-binomial or pinball."),
]
