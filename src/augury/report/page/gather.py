"""A page from measurements: a table, or a folder of them.

Every part is told if the data allow it; what is missing is said in the last section.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl

from augury.data import read_table
from augury.data.scores import whole_tasks
from augury.errors import AuguryError
from augury.notes import Note
from augury.report.page.curves import loss_section
from augury.report.page.outlook import outlook_figure
from augury.report.page.passrate import (
    pass_rate_outlook,
    pass_rate_section,
    pass_rate_verdict,
)
from augury.report.page.story import Outlook, Section, Story, Verdict
from augury.report.page.trends import trends_section

# Places at which a band is drawn: its edges are draws, and more places show their noise.
GRID = 24
# Checkpoints of a run below which a trend over training is not asked for: a curve that may turn
# has more parameters than they have points.
FEWEST = 5
# Packages that the numbers depend on.
PACKAGES = ("augury", "jax", "numpy", "scipy", "polars", "altair", "vl-convert-python")


def trends_of(table: pl.DataFrame, missing: list[str]) -> list[Section]:
    """The section of trends over training; or, among what is missing, why there is none."""
    from augury.forecast.trends import trends

    rows = whole_tasks(table)
    if "finetune_examples" in rows.columns:
        # A sweep scores each model as it is once more: what was measured of it alone comes first.
        alone = rows.filter(pl.col("finetune_examples").is_null())
        rows = alone if alone.height else rows.filter(pl.col("finetune_examples") == 0)
    if "metric" in rows.columns and (rows["metric"] == "pass").any():
        # Of one task, these say what its pass rate says.
        rows = rows.filter(~pl.col("metric").is_in(["greedy", "logprob"]))
    # A column that only the others fill tells no runs apart.
    rows = rows.select(c for c in rows.columns if rows[c].null_count() < rows.height)
    axis = next((a for a in ("tokens", "step") if a in rows.columns), None)
    runs = [c for c in ("family", "model", "params", "seed", "task", "metric") if c in rows.columns]
    if axis is None:
        missing.append("No trends over training: no column says how far it was (tokens or step).")
        return []
    most = 0
    if rows.height:
        most = int(rows.group_by(runs).agg(pl.col(axis).n_unique())[axis].max())  # type: ignore[arg-type]
    if most < FEWEST:
        missing.append(
            f"No trends over training: no run was measured at more than {most} "
            f"checkpoint{'' if most == 1 else 's'}; a trend needs {FEWEST}."
        )
        return []
    try:
        return [trends_section(trends(rows))]
    except AuguryError as error:
        missing.append(f"No trends over training: {error}.")
        return []


def measurement_story(path: str | Path, *, at: Mapping[str, float] | None = None) -> Story:
    """What measurements tell: a table, or a folder of `augury passuntil --out`.

    Args:
        path: of the table or the folder.
        at: where to forecast, such as {"params": 1e10}; by default twice the largest model.

    Raises:
        DataError: nothing was measured there.
    """
    from augury.forecast.passrate import forecast_pass_rate, growth, series

    path = Path(path)
    table = _labelled(read_table(path))
    digest = hashlib.sha256(
        table.write_csv().encode()  # the values, whatever files they lie in
    ).hexdigest()
    scale = next(iter(at)) if at else "params"
    sections: list[Section] = []
    missing: list[str] = []
    verdicts: list[Verdict] = []
    outlooks: list[Outlook] = []
    notes: list[Note] = []
    for i, task in enumerate(table["task"].unique().sort() if "task" in table else []):
        rows = table.filter(pl.col("task") == task)
        if "metric" in rows.columns and (rows["metric"] == "pass").any():
            rows = rows.filter(pl.col("metric") == "pass")
        try:
            seen = series(rows, [scale])
            place = dict(at) if at else {scale: 2 * float(seen.x[:, 0].max())}
            ends = [float(seen.x[:, 0].min()), float(seen.x[:, 0].max()), place[scale]]
            grid = [{scale: float(v)} for v in np.geomspace(min(ends), max(ends) * 1.1, GRID)]
            found = forecast_pass_rate(rows, [*grid, place], scale=[scale])
        except AuguryError as error:
            missing.append(f"No forecast of “{task}”: {error}.")
            continue
        names = rows.select(scale, "model").unique().sort([scale, "model"])["model"].to_list()
        sections.append(
            pass_rate_section(
                task,
                seen,
                growth(seen),
                found[:-1],
                target=found[-1],
                runs=names if len(names) == len(seen.x) else None,
                name=f"pass-rate-{i}",
            )
        )
        verdicts.append(pass_rate_verdict(task, found[-1], seen))
        notes += [n for n in found[-1].notes if n.severity != "info"]
        outlooks.append(pass_rate_outlook(task, found[-1], made=f"from {len(seen.x)} models"))
    sections += _loss_of(table, missing)
    sections += trends_of(table, missing)
    if missing:
        sections.append(Section("What this page does not have", tuple(missing)))
    return Story(
        f"What was measured in {path.name}, and what follows",
        tuple(verdicts) or ("Nothing can be forecast from these measurements yet.",),
        tuple(sections),
        tuple(outlooks),
        tuple(notes),
        {
            "measurements": path.name,
            "rows": f"{table.height:,}",
            "SHA-256 of the rows": digest,
            "seed of the draws": "0",
            **versions(),
        },
        hero=outlook_figure(outlooks),
    )


def _loss_of(table: pl.DataFrame, missing: list[str]) -> list[Section]:
    from augury.fitting.fit import fit
    from augury.laws import parse_law

    keys = [c for c in ("model", "params", "loss", "step", "seed") if c in table.columns]
    if not {"params", "loss"} <= set(keys):
        missing.append("No law of the loss: there is no column loss, or none of params.")
        return []
    own = table.filter(pl.col("loss").is_not_null()).select(keys).unique(maintain_order=True)
    try:
        return [loss_section(fit(parse_law("power"), own), task="pretraining loss")]
    except AuguryError as error:
        missing.append(f"No law of the loss: {error}.")
        return []


def _labelled(table: pl.DataFrame) -> pl.DataFrame:
    """With one name a run: models that differ in step or seed alone are told apart."""
    if "model" not in table.columns:
        return table
    return table.with_columns(model=_label(table))


def named(table: pl.DataFrame) -> pl.DataFrame:
    """With a column `run` that tells models apart which differ in step or seed alone."""
    return table.with_columns(run=_label(table))


def _label(table: pl.DataFrame) -> pl.Expr:
    parts = [pl.col("model")] if "model" in table.columns else [pl.lit("run")]
    differing = [n for n in ("step", "seed") if n in table.columns and table[n].n_unique() > 1]
    parts += [pl.format(name + " {}", pl.col(name)) for name in differing]
    return pl.concat_str(parts, separator=" · ", ignore_nulls=True)


def versions() -> dict[str, str]:
    """Of the packages that the numbers depend on."""
    return {f"version of {name}": version(name) for name in PACKAGES}
