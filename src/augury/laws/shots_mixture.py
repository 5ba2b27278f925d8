"""The probability of the correct answer over the examples in the prompt: a Bayesian law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from augury.errors import UsageError
from augury.laws.base import Array, Example, Law, Parameter, positive, real
from augury.laws.inputs import Input, NonNegative
from augury.laws.registry import register


@register
@dataclass(frozen=True)
class ShotsMixture(Law):
    """p(n) = sum_m rho_m P_m^(K n + 1) / sum_m rho_m P_m^(K n): a model that updates on n shots.

    Arora et al. 2024 (arXiv 2410.16531), for one task: hypothesis m, of prior weight rho_m, gives
    the shown answers probability P_m; each shot multiplies its odds. Rises to the largest P_m, at a
    rate set by K. For mean probabilities of the correct answer at 0, 1, 2, 4 ... shots; it cannot
    fall, so it does not fit scores that drop with a format or a full context. With fewer than six
    numbers of shots keep `hypotheses` at 2.
    """

    hypotheses: int = 2

    name: ClassVar[str] = "shots-mixture"
    output: ClassVar[str] = "value"
    equation: ClassVar[str] = r"p(n) = \frac{\sum_m \rho_m P_m^{K n + 1}}{\sum_m \rho_m P_m^{K n}}"
    source: ClassVar[str] = "Arora et al. 2024 (arXiv 2410.16531), their code's form, one task"
    inputs: ClassVar[dict[str, Input]] = {
        "shots": NonNegative("examples in the prompt", example=(0.0, 64.0)),
    }

    def __post_init__(self) -> None:
        if not 2 <= self.hypotheses <= 4:
            raise UsageError(f"shots-mixture takes 2 to 4 hypotheses, not {self.hypotheses}")

    @property
    def parameters(self) -> dict[str, Parameter]:
        # Probabilities are steps down from the best hypothesis, which fixes their order: minus
        # logarithms, starting with the best's.
        named = {"d1": positive((0.02, 1.0), "minus log of the best hypothesis's probability",
                                bounds=(1e-6, 50.0))}  # fmt: skip
        for m in range(2, self.hypotheses + 1):
            named[f"d{m}"] = positive((0.5, 3.0), f"gap of hypothesis {m} to the previous one",
                                      bounds=(1e-3, 50.0))  # fmt: skip
            named[f"r{m}"] = real((-2.0, 4.0), f"log prior odds of hypothesis {m} against the best",
                                  bounds=(-30.0, 30.0))  # fmt: skip
        named["K"] = positive((0.1, 2.0), "weight of a shot", bounds=(1e-4, 100.0))
        return named

    def formula(self, p: Any, x: Any) -> Array:
        import jax
        import jax.numpy as jnp

        steps = [getattr(p, f"d{m}") for m in range(1, self.hypotheses + 1)]
        log_p = -jnp.cumsum(jnp.stack(steps))
        odds = [getattr(p, f"r{m}") for m in range(2, self.hypotheses + 1)]
        log_rho = jnp.stack([jnp.zeros_like(log_p[0]), *odds])
        log_posterior = log_rho + p.K * x.shots[:, None] * log_p
        weights = jax.nn.softmax(log_posterior, axis=-1)
        return weights @ jnp.exp(log_p)

    def example(self, n: int = 120, seed: int = 0) -> Example:
        own = super().example(n, seed)
        own.parameters.update(K=0.4, d1=0.2, d2=1.5, r2=3.0)
        return own
