"""A task split by the difficulty of its instances: easy, medium, hard.

Easy questions may rise, fall and rise again while hard ones fall and then rise; together they look
flat, and then jump (arXiv 2410.01692). The scores under analysis must not define an instance's
difficulty: an instance that happened to do well would count as easy and fall later, by regression
to the mean alone. So each run's instances are sorted by the *other* runs' results.
"""

from __future__ import annotations

import polars as pl

from augury.errors import DataError, UsageError
from augury.forecast.trends.series import run_of

NAMES = {2: ("easy", "hard"), 3: ("easy", "middling", "hard")}


def by_difficulty(table: pl.DataFrame, groups: int = 3) -> pl.DataFrame:
    """Build a table of task means per difficulty, for `trends`.

    Args:
        table: rows of single instances: task, instance, value (0 to 1), a run, and its progress.
        groups: 2 or 3, of equal size.

    Returns:
        The other columns of the table without instance; `task` is "NAME, easy" and so on; value the
        mean over instances, n their number.

    Raises:
        UsageError: groups is neither 2 nor 3.
        DataError: there are no rows of instances, or only one run.
    """
    if groups not in NAMES:
        raise UsageError(f"groups must be 2 or 3, not {groups}")
    for name in ("task", "instance", "value"):
        if name not in table.columns:
            raise DataError("the column is missing", column=name, expected="rows of instances")
    rows = table.with_columns(__run__=pl.Series(run_of(table))).filter(
        pl.col("instance").is_not_null() & pl.col("value").is_not_null()
    )
    if rows["__run__"].n_unique() < 2:
        raise DataError(
            "difficulty is judged by other runs, and there is only one",
            value=rows["__run__"].n_unique(),
            expected="instances of at least two runs",
        )
    key = ["task", "metric", "instance"] if "metric" in rows.columns else ["task", "instance"]
    total, own = pl.col("value").sum(), pl.col("value").count()
    sums = rows.group_by([*key, "__run__"]).agg(total.alias("s"), own.alias("c"))
    others = sums.with_columns(
        ((pl.col("s").sum() - pl.col("s")) / (pl.col("c").sum() - pl.col("c")))
        .over(key)
        .alias("ease")
    ).filter(pl.col("ease").is_finite())
    within = [*(k for k in key if k != "instance"), "__run__"]
    place = pl.col("ease").rank("ordinal", descending=True).over(within) - 1
    share = place * groups // pl.len().over(within)
    named = others.with_columns(share.cast(pl.Int64).alias("__group__")).select(
        [*key, "__run__", "__group__"]
    )
    joined = rows.join(named, on=[*key, "__run__"], how="inner")
    kept = [c for c in table.columns if c not in ("instance", "value", "n", "stderr", "logprob")]
    label = pl.col("__group__").replace_strict(dict(enumerate(NAMES[groups])))
    return (
        joined.with_columns(task=pl.col("task") + ", " + label)
        .group_by(kept, maintain_order=True)
        .agg(value=pl.col("value").mean(), n=pl.len().cast(pl.Float64))
    )
