"""Ten thousand small random tables through fit, predict and combine: outcomes, no traceback.

Run: python -m benchmarks.random_tables [FIRST LAST]
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from tests.forecast.test_honest_intervals import check_random_table


def main(first: int = 0, last: int = 10_000) -> None:
    """Print every seed that breaks a rule, then the number of each outcome."""
    began = time.perf_counter()
    outcomes: Counter[str] = Counter()
    for seed in range(first, last):
        try:
            outcomes[check_random_table(seed)] += 1
        except Exception as error:  # every exception is a finding
            outcomes["broken"] += 1
            print(f"{seed}: {type(error).__name__}: {str(error)[:200]}", flush=True)
    print(f"{last - first:,} tables in {time.perf_counter() - began:.0f} s: {dict(outcomes)}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
