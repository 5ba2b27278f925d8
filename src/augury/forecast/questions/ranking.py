"""Ranking mixtures for a larger model: a law and boosted trees, blended.

Within one size, trees rank mixtures better than any law; across sizes they lose more. So both are
fitted at a smaller size and tested on a larger one, inside the table, and weighted by the error
there. The forecast is the order: the losses of the larger model are another question, for `fit`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import rankdata, spearmanr

from augury.display import Card
from augury.errors import DataError
from augury.fitting import fit
from augury.fitting.space import Floats
from augury.forecast.boosted_trees import FEWEST_ROWS, forecast_by_trees
from augury.forecast.combination import weights_of
from augury.forecast.prediction import known, predictive
from augury.forecast.questions.answers import Answer, AnswerStatus
from augury.forecast.questions.mixture import FOLDS, PREFIX, as_loss, domains_of, outcomes_of
from augury.notes import Note

LAW, TREES = "effective-share", "boosted-trees"
# A mixture counts as the same at two sizes if no share differs by more: tables round to 1e-3.
SAME_SHARE = 5e-4


@dataclass(frozen=True)
class MixtureRanking(Answer):
    """Mixtures in the order forecast for a larger model.

    Attributes:
        goal: "minimise" or "maximise".
        columns: whose mean decides.
        ranking: rows of rank, mixture (its row in the list of mixtures, from 1), value (forecast
            loss over the mean of the list; for scores, the distance to 1), low, high.
        by_column: the same for every column.
        weights: by column, of the law and of the trees.
        errors: by column and forecaster, root mean square of the log residuals around a line
            through its forecasts, on held-out runs.
        correlation: by column, rank correlation of the blend with the held-out runs.
        fitted_at: parameters of the runs that the forecast was fitted to; None if not given.
        tested: pairs of sizes (fitted, held out); empty for folds of one size.
    """

    goal: str
    columns: tuple[str, ...]
    ranking: pl.DataFrame
    by_column: pl.DataFrame
    weights: Mapping[str, Mapping[str, float]]
    errors: Mapping[str, Mapping[str, float]]
    correlation: Mapping[str, float]
    fitted_at: float | None
    tested: tuple[tuple[float, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        return {
            "ranking": self.ranking.to_dicts(),
            "goal": self.goal,
            "columns": list(self.columns),
            "weights": {c: dict(w) for c, w in self.weights.items()},
            "errors": {c: {n: known(x) for n, x in e.items()} for c, e in self.errors.items()},
            "correlation": {c: known(x) for c, x in self.correlation.items()},
            "fitted_at": self.fitted_at,
            "tested": [list(pair) for pair in self.tested],
            **self.about(),
        }

    def _heading(self) -> str:
        how = "runs held out" if not self.tested else "larger runs held out"
        mean = float(np.mean(list(self.correlation.values())))
        return f"{self.ranking.height} mixtures ranked (rank correlation {mean:.3f} with {how})"

    def _card(self) -> Card:
        return Card(self._heading(), self.ranking, self.notes, rows=self.by_column)

    def __repr__(self) -> str:
        return f"<MixtureRanking of {self.ranking.height}, {', '.join(self.columns[:3])}>"

    def __str__(self) -> str:
        lines = [f"{self._heading()}; {self.level:.0%} intervals"]
        lines += [
            f"  {r['rank']:3d}. mixture {r['mixture']:<4d} {r['value']:.4f} of the mean "
            f"[{r['low']:.4f}, {r['high']:.4f}]"
            for r in self.ranking.head(10).iter_rows(named=True)
        ]
        for column, weight in self.weights.items():
            shares = ", ".join(f"{name} {w:.2f}" for name, w in weight.items())
            lines.append(f"  {column}: {shares}; rank correlation {self.correlation[column]:.3f}")
        return "\n".join([*lines, *(f"  {n.severity}: {n.message}" for n in self.notes)])


def rank_mixtures(
    table: pl.DataFrame,
    mixtures: pl.DataFrame,
    *,
    minimise: Sequence[str] = (),
    maximise: Sequence[str] = (),
    level: float = 0.9,
    seed: int = 0,
) -> MixtureRanking:
    """Rank mixtures for a model larger than any trained on a mixture.

    The law of effective shares and boosted trees are fitted at every size but the largest and
    tested on the next; their weights go as 1 / error^2, shrunk towards equal weights where tests
    are few. The forecast is their blend, fitted to the largest size.

    Args:
        table: one row per run: share_NAME for every domain, `params` (the runs' sizes; without it
            all count as one), and the requested columns.
        mixtures: to be ranked: the same share columns.
        minimise: columns of losses; or
        maximise: columns of scores between 0 and 1.
        level: of the intervals: the errors on held-out runs.
        seed: of the trees and the folds.

    Returns:
        A `MixtureRanking`.

    Raises:
        DataError: a column is missing, or runs are too few.
        UsageError: neither or both of `minimise` and `maximise`, or the extra `mixtures` is
            missing.

    Source: Liu et al. 2024 (arXiv 2407.01492) for the trees; the law and the blend are ours.

    Examples:
        >>> runs = augury.read_table("mixtures.csv")
        >>> found = augury.rank_mixtures(runs, runs.head(5), minimise=["web_loss"])
        >>> sorted(found.ranking["rank"].to_list())
        [1, 2, 3, 4, 5]
    """
    columns, falls = outcomes_of(minimise, maximise, level)
    domains = domains_of(table, columns)
    shares = [PREFIX + d for d in domains]
    for name in shares:
        if name not in mixtures.columns:
            raise DataError("the column is missing", column=name,
                            expected="a share of every mixture to be ranked")  # fmt: skip
    rows = table.drop_nulls([*shares, *columns])
    sizes = rows["params"].to_numpy().astype(float) if "params" in rows.columns else None
    tests = _tests(rows.select(shares).to_numpy(), sizes, seed)
    last = np.ones(rows.height, bool) if sizes is None else sizes == sizes.max()
    tail = (1.0 - level) / 2.0
    weights, errors, correlation, parts = {}, {}, {}, []
    for column in columns:
        data = as_loss(rows, domains, column, falls=falls)
        y = np.log(data["loss"].to_numpy())
        held = [
            (_forecasts(data.filter(past), data.filter(future), seed), y[future])
            for past, future in tests
        ]
        errors[column] = {
            name: float(
                np.sqrt(np.mean([np.mean(_line_residuals(f[name], at) ** 2) for f, at in held]))
            )
            for name in (LAW, TREES)
        }
        own = weights_of(errors[column], len(tests) if sizes is not None else 1)
        weights[column] = {name: own.get(name, 0.0) for name in (LAW, TREES)}
        blends = [(_blend(f, weights[column]), at) for f, at in held]
        correlation[column] = float(np.mean([spearmanr(f, at).statistic for f, at in blends]))
        off = np.concatenate([_line_residuals(f, at) for f, at in blends])
        asked = mixtures.select(shares).with_columns(loss=pl.lit(1.0))
        value = _blend(_forecasts(data.filter(last), asked, seed), weights[column])
        parts.append(_rank_column(column, value - value.mean(), off, tail))
    by_column = pl.concat(parts)
    notes = []
    if sizes is None or len(np.unique(sizes)) == 1:
        said = "All runs have one size: how the order carries over to larger models is not tested."
        notes.append(Note("one-size", "warning", said, {}))
    return MixtureRanking(
        level=level,
        status=AnswerStatus.ANSWERED,
        notes=tuple(notes),
        seed=seed,
        goal="minimise" if falls else "maximise",
        columns=columns,
        ranking=_mean_ranking(by_column),
        by_column=by_column,
        weights=weights,
        errors=errors,
        correlation=correlation,
        fitted_at=None if sizes is None else float(sizes.max()),
        tested=() if sizes is None else tuple(
            (float(sizes[past].max()), float(sizes[future].max())) for past, future in tests
            if sizes[past].max() < sizes[future].max()
        ),
    )  # fmt: skip


def _tests(shares: Floats, sizes: Floats | None, seed: int) -> list[tuple[Any, Any]]:
    """Return pairs of masks (n,): runs of a size and those of the next; or folds of one size.

    A mixture that was trained at both sizes is left out of the fit: its own loss would leak.
    """
    found = []
    values = np.unique(sizes) if sizes is not None else np.empty(0)
    for small, large in pairwise(values):
        future, past = sizes == large, sizes == small
        again = np.array([
            bool((np.abs(shares[future] - row).max(1) <= SAME_SHARE).any()) for row in shares
        ])  # fmt: skip
        past = past & ~again
        if past.sum() >= FEWEST_ROWS and future.sum() > 3:
            found.append((past, future))
    if not found:
        fold = np.random.default_rng(seed).permutation(len(shares)) % FOLDS
        same = np.ones(len(shares), bool) if sizes is None else sizes == sizes.max()
        found = [(same & (fold != k), same & (fold == k)) for k in range(FOLDS)]
    if min(past.sum() for past, _ in found) < FEWEST_ROWS:
        raise DataError(
            f"{len(shares)} runs are too few to rank mixtures",
            expected=f"{FEWEST_ROWS} of one size besides those held out",
        )
    return found


def _forecasts(past: pl.DataFrame, future: pl.DataFrame, seed: int) -> dict[str, Floats]:
    """Return (m,) logarithms that the law and the trees forecast."""
    names = [c for c in past.columns if c.startswith(PREFIX)]
    fitted = fit(LAW, past, uncertainty="none", influence=False)
    trees = forecast_by_trees(
        past.select(names).to_numpy(),
        np.log(past["loss"].to_numpy()),
        future.select(names).to_numpy(),
        seed,
    )
    return {LAW: np.log(predictive(fitted, future).value), TREES: trees}


def _blend(forecasts: Mapping[str, Floats], weights: Mapping[str, float]) -> Floats:
    return np.sum([weights[name] * f for name, f in forecasts.items()], axis=0)


def _line_residuals(forecast: Floats, truth: Floats) -> Floats:
    """Return (n,) residuals of a line through the forecasts, with free level and scale."""
    design = np.column_stack([np.ones_like(forecast), forecast])
    return np.asarray(truth - design @ np.linalg.lstsq(design, truth, rcond=None)[0])


def _rank_column(column: str, value: Floats, off: Floats, tail: float) -> pl.DataFrame:
    low, high = np.quantile(off, [tail, 1.0 - tail])
    return pl.DataFrame({
        "column": column,
        "rank": rankdata(value, method="ordinal"),
        "mixture": np.arange(1, len(value) + 1),
        "value": np.exp(value),
        "low": np.exp(value + min(low, 0.0)),
        "high": np.exp(value + max(high, 0.0)),
    }).sort("rank")  # fmt: skip


def _mean_ranking(by_column: pl.DataFrame) -> pl.DataFrame:
    """Average over columns; intervals are as wide as the columns' on average."""
    own = by_column.group_by("mixture").agg(pl.col("value", "low", "high").mean())
    return own.sort("value", "mixture").select(
        pl.int_range(1, own.height + 1).alias("rank"), "mixture", "value", "low", "high"
    )
