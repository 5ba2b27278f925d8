"""Average parameters: loss of models that are pruned during training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import polars as pl

from augury.errors import DataError, UsageError
from augury.laws.base import Array, Law, positive, power, real
from augury.laws.inputs import KNOWN, Input
from augury.laws.registry import register

# Mean sparsity over the ramp as a share of the final one: the mean of 1 - (1 - u)^p over u in [0,
# 1].
RAMPS = {"linear": 1 / 2, "cubic": 3 / 4}


@register
@dataclass(frozen=True)
class AverageParams(Law):
    """L = E + A / N_mean^alpha + B / D^beta, N_mean the parameters in use averaged over tokens.

    Jin et al. 2025 (arXiv 2501.12486): a model pruned during training is as good as a dense one
    with its average number of parameters. Since compute is 6 N_mean D, sparse equals dense at equal
    compute, and the final model is smaller. `with_params_mean` computes the column. Where no run is
    pruned it is `chinchilla`. The form is from a secondary source; no constants were found.
    """

    name: ClassVar[str] = "average-params"
    output: ClassVar[str] = "loss"
    equation: ClassVar[str] = r"L = E + A\, \bar N^{-\alpha} + B\, D^{-\beta}"
    source: ClassVar[str] = "Jin et al. 2025 (arXiv 2501.12486); the form from a secondary source"
    inputs: ClassVar[dict[str, Input]] = {n: KNOWN[n] for n in ("params_mean", "tokens")}
    E = real((0.5, 3.0), "irreducible loss, nats", bounds=(0.0, 1e6), amplitude=True)
    A = positive((1.0, 1e6), "amplitude of the parameter term", amplitude=True)
    B = positive((1.0, 1e6), "amplitude of the token term", amplitude=True)
    alpha = positive((0.1, 1.0), "exponent of average parameters", bounds=(1e-3, 5.0))
    beta = positive((0.1, 1.0), "exponent of tokens", bounds=(1e-3, 5.0))

    def formula(self, p: Any, x: Any) -> Array:
        return p.E + p.A * power(x.params_mean, -p.alpha) + p.B * power(x.tokens, -p.beta)


def mean_params(
    params: Any, density: Any, start: Any, end: Any, ramp: Literal["linear", "cubic"] = "linear"
) -> Any:
    """Return the parameters in use, averaged over the tokens of a run that is pruned on the way.

    Args:
        params: before pruning.
        density: share of the parameters left at the end.
        start, end: shares of the run's tokens between which it is pruned. Papers often quote shares
            of compute, which differ.
        ramp: "linear", or "cubic": sparsity as 1 - (1 - u)^3, gradual magnitude pruning.
    """
    if ramp not in RAMPS:
        raise UsageError(f"no ramp is called '{ramp}'; there are: {', '.join(RAMPS)}")
    sparsity = 1.0 - density
    return params * (1.0 - sparsity * (RAMPS[ramp] * (end - start) + (1.0 - end)))


def with_params_mean(
    table: pl.DataFrame, ramp: Literal["linear", "cubic"] = "linear"
) -> pl.DataFrame:
    """Return a table with `params_mean`, from `params`, `density`, `prune_start` and `prune_end`.

    Rows without a density are dense: their mean is their `params`.

    Raises:
        DataError: a column is missing, or a value is not a share, or pruning ends before it starts.
    """
    columns = ("params", "density", "prune_start", "prune_end")
    for name in columns:
        if name not in table.columns:
            raise DataError("the column is missing", column=name, expected=", ".join(columns))
    shares = table.select(
        pl.col("density").fill_null(1.0),
        pl.col("prune_start").fill_null(0.0),
        pl.col("prune_end").fill_null(1.0),
    )
    good = shares.select(
        ((pl.col("density") > 0) & (pl.col("density") <= 1)).alias("density"),
        ((pl.col("prune_start") >= 0) & (pl.col("prune_start") <= 1)).alias("prune_start"),
        ((pl.col("prune_end") >= pl.col("prune_start")) & (pl.col("prune_end") <= 1)).alias(
            "prune_end"
        ),
    )
    for name in good.columns:
        if not good[name].all():
            i = int(good[name].arg_min() or 0)
            raise DataError(
                "the value is not a share of the run",
                row=i + 1,
                column=name,
                value=table[name][i],
                expected="0 < density <= 1 and 0 <= prune_start <= prune_end <= 1",
            )
    mean = mean_params(
        table["params"].cast(pl.Float64),
        shares["density"],
        shares["prune_start"],
        shares["prune_end"],
        ramp,
    )
    return table.with_columns(params_mean=mean)
