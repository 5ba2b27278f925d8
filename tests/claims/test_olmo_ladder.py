"""The published forecasts of OLMo 2 7B from a ladder of 190M-1.3B, compared with ours."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from augury.fitting import fit
from augury.forecast import forecast_ladder
from augury.forecast.ladder import RECIPES, TaskRecipe
from tests.shared import OLMO_TARGET, OLMO_TASKS, needs_olmo, olmo_ladder

pytestmark = [needs_olmo, pytest.mark.slow]


def test_the_papers_protocol_gives_the_papers_forecasts() -> None:
    finals, checkpoints = olmo_ladder()
    for task, (_, published, _) in OLMO_TASKS.items():
        own = pl.col("task") == task
        plain: dict[str, Any] = {"uncertainty": "none", "influence": False}
        loss = fit("chinchilla", finals.filter(own), output="bpb", **plain)
        ideal = pl.DataFrame({"run": ["ideal"], "bpb": [1e-9], "value": [1.0]})
        points = pl.concat([checkpoints.filter(own).select("run", "bpb", "value"), ideal])
        score = fit("logistic-task:over=bpb", points, **plain)
        bpb = loss.law(loss.parameters, **{n: np.array([x]) for n, x in OLMO_TARGET.items()})
        forecast = 100 * score.law(score.parameters, bpb=bpb).item()
        assert forecast == pytest.approx(published, abs=0.3), task


CHOSEN = TaskRecipe("chinchilla", True, "huber", "final")


@pytest.mark.parametrize(
    "recipes",
    [(replace(CHOSEN, pool=False), CHOSEN), pytest.param(RECIPES, marks=pytest.mark.claims)],
    ids=["two", "all"],
)
def test_our_forecaster_chooses_inside_the_ladder_and_does_better(
    recipes: tuple[TaskRecipe, ...],
) -> None:
    """The forecast does not depend on the other candidates."""
    finals, checkpoints = olmo_ladder()
    forecast = forecast_ladder(finals, checkpoints, OLMO_TARGET, recipes=recipes)
    assert forecast.recipe == CHOSEN
    truth = np.array([OLMO_TASKS[t][2] for t in forecast.table["task"]])
    value, low, high = (100 * forecast.table[n].to_numpy() for n in ("value", "low", "high"))
    assert np.abs(value - truth).mean() <= 2.5
    assert int(((truth >= low) & (truth <= high)).sum()) >= 7
    assert (high - low).mean() < 15
    assert 0.85 <= forecast.coverage <= 0.95
