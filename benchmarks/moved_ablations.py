"""Remove terms of the moved curve one by one: their effect on width, error and coverage.

python -m benchmarks.moved_ablations 24 [--out FILE]
fits that many simulated studies of each shape, by the whole curve and without one term at a time,
writes one line per study, resumes after a stop, and prints the tables of
docs/experiments/latent.md. A study takes about 20 CPU-seconds.

python -m benchmarks.moved_ablations --worlds [--out FILE]
does the same for the ladders of `h2`: width of intervals at its cuts, without using the truth.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from tests.moved_studies import AMOUNTS, SHAPES, moved_table

from augury.forecast.emergence import MovedStudy, moved_study
from augury.forecast.emergence.ensemble import WALKERS, Floats, run_ensemble
from augury.forecast.emergence.moved_curve import FloorPrior, MovedCurve, MovedParameters
from augury.forecast.emergence.moved_fit import few_shot_only, progress_at

RECORDS = Path(__file__).parent / "records"
DISTANCE = 0.1
# Cuts of the worlds at which forecasts are judged, in nats above the floor.
CUTS = (0.47, 0.42, 0.37, 0.32)
STEPS = 700
# Practically known: nats in the log of the gap.
EXACT = 0.01


class Ablated(MovedCurve):
    """The moved curve with some natural parameters fixed."""

    def __init__(self, study: MovedStudy, held: dict[str, float]) -> None:
        super().__init__(study)
        self._held = held

    def natural(self, z: Floats) -> MovedParameters:
        p = super().natural(z)
        return p._replace(**{name: np.full(len(z), value) for name, value in self._held.items()})


def known_floor(study: MovedStudy, floor: float) -> MovedStudy:
    """A study whose floor is known exactly."""
    gap = float(np.log(study.data.place.min() - floor))
    return replace(study, floor=FloorPrior(gap, EXACT))


# Name -> fixed natural parameters that remove the term: 1e-9 of a spread, a cap beyond all data.
HELD: dict[str, dict[str, float]] = {
    "whole": {},
    "luck not shared": {"luck": 1e-9},
    "no luck of subsets": {"subset": 1e-9},
    "equal slopes": {"tilt": 0.0},
    "logarithmic shift": {"turn": 1.0, "cap": 1e15},
    "floor exactly known": {},
    "few-shot alone": {},
    "amounts of 2 and 4 too": {},
}


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", type=int, nargs="?", default=0)
    parser.add_argument("--out", type=Path, default=RECORDS / "moved_ablations.jsonl")
    parser.add_argument("--worlds", action="store_true")
    asked = parser.parse_args()
    lines = asked.out.read_text().splitlines() if asked.out.exists() else []
    done = [json.loads(line) for line in lines]
    have = {row["study"] for row in done}
    cases = worlds() if asked.worlds else simulated(asked.studies)
    for name, case in cases.items():
        if name not in have:
            done.append({"study": name, **one(case())})
            with asked.out.open("a") as out:
                out.write(json.dumps(done[-1]) + "\n")
    for rows in ([r for r in done if r["point"]], [r for r in done if not r["point"]]):
        if rows:
            table(rows)


class Case(NamedTuple):
    """A study: its table, its floor, the true point and a table with two smaller amounts."""

    table: pl.DataFrame
    floor: float
    point: float | None = None
    finer: pl.DataFrame | None = None


def simulated(count: int) -> dict[str, Callable[[], Case]]:
    """Studies, made on demand."""

    def made(seed: int, shape: str) -> Case:
        point, rows, floor = moved_table(np.random.default_rng([seed, 61]), shape)
        again = np.random.default_rng([seed, 61])
        finer = moved_table(again, shape, amounts=(2, 4, *AMOUNTS))[1]
        return Case(rows, floor, point, finer)

    return {f"{SHAPES[k % 3]} {k // 3}": partial(made, k // 3, SHAPES[k % 3]) for k in range(count)}


def worlds() -> dict[str, Callable[[], Case]]:
    """The ladders of `h2`, headline task, at every judged cut with six visible checkpoints."""
    record = pl.read_parquet(RECORDS / "latent_worlds.parquet").filter(
        pl.col("model").str.starts_with("h2-"), ~pl.col("model").str.ends_with("-w32"),
        task="attribute-3",
    )  # fmt: skip
    cases: dict[str, Callable[[], Case]] = {}
    for (seed,), rows in record.group_by("seed", maintain_order=True):
        floor = float(rows["floor"][0])
        for cut in CUTS:
            seen = rows.filter(pl.col("loss") >= floor + cut)
            if seen.select("model", "step").unique().height >= 6:
                cases[f"h2 {seed} {cut}"] = partial(Case, seen, floor)
    return cases


def one(case: Case) -> dict[str, Any]:
    """(low, middle, high) of the point without each term, and the truth."""
    point = case.point
    # The floor is unknown for a simulated study, and known for a world.
    study = moved_study(case.table, floor=None if point is not None else case.floor)
    rng = np.random.default_rng(0)
    curve = Ablated(study, {})
    z = run_ensemble(curve.log_density, curve.starts(rng), rng).z
    found: dict[str, Any] = {"point": point, "whole": interval(curve, z)}
    for name, held in HELD.items():
        if name in found:
            continue
        own = study
        if name == "few-shot alone":
            own = few_shot_only(study)
        if name == "floor exactly known":
            own = known_floor(study, case.floor)
        if name == "amounts of 2 and 4 too":
            if case.finer is None:
                continue
            own = moved_study(case.finer)
        curve = Ablated(own, held)
        # Half of the steps suffice when starting from draws of the whole curve, which are close.
        near = z[rng.integers(len(z), size=WALKERS)]
        found[name] = interval(curve, run_ensemble(curve.log_density, near, rng, steps=STEPS).z)
    return found


def interval(curve: MovedCurve, z: Floats) -> list[float | None]:
    """5, 50 and 95 % of the point, by draws; None where a draw never reaches it."""
    p = curve.natural(z)
    x = progress_at(p, DISTANCE)
    losses = np.where(np.isfinite(x), curve.loss_of(x, p.floor), -np.inf)
    ends = np.quantile(losses, [0.05, 0.5, 0.95], method="nearest")
    return [float(e) if np.isfinite(e) else None for e in ends]


def table(done: list[dict[str, Any]]) -> None:
    """One line per term."""
    print("| | studies | mean error | held | interval score | median width | over the whole's |")
    print("|---|---|---|---|---|---|---|")
    for name in HELD:
        rows = [r for r in done if name in r and None not in (*r[name], *r["whole"])]
        if not rows:
            continue
        low, middle, high = np.array([r[name] for r in rows]).T
        whole = np.array([r["whole"][2] - r["whole"][0] for r in rows])
        error = held = score = ""
        if all(r["point"] is not None for r in rows):
            truth = np.array([r["point"] for r in rows])
            error = f"{np.mean(np.abs(middle - truth)):.3f}".lstrip("0")
            missed = np.maximum(np.maximum(low - truth, truth - high), 0.0)
            score = f"{np.mean(high - low + 20.0 * missed):.3f}".lstrip("0")
            held = f"{int(((low <= truth) & (truth <= high)).sum())} of {len(rows)}"
        width = f"{np.median(high - low):.3f}".lstrip("0")
        ratio = np.median((high - low) / whole)
        print(
            f"| {name} | {len(rows)} | {error} | {held} | {score} | {width} | {ratio:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
