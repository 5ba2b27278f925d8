"""Loss where compute is unlimited and data are not: sizes and distinct tokens, coupled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

from augury.laws.base import Array
from augury.laws.inputs import KNOWN
from augury.laws.registry import register
from augury.laws.skaling import Skaling


@register
@dataclass(frozen=True)
class InfiniteCompute(Skaling):
    """L(N, U) = E + A (N^-alpha + R U^-beta)^k: the best recipe on U distinct tokens.

    For losses that more compute no longer lowers: runs regularised and repeated until nothing
    helps, or ensembles extrapolated to infinitely many members (`power:over=members` gives each
    asymptote). Kim et al. 2025 (arXiv 2509.14786) fit a power law over sizes at every U and another
    over U through its floors; this law fits the sixteen numbers jointly.
    `augury.compare_series(..., over="tokens")` tells how many times the data a recipe is worth.
    With six constants, use it only for losses within what was measured, or slightly beyond.
    """

    name: ClassVar[str] = "infinite-compute"
    equation: ClassVar[str] = r"L(N, U) = E + A \left(N^{-\alpha} + R\, U^{-\beta}\right)^k"
    source: ClassVar[str] = "ours, after Kim et al. 2025 (arXiv 2509.14786), who nest two powers"
    inputs = {"params": KNOWN["params"], "unique_tokens": KNOWN["unique_tokens"]}  # noqa: RUF012

    def formula(self, p: Any, x: Any) -> Array:
        return super().formula(p, SimpleNamespace(params=x.params, tokens=x.unique_tokens))

    def guess(self, inputs: Mapping[str, Array], y: Array) -> dict[str, tuple[float, float]]:
        return super().guess({"params": inputs["params"], "tokens": inputs["unique_tokens"]}, y)
