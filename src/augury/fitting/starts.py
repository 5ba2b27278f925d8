"""Where to start: a search over the nonlinear parameters, with the linear ones solved for.

Laws are mostly linear in their amplitudes. Given the exponents, the best amplitudes are a small
least-squares problem, so only the exponents need searching (variable projection: Golub & Pereyra
1973): two dimensions instead of five for Chinchilla, and the condition number falls from 3e11 to
11. Laws without amplitudes are searched over all of their parameters.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from augury.fitting.joint_blocks import GroupAmplitudes
from augury.fitting.likelihoods import Likelihood, Points
from augury.fitting.optimise import brief_evaluations, no_prior, objectives, run_blocks
from augury.fitting.space import Floats, Space
from augury.laws import Law, Parameter
from augury.laws.base import Named, attributes
from augury.runtime.compiling import jit

# Number of values tried: one nonlinear parameter on a line, two on a square grid, more by a Sobol
# sequence. On Chinchilla's 240 points an 8 x 8 grid finds the optimum from each of its best four:
# the fine numbers leave a margin for odd data. The coarse ones serve many groups at once: of 2,000
# groups of 50 points, none ended in a different optimum with 6 x 6 than with 12 x 12.
FINE, COARSE = (32, 12, 512), (16, 6, 128)
# Reweighted linear solves per grid point, for likelihoods that are not least squares.
REWEIGHTINGS = 3
# An amplitude that must be positive but came out as zero starts at this share of the mean of y.
SMALL_SHARE = 1e-3
# If a law has start points of its own, no grid over more parameters than this is tried.
MOST_SEARCHED = 6
# Maximum number of active sets tried for the amplitudes of one start.
MOST_ACTIVE_SETS = 24


def start_grid(ranges: dict[str, Parameter], *, coarse: bool) -> tuple[list[str], Floats]:
    """Return the names of the parameters searched, and the (M, Q) values tried, natural units."""
    line_size, square_size, sobol_size = COARSE if coarse else FINE
    names = [name for name, p in ranges.items() if not p.amplitude]
    count = len(names)
    if count == 0:
        return names, np.zeros((1, 0))
    if count <= 2:
        line = np.linspace(0.0, 1.0, line_size if count == 1 else square_size)
        unit = np.array(list(product(line, repeat=count)))
    else:
        from scipy.stats import qmc  # .6 s to import, and most laws have a grid

        unit = qmc.Sobol(count, scramble=True, rng=np.random.default_rng(0)).random(sobol_size)
    values = np.empty_like(unit)
    for j, name in enumerate(names):
        low, high = ranges[name].start
        if ranges[name].scale == "log":
            values[:, j] = low * (high / low) ** unit[:, j]
        else:
            values[:, j] = low + (high - low) * unit[:, j]
    return names, values


def start_ranges(law: Law, likelihood: Likelihood, points: Points) -> dict[str, Parameter]:
    """Return the parameters, with start ranges that the law derives from the data where it can."""
    inputs = {n: x[0] for n, x in zip(law.inputs, points.inputs, strict=True)}
    guessed = law.guess(inputs, np.ravel(points.y))
    ranges = {}
    for name, p in {**law.parameters, **likelihood.nuisance}.items():
        low, high = guessed.get(name, p.start)
        low, high = max(low, p.bounds[0]), min(high, p.bounds[1])
        ranges[name] = p if not low < high else _with_start(p, (low, high))
    return ranges


def _start_points(
    law: Law, points: Points, names: list[str], ranges: dict[str, Parameter]
) -> Floats:
    """Return (M, Q) start points from the data; the law may leave some parameters out."""
    inputs = {n: x[0] for n, x in zip(law.inputs, points.inputs, strict=True)}
    middle = {
        n: float(np.sqrt(np.prod(ranges[n].start)) if ranges[n].scale == "log"
                 else np.mean(ranges[n].start))
        for n in names
    }  # fmt: skip
    found = law.start_points(inputs, points.y[0])
    rows = [[{**middle, **point}[n] for n in names] for point in found]
    return np.array(rows, float).reshape(len(rows), len(names))


def _with_start(p: Parameter, start: tuple[float, float]) -> Parameter:
    return replace(p, start=start)


@lru_cache(maxsize=64)
def amplitude_solver(
    law: Law, likelihood: Likelihood, searched: tuple[str, ...], brief: bool
) -> Any:
    """Compile (B, Q) values of the searched parameters -> (B, K) amplitudes that fit best."""
    import jax
    import jax.numpy as jnp

    amplitudes = [name for name, p in law.parameters.items() if p.amplitude]
    count = len(amplitudes)
    grouped = GroupAmplitudes.of(law)
    directions = np.eye(count) if grouped is None else grouped.directions()
    lower = np.array(
        [
            max(law.parameters[a].bounds[0], 0.0)
            if law.parameters[a].scale == "log"
            else law.parameters[a].bounds[0]
            for a in amplitudes
        ]
    )
    upper = np.array([law.parameters[a].bounds[1] for a in amplitudes])

    def solve(values: Any, points: Points, weights: Any, prior: Any) -> Any:
        del prior
        shared = points.inputs[0].shape[0] == 1

        def law_at(values: Any, inputs: Any, amps: Any) -> Any:
            p = Named((*searched, *amplitudes), jnp.concatenate([values, amps]))
            out = law.formula(p, attributes(law.inputs, inputs))
            return jnp.broadcast_to(out, points.y.shape[-1:])

        def law_per_amplitude(values: Any, inputs: Any) -> Any:
            """Return (1 + K, n): the law without amplitudes, and with each (or each kind) at 1."""
            amps = jnp.concatenate([jnp.zeros((1, count)), jnp.asarray(directions)])
            return jax.vmap(law_at, (None, None, 0))(values, inputs, amps)

        inputs = tuple(x[0] for x in points.inputs) if shared else points.inputs
        at = jax.vmap(law_per_amplitude, (0, None if shared else 0))(values, inputs)
        base, basis = at[:, 0], at[:, 1:] - at[:, :1]
        target = points.y - base
        w = weights * likelihood.start_weight(points)
        w = jnp.where(weights > 0, w, 0.0) * jnp.ones_like(target)

        def solve_together(w: Any) -> tuple[Any, Any]:
            """Solve for all amplitudes at once: (B, K), and what they add to the law, (B, n)."""
            gram = jnp.einsum("bkn,bn,bln->bkl", basis, w, basis)
            right = jnp.einsum("bkn,bn->bk", basis, w * target)
            best = jax.vmap(bounded_least_squares, (0, 0, None, None))(gram, right, lower, upper)
            return best, jnp.einsum("bk,bkn->bn", best, basis)

        def solve_by_group(grouped: GroupAmplitudes, w: Any) -> tuple[Any, Any]:
            """Do the same where each group has its own amplitudes, as separate problems."""
            member = grouped.members(points.inputs) * jnp.ones_like(w)[:, None]
            pairs = basis[:, :, None] * (basis * w[:, None])[:, None]
            gram = jnp.einsum("bgn,bkln->bgkl", member, pairs)
            right = jnp.einsum("bgn,bkn->bgk", member, basis * (w * target)[:, None])
            each = jax.vmap(jax.vmap(bounded_least_squares), (0, 0, None, None))
            best = each(gram, right, lower[grouped.own], upper[grouped.own])
            added = jnp.einsum("bgk,bgn->bkn", best, member) * basis
            return grouped.flat(best), added.sum(1)

        def reweighted(_: int, state: Any) -> Any:
            _, w = state
            best, added = solve_together(w) if grouped is None else solve_by_group(grouped, w)
            mu = base + added
            w = jnp.where(weights > 0, weights * likelihood.reweight(mu, points), 0.0)
            return best, w * jnp.ones_like(target)

        start = (jnp.zeros((values.shape[0], count)), w)
        best, _ = jax.lax.fori_loop(0, REWEIGHTINGS, reweighted, start)
        return best

    return jit(lambda *args: (solve(*args),), brief=brief)


def bounded_least_squares(gram: Any, right: Any, lower: Any, upper: Any) -> Any:
    """Minimise x'Gx/2 - r'x within bounds, for any number K of amplitudes.

    Active sets: amplitudes that would leave their bounds are pinned to them, pinned ones whose
    gradient points inwards are freed, until nothing changes (Portugal, Judice & Vicente 1994, Math.
    Comp. 63:625). A set that cycles is cut off; the best point found is kept.
    """
    import jax
    import jax.numpy as jnp

    count = gram.shape[0]
    scale = jnp.sqrt(jnp.maximum(jnp.diagonal(gram), 1e-300))
    unit, rest = gram / jnp.outer(scale, scale), right / scale
    low, high = lower * scale, upper * scale

    def cost(x: Any) -> Any:
        return 0.5 * x @ unit @ x - rest @ x

    def step(_: int, state: Any) -> Any:
        side, best, least = state  # side: -1 at the lower bound, 1 at the upper, 0 free
        free = side == 0
        pinned = jnp.where(side < 0, low, jnp.where(side > 0, high, 0.0))
        pair = free[:, None] & free[None, :]
        matrix = jnp.where(pair, unit, 0.0) + jnp.diag(jnp.where(free, 1e-12, 1.0))
        x = jnp.linalg.solve(matrix, jnp.where(free, rest - unit @ pinned, 0.0))
        x = jnp.where(free, x, pinned)
        gradient = unit @ x - rest
        new = jnp.where(free & (x < low), -1, jnp.where(free & (x > high), 1, side))
        new = jnp.where((side < 0) & (gradient < 0), 0, new)
        new = jnp.where((side > 0) & (gradient > 0), 0, new)
        inside = jnp.clip(x, low, high)
        value = cost(inside)
        better = value < least
        return new, jnp.where(better, inside, best), jnp.where(better, value, least)

    start = (jnp.zeros(count, int), jnp.clip(jnp.zeros(count), low, high), jnp.inf)
    # Twice the number of amplitudes suffices wherever it does not cycle.
    _, best, _ = jax.lax.fori_loop(0, min(2 * count + 2, MOST_ACTIVE_SETS), step, start)
    return best / scale


def find_starts(
    law: Law, likelihood: Likelihood, points: Points, weights: Floats, *, keep: int
) -> Floats:
    """Find the best `keep` starts of the search for every group.

    Args:
        points: (1, n) arrays, one group, or (G, n).
        weights: (1, n) or (G, n).
        keep: starts per group.

    Returns:
        (G, keep, P) internal coordinates, best first.
    """
    space = Space.of(law, likelihood.nuisance)
    groups = len(points.y)
    grids = []
    for g in range(groups):
        live = weights[g] > 0
        own = Points(
            tuple(x[g : g + 1, live] for x in points.inputs),
            points.y[g : g + 1, live],
            points.y[:1],
        )
        ranges = start_ranges(law, likelihood, own)
        names, grid = start_grid(ranges, coarse=groups > 1)
        whole = _start_points(law, own, names, ranges)
        hopeless = len(whole) > 0 and len(names) > MOST_SEARCHED
        grids.append(whole if hopeless else np.concatenate([grid, whole]))
    tried = len(grids[0])
    values = np.concatenate(grids)
    rows = np.repeat(np.arange(groups), tried)
    full = np.empty((len(values), len(space.names)))
    for j, name in enumerate(names):
        full[:, space.names.index(name)] = values[:, j]
    amplitudes = [name for name, p in law.parameters.items() if p.amplitude]
    if amplitudes:
        searched = [n for n in names if n in law.parameters]
        brief = brief_evaluations(len(values), points)
        compiled = amplitude_solver(law, likelihood, tuple(searched), brief)
        at = values[:, [names.index(n) for n in searched]]
        blocks = run_blocks(
            compiled, at, points, weights, no_prior(1), rows, system=len(amplitudes)
        )
        solved = np.concatenate([part for (part,) in blocks])
        scale = np.abs((weights * points.y).sum(1) / weights.sum(1))[rows]
        for k, name in enumerate(amplitudes):
            column = np.where(np.isfinite(solved[:, k]), solved[:, k], 1.0)
            if law.parameters[name].scale == "log":
                column = np.maximum(column, SMALL_SHARE * scale)
            full[:, space.names.index(name)] = column
    u = space.internal(full)
    cost = objectives(law, likelihood, u, points, weights, rows).reshape(groups, tried)
    order = np.argsort(cost, axis=1)[:, :keep]
    return np.take_along_axis(u.reshape(groups, tried, -1), order[:, :, None], 1)
