"""`augury fit` without `--law`: the law chosen by backtest, and the others' forecasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from augury.cli import startup
from augury.cli.arguments import read_rows
from augury.cli.printing import print_answer, print_json
from augury.cli.saving import save_with_figures


def fit_chosen(
    table: Path,
    map_: list[str] | None,
    scale: list[str] | None,
    tasks: list[str] | None,
    where: str | None,
    likelihood: str | None,
    groups: str | None,
    points: Sequence[Mapping[str, float]],
    level: float,
    seed: int,
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    """Choose a law, fit it, and show both; options as in `fit`."""
    from augury.data.common_names import SCALES
    from augury.forecast.choosing import choose

    data = read_rows(table, map_, where, (), "loss", scale, SCALES, tasks)
    with startup.computing("choosing a law"):
        choice = choose(data, groups=groups, likelihood=likelihood, level=level, seed=seed)
        asked = [choice.forecasts(point) for point in points]
        ahead = choice.forecasts()
    if out is not None:
        save_with_figures(choice.fit, out)
    if as_json:
        told = [{name: f.to_dict() for name, f in found.items()} for found in asked]
        print_json(choice.to_dict() | ({"forecasts": told} if points else {}))
        return
    if choice.fits:
        print_answer(choice.fit, choice.fit.status.remedy)
    print(f"Chosen: {choice.law}, of {choice.scores.height} laws by their backtests")
    print(f"{'law':36s} {'weight':>6s} {'CRPS':>9s}  forecast at ten times the largest run")
    for row in choice.scores.to_dicts():
        name = row["law"]
        said = str(ahead[name]) if name in ahead else ""
        print(f"{name:36s} {choice.weights.get(name, 0.0):6.2f} {row['crps']:9.4g}  {said}")
    for found in asked:
        for name, forecast in found.items():
            print(f"{name}: {forecast}")
    for note in choice.notes:
        print(f"  {note.severity}: {note.message}")
