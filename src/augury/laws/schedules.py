"""What a learning-rate schedule did up to each step of a run: the columns that its laws take.

A step counts by its learning rate, so that progress is the sum of learning rates; each decrease
lowers the loss further, the more learning follows it. A schedule of 100,000 steps is too long to
repeat in every row of a log: its decreases are gathered into a few dozen segments, each with its
mean position, so that a sudden drop stays exactly where it was.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from augury.errors import DataError

Floats = NDArray[np.float64]

# Number of segments of a schedule. With 128, predictions of the multi-power law at its published
# constants differ by at most 2e-4 nats from the sum over every step, on all 27 curves it was
# published with.
SEGMENTS = 128
# An increase counts as this fraction of a decrease where segments are placed: a warm-up is long
# past.
WARM_UP_SHARE = 0.1
# Decay of the momentum law's memory of past decreases, per step (Tissue et al. 2024).
MEMORY = 0.999
COLUMNS = ("lr_sum", "lr_drop", "drop", "drop_lr", "drop_since")


def with_schedule(
    log: pl.DataFrame,
    schedule: pl.DataFrame | None = None,
    *,
    segments: int = SEGMENTS,
    memory: float = MEMORY,
) -> pl.DataFrame:
    """Add the columns that laws over a whole run take to the log of a run.

    Args:
        log: one run's log: `step` and, without `schedule`, `lr`, the learning rate of that step.
        schedule: `step` and `lr`, if the learning rate was not logged or will change from now on.
            It is interpolated between its steps; before the first, it rises from 0 (a linear
            warm-up).
        segments: number of segments into which the decreases are gathered.
        memory: decay per step in `lr_drop`.

    Returns:
        The log with `lr_sum` (sum of the learning rates so far), `lr_drop` (sum of the decreases,
        each fading from memory: m_t = memory m_(t-1) + decrease, summed), and three lists: `drop`
        (decrease of the learning rate in each segment), `drop_lr` (learning rate after it), and
        `drop_since` (learning rates summed since).

    Raises:
        DataError: a column is missing, or steps or rates are not positive numbers.
    """
    given = log if schedule is None else schedule
    for name, table in (("step", log), ("step", given), ("lr", given)):
        if name not in table.columns or not table[name].dtype.is_numeric():
            raise DataError("the column is missing or holds no numbers", column=name,
                            expected="steps, and the learning rate of each")  # fmt: skip
    steps, rates = (given[n].cast(pl.Float64).fill_null(np.nan).to_numpy() for n in ("step", "lr"))
    for name, values, low in (("step", steps, 0.0), ("lr", rates, 0.0)):
        bad = ~(np.isfinite(values) & (values >= low))
        if bad.any():
            i = int(np.argmax(bad))
            raise DataError("the value cannot be used", row=i + 1, column=name,
                            value=given[name][i], expected="0 or a positive number")  # fmt: skip
    at = log["step"].cast(pl.Int64).to_numpy()
    order = np.argsort(steps, kind="stable")
    every = np.arange(1, max(int(at.max()), 1) + 1)
    rate = np.interp(every, np.r_[0.0, steps[order]], np.r_[0.0, rates[order]])
    if steps[order][0] <= 1:  # a schedule that starts at its first step has no warm-up to infer
        rate = np.interp(every, steps[order], rates[order])
    columns = schedule_columns(rate, at, segments=segments, memory=memory)
    return log.with_columns(pl.Series(name, list(values) if values.ndim > 1 else values)
                            for name, values in columns.items())  # fmt: skip


def schedule_columns(
    rate: Floats, at: NDArray[np.int64], *, segments: int = SEGMENTS, memory: float = MEMORY
) -> dict[str, Floats]:
    """Compute the columns of `with_schedule` from the learning rate of every step.

    Args:
        rate: (T,) learning rates of steps 1 to T.
        at: (n,) steps, 1 to T.
        segments: number of segments into which decreases are gathered.
        memory: decay per step in `lr_drop`.

    Returns:
        `lr_sum` and `lr_drop` (n,); `drop`, `drop_lr` and `drop_since` (n, segments).
    """
    total = np.cumsum(rate)
    fall = np.r_[0.0, rate[:-1] - rate[1:]]
    before = total - rate
    every, peak = np.arange(len(rate)), int(np.argmax(rate))  # a schedule warms up until its peak
    # Cumulative sums over steps, whose differences give those of any segment: of decreases, and of
    # their positions weighted by size.
    size = np.abs(fall)
    sums = [np.r_[0.0, np.cumsum(x)] for x in
            (fall, size, size * np.log(np.maximum(rate, 1e-300)), size * before)]  # fmt: skip
    ends = np.minimum(_segment_ends(fall, segments)[None], at[:, None])
    drop, weight, log_rate, place = (np.diff(s[ends], axis=1) for s in sums)
    some = weight > 0
    safe = np.where(some, weight, 1.0)
    now = total[at - 1]
    return {
        "lr_sum": now,
        "lr_drop": np.cumsum(_faded(np.where(every > peak, fall, 0.0), memory))[at - 1],
        "drop": drop,
        "drop_lr": np.where(some, np.exp(np.minimum(log_rate / safe, 0.0)), 1.0),
        "drop_since": np.where(some, np.maximum(now[:, None] - place / safe, 0.0), 0.0),
    }


def _segment_ends(fall: Floats, segments: int) -> NDArray[np.int64]:
    """Return the (segments + 1,) steps at which segments end, half by steps, half by decrease."""
    change = np.cumsum(np.where(fall > 0, fall, -WARM_UP_SHARE * fall))
    steps = np.arange(1, len(fall) + 1)
    share = steps / len(fall) + (change / change[-1] if change[-1] > 0 else 0.0)
    ends = np.searchsorted(share, share[-1] * np.arange(1, segments) / segments) + 1
    return np.r_[0, ends, len(fall)]


def _faded(fall: Floats, memory: float) -> Floats:
    """Compute (T,) m_t = memory m_(t-1) + fall_t."""
    from scipy.signal import lfilter

    return np.asarray(lfilter([1.0], [1.0, -memory], fall))
