"""The package's own forecasters, each as quantiles at `LEVELS` of one problem."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import partial
from unittest import mock

import numpy as np
import polars as pl
from scipy import stats

from augury.data import run_ids
from augury.fitting import fit
from augury.forecast import combine
from augury.forecast.ahead.average import Kind
from augury.forecast.ahead.forecast import ladder_average
from augury.forecast.backtesting import usable
from augury.forecast.curves import forecast_curve
from augury.forecast.passrate import forecast_pass_rate, growth_forms
from augury.forecast.prediction import predictive
from augury.forecast.trends.outlooks import backtest_outlook
from benchmarks.scorecard.baselines import LEVELS
from benchmarks.scorecard.cases import Case, Floats

Forecaster = Callable[[Case], Floats]
LAWS = ("chinchilla", "kaplan", "power:over=flops")
# Curves that are training logs; others are over examples.
TRAINING_RUNS = ("colpret", "lr-schedules", "routed-curves")
SEEN_AT_ONCE = ("params", "tokens", "flops", "loss", "y")


class NoForecastError(Exception):
    """A forecaster does not apply to this problem."""


def forecasters_of(case: Case) -> dict[str, Forecaster]:
    """Forecasters for this kind of question."""
    found: dict[str, Forecaster]
    if case.kind == "loss":
        found = {"forecast_ahead": ahead}
        if "tokens" not in case.past.columns:
            return found | {"power": partial(one_law, law="power:over=params")}
        if not dear(case):
            return found
        found["chinchilla"] = partial(one_law, law="chinchilla")
        if zlib.crc32(case.key.encode()) % 4 == 0:  # three laws, each at eight cuts
            found["combine"] = partial(combined, laws=LAWS)
        return found
    if case.kind == "task score":
        found = {"forecast_ahead": ahead}
        if not dear(case):
            return found
        if "loss" in case.past.columns:
            found["logistic over loss, known"] = partial(one_law, law="logistic-task:over=loss")
        return found
    if case.kind == "pass rate":
        return {name: partial(pass_rate, method=name) for name in ("pooled", "average")}
    if case.kind == "trend ahead":
        return {"outlook": outlook}
    return {"forecast_curve": curve}


def dear(case: Case) -> bool:
    """Whether to fit laws to this ladder: only to a few per corpus, because all take hours."""
    if case.corpus in ("gadre-losses", "olmo-losses", "gadre-tasks"):
        return zlib.crc32(f"{case.corpus}|{case.ladder}".encode()) % 8 == 0
    return zlib.crc32(f"{case.corpus}|{case.ladder}".encode()) % 3 == 0 or case.ladder == "all"


def ahead(case: Case) -> Floats:
    """The average of simple forecasts, without a law."""
    kind: Kind = "loss" if case.kind == "loss" else "score"
    found = ladder_average(kind, case.past, case.future, case.y, case.axis, LEVELS)
    if found is None:
        raise NoForecastError("too few points")
    return found.run


def one_law(case: Case, law: str) -> Floats:
    """A law's interval for a new run, by the default fit."""
    output = "loss" if case.kind == "loss" else "value"
    table = _columns(case.past, output)
    fitted = fit(law, table, resamples=1000, influence=False)
    if not usable(fitted):
        raise NoForecastError(str(fitted.status))
    return _quantiles(predictive(fitted, _columns(case.future, output)).run)


def combined(case: Case, laws: Sequence[str]) -> Floats:
    output = "loss" if case.kind == "loss" else "value"
    found = combine(list(laws), _columns(case.past, output))
    return _quantiles(predictive(found, _columns(case.future, output)).run)


def pass_rate(case: Case, method: str) -> Floats:
    """A method of `forecast_pass_rate` along the axis of the ladder."""
    logs = np.log(np.clip(_pass_rates(case)[method], 1e-300, None))
    return np.exp(spread_out(logs[:, 0], logs[:, 1], logs[:, 2]))


_LAST: dict[str, dict[str, Floats]] = {}


def _pass_rates(case: Case) -> dict[str, Floats]:
    """(m, 3) values and interval ends by method; cached, because one call gives all methods."""
    if case.key not in _LAST:
        _LAST.clear()
        counts = ["passes", "samples"] if "samples" in case.past.columns else ["logprob"]
        table = case.past.with_columns(
            logprob=pl.col("y").log(),
            instance=pl.lit("all"),
            model=pl.int_range(pl.len()).cast(pl.String),
            run=pl.Series(run_ids(case.past)).cast(pl.String),
        ).select("instance", "model", "run", case.axis, *counts)
        places = [{case.axis: float(x)} for x in case.at]
        # The forms of growth take most of the time, and no forecast uses them.
        with mock.patch.object(growth_forms, "_forms", return_value={}):
            found = forecast_pass_rate(table, places, scale=(case.axis,))
        _LAST[case.key] = {
            name: np.array([[f.methods[name].value, *f.methods[name].interval] for f in found])
            for name in found[0].methods
        }
    return _LAST[case.key]


def outlook(case: Case) -> Floats:
    """The forecast of one task, learned from all tasks of a run."""
    if case.family is None:
        raise NoForecastError("no other tasks")
    found = _outlooks(case).filter(task=case.ladder)
    # The outlook forecasts everything beyond the cut, in order; the targets are a part of it.
    ahead = case.family.filter(pl.col("task") == case.ladder, pl.col("tokens") > case.cut)
    places = ahead.sort("tokens").with_row_index("place").filter(pl.col("tokens").is_in(case.at))
    found = found[places["place"].to_list()]
    if found.height != case.future.height or not np.allclose(found["truth"], case.truth):
        raise NoForecastError("not the same targets")
    return spread_out(*(found[n].to_numpy() for n in ("forecast", "low", "high")))


_OUTLOOKS: dict[tuple[str, str, float], pl.DataFrame] = {}


def _outlooks(case: Case) -> pl.DataFrame:
    """Forecasts of all tasks of a run at a cut, from one call."""
    key = (case.corpus, case.group, case.cut)
    if key not in _OUTLOOKS:
        assert case.family is not None
        table = case.family.select(
            "params", "tokens", "task", model=pl.lit("m"), family=pl.lit("f"), value="y",
            metric=pl.lit("acc"), higher_is_better=pl.lit(True),
        )  # fmt: skip
        _OUTLOOKS[key] = backtest_outlook(table, case.cut)
    return _OUTLOOKS[key]


def curve(case: Case) -> Floats:
    x = "tokens" if case.corpus in TRAINING_RUNS else "x"
    past, future = (t.drop("y").rename({"x": x}) for t in (case.past, case.future))
    found = forecast_curve(past, future, x=x)
    low, high = np.log(np.array(found.intervals)).T
    middle = np.log(found.values)
    assert np.all((low < middle) & (middle < high))
    return np.exp(spread_out(middle, low, high))


def spread_out(middle: Floats, low: Floats, high: Floats) -> Floats:
    """Quantiles from a median and a 90 % interval: half normals on either side."""
    z = (stats.norm.ppf(LEVELS) / stats.norm.ppf(0.95))[:, None]
    side = np.where(z < 0, middle - low, high - middle)
    return np.where(z == 0, middle, middle + z * side)


def _columns(table: pl.DataFrame, output: str) -> pl.DataFrame:
    kept = [c for c in SEEN_AT_ONCE if c in table.columns and c != output]
    return table.select(*(pl.col(c).cast(pl.Float64) for c in kept)).rename({"y": output})


def _quantiles(draws: Floats) -> Floats:
    if not np.isfinite(draws).all():
        raise NoForecastError("draws that are not finite")
    return np.quantile(draws, LEVELS, axis=0)
