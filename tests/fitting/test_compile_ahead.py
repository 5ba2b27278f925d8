"""Exactly the functions that a fit calls are compiled ahead, and no others."""

from __future__ import annotations

import os

import numpy as np
import pytest

from augury.fitting import fit
from augury.fitting.compile_ahead import compile_ahead
from augury.fitting.likelihoods import Huber
from augury.fitting.optimise import block_solver
from augury.fitting.problem import problem_of
from augury.laws import parse_law

# A likelihood used only here, so that other tests have not compiled it.
LIKELIHOOD = Huber(delta=0.7e-3)


def runs(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    params = 10 ** rng.uniform(7, 10, n)
    return {"params": params, "loss": (1.7 + 400 * params**-0.34) * rng.normal(1, 0.01, n)}


@pytest.mark.slow
def test_the_refits_without_single_points_find_their_solver_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    law = parse_law("power")
    problem = problem_of(law, runs(20), LIKELIHOOD)
    begun = compile_ahead(problem)
    assert begun is not None
    begun.join()
    assert block_solver(law, LIKELIHOOD, True)._cache_size() == 1
    assert compile_ahead(problem) is None
    fitted = fit(law, runs(20), likelihood=LIKELIHOOD)
    assert "leave-one-out" in [note.code for note in fitted.notes]
    # One for the few starts, and the one compiled ahead.
    assert block_solver(law, LIKELIHOOD, True)._cache_size() == 2


def test_nothing_is_compiled_for_a_fit_that_will_not_need_it() -> None:
    law = parse_law("power")
    own = Huber(delta=0.6e-3)
    assert compile_ahead(problem_of(law, runs(2), own)) is None
    assert compile_ahead(problem_of(law, runs(8), own)) is None
