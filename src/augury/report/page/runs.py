"""Runs and versions on a page: names that distinguish runs, and relevant packages."""

from __future__ import annotations

from importlib.metadata import version

import polars as pl

# Packages that the numbers depend on.
PACKAGES = ("augury", "jax", "numpy", "scipy", "polars", "altair", "vl-convert-python")


def name_models(table: pl.DataFrame) -> pl.DataFrame:
    """Give each run one name: models that differ only in step or seed are distinguished."""
    return table.with_columns(model=_label(table)) if "model" in table.columns else table


def name_runs(table: pl.DataFrame) -> pl.DataFrame:
    """Add a column `run` that distinguishes models that differ only in step or seed."""
    return table.with_columns(run=_label(table))


def versions() -> dict[str, str]:
    """Return the versions of the packages that the numbers depend on."""
    return {f"version of {name}": version(name) for name in PACKAGES}


def _label(table: pl.DataFrame) -> pl.Expr:
    parts = [pl.col("model")] if "model" in table.columns else [pl.lit("run")]
    differing = [n for n in ("step", "seed") if n in table.columns and table[n].n_unique() > 1]
    parts += [pl.format(name + " {}", pl.col(name)) for name in differing]
    return pl.concat_str(parts, separator=" · ", ignore_nulls=True)
