"""The posterior density of an emergence law, in coordinates whose prior is standard normal.

A row is one evaluation of a checkpoint, finetuned or not. There are three kinds of noise:

- counting: known, from the number of instances of a score (or from its standard error);
- between runs (seeds, checkpoints): `run` in the score and `luck` in the elbow, which appears in
  the score as slope * luck. For counts the variance of a proportion is p (1-p) (1/n + run) +
  (slope * luck)^2. `run` is the correlation of a beta-binomial. `luck` remains just past the elbow
  of a task whose base is 0; without it, 5 passes of 1,000 would place the elbow to .002 nats. The
  likelihood is Efron's double binomial (1986, JASA 81:709): the binomial if both are 0, and free of
  gamma functions. Scores without counts are normal with standard deviation 5 run * height: 1 % of
  the rise by default, which the data soon correct;
- between subsets: all checkpoints finetuned on one subset share a shift of the elbow, normal with
  standard deviation `subset`. It is integrated out (Laplace at a Newton step; exact for normal
  scores while a row stays on its side of the elbow). Without it, ten checkpoints finetuned on a
  lucky subset would count as ten independent observations.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from augury.forecast.emergence.laws import (
    Array,
    Member,
    Scales,
    elbow,
    natural,
    score_above_base,
    steepness,
)

# Rates stay this far from 0 and 1: a hundredth of a pass in 10,000 samples.
EDGE = 1e-6
# Standard deviation of a score without counts, over run * height.
NORMAL = 5.0
# The point of emergence may pass the limit of progress by about this share of the unit.
SOFT_LIMIT = 0.02
# A Newton step of a subset's shift is bent back beyond this many standard deviations.
FARTHEST = 4.0


class Rows(NamedTuple):
    """One study and one law, padded; (n,) each but the last three.

    progress: -loss or log10 FLOPs. log_amount: log D; log D_0 for few-shot rows. few: 1 for those
    rows. y: score. trials: number of instances, 0 for none. variance: squared standard error where
    there are no trials. weight: 1, or 0 for padding and held-out rows. groups: (n, G) 1 where a row
    belongs to a subset. scales: scales of the priors. law: the law.
    """

    progress: Array
    log_amount: Array
    few: Array
    y: Array
    trials: Array
    variance: Array
    weight: Array
    groups: Array
    scales: Scales
    law: Member


def base_of(p: Any, rows: Rows) -> Array:
    """(n,) score before the elbow."""
    return p.base + (p.few_base - p.base) * rows.few


def expected(p: Any, rows: Rows) -> Array:
    """(n,) expected score of every row, for an average subset."""
    past = rows.progress - elbow(p, rows.log_amount, rows.law.kind, rows.scales)
    up, _ = score_above_base(p, past, steepness(p, rows.log_amount, rows.scales))
    return base_of(p, rows) + up


def row_terms(
    p: Any, mean: Array, slope: Array, rows: Rows, *, counts: bool
) -> tuple[Array, Array, Array]:
    """Log-likelihood of each row, and its derivative and information in the expected score."""
    import jax.numpy as jnp
    from jax.scipy.special import xlog1py, xlogy

    shaken = (slope * p.luck) ** 2
    if not counts:
        variance = (NORMAL * p.run * rows.scales.height) ** 2 + rows.variance + shaken
        off = rows.y - mean
        return -0.5 * (off**2 / variance + jnp.log(variance)), off / variance, 1.0 / variance
    rate = jnp.clip(mean, EDGE, 1.0 - EDGE)
    more = jnp.maximum(rows.trials - 1.0, 0.0)
    spread = 1.0 + more * (p.run + shaken / (rate * (1.0 - rate)))
    y, n = rows.y, rows.trials / spread
    full = xlogy(y, y) + xlog1py(1.0 - y, -y)
    divergence = full - y * jnp.log(rate) - (1.0 - y) * jnp.log1p(-rate)
    information = n / (rate * (1.0 - rate))
    return -n * divergence - 0.5 * jnp.log(spread), (y - rate) * information, information


def log_likelihood(p: Any, rows: Rows, *, counts: bool) -> Array:
    """Log-likelihood of all rows, with subset effects integrated out: a float."""
    import jax.numpy as jnp

    steep = steepness(p, rows.log_amount, rows.scales)
    past = rows.progress - elbow(p, rows.log_amount, rows.law.kind, rows.scales)
    base = base_of(p, rows)
    up, slope = score_above_base(p, past, steep)
    _, score, information = row_terms(p, base + up, slope, rows, counts=counts)
    pull = (rows.weight * score * slope) @ rows.groups
    hold = (rows.weight * information * slope**2) @ rows.groups
    spread = p.subset**2
    step = pull * spread / (1.0 + hold * spread)
    limit = FARTHEST * p.subset
    step = limit * jnp.tanh(step / limit)
    up, slope = score_above_base(p, past + rows.groups @ step, steep)
    terms, _, _ = row_terms(p, base + up, slope, rows, counts=counts)
    integral = -0.5 * (step**2 / spread + jnp.log1p(hold * spread)).sum()
    return (rows.weight * terms).sum() + integral


def log_posterior(z: Array, rows: Rows, *, counts: bool) -> Array:
    """Log posterior of (P,) coordinates, up to a constant: a float, never NaN."""
    import jax.numpy as jnp

    p = natural(z, rows.law, rows.scales)
    prior = -0.5 * (rows.law.active * z**2).sum()
    over = (p.end + p.shift - rows.scales.limit) / (SOFT_LIMIT * rows.scales.unit)
    value = log_likelihood(p, rows, counts=counts) + prior - jnp.logaddexp(0.0, over)
    return jnp.where(jnp.isfinite(value), value, -1e10)
