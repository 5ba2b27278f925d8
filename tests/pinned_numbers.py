"""Numbers with fixed seeds that a refactoring must not change.

`python -m tests.pinned_numbers NAME ...` records all, or only the named entries, in
tests/pinned.json; each named entry needs its reason in REASONS of tests/test_pinned.py.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import augury
from augury.fitting import Gaussian

Numbers = dict[str, Any]
PINNED: dict[str, Callable[[], Numbers]] = {}
HERE = Path(__file__).parent


def pinned(function: Callable[[], Numbers]) -> Callable[[], Numbers]:
    """Register a function whose numbers are pinned."""
    PINNED[function.__name__] = function
    return function


def runs(n: int = 40, seed: int = 0) -> pl.DataFrame:
    """Chinchilla runs with 1 % noise and a few checkpoints per run."""
    rng = np.random.default_rng(seed)
    params = np.exp(rng.uniform(np.log(1e7), np.log(1e10), n))
    tokens = np.exp(rng.uniform(np.log(1e9), np.log(1e12), n))
    loss = 1.8 + 480 * params**-0.35 + 2100 * tokens**-0.37
    loss *= np.exp(0.01 * rng.standard_normal(n))
    return pl.DataFrame({"params": params, "tokens": tokens, "loss": loss})


def scores(n: int = 30, seed: int = 1) -> pl.DataFrame:
    """Scores of a task that depend on the loss, with counts."""
    table = runs(n, seed)
    rng = np.random.default_rng([seed, 9])
    rate = 0.25 + 0.7 / (1 + np.exp(4 * (table["loss"].to_numpy() - 2.3)))
    return table.with_columns(value=rng.binomial(1000, rate) / 1000.0, n=pl.lit(1000.0))


def fitted(f: Any) -> Numbers:
    """Parameters, objective, status and intervals of a fit."""
    return {
        "parameters": list(f.parameters.values()),
        "objective": f.objective,
        "status": str(f.status),
        "intervals": [x for pair in f.intervals.values() for x in pair],
    }


@pinned
def fit_losses() -> Numbers:
    table = runs()
    out = {
        f"{law} {name}": fitted(augury.fit(law, table, likelihood=likelihood, influence=False))
        for law in ("chinchilla", "kaplan", "power")
        for name, likelihood in (("huber", "huber"), ("gaussian", Gaussian("log")))
    }
    flops = table.with_columns(flops=6.0 * table["params"] * table["tokens"])
    out["compute"] = fitted(augury.fit("compute", flops, influence=False))
    return out


@pinned
def fit_scores() -> Numbers:
    table = scores()
    return {
        f"{law} {name}": fitted(augury.fit(law, table, likelihood=name, influence=False))
        for law in ("logistic-task", "threshold-task", "pass-rate", "curved-pass-rate")
        for name in ("binomial", "gaussian")
    }


@pinned
def fit_broken_power() -> Numbers:
    x = np.geomspace(1e6, 1e11, 40)
    y = 0.4 + 300 * x**-0.28 * (1 + (x / 3e8) ** (1 / 0.3)) ** (-0.3 * 0.3)
    y = y * np.exp(0.003 * np.random.default_rng(3).standard_normal(40))
    table = pl.DataFrame({"params": x, "loss": y})
    return fitted(augury.fit("broken-power", table, influence=False))


@pinned
def fit_notes() -> Numbers:
    table = runs(20, 5)
    loss = table["loss"].to_numpy().copy()
    loss[3] *= 1.2
    found = augury.fit("chinchilla", table.with_columns(loss=loss), likelihood=Gaussian("log"))
    return {**fitted(found), "notes": [note.code for note in found.notes]}


@pinned
def bootstrap() -> Numbers:
    f = augury.fit("chinchilla", runs(), uncertainty="bootstrap", resamples=200, influence=False)
    return {**fitted(f), "draws": f.draws.mean(0).tolist()}


@pinned
def fit_many() -> Numbers:
    parts = [runs(25, k).with_columns(task=pl.lit(f"t{k}")) for k in range(5)]
    out = {}
    for pool in (False, True):
        many = augury.fit_many("chinchilla", pl.concat(parts), by="task", pool=pool)
        out[f"pool {pool}"] = {
            "parameters": many.parameters.ravel().tolist(),
            "objective": many.objective.tolist(),
            "status": [str(s) for s in many.status],
        }
    return out


@pinned
def predict() -> Numbers:
    f = augury.fit("chinchilla", runs(), influence=False)
    found = augury.predict(f, {"params": 7e10, "tokens": 2e12})[0]
    return {"forecast": [found.value, *found.mean_interval, *found.run_interval],
            "extrapolation": found.extrapolation}  # fmt: skip


@pinned
def chain() -> Numbers:
    chain_ = augury.Chain(augury.law("chinchilla"), augury.law("logistic-task"))
    out = {}
    for how in ("stepwise", "joint"):
        f = augury.fit_chain(chain_, scores().drop("n"), how=how, resamples=200)
        found = augury.predict(f, {"params": 7e10, "tokens": 2e12})[0]
        out[how] = {
            "parameters": list(f.parameters.values()),
            "forecast": [found.value, *found.mean_interval, *found.run_interval],
        }
    return out


@pinned
def backtest() -> Numbers:
    table = runs(24, 7)
    out = augury.backtest("chinchilla", table, holdout="params >= 2e9")
    return {"summary": [x for row in out.summary.rows() for x in row if isinstance(x, float)]}


@pinned
def trends() -> Numbers:
    rng = np.random.default_rng(4)
    rows = [
        {"model": f"m{s}", "params": s, "tokens": 2e9 * t, "task": task, "metric": "acc",
         "value": 0.5 + slope * np.log(t) + 0.01 * rng.standard_normal(), "n": 1000.0}
        for s in (1e8, 4e8, 1.6e9)
        for t in (1, 2, 4, 8, 16, 32, 64)
        for task, slope in (("up", 0.05), ("flat", 0.0), ("down", -0.03))
    ]  # fmt: skip
    found = augury.trends(pl.DataFrame(rows))
    return {f"{t.task} {t.axis}": [t.shape, t.effect, t.q] for t in found.trends}


@pinned
def pass_rates() -> Numbers:
    rng = np.random.default_rng(6)
    params = np.geomspace(1e7, 1e9, 6)
    rows = []
    for i, n in enumerate(params):
        rates = np.exp(-40 * n**-0.1 * np.exp(0.3 * rng.standard_normal(12)))
        for k, rate in enumerate(rates):
            rows.append({"model": f"m{i}", "params": n, "task": "t", "metric": "pass",
                         "instance": str(k), "passes": float(rng.binomial(2000, rate)),
                         "samples": 2000.0})  # fmt: skip
    found = augury.forecast_pass_rate(pl.DataFrame(rows), [{"params": 4e9}])[0]
    return {"methods": [[a.value, *a.interval] for a in found.methods.values()]}


@pinned
def emergence() -> Numbers:
    from augury.forecast.emergence import Truth, simulate_study

    rng = np.random.default_rng(2)
    table = simulate_study(
        Truth(), rng, losses=np.linspace(2.4, 1.95, 8), amounts=(100, 400, 1600, 6400), items=1000
    )
    f = augury.fit_emergence(augury.emergence_data(table), laws="relu")
    p = augury.emergence_point(f)
    return {"point": [p.value, *p.interval], "status": str(p.status)}


@pinned
def pass_until() -> Numbers:
    from augury.lab import LabBackend, ModelConfig, RunConfig, lab_instances, train

    with tempfile.TemporaryDirectory() as folder:
        run = RunConfig(ModelConfig(8), steps=100, shares={"sort-digits": 0.6})
        model = LabBackend(train(run, Path(folder) / "run")[-1])
        task = lab_instances("sort-digits", 12)
        out: Numbers = {}
        for method in ("tree", "independent"):
            study = Path(folder) / method
            found = augury.pass_until(
                model, task, study=study, r=2, max_samples=2000, method=method
            )
            journal = next(study.rglob("journal.jsonl"))
            out[method] = {
                "passes": [int(x) for x in found.passes],
                "samples": [int(x) for x in found.samples],
                "journal": hashlib.sha256(journal.read_bytes()).hexdigest()[:16],
            }
    return out


def main() -> None:
    """Record the numbers."""
    only = sys.argv[1:]
    path = HERE / "pinned.json"
    old = json.loads(path.read_text()) if path.exists() else {}
    found = {name: f() for name, f in PINNED.items() if not only or name in only}
    path.write_text(json.dumps(old | found, indent=1) + "\n")


if __name__ == "__main__":
    main()
