"""The latent world next to a study: recorded before its truth, kept, and judged by the outcome.

Tables of models are written here as if they had been trained: training has its own tests.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from augury.errors import DataError, UsageError
from augury.forecast.emergence.moved_curve import MovedStudy
from augury.forecast.emergence.moved_fit import MovedFit
from augury.lab.latent import latent_world
from augury.study import latent_emergence, scoreboard
from augury.study.latent_emergence import LatentResult, forecast_latent, score_latent
from augury.study.page.latent import latent_lines, latent_parts
from augury.study.results.ledger import Ledger

WORLD = replace(latent_world("demo"), amounts=(8, 32, 128, 512), subsets=1)


def trained(path: Path, width: int, losses: list[float], shifts: dict[int, float]) -> None:
    """A model's file: scores that rise from .25 to .85 around 4.6 plus an amount's shift."""
    rng = np.random.default_rng(width)
    rows = [
        {
            "model": f"demo-w{width}", "family": "demo", "step": 100 * (i + 1), "seed": 0,
            "params": 1000.0 * width, "loss": loss, "task": "attribute-3", "metric": "accuracy",
            "finetune_examples": amount, "subset": "0" if amount else None,
            "value": 0.25 + 0.6 / (1 + np.exp((loss - 4.6 - by) / 0.04))
            + 0.01 * rng.standard_normal(), "n": 512.0, "chance": 0.25,
        }
        for i, loss in enumerate(losses)
        for amount, by in shifts.items()
    ]  # fmt: skip
    path.parent.mkdir(exist_ok=True, parents=True)
    pl.DataFrame(rows).write_parquet(path)


def write_ladder(folder: Path) -> None:
    """The models behind the forecast."""
    shifts = {0: 0.0, 8: 0.08, 32: 0.16, 128: 0.27, 512: 0.35}
    trained(folder / "ladder" / "w12.parquet", 12, [5.3, 5.1, 5.0, 4.9, 4.85], shifts)
    trained(folder / "ladder" / "w16.parquet", 16, [5.2, 5.05, 4.95, 4.8, 4.75], shifts)


def write_later(folder: Path, losses: list[float], shift: float = 0.0) -> None:
    """The larger model: few-shot scores that rise around 4.6 plus the shift."""
    trained(folder / "later" / "w24.parquet", 24, losses, {0: shift})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded forecast in its study's folder."""
    study = tmp_path_factory.mktemp("study")
    write_ladder(study / "latent")
    found = forecast_latent(study / "latent", WORLD, 0)
    assert found.forecast.status == "answered"
    assert found.line.blind
    assert found.score is None
    return study


def ended(folder: Path, tmp_path: Path, losses: list[float], shift: float = 0.0) -> LatentResult:
    """A copy with the truth: few-shot scores that rise around 4.6 plus the shift."""
    for path in (folder / "latent").rglob("*.*"):
        to = tmp_path / path.relative_to(folder)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(path.read_bytes())
    write_later(tmp_path / "latent", losses, shift)
    return score_latent(tmp_path / "latent", WORLD, 0)


@pytest.mark.slow
def test_a_forecast_goes_on_record_and_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = folder / "latent"
    (line,) = Ledger(own).lines
    said = json.loads((own / "forecast.json").read_text())
    assert line["value"] == said["forecasts"][0]["value"] == said["above"]["point"]["value"]
    assert line["run_interval"][0] < line["value"] < line["run_interval"][1]

    def never(study: MovedStudy) -> MovedFit:
        raise AssertionError(study)

    monkeypatch.setattr(latent_emergence, "fit_moved", never)
    again = forecast_latent(own, WORLD, 0)
    assert Ledger(own).lines == [line]
    (told,) = latent_lines(again)
    assert f"{line['value']:.4f} (90% interval" in told
    with pytest.raises(UsageError, match="another world or seed"):
        forecast_latent(own, WORLD, 1)


@pytest.mark.slow
def test_what_came_is_told_as_held(folder: Path, tmp_path: Path) -> None:
    """The curve reaches .35 at 4.6 + .04 ln 5 = 4.664, between the second and the third."""
    found = ended(folder, tmp_path, [4.9, 4.69, 4.65, 4.5])
    assert found.score is not None
    (score,) = found.score.scores
    assert score.bracket == (4.65, 4.69)
    assert found.crossing == pytest.approx(4.664, abs=0.01)
    low, high = found.line.run_interval
    assert low is not None
    assert high is not None
    assert score.held is (low <= 4.69 and high >= 4.65)
    assert latent_lines(found)[1].startswith("HELD" if score.held else "FAILED")
    (row,) = scoreboard([tmp_path / "latent"])
    assert row.blind
    assert row.held is score.held
    assert row.truth == pytest.approx(4.67)
    verdicts, sections = latent_parts(tmp_path)
    assert "None of the 10 checkpoints fitted is 0.1 above chance" in verdicts[0].details[0]
    assert "before the larger model was begun" in sections[0].text[2]
    assert sections[0].figures[0].id == "latent"


def test_a_forecast_that_failed_is_told_as_failed(folder: Path, tmp_path: Path) -> None:
    found = ended(folder, tmp_path, [5.6, 5.5, 5.4], shift=0.9)
    assert latent_lines(found)[1].startswith("FAILED. Measured afterwards, it appeared between")
    assert "outside the interval" in latent_lines(found)[1]
    assert scoreboard([tmp_path / "latent"])[0].held is False


@pytest.mark.slow
def test_what_never_came_has_failed_where_it_should_have(folder: Path, tmp_path: Path) -> None:
    found = ended(folder, tmp_path, [4.5, 4.4], shift=-0.9)
    assert found.crossing is None
    assert latent_lines(found)[1] == (
        "FAILED. Measured afterwards, it had not appeared at a loss of 4.4: outside the interval."
    )


def test_a_forecast_that_was_edited_is_not_believed(folder: Path, tmp_path: Path) -> None:
    ended(folder, tmp_path, [4.9, 4.6])
    path = tmp_path / "latent" / "forecast.json"
    path.write_text(path.read_text().replace("4.", "5."))
    with pytest.raises(DataError, match="changed after it was put on record"):
        latent_parts(tmp_path)
    assert latent_parts(tmp_path / "latent") == ([], [])
