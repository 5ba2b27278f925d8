"""The posterior by NUTS (NumPyro), with diagnostics that say whether its chains can be trusted."""

from __future__ import annotations

from typing import Any

import numpy as np

from augury.errors import UsageError
from augury.fitting.problem import Problem
from augury.fitting.space import Floats
from augury.laws.base import attributes
from augury.notes import Note

CHAINS = 2
WARM_UP = 1000
# Gelman et al. (arXiv 1903.08008): chains with R-hat above 1.01 have not mixed; quantiles at 5 and
# 95 % need 100 effective draws per chain.
WORST_RHAT = 1.01
LEAST_ESS = 100 * CHAINS


def posterior(
    problem: Problem, u: Floats, count: int, seed: int
) -> tuple[Floats, dict[str, Any], list[Note]]:
    """Draw `count` samples from the posterior around the optimum `u`.

    Priors are normal in internal coordinates: each parameter's start range is read as mean +- one
    standard deviation, truncated at its bounds. The noise level of Gaussian fits is a parameter;
    Huber becomes Student's t with fitted degrees of freedom. Runs with several rows share a random
    effect.

    Returns:
        (S, P) draws in internal coordinates; {"rhat": {name: x}, "ess": {name: x},
        "divergences": n}; notes where the chains do not agree.
    """
    import jax
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist
    from numpyro.diagnostics import effective_sample_size, gelman_rubin
    from numpyro.infer import MCMC, NUTS, init_to_value

    space, law, likelihood = problem.space, problem.law, problem.likelihood
    middle, width = _weak_prior(problem, u)
    inputs = attributes(law.inputs, (x[0] for x in problem.points.inputs))
    y, trials = problem.points.y[0], problem.points.trials[0]
    runs, run_count = problem.runs, problem.run_count
    clustered = run_count < problem.size and run_count > 1
    # Sampled in units of the Laplace covariance: a Chinchilla posterior is a ridge.
    root = _preconditioner(problem, u)

    def model() -> None:
        z = numpyro.sample("z", dist.ImproperUniform(dist.constraints.real_vector, (), (len(u),)))
        v = u + root @ z
        inside = jnp.all((v >= np.array(space.lower)) & (v <= np.array(space.upper)))
        numpyro.factor(
            "prior", jnp.where(inside, dist.Normal(middle, width).log_prob(v).sum(), -1e10)
        )
        v = jnp.clip(v, np.array(space.lower), np.array(space.upper))
        p = space.unpack(v)
        eta = likelihood.predictor(law.formula(p, inputs))
        effect = 0.0
        if clustered:
            between = numpyro.sample("between", dist.HalfNormal(1.0))
            effect = (
                between * numpyro.sample("effect", dist.Normal(jnp.zeros(run_count), 1.0))[runs]
            )
        likelihood.observe(eta, effect, p, y, trials)

    _check_reverse(problem, u)
    with jax.enable_x64(True):
        kernel = NUTS(
            model,
            dense_mass=[("z",)],
            target_accept_prob=0.9,
            init_strategy=init_to_value(values={"z": np.zeros(len(u))}),
        )
        mcmc = MCMC(
            kernel,
            num_warmup=WARM_UP,
            num_samples=max(-(-count // CHAINS), 200),
            num_chains=CHAINS,
            chain_method="vectorized",
            progress_bar=False,
        )
        mcmc.run(jax.random.key(seed), extra_fields=("diverging",))
        z = np.asarray(mcmc.get_samples(group_by_chain=True)["z"])
        divergences = int(np.asarray(mcmc.get_extra_fields()["diverging"]).sum())
    chains = space.clip(u + z @ root.T)
    rhat = {n: float(x) for n, x in zip(space.names, gelman_rubin(chains), strict=True)}
    ess = {n: float(x) for n, x in zip(space.names, effective_sample_size(chains), strict=True)}
    found = {"rhat": rhat, "ess": ess, "divergences": divergences}
    notes = []
    if max(rhat.values()) > WORST_RHAT or min(ess.values()) < LEAST_ESS:
        notes.append(
            Note(
                "chains-disagree",
                "warning",
                f"The chains have not mixed (worst R-hat {max(rhat.values()):.3f}, least effective "
                f"sample size {min(ess.values()):.0f}): take more resamples, or the bootstrap.",
                found,
            )
        )
    return chains.reshape(-1, len(u))[:count], found, notes


def _check_reverse(problem: Problem, u: Floats) -> None:
    """Check that the formula can be differentiated backwards, as NUTS needs.

    Raises:
        UsageError: it cannot.
    """
    import jax

    law, space = problem.law, problem.space
    inputs = attributes(law.inputs, (x[0] for x in problem.points.inputs))

    def total(v: Any) -> Any:
        return law.formula(space.unpack(v), inputs).sum()

    try:
        with jax.enable_x64(True):
            jax.eval_shape(jax.grad(total), u)
    except (ValueError, NotImplementedError) as error:
        raise UsageError(
            f"law '{law}' cannot be differentiated backwards, as NUTS must "
            f"({str(error).splitlines()[0][:90]}): solve its equation with "
            "augury.laws.implicit_root, or use the bootstrap"
        ) from error


def _weak_prior(problem: Problem, u: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of each coordinate's prior, from its start range.

    An amplitude's start range depends on units, so its prior is centred on the fit instead, three
    e-folds wide: it should only say that the amplitude is finite.
    """
    space = problem.space
    middle, width = np.empty(len(u)), np.empty(len(u))
    parameters = {**problem.law.parameters, **problem.likelihood.nuisance}
    for j, (name, p) in enumerate(parameters.items()):
        low, high = (float(space.internal(np.full(len(u), x))[j]) for x in p.start)
        if p.amplitude:
            half = 3.0 if p.scale == "log" else max(high - low, abs(u[j]))
            middle[j], width[j] = u[j], half
        else:
            guess = (low + high) / 2, (high - low) / 2
            middle[j], width[j] = guess[0], max(guess[1], abs(u[j] - guess[0]))
        del name
    return middle, width


def _preconditioner(problem: Problem, u: Floats) -> Floats:
    """Return a (P, P) root of the Laplace covariance, no direction wider than 3 internal units."""
    from augury.fitting.covariance import covariance

    cov = covariance(problem, u)
    if not np.isfinite(cov).all():
        return np.eye(len(u))
    values, vectors = np.linalg.eigh(cov)
    return vectors * np.sqrt(np.clip(values, 1e-12, 9.0))
