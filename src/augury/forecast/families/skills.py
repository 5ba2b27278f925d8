"""Scores of larger models of a family from its smallest: skills that grow with size and data.

Families differ in how much of a few skills they have at a given size; every benchmark is an
S-shaped curve over the skills. If one small model of a family is known, its larger models can be
forecast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from augury.display import Card, Shown
from augury.errors import DataError, UsageError
from augury.fitting.space import Floats
from augury.forecast.families.observational import matrix_of
from augury.forecast.families.skill_model import Skills, fit_skill_model, scores_at

# Fewer models cannot separate skills from families.
FEWEST_MODELS = 12


@dataclass(frozen=True)
class SkillsFit(Shown):
    """Skills of families, and the benchmarks' dependence on them.

    Attributes:
        benchmarks, families: names.
        floor: (J,) score of random guessing.
        moments: (2, 3) mean and standard deviation of log parameters, log tokens, their product.
        parameters: of the model.
        errors: (m, J) errors for the largest models of families, forecast from the rest, which make
            the intervals; NaN if unknown.
    """

    benchmarks: tuple[str, ...]
    families: tuple[str, ...]
    floor: Floats
    moments: Floats
    parameters: Skills
    errors: Floats

    @property
    def skills(self) -> int:
        return int(self.parameters.slope.shape[1])

    def predict(self, table: pl.DataFrame, *, level: float = 0.9) -> pl.DataFrame:
        """Forecast models from their family, size and data.

        Args:
            table: family, params, tokens; other columns are kept. A family that was not fitted
                counts as an average one.
            level: of the interval, which is for one model.

        Returns:
            One row per model and benchmark: the table's columns, `benchmark`, `forecast`, `low`,
            `high`.
        """
        if not 0.0 < level < 1.0:
            raise UsageError(f"level must lie between 0 and 1, not {level}")
        x = (_features(table) - self.moments[0]) / self.moments[1]
        place = {name: i for i, name in enumerate(self.families)}
        own = np.array([place.get(str(f), -1) for f in table["family"].to_list()])
        average = self.parameters._replace(
            family=np.vstack([self.parameters.family, np.zeros(self.skills)]),
            own=np.vstack([self.parameters.own, np.zeros(len(self.floor))]),
        )
        value = scores_at(average, x, own, self.floor)
        tail = (1.0 - level) / 2.0
        low, high = np.nanquantile(self.errors, [tail, 1.0 - tail], axis=0)
        low = np.clip(value + np.minimum(low, 0.0), 0.0, 1.0)
        high = np.clip(value + np.maximum(high, 0.0), 0.0, 1.0)
        return pl.concat([
            table.drop(self.benchmarks, strict=False).with_columns(
                benchmark=pl.lit(name), forecast=value[:, j], low=low[:, j], high=high[:, j]
            )
            for j, name in enumerate(self.benchmarks)
        ])  # fmt: skip

    def _card(self) -> Card:
        p = self.parameters
        rows = pl.DataFrame({
            "benchmark": self.benchmarks,
            "floor": self.floor,
            "ceiling": self.floor + (1.0 - self.floor) / (1.0 + np.exp(-p.ceiling)),
            "error": np.nanmean(np.abs(self.errors), axis=0),
            **{f"skill {k + 1}": p.loading[k] for k in range(self.skills)},
        })  # fmt: skip
        return Card(
            f"{self.skills} skills of {len(self.families)} families behind "
            f"{len(self.benchmarks)} benchmarks; larger models are missed by "
            f"{np.nanmean(np.abs(self.errors)):.3f}",
            rows,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        return {"benchmarks": list(self.benchmarks), "families": list(self.families),
                "skills": self.skills, "loadings": self.parameters.loading.tolist(),
                "error": np.nanmean(np.abs(self.errors), axis=0).tolist()}  # fmt: skip


def fit_skills(
    table: pl.DataFrame,
    benchmarks: Sequence[str],
    *,
    floors: Mapping[str, float] | None = None,
    skills: int = 2,
) -> SkillsFit:
    """Fit skills to the benchmark scores of models of several families.

    Args:
        table: one row per model: family, params, tokens, and one column per benchmark with scores
            in [0, 1], null if not measured. Include the finetuning of a model in its family
            ("llama-2-chat").
        benchmarks: names of the columns.
        floors: score of random guessing, by benchmark; 0 if not given.
        skills: number of skills.

    Returns:
        A `SkillsFit`. Its intervals come from refits without the largest models of one half of the
        families, then of the other half.

    Raises:
        DataError: a column is missing, a value is not a share, or models are too few.
        UsageError: there are more skills than benchmarks, or a floor names no benchmark.

    Source: Maia Polo et al. 2024 (arXiv 2412.06540), Sloth, with weak priors, a ceiling and a bend
        per benchmark, and family offsets per benchmark in place of their network.
    """
    if not 1 <= skills <= len(benchmarks):
        raise UsageError(f"skills must be 1 to {len(benchmarks)}, not {skills}")
    for name, value in (floors or {}).items():
        if name not in benchmarks or not 0.0 <= value < 1.0:
            raise UsageError(
                f"the floor of '{name}', {value}, is not a possible score of a benchmark"
            )
    scores = matrix_of(table, benchmarks)
    for j, name in enumerate(benchmarks):
        bad = (scores[:, j] < 0) | (scores[:, j] > 1)
        if bad.any():
            raise DataError("the value is not a share", row=int(np.argmax(bad)) + 1, column=name,
                            value=float(scores[bad, j][0]),
                            expected="scores from 0 to 1")  # fmt: skip
    features = _features(table)
    if len(features) < FEWEST_MODELS:
        raise DataError(f"{len(features)} models are too few to separate skills from families",
                        expected=f"at least {FEWEST_MODELS}")  # fmt: skip
    floor = np.array([(floors or {}).get(name, 0.0) for name in benchmarks])
    families = sorted({str(f) for f in table["family"].to_list()})
    family = np.array([families.index(str(f)) for f in table["family"].to_list()])
    moments = np.stack([features.mean(0), np.maximum(features.std(0), 1e-9)])
    x = (features - moments[0]) / moments[1]

    def fitted(keep: Any) -> Skills:
        return fit_skill_model(x[keep], family[keep], scores[keep], floor, len(families), skills)

    errors = []
    for half in (0, 1):
        held = _largest(features[:, 0], family, half)
        if held.any():
            missed = scores_at(fitted(~held), x[held], family[held], floor)
            errors.append(scores[held] - missed)
    if not errors:
        raise DataError("no family has two models", column="family",
                        expected="families of several sizes")  # fmt: skip
    return SkillsFit(tuple(benchmarks), tuple(families), floor, moments,
                     fitted(np.ones(len(x), bool)), np.concatenate(errors))  # fmt: skip


def _features(table: pl.DataFrame) -> Floats:
    """Return (n, 3) log parameters in billions, log tokens in trillions, and their product.

    Raises:
        DataError: a column is missing, or a value is not positive.
    """
    if "family" not in table.columns:
        raise DataError("the column is missing", column="family", expected="families of models")
    columns = matrix_of(table, ("params", "tokens"))
    for j, name in enumerate(("params", "tokens")):
        bad = ~(columns[:, j] > 0)
        if bad.any():
            raise DataError("the value cannot be used", row=int(np.argmax(bad)) + 1, column=name,
                            value=table[name][int(np.argmax(bad))],
                            expected="a positive number")  # fmt: skip
    size, data = np.log(columns[:, 0] / 1e9), np.log(columns[:, 1] / 1e12)
    return np.column_stack([size, data, size * data])


def _largest(size: Floats, family: Any, half: int) -> Any:
    """Return (n,) the larger models, all but the smallest, of every second family with several."""
    held = np.zeros(len(size), bool)
    several = [f for f in np.unique(family) if (family == f).sum() > 1]
    for f in several[half::2]:
        own = np.flatnonzero(family == f)
        held[own[size[own] > size[own].min()]] = True
    return held
