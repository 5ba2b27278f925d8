"""Every public name has an example in its docstring, and every example runs."""

from __future__ import annotations

import doctest
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import augury
from augury.forecast.emergence.simulate import Truth, simulate_study
from augury.laws import DataConstrained
from augury.study.plan.template import write_study

pytestmark = pytest.mark.slow

# Public names beyond `augury.NAME`: building blocks of user laws, and names in the docs.
MORE = ("augury.laws:check_law", "augury.laws:positive")
NAMES = sorted({*(f"augury:{name}" for name in augury.__all__), *MORE})
# Names whose example needs an extra.
NEEDS = {"augury:rank_mixtures": "lightgbm"}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files used by examples."""
    folder = tmp_path_factory.mktemp("examples")
    rng = np.random.default_rng(0)
    params = np.geomspace(2e7, 2e9, 16)
    tokens = params * np.tile([10.0, 20.0, 40.0, 80.0], 4)
    loss = 1.8 + 480 / params**0.35 + 2100 / tokens**0.37
    loss *= np.exp(0.002 * rng.standard_normal(16))
    runs = pl.DataFrame({"run": [f"r{i}" for i in range(16)], "params": params, "tokens": tokens})
    runs = runs.with_columns(loss=loss)
    runs.write_csv(folder / "runs.csv")
    score = 0.25 + 0.7 / (1 + np.exp((loss - 2.6) / 0.15))
    ladder = runs.with_columns(task=pl.lit("arc"), value=score + 0.005 * rng.standard_normal(16))
    ladder.write_csv(folder / "ladder.csv")
    tasks = [ladder.with_columns(task=pl.lit(task), bpb=loss / 2 + 0.1 * k)
             for k, task in enumerate(("arc", "piqa"))]  # fmt: skip
    pl.concat(tasks).write_csv(folder / "tasks.csv")
    counts = [
        {"model": f"m{k}", "params": 1e6 * 4.0**k, "task": "sums", "instance": str(i),
         "passes": int(rng.binomial(2000, np.exp(-np.exp(2 - 0.4 * k + 0.1 * i)))),
         "samples": 2000}
        for k in range(5) for i in range(8)
    ]  # fmt: skip
    pl.DataFrame(counts).write_csv(folder / "counts.csv")
    losses = np.linspace(2.3, 1.7, 12)
    simulate_study(Truth(), rng, losses=losses).write_csv(folder / "sweep.csv")
    checkpoints = [
        {"model": f"m{i}", "params": 1e8 * 2**i, "tokens": 1e9 * 2**j, "task": task,
         "value": 0.5 + slope * j + 0.02 * rng.standard_normal()}
        for task, slope in (("reading", 0.03), ("trap", -0.03)) for i in range(6) for j in range(9)
    ]  # fmt: skip
    pl.DataFrame(checkpoints).write_csv(folder / "checkpoints.csv")
    results = folder / "results" / "pythia-410m"
    results.mkdir(parents=True)
    (results / "results_2024-05-01T10-00-00.json").write_text(json.dumps({
        "results": {"piqa": {"acc,none": 0.68, "acc_stderr,none": 0.011, "alias": "piqa"}},
        "n-samples": {"piqa": {"original": 1838, "effective": 1838}},
        "config": {"model": "hf", "model_args": "pretrained=EleutherAI/pythia-410m"},
        "versions": {"piqa": 1.0}, "n-shot": {"piqa": 0},
    }))  # fmt: skip
    write_study(folder)
    write_question_tables(folder, rng)
    return folder


def write_question_tables(folder: Path, rng: np.random.Generator) -> None:
    """The data behind the questions."""
    example = DataConstrained().example(60, 0)
    loss = DataConstrained()(example.parameters, **example.inputs)
    noise = np.exp(0.002 * rng.standard_normal(60))
    pl.DataFrame({**example.inputs, "loss": loss * noise}).write_csv(folder / "repeats.csv")
    share = rng.dirichlet(np.ones(2), 100)
    small = np.arange(100) < 60
    columns = {"share_web": share[:, 0], "share_code": share[:, 1]}
    web = (1.5 + np.exp(share @ np.log([0.5, 2.0])) * np.where(small, 1.0, 0.7)) * np.exp(
        0.002 * rng.standard_normal(100)
    )
    sizes = np.where(small, 1e6, 1e8)
    pl.DataFrame({**columns, "params": sizes, "web_loss": web}).write_csv(folder / "mixtures.csv")
    flops = np.geomspace(1e18, 1e21, 12)
    recipes = [
        pl.DataFrame({"flops": flops, "recipe": name, "loss": (1.7 + 40 * (gain * flops) ** -0.08)
                      * np.exp(0.001 * rng.standard_normal(12))})
        for name, gain in (("a", 1.0), ("b", 0.5))
    ]  # fmt: skip
    pl.concat(recipes).write_csv(folder / "recipes.csv")
    models = [("ref", f"r{n:g}", n, n) for n in (1e9, 3e9, 1e10, 3e10)] + [("own", "new", 2e9, 8e9)]
    families = [
        {"family": family, "model": model, "params": params, "task": task,
         "value": float(np.exp(-level * (effective / 1e9) ** -0.4))}
        for family, model, params, effective in models
        for task, level in (("quiz", 1.0), ("sums", 2.0))
    ]  # fmt: skip
    pl.DataFrame(families).write_csv(folder / "families.csv")


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_a_public_name_runs(
    name: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name in NEEDS:
        try:
            importlib.import_module(NEEDS[name])
        except (ImportError, OSError):  # a wheel may need a system library
            pytest.skip(f"needs {NEEDS[name]}")
    module, _, attribute = name.partition(":")
    found: Any = getattr(importlib.import_module(module), attribute)
    monkeypatch.chdir(files)
    tests = doctest.DocTestFinder(recurse=False).find(found, attribute, globs={"augury": augury})
    examples = [test for test in tests if test.examples]
    assert examples, f"{attribute} has no example in its docstring"
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    said: list[str] = []
    for test in examples:
        runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)
