"""The compute-optimal model: the parameters and tokens on which to spend a budget.

Works with any law of parameters and tokens: the optimum is found on a grid that is refined, for the
best parameters and every draw at once, so that no closed form is needed. If tokens will be served,
the budget pays for serving too (Sardana et al. 2024, arXiv 2401.00448).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from augury.data.compute import (
    params_for_flops,
    scoring_flops,
    tokens_for_flops,
    training_flops,
)
from augury.display import Card
from augury.errors import UsageError
from augury.fitting import Fit
from augury.fitting.space import Floats
from augury.forecast.prediction import extrapolation, known, observed, predictive
from augury.forecast.questions.answers import (
    Answer,
    Estimate,
    parameter_columns,
    require_usable,
    status_at,
)
from augury.notes import Note

# Range of tokens per parameter searched for the optimum: Chinchilla's is 20; models trained for
# serving reach 2,000.
RATIOS = (1e-4, 1e8)
COARSE, FINE, ROUNDS = 65, 17, 2
# A size is as good as the best if its loss is within this share of the lowest.
FLAT = 0.01
# Draws for questions answered by bisection: the interval's ends are then accurate to about 5 % of
# its width.
BISECTED, STEPS = 400, 50
# Widest range of compute searched for a loss.
COMPUTE = (1e6, 1e40)
# Curves of the plot: budgets between the data's and the one asked for, and points per curve.
CURVES, POINTS = 5, 61
Method = Literal["law", "isoflop"]


@dataclass(frozen=True)
class ComputeOptimum(Answer):
    """The best way to spend a budget.

    Attributes:
        law: the law it comes from.
        method: "law", a fit of parameters and tokens; or "isoflop", parabolas through runs of
            equal compute (approach 2 of Hoffmann et al. 2022).
        asked: what was fixed: flops, tokens, params or loss, and `served` if tokens are served.
        flops: compute of training (and serving), with its interval if it was not fixed.
        params, tokens, loss: at the optimum.
        run_loss: interval of the loss of one new run there.
        flat: sizes (low, high) whose loss at this budget is within 1 % of the lowest.
        extrapolation: distance of the optimum from the data, in their range (logarithms).
        curves: rows of flops, params, tokens, loss: loss over size at several budgets.
        frontier: rows of flops, params, low, high, tokens, loss: the optimum over budgets.
        runs: rows of params, tokens, flops, loss: the fitted runs.
    """

    law: str
    method: Method
    asked: Mapping[str, float]
    flops: Estimate
    params: Estimate
    tokens: Estimate
    loss: Estimate
    run_loss: tuple[float, float]
    flat: tuple[float, float]
    extrapolation: float
    curves: pl.DataFrame
    frontier: pl.DataFrame
    runs: pl.DataFrame

    @property
    def serving_cost(self) -> float:
        """FLOPs per token served by the optimal model."""
        return float(scoring_flops(self.params.value, 1.0))

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON; `flops` is the budget, given or found."""
        return {
            "flops": known(self.flops.value),
            "flops_interval": [known(x) for x in self.flops.interval],
            "params": self.params.to_dict(),
            "tokens": self.tokens.to_dict(),
            "loss": {**self.loss.to_dict(), "run_interval": [known(x) for x in self.run_loss]},
            "flat": {"params": [known(x) for x in self.flat]},
            "serving_flops_per_token": self.serving_cost,
            "asked": dict(self.asked),
            "law": self.law,
            "method": self.method,
            "extrapolation": known(self.extrapolation),
            **self.about(),
        }

    def _card(self) -> Card:
        rows = [
            {"quantity": name, "value": e.value, "low": e.interval[0], "high": e.interval[1]}
            for name, e in (("flops", self.flops), ("params", self.params),
                            ("tokens", self.tokens), ("loss", self.loss))
        ]  # fmt: skip
        return Card(self._heading(), pl.DataFrame(rows), self.notes, rows=self.frontier)

    def _heading(self) -> str:
        given = ", ".join(f"{name}={x:.4g}" for name, x in self.asked.items())
        return f"Compute-optimal at {given} by {self.law}: {self.status}"

    def __repr__(self) -> str:
        return f"<ComputeOptimum params={self.params.value:.4g} tokens={self.tokens.value:.4g}>"

    def __str__(self) -> str:
        low, high = self.run_loss
        lines = [
            f"{self._heading()} ({self.level:.0%} intervals)",
            f"  params   {self.params}",
            f"  tokens   {self.tokens}   {self.tokens.value / self.params.value:.3g} per parameter",
            f"  loss     {self.loss}"
            + ("" if np.isnan(low) else f", new run [{low:.4g}, {high:.4g}]"),
            f"  flops    {self.flops if 'flops' not in self.asked else f'{self.flops.value:.4g}'}"
            f"   {self.serving_cost:.3g} per token served",
            f"  within {FLAT:.0%} of the least loss: {self.flat[0]:.4g} to {self.flat[1]:.4g} "
            "params",
            f"  {self.extrapolation:.2f} ranges beyond the data",
            *(f"  {n.severity}: {n.message}" for n in self.notes),
        ]
        return "\n".join(lines)


class LossSurface:
    """A fitted law of parameters and tokens at its best parameters and every draw."""

    def __init__(self, fitted: Fit, most: int | None = None) -> None:
        self.law = fitted.law
        self.columns = parameter_columns(fitted, most)
        self.size = len(next(iter(self.columns.values())))
        self.fixed: dict[str, float] = {}
        for name, kind in fitted.law.inputs.items():
            if name in ("params", "tokens", "unique_tokens"):
                continue
            seen = fitted.data[name].unique() if name in fitted.data.columns else pl.Series([])
            if kind.default is None and len(seen) != 1:
                raise UsageError(
                    f"'{fitted.law}' also takes {name}, which varies: ask for the optimum of a "
                    "law of params and tokens"
                )
            self.fixed[name] = float(seen[0]) if len(seen) == 1 else float(kind.default or 0.0)

    def loss(self, params: Floats, tokens: Floats, *, best: bool = False) -> Floats:
        """Return (1 + S, G) losses at (1 or 1 + S, G) points; `best`: at the best parameters."""
        columns = {n: x[:1] if best else x for n, x in self.columns.items()}
        inputs = {"params": params, "tokens": tokens, **self.fixed}
        if "unique_tokens" in self.law.inputs:  # nothing is repeated
            inputs["unique_tokens"] = tokens
        return self.law(columns, **inputs)

    def optimum(self, flops: Floats, served: float = 0.0) -> tuple[Floats, Floats, Floats]:
        """Return best params and tokens at (1 + S,) budgets, and their loss; NaN if none."""
        budget = np.broadcast_to(np.asarray(flops, float), (self.size,))[:, None]
        low, high = (0.5 * np.log(params_for_flops(budget, 1.0) / r) for r in RATIOS[::-1])
        if served > 0:
            high = np.minimum(high, np.log(budget / scoring_flops(1.0, served)) - 1e-6)
        poor = (high <= low)[:, 0]  # even the smallest model cannot be served
        high = np.maximum(high, low + 1e-3)
        step = (high - low) / (COARSE - 1)
        at = low + step * np.arange(COARSE)
        loss = self._at(at, budget, served)
        index = np.argmin(loss, axis=1)
        edge = (index == 0) | (index == COARSE - 1)
        rows = np.arange(self.size)
        for _ in range(ROUNDS):
            middle = at[rows, index][:, None]
            step = step * 2 / (FINE - 1)
            at = np.minimum(middle + step * (np.arange(FINE) - FINE // 2), high)
            loss = self._at(at, budget, served)
            index = np.argmin(loss, axis=1)
        inner = np.clip(index, 1, at.shape[1] - 2)
        left, here, right = (loss[rows, inner + k] for k in (-1, 0, 1))
        bend = left - 2 * here + right
        shift = np.where(bend > 0, 0.5 * (left - right) / np.where(bend > 0, bend, 1.0), 0.0)
        best = at[rows, inner] + np.clip(shift, -1.0, 1.0) * step[:, 0]
        params = np.where(edge | poor, np.nan, np.exp(np.minimum(best, high[:, 0])))
        tokens = tokens_left(budget[:, 0], params, served)
        loss = self.loss(params[:, None], tokens[:, None])[:, 0]
        return params, tokens, np.where(poor, np.inf, loss)

    def _at(self, log_params: Floats, budget: Floats, served: float) -> Floats:
        params = np.exp(log_params)
        loss = self.loss(params, tokens_left(budget, params, served))
        return np.where(np.isnan(loss), np.inf, loss)


def tokens_left(flops: Any, params: Any, served: float) -> Any:
    """Return the tokens that a budget trains after paying for the served ones."""
    return np.maximum(tokens_for_flops(flops - scoring_flops(params, served), params), 1e-3)


def find_optimum(
    fitted: Fit,
    *,
    flops: float | None = None,
    tokens: float | None = None,
    params: float | None = None,
    loss: float | None = None,
    served: float = 0.0,
    level: float | None = None,
) -> ComputeOptimum:
    """Find the parameters and tokens on which to spend a budget.

    Args:
        fitted: a fit of a law of params and tokens.
        flops: the budget, in FLOPs; or, in its place, tokens: the model size and budget for which
        these tokens are optimal;
        params: the tokens and budget for which this size is optimal;
        loss: the smallest budget that reaches this loss, in nats per token.
        served: tokens the model will serve; the budget then pays for those too, 2 N FLOPs each.
        level: of the intervals; by default the fit's.

    Returns:
        A `ComputeOptimum`.

    Raises:
        UsageError: not exactly one of the four is given, the fit's law does not take params and
            tokens, its parameters are meaningless, or no budget answers the question.

    Source: Hoffmann et al. 2022 (arXiv 2203.15556), approach 3; with serving, Sardana et al. 2024
    (arXiv 2401.00448).

    Examples:
        >>> fitted = augury.fit("chinchilla", augury.read_table("runs.csv"))
        >>> found = augury.find_optimum(fitted, flops=1e22)
        >>> found.flat[0] < found.params.value < found.flat[1]
        True
    """
    asked = {"flops": flops, "tokens": tokens, "params": params, "loss": loss}
    given = {name: float(x) for name, x in asked.items() if x is not None}
    if len(given) != 1:
        raise UsageError("give one of flops, tokens, params and loss")
    ((name, target),) = given.items()
    for what, x in (*given.items(), *((("served", served),) if served else ())):
        if not (np.isfinite(x) and x > 0):
            raise UsageError(f"{what} must be a positive number, not {x:g}")
    fitted = require_usable(fitted, ("params", "tokens"))
    level = fitted.level if level is None else level
    if not 0.0 < level < 1.0:
        raise UsageError(f"level must lie between 0 and 1, not {level}")
    surface = LossSurface(fitted, None if name == "flops" else BISECTED)
    budget = (
        np.full(surface.size, target)
        if name == "flops"
        else _budgets(surface, name, target, served)
    )
    if not np.isfinite(budget[0]):
        raise UsageError(_unanswered(surface, name, target, served))
    at_params, at_tokens, at_loss = surface.optimum(budget, served)
    if np.isnan(at_params[0]):
        raise UsageError(
            f"'{fitted.law}' has no optimum at {budget[0]:.4g} FLOPs between {RATIOS[0]:g} and "
            f"{RATIOS[1]:g} tokens per parameter"
        )
    if name != "flops":  # what was fixed has no interval
        at_params = np.full_like(at_params, target) if name == "params" else at_params
        at_tokens = np.full_like(at_tokens, target) if name == "tokens" else at_tokens
        at_loss = np.full_like(at_loss, target) if name == "loss" else at_loss
    place = pl.DataFrame({"params": [at_params[0]], "tokens": [at_tokens[0]]})
    seen = observed(fitted).select("params", "tokens")
    far = float(extrapolation(seen, place, fitted.law)[0])
    status, notes = status_at(far)
    lost = float(np.isnan(at_params[1:]).mean()) if surface.size > 1 else 0.0
    if lost > (1.0 - level) / 2.0:
        said = f"{lost:.0%} of the fit's draws have no optimum: the interval has no ends."
        notes.append(Note("no-optimum", "warning", said, {"share": lost}))
    run = _run_interval(fitted, at_params[0], at_tokens[0], level)

    def estimate(x: Floats) -> Estimate:
        return Estimate.of_draws(float(x[0]), x[1:], level)

    return ComputeOptimum(
        level=level,
        status=status,
        notes=tuple(notes),
        seed=fitted.seed,
        law=str(fitted.law),
        method="law",
        asked={**given, **({"served": served} if served else {})},
        flops=estimate(budget),
        params=estimate(at_params),
        tokens=estimate(at_tokens),
        loss=estimate(at_loss),
        run_loss=run,
        flat=_flat(surface, float(budget[0]), served),
        extrapolation=far,
        curves=_curves(surface, fitted, float(budget[0]), served),
        frontier=_frontier(fitted, float(budget[0]), served, level),
        runs=_runs(fitted),
    )


def _budgets(surface: LossSurface, name: str, target: float, served: float) -> Floats:
    """Return (1 + S,) budgets whose optimum has the requested params, tokens or loss; NaN: none."""
    lowest, highest = COMPUTE
    if name != "loss":
        ends = [training_flops(target, target * r) for r in RATIOS]
        if name == "tokens":
            ends = [training_flops(target / r, target) for r in RATIOS[::-1]]
        lowest, highest = ends[0], ends[1] + scoring_flops(target / RATIOS[0], served)
    low, high = (np.full(surface.size, np.log(x)) for x in (lowest, highest))
    place = {"params": 0, "tokens": 1, "loss": 2}[name]

    def short(budget: Floats) -> Any:
        """Return (1 + S,) whether more compute is needed."""
        found = surface.optimum(budget, served)[place]
        return ~(found <= target) if name == "loss" else ~(found >= target)

    reached = np.logical_not(short(np.exp(high)))
    for _ in range(STEPS):
        middle = (low + high) / 2
        more = short(np.exp(middle))
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    budget = np.exp((low + high) / 2)
    if name == "loss":  # a floor above the loss: no budget reaches it
        return np.where(reached, budget, np.inf)
    found = surface.optimum(budget, served)[place]
    return np.where(np.abs(np.log(found / target)) < 1e-2, budget, np.nan)


def _unanswered(surface: LossSurface, name: str, target: float, served: float) -> str:
    if name == "loss":
        least = surface.optimum(np.full(surface.size, COMPUTE[1]), served)[2][0]
        return f"no budget reaches a loss of {target:g}: the law's lowest is {least:.4g}"
    return f"{target:.4g} {name} are optimal at no budget"


def _run_interval(fitted: Fit, params: float, tokens: float, level: float) -> tuple[float, float]:
    place = {"params": [params], "tokens": [tokens]}
    if "unique_tokens" in fitted.law.inputs:
        place["unique_tokens"] = [tokens]
    drawn = predictive(fitted, pl.DataFrame(place))
    return Estimate.of_draws(float(drawn.value[0]), drawn.run[:, 0], level).interval


def _flat(surface: LossSurface, budget: float, served: float) -> tuple[float, float]:
    """Return the sizes between which the loss at a budget is within `FLAT` of the lowest."""
    low, high = (0.5 * np.log(params_for_flops(budget, 1.0) / r) for r in RATIOS[::-1])
    if served > 0:
        high = min(high, float(np.log(budget / scoring_flops(1.0, served))) - 1e-6)
    at = np.linspace(low, high, 8001)
    params = np.exp(at)[None]
    loss = surface.loss(params, tokens_left(budget, params, served), best=True)[0]
    inside = np.flatnonzero(loss <= (1.0 + FLAT) * np.nanmin(loss))
    return float(np.exp(at[inside[0]])), float(np.exp(at[inside[-1]]))


def _runs(fitted: Fit) -> pl.DataFrame:
    flops = training_flops(pl.col("params"), pl.col("tokens"))
    return fitted.data.select("params", "tokens", flops.alias("flops"), pl.col("y").alias("loss"))


def _curves(surface: LossSurface, fitted: Fit, budget: float, served: float) -> pl.DataFrame:
    """Return loss over size at the requested budget and at some between the data's."""
    seen = _runs(fitted)["flops"].to_numpy()
    budgets = np.unique([*np.geomspace(seen.min(), seen.max(), CURVES), budget])
    parts = []
    for c in budgets:
        own = served if c == budget else 0.0  # runs that were fitted served nothing
        best = surface.optimum(np.full(surface.size, c), own)[0][0]
        if not np.isfinite(best):
            continue
        params = best * np.geomspace(1 / 12, 12, POINTS)
        if own:
            params = params[scoring_flops(params, own) < 0.97 * c]
        tokens = tokens_left(c, params, own)
        loss = surface.loss(params[None], tokens[None], best=True)[0]
        parts.append(pl.DataFrame({"flops": np.full(len(params), c), "params": params,
                                   "tokens": tokens, "loss": loss}))  # fmt: skip
    return pl.concat(parts)


def _frontier(fitted: Fit, budget: float, served: float, level: float) -> pl.DataFrame:
    """Return the optimum over budgets from the data's smallest to beyond the requested one."""
    seen = _runs(fitted)["flops"].to_numpy()
    surface = LossSurface(fitted, BISECTED)
    rows = []
    for c in np.unique([*np.geomspace(min(seen.min(), budget), 3 * max(seen.max(), budget), 13),
                        budget]):  # fmt: skip
        params, tokens, loss = surface.optimum(np.full(surface.size, c), served)
        size = Estimate.of_draws(float(params[0]), params[1:], level)
        rows.append({"flops": c, "params": size.value, "low": size.interval[0],
                     "high": size.interval[1], "tokens": tokens[0], "loss": loss[0]})  # fmt: skip
    return pl.DataFrame(rows).filter(pl.col("params").is_finite())
