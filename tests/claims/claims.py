"""Statistical claims as shares of simulations of any number, recorded by `make claims`.

A claim is a function from a seed and a number of simulations to the share that did what is
claimed. It rests on rooms of the package; where their code has changed, its record is out of date.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

import numpy as np
import polars as pl
from benchmarks import importance

from augury.evaluate.draw_check import judge_places
from augury.forecast.emergence import fit_emergence_many
from augury.forecast.passrate import growth, growth_forms, series
from augury.forecast.trends import trends
from tests.claims import (
    test_counts,
    test_coverage,
    test_emergence,
    test_emergence_average,
    test_passrate,
    test_passuntil,
    test_trends,
)
from tests.emergence_studies import BENT, Ablation, ablations, paper_like
from tests.evaluate import test_draw_check, test_importance
from tests.forecast import test_curves

CLAIMS: dict[str, Claim] = {}


@dataclass(frozen=True)
class Claim:
    """A claim, its limits, its number of simulations, and the code it rests on."""

    says: str
    limits: tuple[float, float]
    seed: int
    n: int
    rooms: tuple[str, ...]
    count: Callable[[int, int], float]


def claim(
    name: str, says: str, limits: tuple[float, float], n: int, rooms: str, seed: int = 0
) -> Callable[[Callable[[int, int], float]], Callable[[int, int], float]]:
    """Register a function of (seed, n) that returns the share."""

    def enrol(count: Callable[[int, int], float]) -> Callable[[int, int], float]:
        CLAIMS[name] = Claim(says, limits, seed, n, tuple(rooms.split()), count)
        return count

    return enrol


# The code that a fit of one law uses: adding a law or a reader changes none of these claims.
DATA = "data.table data.read data.schema data.compute data.scores data.counts"
FITS = f"{DATA} laws.base laws.inputs laws.grouped laws.chinchilla laws.pass_rate fitting"
HOLDS = (0.85, 0.95)


def _enrol_coverage() -> None:
    """Every setting of test_coverage: the mean over its seven intervals."""
    settings = [
        *((*own, likelihood, "laplace", HOLDS)
          for own in test_coverage.SETTINGS for likelihood in ("gaussian", "huber")),
        (60, 1, 0.01, 120, "gaussian", "bootstrap", HOLDS),
        (60, 1, 0.01, 120, "huber", "bootstrap", (0.93, 0.99)),
    ]  # fmt: skip
    for runs, checkpoints, noise, n, likelihood, how, limits in settings:

        def count(
            seed: int,
            n: int,
            own: tuple[int, int, float, str, str] = (runs, checkpoints, noise, likelihood, how),
        ) -> float:
            return float(test_coverage.coverage(*own, n, seed).mean())

        said = f"{runs} runs of {checkpoints}, noise {noise}, {likelihood}, {how}"
        claim(
            f"chinchilla-{how}-{likelihood}-{runs}-{checkpoints}",
            f"Chinchilla, {said}: 90 % intervals of parameters, law and new run, of usable fits",
            limits, n, f"{FITS} forecast.prediction",
        )(count)  # fmt: skip


_enrol_coverage()


def _enrol_few_runs() -> None:
    places = {
        "beyond": "the law at ten times the compute",
        "middle": "the law in the middle of the ladder",
        "ends": "the law at the ladder's ends",
    }
    for runs in test_coverage.FEW_RUNS:
        for likelihood in ("gaussian", "huber"):
            for place, said in places.items():

                def count(
                    seed: int, n: int, own: tuple[int, str] = (runs, likelihood), place: str = place
                ) -> float:
                    return test_coverage.few_runs(*own, n, seed)[0][place]

                claim(
                    f"few-runs-{likelihood}-{runs}" + ("" if place == "beyond" else f"-{place}"),
                    f"Power law, {runs} runs, noise .3 %, {likelihood}, Laplace: 90 % intervals of "
                    f"{said}",
                    (0.84, 0.98), 200, f"{FITS} laws.power_law forecast.prediction",
                )(count)  # fmt: skip


_enrol_few_runs()


@claim(
    "top-heavy", "Chinchilla, 34 runs of which the largest three have most of the say, huber, "
    "Laplace: 90 % intervals of the law beyond them",
    (0.84, 0.98), 200, f"{FITS} forecast.prediction",
)  # fmt: skip
def _top_heavy(seed: int, n: int) -> float:
    return test_coverage.top_heavy_held(n, seed)


@claim(
    "forecast-laplace", "Chinchilla, 20 runs: 90 % intervals of the law at ten times the compute",
    HOLDS, 300, f"{FITS} forecast.prediction",
)  # fmt: skip
def _forecast(seed: int, n: int) -> float:
    return float(test_coverage.coverage(20, 1, 0.01, "gaussian", "laplace", n, seed)[-2])


@claim(
    "run-laplace", "Chinchilla, 20 runs: 90 % intervals of a new run at ten times the compute",
    HOLDS, 300, f"{FITS} forecast.prediction",
)  # fmt: skip
def _run(seed: int, n: int) -> float:
    return float(test_coverage.coverage(20, 1, 0.01, "gaussian", "laplace", n, seed)[-1])


@claim("pass-rate-counts", "Pass rates from counts: 90 % intervals of alpha", HOLDS, 300, FITS)
def _counts(seed: int, n: int) -> float:
    rng = np.random.default_rng([seed, 11])
    return sum(test_counts.held(test_counts.counts(rng, 300), s) for s in range(n)) / n


@claim(
    "one-curve", "One curve, straight or bent, noise .1 or 1 %: 90 % intervals at twice the tokens",
    (0.8, 1.0), 60, f"{FITS} forecast.curves",
)  # fmt: skip
def _one_curve(seed: int, n: int) -> float:
    return test_curves.held([[s, 5 + seed] for s in range(n)])


@claim(
    "curvature-size", "Straight growth of pass rates called curved at the 10 % level",
    (0.05, 0.15), 300, "data.counts forecast.passrate",
)  # fmt: skip
def _size(seed: int, n: int) -> float:
    return _called_curved(seed, n, 0.0)


@claim(
    "curvature-power", "Curved growth (q = .04) of pass rates called curved",
    (0.8, 1.0), 300, "data.counts forecast.passrate",
)  # fmt: skip
def _power(seed: int, n: int) -> float:
    return _called_curved(seed, n, 0.04)


def _called_curved(seed: int, n: int, q: float) -> float:
    rng, called = np.random.default_rng([seed, 12]), 0
    with mock.patch.object(growth_forms, "_forms", return_value={}):
        for _ in range(n):
            counts = test_passrate.table(rng, 8, curvature=q, noise=0.3)
            own = counts.filter(pl.col("params") <= 100)
            called += growth(series(own, ("params",))).p < 0.1
    return called / n


@claim(
    "emergence-elbow", "Studies like the paper's: 90 % intervals of the elbow",
    HOLDS, 200, "forecast.emergence",
)  # fmt: skip
def _elbow(seed: int, n: int) -> float:
    rng = np.random.default_rng([seed, 13])
    own = [paper_like(rng) for _ in range(n)]
    found = test_emergence.intervals(fit_emergence_many([d for _, d in own]))
    return test_emergence.held(found, np.array([t.elbow for t, _ in own]))


@claim(
    "trends-size",
    "Tasks without a trend: p below .1",
    (0.06, 0.14),
    400,
    "data.metrics forecast.trends",
)
def _trends(seed: int, n: int) -> float:
    rng = np.random.default_rng([seed, 14])
    table = test_trends.noisy(rng, test_trends.flat(n), 0.08)
    return float(np.mean([t.p < 0.1 for t in trends(table).trends if t.axis == "tokens"]))


@claim(
    "emergence-average", "The average of laws, truth as fitted: 90 % intervals of the point",
    (0.75, 1.0), 20, "forecast.emergence",
)  # fmt: skip
def _average(seed: int, n: int) -> float:
    return test_emergence_average.average(n, seed, {})[0]


@claim(
    "emergence-average-s-shaped", "The same, where the shift is S-shaped",
    (0.75, 1.0), 20, "forecast.emergence",
)  # fmt: skip
def _average_bent(seed: int, n: int) -> float:
    return test_emergence_average.average(n, seed, BENT["S-shaped shift"])[0]


def _enrol_emergence() -> None:
    """Every ablation, and every truth that is not a ReLU."""
    for name, ablation in ablations().items():
        if name == "everything":
            continue

        def left(seed: int, n: int, ablation: Ablation = ablation) -> float:
            own = test_emergence.studies(n, seed)
            found = test_emergence.intervals(fit_emergence_many([ablation(d) for _, d in own]))
            return test_emergence.held(found, np.array([t.elbow for t, _ in own]))

        claim(
            f"emergence-{name.replace(' ', '-')}",
            f"Studies like the paper's, {name}: 90 % intervals of the elbow",
            (0.8, 1.0), 40, "forecast.emergence", 1,
        )(left)  # fmt: skip
    for name, changes in BENT.items():
        if name == "format skill":
            continue

        def bent(seed: int, n: int, changes: dict[str, float | bool] = changes) -> float:
            own = test_emergence.studies(n, seed, **changes)
            found = test_emergence.intervals(fit_emergence_many([d for _, d in own], law="full"))
            return test_emergence.held(found, np.array([t.emerges for t, _ in own]))

        claim(
            f"emergence-{name.replace(' ', '-').lower()}",
            f"Studies with a truth that no ReLU has ({name}), law full: 90 % intervals",
            (0.7, 1.0), 40, "forecast.emergence", 3,
        )(bent)  # fmt: skip


_enrol_emergence()


def _enrol_pass_rates() -> None:
    for noise, ceiling in test_passrate.PLATEAUS:

        def count(seed: int, n: int, own: tuple[float, float] = (noise, ceiling)) -> float:
            with mock.patch.object(growth_forms, "_forms", return_value={}):
                return test_passrate.next_size(np.random.default_rng([seed, 4]), n, *own)[0] / n

        claim(
            f"pass-rate-next-size-{noise}-{ceiling}",
            f"Pass rates of the next size, noise {noise}, ceiling {ceiling}: 90 % intervals",
            (0.83, 1.0), 30, "data.counts forecast.passrate",
        )(count)  # fmt: skip


_enrol_pass_rates()


def _enrol_means() -> None:
    """Every set of rates in test_passuntil whose mean gets an interval."""
    for name, (_, cap) in test_passuntil.RATES.items():
        for r in test_passuntil.STOPS[name]:

            def count(seed: int, n: int, name: str = name, r: int = r) -> float:
                return test_passuntil.mean_held(name, r, n, seed)

            claim(
                f"mean-{name.replace(' ', '-')}-{r}",
                f"Mean pass rate, {name}, r = {r}, at most {cap} samples: 90 % intervals",
                HOLDS, 3000, "data.counts data.mean_rate", 5,
            )(count)  # fmt: skip


_enrol_means()


def _enrol_importance() -> None:
    """Weighted draws from another model's proposals: the mean of eight instances."""
    for r, n in ((3, 300), (20, 150)):

        def count(seed: int, n: int, r: int = r) -> float:
            return float(np.mean(test_importance.weighed(r, n, 10_000 * seed).mean_held))

        claim(
            f"importance-{r}",
            f"Weighed draws of another model, r = {r}: 90 % intervals of the mean of eight rates",
            (0.85, 0.98), n, "data.counts evaluate.importance evaluate.proposals evaluate.weights",
        )(count)  # fmt: skip


_enrol_importance()


def _enrol_weights() -> None:
    """How reliable the status of importance weights is, in a setting it was not tuned on."""
    setting = importance.SETTINGS[1]

    def runs(seed: int, n: int, spread: float) -> list[tuple[bool, bool]]:
        rng = np.random.default_rng([seed, 20, int(10 * spread)])
        found = [importance.simulated(rng, spread, setting) for _ in range(n)]
        return [(w.reliable, importance.held(w, setting.rate)[1]) for w in found]

    def holds(seed: int, n: int) -> float:
        every = [run for spread in importance.SPREADS for run in runs(seed, n // 6, spread)]
        return float(np.mean([held for reliable, held in every if reliable]))

    def called(seed: int, n: int, spread: float) -> float:
        return sum(reliable for reliable, _ in runs(seed, n, spread)) / n

    claim(
        "weights-reliable",
        "Mean of 8 instances from weighted draws that are called reliable, spreads .5 to 3: 90 % "
        "intervals",
        HOLDS, 1200, "evaluate.weights evaluate.pareto", 3,
    )(holds)  # fmt: skip
    for spread, limits in ((1.0, (0.95, 1.0)), (3.0, (0.0, 0.02))):

        def share(seed: int, n: int, spread: float = spread) -> float:
            return called(seed, n, spread)

        claim(
            f"weights-called-{spread:g}",
            f"Weights of 8 instances, spread {spread:g} (of the logarithms): called reliable",
            limits, 300, "evaluate.weights evaluate.pareto", 3,
        )(share)  # fmt: skip


_enrol_weights()


# How a server truncates the distribution, and the tokens needed to detect that.
CUTS = (
    ("greedy", 200), ("top-p .8", 400), ("top-p .9", 1000), ("top-p .95", 2000),
    ("top-k 40", 1000), ("min-p .05", 400), ("temperature .8", 1000),
)  # fmt: skip


def _enrol_distribution() -> None:
    """The power of the check of a server's distribution, and its false alarms."""

    def called_cut(seed: int, n: int, how: str, draws: int) -> float:
        seeds = np.random.SeedSequence([seed, 15]).generate_state(n).tolist()
        checks = [test_draw_check.check_of(draws, how, s) for s in seeds]
        return sum(judge_places(check.places)[0] == "cut" for check in checks) / n

    for how, draws in CUTS:

        def found(seed: int, n: int, how: str = how, draws: int = draws) -> float:
            return called_cut(seed, n, how, draws)

        claim(
            f"distribution-{how.replace(' ', '-')}",
            f"A server that cuts to {how}, {draws:,} tokens, 20 shown: called cut",
            (0.9, 1.0), 200, "evaluate.draw_check",
        )(found)  # fmt: skip

    def accused(seed: int, n: int) -> float:
        return called_cut(seed, n, "own", 800)

    claim(
        "distribution-own", "A server that cuts nothing, 800 tokens, 20 shown: called cut",
        (0.0, 0.002), 1000, "evaluate.draw_check",
    )(accused)  # fmt: skip


_enrol_distribution()
