"""From scored forecasts to the record: one row per kind, corpus, half and forecaster."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from augury.forecast.score import weighted_interval_score
from benchmarks.scorecard.baselines import LEVELS
from benchmarks.scorecard.cases import Case, Floats

REFERENCE = "line"
RESAMPLES = 1000
TINY = 1e-300
# Forecasts of a score always lie between 0 and 1.
LOWEST, HIGHEST = 0.0, 1.0


def scored(case: Case, half: str, forecaster: str, quantiles: Floats) -> list[dict[str, Any]]:
    """One row per target: scores on the natural scale, coverage of the 90 % interval, width."""
    truth = case.truth
    if case.scale == "log":
        quantiles, truth = np.log(np.maximum(quantiles, TINY)), np.log(np.maximum(truth, TINY))
    else:
        quantiles = np.clip(quantiles, LOWEST, HIGHEST)
    below = truth - quantiles
    pinball = np.maximum(LEVELS[:, None] * below, (LEVELS[:, None] - 1) * below)
    low, middle, high = quantiles[0], quantiles[len(LEVELS) // 2], quantiles[-1]
    wis = weighted_interval_score(middle, low, high, truth, 0.9)
    return [
        {
            "kind": case.kind, "corpus": case.corpus, "half": half, "ladder": case.ladder,
            "cut": case.cut, "target": i, "forecaster": forecaster,
            "wis": float(wis[i]), "crps": float(2 * pinball[:, i].mean()),
            "held": bool(low[i] - 1e-12 <= truth[i] <= high[i] + 1e-12),
            "width": float(high[i] - low[i]), "error": float(abs(middle[i] - truth[i])),
        }
        for i in range(len(truth))
    ]  # fmt: skip


def record_of(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """The record, corpus "all" for all of a kind and half.

    Skill is 1 - (score / score of the line) over the targets that both forecast, WIS averaged over
    a corpus' targets; over corpora, one less the geometric mean of these ratios. Its 90 % interval
    resamples ladders (of a corpus with a single ladder, its cuts), by draws of the kind and half's
    own, so that a part of the record can be made again alone.
    """
    out = []
    for (kind, half), own in rows.group_by("kind", "half", maintain_order=True):
        rng = np.random.default_rng(0)
        names = own["forecaster"].unique(maintain_order=True).to_list()
        corpora = own["corpus"].unique(maintain_order=True).to_list()
        ratios = {n: [_ratios(own.filter(corpus=c), n, rng) for c in corpora] for n in names}
        for name in names:
            mine = own.filter(forecaster=name)
            for corpus, ratio in zip(corpora, ratios[name], strict=True):
                part = mine.filter(corpus=corpus)
                if part.height:
                    out.append(_row(kind, corpus, half, name, part, ratio))
            there = [r for r in ratios[name] if r is not None]
            together = np.exp(np.mean(np.log(there), axis=0)) if there else None
            out.append(_row(kind, "all", half, name, mine, together))
    return out


def _row(
    kind: Any, corpus: str, half: Any, name: str, rows: pl.DataFrame, ratio: Floats | None
) -> dict[str, Any]:
    mean = {n: _rounded(rows[n].mean()) for n in ("wis", "crps", "held", "width")}
    skill = None
    if ratio is not None:
        low, high = np.quantile(1 - ratio[1:], [0.05, 0.95])
        skill = {"value": _rounded(1 - ratio[0]), "interval": [_rounded(low), _rounded(high)]}
    return {
        "kind": kind, "corpus": corpus, "half": half, "forecaster": name, "n": rows.height,
        "wis": mean["wis"], "crps": mean["crps"], "coverage90": mean["held"],
        "width90": _rounded(rows["width"].median()), "median_error": _rounded(
            rows["error"].median()), "skill": skill,
    }  # fmt: skip


def _rounded(x: Any) -> float:
    """Four digits, which a re-run on another machine reproduces."""
    return float(f"{float(x):.4g}")


def _ratios(rows: pl.DataFrame, name: str, rng: np.random.Generator) -> Floats | None:
    """(1 + RESAMPLES,) WIS relative to the line's: for all, then for resampled clusters."""
    keys = ["ladder", "cut", "target"]
    line = rows.filter(forecaster=REFERENCE).select(*keys, base="wis")
    both = rows.filter(forecaster=name).join(line, on=keys, maintain_order="left")
    if both.is_empty():
        return None
    by = ["ladder"] if both["ladder"].n_unique() > 1 else ["ladder", "cut"]
    sums = both.group_by(by, maintain_order=True).agg(pl.col("wis", "base").sum())
    wis, base = sums["wis"].to_numpy(), sums["base"].to_numpy()
    draws = rng.integers(0, len(wis), size=(RESAMPLES, len(wis)))
    top = np.concatenate([[wis.sum()], wis[draws].sum(1)])
    bottom = np.concatenate([[base.sum()], base[draws].sum(1)])
    return np.maximum(top, 1e-12) / np.maximum(bottom, 1e-12)
