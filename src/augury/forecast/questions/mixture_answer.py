"""What is known of the best training mixture: shares, predicted results, effects, what to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from augury.display import Card
from augury.fitting.space import Floats
from augury.forecast.prediction import known, run_share, run_share_text
from augury.forecast.questions.answers import Answer, Estimate


@dataclass(frozen=True)
class PredictedResult:
    """What a mixture gives in one column.

    Attributes:
        value: the law's.
        interval: for one new run.
        mean_interval: for the mean of many runs.
        run_share: share of the squared width of `interval` that is spread between runs: no forecast
            can remove it. What the law misses counts as such.
    """

    value: float
    interval: tuple[float, float]
    mean_interval: tuple[float, float]
    run_share: float | None

    @classmethod
    def of_draws(cls, value: float, mean: Floats, run: Floats, level: float) -> PredictedResult:
        """Build it from (S,) draws of the mean, and of new runs."""
        of_run, of_mean = (Estimate.of_draws(value, x, level).interval for x in (run, mean))
        return cls(value, of_run, of_mean, run_share(of_mean, of_run))

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        return {
            "value": known(self.value),
            "interval": [known(x) for x in self.interval],
            "mean_interval": [known(x) for x in self.mean_interval],
            "run_share": self.run_share,
        }

    def __str__(self) -> str:
        run, mean = Estimate(self.value, self.interval), self.mean_interval
        return f"{run}, mean [{mean[0]:.4g}, {mean[1]:.4g}]   {run_share_text(self.run_share)}"


@dataclass(frozen=True)
class MixtureAnswer(Answer):
    """The best mixture.

    Attributes:
        goal: "minimise" or "maximise".
        columns: whose mean is minimised or maximised.
        shares: of every domain in the best mixture; intervals are those of the optimum over draws.
        predicted: per column, and "mean": the result of the best mixture, with intervals for one
            new run and for the mean of many.
        law: chosen by cross-validation; `scores` has the error of each (root mean square of
            logarithms), including the constant.
        runners_up: what the other laws would choose, and what they predict for it.
        limits: rows of domain, floor, cap.
        effects: rows of column, domain, effect, low, high: the effect of one more percentage point
            of a domain's share (with all others scaled down equally) at the mean mixture.
        next: mixtures to train next: those about which the fits know least, within the limits.
        best_run: the mixture of the table's best run, and its result.
    """

    goal: str
    columns: tuple[str, ...]
    shares: Mapping[str, Estimate]
    predicted: Mapping[str, PredictedResult]
    law: str
    scores: Mapping[str, float]
    runners_up: tuple[Mapping[str, Any], ...]
    limits: pl.DataFrame
    effects: pl.DataFrame
    next: tuple[Mapping[str, float], ...]
    best_run: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        return {
            "shares": {name: e.value for name, e in self.shares.items()},
            "share_intervals": {n: [known(x) for x in e.interval] for n, e in self.shares.items()},
            "predicted": {name: e.to_dict() for name, e in self.predicted.items()},
            "runners_up": [dict(r) for r in self.runners_up],
            "goal": self.goal,
            "columns": list(self.columns),
            "law": self.law,
            "scores": {name: known(x) for name, x in self.scores.items()},
            "limits": self.limits.to_dicts(),
            "effects": self.effects.to_dicts(),
            "next": [dict(m) for m in self.next],
            "best_run": dict(self.best_run),
            **self.about(),
        }

    def _card(self) -> Card:
        rows = [
            {"domain": n, "share": e.value, "low": e.interval[0], "high": e.interval[1]}
            for n, e in self.shares.items()
        ]
        return Card(self._heading(), pl.DataFrame(rows), self.notes, rows=self.effects)

    def _heading(self) -> str:
        what = self.columns[0] if len(self.columns) == 1 else f"the mean of {len(self.columns)}"
        return f"Best mixture to {self.goal} {what} by {self.law}: {self.status}"

    def __repr__(self) -> str:
        return f"<MixtureAnswer {self.goal} {', '.join(self.columns[:3])}>"

    def __str__(self) -> str:
        width = max(map(len, self.shares))
        lines = [f"{self._heading()} ({self.level:.0%} intervals)"]
        for name, e in sorted(self.shares.items(), key=lambda item: -item[1].value):
            low, high = e.interval
            if e.value >= 5e-4 or high >= 5e-3:
                lines.append(f"  {name:{width}s} {e.value:6.1%}   [{low:.1%}, {high:.1%}]")
        lines += [f"  predicted {name}: {e}" for name, e in self.predicted.items()]
        lines.append(f"  best run of the table: {self.best_run['value']:.4g}")
        scores = ", ".join(f"{name} {x:.2%}" for name, x in self.scores.items())
        lines.append(f"  error in cross-validation: {scores}")
        top = self.effects.group_by("domain", maintain_order=True).agg(pl.col("effect").mean())
        top = top.sort("effect", descending=self.goal == "maximise")
        lines.append(
            f"  helps most: {', '.join(top['domain'].head(3))}; "
            f"least: {', '.join(top['domain'].tail(3).reverse())}"
        )
        return "\n".join([*lines, *(f"  {n.severity}: {n.message}" for n in self.notes)])
