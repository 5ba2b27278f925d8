"""Diagnostics of a fit: which points move it, what is not identified, whether starts agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from augury.fitting.covariance import (
    condition_number,
    covariance,
    pieces_at,
    residuals,
)
from augury.fitting.likelihoods import Points
from augury.fitting.optimise import Solution, solve
from augury.fitting.problem import Problem
from augury.fitting.result import Status
from augury.fitting.space import Floats
from augury.laws import Grouped, Law
from augury.notes import Note

# A single point that moves a parameter by more than one standard error matters; if it also lies
# more than six robust standard deviations off the law, it is not noise (one normal residual in
# 5e8). On Chinchilla's 245 points the two conditions pick the five that Besiroglu et al. (arXiv
# 2404.10102) dropped: the fifth lies at 6.1, the sixth at 5.8.
MOVES, STRAYS = 1.0, 6.0
# At most this share of the points is called influential: beyond it, the law is wrong.
MOST_INFLUENTIAL = 0.05
# Leave-one-out refits every point up to this many, otherwise those with the largest residuals.
MOST_REFITS = 512
# Curvature scaled to a unit diagonal: Chinchilla's 240 points have 2e4. Above 1e10, double
# precision and the data's noise cannot tell directions apart.
WORST_CONDITION = 1e10
# Starts that end within this of the best objective found the same optimum.
SAME_OBJECTIVE = 1e-6
# Two inputs move together if their ratio varies by less than this share of their own range (logs).
SAME_RATIO = 0.01
# A parameter closer to a bound than this, in internal coordinates, is at the bound.
ON_BOUND = 1e-6


def parameters_at_bounds(problem: Problem, u: Floats) -> list[str]:
    """Return the names of the law's parameters that are at a bound."""
    space = problem.space
    return [
        name
        for name, x, low, high in zip(space.names, u, space.lower, space.upper, strict=True)
        if name in problem.law.parameters and (x - low < ON_BOUND or high - x < ON_BOUND)
    ]


def enough_runs(law: Law, points: Points, runs: NDArray[np.int64]) -> bool:
    """Check that there are as many runs as parameters, counting what varies within a run as runs.

    A run whose checkpoints vary every input of the law counts as many scales as it has checkpoints.
    If one input (usually params) is constant in every run, only the number of runs counts. In a
    joint fit, every group of a run counts as a scale.
    """
    size = len(law.parameters)
    if isinstance(law, Grouped):
        at = points.inputs[list(law.inputs).index(law.per)][0].astype(int)
        runs = runs * len(law.groups) + at
    if len(runs) < size:
        return False
    _, first, which = np.unique(runs, return_index=True, return_inverse=True)
    for name, x in zip(law.inputs, points.inputs, strict=True):
        own = isinstance(law, Grouped) and name == law.per
        if not own and name not in law.defaults and np.array_equal(x[0], x[0][first][which]):
            return len(first) >= size
    return True


def moving_together(problem: Problem) -> tuple[str, str] | None:
    """Return two of params, tokens and flops if the law takes both at one fixed ratio."""
    shown = [
        (name, np.log(x[0]))
        for name, x in zip(problem.law.inputs, problem.points.inputs, strict=True)
        if name in ("params", "tokens", "flops")
    ]
    for i, (one, x) in enumerate(shown):
        for two, y in shown[i + 1 :]:
            apart = x - y
            if np.ptp(x) > 0 and np.ptp(apart) <= SAME_RATIO * np.ptp(x):
                return one, two
    return None


def status_of(problem: Problem, best: int, solution: Solution) -> Status:
    """Return the status of a fit from the optimiser's solution."""
    if moving_together(problem):
        return Status.NOT_IDENTIFIABLE
    if not solution.converged.any():
        return Status.NO_START_CONVERGED
    u = solution.u[best]
    at_bounds = parameters_at_bounds(problem, u)
    inside = [i for i, name in enumerate(problem.law.parameters) if name not in at_bounds]
    _, jacobian, _, hessian, _ = pieces_at(problem, u, problem.ones)
    if problem.has_priors:  # directions fixed only by the law's own priors count as fixed
        identified = condition_number(hessian[np.ix_(inside, inside)]) < WORST_CONDITION
    else:
        identified = rank_of(jacobian[:, inside]) == len(inside)
    if not identified or not enough_runs(problem.law, problem.points, problem.runs):
        return Status.NOT_IDENTIFIABLE
    return Status.AT_BOUND if at_bounds else Status.CONVERGED


def rank_of(jacobian: Floats) -> int:
    """Return the rank of the Jacobian with scaled columns, at the worst condition allowed."""
    norms = np.sqrt((jacobian**2).sum(0))
    if not np.isfinite(norms).all() or not jacobian.size:
        return 0  # also without columns: every parameter is at a bound
    scaled = jacobian / np.maximum(norms, 1e-300)
    values = np.linalg.svd(scaled, compute_uv=False)
    return int((values > values[0] / np.sqrt(WORST_CONDITION)).sum())


def notes_on(
    problem: Problem, best: int, solution: Solution, status: Status, *, influence: bool
) -> tuple[list[Note], dict[str, Any]]:
    """Return notes and diagnostics that need no draws; with `influence`, also the refits'."""
    u = solution.u[best]
    diagnostics: dict[str, Any] = {}
    notes: list[Note] = []
    if status in (Status.NOT_IDENTIFIABLE, Status.NO_START_CONVERGED):
        details = {"runs": problem.run_count, "parameters": len(problem.law.parameters)}
        message = f"The fit is {status}. {status.remedy}"
        if not enough_runs(problem.law, problem.points, problem.runs):
            message = (
                f"{problem.run_count} runs ({problem.size} points) cannot identify "
                f"{len(problem.law.parameters)} parameters. {status.remedy}"
            )
        notes.append(Note(str(status).replace(" ", "-"), "serious", message, details))
    if pair := moving_together(problem):
        notes.append(
            Note(
                "inputs-move-together",
                "serious",
                f"{pair[0]} and {pair[1]} have a fixed ratio in all runs: their terms cannot be "
                f"told apart. Fit a law of {pair[0]} alone, or add runs at another ratio.",
                {"inputs": list(pair)},
            )
        )
    for name in parameters_at_bounds(problem, u):
        value = float(problem.space.natural(u)[problem.space.names.index(name)])
        notes.append(
            Note(
                "parameter-at-bound",
                "warning",
                f"{name} sits at its bound {value:g}. {Status.AT_BOUND.remedy}",
                {"parameter": name, "bound": value},
            )
        )
    jacobian = pieces_at(problem, u, problem.ones)[1][:, : len(problem.law.parameters)]
    condition = condition_number(jacobian.T @ jacobian)
    diagnostics["condition"] = condition
    if condition > WORST_CONDITION and status is not Status.NOT_IDENTIFIABLE:
        notes.append(
            Note(
                "condition",
                "warning",
                f"The parameters can hardly be told apart (condition number {condition:.1e}): "
                "trust the curve within the data, not single parameters.",
                {"condition": condition},
            )
        )
    objective = solution.objective
    floor = objective[best]
    close = objective <= floor + SAME_OBJECTIVE * abs(floor) + 1e-15
    diagnostics["starts"] = len(objective)
    diagnostics["starts_agree"] = int(close.sum())
    if close.sum() == 1 and len(objective) > 1:
        notes.append(
            Note(
                "starts-disagree",
                "warning",
                f"Only one of {len(objective)} starts reached the best objective: there may be a "
                "better one.",
                {"starts": len(objective), "agree": 1},
            )
        )
    if influence and status.usable:
        notes += influence_notes(problem, u)
    return notes, diagnostics


def influence_notes(problem: Problem, u: Floats) -> list[Note]:
    """Report the points that move the answer, and the answer without them.

    Points are removed one at a time, each time the one that moves a parameter most (refitted, in
    standard errors), as long as it moves one by more than `MOVES` and lies more than `STRAYS` off:
    a second outlier often hides behind the first.
    """
    names = list(problem.law.parameters)
    weights = problem.ones
    current = u
    taken: list[int] = []
    first: tuple[int, Floats] | None = None
    while len(taken) <= max(MOST_INFLUENTIAL * problem.size, 1):
        if (weights[0] > 0).sum() <= len(names) + 1:
            break
        residual = np.abs(residuals(problem, current))
        live, without, refitted, moves = leave_one_out(problem, current, weights)
        if not np.isfinite(moves).all():
            break
        worst = int(np.argmax(np.abs(moves).max(1)))
        if first is None:
            first = (int(live[worst]), moves[worst])
        strays = residual[live[worst]] / robust_spread(residual[weights[0] > 0])
        if np.abs(moves[worst]).max() < MOVES or strays < STRAYS:
            break
        taken.append(int(live[worst]))
        weights = without[worst : worst + 1]
        current = refitted[worst]
    rows = problem.table["row"].to_numpy()
    notes = []
    if taken:
        before, after = problem.space.natural(u), problem.space.natural(current)
        changes = {
            name: {"with": float(before[i]), "without": float(after[i])}
            for i, name in enumerate(names)
        }
        listed = ", ".join(str(rows[i]) for i in sorted(taken))
        told = "; ".join(
            f"{name} {c['with']:.4g} -> {c['without']:.4g}" for name, c in changes.items()
        )
        subject, verb = ("Row", "lies") if len(taken) == 1 else ("Rows", "lie")
        notes.append(
            Note(
                "influential-points",
                "warning",
                f"{subject} {listed} (counted from 1) {verb} far off the law and move it. "
                f"Without: {told}. Look at the data, or fit with huber.",
                {"rows": sorted(int(rows[i]) for i in taken), "parameters": changes},
            )
        )
    if first is not None:
        point, shift = first
        j = int(np.argmax(np.abs(shift)))
        notes.append(
            Note(
                "leave-one-out",
                "info",
                f"Row {rows[point]} moves the answer most of all single points: {names[j]} by "
                f"{abs(shift[j]):.2f} standard errors.",
                {
                    "row": int(rows[point]),
                    "standard_errors": {n: float(s) for n, s in zip(names, shift, strict=True)},
                },
            )
        )
    return notes


def leave_one_out(
    problem: Problem, u: Floats, weights: Floats
) -> tuple[NDArray[np.int64], Floats, Floats, Floats]:
    """Refit without each point in turn, or without those with the largest residuals.

    Args:
        problem: the law, its likelihood and the points.
        u: the optimum, in internal coordinates.
        weights: (1, n), 0 for points that are already left out.

    Returns:
        (m,) the points; (m, n) weights without each; (m, P) optima without each; and (m, p) how far
        each moves the law's parameters, in standard errors.
    """
    live = np.flatnonzero(weights[0] > 0)
    if len(live) > MOST_REFITS:
        residual = np.abs(residuals(problem, u))
        live = live[np.argsort(-residual[live])[:MOST_REFITS]]
    without = np.repeat(weights, len(live), 0)
    without[np.arange(len(live)), live] = 0.0
    starts = np.repeat(u[None], len(live), 0)
    refits = solve(problem.law, problem.likelihood, starts, problem.points, without, problem.prior)
    errors = np.sqrt(np.maximum(np.diag(covariance(problem, u, weights)), 0.0))
    moves = (refits.u - u) / np.where(errors > 0, errors, np.inf)
    return live, without, refits.u, moves[:, : len(problem.law.parameters)]


def robust_spread(sizes: Floats) -> float:
    """Estimate the standard deviation from the median of absolute residuals, despite outliers."""
    # 1e-9: residuals of noise-free data are rounding errors, and none of them is an outlier.
    return max(1.4826 * float(np.median(sizes)), 1e-9)
