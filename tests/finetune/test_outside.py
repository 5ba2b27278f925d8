"""A sweep by another trainer: the exported data, and the imported checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from augury import read_table
from augury.cli import app
from augury.errors import DataError, UsageError
from augury.finetune import collect_outside, finetune_sweep, plan_outside
from augury.lab import Recipe

exported_models: Any = pytest.importorskip("tests.evaluate.exported")
exported_models.Later("peft")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"hf:{exported_models.exported(tmp_path_factory.mktemp('lab'))[1]}"


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_another_trainer_gets_what_the_sweep_learns_from_and_the_same_scores(
    model: str, tmp_path: Path
) -> None:
    """The other trainer is our own with only the plan's files: nothing else may differ."""
    from augury.finetune.hf import finetune_transformers

    rate, out = 0.01, tmp_path / "plan"
    plan_outside(
        [model], "sort-letters", [48], [0], [0, 1], out, learning_rate=rate, steps=20, instances=32
    )
    manifest = json.loads((out / "manifest.json").read_text())
    assert [run["seed"] for run in manifest["runs"]] == [0, 1]
    for run in manifest["runs"]:
        told, same_recipe = run["trl"], Recipe(rate, steps=20, passes=0)
        assert told["learning_rate"] == run["recipe"]["learning_rate"] == rate
        assert (told["max_steps"], told["per_device_train_batch_size"]) == (20, 16)
        assert told["lr_scheduler_kwargs"]["min_lr_rate"] == pytest.approx(
            same_recipe.rates(10_000)[-1] / rate, abs=1e-3
        )
        assert told["warmup_steps"] == int(np.argmax(same_recipe.rates(20)) + 1)
        assert (told["seed"], run["lora"]) == (run["seed"], None)
        data = out / run["data"]
        pairs = [(r["prompt"], r["completion"]) for r in lines(data / "train.jsonl")]
        held_out = [(r["prompt"], r["completion"]) for r in lines(data / "held_out.jsonl")]
        assert len(pairs) == 48
        asked = {r["prompt"] for r in lines(out / "scored.jsonl")}
        assert not asked & {p for p, _ in pairs + held_out}
        chat, parts = lines(data / "chat.jsonl"), lines(data / "segments.jsonl")
        for pair, talk, cut in zip(pairs, chat, parts, strict=True):
            assert [m["content"] for m in talk["messages"]] == list(pair)
            assert [(s["label"], s["text"]) for s in cut["segments"]] == [
                (False, pair[0]),
                (True, pair[1]),
            ]
        finetune_transformers(
            model[3:], None, pairs, held_out, Recipe(rate, steps=20, passes=0, every=10),
            np.random.default_rng([4, run["seed"], 0, 48]), method="full",
            out=out / run["checkpoint"],
        )  # fmt: skip
    found, missing = collect_outside(out, tmp_path / "study")
    assert missing == []
    ours = finetune_sweep(
        [model], "sort-letters", [48], 1, 2, out=tmp_path / "ours", learning_rate=rate, steps=20,
        every=10, instances=32, workers=0,
    )  # fmt: skip
    assert found["value"].to_list() == pytest.approx(ours["value"].to_list(), rel=1e-6)
    same = ["model", "family", "run", "step", "params", "seed", "finetune_examples", "task"]
    assert found.select(same).equals(ours.select(same))
    assert found["logprob"][1] > found["logprob"][0]
    assert len(read_table(tmp_path / "study").filter(finetune_examples=48)) == 2


def test_steps_of_a_plan_follow_the_amount_and_lora_is_told(model: str, tmp_path: Path) -> None:
    out = tmp_path / "plan"
    plan_outside([model], "sort-letters", [16, 640], [0], [0], out, method="lora", instances=16)
    few, many = json.loads((out / "manifest.json").read_text())["runs"]
    assert (few["trl"]["max_steps"], many["trl"]["max_steps"]) == (20, 120)
    assert (few["trl"]["eval_steps"], many["trl"]["eval_steps"]) == (4, 20)
    assert (few["lora"]["r"], few["trl"]["learning_rate"]) == (8, 1e-3)
    with pytest.raises(UsageError, match="no method"):
        plan_outside([model], "sort-letters", [16], [0], [0], tmp_path / "no", method="qlora")  # type: ignore[arg-type]


def test_what_is_not_there_yet_is_named_and_what_was_changed_refused(
    model: str, tmp_path: Path
) -> None:
    out = tmp_path / "plan"
    command = ["finetune", "--model", model, "--task", "sort-letters", "--amounts", "16",
               "--subsets", "1", "--seeds", "1", "--instances", "16",
               "--plan", str(out)]  # fmt: skip
    said = CliRunner().invoke(app, command)
    assert said.exit_code == 0, said.output
    assert "--collect" in said.output
    collected = CliRunner().invoke(app, ["finetune", "--collect", str(out), "--json"])
    assert collected.exit_code == 0, collected.output
    assert "no checkpoint yet" in collected.stderr
    (row,) = json.loads(collected.stdout)["rows"]
    assert row["finetune_examples"] == 0
    with pytest.raises(UsageError, match="exists"):
        plan_outside([model], "sort-letters", [16], [0], [0], out)
    scored = out / "scored.jsonl"
    scored.write_text(scored.read_text().replace("sort-letters-0", "sort-letters-x"))
    with pytest.raises(DataError, match="was changed since the plan"):
        collect_outside(out, tmp_path / "other")
    (out / "manifest.json").write_text("[]")
    with pytest.raises(DataError, match="another format"):
        collect_outside(out, tmp_path / "other")
