"""Boosted trees over mixture shares: the baseline that mixture laws have to beat (RegMix)."""

from __future__ import annotations

from typing import Any

from augury.errors import UsageError
from augury.fitting.space import Floats

# Liu et al. 2024 (arXiv 2407.01492) fit LightGBM with a thousand rounds at this rate; early
# stopping would need held-out rows.
ROUNDS, RATE = 1000, 0.01
# With fewer rows than a leaf and its sibling hold, the result is a constant.
FEWEST_ROWS = 40


def forecast_by_trees(share: Floats, y: Floats, at: Floats, seed: int = 0) -> Floats:
    """Fit boosted trees and forecast.

    Args:
        share: (n, k) mixtures of the runs.
        y: (n,) their results.
        at: (m, k) mixtures to forecast.
        seed: of the trees.

    Returns:
        (m,) forecasts. Trees never go beyond the values they were trained on.

    Raises:
        UsageError: the extra `mixtures` is missing, or there are too few rows for a tree.

    Source: Ke et al. 2017 (LightGBM); as used by Liu et al. 2024 (arXiv 2407.01492).
    """
    if len(y) < FEWEST_ROWS:
        raise UsageError(f"boosted trees need at least {FEWEST_ROWS} runs, not {len(y)}")
    lightgbm = _lightgbm()
    options = {
        "objective": "regression", "learning_rate": RATE, "verbosity": -1, "num_threads": 1,
        "seed": seed, "deterministic": True,
    }  # fmt: skip
    grown = lightgbm.train(options, lightgbm.Dataset(share, y), num_boost_round=ROUNDS)
    return grown.predict(at, num_threads=1)


def _lightgbm() -> Any:
    try:
        import lightgbm
    except (ImportError, OSError) as error:
        raise UsageError(
            f'boosted trees need an extra: pip install "augury[mixtures]" ({error})'
        ) from error
    return lightgbm
