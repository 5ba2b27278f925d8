"""When repeating data pays: the value of each epoch in fresh tokens.

The value of e epochs over U tokens is the number of fresh tokens that would give the same loss at
the same size, under the fitted law. An epoch pays as long as one more of its tokens is worth a good
part of a fresh one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from augury.display import Card
from augury.errors import UsageError
from augury.fitting import Fit
from augury.fitting.space import Floats
from augury.forecast.prediction import extrapolation, known, observed, predictive
from augury.forecast.questions.answers import (
    Answer,
    AnswerStatus,
    Estimate,
    parameter_columns,
    require_usable,
    status_at,
)
from augury.notes import Note

SHOWN = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
# Repeating stops to pay when a repeated token is worth less than this part of a fresh one.
LEAST_WORTH = 0.5
MOST, DRAWS = 1024.0, 400
# Epochs per doubling of the grid: its points include the powers of two exactly.
PER_DOUBLING = 24


@dataclass(frozen=True)
class RepeatAnswer(Answer):
    """The value of repeating data.

    Attributes:
        law: the law it comes from.
        params, unique_tokens: of the planned model.
        least_worth: minimum value of a repeated token, as a part of a fresh one.
        epochs: number of epochs up to which it is reached.
        table: per number of epochs: tokens, loss with low, high (mean over runs) and run_low,
            run_high (one new run), fresh (loss if all tokens were fresh), worth with its interval
            (fresh tokens that give the same loss, in units of U), share (worth over epochs), last
            (worth of one more token).
        extrapolation: distance of the recommended point from the data, in their range.
    """

    law: str
    params: float
    unique_tokens: float
    least_worth: float
    epochs: Estimate
    table: pl.DataFrame
    extrapolation: float

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        rows = self.table.to_dicts()
        return {
            "epochs": self.epochs.to_dict(),
            "loss": [
                {"epochs": r["epochs"], "value": r["loss"],
                 "interval": [known(r["low"]), known(r["high"])],
                 "run_interval": [known(r["run_low"]), known(r["run_high"])], "fresh": r["fresh"]}
                for r in rows
            ],
            "worth": [
                {"epochs": r["epochs"], "value": known(r["worth"]), "share": known(r["share"]),
                 "interval": [known(r["worth_low"]), known(r["worth_high"])]}
                for r in rows
            ],
            "params": self.params,
            "unique_tokens": self.unique_tokens,
            "least_worth": self.least_worth,
            "law": self.law,
            "extrapolation": known(self.extrapolation),
            **self.about(),
        }  # fmt: skip

    def _card(self) -> Card:
        return Card(self._heading(), self.table, self.notes)

    def _heading(self) -> str:
        return (
            f"Repeating {self.unique_tokens:.3g} tokens at {self.params:.3g} parameters by "
            f"{self.law}: {self.status}"
        )

    def __repr__(self) -> str:
        return f"<RepeatAnswer epochs={self.epochs.value:.3g}>"

    def __str__(self) -> str:
        lines = [
            f"{self._heading()} ({self.level:.0%} intervals)",
            f"  a repeated token is worth {self.least_worth:.0%} of a fresh one up to "
            f"{self.epochs} epochs",
            "  epochs   loss                        if all fresh     worth, times the tokens",
        ]
        for r in self.table.iter_rows(named=True):
            loss = f"{r['loss']:.4f} [{r['low']:.4f}, {r['high']:.4f}]"
            worth = f"{r['worth']:.2f} [{r['worth_low']:.2f}, {r['worth_high']:.2f}]"
            lines.append(
                f"  {r['epochs']:6g}   {loss:26s}  {r['fresh']:.4f}           {worth} "
                f"({r['share']:.0%})"
            )
        return "\n".join([*lines, *(f"  {n.severity}: {n.message}" for n in self.notes)])


def value_repeats(
    fitted: Fit,
    *,
    unique_tokens: float,
    params: float,
    least_worth: float = LEAST_WORTH,
    level: float | None = None,
) -> RepeatAnswer:
    """Determine how many epochs are worth running, or whether to buy data.

    Args:
        fitted: a fit of a law of params, tokens and unique_tokens, such as data-constrained.
        unique_tokens: number of unique tokens available.
        params: of the planned model.
        least_worth: minimum value of a repeated token, as a part of a fresh one.
        level: of the intervals; by default the fit's.

    Returns:
        A `RepeatAnswer`.

    Raises:
        UsageError: the law does not take unique_tokens, its parameters are meaningless, or an
            option is out of range.

    Source: Muennighoff et al. 2023 (arXiv 2305.16264); worth as equal loss is ours, and agrees with
    theirs if the model is not too large for its tokens.

    Examples:
        >>> fitted = augury.fit("data-constrained", augury.read_table("repeats.csv"))
        >>> found = augury.value_repeats(fitted, unique_tokens=1e10, params=1e9)
        >>> found.epochs.value > 4
        True
    """
    fitted = require_usable(fitted, ("params", "tokens", "unique_tokens"))
    for name, x in (("unique_tokens", unique_tokens), ("params", params)):
        if not (np.isfinite(x) and x > 0):
            raise UsageError(f"{name} must be a positive number, not {x:g}")
    if not 0.0 < least_worth < 1.0:
        raise UsageError(f"least_worth must lie between 0 and 1, not {least_worth:g}")
    level = fitted.level if level is None else level
    if not 0.0 < level < 1.0:
        raise UsageError(f"level must lie between 0 and 1, not {level}")
    columns = parameter_columns(fitted, DRAWS)

    def loss(tokens: Floats, unique: Floats) -> Floats:
        size = np.full((1, 1), params)
        return fitted.law(columns, params=size, tokens=tokens, unique_tokens=unique)

    shown = np.array(SHOWN)
    epochs = 2.0 ** (np.arange(10 * PER_DOUBLING + 1) / PER_DOUBLING)
    fresh_at = np.geomspace(0.5, 2 * MOST, 1201)
    repeated = loss(epochs[None] * unique_tokens, np.full((1, 1), unique_tokens))
    fresh = loss(fresh_at[None] * unique_tokens, fresh_at[None] * unique_tokens)
    # Losses fall with fresh tokens: their inverse, in logarithms of the tokens.
    worth = np.exp(
        [np.interp(-y, -f, np.log(fresh_at)) for y, f in zip(repeated, fresh, strict=True)]
    )
    marginal = np.gradient(worth, epochs, axis=1)
    stop = np.array([_first_below(epochs, m, least_worth) for m in marginal])
    if not np.isfinite(stop[0]):
        stop[0] = MOST
    best = Estimate.of_draws(float(stop[0]), stop[1:], level)
    at = pl.DataFrame({"params": [params], "tokens": [best.value * unique_tokens],
                       "unique_tokens": [unique_tokens]})  # fmt: skip
    seen = observed(fitted).select("params", "tokens", "unique_tokens")
    far = float(extrapolation(seen, at, fitted.law)[0])
    status, notes = status_at(far)
    most = float((seen["tokens"] / seen["unique_tokens"]).max())  # type: ignore[arg-type]
    if most < 1.01:
        status = AnswerStatus.OPEN
        notes.append(Note("never-repeated", "serious", (
            "No run repeated its data: this fit does not determine the value of repeats."
        )))  # fmt: skip
    elif best.value > most:
        said = f"No run had more than {most:.3g} epochs; the answer lies beyond."
        notes.append(Note("never-repeated", "warning", said, {"most": most}))
    return RepeatAnswer(
        level=level,
        status=status,
        notes=tuple(notes),
        seed=fitted.seed,
        law=str(fitted.law),
        params=float(params),
        unique_tokens=float(unique_tokens),
        least_worth=least_worth,
        epochs=best,
        table=_table(
            fitted, shown, epochs, repeated, worth, marginal, params, unique_tokens, level
        ),
        extrapolation=far,
    )


def _first_below(x: Floats, y: Floats, mark: float) -> float:
    """Return where y first falls below a mark, between two points; infinite if it never does."""
    below = np.flatnonzero(y < mark)
    if len(below) == 0:
        return float("inf")
    i = int(below[0])
    if i == 0:
        return float(x[0])
    part = (y[i - 1] - mark) / (y[i - 1] - y[i])
    return float(x[i - 1] + part * (x[i] - x[i - 1]))


def _table(
    fitted: Fit, shown: Floats, epochs: Floats, repeated: Floats, worth: Floats, marginal: Floats,
    params: float, unique: float, level: float,
) -> pl.DataFrame:  # fmt: skip
    at = pl.DataFrame({"params": np.full(len(shown), params), "tokens": shown * unique,
                       "unique_tokens": np.full(len(shown), unique)})  # fmt: skip
    drawn = predictive(fitted, at)
    fresh = predictive(fitted, at.with_columns(unique_tokens=pl.col("tokens"))).value
    rows = []
    for k, e in enumerate(shown):
        i = int(np.argmin(np.abs(epochs - e)))
        mean = Estimate.of_draws(float(repeated[0, i]), repeated[1:, i], level)
        run = Estimate.of_draws(float(drawn.value[k]), drawn.run[:, k], level)
        own = Estimate.of_draws(float(worth[0, i]), worth[1:, i], level)
        rows.append({
            "epochs": float(e), "tokens": float(e * unique), "loss": mean.value,
            "low": mean.interval[0], "high": mean.interval[1],
            "run_low": run.interval[0], "run_high": run.interval[1], "fresh": float(fresh[k]),
            "worth": own.value, "worth_low": own.interval[0], "worth_high": own.interval[1],
            "share": own.value / float(e), "last": float(marginal[0, i]),
        })  # fmt: skip
    return pl.DataFrame(rows)
