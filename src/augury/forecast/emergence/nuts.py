"""The same posterior by NUTS (NumPyro), with the figures that say whether chains agree."""

from __future__ import annotations

from typing import Any

import numpy as np

from augury.forecast.emergence.density import Rows, log_posterior
from augury.forecast.emergence.laws import elbow, natural
from augury.forecast.emergence.search import Floats

CHAINS, WARM_UP, KEPT_EACH = 4, 300, 300


def chains(
    rows: Rows, near: Floats, *, counts: bool, seed: int
) -> tuple[Floats, list[dict[str, float]]]:
    """(S, CHAINS * KEPT_EACH, P) draws of every study, and rhat, ess and divergences of each.

    R-hat and effective sample size are those of the point of emergence, split chains and the worst
    of bulk and tail: chains start apart, at draws of `near` (S, D, P), and must agree.
    """
    import jax
    import numpyro
    import numpyro.distributions as dist
    from numpyro.diagnostics import effective_sample_size, split_gelman_rubin
    from numpyro.infer import MCMC, NUTS

    size = near.shape[-1]

    def model(own: Rows, root: Any, middle: Any) -> None:
        anywhere = dist.ImproperUniform(dist.constraints.real_vector, (), (size,))
        u = numpyro.sample("u", anywhere)
        z = (middle + root @ u) * own.law.active
        pinned = 0.5 * ((1.0 - own.law.active) * u**2).sum()
        numpyro.factor("density", log_posterior(z, own, counts=counts) - pinned)

    out, told = [], []
    with jax.enable_x64(True):
        # The study is an argument: all of them share one compiled sampler.
        mcmc = MCMC(
            NUTS(model, target_accept_prob=0.9, max_tree_depth=7),
            num_warmup=WARM_UP,
            num_samples=KEPT_EACH,
            num_chains=CHAINS,
            chain_method="vectorized",
            progress_bar=False,
            jit_model_args=True,
        )
        for k in range(len(near)):
            own = jax.tree.map(lambda leaf, k=k: np.asarray(leaf[k]), rows)
            root, middle = _shape(near[k], own.law.active)
            rng = np.random.default_rng(seed + k)
            picked = near[k][rng.choice(len(near[k]), CHAINS, replace=False)]
            start = np.linalg.solve(root, (picked - middle).T).T
            mcmc.run(
                jax.random.key(seed + k),
                own,
                root,
                middle,
                init_params={"u": start},
                extra_fields=("diverging",),
            )
            u = np.asarray(mcmc.get_samples(group_by_chain=True)["u"])
            z = (middle + u @ root.T) * np.asarray(own.law.active)
            p = natural(z, own.law, own.scales)
            point = np.asarray(elbow(p, own.scales.log_low, own.law.kind, own.scales))
            told.append(
                {
                    "rhat": float(split_gelman_rubin(point)),
                    "ess": min(float(effective_sample_size(x)) for x in (point, *_tails(point))),
                    "divergences": float(np.asarray(mcmc.get_extra_fields()["diverging"]).sum()),
                }
            )
            out.append(z.reshape(-1, size))
    return np.stack(out), told


def _shape(near: Floats, active: Any) -> tuple[Floats, Floats]:
    """Root of the draws' covariance and their mean: what makes the posterior about round."""
    free = np.asarray(active)
    spread = np.cov(near.T) * free[:, None] * free + np.diag(1.0 - free) + 1e-6 * np.diag(free)
    return np.linalg.cholesky(spread), near.mean(0) * free


def _tails(point: Floats) -> list[Floats]:
    """Indicators of the lower and upper tail, whose mixing quantiles rest on."""
    low, high = np.quantile(point, [0.05, 0.95])
    return [(point <= low).astype(float), (point >= high).astype(float)]
