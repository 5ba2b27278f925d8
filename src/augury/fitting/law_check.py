"""Check a law from any package against the whole contract."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from augury.errors import UsageError
from augury.fitting.likelihoods import Gaussian, Likelihood
from augury.fitting.single import fit
from augury.fitting.space import Space
from augury.fitting.store import load_fit, save_fit
from augury.laws import Grouped, Law
from augury.laws.base import attributes
from augury.laws.inputs import Curve, Share
from augury.runtime.compiling import jit

# Noise of the simulated points, and how close the fitted curve has to come, in units of it.
NOISE, NEAR = 0.004, 0.6


def check_law(law: Law, *, points: int = 120, seed: int = 1) -> list[str]:
    """Check that a law does everything Augury expects of one, on its own example.

    Args:
        law: from any package.
        points: number of simulated points.
        seed: of the simulation.

    Returns:
        What was checked, one line per check.

    Raises:
        UsageError: a check failed; the message says which, and by how much.

    Examples:
        >>> from augury.laws import check_law
        >>> print(check_law(augury.law("power"))[0])
        equation, source, docstring
    """
    if law.grouping is not None and not isinstance(law, Grouped):
        law = Grouped(law, law.grouping, ("a", "b", "c"))
    parameters, inputs = law.example(points, seed)
    values = np.asarray(law(parameters, **inputs))
    done = []

    def check(good: bool, what: str, found: object) -> None:
        if not good:
            raise UsageError(f"law '{law}': {what} failed ({found})")
        done.append(what)

    check(bool(law.equation and law.source and type(law).__doc__), "equation, source, docstring",
          "one is empty")  # fmt: skip
    check(values.shape == (points,) and bool(np.isfinite(values).all()), "finite predictions (n,)",
          f"shape {values.shape}")  # fmt: skip
    _check_amplitudes(law, parameters, inputs, check)
    _check_gradients(law, parameters, inputs, check)
    table = example_table(law, inputs, values, NOISE, seed)
    on_log = law.output != "value"
    likelihood: Likelihood = Gaussian("log" if on_log else "linear")
    fitted = fit(law, table, likelihood=likelihood, resamples=50, influence=False)
    own = {name: fitted.parameters[name] for name in law.parameters}
    off = np.asarray(law(own, **inputs)) - values
    error = float(np.sqrt(np.mean((off / values if on_log else off) ** 2)))
    check(error < NEAR * NOISE, "recovery of the curve", f"{error:.2g} off, noise {NOISE}")
    inside = all(
        p.bounds[0] - 1e-9 <= own[n] <= p.bounds[1] * (1 + 1e-9) for n, p in law.parameters.items()
    )
    check(inside, "parameters inside their bounds", own)
    with tempfile.TemporaryDirectory() as folder:
        save_fit(fitted, Path(folder) / "fit")
        again = load_fit(Path(folder) / "fit")
    check(again.law == fitted.law and again.to_dict() == fitted.to_dict(), "saving and loading",
          again.law)  # fmt: skip
    return done


def example_table(
    law: Law, inputs: dict[str, np.ndarray], values: np.ndarray, noise: float, seed: int = 0
) -> pl.DataFrame:
    """Build a table of a law's inputs and its noisy predictions, as `fit` takes it."""
    columns: dict[str, object] = {}
    for name, kind in law.inputs.items():
        if isinstance(kind, Share):
            for j, column in enumerate(kind.columns(name, [])):
                columns[column] = inputs[name][:, j]
        elif isinstance(kind, Curve):
            columns[name] = list(inputs[name])
        elif isinstance(law, Grouped) and name == law.per:
            columns[name] = [law.groups[int(i)] for i in inputs[name]]
        elif name not in law.defaults:
            columns[name] = inputs[name]
    drawn = noise * np.random.default_rng(seed).standard_normal(len(values))
    noisy = values + drawn if law.output == "value" else values * np.exp(drawn)
    return pl.DataFrame({**columns, law.output: noisy})


def _check_amplitudes(law: Law, parameters: Any, inputs: Any, check: Any) -> None:
    names = [n for n, p in law.parameters.items() if p.amplitude]
    # Not at 1, where a square is linear too.
    parameters = {n: 1.7 * x if n in names else x for n, x in parameters.items()}
    values = np.asarray(law(parameters, **inputs))
    zero = {**parameters, **dict.fromkeys(names, 0.0)}
    base = np.asarray(law(zero, **inputs))
    total = base + sum(
        parameters[n] * (np.asarray(law({**zero, n: 1.0}, **inputs)) - base) for n in names
    )
    worst = float(np.abs(total - values).max())
    check(not names or worst <= 1e-8 * float(np.abs(values).max()), "linear amplitudes", worst)


def _check_gradients(law: Law, parameters: Any, inputs: Any, check: Any) -> None:
    import jax

    space = Space.of(law, {})
    u = space.internal(np.array(list(parameters.values())))
    x = attributes(law.inputs, (v[:7] for v in inputs.values()))
    h = 1e-5 * np.maximum(1.0, np.abs(u))

    def predict(v: Any) -> Any:
        return law.formula(space.unpack(v), x)

    def derivatives(u: Any, up: Any, down: Any) -> Any:
        each = jax.vmap(predict)
        return jax.jacfwd(predict)(u), jax.jacrev(predict)(u), each(up), each(down)

    with jax.enable_x64(True):
        # One function, since each operation alone would be compiled separately: 60 of them, 2 s.
        found = jit(derivatives, brief=True)(u, u + np.diag(h), u - np.diag(h))
        forward, backward, above, below = map(np.asarray, found)
    numeric = ((above - below) / (2 * h[:, None])).T
    worst = float(np.abs(forward - numeric).max())
    size = max(float(np.abs(forward).max()), 1e-12)
    check(worst <= 1e-4 * size, "forward gradient against differences", worst / size)
    gap = float(np.abs(forward - backward).max()) / size
    check(gap <= 1e-9, "backward gradient against forward", gap)
