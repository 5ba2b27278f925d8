"""The moved curve: its likelihood, its sampler, what it recovers, its premise, its answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import optimize, stats
from scipy.special import expit
from typer.testing import CliRunner

from augury.errors import DataError, UsageError
from augury.forecast.emergence import (
    MovedFit,
    MovedStatus,
    check_premise,
    emergence_data,
    fit_moved,
    fit_moved_tasks,
    moved_study,
)
from augury.forecast.emergence.ensemble import EnsembleDraws, run_ensemble
from augury.forecast.emergence.moved_answer import answer_moved
from augury.forecast.emergence.moved_curve import Families, MovedCurve, MovedStudy
from augury.forecast.emergence.moved_families import FoundFamilies, find_families
from augury.forecast.emergence.moved_noise import ScoreNoise, Spreads
from augury.forecast.emergence.moved_tasks import pooled_shift
from tests.moved_studies import SHAPES, moved_table

pytestmark = pytest.mark.slow

WORLDS = Path(__file__).parent.parent.parent / "docs" / "experiments" / "worlds.parquet"


@pytest.fixture(scope="module")
def simulated() -> Callable[[str], tuple[float, float, MovedFit]]:
    """The point, the floor and the fit of one simulated study per shape, each fitted once."""

    @cache
    def one(shape: str) -> tuple[float, float, MovedFit]:
        point, table, floor = moved_table(np.random.default_rng(4), shape)
        return point, floor, fit_moved(moved_study(table, floor=floor))

    return one


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of the steps, for tests that do not need an accurate posterior."""

    def short(*args: Any, steps: int = 0) -> EnsembleDraws:
        del steps
        return run_ensemble(*args, steps=350)

    monkeypatch.setattr("augury.forecast.emergence.moved_fit.run_ensemble", short)


def test_the_likelihood_is_that_of_a_dense_normal() -> None:
    _, table, floor = moved_table(np.random.default_rng(0))
    table = table.with_columns(family=pl.col("model"))
    study = moved_study(table, floor=floor)
    centre = Families(np.array([0.1, -0.2, 0.0]), np.array([0.2, 0.0, -0.3]))
    curve = MovedCurve(study, centre, turns=0)
    data = study.data
    rng = np.random.default_rng(1)
    z = 0.3 * rng.standard_normal((3, len(curve.names)))
    found = curve.log_density(z) + 0.5 * (z**2).sum(1)
    p = curve.natural(z)
    # A family's curve, and how its offset and recipe move it, by differences about the centre.
    shift = p.e0[:, None] - curve.middle(p, data.amount)

    def scores(ahead: np.ndarray, recipe: np.ndarray) -> np.ndarray:
        moved = ahead[study.family] + shift * np.expm1(recipe[study.family])
        return curve.expected(p, data.place, data.amount, moved)[0]

    step = 1e-6
    by_place = (scores(centre.ahead + step, centre.recipe)
                - scores(centre.ahead - step, centre.recipe)) / (2 * step)  # fmt: skip
    by_recipe = (scores(centre.ahead, centre.recipe + step)
                 - scores(centre.ahead, centre.recipe - step)) / (2 * step)  # fmt: skip
    mean = scores(*centre) - by_place * centre.ahead[study.family]
    mean = mean - by_recipe * centre.recipe[study.family]
    expected = scores(*centre)
    for k in range(3):
        rate = np.clip(expected[k], 1e-6, 1 - 1e-6)
        cov = np.diag(rate * (1 - rate) / data.trials + p.run[k] ** 2)
        same = data.checkpoint[:, None] == data.checkpoint[None]
        cov = cov + p.luck[k] ** 2 * same
        kin = study.family[:, None] == study.family[None]
        alike = (data.subset[:, None] == data.subset[None]) & (data.subset[:, None] >= 0)
        moved = p.family[k] ** 2 * kin + p.subset[k] ** 2 * alike
        cov = cov + moved * np.outer(by_place[k], by_place[k])
        cov = cov + p.recipe[k] ** 2 * kin * np.outer(by_recipe[k], by_recipe[k])
        exact = stats.multivariate_normal(mean[k], cov).logpdf(data.y)
        assert found[k] == pytest.approx(exact + 0.5 * len(data.y) * np.log(2 * np.pi), rel=1e-6)


def test_families_are_integrated_out_about_where_each_draw_has_them() -> None:
    """Compared with importance sampling of their six effects, for draws far apart."""
    _, table, _ = moved_table(np.random.default_rng(2))
    some = table.filter(pl.col("finetune_examples").is_in([0, 32, 512]), pl.col("step") % 200 == 0)
    some = some.filter(pl.col("subset").is_null() | (pl.col("subset") == "0"))
    some = some.drop("subset").with_columns(flops=10 ** (22 - 2 * (pl.col("loss") - 4)))
    study = moved_study(some.with_columns(family=pl.col("model")), "flops")
    curve, data, rng = MovedCurve(study), study.data, np.random.default_rng(0)
    z = np.zeros((3, len(curve.names)))
    z[:, 0] = 1.2, 1.6, 2.0  # the point: the families are elsewhere for each
    p, exact = curve.natural(z), np.empty(len(z))
    same = data.checkpoint[:, None] == data.checkpoint[None]

    def log_joint(b: np.ndarray, k: int) -> np.ndarray:
        """(m,) of (m, 6) effects in units of their spreads."""
        own = type(p)(*(np.repeat(x[k], len(b)) for x in p))
        shift = own.e0[:, None] - curve.middle(own, data.amount)
        ahead, recipe = p.family[k] * b[:, study.family], p.recipe[k] * b[:, 3 + study.family]
        moved = ahead + shift * np.expm1(recipe)
        rate = curve.expected(own, data.place, data.amount, moved)[0]
        v = rate * (1 - rate) / data.trials + p.run[k] ** 2
        cov = v[:, :, None] * np.eye(len(data.y)) + p.luck[k] ** 2 * same
        factor = np.linalg.cholesky(cov)
        u = np.linalg.solve(factor, (data.y - rate)[:, :, None])[:, :, 0]
        log_det = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(1)
        return np.asarray(-0.5 * (u**2).sum(1) - log_det - 0.5 * (b**2).sum(1))

    for k in range(len(z)):
        near = curve.family_effects(z[k : k + 1])
        start = np.concatenate([near.ahead / p.family[k], near.recipe / p.recipe[k]])
        best = optimize.minimize(lambda b, k=k: -log_joint(b[None], k)[0], start)
        about = stats.multivariate_t(best.x, 1.3 * best.hess_inv, df=5)
        b = about.rvs(2000, random_state=rng)
        log_weight = log_joint(b, k) - about.logpdf(b)
        weight = np.exp(log_weight - log_weight.max())
        assert weight.sum() ** 2 / (weight**2).sum() > 200
        exact[k] = log_weight.max() + np.log(weight.mean()) - 3 * np.log(2 * np.pi)
    centre = curve.family_effects(z[1:2])

    def errors(turns: int) -> np.ndarray:
        found = MovedCurve(study, centre, turns).log_density(z) + 0.5 * (z**2).sum(1)
        return np.asarray(found - exact)

    assert abs(errors(1)).max() < 0.5
    assert np.ptp(errors(1)) < 0.3
    # With one centre for all draws, those whose families are elsewhere come out wrong.
    assert np.ptp(errors(0)) > 0.5


def test_a_table_that_names_no_subsets_has_nothing_shared_but_checkpoints() -> None:
    data = emergence_data(moved_table(np.random.default_rng(0))[1])
    n = len(data.y)
    noise = ScoreNoise(replace(data, subset=np.full(n, -1)), np.zeros(n, dtype=np.int64))
    spread = Spreads(*np.zeros((4, 1)))
    off = np.linspace(-0.1, 0.1, n)[None]
    found = noise.log_likelihood(off, np.full((1, n), 0.01), np.ones((1, n)), spread)
    wanted = -0.5 * ((off**2).sum() / 0.01 + n * np.log(0.01))
    assert float(found[0]) == pytest.approx(wanted)


def test_walkers_draw_from_a_bent_density() -> None:
    """A banana: x normal, y given x normal about x^2; moments are known."""

    def log_density(z: np.ndarray) -> np.ndarray:
        return -0.5 * (z[:, 0] ** 2 + 4.0 * (z[:, 1] - z[:, 0] ** 2) ** 2 + z[:, 2] ** 2)

    rng = np.random.default_rng(0)
    found = run_ensemble(log_density, rng.standard_normal((60, 3)), rng, steps=3000)
    assert found.z.mean(0) == pytest.approx([0.0, 1.0, 0.0], abs=0.12)
    assert found.z.var(0) == pytest.approx([1.0, 2.25, 1.0], rel=0.15)
    assert found.rhat.max() < 1.05


def test_walkers_that_have_not_arrived_are_draws_all_the_same() -> None:
    rng = np.random.default_rng(0)
    far = 50.0 + rng.standard_normal((20, 3))
    found = run_ensemble(lambda z: -0.5 * (z**2).sum(1), far, rng, steps=40)
    assert len(found.z)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_simulated_point_is_found_and_finetuning_narrows_it(
    simulated: Callable[[str], tuple[float, float, MovedFit]], shape: str
) -> None:
    point, _, fitted = simulated(shape)
    value, low, high = fitted.point(0.1)
    assert low < point < high
    assert value == pytest.approx(point, abs=0.15)
    control = fitted.control_point(0.1)
    assert control is not None
    assert high - low < control[2] - control[1]
    assert fitted.draws.rhat.max() < 1.1
    # The status of an answer is for the requested distance: this high, the data cannot say.
    assert fitted.usable
    assert fitted.judged_at(0.1) is fitted
    far = fitted.to_dict(0.74)
    assert far["point"]["value"] is None
    assert far["status"] == MovedStatus.VAGUE


def test_one_run_is_less_sure_than_the_mean_over_runs(
    simulated: Callable[[str], tuple[float, float, MovedFit]],
) -> None:
    _, floor, fitted = simulated("log")
    far, near = (fitted.probability_per_run(x) for x in (floor + 0.05, 5.0))
    assert near < 0.1 < 0.9 < far
    value = fitted.point(0.1)[0]
    assert 0.2 < fitted.probability_per_run(value) < 0.8


def taught_table(rng: np.random.Generator) -> pl.DataFrame:
    """Scores that depend on size and amount, not on loss: finetuning teaches the task."""
    rows = []
    for i in range(4):
        for j in range(8):
            loss = 4.4 + 1.0 * (7 - j) / 8 + 0.05 * rng.standard_normal()
            for amount in (0, 32, 128, 512, 2048):
                rate = 0.25 + 0.7 * expit(1.2 * i - 4 + 0.9 * np.log1p(amount / 32)) * (amount > 0)
                rows.append({"model": f"w{i}", "step": j, "params": 1e4 * 2.0**i, "loss": loss,
                             "finetune_examples": amount, "shots": 6, "chance": 0.25, "n": 1024,
                             "value": rng.binomial(1024, rate) / 1024})  # fmt: skip
    return pl.DataFrame(rows)


def test_the_premise_holds_where_scores_follow_the_loss_and_not_where_they_follow_size() -> None:
    tables = [moved_table(np.random.default_rng([k, 5]), ahead=(-0.3, -0.1))[1] for k in range(20)]
    verdicts = [check_premise(emergence_data(table)) for table in tables]
    assert all(v.holds is True for v in verdicts)
    for k in range(20):
        table = taught_table(np.random.default_rng([k, 6]))
        assert check_premise(emergence_data(table)).holds is False
    taught = taught_table(np.random.default_rng(0))
    refused = fit_moved(moved_study(taught), control=False)
    assert refused.status is MovedStatus.PREMISE
    assert not refused.usable
    # The rule and the amounts that break it are shown with the status.
    ruled = "the size 100% (85% or more needed, and 30 points more than the size; refuted where"
    for shown in (str(refused), refused.to_dict()["remedy"], refused._repr_html_()):
        assert ruled in shown
        assert "Short of it by amount: 32 (" in shown
    # FLOPs follow the size if models see equal numbers of tokens: that refutes nothing.
    flops = emergence_data(taught.with_columns(flops=10 ** (22 - pl.col("loss"))), "flops")
    assert check_premise(flops).holds is None
    assert str(check_premise(flops)).startswith("The premise is open: the compute explains")
    # One checkpoint per size: loss and size carry the same information and cannot be separated.
    last = tables[0].sort("loss").group_by("model", "finetune_examples", "subset").first()
    ladder = pl.concat([last.with_columns(params=pl.col("params") * 16**i, step=pl.lit(i),
                        loss=pl.col("loss") - 0.3 * i) for i in range(3)])  # fmt: skip
    assert check_premise(emergence_data(ladder)).confounded


@pytest.mark.skipif(not WORLDS.exists(), reason="the recorded worlds are absent")
def test_the_six_worlds_in_which_finetuning_taught_are_refused() -> None:
    worlds = pl.read_parquet(WORLDS)
    kept = worlds.filter((pl.col("metric") == "pass") & pl.col("finetune_examples").is_not_null())
    found = {
        name[0]: check_premise(emergence_data(part.drop("world"))).holds
        for name, part in kept.group_by("world", maintain_order=True)
    }
    assert len(found) == 6
    assert set(found.values()) == {False}


def test_shifts_of_tasks_are_pooled() -> None:
    # Equal errors: the mean is the plain mean, and the spread is at least that between tasks.
    mean, spread = pooled_shift([(0.0, 0.1), (0.4, 0.1), (0.8, 0.1)])
    assert mean == pytest.approx(0.4, abs=1e-6)
    assert 0.3 < spread < 0.8
    alone = pooled_shift([(0.4, 0.1)])
    assert alone[0] == pytest.approx(0.4)
    assert alone[1] > spread / 2  # one teacher says nothing about how tasks differ
    sure, unsure = pooled_shift([(0.0, 0.01), (1.0, 1.0)]), pooled_shift([(0.0, 1.0), (1.0, 0.01)])
    assert sure[0] < 0.3 < 0.7 < unsure[0]


@pytest.mark.usefixtures("few_steps")
def test_a_task_at_chance_learns_its_shift_from_one_that_has_risen() -> None:
    _, strong, floor = moved_table(np.random.default_rng(11), ahead=(-0.5, -0.4))
    _, weak, _ = moved_table(np.random.default_rng(12), ahead=(0.2, 0.3))
    studies = {"strong": moved_study(strong, floor=floor),
               "weak": moved_study(weak, floor=weak["loss"].min() - 0.5)}  # fmt: skip
    fits = fit_moved_tasks(studies)
    assert [n.code for n in fits["weak"].notes][:1] == ["shift-taught"]
    assert fits["weak"].study.shift is not None
    assert fits["strong"].study.shift is None
    with pytest.raises(UsageError, match="there is no task"):
        fit_moved_tasks({})


@pytest.mark.usefixtures("few_steps")
def test_bad_input_is_named() -> None:
    _, table, floor = moved_table(np.random.default_rng(0))
    with pytest.raises(DataError, match="there are no few-shot rows"):
        moved_study(table.filter(pl.col("finetune_examples") > 0))
    with pytest.raises(UsageError, match="the floor must lie between 0 and the lowest loss"):
        moved_study(table, floor=9.0)
    odd = table.with_columns(value=pl.Series([0.2, 0.2, 1.7]).extend(table["value"][3:]))
    with pytest.raises(DataError, match=r"row 3, column 'value': not a share \(got 1.7\)"):
        moved_study(odd, floor=floor)
    with pytest.raises(UsageError, match="level must lie between 0 and 1"):
        fit_moved(moved_study(table, floor=floor), level=1.5)
    flat = table.with_columns(value=pl.lit(0.25))
    fitted = fit_moved(moved_study(flat), control=False)
    assert fitted.status is MovedStatus.AT_CHANCE
    with pytest.raises(
        UsageError, match=r"above chance must lie between 0 and 0\.75, since chance"
    ):
        fitted.point(0.8)
    named = table.with_columns(family=pl.Series(["a"] * (table.height - 1) + [None]))
    with pytest.raises(DataError, match=rf"row {table.height}, column 'family': no family"):
        moved_study(named)
    assert moved_study(named.with_columns(family=pl.lit(None, pl.String))).families == 1
    two = table.filter(pl.col("finetune_examples").is_in([0, 8, 512]))
    assert fit_moved(moved_study(two), control=False).status is MovedStatus.TOO_FEW_AMOUNTS


@pytest.mark.usefixtures("few_steps")
def test_where_everything_is_at_chance_no_number_is_told() -> None:
    _, table, _ = moved_table(np.random.default_rng(0))
    flat = table.with_columns(value=pl.lit(0.25))
    best = float(table["loss"].min())  # type: ignore[arg-type]
    (answer,) = answer_moved(flat, params=1e9, tokens=1e12)
    told = answer.to_dict()
    for name in ("point", "elbow", "control"):
        assert told[name] == {"value": None, "interval": [None, best], "level": 0.9}
    assert told["narrowed"] is None
    assert told["probability_per_run"] is None
    assert told["status"] == "everything is at chance"
    assert "is unknown, but lies beyond the best checkpoint" in str(answer)
    with pytest.raises(UsageError, match="nothing is known about the point"):
        answer.fitted.probability_per_run(1.0)
    flops = flat.with_columns(flops=10 ** (22 - pl.col("loss"))).drop("loss")
    point = fit_moved(moved_study(flops, "flops"), control=False).to_dict()["point"]
    assert point["value"] is None
    assert point["interval"] == [pytest.approx(10 ** (22 - best)), None]


@pytest.mark.usefixtures("few_steps")
def test_families_on_flops_say_the_same_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from augury.cli import app

    families: list[FoundFamilies | None] = []

    def find(study: MovedStudy, seed: int) -> FoundFamilies | None:
        families.append(find_families(study, seed))
        return families[-1]

    monkeypatch.setattr("augury.forecast.emergence.moved_fit.find_families", find)

    _, table, _ = moved_table(np.random.default_rng(4))
    table = table.filter(pl.col("finetune_examples").is_in([0, 8, 32, 128, 512]))
    # Progress is minus the loss: three sizes as families, two of them early or late.
    own = pl.col("model").replace_strict(
        {"w0": -0.2, "w1": 0.0, "w2": 0.2}, return_dtype=pl.Float64
    )
    table = table.with_columns(
        flops=10 ** (22 - 2.0 * (pl.col("loss") - 4.0) + own), family=pl.col("model")
    ).drop("loss")
    study = moved_study(table, "flops")
    assert study.families == 3
    assert study.floor is None
    fitted = fit_moved(study, control=False)
    (found,) = families
    assert found is not None
    assert np.corrcoef(found.centre.ahead, [0.2, 0.0, -0.2])[0, 1] > 0.8
    assert "families-late" in [n.code for n in fitted.notes]
    value, low, high = fitted.point(0.1)
    assert low < 1e22 < high
    assert 1e21 < value < 1e23
    path = tmp_path / "t.csv"
    table.write_csv(path)
    run = CliRunner().invoke(
        app, ["emergence", str(path), "--scale", "flops", "--json"], catch_exceptions=False
    )
    told = json.loads(run.stdout)
    assert told["point"]["value"] == pytest.approx(value)
    assert told["point"]["interval"] == pytest.approx([low, high])
    assert told["scale"] == "flops"
    assert told["control"] is not None


@pytest.mark.usefixtures("few_steps")
def test_a_seed_gives_the_same_fit_again() -> None:
    _, table, floor = moved_table(np.random.default_rng(4))
    study = moved_study(table, floor=floor)
    first, again = (fit_moved(s, control=False, seed=2) for s in (study, replace(study)))
    assert np.array_equal(first.draws.z, again.draws.z)
    assert first.point(0.1) == again.point(0.1)


@pytest.mark.usefixtures("few_steps")
def test_the_command_prints_what_scripts_read(tmp_path: Path) -> None:
    from augury.cli import app

    _, table, _ = moved_table(np.random.default_rng(4))
    path = tmp_path / "t.csv"
    table.with_columns(tokens=1e6 * pl.col("step")).write_csv(path)
    run = CliRunner().invoke(
        app,
        ["emergence", str(path), "--scale", "loss", "--above", "0.1", "--where", "loss >= 4.0",
         "--params", "5e4", "--tokens", "1e9", "--json"],
        catch_exceptions=False,
    )  # fmt: skip
    found = json.loads(run.stdout)
    assert set(found["point"]) == {"value", "interval", "level"}
    assert set(found["elbow"]) == {"value", "interval", "level"}
    assert set(found["premise"]) == {"holds", "on_loss", "on_size"}
    assert {"value", "interval"} <= set(found["control"])
    assert 0 <= found["probability_per_run"] <= 1
    assert found["status"] in [str(s) for s in MovedStatus]
