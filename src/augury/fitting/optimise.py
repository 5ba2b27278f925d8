"""Levenberg-Marquardt for a batch of problems at once: starts x resamples x groups, float64 JAX.

Every problem is one row: its own coordinates (P,), its own weights of the points, and its own or
shared points. Problems are solved in blocks of one size, so that one compiled function serves any
number of them and a slow problem delays only its block; blocks run in threads, one per core.

The step solves (H + lambda diag(K)) s = -g with H = J^T C J, where C is the likelihood's curvature
and K is built from its upper bound. For Huber, H counts only the points inside delta: near the
optimum the step is Newton's. Reweighted least squares would crawl there, since most residuals of a
Chinchilla fit lie outside. Coordinates at a bound that the gradient pushes against are held fixed.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from augury.fitting.joint_blocks import Blocks
from augury.fitting.likelihoods import Likelihood, Points
from augury.fitting.space import Floats, Space
from augury.laws import Law
from augury.laws.base import attributes
from augury.runtime.compiling import jit

# Problems per block. 128 x 256 points x 8 bytes = 256 KB per array: near the size of the
# second-level cache, and wide enough that dispatch (60 us per call) is negligible.
BLOCK = 128
# The number of polished starts of one fit. Only these two widths are compiled, at about a second
# each.
NARROW = 8
# Systems with more unknowns are solved by one block at a time: XLA hands them to its own thread
# pool, and two blocks that wait for it at once deadlock (jaxlib 0.10.2; 24 unknowns hung within 50
# searches on two cores, and never in 150 when run one at a time).
LARGEST_THREADED = 8
# Up to this many problems times points, an unoptimised XLA solver finishes sooner: it compiles in
# half the time and runs several times slower. A solution takes about thirty evaluations, or 150
# where the data are weak. A thousand refits of Chinchilla to 9 to 27 runs, with everything that a
# first fit includes, took 4.0 to 4.5 s of CPU time unoptimised and 3.1 to 3.6 s optimised;
# repeated, 2.3 to 2.6 and .4 to .6 s.
BRIEF_SOLUTIONS, BRIEF_EVALUATIONS = 2**12, 2**20
# Relative rounding error of an objective: differences of log-gamma functions over counts of
# thousands carry 1e-12, so any step at the optimum may seem to climb.
ROUNDING = 1e-11
# A problem whose damping has grown this far makes no step that floating point can resolve.
MAX_DAMPING = 1e12


# A logarithmic coordinate on which the points depend this little, as a share of the strongest
# curvature, moves by at most 1 per step. Where a weight has underflowed, the model proposes to move
# it by 1e20, which is rejected at any damping while all other coordinates wait. (Effective shares
# of 17 domains on 50 of RegMix's mixtures: without this, none of three starts converged in at least
# 4 of 13 sets, and most starts ended within 16 steps where the gradient was not 0.)
FLAT = 1e-8


class Solution(NamedTuple):
    """The optimiser's result, one row per problem.

    u: (B, P) coordinates; objective: (B,); converged: (B,) whether the predicted gain of another
    step is below tolerance; steps: (B,) evaluations; hessian: (B, P, P) Gauss-Newton, with the
    bounding curvature; gradient: (B, P).
    """

    u: Floats
    objective: Floats
    converged: Any
    steps: Any
    hessian: Floats
    gradient: Floats


class Prior(NamedTuple):
    """Independent normal priors on the coordinates: (1 or B, P) mean and precision."""

    mean: Any
    precision: Any


def no_prior(size: int) -> Prior:
    """Return a flat prior."""
    return Prior(np.zeros((1, size)), np.zeros((1, size)))


class Evaluated(NamedTuple):
    """The objective and its parts at (B, P) coordinates.

    objective: (B,); gradient: (B, P); hessian: (B, P, P) curvature; bound: (B, P) its bound's
    diagonal. For each point: eta (B, n), the predictor; jacobian (B, own, n), its derivatives by
    the law's parameters, or along the directions of a joint law; slope and curvature (B, n) of its
    loss.
    """

    objective: Any
    gradient: Any
    hessian: Any
    bound: Any
    eta: Any
    jacobian: Any
    slope: Any
    curvature: Any


def evaluate(
    law: Law, likelihood: Likelihood, u: Any, points: Points, weights: Any, prior: Prior
) -> Evaluated:
    """Return objective, derivatives and what they are summed from, at (B, P) coordinates."""
    import jax
    import jax.numpy as jnp

    space = Space.of(law, likelihood.nuisance)
    size = len(space.names)
    own = len(law.parameters)
    blocks = Blocks.of(law)
    directions = np.eye(own) if blocks is None else blocks.directions(own)

    def one(
        u: Any, inputs: Any, y: Any, trials: Any, weights: Any, mean: Any, precision: Any
    ) -> Evaluated:
        points = Points(inputs, y, trials)

        def predictor(v: Any) -> Any:
            return predictor_at(law, likelihood, space, jnp.concatenate([v, u[own:]]), inputs)

        # One mapped jvp: the formula is traced once, whatever the number of parameters.
        eta, push = jax.linearize(predictor, u[:own])
        # (own, n), or fewer rows for a joint law.
        each = jax.vmap(push)(jnp.asarray(directions))
        terms = likelihood.terms(eta, space.unpack(u), points)
        # A NaN at a point with weight 0 (padding, left out, not drawn) must not spread.
        used = weights > 0
        jacobian = jnp.where(used, each, 0.0)

        def weighed(x: Any) -> Any:
            return jnp.where(used, weights * x, 0.0)

        objective = weighed(terms.loss).sum()
        slope, curvature, bound = map(weighed, (terms.slope, terms.curvature, terms.bound))
        if blocks is None:
            gradient = jacobian @ slope
            hessian = (jacobian * curvature) @ jacobian.T
            bound = (jacobian * jacobian) @ bound
        else:
            group = inputs[blocks.per]
            gradient, hessian, bound = blocks.sums(jacobian, group, slope, curvature, bound)
        if size > own:  # the likelihood's own parameters, by their own derivatives

            def loss(v: Any) -> Any:
                p = space.unpack(jnp.concatenate([u[:own], v]))
                return weighed(likelihood.terms(eta, p, points).loss).sum()

            rest, push = jax.linearize(jax.grad(loss), u[own:])
            gradient = jnp.concatenate([gradient, rest])
            second = jnp.abs(jnp.diagonal(jax.vmap(push)(jnp.eye(size - own))))
            hessian = jax.scipy.linalg.block_diag(hessian, jnp.diag(second))
            bound = jnp.concatenate([bound, second])
        offset = u - mean
        return Evaluated(
            objective + 0.5 * jnp.sum(precision * offset * offset),
            gradient + precision * offset,
            hessian + jnp.diag(precision),
            bound + precision,
            eta,
            each,
            terms.slope * jnp.ones_like(eta),
            terms.curvature * jnp.ones_like(eta),
        )

    return _mapped(one, u, points, weights, prior)


def predictor_at(law: Law, likelihood: Likelihood, space: Space, u: Any, inputs: Any) -> Any:
    """Return (n,) what the likelihood compares, at traced (P,) coordinates and each input's row."""
    return likelihood.predictor(law.formula(space.unpack(u), attributes(law.inputs, inputs)))


def _mapped(one: Any, u: Any, points: Points, weights: Any, prior: Prior) -> Any:
    """Map a function of one problem over all problems; an array of one row is shared by all."""
    import jax

    def axis(x: Any) -> int | None:
        return 0 if x.shape[0] == u.shape[0] and x.shape[0] > 1 else None

    def row(x: Any) -> Any:
        return x if axis(x) == 0 else x[0]

    parts = (points.inputs, points.y, points.trials, weights, prior.mean, prior.precision)
    inputs, *rest = jax.tree.map(row, parts)
    axes = (0, tuple(map(axis, points.inputs)), *map(axis, parts[1:]))
    return jax.vmap(one, axes)(u, inputs, *rest)


@lru_cache(maxsize=64)
def block_solver(law: Law, likelihood: Likelihood, brief: bool) -> Any:
    """Compile the solver of one block: (u, points, weights, prior, limits) -> Solution."""
    import jax
    import jax.numpy as jnp

    space = Space.of(law, likelihood.nuisance)
    lower, upper = np.asarray(space.lower), np.asarray(space.upper)
    log = np.asarray(space.log)
    evaluated = partial(evaluate, law, likelihood)
    blocks = Blocks.of(law)

    def solve_linear(h: Any, g: Any) -> Any:
        if blocks is None:
            return jnp.linalg.solve(h, g[..., None])[..., 0]
        return blocks.solve(h, g)

    def solve(u: Any, points: Points, weights: Any, prior: Prior, limits: Any) -> Solution:
        max_steps, tolerance = limits

        def propose(u: Any, g: Any, h: Any, k: Any, damping: Any) -> tuple[Any, Any]:
            held = ((u <= lower) & (g > 0)) | ((u >= upper) & (g < 0))
            free = ~held
            scale = jnp.sqrt(jnp.maximum(k, 1e-300))
            g_s = jnp.where(free, g / scale, 0.0)
            h_s = h / (scale[:, :, None] * scale[:, None, :])
            h_s = jnp.where(free[:, :, None] & free[:, None, :], h_s, 0.0)
            # 1e-14: keeps a flat direction solvable, far below any curvature that matters.
            ridge = jnp.where(free, damping[:, None] + 1e-14, 1.0)
            h_s = h_s + ridge[:, :, None] * jnp.eye(u.shape[1])
            step = -solve_linear(h_s, g_s) / scale
            flat = log & (k < FLAT * jnp.max(k, axis=1, keepdims=True))
            step = jnp.where(flat, jnp.clip(step, -1.0, 1.0), step)
            new = jnp.clip(u + step, lower, upper)
            moved = new - u
            gain = -jnp.sum(g * moved, -1) - 0.5 * jnp.einsum("bi,bij,bj->b", moved, h, moved)
            return new, gain

        def cond(state: Any) -> Any:
            return jnp.any(~state["done"]) & (state["count"] < max_steps)

        def body(state: Any) -> Any:
            u, f, g, h, k, damping = (state[n] for n in ("u", "f", "g", "h", "k", "damping"))
            # The start is evaluated here too, by a step of length 0: the program contains law and
            # derivatives once, and compiles a fifth to a quarter faster.
            first = state["count"] < 0
            new, gain = propose(u, g, h, k, damping)
            new = jnp.where(first, u, new)
            f_new, g_new, h_new, k_new, *_ = evaluated(new, points, weights, prior)
            finite = jnp.isfinite(f_new) & jnp.all(jnp.isfinite(g_new), -1)
            drop = jnp.where(finite, f - f_new, -jnp.inf)
            ratio = drop / jnp.maximum(gain, 1e-300)
            better = (drop > 0) & ~state["done"] & ~first
            # Where the undamped model promises no further gain, that is the optimum. A step that
            # damping has shortened promises none either, and does not count.
            small = gain <= tolerance * (jnp.abs(f) + 1e-300)
            converged = small & (damping <= 1e-2) & (drop >= -tolerance * jnp.abs(f)) & ~first
            factor = jnp.where(ratio > 0.75, 0.2, jnp.where(ratio < 0.25, 4.0, 1.0))
            factor = jnp.where(better | state["done"], factor, 8.0)
            damping_new = jnp.clip(damping * factor, 1e-12, MAX_DAMPING)
            stuck = ~better & (damping >= MAX_DAMPING / 8)
            hopeless = first & ~jnp.isfinite(f_new)

            def taken(new: Any, old: Any, start: float) -> Any:
                """Return what is kept; `start` where a first value is not finite."""
                pick = (better | first).reshape(-1, *[1] * (new.ndim - 1))
                new = jnp.where(first & ~jnp.isfinite(new), start, new)
                return jnp.where(pick, new, old)

            return {
                "u": jnp.where(better[:, None], new, u),
                "f": taken(f_new, f, jnp.inf),
                "g": taken(g_new, g, 0.0),
                "h": taken(h_new, h, 0.0),
                "k": taken(k_new, k, 1.0),
                "damping": jnp.where(first, damping, damping_new),
                "converged": state["converged"] | (converged & ~state["done"]),
                "done": state["done"] | converged | stuck | hopeless,
                "steps": state["steps"] + (~state["done"] & ~first),
                "count": state["count"] + 1,
            }

        u = jnp.clip(u, lower, upper)
        batch, size = u.shape
        start = {
            "u": u,
            "f": jnp.full(batch, jnp.inf),
            "g": jnp.zeros((batch, size)),
            "h": jnp.zeros((batch, size, size)),
            "k": jnp.ones((batch, size)),
            "damping": jnp.full(batch, 1e-2),
            "converged": jnp.zeros(batch, bool),
            "done": jnp.zeros(batch, bool),
            "steps": jnp.zeros(batch, int),
            "count": -1,
        }
        end = jax.lax.while_loop(cond, body, start)
        # Where rounding rejects every step, a free step that promises no gain is the optimum.
        _, left = propose(end["u"], end["g"], end["h"], end["k"], jnp.zeros(batch))
        resting = (left >= 0) & (left <= ROUNDING * jnp.abs(end["f"])) & jnp.isfinite(end["f"])
        converged = end["converged"] | (end["done"] & resting)
        return Solution(end["u"], end["f"], converged, end["steps"], end["h"], end["g"])

    return jit(solve, brief=brief)


@lru_cache(maxsize=64)
def block_objective(law: Law, likelihood: Likelihood, brief: bool) -> Any:
    """Compile the objective of one block: (u, points, weights, prior) -> (B,)."""
    import jax.numpy as jnp

    space = Space.of(law, likelihood.nuisance)

    def one(
        u: Any, inputs: Any, y: Any, trials: Any, weights: Any, mean: Any, precision: Any
    ) -> Any:
        eta = predictor_at(law, likelihood, space, u, inputs)
        loss = likelihood.terms(eta, space.unpack(u), Points(inputs, y, trials)).loss
        prior = 0.5 * jnp.sum(precision * (u - mean) ** 2)
        return jnp.where(weights > 0, weights * loss, 0.0).sum() + prior

    return jit(partial(_mapped, one), brief=brief)


def brief_solutions(problems: int, points: Points) -> bool:
    """Tell whether solving this many problems is faster than compiling an optimised solver."""
    return problems * points.y.shape[1] <= BRIEF_SOLUTIONS


def brief_evaluations(problems: int, points: Points) -> bool:
    """Tell whether evaluating this many problems once is faster than compiling for it."""
    return problems * points.y.shape[1] <= BRIEF_EVALUATIONS


def solve(
    law: Law,
    likelihood: Likelihood,
    starts: Floats,
    points: Points,
    weights: Floats,
    prior: Prior | None = None,
    *,
    rows: Any = None,
    max_steps: int = 200,
    tolerance: float = 1e-13,
    brief: bool | None = None,
) -> Solution:
    """Minimise B problems from (B, P) starts in internal coordinates.

    Args:
        law, likelihood: what is fitted.
        starts: (B, P) coordinates.
        points: arrays (1, n) shared by all problems, or (B, n).
        weights: (1, n) or (B, n) weight of each point; 0 leaves it out.
        prior: independent normal priors, (1, P) or (B, P).
        rows: (B,) which row of points, weights and prior each problem takes; its own by default.
        max_steps: evaluations after which a problem is given up as not converged.
        tolerance: relative gain below which a problem counts as converged.
        brief: whether to compile without optimising; by default, where that is faster.
    """
    brief = brief_solutions(len(starts), points) if brief is None else brief
    solver = block_solver(law, likelihood, brief)

    def compiled(*block: Any) -> Any:
        return solver(*block, (max_steps, tolerance))

    prior = prior or no_prior(starts.shape[1])
    blocks = run_blocks(compiled, starts, points, weights, prior, rows)
    return Solution(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


def objectives(
    law: Law, likelihood: Likelihood, u: Floats, points: Points, weights: Floats, rows: Any = None
) -> Floats:
    """Return the objective at (B, P) coordinates: (B,), infinite where it is not a number."""
    compiled = block_objective(law, likelihood, brief_evaluations(len(u), points))
    blocks = run_blocks(compiled, u, points, weights, no_prior(u.shape[1]), rows)
    values = np.concatenate([part for (part,) in blocks])
    return np.where(np.isfinite(values), values, np.inf)


def run_blocks(
    compiled: Any,
    u: Floats,
    points: Points,
    weights: Floats,
    prior: Prior,
    rows: Any = None,
    *,
    system: int | None = None,
    threads: bool = True,
) -> list[tuple[Floats, ...]]:
    """Run B problems through a compiled function, block by block, on every core.

    Args:
        compiled: the function.
        u: (B, P) coordinates.
        points, weights, prior, rows: as in `solve`.
        system: number of unknowns of the linear systems in it, if not P.
        threads: whether a block takes longer than starting threads does, half a millisecond.
    """
    import jax

    count = len(u)
    width = BLOCK if count > NARROW else NARROW
    points, weights = padded(points, weights)

    def one(first: int) -> tuple[Floats, ...]:
        last = min(first + width, count)
        block = np.minimum(np.arange(first, first + width), last - 1)
        source = block if rows is None else rows[block]

        def take(x: Any) -> Any:
            return x[source] if len(x) > 1 else x

        with jax.enable_x64(True):
            out = compiled(
                u[block],
                Points(tuple(take(x) for x in points.inputs), take(points.y), take(points.trials)),
                take(weights),
                Prior(take(prior.mean), take(prior.precision)),
            )
            out = out if isinstance(out, tuple) else (out,)
            return tuple(np.asarray(x)[: last - first] for x in out)

    firsts = range(0, count, width)
    if len(firsts) == 1 or not threads or (system or u.shape[1]) > LARGEST_THREADED:
        return [one(first) for first in firsts]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, firsts))


def padded(points: Points, weights: Floats) -> tuple[Points, Floats]:
    """Pad points with weight 0 up to a round number, so that few sizes are ever compiled."""
    n = points.y.shape[1]
    room = round_up(n)
    index = np.concatenate([np.arange(n), np.zeros(room - n, int)])
    live = np.arange(room) < n
    widened = Points(
        tuple(x[:, index] for x in points.inputs), points.y[:, index], points.trials[:, index]
    )
    return widened, np.where(live, weights[:, index], 0.0)


def round_up(n: int) -> int:
    """Round up to one of 32, 48, 64, 96, 128 ...: from 32 on, at most half as much again.

    Below 32, compiling another size (1 s) costs more than any number of fits saves.
    """
    size = 32
    while size < n:
        if size * 3 // 2 >= n:
            return size * 3 // 2
        size *= 2
    return size
