"""Where to start: a search over the parameters that are not linear, the linear ones solved for.

Laws are mostly linear in their amplitudes. Given the exponents, the best amplitudes are a small
least-squares problem, so that only the exponents need searching (variable projection: Golub &
Pereyra 1973): two dimensions instead of five for Chinchilla, and the condition number falls from
3e11 to 11. Laws without amplitudes are searched over all of their parameters.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.stats import qmc

from augury.fitting.likelihoods import Likelihood, Points
from augury.fitting.optimise import no_prior, objectives, run_blocks
from augury.fitting.space import Floats, Space
from augury.laws import Law, Parameter
from augury.runtime.compiling import jit

# Values tried: one nonlinear parameter on a line, two on a square grid, more by a Sobol sequence.
# On Chinchilla's 240 points an 8 x 8 grid finds the optimum from each of its best four: the fine
# numbers have margin for odd data. Coarse ones serve many groups at once, where 6 x 6 ended in
# another optimum than 12 x 12 for none of 2,000 groups of 50 points.
FINE, COARSE = (32, 12, 512), (16, 6, 128)
# Reweighted linear solves per grid point, for likelihoods that are not least squares.
REWEIGHTINGS = 3
# An amplitude that must be positive but came out as zero starts at this share of the mean of y.
SMALL_SHARE = 1e-3


def start_grid(ranges: dict[str, Parameter], *, coarse: bool) -> tuple[list[str], Floats]:
    """Names of the parameters searched over, and the (M, Q) values tried, in natural units."""
    line_size, square_size, sobol_size = COARSE if coarse else FINE
    names = [name for name, p in ranges.items() if not p.amplitude]
    count = len(names)
    if count == 0:
        return names, np.zeros((1, 0))
    if count <= 2:
        line = np.linspace(0.0, 1.0, line_size if count == 1 else square_size)
        unit = np.array(list(product(line, repeat=count)))
    else:
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
    """The parameters, with start ranges that the law reads off the data where it can."""
    inputs = {n: np.ravel(x) for n, x in zip(law.inputs, points.inputs, strict=True)}
    guessed = law.guess(inputs, np.ravel(points.y))
    ranges = {}
    for name, p in {**law.parameters, **likelihood.nuisance}.items():
        low, high = guessed.get(name, p.start)
        low, high = max(low, p.bounds[0]), min(high, p.bounds[1])
        ranges[name] = p if not low < high else _with_start(p, (low, high))
    return ranges


def _with_start(p: Parameter, start: tuple[float, float]) -> Parameter:
    return Parameter(start, p.bounds, p.scale, p.amplitude, p.meaning)


@lru_cache(maxsize=64)
def amplitude_solver(law: Law, likelihood: Likelihood, searched: tuple[str, ...]) -> Any:
    """Compiled: (B, Q) values of the searched parameters -> (B, K) amplitudes that fit best."""
    import jax
    import jax.numpy as jnp

    amplitudes = [name for name, p in law.parameters.items() if p.amplitude]
    count = len(amplitudes)
    lower = np.array(
        [
            max(law.parameters[a].bounds[0], 0.0)
            if law.parameters[a].scale == "log"
            else law.parameters[a].bounds[0]
            for a in amplitudes
        ]
    )
    upper = np.array([law.parameters[a].bounds[1] for a in amplitudes])
    subsets = np.array(list(product([True, False], repeat=count)))

    def solve(values: Any, points: Points, weights: Any, prior: Any) -> Any:
        del prior
        fixed = {n: values[:, j : j + 1] for j, n in enumerate(searched)}

        def law_at(amps: dict[str, float]) -> Any:
            out = law.formula(SimpleNamespace(**fixed, **amps), *points.inputs)
            return jnp.broadcast_to(out, (values.shape[0], points.y.shape[-1]))

        zero = dict.fromkeys(amplitudes, 0.0)
        base = law_at(zero)
        basis = jnp.stack([law_at({**zero, a: 1.0}) - base for a in amplitudes], 1)
        target = points.y - base
        w = weights * (1.0 / points.y**2 if likelihood.on_log else points.trials)
        w = jnp.where(weights > 0, w, 0.0) * jnp.ones_like(target)

        def amplitudes_with(keep: Any, gram: Any, right: Any, scale: Any) -> Any:
            """Least squares with the amplitudes outside `keep` at their lower bound."""
            pair = keep[:, None] & keep[None, :]
            g = jnp.where(pair, gram / (scale[:, :, None] * scale[:, None, :]), 0.0)
            g = g + jnp.eye(count) * jnp.where(keep, 1e-12, 1.0)
            pinned = jnp.where(keep, 0.0, lower)
            rest = (right - gram @ pinned) / scale
            x = jnp.linalg.solve(g, jnp.where(keep, rest, 0.0)[..., None])[..., 0]
            return jnp.clip(jnp.where(keep, x / scale, pinned), lower, upper)

        def reweighted(_: int, state: Any) -> Any:
            _, w = state
            gram = jnp.einsum("bkn,bn,bln->bkl", basis, w, basis)
            right = jnp.einsum("bkn,bn->bk", basis, w * target)
            scale = jnp.sqrt(jnp.maximum(jnp.diagonal(gram, axis1=1, axis2=2), 1e-300))
            options = jax.vmap(amplitudes_with, (0, None, None, None), 1)(
                subsets, gram, right, scale
            )
            residual = target[:, None] - jnp.einsum("bsk,bkn->bsn", options, basis)
            cost = jnp.sum(w[:, None] * residual**2, -1)
            pick = jnp.argmin(jnp.where(jnp.isfinite(cost), cost, jnp.inf), 1)
            best = jnp.take_along_axis(options, pick[:, None, None], 1)[:, 0]
            mu = base + jnp.einsum("bk,bkn->bn", best, basis)
            w = jnp.where(weights > 0, weights * _reweight(likelihood, mu, points), 0.0)
            return best, w * jnp.ones_like(target)

        start = (jnp.zeros((values.shape[0], count)), w)
        best, _ = jax.lax.fori_loop(0, REWEIGHTINGS, reweighted, start)
        return best

    return jit(lambda *args: (solve(*args),))


def _reweight(likelihood: Likelihood, mu: Any, points: Points) -> Any:
    """Weights that make least squares in mu act like the likelihood around mu."""
    import jax.numpy as jnp

    if likelihood.counts:
        rate = jnp.clip(mu, 1e-9, 1.0 - 1e-9)
        return points.trials / (rate * (1.0 - rate))
    if not likelihood.on_log:
        return jnp.ones_like(mu)
    safe = jnp.maximum(mu, 1e-3 * points.y)
    bound = likelihood.terms(jnp.log(safe), SimpleNamespace(), points).bound
    return bound / points.y**2


def find_starts(
    law: Law, likelihood: Likelihood, points: Points, weights: Floats, *, keep: int
) -> Floats:
    """The best `keep` starts of the search for every group.

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
        names, grid = start_grid(start_ranges(law, likelihood, own), coarse=groups > 1)
        grids.append(grid)
    tried = len(grids[0])
    values = np.concatenate(grids)
    rows = np.repeat(np.arange(groups), tried)
    full = np.empty((len(values), len(space.names)))
    for j, name in enumerate(names):
        full[:, space.names.index(name)] = values[:, j]
    amplitudes = [name for name, p in law.parameters.items() if p.amplitude]
    if amplitudes:
        searched = [n for n in names if n in law.parameters]
        compiled = amplitude_solver(law, likelihood, tuple(searched))
        at = values[:, [names.index(n) for n in searched]]
        blocks = run_blocks(compiled, at, points, weights, no_prior(1), rows)
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
