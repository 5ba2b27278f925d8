"""One loss from another: between training corpora, or between test sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from augury.errors import DataError
from augury.laws.base import Array, Law, positive, power, real
from augury.laws.inputs import Input, Positive
from augury.laws.registry import register

# An excess below this share of the other loss counts as this share: a floor above a loss has no
# power.
LEAST_EXCESS = 1e-6


@register
@dataclass(frozen=True)
class LossToLoss(Law):
    """L = E + K (L_other - E_other)^kappa: a shifted power law from one loss to another.

    Brandfonbrener et al. 2024 (arXiv 2411.12925). Train to train: losses of models of equal (N, D)
    on two corpora; train to test and test to test: two losses of one model. `pair_losses` builds
    the table. It predicts a ladder's losses on another corpus from a few runs there. `floor` is the
    irreducible part of the other loss (E_other), from a law for that corpus (`chinchilla`'s E):
    fitted here, it would slide along with E, and above losses still to come. A weak prior holds
    kappa near 1, a line. Two losses without a common cause do not give such a curve.
    """

    floor: float = 0.0

    name: ClassVar[str] = "loss-to-loss"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"L = E + K (L_{other} - E_{other})^\kappa"
    source: ClassVar[str] = "Brandfonbrener et al. 2024 (arXiv 2411.12925)"
    inputs: ClassVar[dict[str, Input]] = {
        "loss_other": Positive("the other loss, nats per token", example=(2.2, 4.5)),
    }
    E = real((0.5, 2.5), "irreducible loss", bounds=(-1e6, 1e6), amplitude=True)
    K = positive((0.3, 3.0), "size", amplitude=True)
    kappa = positive((0.5, 1.5), "exponent; 1 is a line", bounds=(0.05, 10.0), prior=(0.0, 0.3))

    def formula(self, p: Any, x: Any) -> Array:
        import jax.numpy as jnp

        excess = jnp.maximum(x.loss_other - self.floor, LEAST_EXCESS * x.loss_other)
        return p.E + p.K * power(excess, p.kappa)


def pair_losses(
    table: pl.DataFrame,
    of: str,
    first: str,
    second: str,
    *,
    by: Sequence[str] = ("params", "tokens"),
) -> pl.DataFrame:
    """Put losses of two corpora or test sets side by side, as `loss-to-loss` takes them.

    Args:
        table: `loss`, `of`, and the columns of `by`, one row per loss.
        of: the column that distinguishes the two, such as "corpus" or "loss_set".
        first, second: its values; the first becomes `loss_other`, the second `loss`.
        by: columns in which a pair must agree, such as params and tokens, or model. Several losses
            that agree are averaged.

    Raises:
        DataError: a column is missing, or no pair agrees.
    """
    for name in ("loss", of, *by):
        if name not in table.columns:
            raise DataError("the column is missing", column=name,
                            expected=f"loss, {of}, {', '.join(by)}")  # fmt: skip
    mean = table.group_by(*by, of, maintain_order=True).agg(pl.col("loss").mean())
    sides = [mean.filter(pl.col(of) == value).drop(of) for value in (second, first)]
    paired = sides[0].join(sides[1].rename({"loss": "loss_other"}), on=list(by), how="inner")
    if paired.is_empty():
        raise DataError(
            f"no loss of '{first}' has a matching loss of '{second}'",
            column=of,
            expected=f"runs of both with the same {', '.join(by)}",
        )
    return paired
