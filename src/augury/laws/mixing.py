"""What the mixing laws share: named parameters per domain, gathered for the formula."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import polars as pl

from augury.errors import DataError, UsageError
from augury.laws.base import Array, Example, Law, Parameter
from augury.laws.inputs import Input, Share

# More domains than this have more weights than any published set of mixtures could distinguish.
MOST_DOMAINS = 64
# Floors tried as starts, as shares of the lowest loss.
FLOORS = (0.5, 0.8, 0.95)


@dataclass(frozen=True)
class MixingLaw(Law):
    """Base class of laws over the shares of a mixture; `domains` come from a table's `share_*`."""

    domains: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.domains) > MOST_DOMAINS:
            raise UsageError(f"law '{self.name}' takes at most {MOST_DOMAINS} domains")

    @property
    def inputs(self) -> dict[str, Input]:
        share = Share("share of each domain in the training mixture", labels=self.labels)
        return {"share": share}

    @property
    def labels(self) -> tuple[str, ...]:
        """The domains; placeholder names until a table names them."""
        return self.domains or ("a", "b", "c")

    def bind(self, table: pl.DataFrame) -> Self:
        if self.domains:
            return self
        found = [c.removeprefix("share_") for c in table.columns if c.startswith("share_")]
        if not found:
            raise DataError(
                "the table has no mixture shares",
                column="share_*",
                expected="one column per domain, such as share_web",
            )
        return replace(self, domains=tuple(found))

    def per_domain(self, name: str, parameter: Parameter) -> dict[str, Parameter]:
        """Return one parameter per domain, called `name_DOMAIN`."""
        return {
            f"{name}_{d}": replace(parameter, meaning=f"{parameter.meaning} {d}")
            for d in self.labels
        }

    def gathered(self, p: Any, name: str) -> Array:
        """Gather the (k,) values of a per-domain parameter."""
        import jax.numpy as jnp

        return jnp.stack([getattr(p, f"{name}_{d}") for d in self.labels])

    def named(self, name: str, values: Any) -> dict[str, float]:
        """Return the values of each domain, by parameter name."""
        return dict(zip((f"{name}_{d}" for d in self.labels), map(float, values), strict=True))

    def distinct(self, example: Example) -> Example:
        """Return an example whose domains differ: nothing could be identified from equal ones."""
        alone = np.geomspace(0.5, 4.0, len(self.labels))
        return Example({**example.parameters, **self.named("a", alone)}, example.inputs)
