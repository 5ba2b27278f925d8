"""`jit`: JAX's, told to compile quickly.

Most of what a first fit costs on a CPU, or a first measurement, or the training of a tiny model, is
compiling. XLA's first level of optimisation and plain fusions take half the time of its defaults
for the density of an emergence law, for NUTS and for training. What comes out trains as fast, and
fits in 10 to 20 % more time. Without any optimisation it compiles in half of that again, and runs
several times slower: for what runs for less time than it takes to compile.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

QUICK: dict[str, str | bool] = {
    "xla_backend_optimization_level": "1",
    "xla_cpu_use_fusion_emitters": False,
}


def jit(function: Callable[..., Any], *, brief: bool = False) -> Any:
    """`jax.jit`; what it returns is to be called from Python, not from another such function.

    Args:
        function: what to compile.
        brief: whether it runs for less time than it takes to compile.
    """
    import jax

    return jax.jit(function, compiler_options=options(brief))


@lru_cache(maxsize=2)
def options(brief: bool = False) -> dict[str, str | bool]:
    """XLA's compiler options; none where this XLA refuses them, or compiles for a GPU."""
    import jax

    if jax.default_backend() != "cpu":
        return {}
    chosen = QUICK | {"xla_backend_optimization_level": "0"} if brief else QUICK
    try:
        jax.jit(lambda x: x, compiler_options=chosen)(0.0)
    except jax.errors.JaxRuntimeError:
        return {}
    return chosen
