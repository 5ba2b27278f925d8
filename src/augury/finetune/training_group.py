"""The processes that train one checkpoint together: each reads its share of every batch.

Gradients of summed losses are added up over the processes, and divided by the number of tokens in
the whole batch, so that several processes take the step that one takes, to rounding. Every process
holds the whole model and its optimiser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from augury.evaluate.hf_load import needs_models


@dataclass(frozen=True)
class TrainingGroup:
    """A process and those that it trains with; by default it is alone.

    Attributes:
        rank: its number among them, from 0. Process 0 reports and writes.
        size: how many they are.
        device: that it trains on; None for the first GPU, or the CPU without one.
        reduce: returns the sum of a tensor over all of them; None if it is alone.
    """

    rank: int = 0
    size: int = 1
    device: str | None = None
    reduce: Callable[[Any], Any] | None = None

    def share(self, rows: Sequence[Any]) -> list[Any]:
        """Return the rows that this process reads: of similar total length in every process.

        Args:
            rows: (tokens, first token of the answer) of each example.
        """
        if self.reduce is None:
            return list(rows)
        return sorted(rows, key=lambda row: len(row[0]))[self.rank :: self.size]

    def total(self, value: float) -> float:
        """Return the sum of a number over all processes, the same in each."""
        if self.reduce is None:
            return value
        torch = needs_models("torch")
        mine = torch.tensor([value], dtype=torch.float64, device=self.device)
        return float(self.reduce(mine)[0])

    def add_gradients(self, parameters: Iterable[Any]) -> None:
        """Replace each gradient by its sum over all processes.

        A parameter without a gradient in any process is left without one: the optimiser skips it.
        """
        if self.reduce is None:
            return
        torch = needs_models("torch")
        parameters = list(parameters)
        here = [float(p.grad is not None) for p in parameters]
        anywhere = self.reduce(torch.tensor(here, device=self.device)).tolist()
        for p, found in zip(parameters, anywhere, strict=True):
            if found:
                p.grad = self.reduce(torch.zeros_like(p) if p.grad is None else p.grad)
