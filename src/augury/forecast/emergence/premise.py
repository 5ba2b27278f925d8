"""The premise of an emergence law: scores depend on the loss, not on size or amount.

The law assumes that finetuning only reveals sooner what pretraining has taught. Then, at every
amount, a checkpoint's score depends on its loss (or its FLOPs), whatever its size. If finetuning
*teaches* the task instead, larger models score better at equal loss, and the scores say nothing
about few-shot emergence. So the scores of each amount are regressed on the loss and on the size,
monotonically and without a formula, and the explained shares of variance over all amounts are
compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from augury.forecast.emergence.ensemble import Floats
from augury.forecast.emergence.observations import EmergenceData

# The premise holds where the loss explains this share of the variance over all amounts whose scores
# have risen, and this much more than the size explains. Error rates in simulation:
# tests/claims/test_premise.py.
LEAST_SHARE, LEAD = 0.85, 0.3
# It is refuted where the size explains this much, and almost as much as the loss, within this.
BY_SIZE, CLOSE = 0.4, 0.15
# Fewest checkpoints of an amount for shares to mean anything.
FEWEST = 6
# An amount counts where its best checkpoints, the top tenth, score this far above chance and this
# many times the scatter of scores at chance.
RISEN, CLEAR = 0.05, 4.0
# Where the size explains this share of the losses themselves (one checkpoint per size, say), the
# two cannot be told apart.
CONFOUNDED = 0.9
# Number of amounts that fall short and are named in the message.
MOST_NAMED = 6


@dataclass(frozen=True)
class Premise:
    """Whether scores depend on the loss.

    Attributes:
        holds: True where the loss explains at least .85 of the variance of scores that have risen,
            and .3 more than the size does; False where the size explains about as much (never on
            FLOPs, which follow it); None where the checkpoints cannot say.
        on_loss: share explained by the loss (or FLOPs), over all amounts that count; NaN if none.
        on_size: share explained by the size, NaN if sizes are unknown.
        shares: amount -> (share by loss, share by size).
        confounded: whether the checkpoints' losses follow their sizes; then nobody can tell.
        axis: the measure of progress, "loss" or "compute".
    """

    holds: bool | None
    on_loss: float
    on_size: float
    shares: dict[float, tuple[float, float]]
    confounded: bool = False
    axis: str = "loss"

    def __str__(self) -> str:
        """The shares, the rule that judges them, and the amounts that fall short of it."""
        if not self.shares:
            return "The premise cannot be checked: no amount's scores have risen at six checkpoints"
        told = f"the {self.axis} explains {_percent(self.on_loss)} of the variance of risen scores"
        if not np.isfinite(self.on_size):
            rule = f"{_percent(LEAST_SHARE)} or more needed; the sizes are unknown or all the same"
            return f"{self._verdict()}: {told} ({rule}){self._short()}"
        told += f", the size {_percent(self.on_size)}"
        if self.confounded:
            return f"{self._verdict()}: {told}, but {self.axis} follows the size"
        rule = f"{_percent(LEAST_SHARE)} or more needed, and {_points(LEAD)} more than the size"
        if self.holds is False:
            rule += (
                f"; refuted where the size explains {_percent(BY_SIZE)} or more and is less than "
                f"{_points(CLOSE)} behind"
            )
        return f"{self._verdict()}: {told} ({rule}){self._short()}"

    def _verdict(self) -> str:
        if self.holds is None:
            return "The premise is open"
        return "The premise holds" if self.holds else "The premise is refuted"

    def _short(self) -> str:
        """The amounts that fall short by themselves, with their shares."""
        if self.holds:
            return ""
        short = [a for a, (loss, size) in self.shares.items() if not _enough(loss, size)]
        if not short:
            return ""
        parts = []
        for amount in short[:MOST_NAMED]:
            by_loss, by_size = self.shares[amount]
            size = f" against {_percent(by_size)}" if np.isfinite(by_size) else ""
            parts.append(f"{amount:.0f} ({_percent(by_loss)}{size})")
        more = len(short) - MOST_NAMED
        if more > 0:
            parts.append(f"and {more} more")
        return f". Short of it by amount: {', '.join(parts)}"

    def to_dict(self) -> dict[str, float | bool | None]:
        """Ready for JSON: {holds, on_loss, on_size}."""
        return {
            "holds": self.holds,
            "on_loss": float(self.on_loss) if np.isfinite(self.on_loss) else None,
            "on_size": float(self.on_size) if np.isfinite(self.on_size) else None,
        }


def check_premise(data: EmergenceData) -> Premise:
    """Compare how well loss and size explain the scores of each amount.

    Shares are of the variance beyond noise. The noise comes from weak checkpoints at chance,
    few-shot or finetuned on the smallest amount: their scores scatter only by luck and counting.

    Args:
        data: a study; `params` gives the sizes.

    Source: ours; thresholds in the loss are Du et al. 2024 (arXiv 2403.15796).
    """
    noise = _noise(data)
    axis = "loss" if data.scale == "loss" else "compute"
    shares: dict[float, tuple[float, float]] = {}
    totals = np.zeros(3)
    sizes_known = bool(np.isfinite(data.params).all() and len(np.unique(data.params)) > 1)
    least = RISEN if data.base > RISEN / 5 else 0.0
    for amount in np.unique(data.amount):
        rows = data.amount == amount
        ids, first = np.unique(data.checkpoint[rows], return_index=True)
        if len(ids) < FEWEST:
            continue
        y = np.array([data.y[rows & (data.checkpoint == i)].mean() for i in ids])
        total = float(((y - y.mean()) ** 2).sum()) - (len(y) - 1) * noise
        top = float(np.quantile(y, 0.9)) - data.base
        if top < max(least, CLEAR * np.sqrt(noise)) or total <= 0:
            continue
        x, size = data.progress[rows][first], data.params[rows][first]
        by_loss = unexplained(x, y, noise)
        # Larger models may be better or worse at equal loss: in both cases the size decides.
        by_size = min(unexplained(size, y, noise), unexplained(-size, y, noise))
        left = np.minimum([by_loss, by_size], total)
        totals += [*left, total]
        shares[float(amount)] = _shares(left, total, sizes_known)
    if not shares:
        return Premise(None, np.nan, np.nan, {}, axis=axis)
    on_loss, on_size = _shares(totals[:2], totals[2], sizes_known)
    if sizes_known and _losses_follow_sizes(data):
        return Premise(None, on_loss, on_size, shares, confounded=True, axis=axis)
    return Premise(_verdict(on_loss, on_size, axis), on_loss, on_size, shares, axis=axis)


def _losses_follow_sizes(data: EmergenceData) -> bool:
    """Whether a rising function of the size gives the checkpoints' progress."""
    _, first = np.unique(data.checkpoint, return_index=True)
    x, size = data.progress[first], data.params[first]
    return unexplained(size, x) < (1.0 - CONFOUNDED) * float(((x - x.mean()) ** 2).sum())


def _shares(left: Floats, total: float, sizes_known: bool) -> tuple[float, float]:
    """Shares of a variance that loss and size explain, from their residual variances."""
    by_loss, by_size = (1.0 - np.asarray(left) / total).tolist()
    return by_loss, by_size if sizes_known else np.nan


def _verdict(on_loss: float, on_size: float, axis: str) -> bool | None:
    """Whether the premise holds, from the shares by loss (or FLOPs) and by size."""
    if _enough(on_loss, on_size):
        return True
    # For models trained on similar numbers of tokens, or unequally well, FLOPs say no more than the
    # size: that does not mean that finetuning teaches.
    refuted = axis == "loss" and on_size >= BY_SIZE and on_loss - on_size < CLOSE
    return False if refuted else None


def _enough(on_loss: float, on_size: float) -> bool:
    """Whether the loss explains enough, and enough more than the size, if that is known."""
    return on_loss >= LEAST_SHARE and not on_loss - on_size < LEAD


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _points(share: float) -> str:
    return f"{100 * share:.0f} points"


def unexplained(x: Floats, y: Floats, noise: float = 0.0) -> float:
    """Squared residuals of (n,) `y` from the best rising function of (n,) `x`, less the noise.

    Args:
        x, y: points.
        noise: unexplainable variance of `y`.
    """
    _, index = np.unique(x, return_inverse=True)
    count = np.bincount(index).astype(float)
    mean = np.bincount(index, y) / count
    fitted = isotonic_regression(mean, weights=count).x
    spare = len(y) - len(np.unique(fitted))
    return max(float(((y - fitted[index]) ** 2).sum()) - spare * noise, 0.0)


def _noise(data: EmergenceData) -> float:
    """Variance of scores at chance: the weakest third of the checkpoints, least finetuned."""
    rows = data.amount <= np.unique(data.amount)[:2].max()
    weak = rows & (data.progress <= np.quantile(data.progress[rows], 1 / 3))
    y = data.y[weak]
    counting = 0.0
    if data.counts:
        rate = float(np.clip(data.base, 1e-3, 1 - 1e-3))
        counting = rate * (1 - rate) / float(data.trials[weak].mean())
    # By the median: otherwise a few strong models with a weak loss would count as noise.
    scatter = 1.4826 * float(np.median(np.abs(y - np.median(y))))
    return max(scatter**2, counting, 1e-12)
