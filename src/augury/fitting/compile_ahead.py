"""Compile the leave-one-out solver while the optimum is searched, so that the first fit waits less.

A fit compiles one solver for its few starts and another, twenty times as wide, for leave-one-out.
The second does not depend on the first.
"""

from __future__ import annotations

import contextlib
import os
from threading import Thread

import numpy as np

from augury.fitting.diagnose import enough_runs
from augury.fitting.likelihoods import Likelihood
from augury.fitting.optimise import (
    BLOCK,
    LARGEST_THREADED,
    NARROW,
    brief_solutions,
    round_up,
    solve,
)
from augury.fitting.problem import Problem
from augury.laws import Law

_BEGUN: set[tuple[Law, Likelihood, int]] = set()


def compile_ahead(problem: Problem) -> Thread | None:
    """Start compiling the leave-one-out solver; return None if it exists already or is not needed.

    Join the returned thread before calling that solver, or it is compiled twice.
    """
    key = (problem.law, problem.likelihood, round_up(problem.size))
    size = len(problem.space.names)
    if key in _BEGUN or problem.size <= NARROW or size > LARGEST_THREADED or os.cpu_count() == 1:
        return None
    if not enough_runs(problem.law, problem.points, problem.runs):
        return None
    _BEGUN.add(key)
    # Here, not first in the thread: two threads that import JAX at once see it half initialised.
    import jax.numpy  # noqa: F401

    starts = np.zeros((BLOCK, size))
    weights = np.repeat(problem.ones, BLOCK, 0)
    law, likelihood, points = problem.law, problem.likelihood, problem.points
    brief = brief_solutions(problem.size, points)

    def compile_solver() -> None:
        with contextlib.suppress(Exception):  # the fit's own call will raise it
            solve(law, likelihood, starts, points, weights, problem.prior, max_steps=0, brief=brief)

    thread = Thread(target=compile_solver, name="augury-compile-ahead")
    thread.start()
    return thread
