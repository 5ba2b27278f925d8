"""The main job, whole but short: the forecast stands before the models it is about are trained."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from augury import demo


@pytest.mark.slow
def test_the_demo_forecasts_before_it_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    train = demo.train_ladder

    def watched(runs, folder, progress):  # type: ignore[no-untyped-def]
        order.append("forecast" if (tmp_path / "forecast.parquet").exists() else "none")
        return train(runs, folder, progress=progress)

    monkeypatch.setattr(demo, "train_ladder", watched)
    monkeypatch.setattr(demo, "FITTED", (4, 6, 8, 10))
    monkeypatch.setattr(demo, "HELD_OUT", (12, 14))
    result = demo.run_demo(tmp_path, steps=100, seed=3, quiet=False)
    assert order == ["none", "forecast"]
    printed = capsys.readouterr().out
    assert printed.index("Forecast for the next two") < printed.index("Now they are trained")
    assert "The page:" in printed
    assert Path(result["page"]).exists()
    json.dumps(result)
    table = pl.read_parquet(tmp_path / "table.parquet")
    assert table["params"].n_unique() == 6
    assert set(table["metric"]) == {"pass", "logprob", "greedy"}
    rows = result["forecasts"]
    assert len(rows) == 4
    passes = demo.passes(table)
    for row in rows:
        truth = passes.filter(params=row["params"], seed=row["seed"])["value"].item()
        assert row["truth"] == truth
        assert row["held"] == (row["low"] <= truth <= row["high"])
    assert result["held"] == sum(row["held"] for row in rows)
