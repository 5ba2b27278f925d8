"""The finetuning sweep: its results, how it resumes, and what it refuses."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from augury import read_table
from augury.cli import main
from augury.errors import AuguryError, DataError, UsageError
from augury.evaluate import Instance, Task, exact_scores, read_task
from augury.finetune import SweepError, finetune_sweep
from augury.finetune import work as working
from augury.finetune.examples import source
from augury.finetune.models import find_models
from augury.forecast.intrinsic import measure_intrinsic_dimension
from augury.lab import LabBackend, LossCurve, ModelConfig, RunConfig, lab_instances, lab_task, train

QUICK: dict[str, Any] = {
    "learning_rate": 0.02, "batch": 16, "steps": 40, "every": 10, "instances": 64, "workers": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of width 4 with two checkpoints."""
    folder = tmp_path_factory.mktemp("ladder") / "lab-w4-seed-0"
    train(RunConfig(ModelConfig(4), steps=100, shares={}, checkpoints=(50,)), folder)
    return folder


@pytest.fixture(scope="module")
def study(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pl.DataFrame]:
    """Two checkpoints x (0, and two amounts x two subsets x two seeds): 18 units."""
    out = tmp_path_factory.mktemp("study")
    return out, finetune_sweep([f"lab:{run}"], "sort-digits", [20, 60], 2, 2, out=out, **QUICK)


@pytest.mark.slow
def test_every_unit_is_a_row(study: tuple[Path, pl.DataFrame]) -> None:
    out, table = study
    assert table.height == 2 * (1 + 2 * 2 * 2)
    few = table.filter(pl.col("finetune_examples") == 0)
    assert few["step"].to_list() == [50, 100]
    assert few["seed"].to_list() == few["subset"].to_list() == [None, None]
    key = ["step", "finetune_examples", "subset", "seed"]
    assert table.select(key).is_unique().all()
    for name in ("model", "family", "run", "params", "tokens", "flops", "loss", "n", "value"):
        assert table[name].null_count() == 0, name
    assert set(table["metric"]) == {"pass"}
    assert set(table["finetune_task"].drop_nulls()) == {"sort-digits"}
    assert table["chance"].unique().to_list() == [lab_task("sort-digits").chance]
    order = [*key, "value"]
    assert read_table(out).select(order).sort(key).equals(table.select(order).sort(key))


def test_few_shot_rows_are_the_checkpoints_as_they_are(
    run: Path, study: tuple[Path, pl.DataFrame]
) -> None:
    few = study[1].filter(finetune_examples=0, step=100)
    scores = exact_scores(LabBackend(run / "step-100"), lab_instances("sort-digits", 64))
    assert few["value"][0] == pytest.approx(scores.passing.mean())
    assert few["logprob"][0] == pytest.approx(scores.logprob.mean())
    tuned = study[1].filter(pl.col("finetune_examples") > 0)
    assert tuned["logprob"].min() > few["logprob"][0]  # type: ignore[operator]


def test_a_record_says_what_was_done(study: tuple[Path, pl.DataFrame]) -> None:
    (path,) = study[0].glob("measurements/*step-100-*-d60-s1-r1/record.json")
    record = json.loads(path.read_text())
    assert record["unit"] == {"amount": 60, "subset": 1, "seed": 1}
    assert record["recipe"]["rate"] == 0.02
    assert record["curve"]["steps"][0] == 0
    assert len(record["curve"]["steps"]) == len(record["curve"]["held_out"])
    assert record["curve"]["best"] in record["curve"]["steps"]
    assert 0 < record["seconds"]["finetuning"] <= record["seconds"]["in all"]


def test_a_sweep_that_was_killed_goes_on_to_the_same_table(
    run: Path, study: tuple[Path, pl.DataFrame], tmp_path: Path
) -> None:
    class KilledError(Exception):
        pass

    def kill(_: str, done: int, __: int) -> None:
        if done == 4:
            raise KilledError

    asked = ([f"lab:{run}"], "sort-digits", [20, 60], 2, 2)
    with pytest.raises(KilledError):
        finetune_sweep(*asked, out=tmp_path, progress=kill, **QUICK)
    assert len(list(tmp_path.glob("measurements/*"))) == 4
    seen: list[int] = []
    table = finetune_sweep(*asked, out=tmp_path, progress=lambda *e: seen.append(e[1]), **QUICK)
    assert len(seen) == 18 - 4  # nothing is repeated
    assert table.equals(study[1])


def test_a_sweep_grows(run: Path, study: tuple[Path, pl.DataFrame], tmp_path: Path) -> None:
    """Adding seeds later gives the same units as one call."""
    small = finetune_sweep([run / "step-50"], "sort-digits", [20], 1, 1, out=tmp_path, **QUICK)
    assert small.height == 2
    again = finetune_sweep([run], "sort-digits", [20, 60], 2, 2, out=tmp_path, **QUICK)
    assert again.equals(study[1])


def test_what_is_scored_is_never_learned_from() -> None:
    """Lab tasks with few prompts (three digits: 1,000), and a file whose prompts repeat."""
    drawn = source("sort-digits", 512)
    scored = {i.prompt for i in drawn.scored.instances}
    stopping = {p for p, _ in drawn.held_out}
    assert not scored & stopping
    for subset in range(2):
        learned = {p for p, _ in drawn.draw(subset, 5000)}
        assert not learned & (scored | stopping)
    raw = lab_task("sort-digits").instances(np.random.default_rng(0), 5000)
    assert scored & {p for p, _ in raw}  # otherwise they would overlap by chance
    rng = np.random.default_rng(0)
    instances = tuple(Instance(str(i), f"{rng.integers(60)}+", (str(i % 7),)) for i in range(400))
    split = source(Task("own", instances, 0.1, "any-of", 1), 50)
    scored = {i.prompt for i in split.scored.instances}
    stopping = {p for p, _ in split.held_out}
    assert split.free is not None
    learned = {p for p, _ in split.free}
    assert learned
    assert not scored & stopping
    assert not learned & (scored | stopping)


def test_a_pool_leaves_the_task_whole_and_shares_nothing_with_it() -> None:
    asked = Task("own", tuple(Instance(str(i), f"{i}+", ("1",)) for i in range(20)), 0.1, "any-of")
    pool = Task("pool", tuple(Instance(str(i), f"{i}+", ("1",)) for i in range(10, 60)), 0.1)
    split = source(asked, 100, pool=pool)
    assert len(split.scored.instances) == 20
    assert split.free is not None
    known = {p for p, _ in (*split.free, *split.held_out)}
    assert known == {f"{i}+" for i in range(20, 60)}
    with pytest.raises(UsageError, match="the lab draws its own examples of 'rule'"):
        source("rule", 10, pool=pool)


def test_subsets_and_amounts_are_independent_draws() -> None:
    drawn = source("rule", 64)
    sets = [set(drawn.draw(subset, amount)) for amount in (200, 400) for subset in (0, 1)]
    assert not any(a & b for i, a in enumerate(sets) for b in sets[:i])
    assert drawn.draw(1, 200) == source("rule", 64).draw(1, 200)


def test_the_rate_is_searched_once_and_scaled(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invented losses by rate: best at twice the start, hardly worse one step below."""
    tried: list[float] = []

    class Made:
        def __init__(self, *args: Any) -> None:
            rate = args[3].rate / (0.04 / 2)  # in units of the start, width 4
            tried.append(rate)
            self.loss = {0.5: 1.2, 1.0: 1.01, 2.0: 1.0, 4.0: 1.1}[round(rate, 3)]

        def __enter__(self) -> tuple[None, LossCurve]:
            return None, LossCurve((0, 10), (9.0, self.loss))

        def __exit__(self, *_: object) -> None: ...

    (model,) = find_models([run / "step-100"])
    drawn = source("sort-digits", 64)
    settings = working.Settings("sort-digits", drawn.digest, "full", 1.0, 4, 16, 40, 2, 10, 3, 8, 0)
    job = working.SearchJob(model, (20, 60), drawn, settings, tmp_path / "search.jsonl")
    monkeypatch.setattr(working, "tuned", Made)
    assert working.search(job) == pytest.approx(0.02)  # the lower of two equally good ones
    assert sorted(set(tried)) == pytest.approx([0.5, 1.0, 2.0, 4.0])
    tried.clear()
    assert working.search(job) == pytest.approx(0.02)
    assert tried == []
    other = replace(job, amounts=(20,))  # another question with the same journal
    assert working.search(other) == pytest.approx(0.02)
    assert len(tried) == 4
    assert settings.recipe(16, 0.02).rate == pytest.approx(0.01)


@pytest.mark.slow
def test_a_task_of_ones_own_is_sampled(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    pairs = lab_task("sort-digits").instances(np.random.default_rng(0), 120)
    path.write_text(
        "".join(
            json.dumps({"id": str(i), "prompt": p, "reference": a[:1]}) + "\n"
            for i, (p, a) in enumerate(pairs)
        )
    )
    asked = read_task(path, checker="any-of", length=1)
    options = {**QUICK, "instances": 40, "samples": 32}
    table = finetune_sweep([run / "step-100"], asked, [30], 1, 1, out=tmp_path / "s", **options)
    assert table["samples"].to_list() == [40 * 32.0] * 2
    assert (table["passes"] / table["samples"] - table["value"]).abs().max() < 1e-12  # type: ignore[operator]
    assert table["value"][1] > table["value"][0]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"models": []}, "no model to finetune"),
    ({"models": ["lab:nowhere"]}, "nowhere: holds no checkpoint; expected a checkpoint of the lab"),
    ({"models": ["gguf:x"]}, "--model 'gguf:x': expected lab:DIR, hf:PATH or hf:ID@REVISION"),
    ({"task": "chess"}, "the lab has no task 'chess'; it has: rule"),
    ({"task": "facts", "instances": 2048}, "task 'facts' has too few prompts: "),
    ({"amounts": []}, "amounts must be positive numbers of examples, not []"),
    ({"amounts": [-5, 10]}, "amounts must be positive numbers of examples, not [-5, 10]"),
    ({"subsets": 0}, "subsets must be at least 1"),
    ({"seeds": []}, "seeds must be at least 1"),
    ({"method": "prefix"}, "no method is called 'prefix'; there are: full, lora"),
    ({"method": "lora"}, "LoRA is for checkpoints of transformers"),
    ({"learning_rate": -1.0}, "the learning rate must be positive, not -1.0"),
    ({"patience": 0}, "patience must be at least 1, not 0"),
    ({"instances": 0}, "at least one instance, not 0"),
    ({"samples": 0}, "samples must be at least 1, not 0"),
    ({"workers": -1}, "workers must not be negative, but is -1"),
    ({"task": "OWN", "amounts": [10, 500]},
     "task 'own' has 45 examples to learn from beside 50 that are scored and 5 that stop the "
     "finetuning: 500 are too many"),
    ({"task": "BLANK"}, "of task 'blank' has no reference to learn"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "line"), BAD, ids=[line[:30] for _, line in BAD])
def test_bad_input_is_one_line_and_nothing_is_written(
    run: Path, tmp_path: Path, values: dict[str, Any], line: str
) -> None:
    own = {
        "OWN": Task("own", tuple(Instance(str(i), f"{i}+", ("1",)) for i in range(100)), 0.1),
        "BLANK": Task("blank", tuple(Instance(str(i), f"{i}+", ()) for i in range(9)), 0.1),
    }
    asked = {"models": [run], "task": "sort-digits", "amounts": [10], **QUICK, **values}
    asked["task"] = own.get(asked["task"], asked["task"])
    with pytest.raises(AuguryError) as caught:
        finetune_sweep(out=tmp_path / "study", **asked)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "study").exists()


def test_a_name_that_stands_twice_is_refused(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run / "step-50", copy)
    with pytest.raises(UsageError, match=r"two models are called 'lab-w4-seed-0 step 50': .*copy"):
        find_models([run, copy])


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("cut", r"record.json: is not JSON; expected .* delete its folder to run the unit again"),
        ("score", "record.json: does not match its checksum; expected"),
        ("format", r"record.json: has another format \(got 9\)"),
        ("no record", "record.json: there is no such file"),
        ("no rows", "rows.parquet: there is no such file"),
    ],
)
def test_a_damaged_unit_is_named(
    run: Path, study: tuple[Path, pl.DataFrame], tmp_path: Path, change: str, line: str
) -> None:
    out = tmp_path / "study"
    shutil.copytree(study[0], out)
    (unit,) = out.glob("measurements/*step-50-*-d20-s0-r0")
    record = unit / "record.json"
    if change == "cut":
        record.write_text(record.read_text()[:-40])
    elif change == "score":
        record.write_text(record.read_text().replace('"value": ', '"value": 0.9, "was": '))
    elif change == "format":
        record.write_text(record.read_text().replace('"format": 1', '"format": 9'))
    else:
        (record if change == "no record" else unit / "rows.parquet").unlink()
    with pytest.raises(DataError, match=line) as caught:
        finetune_sweep([run], "sort-digits", [20, 60], 2, 2, out=out, **QUICK)
    assert "\n" not in str(caught.value)


def test_other_settings_are_refused(run: Path, study: tuple[Path, pl.DataFrame]) -> None:
    before = sorted(study[0].rglob("*"))
    for change, line in (
        ({"batch": 8}, r"settings.json belongs to a sweep with other settings: batch 16 \(not 8\)"),
        ({"learning_rate": 0.1}, r"rate 0.02 \(not 0.1\); use another folder"),
        ({"instances": 32}, "task_digest"),
    ):
        with pytest.raises(UsageError, match=line):
            finetune_sweep([run], "sort-digits", [20], out=study[0], **{**QUICK, **change})
    without = {**QUICK, "learning_rate": None}  # the study's own, without a new search
    finetune_sweep([run], "sort-digits", [20, 60], 2, 2, out=study[0], **without)
    assert sorted(study[0].rglob("*")) == before


@pytest.mark.slow
def test_from_the_shell(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("augury.cli.startup.keep_compiled", lambda: None)
    # On a busy machine this takes longer than the wait before the first line of progress.
    monkeypatch.setattr("augury.cli.progress.LINE_EVERY", float("inf"))

    def said(*args: object) -> tuple[str, str, int]:
        monkeypatch.setattr(sys, "argv", ["augury", "finetune", *map(str, args)])
        try:
            main()
        except SystemExit as stop:
            return (*capsys.readouterr(), int(stop.code or 0))
        return (*capsys.readouterr(), 0)

    asked = ["--model", f"lab:{run}/step-50", "--task", "sort-digits", "--out", tmp_path / "s"]
    quick = ["--subsets", 1, "--seeds", 1, "--instances", 64, "--learning-rate", 0.02]
    out, err, status = said(*asked, *quick, "--amounts", "20", "--workers", 0, "--json")
    assert (err, status) == ("", 0)
    answer = json.loads(out)
    assert answer["study"] == str(tmp_path / "s")
    assert [row["finetune_examples"] for row in answer["rows"]] == [0, 20]
    assert "2 rows: " in said(*asked, *quick, "--amounts", "20", "--workers", 0)[0]
    for bad in ("many", "1e3", "-5", ""):
        out, err, status = said(*asked, f"--amounts={bad}")
        assert (out, status, err.count("\n")) == ("", 2, 1)
        assert "expected numbers of examples, as in 250,1000" in err


@pytest.mark.slow
def test_processes_give_the_same_table_and_outlive_a_failure(run: Path, tmp_path: Path) -> None:
    asked: Any = ([run], "sort-digits", [20], 1, 2)
    one = finetune_sweep(*asked, out=tmp_path / "one", **QUICK)  # in this process
    ladder = tmp_path / "ladder"
    shutil.copytree(run, ladder / run.name)
    options = {**QUICK, "workers": 2}
    weights = ladder / run.name / "step-100" / "model.safetensors"
    good = weights.read_bytes()

    def breaks(_: str, done: int, __: int) -> None:
        if done == 1:  # both have begun: later reads are damaged
            weights.write_bytes(good[:-50])

    asked = ([ladder], *asked[1:])
    with pytest.raises(SweepError, match="finetuning failed at 1 checkpoints, finished units are"):
        finetune_sweep(*asked, out=tmp_path / "two", progress=breaks, **options)
    weights.write_bytes(good)
    assert finetune_sweep(*asked, out=tmp_path / "two", **options).equals(one)


@pytest.mark.slow
def test_subspaces_are_rows_beside_all_weights(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = (
        f"--model lab:{run / 'step-100'} --task sort-digits --amounts 40 --subsets 1 --seeds 2 "
        f"--subspace 8,300,99999 --out {tmp_path} --learning-rate .02 --steps 20 --instances 32 "
        "--workers 0"
    )
    monkeypatch.setattr(sys, "argv", ["augury", "finetune", *words.split()])
    main()
    assert "d_90: dimensions for 90 % of the gain" in capsys.readouterr().out
    table = read_table(tmp_path)
    assert table.height == 1 + 2 * (1 + 2)  # 99,999 dimensions are more than there are weights
    assert table["trained_params"].value_counts().sort("trained_params").rows() == [
        (None, 3), (8.0, 2), (300.0, 2)
    ]  # fmt: skip
    found = measure_intrinsic_dimension(table)
    assert found.table["seeds"].to_list() == [2]
    assert found.curves["dimensions"].to_list() == [8, 300, 8, 300]


@pytest.mark.parametrize("how", [{"method": "head"}, {"subspace": [0]}])
def test_subspaces_it_cannot_train(run: Path, tmp_path: Path, how: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="subspace"):
        finetune_sweep([f"lab:{run}"], "sort-digits", [20], out=tmp_path,
                       **{"subspace": [8]} | QUICK | how)  # fmt: skip
