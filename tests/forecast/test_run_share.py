"""How much of a new run's interval is run-to-run spread, against closed forms and simulation."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from augury.fitting import Gaussian, fit
from augury.forecast import predict
from augury.forecast.ahead.line import Ladder, Walk, line_ahead
from augury.forecast.links import POINTS
from augury.forecast.prediction import run_share, run_share_text

STILL = Walk(share=0.0, step=0.0, spread=1.0)
# Logarithms of the FLOPs, and a point so far beyond them that the line's variance equals a run's.
Z = np.linspace(-1.0, 1.0, 24)
FAR = float(np.sqrt((1 - 1 / 24) * (Z**2).sum()))


def test_of_normal_errors_it_is_the_share_of_the_variance() -> None:
    mean, run = (stats.norm.interval(0.9, 3.0, s) for s in (2.0, 4.0))
    assert run_share(mean, run) == pytest.approx(1 - 2.0**2 / 4.0**2)
    assert run_share((1.0, 2.0), (1.0, 2.0)) == 0.0
    assert run_share((1.0, 1.0), (0.0, 2.0)) == 1.0


def test_what_is_unknown_is_said_to_be() -> None:
    assert run_share((np.nan, np.nan), (np.nan, np.nan)) is None
    assert run_share((1.0, 1.0), (1.0, 1.0)) is None
    assert run_share((0.0, 1.0), (-np.inf, np.inf)) is None
    assert run_share_text(None) == "run-to-run spread unknown"


def test_a_line_gives_one_over_one_plus_its_leverage() -> None:
    rng = np.random.default_rng(0)
    far = np.array([0.0, FAR, 3 * FAR])
    y = 2 + 0.5 * Z + 0.1 * rng.standard_normal(len(Z))
    found = line_ahead(Ladder(Z[:, None], far[:, None], Z, far, y), POINTS, STILL)
    levels = np.array([0.05, 0.5, 0.95])
    run, mean = (found.quantiles(levels, new_run=new) for new in (True, False))
    shares = [run_share((m[0], m[2]), (r[0], r[2])) for m, r in zip(mean.T, run.T, strict=True)]
    leverage = 1 / len(Z) + far**2 / (Z**2).sum()
    assert shares == pytest.approx(1 / (1 + leverage))
    assert leverage[1] == pytest.approx(1.0)


def runs(seed: int, noise: float = 0.01) -> pl.DataFrame:
    """Runs on L = (C_c / C)^.05, a line in logarithms, one run per scale."""
    rng = np.random.default_rng(seed)
    loss = 3.0 * np.exp(-0.05 * Z + noise * rng.standard_normal(len(Z)))
    return pl.DataFrame({"flops": 1e20 * np.exp(Z), "loss": loss})


@pytest.mark.slow
def test_a_fit_of_a_line_finds_it_on_average() -> None:
    """Of 60 ladders; the law's interval has Student's t, a run's the spread of the residuals."""
    at = {"flops": [1e20, 1e20 * np.exp(FAR)]}
    shares = []
    for seed in range(60):
        fitted = fit("compute", runs(seed), likelihood=Gaussian("log"), influence=False)
        shares.append([f.run_share for f in predict(fitted, at)])
    inside, far = np.mean(np.array(shares, float), axis=0)
    assert inside == pytest.approx(1 / (1 + 1 / 24), abs=0.02)
    assert far == pytest.approx(0.5, abs=0.05)


@pytest.mark.slow
def test_it_is_unknown_where_runs_are_too_few() -> None:
    fitted = fit("compute", runs(0), likelihood=Gaussian("log"), influence=False)
    (found,) = predict(fitted, {"flops": 1e21})
    assert found.run_share is not None
    assert found.to_dict()["run_share"] == found.run_share
    assert f"{found.run_share:.0%} of the squared width is run-to-run spread" in str(found)
    # Checkpoints of one run: the scatter is within it, and says nothing of other runs.
    one = fit("compute", runs(0).with_columns(model=pl.lit("a"), run=pl.lit("a")),
              likelihood=Gaussian("log"), influence=False)  # fmt: skip
    (found,) = predict(one, {"flops": 1e21})
    assert "few-training-runs" in [n.code for n in one.notes]
    assert found.run_share is None
    assert "spread unknown" in str(found)
    few = fit("compute", runs(0).head(2), likelihood=Gaussian("log"), influence=False)
    assert predict(few, {"flops": 1e21})[0].run_share is None
