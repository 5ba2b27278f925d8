"""Notes on a finished fit: bends, assumptions that matter, and how far away the point is."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy import stats

from augury.data.scores import ABOVE_CHANCE
from augury.forecast.emergence.density import expected, row_terms
from augury.forecast.emergence.laws import elbow, natural, score_above_base, steepness
from augury.forecast.emergence.observations import RARE, place_of, stacked
from augury.forecast.emergence.result import EmergenceFit, EmergenceStatus, LawFit
from augury.forecast.emergence.search import Floats
from augury.notes import Note
from augury.runtime.compiling import jit

# Held-out checkpoints contradict a law that trails by this many standard errors and nats.
SURE, NATS = 1.5, 2.0
# At this effective sample size a 5 % quantile rests on five draws.
ENOUGH_DRAWS = 100.0
# R-hat and effective sample size as in augury.fitting.posterior.
WORST_RHAT, LEAST_ESS = 1.01, 200.0
# How far the point may move between D_0 = N and 10 N, in interval widths, before it is a warning.
LOW_DATA = 0.25
# A drift of the elbow with model size is reported below this one-sided p-value.
SIZE_P = 0.01
# A few-shot score contradicts the law if it is off by this many standard errors and by .03, or by
# .01 where guessing almost never passes. Checkpoints at chance differ by .02 on multiple choice.
# Two checkpoints must do so.
FAR_OFF, RARE_DISTANCE, FEWEST_OFF = 3.5, 0.01, 2


def contradicted(fit: EmergenceFit) -> tuple[EmergenceStatus, list[Note]]:
    """Whether few-shot scores are where the law says; ANSWERED if so, or if they cannot tell."""
    data = fit.data
    few = data.amount == 0
    error = np.sqrt(np.maximum(data.y * (1 - data.y), 1 / np.maximum(data.trials, 1)))
    error = error / np.sqrt(np.maximum(data.trials, 1)) if data.counts else data.stderr
    told = few & (error > 0)
    if not told.any():
        return EmergenceStatus.ANSWERED, []
    wanted = predicted(fit, fit.fits[int(np.argmax(fit.weights))])
    off = data.y - wanted
    distance = RARE_DISTANCE if data.base < RARE else ABOVE_CHANCE
    wrong = told & (np.abs(off) > distance) & (np.abs(off) > FAR_OFF * error)
    where = np.flatnonzero(wrong)
    if len(np.unique(data.checkpoint[where])) < FEWEST_OFF:
        return EmergenceStatus.ANSWERED, []
    worst = where[np.argmax(np.abs(off[where]))]
    name = data.checkpoints[data.checkpoint[worst]]
    status = EmergenceStatus.CONTRADICTED
    return status, [
        Note(
            "few-shot-misfit",
            "serious",
            f"{len(where)} of {int(told.sum())} few-shot scores are not where the law puts them: "
            f"{name} scores {data.y[worst]:.3g} instead of {wanted[worst]:.3g}. {status.remedy}",
            {
                "off": len(where),
                "checkpoint": str(name),
                "score": float(data.y[worst]),
                "expected": float(wanted[worst]),
            },
        )
    ]


def predicted(fit: EmergenceFit, f: LawFit) -> Floats:
    """(n,) expected score of every row, at the peak of a law."""
    import jax

    rows = jax.tree.map(lambda a: a[0], stacked([fit.data], [f.law]))
    with jax.enable_x64(True):
        found = _expected()(f.peak, rows)
    return np.asarray(found)[: len(fit.data.y)]


@lru_cache(maxsize=1)
def _expected() -> Any:
    """Compiled: coordinates and rows -> expected scores."""

    def predict(z: Any, rows: Any) -> Any:
        return expected(natural(z, rows.law, rows.scales), rows)

    return jit(predict)


def notes_on(fit: EmergenceFit) -> list[Note]:
    """All notes that need the fit."""
    return [*_draws(fit), *_bends(fit), *_low_data(fit), *_sizes(fit), *_far(fit)]


def _draws(fit: EmergenceFit) -> list[Note]:
    notes = []
    for f, weight in zip(fit.fits, fit.weights, strict=True):
        found = f.diagnostics
        size = found.get("effective_size", np.inf)
        if fit.uncertainty == "importance" and size < ENOUGH_DRAWS and weight > 0.05:
            notes.append(
                Note(
                    "few-draws",
                    "warning",
                    f"The effective sample size of '{f.law}' is only {size:.0f}: use "
                    "uncertainty='nuts'.",
                    dict(found),
                )
            )
        if "rhat" in found and (found["rhat"] > WORST_RHAT or found["ess"] < LEAST_ESS):
            notes.append(
                Note(
                    "chains-disagree",
                    "warning",
                    f"The chains of '{f.law}' have not mixed (R-hat {found['rhat']:.3f}, effective "
                    f"sample size {found['ess']:.0f} for the point of emergence).",
                    dict(found),
                )
            )
    return notes


def _bends(fit: EmergenceFit) -> list[Note]:
    """Whether held-out checkpoints contradict the one-slope ReLU."""
    names = [str(f.law) for f in fit.fits]
    if "relu" not in names or not fit.scores.size:
        return []
    k = names.index("relu")
    best = int(np.argmax(fit.scores.sum(1)))
    gap = fit.scores[best] - fit.scores[k]
    lead, error = float(gap.sum()), float(np.sqrt(len(gap)) * gap.std(ddof=1))
    if best == k or lead < max(NATS, SURE * error):
        return []
    points = place_of(np.array([np.median(fit.law_draws(j)) for j in (k, best)]), fit.data.scale)
    return [
        Note(
            "relu-misfit",
            "warning",
            f"One straight slope past the elbow does not fit: '{names[best]}' predicts held-out "
            f"checkpoints better by {lead:.1f} nats (standard error {error:.1f}). The ReLU alone "
            f"would put the point at {points[0]:.4g}, not {points[1]:.4g}.",
            {"lead": lead, "error": error, "better": names[best]},
        )
    ]


def _low_data(fit: EmergenceFit) -> list[Note]:
    """How much the point depends on the amount that counts as no finetuning."""
    base = fit.data.low_data
    middle = [np.median(fit.point_draws(low_data=k * base)) for k in (1, 3, 10)]
    values = place_of(np.array(middle), fit.data.scale)
    told = {f"{k}x": float(v) for k, v in zip((1, 3, 10), values, strict=True)}
    low, high = np.quantile(fit.point_draws(), [0.05, 0.95], method="nearest")
    matters = abs(middle[2] - middle[0]) > LOW_DATA * (high - low)
    return [
        Note(
            "low-data",
            "warning" if matters else "info",
            f"D_0 = {base:g} examples count as no finetuning; with {3 * base:g} or {10 * base:g} "
            f"the point would be {values[1]:.4g} or {values[2]:.4g}, not {values[0]:.4g}.",
            told,
        )
    ]


@lru_cache(maxsize=4)
def _residuals(counts: bool) -> Any:
    """Compiled: residuals and slopes at a peak, (n,) each, divided by their standard errors."""
    import jax.numpy as jnp

    def at(z: Any, rows: Any) -> Any:
        p = natural(z, rows.law, rows.scales)
        mean = expected(p, rows)
        past = rows.progress - elbow(p, rows.log_amount, rows.law.kind, rows.scales)
        _, slope = score_above_base(p, past, steepness(p, rows.log_amount, rows.scales))
        _, score, information = row_terms(p, mean, slope, rows, counts=counts)
        return score / jnp.sqrt(information), slope * jnp.sqrt(information)

    return jit(at)


def residuals(fit: EmergenceFit, f: LawFit) -> tuple[Floats, Floats]:
    """(n,) residuals in standard errors; (n,) how far one unit of progress would move them."""
    import jax

    rows = jax.tree.map(lambda a: a[0], stacked([fit.data], [f.law]))
    with jax.enable_x64(True):
        off, slope = _residuals(fit.data.counts)(f.peak, rows)
    n = len(fit.data.y)
    return np.asarray(off)[:n], np.asarray(slope)[:n]


def _sizes(fit: EmergenceFit) -> list[Note]:
    """Whether larger models leave chance earlier or later than their loss says."""
    data = fit.data
    size = np.log2(data.params)
    if not np.isfinite(size).all() or len(np.unique(size)) < 2:
        return []
    off, slope = residuals(fit, fit.fits[int(np.argmax(fit.weights))])
    # Each checkpoint's shift of the elbow, then the trend over sizes: the unit is the checkpoint.
    shift, sizes, weight = [], [], []
    for m in range(len(data.checkpoints)):
        own = data.checkpoint == m
        held = float((slope[own] ** 2).sum())
        if held * data.scales.unit**2 > 25.0:  # past its elbow, known to a fifth of the unit
            shift.append(float((off[own] * slope[own]).sum()) / held)
            sizes.append(float(size[own][0]))
            weight.append(1.0)
    if len(shift) < 4 or len(np.unique(sizes)) < 2:
        return []
    found = stats.linregress(sizes, shift)
    if found.pvalue > 2 * SIZE_P:
        return []
    name = "nats" if data.scale == "loss" else "decades of FLOPs"
    later = "later" if found.slope < 0 else "earlier"
    return [
        Note(
            "by-size",
            "warning",
            f"At equal {'loss' if data.scale == 'loss' else 'compute'}, a model twice as large "
            f"leaves chance {abs(found.slope):.3g} {name} {later}: the point differs for larger "
            "models.",
            {"per_doubling": float(found.slope), "p": float(found.pvalue)},
        )
    ]


def _far(fit: EmergenceFit) -> list[Note]:
    data = fit.data
    ahead = float(np.median(fit.point_draws())) - float(data.progress.max())
    if ahead <= 0:
        return []
    name = "nats" if data.scale == "loss" else "decades of FLOPs"
    return [
        Note(
            "ahead",
            "info" if ahead < data.scales.unit else "warning",
            f"The point lies {ahead:.3g} {name} beyond the best checkpoint.",
            {"ahead": ahead},
        )
    ]
