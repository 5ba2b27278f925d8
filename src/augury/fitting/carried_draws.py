"""Normal draws of a law's curve, carried back to its parameters.

A normal approximation holds much further for what a law predicts than for its parameters. Where a
floor, an amplitude and an exponent make up for each other, a straight step along their valley
leaves the curve: twelve runs of a power law with .3 % noise, whose curve is known to .2 % between
them, gave intervals four times as wide, and on one side only. So a step s is taken as a move J s of
the curve at the fitted points, and the parameters that move it so are found by damped Gauss-Newton
steps. What is left is the curvature of the law itself, which its parameters do not change (Bates &
Watts 1980, J. R. Stat. Soc. B 42, 1-25).
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np

from augury.fitting.covariance import pieces_at
from augury.fitting.likelihoods import Likelihood
from augury.fitting.optimise import NARROW, predictor_at, run_blocks
from augury.fitting.problem import Problem
from augury.fitting.space import Floats, Space
from augury.laws import Law
from augury.runtime.compiling import jit

# A move whose first step does not come nearer is made in so many stages instead, each short enough
# that Gauss-Newton steps follow it.
STAGES = 4
MOST_STEPS = 25
LEAST_DAMPING = 1e-9
# Before the last stage, a step may lead this many times as far from its aim (in squares) as the
# whole move is long. Steps that must come nearer each time take twice as many on a bent valley.
OVERSHOOT = 4.0
# A draw has arrived if another step would gain less than this share of what it had to move: the
# move is then right to a hundredth.
ARRIVED = 1e-4
# Numbers of one Jacobian of many draws that are held at once: 32 MB.
MOST_NUMBERS = 2**22
# Numbers of one Jacobian from which threads save more than starting them costs.
WORTH_THREADS = 2**18


@lru_cache(maxsize=64)
def _curves(law: Law, likelihood: Likelihood) -> Any:
    """Compile a function of (B, P) coordinates: (B, n) predictor and (B, P, n) its Jacobian."""
    import jax
    import jax.numpy as jnp

    space = Space.of(law, likelihood.nuisance)
    own = len(law.parameters)

    def curves(u: Any, points: Any, weights: Any, prior: Any) -> Any:
        del weights, prior
        rows = tuple(x[0] for x in points.inputs)

        def one(u: Any) -> Any:
            predict = partial(predictor_at, law, likelihood, space, inputs=rows)
            eta, push = jax.linearize(predict, u)
            return eta, jax.vmap(push)(jnp.eye(own, len(u)))

        return jax.vmap(one)(u)

    return jit(curves, brief=True)


def carry(problem: Problem, u: Floats, steps: Floats, weights: Floats | None = None) -> Floats:
    """Return the coordinates at which the law's curve has moved as its tangent says.

    Args:
        problem: what was fitted.
        u: (P,) the optimum.
        steps: (S, P) steps from it, drawn from its normal approximation.
        weights: (1, n) weights of the points, if not 1.

    Returns:
        (S, P) coordinates within their bounds. The likelihood's own parameters take their step.
    """
    size = problem.size * len(problem.law.parameters)
    count = max(MOST_NUMBERS // size, NARROW + 1)
    parts = [steps[first : first + count] for first in range(0, len(steps), count)]
    return np.concatenate([_carry(problem, u, part, weights) for part in parts])


def _carry(problem: Problem, u: Floats, steps: Floats, weights: Floats | None) -> Floats:
    own = len(problem.law.parameters)
    space = problem.space
    lower, upper = np.asarray(space.lower)[:own], np.asarray(space.upper)[:own]
    eta, jacobian, *_ = pieces_at(problem, u, problem.ones)
    information = problem.likelihood.information(
        np.ones(problem.size), eta, problem.points.trials[0]
    )
    weight = information if weights is None else information * weights[0]
    here, slope = problem.likelihood.free_scale(eta)
    live = weight > 0
    here, slope, weight = here[live], slope[live], weight[live] / slope[live] ** 2
    move = (steps[:, :own] @ jacobian[live, :own].T) * slope
    precision = problem.prior.precision[0, :own]

    def evaluate(v: Floats) -> tuple[Floats, Floats]:
        """Return the curve at the live points, (b, m), and its Jacobian (b, own, m)."""
        full = np.concatenate([v, np.broadcast_to(u[own:], (len(v), len(u) - own))], axis=1)
        # More than the narrow width, so that one size is compiled.
        room = np.minimum(np.arange(max(len(v), NARROW + 1)), len(v) - 1)
        compiled = _curves(problem.law, problem.likelihood)
        blocks = run_blocks(
            compiled,
            full[room],
            problem.points,
            problem.ones,
            problem.prior,
            threads=len(v) * problem.size * own > WORTH_THREADS,
        )
        eta, jacobian = (
            np.concatenate(x)[: len(v), ..., : problem.size][..., live]
            for x in zip(*blocks, strict=True)
        )
        eta, slope = problem.likelihood.free_scale(eta)
        return eta, jacobian * slope[:, None, :]

    def misses(v: Floats, curve: Floats, which: Any) -> tuple[Floats, Floats, Floats]:
        """Return how far a curve and its parameters are from the stage's aim, and their cost."""
        share = stage[which, None]
        off = curve - here - share * move[which]
        offset = v - u[:own] - share * steps[which, :own]
        return off, offset, 0.5 * ((weight * off**2).sum(1) + (precision * offset**2).sum(1))

    count = len(steps)
    v = np.broadcast_to(u[:own], (count, own)).copy()
    stage, damping = np.ones(count), np.full(count, LEAST_DAMPING)
    whole = 0.5 * (weight * move**2).sum(1)
    enough = ARRIVED * whole
    active = np.flatnonzero(whole > 0)
    curve = np.broadcast_to(here, (count, len(here))).copy()
    jacobian = np.broadcast_to((jacobian[live, :own].T * slope), (count, own, len(here))).copy()
    with np.errstate(over="ignore", invalid="ignore"):
        for turn in range(MOST_STEPS):
            if not len(active):
                break
            off, offset, cost = misses(v[active], curve[active], active)
            scaled = jacobian[active] * weight
            g = np.einsum("bpn,bn->bp", scaled, off) + precision * offset
            h = scaled @ jacobian[active].swapaxes(1, 2) + np.diag(precision)
            held = ((v[active] <= lower) & (g > 0)) | ((v[active] >= upper) & (g < 0))
            step = _step(np.where(held, 0.0, g), h, held, damping[active])
            new = np.clip(v[active] + step, lower, upper)
            moved = new - v[active]
            gain = -(g * moved).sum(1) - 0.5 * np.einsum("bi,bij,bj->b", moved, h, moved)
            new_curve, new_jacobian = evaluate(new)
            new_cost = misses(new, new_curve, active)[2]
            # An undamped step may overshoot on the way, and is nearer two steps later.
            bound = np.where(stage[active] < 1.0, np.maximum(cost, OVERSHOOT * whole[active]), cost)
            better = (new_cost < bound) & np.isfinite(new_jacobian).all((1, 2))
            take = active[better]
            v[take], curve[take], jacobian[take] = (
                new[better],
                new_curve[better],
                new_jacobian[better],
            )
            # No gain left: that is as near as the law comes to this stage's aim. A step that a
            # bound has bent may promise a loss, and is made shorter.
            near = (np.abs(gain) <= enough[active]) & (damping[active] <= 1.0)
            done = (near | (better & (new_cost <= enough[active]))) & (stage[active] >= 1.0)
            if turn == 0:  # where the law is nearly straight, the whole move is one stage
                stage[active[~better & ~done]] = 1.0 / STAGES
            else:
                stage[active] = np.minimum(stage[active] + (better | near) / STAGES, 1.0)
                factor = np.where(better, 0.1, 8.0)
                damping[active] = np.maximum(damping[active] * factor, LEAST_DAMPING)
            active = active[~done]
    rest = space.clip(u + steps)[:, own:]
    return np.concatenate([v, rest], axis=1)


def _step(g: Floats, h: Floats, held: Any, damping: Floats) -> Floats:
    """Return (b, own) damped Gauss-Newton steps; what is held at a bound stays."""
    scale = np.sqrt(np.maximum(np.diagonal(h, axis1=1, axis2=2), 1e-300))
    free = ~held
    scaled = h / (scale[:, :, None] * scale[:, None, :])
    scaled = np.where(free[:, :, None] & free[:, None, :], scaled, 0.0)
    ridge = np.where(free, damping[:, None] + 1e-13, 1.0)
    scaled = scaled + ridge[:, :, None] * np.eye(g.shape[1])
    return np.asarray(-np.linalg.solve(scaled, (g / scale)[..., None])[..., 0] / scale)
