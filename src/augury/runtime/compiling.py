"""`jit`: JAX's, told to compile quickly.

Most of what a first fit costs on a CPU, or a first measurement, or the training of a tiny model, is
compiling. XLA's first level of optimisation and plain fusions take half the time of its defaults
for the density of an emergence law, for NUTS and for training; a whole first fit of a scaling law
takes 15 % less. What comes out trains as fast, and fits in 10 to 20 % more time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

QUICK: dict[str, str | bool] = {
    "xla_backend_optimization_level": "1",
    "xla_cpu_use_fusion_emitters": False,
}


def jit(function: Callable[..., Any]) -> Any:
    """`jax.jit`; what it returns is to be called from Python, not from another such function."""
    import jax

    return jax.jit(function, compiler_options=options())


@lru_cache(maxsize=1)
def options() -> dict[str, str | bool]:
    """XLA's compiler options; none where this XLA refuses them, or compiles for a GPU."""
    import jax

    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda x: x, compiler_options=QUICK)(0.0)
    except jax.errors.JaxRuntimeError:
        return {}
    return QUICK
