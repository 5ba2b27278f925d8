"""Parameters and tokens where data are repeated: the value of further epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from augury.errors import UsageError
from augury.laws.base import Array, Example, Law, Parameter, positive, power, real
from augury.laws.inputs import KNOWN, Input
from augury.laws.registry import register

# Exponents and half-lives tried as starts. The published objective is a flat valley in R_D.
EXPONENTS = (0.2, 0.35, 0.5)
REPEATS = (5.0, 15.0, 45.0)


def worth(amount: Array, repeats: Array, half_life: Array) -> Array:
    """U (1 + R* (1 - exp(-R / R*))): the value of `amount` used 1 + R times, in fresh units.

    Args:
        amount: unique amount U, each counted once.
        repeats: R, number of repeats after the first pass.
        half_life: R*, the repeats after which a further one is worth 1/e of a fresh one.
    """
    import jax.numpy as jnp

    return amount * (1.0 - half_life * jnp.expm1(-repeats / half_life))


@register
@dataclass(frozen=True)
class DataConstrained(Law):
    """L = E + A / N'^alpha + B / D'^beta: repeated tokens, and parameters beyond them, count less.

    Muennighoff et al. 2023 (arXiv 2305.16264). D tokens of which U are distinct are U seen 1 + R
    times, and worth D' = U (1 + R_D (1 - exp(-R / R_D))) fresh ones: four epochs are nearly as good
    as fresh data, and any number of epochs is worth at most 1 + R_D. Parameters beyond the
    compute-optimal size for U tokens lose value likewise, with R_N. Use it where tokens are seen
    more than once. If no run repeats its data, R_D is not identified; if all do, R_D lies in a flat
    valley (`profile(fit, "R_D")`).

    Attributes:
        exponents: 1, the published form, for one exponent alpha in both terms; 2 for one per term.
        base: (E, A, B, alpha, beta) held fixed, as published; then only R_D and R_N are fitted.
    """

    exponents: int = 1
    base: tuple[float, ...] = ()

    name: ClassVar[str] = "data-constrained"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = (
        r"L = E + A\,N'^{-\alpha} + B\,D'^{-\beta},\;"
        r" D' = U\left(1 + R_D (1 - e^{-(D/U - 1)/R_D})\right)"
    )
    source: ClassVar[str] = "Muennighoff et al. 2023 (arXiv 2305.16264), eqs. 5 and 7"
    inputs: ClassVar[dict[str, Input]] = {
        n: KNOWN[n] for n in ("params", "tokens", "unique_tokens")
    }

    def __post_init__(self) -> None:
        if self.exponents not in (1, 2):
            raise UsageError(f"law '{self.name}' takes 1 or 2 exponents, not {self.exponents}")
        if self.base and (len(self.base) != 5 or min(self.base) <= 0):
            raise UsageError(f"law '{self.name}' takes base=E;A;B;alpha;beta, not {self.base}")

    @property
    def parameters(self) -> dict[str, Parameter]:
        found = {
            "E": real((0.5, 3.0), "irreducible loss, nats", bounds=(0.0, 1e6), amplitude=True),
            "A": positive((1.0, 1e6), "amplitude of the parameter term"),
            "B": positive((1.0, 1e6), "amplitude of the token term"),
            "alpha": positive((0.1, 1.0), (
                "exponent of parameters (and tokens, if there is one exponent)"
            ), bounds=(1e-2, 5.0)),
            "beta": positive((0.1, 1.0), "exponent of tokens", bounds=(1e-2, 5.0)),
            "R_D": positive((2.0, 60.0), "repeats of data after which one more is worth 1/e",
                            bounds=(1e-2, 1e5)),
            "R_N": positive((1.0, 30.0), "the same for parameters beyond the optimal number",
                            bounds=(1e-2, 1e5)),
        }  # fmt: skip
        left = ("E", "A", "B", "alpha", "beta") if self.base else ("beta",)[self.exponents - 1 :]
        return {n: p for n, p in found.items() if n not in left}

    def constants(self, p: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Return E, A, B, alpha, beta, fitted or fixed."""
        if self.base:
            return self.base  # type: ignore[return-value]
        return p.E, p.A, p.B, p.alpha, p.alpha if self.exponents == 1 else p.beta

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        E, A, B, alpha, beta = self.constants(p)
        # The size for which U tokens are compute-optimal under this law: A a N^-a = B b U^-b.
        ratio = jnp.log(A) + jnp.log(alpha) - jnp.log(B) - jnp.log(beta)
        optimal = jnp.exp((ratio + beta * jnp.log(x.unique_tokens)) / alpha)
        # A table may list more distinct tokens than a run saw: then none is repeated.
        fresh = jnp.minimum(x.unique_tokens, x.tokens)
        useful = jnp.minimum(optimal, x.params)
        data = worth(fresh, x.tokens / fresh - 1.0, p.R_D)
        size = worth(useful, x.params / useful - 1.0, p.R_N)
        return E + A * power(size, -alpha) + B * power(data, -beta)

    def start_points(self, inputs: Mapping[str, Array], y: Array) -> Sequence[Mapping[str, float]]:
        from scipy.optimize import nnls

        if self.base:
            return [{"R_D": r, "R_N": r / 3.0} for r in REPEATS]
        n, d, u = (np.asarray(inputs[k], float) for k in self.inputs)
        u, loss, points = np.minimum(u, d), np.asarray(y, float), []
        for a in EXPONENTS:
            for r in REPEATS:
                data = u * (1.0 - r * np.expm1(-(d / u - 1.0) / r))
                columns = np.stack([np.ones_like(n), n**-a, data**-a], 1) / loss[:, None]
                scale = columns.max(0)
                found, _ = nnls(columns / scale, np.ones_like(loss))
                _, A, B = np.maximum(found, 1e-3) / scale
                point = {"A": A, "B": B, "alpha": a, "R_D": r, "R_N": r / 3.0}
                points.append(point | ({"beta": a} if self.exponents == 2 else {}))
        return points

    def example(self, n: int = 120, seed: int = 0) -> Example:
        # The published constants; epochs from 1 to 60, models up to 30 times too large.
        p = {"E": 1.87, "A": 521.0, "B": 1488.0, "alpha": 0.353, "beta": 0.353}
        rng = np.random.default_rng(seed)
        unique = np.exp(rng.uniform(np.log(1e8), np.log(4e10), n))
        epochs = np.exp(rng.uniform(0.0, np.log(60.0), n))
        inputs = {
            "params": unique / 20.0 * np.exp(rng.uniform(np.log(0.1), np.log(100.0), n)),
            "tokens": unique * epochs,
            "unique_tokens": unique,
        }
        full = p | {"R_D": 15.4, "R_N": 5.3}
        return Example({k: full[k] for k in self.parameters}, inputs)
