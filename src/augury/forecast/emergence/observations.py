"""Read a table of finetuned and few-shot scores into the arrays that emergence laws fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from augury.data.scores import add_value, check_one_metric, scores_of
from augury.data.table import cast_columns, fill_compute
from augury.errors import DataError, UsageError
from augury.fitting.optimise import round_up
from augury.forecast.emergence.density import Rows
from augury.forecast.emergence.laws import EmergenceLaw, Member, Scales
from augury.forecast.emergence.search import Floats

Scale = Literal["loss", "flops"]
# The smallest unit of the priors, in nats and in decades: a few late checkpoints do not make a
# large shift by finetuning less likely.
LEAST_UNIT = {"loss": 0.4, "flops": 1.0}
# Prior standard deviation of the base if chance is known, and if it is estimated from the data.
KNOWN_CHANCE, GUESSED_CHANCE = 0.02, 0.05
# A base below this, with counts, has its prior on the log scale, and is at least 1 in 1,000.
RARE, LEAST_BASE = 0.02, 1e-3
# The smallest D_0: log D_0 must be positive.
LEAST_AMOUNT = 2.0
# No run has 1e99 FLOPs.
NO_LIMIT = 99.0
# Each new study size costs 3 CPU-seconds of compiling; each row, padding included, costs a fit half
# a millisecond. So there are few sizes: rows and subsets are padded to at least these.
LEAST_ROWS, LEAST_SUBSETS = 128, 16


@dataclass(frozen=True)
class EmergenceData:
    """The fitted data. All arrays (n,), one entry per evaluation.

    Attributes:
        scale: "loss" (nats per token) or "flops".
        checkpoint: index into `checkpoints`.
        checkpoints: (M,) their names.
        place: (n,) loss, or FLOPs.
        amount: finetuning examples, 0 for few-shot.
        y: score.
        trials: number of instances or samples; all 0 if the table has no counts.
        stderr: standard error if there are no counts, 0 if unknown.
        subset: index of the (amount, subset) pair, -1 for few-shot rows.
        params: non-embedding parameters, NaN if unknown.
        chance: score of random guessing, NaN if unknown.
        few_shot_examples: N, the number in the prompt.
        low_data: D_0, the finetuning amount that counts as none.
        lowest_loss: in nats; no model goes below it, and the point of emergence lies above it.
    """

    scale: Scale
    checkpoints: tuple[str, ...]
    checkpoint: NDArray[np.int64]
    place: Floats
    amount: Floats
    y: Floats
    trials: Floats
    stderr: Floats
    subset: NDArray[np.int64]
    params: Floats
    chance: float
    few_shot_examples: int
    low_data: float
    lowest_loss: float = 0.0

    @property
    def counts(self) -> bool:
        return bool((self.trials > 0).all())

    @property
    def progress(self) -> Floats:
        """(n,) minus the loss, or log10 FLOPs: rises as a model gets better."""
        return progress_of(self.place, self.scale)

    @property
    def amounts(self) -> Floats:
        """Distinct finetuning amounts, ascending, without few-shot."""
        return np.unique(self.amount[self.amount > 0])

    @property
    def base(self) -> float:
        """Chance, or if unknown the median score of the least capable fifth of rows."""
        if np.isfinite(self.chance):
            return self.chance
        worst = self.progress <= np.quantile(self.progress, 0.2)
        return float(np.median(self.y[worst]))

    @property
    def log_amount(self) -> Floats:
        """(n,) log D, log D_0 for few-shot rows and for amounts below it."""
        return np.log(np.maximum(self.amount, self.low_data))

    @property
    def limit(self) -> float:
        """Progress that no model exceeds."""
        return -self.lowest_loss if self.scale == "loss" else NO_LIMIT

    @property
    def scales(self) -> Scales:
        x = self.progress
        span = float(x.max() - x.min())
        known = np.isfinite(self.chance)
        top = float(np.quantile(self.y, 0.98)) - self.base
        rare = self.counts and self.base < RARE
        return Scales(
            low=float(x.min()),
            span=span,
            unit=max(span, LEAST_UNIT[self.scale]),
            chance=max(self.base, LEAST_BASE) if rare else self.base,
            rare=float(rare),
            chance_sd=KNOWN_CHANCE if known else max(GUESSED_CHANCE * max(top, 0.2) * 4, 1e-6),
            height=max(top, 0.05 if self.counts else 1e-3),
            limit=self.limit,
            log_low=float(np.log(self.low_data)),
            log_high=float(max(self.log_amount.max(), np.log(self.low_data) + 0.1)),
        )

    def subset_rows(self, keep: NDArray[np.bool_]) -> EmergenceData:
        """Return the rows of a mask (n,): an ablation, or checkpoints held out."""
        at = np.unique(self.checkpoint[keep])
        return EmergenceData(
            scale=self.scale,
            checkpoints=tuple(self.checkpoints[i] for i in at),
            checkpoint=np.searchsorted(at, self.checkpoint[keep]),
            place=self.place[keep],
            amount=self.amount[keep],
            y=self.y[keep],
            trials=self.trials[keep],
            stderr=self.stderr[keep],
            subset=self.subset[keep],
            params=self.params[keep],
            chance=self.chance,
            few_shot_examples=self.few_shot_examples,
            low_data=self.low_data,
            lowest_loss=self.lowest_loss,
        )

    def rows(self, law: EmergenceLaw, room: int, groups: int) -> Rows:
        """Return the data padded to (room,) rows and (groups,) subsets."""
        n = len(self.y)
        first = np.unique(self.subset[self.subset >= 0], return_inverse=True)
        onehot = np.zeros((room, groups))
        onehot[np.flatnonzero(self.subset >= 0), first[1]] = 1.0

        def filled(values: Any, fill: float) -> Floats:
            out = np.full(room, fill)
            out[:n] = values
            return out

        own = self.scales
        return Rows(
            progress=filled(self.progress, own.low),
            log_amount=filled(self.log_amount, own.log_high),
            few=filled(self.amount == 0, 0.0),
            y=filled(self.y, own.chance),
            trials=filled(self.trials, 1.0),
            variance=filled(self.stderr**2, 1.0),
            weight=filled(1.0, 0.0),
            groups=onehot,
            scales=Scales(*(np.float64(s) for s in own)),
            law=law.member,
        )


def stacked(studies: Sequence[EmergenceData], laws: Sequence[EmergenceLaw]) -> Rows:
    """Stack (S, n) arrays of many studies, each with its law, padded to one of few sizes."""
    room = max(LEAST_ROWS, round_up(max(len(s.y) for s in studies)))
    subsets = max(len(np.unique(s.subset[s.subset >= 0])) for s in studies)
    groups = LEAST_SUBSETS if subsets <= LEAST_SUBSETS else round_up(subsets)
    parts = [s.rows(law, room, groups) for s, law in zip(studies, laws, strict=True)]
    return join(parts)


def join(parts: Sequence[Rows]) -> Rows:
    """Stack rows of equal room, (S, n) each."""
    arrays = ("progress", "log_amount", "few", "y", "trials", "variance", "weight", "groups")
    plain = {name: np.stack([getattr(p, name) for p in parts]) for name in arrays}
    scales = Scales(*(np.stack(column) for column in zip(*(p.scales for p in parts), strict=True)))
    law = Member(*(np.stack(column) for column in zip(*(p.law for p in parts), strict=True)))
    return Rows(**plain, scales=scales, law=law)


def progress_of(place: Any, scale: Scale) -> Floats:
    """Convert losses or FLOPs to progress, which rises as models get better."""
    place = np.asarray(place, float)
    return -place if scale == "loss" else np.log10(place)


def place_of(progress: Any, scale: Scale) -> Floats:
    """Convert progress to losses or FLOPs."""
    progress = np.asarray(progress, float)
    return -progress if scale == "loss" else 10.0**progress


def emergence_data(
    table: pl.DataFrame,
    scale: Scale = "loss",
    *,
    few_shot_examples: int | None = None,
    low_data: float | None = None,
    chance: float | None = None,
    lowest_loss: float = 0.0,
) -> EmergenceData:
    """Read a study of finetuned checkpoints from a table.

    Args:
        table: one row per evaluation. Required: `loss` or `flops` (of pretraining),
            `finetune_examples` (0 = few-shot), and `passes` with `samples`, or `value` (with `n` if
            it is a share of n instances, or with `stderr`). Used if present: model, step, seed,
            subset, shots, chance, params, tokens. One task by one metric: filter others out first.
        scale: "loss", nats per token, or "flops" if the loss is missing.
        few_shot_examples: N in the prompt of few-shot rows; by default their `shots`, else 5.
        low_data: D_0, the finetuning amount that counts as none; by default N, at least 2.
        chance: score of random guessing, if the table does not give it.
        lowest_loss: in nats; no model goes below it (for example, the floor of a fitted loss law).
            The point of emergence is searched above it.

    Returns:
        `EmergenceData`, for `fit_emergence`: arrays (n,), one entry per evaluation.

    Raises:
        DataError: a column is missing or a value is wrong; the error names row and column.
        UsageError: an option is out of range, or there are scores by several metrics.

    Examples:
        >>> sweep = augury.read_table("sweep.csv")
        >>> study = augury.emergence_data(sweep)
        >>> len(study.y), float(study.amount.max())
        (120, 7000.0)
    """
    if scale not in ("loss", "flops"):
        raise UsageError(f"no scale is called '{scale}'; there are: loss, flops")
    table = fill_compute(cast_columns(table, None))
    _need(table, [scale, "finetune_examples"])
    if table.is_empty():
        raise DataError("there are no rows", expected="one row per evaluation")
    if "task" in table.columns and table["task"].n_unique() > 1:
        names = ", ".join(sorted(str(t) for t in table["task"].unique())[:5])
        raise DataError("several tasks", column="task", value=names, expected="one; filter first")
    check_one_metric(add_value(table))
    if low_data is not None and not low_data >= LEAST_AMOUNT:
        raise UsageError(f"low_data must be at least {LEAST_AMOUNT:g} examples, not {low_data}")
    if few_shot_examples is not None and few_shot_examples < 0:
        raise UsageError(f"few_shot_examples cannot be negative: {few_shot_examples}")
    place = _numbers(table, scale, positive=True)
    if scale == "loss" and not 0 <= lowest_loss < place.min():
        raise UsageError(
            f"lowest_loss must lie between 0 and the lowest loss seen, {place.min():.4g}, not "
            f"{lowest_loss}"
        )
    amount = _numbers(table, "finetune_examples", positive=False)
    scores = scores_of(table)
    y, trials, stderr = scores.value, scores.trials, scores.stderr
    shots = _few_shots(table, amount) if few_shot_examples is None else few_shot_examples
    checkpoints, checkpoint = np.unique(_labels(table, place), return_inverse=True)
    params = (
        table["params"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        if "params" in table.columns
        else np.full(table.height, np.nan)
    )
    return EmergenceData(
        scale=scale,
        checkpoints=tuple(str(c) for c in checkpoints),
        checkpoint=checkpoint.astype(np.int64),
        place=place,
        amount=amount,
        y=y,
        trials=trials,
        stderr=stderr,
        subset=_subsets(table, amount),
        params=params,
        chance=_chance(table) if chance is None else float(chance),
        few_shot_examples=int(shots),
        low_data=float(low_data or max(shots, LEAST_AMOUNT)),
        lowest_loss=float(lowest_loss),
    )


def _need(table: pl.DataFrame, names: Sequence[str]) -> None:
    for name in names:
        if name not in table.columns:
            raise DataError(
                "the column is missing", column=name, expected=f"it, among {table.columns}"
            )


def _numbers(table: pl.DataFrame, name: str, *, positive: bool) -> Floats:
    values = table[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
    bad = ~np.isfinite(values) | (values <= 0 if positive else values < 0)
    if bad.any():
        i = int(np.argmax(bad))
        raise DataError(
            "not usable",
            row=i + 1,
            column=name,
            value=table[name][i],
            expected="a positive number" if positive else "0 (few-shot) or more examples",
        )
    return np.asarray(values, float)


def _few_shots(table: pl.DataFrame, amount: Floats) -> int:
    if "shots" not in table.columns:
        return 5
    own = table["shots"].to_numpy()[amount == 0]
    own = own[np.isfinite(own.astype(float))]
    if len(np.unique(own)) > 1:
        raise DataError(
            "few-shot rows differ in their number of shots",
            column="shots",
            value=", ".join(str(int(s)) for s in np.unique(own)),
            expected="one number; filter first, or give few_shot_examples",
        )
    return int(own[0]) if len(own) else 5


def _chance(table: pl.DataFrame) -> float:
    if "chance" not in table.columns:
        return float("nan")
    own = table["chance"].drop_nulls().unique().to_list()
    if len(own) > 1:
        raise DataError(
            "the chance score differs between rows",
            column="chance",
            value=", ".join(f"{c:g}" for c in sorted(own)[:5]),
            expected="one number: one task",
        )
    return float(own[0]) if own else float("nan")


def _labels(table: pl.DataFrame, place: Floats) -> NDArray[np.str_]:
    """Return each row's checkpoint: model, step and params together, or else its place."""
    key = [c for c in ("family", "model", "run", "params", "step", "tokens") if c in table.columns]
    if not key or not {"model", "run", "step"} & set(key):
        return np.array([f"{x:.6g}" for x in place])
    parts = [table[c].cast(pl.String).fill_null("").to_list() for c in key]
    where = [f"{x:.6g}" for x in place]
    return np.array([" ".join((*row, at)) for *row, at in zip(*parts, where, strict=True)])


def _subsets(table: pl.DataFrame, amount: Floats) -> NDArray[np.int64]:
    """Return the index of each row's (amount, subset) pair, -1 for few-shot rows."""
    subset = (
        table["subset"].cast(pl.String).fill_null("").to_list()
        if "subset" in table.columns
        else [""] * table.height
    )
    pairs = [(a, s) if a > 0 else None for a, s in zip(amount, subset, strict=True)]
    order = {p: i for i, p in enumerate(sorted({p for p in pairs if p is not None}))}
    return np.array([-1 if p is None else order[p] for p in pairs], dtype=np.int64)
