"""One curve from its beginning: `forecast_curve` on public curves, compared with single laws.

    python -m benchmarks.curves [--json] [--each] [--data FOLDER]

neural-scaling: the 20 language curves of Alabdulmohsin et al. 2022; score: root mean square error
of the log loss on the held-out part, averaged over curves. colpret: every fourth training curve of
Choshen et al. 2024; lr-schedules: the curves of Luo et al. 2025. For both, the first half of a
curve forecasts its end (the mean log over its last 2 %). Every second curve of neural-scaling and
colpret was used to set the defaults and is the development half; the others were not used.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from augury.fitting import Gaussian
from augury.forecast.curves import forecast_curve
from augury.forecast.curves.candidates import candidates
from augury.forecast.curves.cuts import fit_cuts
from augury.forecast.curves.one_curve import LAST_VALUE
from augury.forecast.score import weighted_interval_score
from augury.laws import BrokenPowerLaw, Momentum, PowerLaw, SaturatedPower, with_schedule

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
LEVEL = 0.9
# Single laws compared with the default, without priors.
SINGLE = {
    "power": PowerLaw("x"),
    "saturated-power": SaturatedPower("x"),
    "broken-power (BNSL)": BrokenPowerLaw("x"),
}
# The last part of a run, whose mean is its final loss.
LAST_PART = 0.02


class Case(NamedTuple):
    """One curve: the observed part, where it is forecast, and the true values there."""

    corpus: str
    name: str
    half: str
    seen: pl.DataFrame
    at: pl.DataFrame
    truth: np.ndarray


def main(arguments: list[str] | None = None) -> None:
    """Score every available corpus; print a table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--each", action="store_true", help="every curve, not their means")
    parser.add_argument("--data", type=Path, default=SHARED)
    given = parser.parse_args(arguments)
    rows = [row for case in cases(given.data) for row in scores(case)]
    record = pl.DataFrame(rows)
    if rows and not given.each:
        record = summary(record)
    if given.json:
        print(json.dumps(record.to_dicts()))
    else:
        with pl.Config(tbl_rows=1000, tbl_cols=20, tbl_hide_dataframe_shape=True):
            print(record)


def cases(data: Path) -> Iterator[Case]:
    """Every curve of the available corpora."""
    yield from neural_scaling(data / "neural-scaling-benchmark" / "benchmark.lang.csv")
    yield from colpret(data / "colpret-curves" / "curves.parquet")
    yield from lr_schedules(data / "lr-schedules" / "curves.csv")


def neural_scaling(path: Path) -> Iterator[Case]:
    if not path.exists():
        return
    table = pl.read_csv(path).unique(maintain_order=True)
    grouped = table.group_by("Domain", "Task", "Model", maintain_order=True)
    for i, (key, own) in enumerate(grouped):
        own = own.select(x=pl.col("Seen Examples").cast(pl.Float64), loss="Loss", seen="Training")
        past, future = own.filter(pl.col("seen") == 1), own.filter(pl.col("seen") == 0).sort("x")
        half = "development" if i % 2 == 0 else "scored"
        at, truth = future.select("x"), future["loss"].to_numpy()
        yield Case("neural-scaling", " ".join(map(str, key)), half, past.drop("seen"), at, truth)


def colpret(path: Path) -> Iterator[Case]:
    if not path.exists():
        return
    table = pl.read_parquet(path).select("run", x="tokens_seen", loss="loss").drop_nulls()
    for i, ((run,), own) in enumerate(table.group_by("run", maintain_order=True)):
        own = own.filter(pl.col("x") > 0, pl.col("loss") > 0).sort("x").drop("run")
        if i % 4 == 0 and own.filter(pl.col("x") <= pl.col("x").max() / 2)["x"].n_unique() >= 10:
            half = "development" if i % 8 == 0 else "scored"
            yield first_half("colpret", str(run), half, own)


def lr_schedules(path: Path) -> Iterator[Case]:
    if not path.exists():
        return
    table = pl.read_csv(path).with_columns(x=pl.col("step").cast(pl.Float64))
    for key, own in table.group_by("params", "curve", maintain_order=True):
        own = with_schedule(own.sort("step")).select("x", "loss", "lr_sum", "lr_drop")
        yield first_half("lr-schedules", " ".join(map(str, key)), "scored", own)


def first_half(corpus: str, name: str, half: str, own: pl.DataFrame) -> Case:
    """The first half of a run in x, and its end."""
    last = float(own["x"].max())  # type: ignore[arg-type]
    end = own.filter(pl.col("x") > (1 - LAST_PART) * last)
    truth = np.exp(end["loss"].log().mean())  # type: ignore[arg-type]
    at = own.filter(pl.col("x") == last).head(1).drop("loss")
    return Case(corpus, name, half, own.filter(pl.col("x") <= last / 2), at, np.array([truth]))


def scores(case: Case) -> Iterator[dict[str, Any]]:
    """One row per forecaster: root mean square log error, interval score, coverage."""
    x = "x" if case.corpus == "neural-scaling" else "tokens"  # examples, or a log of training
    seen, at = (t.rename({"x": x}) for t in (case.seen, case.at))
    found = forecast_curve(seen, at, x=x, level=LEVEL)
    yield scored(case, "default", np.array(found.values), np.array(found.intervals))
    last = np.full(len(case.truth), found.parts[LAST_VALUE].parameters["value"])
    yield scored(case, LAST_VALUE, last)
    for name, law in SINGLE.items():
        yield scored(case, name, alone(case, law))
    if "lr_sum" in case.at.columns:
        yield scored(case, "momentum", alone(case, Momentum()))


def alone(case: Case, law: Any) -> np.ndarray:
    """One law fitted to the observed part, by least squares on logs."""
    (candidate,) = candidates("x", [law])
    inputs = {n: case.seen[n].to_numpy() for n in law.inputs}
    ones = np.ones((1, case.seen.height))
    fitted = fit_cuts(
        candidate.law, inputs, case.seen["loss"].to_numpy(), ones, Gaussian("log"), {}
    )
    return fitted.at(-1, {n: case.at[n].to_numpy() for n in law.inputs})


def scored(
    case: Case, forecaster: str, value: np.ndarray, interval: np.ndarray | None = None
) -> dict[str, Any]:
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.log(np.where(value > 0, value, np.nan) / case.truth)
    row: dict[str, Any] = {
        "corpus": case.corpus, "half": case.half, "curve": case.name, "forecaster": forecaster,
        "error": float(np.sqrt(np.mean(off**2))), "held": None, "width": None, "wis": None,
    }  # fmt: skip
    if interval is not None:
        low, high = np.log(interval.T)
        truth = np.log(case.truth)
        wis = weighted_interval_score(np.log(value), low, high, truth, LEVEL)
        row |= {"held": float(np.mean((truth >= low) & (truth <= high))),
                "width": float(np.mean(high - low)), "wis": float(np.mean(wis))}  # fmt: skip
    return row


def summary(rows: pl.DataFrame) -> pl.DataFrame:
    """Per corpus, half and forecaster; `beaten` counts curves on which the default was closer."""
    default = rows.filter(pl.col("forecaster") == "default").select("corpus", "curve", own="error")
    return (
        rows.join(default, on=["corpus", "curve"])
        .group_by("corpus", "half", "forecaster", maintain_order=True)
        .agg(
            curves=pl.len(),
            error=pl.col("error").fill_nan(np.inf).mean(),
            median=pl.col("error").fill_nan(np.inf).median(),
            beaten=(pl.col("own") < pl.col("error").fill_nan(np.inf)).sum(),
            coverage90=pl.col("held").mean(),
            width90=pl.col("width").mean(),
            wis=pl.col("wis").mean(),
        )
        .sort("corpus", "half", maintain_order=True)
    )


if __name__ == "__main__":
    main()
