"""The tables of docs/experiments/latent.md, from the records: `python -m benchmarks.latent_report`.

An interval holds if it meets the range of the truth over sizes; an error is the distance to that
range. The interval score is the width plus 20 times the distance by which the range is missed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from augury.forecast.emergence import check_premise, emergence_data
from benchmarks.latent_forecasts import CUTS, DISTANCE, FEWEST
from benchmarks.worlds import relu_elbow

RECORDS = Path(__file__).parent / "records"
MEASURED = RECORDS / "latent_worlds.parquet"
FORECAST = RECORDS / "latent_forecasts.json"
DOCS = Path(__file__).parents[1] / "docs"
BEGIN = "<!-- made by `python -m benchmarks.latent_report` -->"
END = "<!-- end of what is made -->"
# Nats between the lowest visible loss and the truth.
AHEAD = (0.1, 0.4)
METHODS = ("moved curve", "few-shot alone", "ReLU law", "ReLU law, elbow", "plain ReLU, elbow")
TOGETHER = ("others' shifts", "moved curve", "few-shot alone", "last model at chance")
WORDS = {True: "holds", False: "refused", None: "cannot say"}
# What `summary` reports after the count.
SUMMARY = ("error", "held", "width", "interval score", "answered")


def main() -> None:
    """Write the tables into the experiment's page, and the totals into the page on emergence."""
    rows = scored()
    made = {"experiments/latent.md": tables(rows), "emergence.md": by_world(rows, sums=True)}
    for name, text in made.items():
        path = DOCS / name
        before, rest = path.read_text(encoding="utf-8").split(BEGIN)
        after = rest.partition(END)[2]
        path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def tables(rows: list[dict[str, Any]]) -> str:
    """All tables, in Markdown."""
    parts = [
        "**Attribute 3, every cut .1 to .4 nats before the truth.** " + _says(),
        by_world(rows),
        "**Shifts of other tasks**: every task, seed and cut at which no few-shot score of the "
        "task is .1 above chance. The shifts of the other tasks are known from the whole ladder.",
        together(rows),
        "**The premise check**, by task and seed: whole ladders, and every cut at which some score "
        "has risen.",
        premises(),
        "**Where each ability appeared**: range over the sizes that got there, by seed. A size "
        "that went below this range and ended without the ability is named, with its lowest loss. "
        "Seeds differ in text, tables and weights. The last column is the standard deviation over "
        "seeds of the ranges' midpoints: what a forecast from other seeds could not know.",
        by_seed(),
        "**Every forecast of attribute 3.**",
        every(rows),
    ]
    return "\n\n".join(parts)


def _says() -> str:
    return "In nats. Means over cuts; the width is a median."


def truths(measured: pl.DataFrame) -> dict[tuple[str, int, str], tuple[float, float]]:
    """(world, seed, task) -> range over sizes of the loss at which few-shot scores are .1 up.

    For each size, the crossing between two checkpoints after which scores stay above.
    """
    few = measured.filter(finetune_examples=0)
    found: dict[tuple[str, int, str], list[float]] = {}
    for key, run in few.group_by("family", "seed", "task", "model", maintain_order=True):
        own = run.sort("step")
        up = (own["value"] - own["chance"]).to_numpy() - DISTANCE
        loss = own["loss"].to_numpy()
        below = np.flatnonzero(up < 0)
        if len(below) and below[-1] + 1 < len(up):
            k = int(below[-1])
            way = -up[k] / (up[k + 1] - up[k])
            at = float(loss[k] + way * (loss[k + 1] - loss[k]))
            found.setdefault((str(key[0]), int(str(key[1])), str(key[2])), []).append(at)
    return {key: (min(at), max(at)) for key, at in found.items()}


def without(
    measured: pl.DataFrame, truth: dict[tuple[str, int, str], tuple[float, float]]
) -> dict[tuple[str, int, str], list[str]]:
    """(world, seed, task) -> sizes that ended below the range of the truth and .1 up in none."""
    few = measured.filter(finetune_examples=0)
    found: dict[tuple[str, int, str], list[str]] = {}
    for key, run in few.group_by("family", "seed", "task", "model", maintain_order=True):
        case = str(key[0]), int(str(key[1])), str(key[2])
        last = run.sort("step").tail(1)
        lowest = float(last["loss"][0])
        up = float(last["value"][0] - last["chance"][0])
        if up < DISTANCE and lowest < truth.get(case, (np.inf, 0.0))[0]:
            width = str(key[3]).rsplit("-", 1)[1]
            found.setdefault(case, []).append(f"{width} not by {lowest:.3f}")
    return found


def scored() -> list[dict[str, Any]]:
    """Every forecast on record, with its truth, error and score."""
    measured = pl.read_parquet(MEASURED)
    truth, bends = truths(measured), elbows(measured)
    rows = []
    for record in json.loads(FORECAST.read_text(encoding="utf-8")):
        for made in record["forecasts"]:
            key = record["world"], record["seed"], made["task"]
            of = (bends if "elbow" in made["method"] else truth).get(key)
            if of is None or key not in truth:
                continue
            ahead = made["lowest"] - sum(truth[key]) / 2
            about = {"world": key[0], "seed": key[1], **made, "truth": of, "ahead": ahead}
            rows.append({**about, **_scored(made, of)})
            if made["method"] == "moved curve":
                # A baseline without a fit: the ability comes with the next model.
                last = {"value": made["lowest"], "low": None, "high": None}
                about |= {"method": "last model at chance", "status": ""}
                rows.append({**about, **last, **_scored(last, of)})
    return rows


def elbows(measured: pl.DataFrame) -> dict[tuple[str, int, str], tuple[float, float]]:
    """(world, seed, task) -> elbow of a ReLU through all few-shot scores, twice."""
    few = measured.filter(finetune_examples=0)
    found = {}
    for key, own in few.group_by("family", "seed", "task", maintain_order=True):
        at = relu_elbow(own)
        found[str(key[0]), int(str(key[1])), str(key[2])] = (at, at)
    return found


def _scored(made: dict[str, Any], truth: tuple[float, float]) -> dict[str, Any]:
    """Error; and for an interval, whether it held, its width and its score."""
    low_truth, high_truth = truth
    value, low, high = (
        -np.inf if made[k] is None else float(made[k]) for k in ("value", "low", "high")
    )
    error = abs(value - float(np.clip(value, low_truth, high_truth)))
    missed = max(0.0, low - high_truth, low_truth - high)
    bare = made["low"] is None and made["high"] is None
    return {
        "error": error,
        "held": None if bare else missed == 0,
        "width": None if bare else high - low,
        "score": None if bare else high - low + 20 * missed,
    }


def _cases(rows: list[dict[str, Any]], task: str) -> list[dict[str, Any]]:
    cases: dict[tuple[Any, ...], dict[str, Any]] = {}
    for r in rows:
        if r["task"] == task and AHEAD[0] <= r["ahead"] <= AHEAD[1]:
            # Two cuts with the same visible checkpoints are one case.
            cases.setdefault((r["world"], r["seed"], r["method"], r["checkpoints"]), r)
    worlds = {r["world"] for r in cases.values() if r["method"] == METHODS[0]}
    return [r for r in cases.values() if r["world"] in worlds]


def summary(rows: list[dict[str, Any]]) -> list[str]:
    """Cases, error, held, width and interval score of one method's rows."""
    if not rows:
        return ["0", "", "", "", "", ""]
    errors = np.array([r["error"] for r in rows], float)
    told = [r for r in rows if r["held"] is not None]
    held = f"{sum(r['held'] for r in told)} of {len(told)}" if told else ""
    widths = np.array([r["width"] for r in told], float)
    scores = np.array([r["score"] for r in told], float)
    answered = sum(r["status"] == "answered" for r in rows)
    return [
        str(len(rows)),
        _number(errors.mean()),
        held,
        _number(np.median(widths)) if told else "",
        _number(scores.mean()) if told else "",
        str(answered),
    ]


def _number(x: float) -> str:
    return f"{x:.3f}".lstrip("0") if np.isfinite(x) else "never"


def _table(head: tuple[str, ...], lines: list[list[str]]) -> str:
    made = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(made + ["| " + " | ".join(line) + " |" for line in lines])


def _groups(rows: list[dict[str, Any]]) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    for world in dict.fromkeys(r["world"] for r in rows):
        own = [r for r in rows if r["world"] == world]
        seeds = sorted({r["seed"] for r in own})
        for seed in seeds:
            yield world, str(seed), [r for r in own if r["seed"] == seed]
        if len(seeds) > 1:
            yield world, "all", own


def by_world(rows: list[dict[str, Any]], *, sums: bool = False) -> str:
    """World x seed x method, or all seeds of a world together."""
    cases = _cases(rows, "attribute-3")
    lines = [
        [world, seed, method, *summary([r for r in own if r["method"] == method])]
        for world, seed, own in _groups(cases)
        for method in METHODS
        if any(r["method"] == method for r in own)
        and (not sums or len(own) == sum(r["world"] == world for r in cases))
    ]
    return _table(("world", "seed", "method", "cuts", *SUMMARY), lines)


def together(rows: list[dict[str, Any]]) -> str:
    """Leave-one-task-out: forecasts of tasks at chance, taught by tasks that have risen."""
    at = {_case(r) for r in rows if r["method"] == TOGETHER[0] and r["risen"] < DISTANCE}
    cases = [r for r in rows if _case(r) in at and r["ahead"] > 0]
    lines = [
        [world, seed, method, *summary([r for r in own if r["method"] == method])]
        for world, seed, own in _groups(cases)
        for method in TOGETHER
        if any(r["method"] == method for r in own)
    ]
    return _table(("world", "seed", "method", "cases", *SUMMARY), lines)


def _case(row: dict[str, Any]) -> tuple[str, int, str, float]:
    return row["world"], row["seed"], row["task"], row["cut"]


def premises() -> str:
    """Verdicts by world, for whole ladders and for every cut."""
    lines = []
    measured = pl.read_parquet(MEASURED)
    tuned = measured.filter(pl.col("finetune_examples") > 0)["model"].unique()
    measured = measured.filter(pl.col("model").is_in(tuned.implode()))  # without the later models
    for world in dict.fromkeys(measured["family"].to_list()):
        own = measured.filter(pl.col("family") == world)
        verdicts: dict[bool, list[bool | None]] = {True: [], False: []}
        shares = []
        for _, part in own.group_by("seed", "task", maintain_order=True):
            floor = float(part["floor"][0])
            for cut in CUTS:
                seen = part.filter(pl.col("loss") >= (floor + cut if cut else 0.0))
                if seen.select("model", "step").unique().height < FEWEST:
                    continue
                found = check_premise(emergence_data(seen))
                if not found.shares:
                    continue
                verdicts[cut == 0].append(found.holds)
                if not cut:
                    shares.append(f"{found.on_loss:.2f} / {found.on_size:.2f}")
        counted = [
            ", ".join(f"{WORDS[v]} {n}" for v in WORDS if (n := sum(x is v for x in part)))
            for part in (verdicts[True], verdicts[False])
        ]
        lines.append([world, *counted, "; ".join(shares)])
    return _table(("world", "whole ladders", "cuts", "loss / size, whole ladders"), lines)


def by_seed() -> str:
    """Truths of every task and seed."""
    measured = pl.read_parquet(MEASURED)
    truth = truths(measured)
    missing = without(measured, truth)
    lines = []
    for world, task in dict.fromkeys((w, t) for w, _, t in (*truth, *missing)):
        own = {seed: truth[world, seed, task] for w, seed, t in truth if (w, t) == (world, task)}
        middles = [sum(at) / 2 for at in own.values()]
        parts = []
        for seed in sorted({s for w, s, t in (*truth, *missing) if (w, t) == (world, task)}):
            where = own.get(seed)
            came = [] if where is None else [f"{where[0]:.3f} to {where[1]:.3f}"]
            parts.append(f"{seed}: {', '.join(came + missing.get((world, seed, task), []))}")
        told = "; ".join(parts)
        spread = _number(float(np.std(middles, ddof=1))) if len(middles) > 1 else ""
        lines.append([world, task, told, spread])
    return _table(("world", "task", "truth by seed", "spread"), lines)


def every(rows: list[dict[str, Any]]) -> str:
    """All cuts of attribute 3, by the moved curve and by few-shot rows alone."""
    lines = []
    for r in _cases(rows, "attribute-3"):
        if r["method"] not in METHODS:
            continue
        low, high = r["truth"]
        interval = "" if r["held"] is None else f"{_loss(r['low'])} to {_loss(r['high'])}"
        lines.append([
            r["world"], str(r["seed"]), f"{r['cut']:g}", str(r["checkpoints"]), f"{r['ahead']:.2f}",
            r["method"], _loss(r["value"]), interval, f"{low:.3f} to {high:.3f}",
            "" if r["held"] is None else "yes" if r["held"] else "no", r["status"],
        ])  # fmt: skip
    head = (
        *("world", "seed", "cut, above the floor", "checkpoints", "nats ahead", "method"),
        *("forecast", "90 %", "truth", "held", "status"),
    )
    return _table(head, lines)


def _loss(x: float | None) -> str:
    return "never" if x is None else f"{x:.3f}"


if __name__ == "__main__":
    main()
