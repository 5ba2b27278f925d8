"""One law on several groups: some parameters are shared, the others have one value per group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any, ClassVar

from augury.laws.base import Array, Law, Named, Parameter
from augury.laws.inputs import Group, Input


@dataclass(frozen=True)
class Grouped(Law):
    """A law with `per`-column parameters, bound to the groups of a table.

    `fit` builds it from any law that has such parameters; the formula does not change. Group
    parameters are called `A[GROUP]`.
    """

    law: Law
    per: str
    groups: tuple[str, ...]

    name: ClassVar[str] = "grouped"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"y_g = f(x; \theta, \theta_g)"
    source: ClassVar[str] = "ours: a joint fit"

    def __post_init__(self) -> None:
        object.__setattr__(self, "output", self.law.output)
        object.__setattr__(self, "of_shares", self.law.of_shares)

    @property
    def inputs(self) -> Mapping[str, Input]:
        return {**self.law.inputs, self.per: Group(f"which {self.per}", labels=self.groups)}

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        named: dict[str, Parameter] = {}
        for name, p in self.law.parameters.items():
            if p.per == self.per:
                named |= {f"{name}[{g}]": replace(p, per=None) for g in self.groups}
            else:
                named[name] = p
        return named

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        at = getattr(x, self.per).astype(int)
        own = {}
        for name, parameter in self.law.parameters.items():
            if parameter.per == self.per:
                names = [f"{name}[{g}]" for g in self.groups]
                each = (
                    p[names] if isinstance(p, Named) else jnp.stack([getattr(p, n) for n in names])
                )
                own[name] = each[at]
            else:
                own[name] = getattr(p, name)
        return self.law.formula(SimpleNamespace(**own), x)

    def guess(self, inputs: Mapping[str, Array], y: Array) -> dict[str, tuple[float, float]]:
        plain = {n: x for n, x in inputs.items() if n != self.per}
        ranges: dict[str, tuple[float, float]] = {}
        for name, found in self.law.guess(plain, y).items():
            if self.law.parameters[name].per == self.per:
                ranges |= dict.fromkeys((f"{name}[{g}]" for g in self.groups), found)
            else:
                ranges[name] = found
        return ranges

    def __str__(self) -> str:
        return f"{self.law} per {self.per}"
