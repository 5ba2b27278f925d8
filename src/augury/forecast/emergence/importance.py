"""Posterior draws of many studies at once, by adaptive importance sampling.

A Laplace approximation is wrong where it matters here: the posterior of a point that is
extrapolated to is skewed, and a ReLU's has corners. So draws from a wide Student's t at the peak
are weighed by the density, a better t is read off them, and so on; all draws of all rounds count,
each against the mixture of all proposals (Cornuet et al. 2012, arXiv 0907.1254). No gradients, no
chains, the same cost for every study: a tenth of a second, where NUTS takes ten. What it finds
agrees with NUTS (tests/claims).
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from augury.forecast.emergence.density import Rows, log_posterior
from augury.forecast.emergence.laws import natural
from augury.forecast.emergence.search import Floats, Peaks, in_blocks

# Rounds, and draws of each part of each round.
ROUNDS, EACH = 5, 250
# Each round has three proposals, one a third of the draws before it, sorted by the point: the
# posterior is bent, with a long tail towards points far off. With one proposal the 5 % quantile of
# three studies was off by .04, .01 and .01 nats of NUTS's.
PARTS = 3
# Log weight that draws of other parts lose: a part of too few draws borrows from its neighbours.
OUTSIDE = 6.0
FREEDOM = 3.0
# Draws kept, resampled by weight.
KEPT = 1000
# How much wider a proposal is than the moments it is read off, and by how much (in prior standard
# deviations, squared) the first is wider still: curvature at a corner says little of the bulk.
WIDER, WIDEST = 1.5, 0.05
# A study below this effective sample size is sampled again, from where it ended.
SURE, ATTEMPTS = 150.0, 3
# A round whose effective sample size is lower flattens its weights before reading off moments.
ENOUGH = 60.0


class Draws(NamedTuple):
    """Of S studies. z: (S, KEPT, P) coordinates, equally weighted. size: (S,) effective sample
    size. evidence: (S,) log marginal likelihood, but for a constant of the rows.
    """

    z: Floats
    size: Floats
    evidence: Floats


@lru_cache(maxsize=4)
def _sampler(counts: bool) -> Any:
    import jax
    import jax.numpy as jnp
    from jax.scipy.special import gammaln, logsumexp

    every = jax.vmap(partial(log_posterior, counts=counts), (0, None))

    def log_t(z: Any, mean: Any, root: Any, size: Any) -> Any:
        back = jax.scipy.linalg.solve_triangular(root, jnp.eye(len(mean)), lower=True)
        tail = (FREEDOM + size) / 2 * jnp.log1p((((z - mean) @ back.T) ** 2).sum(1) / FREEDOM)
        constant = gammaln((FREEDOM + size) / 2) - size / 2 * jnp.log(FREEDOM * jnp.pi)
        return constant - gammaln(FREEDOM / 2) - jnp.log(jnp.diag(root)).sum() - tail

    def moments(z: Any, log_weight: Any) -> Any:
        """Weighted mean and covariance; weights flattened until enough of them count."""
        powers = jnp.array([1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05])
        weights = jax.nn.softmax(powers[:, None] * log_weight, axis=1)
        w = weights[jnp.argmax(1.0 / (weights**2).sum(1) >= ENOUGH)]
        mean = w @ z
        return mean, ((z - mean) * w[:, None]).T @ (z - mean)

    def study(peak: Any, covariance: Any, rows: Any, seed: Any) -> Any:
        active = rows.law.active
        size, count = active.sum(), len(active)
        rest = jnp.diag(1.0 - active) + 1e-6 * jnp.eye(count)
        free = active[:, None] * active
        keys = jax.random.split(jax.random.key(seed), ROUNDS + 1)
        first = jnp.linalg.cholesky(WIDER * covariance * free + WIDEST * jnp.diag(active) + rest)
        state = (
            jnp.zeros((ROUNDS, PARTS * EACH, count)),
            jnp.full((ROUNDS, PARTS * EACH), -jnp.inf),
            jnp.broadcast_to(peak, (ROUNDS, PARTS, count)),
            jnp.broadcast_to(first, (ROUNDS, PARTS, count, count)),
        )

        def weights(state: Any, done: Any) -> Any:
            z, at, means, roots = state
            flat = z.reshape(-1, count)
            means, roots = means.reshape(-1, count), roots.reshape(-1, count, count)
            each = jax.vmap(lambda m, r: log_t(flat, m, r, size))(means, roots)
            made = jnp.where(jnp.arange(ROUNDS) < done, 0.0, -jnp.inf).repeat(PARTS)
            mixture = logsumexp(each + made[:, None], axis=0) - jnp.log(done * PARTS)
            return flat, at.ravel() - mixture

        def parts(flat: Any, log_weight: Any) -> Any:
            """Moments of each third of the draws, sorted by the point of emergence."""
            p = natural(flat, rows.law, rows.scales)
            order = jnp.argsort(p.end + p.shift)
            below = (
                jnp.zeros(len(flat)).at[order].set(jnp.cumsum(jax.nn.softmax(log_weight)[order]))
            )
            edges = jnp.linspace(0.0, 1.0, PARTS + 1)

            def part(low: Any, high: Any) -> Any:
                inside = (below > low) & (below <= high + 1e-12)
                return moments(flat, jnp.where(inside, log_weight, log_weight - OUTSIDE))

            return jax.vmap(part)(edges[:-1], edges[1:])

        def round_of(k: Any, state: Any) -> Any:
            z, at, means, roots = state
            own, spread = parts(*weights(state, jnp.maximum(k, 1)))
            mean = jnp.where(k == 0, peak, own)
            adapted = jnp.linalg.cholesky(WIDER * spread * free + rest)
            root = jnp.where(k == 0, first, adapted)
            one, two = jax.random.split(keys[k])
            normal = jax.random.normal(one, (PARTS, EACH, count)) @ root.swapaxes(1, 2)
            chi = jax.random.gamma(two, FREEDOM / 2, (PARTS, EACH, 1)) * 2 / FREEDOM
            new = (mean[:, None] + normal / jnp.sqrt(chi)) * active
            new = new.reshape(-1, count)
            return (
                z.at[k].set(new),
                at.at[k].set(every(new, rows)),
                means.at[k].set(mean),
                roots.at[k].set(root),
            )

        state = jax.lax.fori_loop(0, ROUNDS, round_of, state)
        flat, log_weight = weights(state, float(ROUNDS))
        weight = jax.nn.softmax(log_weight)
        # Systematic resampling: one uniform number, no further noise.
        place = (jnp.arange(KEPT) + jax.random.uniform(keys[-1])) / KEPT
        picked = jnp.searchsorted(jnp.cumsum(weight), place).clip(0, len(flat) - 1)
        evidence = logsumexp(log_weight) - jnp.log(float(len(flat)))
        own, spread = moments(flat, log_weight)
        return flat[picked], 1.0 / (weight**2).sum(), evidence, own, spread * free

    # One study after another: hundreds of draws a round are width enough.
    return jax.jit(lambda *each: jax.lax.map(lambda one: study(*one), each))


def sample(rows: Rows, at: Peaks, *, counts: bool, seed: int) -> Draws:
    """Posterior draws of every study.

    Args:
        rows: (S, n) each, stacked studies, each with its law.
        at: their peaks.
        counts: whether scores are counts.
        seed: of the draws; study k uses seed + k.
    """
    import jax

    seeds = seed + np.arange(len(at.z))
    z, size, evidence, mean, spread = in_blocks(_sampler(counts), at.z, at.covariance, rows, seeds)
    for attempt in range(1, ATTEMPTS):
        few = np.flatnonzero(size < SURE)
        if not len(few):
            break
        part = jax.tree.map(lambda leaf, few=few: leaf[few], rows)
        more = in_blocks(
            _sampler(counts), mean[few], spread[few], part, seeds[few] + attempt * 1_000_003
        )
        better = more[1] > size[few]
        for whole, new in zip((z, size, evidence, mean, spread), more, strict=True):
            whole[few[better]] = new[better]
    return Draws(z, size, evidence)
