"""Two laws in sequence: a loss, then a score as a function of that loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, ClassVar

from augury.errors import UsageError
from augury.laws.base import Array, Law, Parameter, attributes
from augury.laws.inputs import Input


@dataclass(frozen=True)
class Chain(Law):
    """score = task(loss(inputs)): a law from (params, tokens) to a score.

    Bhagia et al. 2024 (arXiv 2412.04403); Chen et al. 2024 (arXiv 2410.08527). Parameters keep
    their names, those of the task law with the prefix "task_". `fit_chain` fits it to losses and
    scores; `fit` on scores alone treats it as one law with many parameters. On the command line:
    `chinchilla+logistic-task`.

    Examples:
        >>> print(augury.Chain(augury.law("chinchilla"), augury.law("logistic-task")))
        chinchilla+logistic-task
    """

    loss: Law
    task: Law

    name: ClassVar[str] = "chain"
    output: ClassVar[str] = "value"
    equation: ClassVar[str] = r"s = f_{task}(L(N, D))"
    source: ClassVar[str] = "Bhagia et al. 2024 (arXiv 2412.04403)"

    def __post_init__(self) -> None:
        if len([n for n in self.task.inputs if n not in self.task.defaults]) != 1:
            named = ", ".join(self.task.inputs)
            raise UsageError(f"the task law of a chain takes one input, not {named}")

    @property
    def link(self) -> str:
        """The column that the first law predicts and the second takes: "loss", "bpb"."""
        return next(iter(self.task.inputs))

    @property
    def inputs(self) -> Mapping[str, Input]:
        own = {n: x for n, x in self.task.inputs.items() if n in self.task.defaults}
        return {**self.loss.inputs, **own}

    @property
    def parameters(self) -> dict[str, Parameter]:
        # Amplitudes of the loss law are not linear in the score.
        plain = {n: replace(p, amplitude=False) for n, p in self.loss.parameters.items()}
        return plain | {f"task_{n}": p for n, p in self.task.parameters.items()}

    def formula(self, p: Any, x: Any) -> Array:
        names = self.task.parameters
        own = attributes(names, (getattr(p, f"task_{n}") for n in names))
        linked = SimpleNamespace(**{**vars(x), self.link: self.loss.formula(p, x)})
        return self.task.formula(own, linked)

    def __str__(self) -> str:
        return f"{self.loss}+{self.task}"
