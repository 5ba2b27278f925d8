"""What a fit reports: status, notes, errors; and the code behind it."""

import numpy as np
import polars as pl
import pytest

from augury.errors import DataError, FitError, UsageError
from augury.fitting import Fit, Gaussian, Huber, fit, fit_many, load_fit, save_fit
from augury.laws import Chinchilla, law
from tests.laws.cases import TRUTH

TRUE = TRUTH["chinchilla"]


def runs(count: int, checkpoints: int = 1, noise: float = 0.003, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    n = np.repeat(10 ** rng.uniform(7, 9.5, count), checkpoints)
    share = np.tile(np.linspace(1, 0.4, checkpoints), count)
    d = n * np.repeat(10 ** rng.uniform(0.5, 2.2, count), checkpoints) * share
    mu = Chinchilla()(TRUE, params=n, tokens=d)
    effect = np.repeat(rng.standard_normal(count), checkpoints)
    own = rng.standard_normal(count * checkpoints) * 0.3
    return pl.DataFrame(
        {
            "run": np.repeat(np.arange(count), checkpoints).astype(str),
            "params": n,
            "tokens": d,
            "loss": mu * np.exp(noise * (effect + own)),
        }
    )


@pytest.mark.parametrize(
    ("value", "row", "said"),
    [
        ([24.0, 41.0, 58.0, 71.0], 1, "this is not one .got 24.0.*--scale value=0.01 if"),
        ([0.24, 0.41, 0.58, 71.0], 4, "this is not one .got 71.0.*if they are in percent"),
        ([-0.8, -0.4, 0.1, 0.6], 1, "this is not one .got -0.8.*a score that can be negative"),
    ],
)
@pytest.mark.parametrize("name", ["logistic-task", "threshold-task"])
def test_scores_that_are_no_shares_are_named(
    name: str, value: list[float], row: int, said: str
) -> None:
    table = pl.DataFrame({"loss": [3.4, 3.0, 2.6, 2.2], "value": value})
    with pytest.raises(DataError, match=f"row {row}, column 'value'.*{said}"):
        fit(name, table)
    near = table.with_columns(value=pl.Series([-0.01, 0.2, 0.9, 1.02]))
    assert fit(name, near, uncertainty="none", influence=False).status


@pytest.mark.slow
@pytest.mark.parametrize("checkpoints", [1, 10])
def test_three_runs_never_identify_five_parameters(checkpoints: int) -> None:
    for likelihood in ("huber", "gaussian"):
        fitted = fit("chinchilla", runs(3, checkpoints), likelihood=likelihood)
        assert fitted.status == "not identifiable"
        assert fitted.status.remedy
        assert any(n.severity == "serious" for n in fitted.notes)
    with pytest.raises(FitError, match="not identifiable"):
        fit("chinchilla", runs(3, checkpoints), throw=True)


@pytest.mark.slow
def test_one_size_does_not_identify_an_exponent_of_size() -> None:
    table = runs(12).with_columns(params=pl.lit(1e8))
    assert fit("chinchilla", table).status == "not identifiable"


@pytest.mark.slow
def test_a_floor_below_zero_sits_at_its_bound() -> None:
    x = np.geomspace(1e6, 1e10, 20)
    table = pl.DataFrame({"params": x, "loss": 30 * x**-0.2 * (1 - 0.05 * np.log10(x / 1e6) / 4)})
    fitted = fit("power", table)
    assert fitted.status == "parameter at its bound"
    assert next(n for n in fitted.notes if n.code == "parameter-at-bound").details["bound"] == 0.0


def test_what_cannot_be_fitted_is_named() -> None:
    good = runs(8)
    with pytest.raises(DataError, match="column 'tokens': the column is missing"):
        fit("chinchilla", good.drop("tokens"))
    bad = good.with_columns(loss=pl.when(pl.col("run") == "2").then(-1.0).otherwise("loss"))
    with pytest.raises(DataError, match=r"row 3, column 'loss': .*\(got -1.0\)"):
        fit("chinchilla", bad)
    null = good.with_columns(loss=pl.when(pl.col("run") == "2").then(None).otherwise("loss"))
    with pytest.raises(DataError, match="row 3, column 'loss': the value is missing"):
        fit("chinchilla", null)
    with pytest.raises(UsageError, match="needs counts"):
        fit("chinchilla", good, likelihood="binomial")
    with pytest.raises(UsageError, match="'chinchilla' was given where the table belongs"):
        fit(runs(6), "chinchilla")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no likelihood is called 'student'"):
        fit("chinchilla", good, likelihood="student")
    with pytest.raises(UsageError, match="level must lie between 0 and 1"):
        fit("chinchilla", good, level=90)
    with pytest.raises(UsageError, match="no uncertainty is called"):
        fit("chinchilla", good, uncertainty="magic")  # type: ignore[arg-type]
    scores = pl.DataFrame({"task": ["a", "b"], "value": [0.1, 0.2], "params": [1.0, 2.0]})
    with pytest.raises(UsageError, match="holds 2 tasks"):
        fit("pass-rate", scores)
    with pytest.raises(DataError, match="no rows"):
        fit("chinchilla", good.head(0))
    with pytest.raises(UsageError, match="delta > 0"):
        Huber(0.0)


@pytest.mark.slow
def test_units_do_not_matter() -> None:
    table = runs(40)
    plain = fit("power", table, uncertainty="none", likelihood="gaussian")
    scaled = table.with_columns(pl.col("params") / 1e6)
    other = fit("power", scaled, uncertainty="none", likelihood="gaussian")
    assert other.parameters["alpha"] == pytest.approx(plain.parameters["alpha"], rel=1e-5)
    assert other.objective == pytest.approx(plain.objective, rel=1e-8)


@pytest.mark.slow
def test_without_influence_all_else_is_the_same() -> None:
    told = fit("power", runs(40), likelihood="gaussian")
    quick = fit("power", runs(40), likelihood="gaussian", influence=False)
    assert [n for n in told.notes if n.code != "leave-one-out"] == list(quick.notes)
    assert len(told.notes) > len(quick.notes)
    assert quick.parameters == told.parameters
    assert np.array_equal(quick.draws, told.draws)


@pytest.mark.slow
def test_checkpoints_of_a_run_are_not_counted_as_runs() -> None:
    """Ten checkpoints that share one run's error say hardly more than one."""
    table = runs(30, 10, seed=4)
    together = fit("chinchilla", table, likelihood="gaussian")
    apart = fit("chinchilla", table.drop("run"), likelihood="gaussian")
    assert together.run_count == 30
    assert apart.run_count == 300
    width = {
        name: together.intervals[name][1] - together.intervals[name][0] for name in ("alpha", "E")
    }
    naive = {name: apart.intervals[name][1] - apart.intervals[name][0] for name in ("alpha", "E")}
    assert width["alpha"] > 1.7 * naive["alpha"]
    assert width["E"] > 1.7 * naive["E"]


def test_laplace_agrees_with_scipy_on_a_linear_problem() -> None:
    """A straight line in logs: the covariance is that of ordinary least squares."""
    from scipy.stats import linregress

    rng = np.random.default_rng(3)
    c = np.geomspace(1e18, 1e22, 25)
    loss = (1.5e25 / c) ** 0.05 * np.exp(0.01 * rng.standard_normal(25))
    table = pl.DataFrame({"flops": c, "loss": loss})
    fitted = fit("compute", table, likelihood="gaussian", resamples=40_000)
    line = linregress(np.log(c), np.log(loss))
    assert fitted.parameters["alpha"] == pytest.approx(-line.slope, rel=1e-8)
    from scipy.stats import t

    half = t.ppf(0.95, 23) * line.stderr
    low, high = fitted.intervals["alpha"]
    assert high - low == pytest.approx(2 * half, rel=0.03)


@pytest.mark.slow
def test_a_fit_that_is_damaged_on_disk_is_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    folder = save_fit(fit("chinchilla", runs(12), likelihood="gaussian"), tmp_path / "fit")
    assert load_fit(folder).n == 12
    text = (folder / "fit.json").read_text()
    (folder / "fit.json").write_text(text[:-40])
    with pytest.raises(DataError, match="the saved result is damaged"):
        load_fit(folder)
    (folder / "fit.json").write_text(text.replace('"format": 1', '"format": 99'))
    with pytest.raises(DataError, match="later version"):
        load_fit(folder)
    with pytest.raises(DataError, match="holds no saved result"):
        load_fit(tmp_path / "none")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious.txt").write_text("x")
    with pytest.raises(UsageError, match="nothing is written"):
        save_fit(fit("power", runs(9)), tmp_path / "other")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fit", "other"]


def groups(count: int, n: int, spread: float, noise: float, seed: int) -> pl.DataFrame:
    """Many tasks of one ladder, whose exponents differ by `spread` in logarithms."""
    rng = np.random.default_rng(seed)
    size, tokens = 10 ** rng.uniform(7.5, 9.5, n), 10 ** rng.uniform(9.5, 11.5, n)
    parts = []
    for g in range(count):
        p = {
            "E": rng.uniform(0.5, 1.5),
            "A": 300.0,
            "B": 1500.0,
            "alpha": 0.35 * np.exp(spread * rng.standard_normal()),
            "beta": 0.37 * np.exp(spread * rng.standard_normal()),
        }
        mu = law("chinchilla")(p, params=size, tokens=tokens)
        parts.append(
            pl.DataFrame(
                {
                    "task": [f"t{g}"] * n,
                    "params": size,
                    "tokens": tokens,
                    "loss": mu * np.exp(noise * rng.standard_normal(n)),
                    "true_alpha": [p["alpha"]] * n,
                }
            )
        )
    return pl.concat(parts)


def alone(table: pl.DataFrame) -> Fit:
    """Optimum of one group."""
    return fit("chinchilla", table, likelihood="gaussian", uncertainty="none", influence=False)


@pytest.mark.slow
def test_many_groups_equal_one_by_one() -> None:
    table = groups(6, 30, 0.1, 0.004, 0)
    together = fit_many("chinchilla", table, by="task", likelihood="gaussian")
    for g, task in enumerate(together.groups["task"]):
        one = alone(table.filter(pl.col("task") == task))
        assert together.objective[g] == pytest.approx(one.objective, rel=1e-9)
        ours = dict(zip(together.names, together.parameters[g], strict=True))
        assert ours["alpha"] == pytest.approx(one.parameters["alpha"], rel=1e-4)
    assert set(together.table["status"]) == {"converged"}
    with pytest.raises(UsageError, match="no column 'suite' to group by"):
        fit_many("chinchilla", table, by="suite")
    with pytest.raises(UsageError, match="cannot pool 'gamma'"):
        fit_many("chinchilla", table, by="task", pool=["gamma"])


@pytest.mark.slow
def test_groups_of_unequal_size_are_fitted_apart() -> None:
    table = groups(3, 30, 0.1, 0.004, 1)
    short = pl.concat(
        [table.filter(pl.col("task") != "t1"), table.filter(pl.col("task") == "t1")[:9]]
    )
    fits = fit_many("chinchilla", short, by="task", likelihood="gaussian")
    one = alone(short.filter(pl.col("task") == "t1"))
    g = fits.groups["task"].to_list().index("t1")
    assert fits.objective[g] == pytest.approx(one.objective, rel=1e-6)


@pytest.mark.slow
def test_pooling_estimates_the_spread_and_helps_weak_groups() -> None:
    table = groups(40, 16, 0.15, 0.01, 2)
    true = table.group_by("task", maintain_order=True).agg(pl.col("true_alpha").first())
    errors = {}
    for pool in (False, True):
        fits = fit_many("chinchilla", table, by="task", likelihood=Gaussian("log"), pool=pool)
        alpha = fits.parameters[:, fits.names.index("alpha")]
        errors[pool] = np.sqrt(np.mean(np.log(alpha / true["true_alpha"].to_numpy()) ** 2))
        if pool:
            assert fits.pooling is not None
            assert fits.pooling.spread == pytest.approx([0.15, 0.15], rel=0.5)
    assert errors[True] < 0.75 * errors[False]


@pytest.mark.slow
def test_identical_groups_are_pooled_into_one() -> None:
    fits = fit_many("chinchilla", groups(12, 16, 0.0, 0.01, 3), by="task", pool=True)
    alpha = np.log(fits.parameters[:, fits.names.index("alpha")])
    apart = fit_many("chinchilla", groups(12, 16, 0.0, 0.01, 3), by="task")
    lonely = np.log(apart.parameters[:, apart.names.index("alpha")])
    assert alpha.std() < 0.35 * lonely.std()


def test_runs_alike_in_the_window_do_not_leave_a_direction_unknown() -> None:
    """The six of twelve runs nearest the law are in its upper half: the exponent is still known."""
    rng = np.random.default_rng(1042)
    flops = np.geomspace(1e18, 1e21, 12)
    loss = (1.5 + 300.0 * flops**-0.13) * np.exp(0.003 * rng.normal(size=12))
    fitted = fit("power:over=flops", {"flops": flops, "loss": loss}, influence=False)
    assert fitted.usable
    low, high = fitted.intervals["alpha"]
    assert low <= 0.13 <= high < 0.3
