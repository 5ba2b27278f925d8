"""Every registered law with parameters and inputs that make sense: the rows of the test matrix."""

from __future__ import annotations

import numpy as np

from augury.laws import Grouped, Law, all_laws

# Parameters of real fits if available. A law that is not named here is tested at those of
# its own example, so that a new law is in the matrix as soon as it is registered.
TRUTH: dict[str, dict[str, float]] = {
    "chinchilla": {"E": 1.8172, "A": 477.8, "B": 2143.0, "alpha": 0.3473, "beta": 0.3672},
    "kaplan": {"N_c": 8.8e13, "D_c": 5.4e13, "alpha_N": 0.076, "alpha_D": 0.095},
    "compute": {"C_c": 1.5e25, "alpha": 0.05},
    "power": {"E": 1.7, "A": 400.0, "alpha": 0.34},
    "logistic-task": {"low": 0.26, "high": 0.98, "L0": 2.4, "k": 4.0},
    "threshold-task": {"base": 0.25, "slope": 0.4, "threshold": 2.9},
    "exponential-error": {"eps": 0.86, "k": 2.2, "gamma": 0.72},
    "pass-rate": {"c": 2000.0, "alpha": 0.3},
    "curved-pass-rate": {"a": 1.5, "alpha": 0.35, "q": 0.03},
    "broken-power": {"a": 0.4, "b": 300.0, "c0": 0.28, "c1": 0.3, "d1": 3e8, "f1": 0.3},
}
LAWS: list[Law] = [
    Grouped(law, law.grouping, ("a", "b", "c")) if law.grouping else law
    for law in (cls() for cls in all_laws())
]


def truth(law: Law) -> dict[str, float]:
    """Parameters for simulation."""
    return TRUTH.get(law.name, law.example(1).parameters)


def inputs(law: Law, n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Random inputs over some decades; chance is 0."""
    return law.example(n, seed).inputs
