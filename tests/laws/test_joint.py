"""Joint fits: shared exponents, an amplitude per task, compared with SciPy on real ladders."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.optimize import least_squares

from augury.fitting import fit, optimise
from augury.fitting.likelihoods import Points
from augury.fitting.optimise import LARGEST_THREADED, no_prior, run_blocks
from augury.laws import Grouped
from tests.shared import needs_olmo, olmo_ladder


@needs_olmo
@pytest.mark.slow
def test_shared_exponents_are_those_of_a_joint_scipy_fit() -> None:
    """Eight tasks of the OLMo ladder, 26 parameters: exponents to 1e-5."""
    finals, _ = olmo_ladder()
    table = finals.drop("value").rename({"bpb": "loss"})
    fitted = fit("joint-chinchilla", table, likelihood="gaussian", influence=False)
    assert fitted.usable
    assert isinstance(fitted.law, Grouped)
    tasks = list(fitted.law.groups)
    group = np.array([tasks.index(t) for t in table["task"]])
    size, tokens, loss = (table[c].to_numpy() for c in ("params", "tokens", "loss"))
    k = len(tasks)

    def residual(v: Any) -> Any:
        floor, a, b = v[2 : 2 + k], np.exp(v[2 + k : 2 + 2 * k]), np.exp(v[2 + 2 * k :])
        falls = a[group] * (size / 1e9) ** -v[0] + b[group] * (tokens / 1e11) ** -v[1]
        return np.log(floor[group] + falls) - np.log(loss)

    def slopes(v: Any) -> Any:
        floor, a, b = v[2 : 2 + k], np.exp(v[2 + k : 2 + 2 * k]), np.exp(v[2 + 2 * k :])
        by_size = a[group] * (size / 1e9) ** -v[0]
        by_tokens = b[group] * (tokens / 1e11) ** -v[1]
        own = np.eye(k)[group]
        columns = [-(by_size * np.log(size / 1e9))[:, None],
                   -(by_tokens * np.log(tokens / 1e11))[:, None],
                   own, own * by_size[:, None], own * by_tokens[:, None]]  # fmt: skip
        return np.hstack(columns) / (floor[group] + by_size + by_tokens)[:, None]

    start = np.r_[0.5, 0.3, np.full(k, 0.4), np.log(np.full(k, 0.3)), np.log(np.full(k, 0.2))]
    lower = np.r_[1e-3, 1e-3, np.zeros(k), np.full(2 * k, -40.0)]
    upper = np.r_[5.0, 5.0, np.full(k, 10.0), np.full(2 * k, 20.0)]
    own = least_squares(
        residual, start, slopes, bounds=(lower, upper), xtol=1e-15, ftol=1e-15, gtol=1e-15,
        max_nfev=5000,
    )  # fmt: skip
    assert fitted.objective == pytest.approx(own.cost, rel=1e-9)
    assert fitted.parameters["alpha"] == pytest.approx(own.x[0], rel=1e-5)
    assert fitted.parameters["beta"] == pytest.approx(own.x[1], rel=1e-5)


@pytest.mark.slow
def test_tasks_of_a_run_that_stray_together_widen_the_interval() -> None:
    """The same total noise, shared by a run's tasks: the exponent is less certain."""
    size, tokens = np.repeat(np.geomspace(1e8, 3e9, 4), 4), np.tile(np.geomspace(5e9, 3e11, 4), 4)
    run = np.tile(np.arange(16), 3)
    level = np.repeat([1.0, 1.2, 0.7], 16)
    n, d = np.tile(size, 3), np.tile(tokens, 3)
    loss = level * (0.5 + 200 * n**-0.35 + 400 * d**-0.3)
    width = []
    for shared in (0.0, 0.9):
        rng = np.random.default_rng(3)
        noise = np.sqrt(shared) * rng.standard_normal(16)[run]
        noise = noise + np.sqrt(1 - shared) * rng.standard_normal(48)
        table = pl.DataFrame(
            {"params": n, "tokens": d, "run": run, "task": np.repeat(["a", "b", "c"], 16),
             "loss": loss * np.exp(0.003 * noise)}
        )  # fmt: skip
        fitted = fit("joint-chinchilla", table, likelihood="gaussian", influence=False)
        assert fitted.usable
        low, high = fitted.intervals["alpha"]
        width.append(np.log(high / low))
    assert width[1] > 1.2 * width[0]


def test_large_systems_are_solved_one_block_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two blocks of them in two threads would wait forever for XLA's pool."""

    def refuse(*_: Any) -> None:
        raise AssertionError("threads")

    monkeypatch.setattr(optimise, "ThreadPoolExecutor", refuse)
    points = Points((), np.ones((1, 4)), np.ones((1, 4)))

    def run(unknowns: int) -> Any:
        u = np.zeros((2 * optimise.BLOCK, unknowns))
        return run_blocks(lambda u, *_: (u,), u, points, np.ones((1, 4)), no_prior(unknowns))

    assert len(run(LARGEST_THREADED + 1)) == 2
    with pytest.raises(AssertionError, match="threads"):
        run(LARGEST_THREADED)
