"""Choosing a law: all that suit a table, by how they would have forecast its larger runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import polars as pl
import scipy

from augury.data.scores import add_value, has_scores
from augury.display import Card, Shown
from augury.errors import DataError, UsageError
from augury.fitting import Fit, Likelihood, fit
from augury.fitting.likelihoods import Points
from augury.fitting.many import grouped_rows
from augury.fitting.problem import Problem, goes_negative, problem_of
from augury.fitting.windows import fit_windows
from augury.forecast.backtesting import paired_difference
from augury.forecast.combination import weights_of
from augury.forecast.prediction import Forecast, predict
from augury.laws import Constant, Law, all_laws, parse_law
from augury.laws.inputs import KNOWN, Share
from augury.notes import Note
from augury.runtime.steps import count_steps

# Maximum number of cuts per scale; all lie in the upper half of its values, where what is left to
# forecast is most like the real forecast.
MOST_CUTS = 6
# An input with fewer distinct values does not show how the loss falls with it.
FEWEST_VALUES = 3
# Far below .05, as the law was chosen among many.
REFUTED = 1e-3
# Number of laws fitted to the whole table: the chosen one and the runners-up, which show how far
# they differ.
MOST_FITTED = 3
# Where runners-up are compared: this many times the largest run in every input.
AHEAD = 10.0


@dataclass(frozen=True)
class Choice(Shown):
    """A law chosen for a table.

    Attributes:
        law: the chosen one, as `fit` takes it.
        weights: by law, summing to 1: confidence in each. Laws below .05 have none.
        scores: one row per law, best first: law, crps (mean over cuts, in the unit of residuals:
            logarithms of losses), parameters, behind (how far its score lies above the best's),
            clear (whether that is more than chance), unfitted (share of windows that it could not
            be fitted to, where it is scored as the constant).
        rows: one row per law and forecast: law, cut, row, crps, error.
        fits: to the whole table, the chosen law first; empty if laws were chosen for groups.
        notes: why, if it is not the best score; which laws had too few rows.
    """

    law: str
    weights: dict[str, float]
    scores: pl.DataFrame
    rows: pl.DataFrame
    fits: dict[str, Fit]
    notes: tuple[Note, ...] = ()

    @property
    def fit(self) -> Fit:
        """Return the chosen law's fit to the whole table, for `predict`.

        Raises:
            UsageError: laws were chosen for groups.
        """
        if not self.fits:
            raise UsageError("a law was chosen for groups: fit it with fit_many")
        return self.fits[self.law]

    def forecasts(self, at: Mapping[str, float] | None = None) -> dict[str, Forecast]:
        """Return what the chosen law and the runners-up forecast, by law.

        Args:
            at: where; by default ten times the largest run in every input that can be multiplied.
        """
        found = {}
        for name, fitted in self.fits.items():
            point = dict(at) if at is not None else _point_ahead(fitted)
            if point and fitted.usable:
                inputs = {n: x for n, x in point.items() if n in fitted.law.inputs}
                (found[name],) = predict(fitted, [inputs])
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return everything but rows and draws, ready for JSON."""
        return {
            "law": self.law,
            "weights": self.weights,
            "scores": self.scores.to_dicts(),
            "runners_up": {n: f.to_dict() for n, f in self.forecasts().items() if n != self.law},
            "notes": [{"code": n.code, "message": n.message} for n in self.notes],
            **({"fit": self.fit.to_dict()} if self.fits else {}),
        }

    def _card(self) -> Card:
        best = self.weights.get(self.law, 0.0)
        heading = f"{self.law} of {self.scores.height} laws, by backtest (weight {best:.2f})"
        return Card(heading, self.scores, self.notes, rows=self.rows)


def choose(
    data: pl.DataFrame | Mapping[str, Any],
    laws: Sequence[Law | str] | None = None,
    *,
    by: str | Sequence[str] | None = None,
    groups: str | None = None,
    output: str | None = None,
    likelihood: Likelihood | str | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> Choice:
    """Choose a law by how each would have forecast the table's own larger runs.

    Every law is fitted below up to six scales in the upper half of the data and scored above them
    by CRPS, a proper score, with equal weight per cut. The constant is always a candidate, and is
    kept unless a law beats it by more than chance, on the rows held out or, if those are too few to
    tell, on all runs together.

    Args:
        data: observation table, or columns by name.
        laws: candidates; by default every registered law whose inputs the table has.
        by: scale of the expanding window, or several; by default flops, tokens or params, the first
            present, or else every input.
        groups: a column of series that each have their own constants; one law is chosen for all of
            them.
        output: column to forecast; by default the loss, or else scores.
        likelihood: as in `fit`.
        level: of the intervals of the fits.
        seed: of their draws.

    Returns:
        A `Choice`: the law, `weights`, `scores`, and the fits of the chosen law and the next.

    Raises:
        UsageError: no law suits the table, or a named column is missing.
        DataError: as `fit`; or there are too few rows to hold any out.

    Source: Gneiting & Raftery 2007 for the score; the weights are those of `combine`.

    Examples:
        >>> chosen = augury.choose(augury.read_table("runs.csv"), ["chinchilla", "kaplan"])
        >>> chosen.law
        'chinchilla'
    """
    table = data if isinstance(data, pl.DataFrame) else pl.DataFrame(dict(data))
    if table.is_empty():
        raise DataError("there are no rows to fit", expected="at least one row")
    target = output or ("loss" if "loss" in table.columns else "value")
    if target == "value":
        table = add_value(table)
    table = table.with_row_index("__at__")
    for column in filter(None, [groups, *([by] if isinstance(by, str) else by or ())]):
        if column not in table.columns:
            raise UsageError(f"there is no column '{column}'")
    wanted = laws or suited_laws(table.drop("__at__"), target, by)
    parsed = [parse_law(x) if isinstance(x, str) else x for x in wanted]
    scales = [by] if isinstance(by, str) else list(by or _scales(table, parsed))
    if not parsed or not scales:
        some = ", ".join(n for n in table.columns if n not in ("__at__", target))
        raise UsageError(
            f"no law forecasts '{target}' from {some}; map columns to those that laws take, such "
            "as params and tokens (`augury laws`)"
        )
    null = Constant(over=scales[0], predicts=target)
    parsed = [null, *(x for x in parsed if not isinstance(x, Constant))]
    cuts = _cuts(table, scales, groups)
    rows, notes = _score_laws(table, parsed, cuts, groups, target, likelihood)
    scores = _summary(rows, parsed)
    best = law = str(scores["law"][0])
    ranked = {str(x): x for x in parsed}

    def whole(name: str) -> Fit:
        return fit(ranked[name], table.drop("__at__"), likelihood=likelihood, output=target,
                   level=level, seed=seed, influence=name == best)  # fmt: skip

    fits: dict[str, Fit] = {}
    if law != str(null):
        gap, chance = paired_difference(rows, law, str(null))
        if not gap > chance:
            fits = {name: whole(name) for name in (best, str(null))} if groups is None else {}
            if not (gap > 0 and fits and _explains_more(fits[best], fits[str(null)])):
                law = str(null)
                said = f"{best} scores best, but beats the constant by no more than chance."
                notes.append(Note("not-better-than-constant", "warning", said, {"best": best}))
    weights = weights_of(dict(zip(scores["law"], scores["crps"], strict=True)), len(cuts))
    weights.setdefault(law, 0.0)
    final = [law, *(n for n in weights if n != law)][:MOST_FITTED] if groups is None else []
    fits = {name: fits[name] if name in fits else whole(name) for name in final}
    return Choice(law, weights, scores, rows, fits, tuple(notes))


def _explains_more(law: Fit, constant: Fit) -> bool:
    """Return whether the law explains all runs better than the constant, by an F test at `REFUTED`.

    Few held-out rows cannot distinguish a steep law from chance, though the whole table does.
    """
    more, left = (
        len(law.parameters) - len(constant.parameters),
        len(law.residuals) - len(law.parameters),
    )
    if not law.usable or left < 1 or more < 1:
        return False
    own, null = (float(np.sum(np.square(x.residuals))) for x in (law, constant))
    ratio = (null - own) / more / (own / left) if own > 0 else np.inf
    return bool(scipy.stats.f.sf(ratio, more, left) < REFUTED)


def suited_laws(
    table: pl.DataFrame, target: str, by: str | Sequence[str] | None = None
) -> list[Law]:
    """Return every registered law that forecasts `target` and whose inputs the table has.

    A law over one input appears once per scale that orders the table. An input with fewer than
    three values counts as missing. If scores go far below 0, laws that predict shares are left out.
    """
    if target not in table.columns and not (target == "value" and has_scores(table.columns)):
        raise UsageError(f"there is no column '{target}' to forecast")
    varied = [n for n in table.columns if _varies(table, n)]
    named = [by] if isinstance(by, str) else list(by or ())
    overs = [n for n in named or KNOWN if n in varied and n != target]
    no_shares = target in table.columns and goes_negative(table[target].to_numpy())
    found: list[Law] = []
    for cls in all_laws():
        settings = {f.name for f in fields(cls)}
        choices: list[dict[str, Any]] = [{"over": n} for n in overs]
        made = [cls(**x) for x in (choices if "over" in settings else [{}])]
        for law in made:
            if isinstance(law, Constant) or law.output != target or law.grouping is not None:
                continue
            if law.of_shares and no_shares:
                continue
            needed = [n for n, kind in law.inputs.items() if kind.default is None]
            shares = [n for n in needed if isinstance(law.inputs[n], Share)]
            if all(n in varied for n in needed if n not in shares):
                try:
                    found.append(law.bind(table) if shares else law)
                except DataError:
                    continue
    return found


def _varies(table: pl.DataFrame, name: str) -> bool:
    column = table[name]
    if isinstance(column.dtype, pl.List | pl.Array):
        return True
    return column.dtype.is_numeric() and column.null_count() == 0 and (
        column.n_unique() >= FEWEST_VALUES
    )  # fmt: skip


def _scales(table: pl.DataFrame, laws: Sequence[Law]) -> list[str]:
    """Return the scales that order the rows."""
    for name in ("flops", "tokens", "params"):
        if name in table.columns and _varies(table, name):
            return [name]
    inputs = {n for law in laws for n, kind in law.inputs.items() if not isinstance(kind, Share)}
    return [n for n in table.columns if n in inputs and _varies(table, n)]


def _cuts(table: pl.DataFrame, scales: Sequence[str], groups: str | None) -> dict[str, pl.Series]:
    """Return cuts by name: (n,) whether a row lies below, at the same count in every group."""
    found: dict[str, pl.Series] = {}
    for scale in scales:
        ranks = pl.col(scale).rank("dense")
        ranks = ranks if groups is None else ranks.over(groups)
        rank = table.select(ranks)[scale].to_numpy().astype(float)
        top = rank.max() if groups is None else (
            table.select(ranks.max().over(groups))[scale].to_numpy().astype(float)
        )  # fmt: skip
        values = int(np.max(top))
        count = min(MOST_CUTS, values - int(np.ceil(values / 2)))
        for share in np.linspace(0.5, 1.0, count + 1)[:-1]:
            below = rank <= np.minimum(np.ceil(share * top), top - 1)
            found[f"{scale}: lowest {share:.0%}"] = pl.Series(below)
    if not found or not any(b.any() and not b.all() for b in found.values()):
        raise DataError(
            "too few scales to hold any out",
            column=", ".join(scales),
            expected="at least three different values",
        )
    return found


def _score_laws(
    table: pl.DataFrame,
    laws: Sequence[Law],
    cuts: Mapping[str, pl.Series],
    groups: str | None,
    target: str,
    likelihood: Likelihood | str | None,
) -> tuple[pl.DataFrame, list[Note]]:
    """Score laws: one row per law and held-out row, without laws too large for a window."""
    parts: list[pl.DataFrame] = []
    few: list[str] = []
    null: np.ndarray | None = None
    for law in count_steps(laws, "laws"):
        problem = problem_of(law, table, likelihood, output=target,
                             by=() if groups is None else (groups,))  # fmt: skip
        points, inside, at, cut = _windows(problem, table, cuts, groups)
        live = inside.sum(1)
        if (live < len(problem.law.parameters) + 1).any():
            few.append(str(law))
            continue
        windows = fit_windows(problem.law, problem.likelihood, points, inside)
        y = np.log(points.y) if problem.likelihood.on_log else points.y
        score = normal_crps(windows.mean, windows.spread, y)
        null = score if null is None else null
        failed = ~np.isfinite(score)
        held = (inside == 0) & (at >= 0)
        if held.sum() == 0:
            continue
        parts.append(
            pl.DataFrame(
                {
                    "law": [str(law)] * int(held.sum()),
                    "cut": np.array(list(cuts))[np.broadcast_to(cut[:, None], held.shape)[held]],
                    "row": at[held],
                    "crps": np.where(failed, null, score)[held],
                    "error": (windows.mean - y)[held],
                    "unfitted": failed[held],
                }
            )
        )
    if null is None or len(parts) < 2:
        raise DataError(
            f"{table.height} rows are too few to choose a law",
            expected="more runs, or laws with fewer parameters",
        )
    said = f"Too many parameters for the rows below the first cut: {', '.join(few)}."
    return pl.concat(parts), [Note("too-few-rows", "info", said, {"laws": few})] if few else []


def _windows(
    problem: Problem, table: pl.DataFrame, cuts: Mapping[str, pl.Series], groups: str | None
) -> tuple[Points, np.ndarray, np.ndarray, np.ndarray]:
    """Return points, weights (W, m) of every cut and group, (W, m) rows (-1: padding), (W,) cuts.

    Rows are those of the problem, which keeps one of those that repeat a checkpoint's loss.
    """
    where = {int(r): i for i, r in enumerate(table["row"].to_list())} if (
        "row" in table.columns) else {i + 1: i for i in range(table.height)}  # fmt: skip
    own = np.array([where[int(r)] for r in problem.table["row"].to_list()])
    if groups is None:
        index, real = np.arange(problem.size)[None], np.ones((1, problem.size))
    else:
        _, index, real = grouped_rows(problem.table.select(f"by_{groups}"))
    below = [series.to_numpy()[own][index] for series in cuts.values()]
    inside = np.concatenate([real * b for b in below])
    which = np.repeat(np.arange(len(cuts)), len(index))
    wide = np.tile(index, (len(cuts), 1))
    points = Points(
        tuple(x[0][wide] for x in problem.points.inputs),
        problem.points.y[0][wide],
        problem.points.trials[0][wide],
    )
    at = np.where(np.tile(real, (len(cuts), 1)) > 0, own[wide], -1)
    return points, inside, at, which


def normal_crps(mean: Any, spread: Any, y: Any) -> Any:
    """Compute the CRPS of normal forecasts: Gneiting & Raftery 2007, eq. 21."""
    z = (y - mean) / spread
    return spread * (
        z * (2 * scipy.stats.norm.cdf(z) - 1) + 2 * scipy.stats.norm.pdf(z) - np.pi**-0.5
    )


def _summary(rows: pl.DataFrame, laws: Sequence[Law]) -> pl.DataFrame:
    per_cut = rows.group_by("law", "cut", maintain_order=True).agg(
        pl.col("crps").mean(), pl.col("unfitted").mean()
    )
    table = (
        per_cut.group_by("law", maintain_order=True)
        .agg(pl.col("crps").mean(), pl.col("unfitted").mean())
        .sort("crps", maintain_order=True)
    )
    size = {str(law): len(law.parameters) for law in laws}
    told = [paired_difference(rows, table["law"][0], law) for law in table["law"]]
    return table.with_columns(
        parameters=pl.Series([size[name] for name in table["law"]]),
        behind=pl.Series([gap for gap, _ in told], dtype=pl.Float64),
        clear=pl.Series([gap > chance for gap, chance in told], dtype=pl.Boolean),
    )


def _point_ahead(fitted: Fit) -> dict[str, float]:
    """Return ten times the largest run in every input; nothing if an input cannot be multiplied."""
    from augury.laws.inputs import Positive

    kinds = fitted.law.inputs
    if not all(isinstance(k, Positive) or k.default is not None for k in kinds.values()):
        return {}
    return {
        n: AHEAD * float(fitted.data[n].max())  # type: ignore[arg-type]
        for n, kind in kinds.items()
        if isinstance(kind, Positive) and kind.default is None
    }
