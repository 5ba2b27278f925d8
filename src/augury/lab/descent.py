"""Steps of gradient descent, compiled: one program serves every rate and number of steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from augury.runtime.compiling import jit

# (weights, what is fixed ..., rows ...) -> summed loss in nats, and the number of tokens.
Loss = Callable[..., Any]


@lru_cache(maxsize=32)
def descent_block(loss: Loss) -> Any:
    """Compile (weights, optimiser state) after as many steps as there are rates.

    It takes the two, the rows of every step, the rates, and the constant arguments of the loss
    (`fixed`), between weights and rows.
    """
    import jax
    import optax

    optimiser = adamw()

    def mean(weights: Any, *rows: Any) -> Any:
        total, count = loss(weights, *rows)
        return total / count

    def one(fixed: Any, carry: Any, step: Any) -> Any:
        weights, state = carry
        *rows, rate = step
        gradient = jax.grad(mean)(weights, *fixed, *rows)
        updates, state = optimiser.update(gradient, state, weights)
        updates = jax.tree.map(lambda u: -rate * u, updates)
        return (optax.apply_updates(weights, updates), state), None

    def block(carry: Any, *steps: Any, fixed: Any = ()) -> Any:
        return jax.lax.scan(partial(one, fixed), carry, steps)[0]

    return jit(block)


def adamw(decay: float = 0.01) -> Any:
    """Return AdamW (.9, .98) with clipped gradients; the learning rate comes with each step."""
    import optax

    return optax.flatten(
        optax.chain(
            optax.clip_by_global_norm(1.0),
            optax.scale_by_adam(b1=0.9, b2=0.98),
            optax.add_decayed_weights(decay),
        )
    )
