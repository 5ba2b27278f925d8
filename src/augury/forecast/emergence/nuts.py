"""The same posterior by NUTS (NumPyro), with diagnostics of whether chains agree."""

from __future__ import annotations

from typing import Any

import numpy as np

from augury.forecast.emergence.compiled import placed, slopes, subset_rows
from augury.forecast.emergence.density import Rows, log_posterior
from augury.forecast.emergence.search import Floats
from augury.runtime.compiling import jit

CHAINS, WARM_UP, KEPT_EACH = 4, 300, 300
_COMPILED: dict[tuple[Any, ...], Any] = {}


def sampler(rows: Rows, *, counts: bool) -> Any:
    """Compile a sampler for studies of this size. It maps start, potential and its gradient there,
    keys, a study, root and middle of its draws to (CHAINS, T, P) draws and (CHAINS, T) whether
    they diverged.

    Chains run one after another, and NumPyro's whole sampler is one function. Side by side, it
    would take 18 seconds of CPU time to trace and compile instead of 9, and save no work: gradients
    at four points cost four times one. The density and slope at the starts are inputs, so that the
    gradient is compiled only once.
    """
    import jax
    from numpyro.infer.hmc import hmc
    from numpyro.infer.util import ParamInfo

    def run(starts: Any, keys: Any, own: Rows, root: Any, middle: Any) -> Any:
        active = own.law.active

        def potential(u: Any) -> Any:
            z = (middle + root @ u) * active
            pinned = 0.5 * ((1.0 - active) * u**2).sum()
            return pinned - log_posterior(z, own, counts=counts)

        def chain(each: Any) -> Any:
            start, key = each
            begin, step = hmc(potential, algo="NUTS")
            state = begin(
                ParamInfo(*start),
                num_warmup=WARM_UP,
                target_accept_prob=0.9,
                max_tree_depth=7,
                rng_key=key,
            )

            def next_of(state: Any, _: Any) -> Any:
                state = step(state)
                return state, (state.z, state.diverging)

            return jax.lax.scan(next_of, state, None, length=WARM_UP + KEPT_EACH)[1]

        return jax.lax.map(chain, (starts, keys))

    one = subset_rows(rows, 0)
    size = one.law.active.shape[-1]
    with jax.enable_x64(True):
        start = (np.zeros((CHAINS, size)), np.zeros(CHAINS), np.zeros((CHAINS, size)))
        keys = jax.random.split(jax.random.key(0), CHAINS)
        arguments = (start, keys, one, np.eye(size), np.zeros(size))
        key = (counts, *(leaf.shape for leaf in jax.tree.leaves(one)))
        if key not in _COMPILED:
            _COMPILED[key] = jit(run).lower(*arguments).compile()
    return _COMPILED[key]


def chains(
    run: Any, rows: Rows, near: Floats, *, counts: bool, seed: int
) -> tuple[Floats, list[dict[str, float]]]:
    """(S, CHAINS * KEPT_EACH, P) draws of every study, and rhat, ess and divergences of each.

    R-hat and effective sample size are for the point of emergence, with split chains and the worse
    of bulk and tail. Chains start apart, at draws of `near` (S, D, P), and must agree. `run` is the
    `sampler` for these rows.
    """
    import jax
    from numpyro.diagnostics import effective_sample_size, split_gelman_rubin

    out, told = [], []
    with jax.enable_x64(True):
        for k in range(len(near)):
            own = subset_rows(rows, k)
            active = own.law.active
            root, middle = _shape(near[k], active)
            rng = np.random.default_rng(seed + k)
            picked = near[k][rng.choice(len(near[k]), CHAINS, replace=False)]
            start = np.linalg.solve(root, (picked - middle).T).T
            at = np.full(CHAINS, k)
            # `slopes` takes a few points of each study; the first is the start.
            points = np.repeat(picked[:, None], picked.shape[1] + 1, 1)
            density, slope = (x[:, 0] for x in slopes(points, rows, at, counts=counts))
            pinned = (1.0 - active) * start
            u, diverging = run(
                (
                    start,
                    0.5 * (pinned * start).sum(1) - density,
                    pinned - (slope * active) @ root,
                ),
                jax.random.split(jax.random.key(seed + k), CHAINS),
                own,
                root,
                middle,
            )
            u, diverging = np.asarray(u)[:, WARM_UP:], np.asarray(diverging)[:, WARM_UP:]
            z = (middle + u @ root.T) * active
            flat = z.reshape(-1, z.shape[-1])
            point = placed(flat, own.law, own.scales, own.scales.log_low)[0].reshape(z.shape[:2])
            told.append(
                {
                    "rhat": float(split_gelman_rubin(point)),
                    "ess": min(float(effective_sample_size(x)) for x in (point, *_tails(point))),
                    "divergences": float(diverging.sum()),
                }
            )
            out.append(flat)
    return np.stack(out), told


def _shape(near: Floats, active: Any) -> tuple[Floats, Floats]:
    """Root of the draws' covariance and their mean, which make the posterior nearly round."""
    free = np.asarray(active)
    spread = np.cov(near.T) * free[:, None] * free + np.diag(1.0 - free) + 1e-6 * np.diag(free)
    return np.linalg.cholesky(spread), near.mean(0) * free


def _tails(point: Floats) -> list[Floats]:
    """Indicators of the lower and upper tail; quantiles depend on how well these mix."""
    low, high = np.quantile(point, [0.05, 0.95], method="nearest")  # some never come
    return [(point <= low).astype(float), (point >= high).astype(float)]
