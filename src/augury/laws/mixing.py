"""What the mixing laws share: parameters of each domain, named, and gathered for the formula."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import polars as pl

from augury.errors import UsageError
from augury.laws.base import Array, Law, Parameter
from augury.laws.inputs import Input, Share

# More domains than this have more weights than any published set of mixtures could tell apart.
MOST_DOMAINS = 64


@dataclass(frozen=True)
class MixingLaw(Law):
    """Base of laws over the shares of a mixture; `domains` are read off a table's `share_*`."""

    domains: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.domains) > MOST_DOMAINS:
            raise UsageError(f"law '{self.name}' takes up to {MOST_DOMAINS} domains")

    @property
    def inputs(self) -> dict[str, Input]:
        share = Share("share of each domain in the training mixture", labels=self._names)
        return {"share": share}

    @property
    def _names(self) -> tuple[str, ...]:
        return self.domains or ("a", "b", "c")

    def bind(self, table: pl.DataFrame) -> Self:
        if self.domains:
            return self
        found = [c.removeprefix("share_") for c in table.columns if c.startswith("share_")]
        return replace(self, domains=tuple(found)) if found else self

    def per_domain(self, name: str, parameter: Parameter) -> dict[str, Parameter]:
        """One parameter for each domain, called `name_DOMAIN`."""
        return {
            f"{name}_{d}": replace(parameter, meaning=f"{parameter.meaning} {d}")
            for d in self._names
        }

    def gathered(self, p: Any, name: str) -> Array:
        """(k,) values of a parameter of each domain."""
        import jax.numpy as jnp

        return jnp.stack([getattr(p, f"{name}_{d}") for d in self._names])

    def named(self, name: str, values: Any) -> dict[str, float]:
        """Values of each domain, by parameter name."""
        return dict(zip((f"{name}_{d}" for d in self._names), map(float, values), strict=True))


def log_slopes(share: Array, y: Array, floor: float) -> Array:
    """(k + 1,) least squares of log(y - floor) on the shares: slopes, then the intercept.

    A small ridge: shares sum to 1, so that the slopes are known up to a constant only.
    """
    design = np.column_stack([np.asarray(share), np.ones(len(y))])
    target = np.log(np.maximum(np.asarray(y) - floor, 1e-9))
    gram = design.T @ design + 1e-6 * len(y) * np.eye(design.shape[1])
    return np.linalg.solve(gram, design.T @ target)
