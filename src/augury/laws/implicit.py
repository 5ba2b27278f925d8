"""Laws whose prediction appears on both sides of an equation.

The root is found by bisection, which needs no start, and differentiated at the solution (implicit
function theorem), not through the iterations: forward for fits, backward for posteriors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Array = Any
# Number of halvings of a bracket in logarithms: 60 on a width of 30 leave 3e-17.
HALVINGS = 60


def implicit_root(residual: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Find (n,) roots of an elementwise residual that changes sign once between two positive ends.

    Args:
        residual: (n,) positive values to (n,) residuals, each depending on its own value alone. It
            may close over parameters, in which the root is differentiable in both modes.
        low, high: (n,) positive ends of the bracket.

    Source: bisection; `jax.lax.custom_root` for the derivative.
    """
    import jax
    import jax.numpy as jnp

    def solve(f: Any, start: Any) -> Any:
        del start
        a, b = jnp.log(jax.lax.stop_gradient(low)), jnp.log(jax.lax.stop_gradient(high))
        rising = f(high) > f(low)

        def halve(_: int, ends: Any) -> Any:
            a, b = ends
            middle = 0.5 * (a + b)
            below = (f(jnp.exp(middle)) < 0) == rising
            return jnp.where(below, middle, a), jnp.where(below, b, middle)

        a, b = jax.lax.fori_loop(0, HALVINGS, halve, (a, b))
        return jnp.exp(0.5 * (a + b))

    def tangent(g: Any, y: Any) -> Any:
        # Elementwise: the linear map is diagonal, and is read off at ones.
        return y / g(jnp.ones_like(y))

    return jax.lax.custom_root(residual, low, solve, tangent)
