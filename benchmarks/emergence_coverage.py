"""Errors of emergence points and coverage of intervals, for truths of the right or wrong form.

python -m benchmarks.emergence_coverage 100 --out figures.jsonl [--truth "saturating"] [--first 0]
runs 100 studies of every truth by the average, the ReLU alone and the plain fit, writes one line
per study, resumes after a stop, and prints the table of docs/emergence.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from tests.emergence_studies import BENT, MISS, paper_like, plain_relu

from augury.forecast.emergence import emergence_point, fit_emergence

TRUTHS = {"as fitted": {}, **BENT}


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", type=int)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--truth", choices=list(TRUTHS), action="append")
    parser.add_argument("--first", type=int, default=0)
    asked = parser.parse_args()
    names = asked.truth or list(TRUTHS)
    done = (
        [json.loads(line) for line in asked.out.read_text().splitlines()]
        if asked.out.exists()
        else []
    )
    have = {(d["truth"], d["seed"]) for d in done}
    # Alternate truths, so that a stopped run has some of each.
    for seed in range(asked.first, asked.first + asked.studies):
        for name in names:
            if (name, seed) not in have:
                done.append(one(name, seed))
                with asked.out.open("a") as out:
                    out.write(json.dumps(done[-1]) + "\n")
    table([d for d in done if d["truth"] in names])


def one(name: str, seed: int) -> dict[str, Any]:
    """One study: truth, and (low, middle, high) by each method."""
    truth, data = paper_like(np.random.default_rng([seed, 11]), **TRUTHS[name])
    fitted = fit_emergence(data)
    point = emergence_point(fitted)
    # Where everything is at chance, there is no value, also for single laws.
    whole = (point.value, *point.interval)
    names = [str(f.law) for f in fitted.fits]
    methods = {"average": whole} | {name: point.methods.get(name, whole) for name in names}
    return {
        "truth": name,
        "seed": seed,
        "emerges": truth.emerges,
        "plain": plain_relu(data),
        "weights": dict(zip(names, fitted.weights, strict=True)),
        "notes": [note.code for note in fitted.notes if note.severity != "info"],
        "status": str(fitted.status),
        **methods,
    }


def table(done: list[dict[str, Any]]) -> None:
    """Median error, misses, coverage of intervals and their median width."""
    for name in dict.fromkeys(d["truth"] for d in done):
        own = [d for d in done if d["truth"] == name]
        truth = np.array([d["emerges"] for d in own])
        off = np.abs(np.array([d["plain"] for d in own]) - truth)
        told = [f"{name} ({len(own)}): plain {np.median(off):.3f}, {np.mean(off > MISS):.0%}"]
        for method in ("average", "relu", "slopes", "saturating", "s-shaped", "full"):
            value, low, high = np.array([d[method] for d in own], float).T
            off = np.abs(value - truth)
            off = off[np.isfinite(off)]
            told.append(
                f"{method} {np.median(off):.3f}, {np.mean(off > MISS):.0%} of {len(off)}, "
                f"{np.mean((low <= truth) & (truth <= high)):.0%}, {np.median(high - low):.2f}"
            )
        print(" | ".join(told), flush=True)


if __name__ == "__main__":
    main()
