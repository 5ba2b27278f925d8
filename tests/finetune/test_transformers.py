"""Transformers checkpoints go through the same sweep, with full finetuning and LoRA."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from augury import read_table
from augury.errors import DataError, UsageError
from augury.evaluate import Instance, Task
from augury.finetune import finetune_sweep
from augury.finetune.models import find_models

exported_models: Any = pytest.importorskip("tests.evaluate.exported")
exported_models.Later("peft")

pytestmark = pytest.mark.slow  # importing torch alone takes longer than a fast test may
QUICK: dict[str, Any] = {"batch": 16, "steps": 60, "every": 20, "instances": 64, "workers": 0}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A lab checkpoint of width 8, and its transformers export."""
    lab, hf = exported_models.exported(tmp_path_factory.mktemp("both"))
    return lab, hf


@pytest.mark.parametrize(("method", "rate"), [("full", 0.01), ("lora", 0.03), ("head", 0.03)])
def test_finetuning_moves_an_exported_model_as_it_moves_the_labs(
    both: tuple[Path, Path], tmp_path: Path, method: str, rate: float
) -> None:
    asked: Any = ("sort-letters", [80], 1, 1)
    options = {**QUICK, "learning_rate": rate, "method": method}
    theirs = finetune_sweep([f"hf:{both[1]}"], *asked, out=tmp_path / "hf", **options)
    labs = "full" if method == "lora" else method
    ours = finetune_sweep([both[0]], *asked, out=tmp_path / "lab", **{**options, "method": labs})
    # Before finetuning, the exported model generates and scores as the lab's does.
    same = ["model", "family", "run", "step", "params", "tokens", "flops", "loss", "task", "chance"]
    assert theirs.select(same).equals(ours.select(same))
    assert theirs["logprob"][0] == pytest.approx(ours["logprob"][0], abs=1e-3)
    gain, labs_gain = (t["logprob"][1] - t["logprob"][0] for t in (theirs, ours))
    assert labs_gain > (0.3 if method == "head" else 1)
    if method != "lora":  # the same optimiser on the same examples in the same order
        assert gain == pytest.approx(labs_gain, rel=0.05)
    else:
        assert gain > 0.3
    records = [json.loads(p.read_text()) for p in tmp_path.glob("hf/measurements/*/record.json")]
    assert {r["settings"]["method"] for r in records} == {method}
    assert sum(r["curve"] is not None for r in records) == 1
    # Computed once; the second call reads it.
    again = finetune_sweep([f"hf:{both[1]}"], *asked, out=tmp_path / "hf", **options)
    assert again.equals(theirs)


def test_a_model_with_an_end_token_learns_to_stop(tmp_path: Path) -> None:
    """A random Llama of 64 tokens; the answer is one word and the end token."""
    model = exported_models.bpe_model(tmp_path / "bpe")
    rng = np.random.default_rng(0)
    words = ["cat", "dog", "mat", "log"]
    prompts = {f"the {' '.join(rng.choice(words, 3))} {i % 7}" for i in range(300)}
    instances = tuple(Instance(p, p, (" the end",)) for p in sorted(prompts))
    task = Task("ends", instances, 0.0, "exact", 8)
    table = finetune_sweep(
        [f"hf:{model}"], task, [60], 1, 1, out=tmp_path / "s", learning_rate=0.01,
        samples=8, **{**QUICK, "instances": 20},
    )  # fmt: skip
    assert table["value"].to_list() == [0.0, pytest.approx(1.0, abs=0.2)]
    assert table["samples"].to_list() == [160.0, 160.0]
    assert "loss" not in table.columns
    # A table may give what the checkpoint does not, even after its units are done.
    (tmp_path / "about.csv").write_text("model,loss,tokens\nbpe,3.2,1e9\n")
    told = finetune_sweep(
        [f"hf:{model}"], task, [60], 1, 1, out=tmp_path / "s", learning_rate=0.01,
        samples=8, about=tmp_path / "about.csv", **{**QUICK, "instances": 20},
    )  # fmt: skip
    assert told["loss"].to_list() == [3.2, 3.2]
    assert told["value"].equals(table["value"])
    assert read_table(tmp_path / "s")["tokens"].to_list() == [1e9, 1e9]


def test_what_cannot_be_read_is_named(both: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: cannot be read: .*; expected a checkpoint of"):
        find_models([f"hf:{tmp_path / 'empty'}"])
    with pytest.raises(UsageError, match="two models are called"):
        find_models([both[0], f"hf:{both[1]}"])
