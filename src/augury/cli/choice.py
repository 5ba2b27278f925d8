"""`augury fit` without `--law`: the law chosen by backtest, and what the others would say."""

from __future__ import annotations

from pathlib import Path

from augury.cli import startup
from augury.cli.arguments import read_rows
from augury.cli.columns import DERIVED, column_names, guess_columns
from augury.cli.printing import print_json


def fit_chosen(
    table: Path,
    map_: list[str] | None,
    scale: list[str] | None,
    where: str | None,
    likelihood: str | None,
    groups: str | None,
    level: float,
    seed: int,
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    """Choose a law, fit it, and show both; options as those of `fit`."""
    from augury.data import parse_map
    from augury.forecast.choosing import choose

    mapped = parse_map(map_ or [])
    there = column_names(table)
    needed = [n for n in sorted(DERIVED) if guess_columns(there, [n], mapped)]
    data = read_rows(table, map_, where, needed, "loss", scale)
    startup.keep_compiled()
    choice = choose(data, groups=groups, likelihood=likelihood, level=level, seed=seed)
    if out is not None:
        from augury.fitting.store import save
        from augury.report.page.result import save_figures

        save(choice.fit, out)
        save_figures(choice.fit, out / "figures")
    if as_json:
        print_json(choice.to_dict())
        return
    if choice.fits:
        print(choice.fit)
        if choice.fit.status.remedy:
            print(f"  {choice.fit.status.remedy}")
    print(f"Chosen: {choice.law}, of {choice.scores.height} laws by their backtests")
    ahead = choice.forecasts()
    print(f"{'law':36s} {'weight':>6s} {'CRPS':>9s}  forecast at ten times the largest run")
    for row in choice.scores.to_dicts():
        name = row["law"]
        said = str(ahead[name]) if name in ahead else ""
        print(f"{name:36s} {choice.weights.get(name, 0.0):6.2f} {row['crps']:9.4g}  {said}")
    for note in choice.notes:
        print(f"  {note.severity}: {note.message}")
