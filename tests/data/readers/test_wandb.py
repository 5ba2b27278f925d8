"""Runs of Weights & Biases: our own recorded project, through its documented interface."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from augury.data.readers.wandb_runs import fetch_runs, told_by
from augury.errors import DataError, UsageError
from tests.cli.test_cli import augury as augury  # the fixture
from tests.data.readers.kept import FIXTURES

PROJECT = FIXTURES / "wandb" / "project.json"


class Run(SimpleNamespace):
    """The parts of `wandb.apis.public.Run` that are used, as documented."""

    def scan_history(self, keys: Any = None, page_size: int = 1000) -> Iterator[dict[str, Any]]:
        return iter(self.history)


class Api:
    def runs(self, path: str, filters: Any = None) -> list[Run]:
        if path != "lab/ladder":
            raise ValueError(f"Could not find project {path} (403)")
        return [Run(**run) for run in json.loads(PROJECT.read_text())]


def test_a_project_becomes_a_table(
    augury: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(Api=Api))
    out = tmp_path / "losses.parquet"
    said = augury("read", "wandb", "lab/ladder", "--out", out)
    assert said.status == 0, said.err
    table = pl.read_parquet(out)
    assert set(table["loss_set"].unique()) == {"train/loss", "val/loss"}
    sizes = dict(table.select("model", "params").unique().iter_rows())
    # Two runs share a name: their ids distinguish them.
    assert sizes == {"ladder-10m": 1e7, "ladder-40m-r1": 4e7, "ladder-40m-r2": 4e7}
    train = table.filter(pl.col("loss_set") == "train/loss", pl.col("model") == "ladder-10m")
    assert train["loss"].to_list() == [4.0, 3.8, 3.6, 3.4, 3.2]
    assert train["step"].to_list() == [0, 100, 200, 300, 400]
    assert table.filter(model="ladder-40m-r1", loss_set="train/loss").height == 4  # one was NaN
    assert sorted(p.name for p in (tmp_path / "losses-runs").glob("*.jsonl")) == [
        "ladder-10m.jsonl", "ladder-40m-r1.jsonl", "ladder-40m-r2.jsonl",
    ]  # fmt: skip


def test_what_cannot_be_fetched(tmp_path: Path, without_package: Any) -> None:
    for path in ("ladder", "a/b/c", "a b/c"):
        with pytest.raises(UsageError, match="ENTITY/PROJECT"):
            fetch_runs(path, tmp_path, Api())
    with pytest.raises(DataError, match=r"wandb:lab/other: cannot be read: .*403"):
        fetch_runs("lab/other", tmp_path, Api())
    without_package("wandb")
    with pytest.raises(UsageError, match=r'pip install "augury\[wandb\]"'):
        fetch_runs("lab/ladder", tmp_path)


def test_a_configuration_says_what_one_key_names() -> None:
    assert told_by({"n_params": 1e7, "train_tokens": 2e8}) == {"params": 1e7, "tokens": 2e8}
    assert told_by({"n_params": 1e7, "num_params": 1.2e7}) == {}
    assert told_by({"n_params": "10M", "tokens": True, "D": -1}) == {}
