"""Errors of the point of emergence after removing parts of a study: our fit and the plain one.

python -m benchmarks.emergence_ablations 200 [--only "one subset"] prints one line per ablation of
the table in docs/emergence.md: share of misses by the plain fit and ours, share of 90 % intervals
that hold, and their median width in nats. A row of 200 studies takes one or two CPU-minutes.
"""

from __future__ import annotations

import argparse

import numpy as np
from tests.emergence_studies import MISS, ablations, paper_like, plain_relu

from augury.forecast.emergence import fit_emergence_many


def main() -> None:
    """Print one line per ablation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", type=int)
    parser.add_argument("--only", choices=list(ablations()), action="append")
    parser.add_argument("--seed", type=int, default=31)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    whole = [paper_like(rng) for _ in range(asked.studies)]
    truth = np.array([t.elbow for t, _ in whole])
    for name in asked.only or ablations():
        data = [ablations()[name](d) for _, d in whole]
        plain = np.abs(np.array([plain_relu(d) for d in data]) - truth)
        draws = np.stack([-f.point_draws() for f in fit_emergence_many(data)])
        low, middle, high = np.quantile(draws, [0.05, 0.5, 0.95], axis=1)
        holds = (low <= truth) & (truth <= high)
        print(
            f"| {name} | {asked.studies} | {np.mean(plain > MISS):.1%} | "
            f"{np.mean(np.abs(middle - truth) > MISS):.1%} | {np.mean(holds):.1%} | "
            f"{np.median(high - low):.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
