"""`python -m benchmarks.fixed_samples`: intervals of the mean at fixed numbers of samples.

Compares them by simulation with intervals that treat passes as rare events. Prints the table of
docs/passuntil.md.
"""

from __future__ import annotations

import numpy as np

from augury.data.counts import mean_interval
from augury.data.mean_rate import mean_rate_interval

ROUNDS = 1000
RATES = (0.01, 0.1, 0.5, 0.75, 0.9, 0.99)
INSTANCES, SAMPLES = (1, 4, 40), (5, 20, 50)


def main() -> None:
    """Width and coverage of both kinds of intervals."""
    print(
        "| instances | samples each | rate | rare events: width | held | binomial: width | held |"
    )
    print("|---|---|---|---|---|---|---|")
    for instances in INSTANCES:
        for samples in SAMPLES:
            for rate in RATES:
                rng = np.random.default_rng([instances, samples, round(100 * rate)])
                draws = rng.binomial(samples, rate, (ROUNDS, instances))
                each = np.full(instances, samples)
                cells = []
                for interval in (mean_interval, mean_rate_interval):
                    ends = np.array([interval(c, each, np.inf, 0.9) for c in draws])
                    held = np.mean((ends[:, 0] <= rate) & (rate <= ends[:, 1]))
                    cells.append(f"{np.diff(ends).mean():.3f} | {held:.0%}")
                print(f"| {instances} | {samples} | {rate:g} | {cells[0]} | {cells[1]} |")


if __name__ == "__main__":
    main()
