"""The best training mixture: which shares minimise a loss or maximise a score, under limits.

Mixture laws are fitted to every requested column and compared by cross-validation inside the table;
the better one is minimised over the shares that the limits allow. Both laws are convex in the
shares, so there is one optimum, and for a single column it lies at a corner of the limits: they
matter. Without other limits, a domain's share goes no higher than the largest one tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from augury.errors import DataError, UsageError
from augury.fitting import fit
from augury.fitting.problem import problem_of
from augury.fitting.single import optimum
from augury.fitting.space import Floats
from augury.fitting.uncertainty import bootstrap
from augury.forecast.prediction import predictive
from augury.forecast.questions.answers import AnswerStatus, Estimate
from augury.forecast.questions.mixture_answer import MixtureAnswer, PredictedResult
from augury.laws import Law, parse_law
from augury.laws.base import attributes
from augury.notes import Note
from augury.runtime.compiling import jit
from augury.runtime.steps import count_steps

LAWS = ("effective-share", "exponential-mixing")
FOLDS = 5
# Number of draws for which the best mixture is searched anew; steps of the search, after which
# shares are accurate to a hundredth.
DRAWS, STEPS = 60, 300
# Residuals of runs per draw.
PER_DRAW = 40
# Number of mixtures proposed to be trained next, out of this many random ones.
NEXT, RANDOM = 3, 2000
# Epochs over a domain's unique tokens: Muennighoff et al. 2023 found four nearly as good as new
# data.
EPOCHS = 4.0
PREFIX = "share_"


@dataclass(frozen=True)
class _Target:
    """A fitted column: its law, (1 + S, P) parameters, the best first, and runs' residuals."""

    law: Law
    parameters: Floats
    residuals: Floats

    def at(self, share: Floats, rows: slice) -> Floats:
        """Return (S, G) losses at (G, k) shares, for some rows of the parameters."""
        columns = {n: self.parameters[rows, j, None] for j, n in enumerate(self.law.parameters)}
        return self.law(columns, share=share[None])


def find_mixture(
    table: pl.DataFrame,
    *,
    minimise: Sequence[str] = (),
    maximise: Sequence[str] = (),
    caps: Mapping[str, float] | None = None,
    floors: Mapping[str, float] | None = None,
    unique_tokens: Mapping[str, float] | None = None,
    tokens: float | None = None,
    epochs: float = EPOCHS,
    level: float = 0.9,
    seed: int = 0,
) -> MixtureAnswer:
    """Find the mixture that minimises or maximises the mean of some columns.

    Args:
        table: one row per run: share_NAME for every domain, and the requested columns. The runs
            differ only in their mixture.
        minimise: columns of losses; or
        maximise: columns of scores between 0 and 1.
        caps, floors: limits of single domains' shares. Without a cap, the largest share tried.
        unique_tokens: tokens available in a domain; its share is then at most `epochs` times those
            over `tokens`.
        tokens: of the planned run.
        epochs: how often a domain's tokens may be repeated.
        level: of the intervals.
        seed: of the folds and the draws.

    Returns:
        A `MixtureAnswer`.

    Raises:
        DataError: there are no shares, a column is missing, or runs are too few.
        UsageError: limits contradict each other, or name an unknown domain.

    Source: Ye et al. 2024 (arXiv 2403.16952) for the exponential law; effective share, the choice
    and the search are ours.

    Examples:
        >>> runs = augury.read_table("mixtures.csv")
        >>> found = augury.find_mixture(runs, minimise=["web_loss"], caps={"web": 0.6})
        >>> round(found.shares["web"].value, 2)
        0.6
    """
    columns, falls = outcomes_of(minimise, maximise, level)
    domains = domains_of(table, columns)
    rows = table.drop_nulls([*(PREFIX + d for d in domains), *columns])
    if rows.height < len(domains) + 3:
        raise DataError(f"{rows.height} runs are too few for {len(domains)} domains",
                        expected=f"at least {len(domains) + 3} runs")  # fmt: skip
    shares = rows.select(PREFIX + d for d in domains).to_numpy()
    low, high = _limits(domains, shares, caps, floors, unique_tokens, tokens, epochs)
    data = {c: as_loss(rows, domains, c, falls=falls) for c in columns}
    scores = _scores(data, seed)
    chosen = min(LAWS, key=lambda name: scores[name])
    targets = {c: _fit_column(chosen, d, seed) for c, d in data.items()}
    best = _search(list(targets.values()), low, high)
    notes = _notes(domains, best[0], shares, scores, chosen)
    runners = []
    for name in sorted((n for n in LAWS if n != chosen), key=lambda n: scores[n]):
        others = {c: _fit_column(name, d, seed, 0) for c, d in data.items()}
        at = _search(list(others.values()), low, high)[0]
        predicted = _predict(others, at, level, seed, falls=falls)
        runners.append({
            "law": name, "error": scores[name],
            "shares": dict(zip(domains, map(float, at), strict=True)),
            "predicted": {c: e.value for c, e in predicted.items()},
        })  # fmt: skip
    means = np.mean([rows[c].to_numpy() for c in columns], axis=0)
    top = int(np.argmin(means) if falls else np.argmax(means))
    rng = np.random.default_rng(seed)
    return MixtureAnswer(
        level=level,
        status=AnswerStatus.ANSWERED if scores[chosen] < scores["constant"] else AnswerStatus.OPEN,
        notes=notes,
        seed=seed,
        goal="minimise" if falls else "maximise",
        columns=columns,
        shares={d: Estimate.of_draws(float(best[0, j]), best[1:, j], level)
                for j, d in enumerate(domains)},
        predicted=_predict(targets, best[0], level, seed, falls=falls),
        law=chosen,
        scores=scores,
        runners_up=tuple(runners),
        limits=pl.DataFrame({"domain": domains, "floor": low, "cap": high}),
        effects=_effects(targets, domains, shares.mean(0), level, falls=falls),
        next=tuple(dict(zip(domains, map(float, m), strict=True))
                   for m in _next_mixtures(list(targets.values()), best[0], low, high, rng)),
        best_run={"value": float(means[top]),
                  "shares": dict(zip(domains, map(float, shares[top]), strict=True))},
    )  # fmt: skip


def _limits(
    domains: list[str],
    shares: Floats,
    caps: Mapping[str, float] | None,
    floors: Mapping[str, float] | None,
    unique: Mapping[str, float] | None,
    tokens: float | None,
    epochs: float,
) -> tuple[Floats, Floats]:
    """Return (k,) lower and upper limits of every domain's share."""
    for given in (caps, floors, unique):
        for name in given or {}:
            if name not in domains:
                raise UsageError(f"no domain is called '{name}'; there are: {', '.join(domains)}")
    if unique and tokens is None:
        raise UsageError("unique tokens limit shares only with the tokens of the planned run")
    if not epochs > 0:
        raise UsageError(f"epochs must be positive, not {epochs:g}")
    high = np.minimum(shares.max(0), 1.0)
    low = np.zeros(len(domains))
    for j, name in enumerate(domains):
        high[j] = (caps or {}).get(name, high[j])
        low[j] = (floors or {}).get(name, 0.0)
        if unique and name in unique and tokens is not None:
            high[j] = min(high[j], epochs * unique[name] / tokens)
        if not 0.0 <= low[j] <= high[j] <= 1.0:
            raise UsageError(
                f"the share of '{name}' cannot lie between {low[j]:g} and {high[j]:g}: expected "
                "0 <= floor <= cap <= 1"
            )
    if low.sum() > 1.0 + 1e-9 or high.sum() < 1.0 - 1e-9:
        raise UsageError(
            f"no mixture fits the limits: floors sum to {low.sum():.3g}, caps to {high.sum():.3g}"
        )
    return low, high


def outcomes_of(
    minimise: Sequence[str], maximise: Sequence[str], level: float
) -> tuple[tuple[str, ...], bool]:
    """Return the columns that judge a mixture, and whether lower is better."""
    if bool(minimise) == bool(maximise):
        raise UsageError("say either what to minimise or what to maximise")
    if not 0.0 < level < 1.0:
        raise UsageError(f"level must lie between 0 and 1, not {level}")
    return tuple(minimise or maximise), bool(minimise)


def domains_of(table: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return the domains of a table's shares.

    Raises:
        DataError: there are fewer than two, or a requested column is missing.
    """
    domains = [c.removeprefix(PREFIX) for c in table.columns if c.startswith(PREFIX)]
    if len(domains) < 2:
        raise DataError("the table has no mixture shares", column=f"{PREFIX}*",
                        expected="one column per domain, such as share_web")  # fmt: skip
    for column in columns:
        if column not in table.columns:
            raise DataError("the column is missing", column=column,
                            expected="a loss or a score of every run")  # fmt: skip
    return domains


def as_loss(rows: pl.DataFrame, domains: list[str], column: str, *, falls: bool) -> pl.DataFrame:
    """Return the shares and what is minimised: a loss, or how far a score lies below 1."""
    y = rows[column].cast(pl.Float64).to_numpy()
    good = (y > 0) if falls else (y >= 0) & (y < 1)
    if not good.all():
        i = int(np.argmin(good))
        raise DataError("the value cannot be used", row=i + 1, column=column, value=float(y[i]),
                        expected="a positive loss" if falls else "a score from 0 to below "
                                                                 "1")  # fmt: skip
    return rows.select(PREFIX + d for d in domains).with_columns(
        pl.Series("loss", y if falls else 1.0 - y)
    )


def _scores(data: Mapping[str, pl.DataFrame], seed: int) -> dict[str, float]:
    """Return the cross-validated root mean square log error per law, and of the constant."""
    squares: dict[str, list[float]] = {name: [] for name in (*LAWS, "constant")}
    for table in data.values():
        fold = np.random.default_rng(seed).permutation(table.height) % FOLDS
        for k in count_steps(range(FOLDS), "folds"):
            past, future = table.filter(fold != k), table.filter(fold == k)
            y = np.log(future["loss"].to_numpy())
            for name in LAWS:
                fitted = fit(name, past, uncertainty="none", influence=False)
                off = np.log(predictive(fitted, future).value) - y
                squares[name] += list(off**2)
            squares["constant"] += list((np.log(past["loss"].to_numpy()).mean() - y) ** 2)
    return {name: float(np.sqrt(np.mean(s))) for name, s in squares.items()}


def _fit_column(law: str, data: pl.DataFrame, seed: int, draws: int = DRAWS) -> _Target:
    """Fit a law to one column; draws are refits to resampled runs, the same for every column.

    A domain that had little share in all runs is not identified, and need not be: the limits keep
    it small.
    """
    problem, solution, best = optimum(problem_of(parse_law(law), data, None))
    own, u = len(problem.law.parameters), solution.u[best]
    found = problem.space.natural(u)[None]
    if draws:
        more, _ = bootstrap(problem, u, draws, np.random.default_rng(seed))
        found = np.concatenate([found, problem.space.natural(more)])
    share, y = problem.points.inputs[0][0], problem.points.y[0]
    target = _Target(problem.law, found[:, :own], np.empty(0))
    off = np.log(y) - np.log(target.at(share, slice(0, 1))[0])
    spare = max(len(y) - own, 1)
    return replace(target, residuals=off * np.sqrt(len(y) / spare))


@lru_cache(maxsize=16)
def _slopes(law: Law) -> Any:
    """Compile (B,) values and (B, k) slopes of a law at (B, P) parameters and (B, k) shares."""
    import jax

    def one(parameters: Any, share: Any) -> Any:
        p = attributes(law.parameters, [parameters[j] for j in range(len(law.parameters))])
        return law.formula(p, attributes(("share",), (share[None],)))[0]

    return jit(jax.vmap(jax.value_and_grad(one, argnums=1)))


def _at(target: _Target, share: Floats) -> tuple[Floats, Floats]:
    import jax

    with jax.enable_x64(True):
        value, slope = _slopes(target.law)(target.parameters[: len(share)], share)
    return np.asarray(value), np.asarray(slope)


def _corner(slope: Floats, low: Floats, high: Floats) -> Floats:
    """Return the (B, k) shares within the limits that go farthest down (B, k) slopes."""
    order = np.argsort(slope, axis=1)
    room = np.take_along_axis(np.broadcast_to(high - low, slope.shape), order, 1)
    left = 1.0 - low.sum()
    before = np.cumsum(room, axis=1) - room
    filled = np.clip(left - before, 0.0, room)
    share = np.empty_like(slope)
    np.put_along_axis(share, order, filled, 1)
    return share + low


def _search(targets: list[_Target], low: Floats, high: Floats) -> Floats:
    """Find (1 + S, k) best shares, for the best parameters and every draw (Frank and Wolfe 1956).

    The mean over columns is of the losses themselves; the step is the better of two sizes.
    """
    size = min(len(t.parameters) for t in targets)
    share: Any = _corner(np.zeros((size, len(low))), low, high)
    # Start in the middle of what is allowed, not at an arbitrary corner.
    share = 0.5 * share + 0.5 * _corner(
        -np.tile(np.arange(len(low), dtype=float), (size, 1)), low, high
    )
    for step in range(STEPS):
        slope: Any = np.mean([_at(t, share)[1][:size] for t in targets], axis=0)
        corner = _corner(slope, low, high)
        if step == 0 and len(targets) == 1:
            share = corner  # a monotone function of a line: its minimum is at a corner
            continue
        if np.allclose(corner, share, atol=1e-12):
            break
        share = share + 2.0 / (step + 2.0) * (corner - share)
    return share


def _predict(
    targets: Mapping[str, _Target], share: Floats, level: float, seed: int, *, falls: bool
) -> dict[str, PredictedResult]:
    """Predict a mixture's result in every column and their mean."""
    size = min(len(t.parameters) for t in targets.values()) - 1
    rng = np.random.default_rng(seed)
    # One run's residuals per draw: a run that deviates does so in all columns.
    count = len(next(iter(targets.values())).residuals)
    run = rng.integers(count, size=(size, PER_DRAW))
    values, means, runs, found = [], [], [], {}
    for column, target in targets.items():
        value = float(target.at(share[None], slice(0, 1))[0, 0])
        mean = target.at(share[None], slice(1, size + 1))
        strayed = mean * np.exp(target.residuals[run])
        if not falls:
            value, mean, strayed = 1.0 - value, 1.0 - mean, 1.0 - strayed
        values.append(value)
        means.append(mean.ravel())
        runs.append(strayed.ravel())
        found[column] = PredictedResult.of_draws(value, means[-1], runs[-1], level)
    if len(targets) > 1:
        found["mean"] = PredictedResult.of_draws(
            float(np.mean(values)), np.mean(means, axis=0), np.mean(runs, axis=0), level
        )
    return found


def _effects(
    targets: Mapping[str, _Target], domains: list[str], centre: Floats, level: float, *, falls: bool
) -> pl.DataFrame:
    """Estimate the effect of one more point of a domain's share, the others scaled down equally."""
    rows = []
    for column, target in targets.items():
        share = np.tile(centre / centre.sum(), (len(target.parameters), 1))
        slope = _at(target, share)[1]
        effect = 0.01 * (slope - (slope * share).sum(1, keepdims=True)) / (1.0 - share)
        effect = effect if falls else -effect
        for j, name in enumerate(domains):
            e = Estimate.of_draws(float(effect[0, j]), effect[1:, j], level)
            rows.append({"column": column, "domain": name, "effect": e.value,
                         "low": e.interval[0], "high": e.interval[1]})  # fmt: skip
    return pl.DataFrame(rows)


def _next_mixtures(
    targets: list[_Target], best: Floats, low: Floats, high: Floats, rng: np.random.Generator
) -> list[Floats]:
    """Return mixtures on which the draws disagree most, one by one, each then taken as known.

    Half of the candidates lie around the best mixture, where more knowledge is most useful.
    """
    size = min(len(t.parameters) for t in targets) - 1
    if size < 2:
        return []
    found = rng.dirichlet(np.ones(len(low)), RANDOM)
    found[::2] = 0.5 * found[::2] + 0.5 * best
    found = np.clip(found, low, high)
    for _ in range(50):  # back to a sum of 1 within the limits
        off = 1.0 - found.sum(1, keepdims=True)
        room = np.where(off > 0, high - found, found - low)
        total = room.sum(1, keepdims=True)
        found = np.clip(found + off * room / np.where(total > 0, total, 1.0), low, high)
    draws = [np.log(t.at(found, slice(1, size + 1))) for t in targets]
    off = np.concatenate([d - d.mean(0) for d in draws])
    noise = float(np.mean([np.mean(t.residuals**2) for t in targets]))
    picked: list[Floats] = []
    taken = np.zeros(len(found), bool)
    for _ in range(NEXT):
        spread = (off**2).mean(0)
        at = int(np.argmax(np.where(taken, -1.0, spread)))
        taken[at] = True
        picked.append(found[at])
        along = off[:, at]
        off = off - np.outer(along, (along @ off) / len(off)) / (spread[at] + noise)
    return picked


def _notes(
    domains: list[str], best: Floats, shares: Floats, scores: Mapping[str, float], chosen: str
) -> tuple[Note, ...]:
    notes = []
    over = [d for d, x, top in zip(domains, best, shares.max(0), strict=True) if x > top + 1e-6]
    if over:
        said = f"The best mixture has more of {', '.join(over)} than any run had."
        notes.append(Note("untried-mixture", "warning", said, {"domains": over}))
    gap = float(np.sqrt(((shares - best) ** 2).sum(1)).min())
    usual = np.sqrt(((shares[:, None] - shares[None]) ** 2).sum(2))
    np.fill_diagonal(usual, np.inf)
    if gap > 2 * float(np.median(usual.min(1))) and not over:
        said = "No run of the table has a mixture near the best one: train it small before large."
        notes.append(Note("untried-mixture", "info", said, {"distance": gap}))
    if len(np.unique(shares, axis=0)) == len(shares):
        said = (
            "No mixture was run twice: what the law misses counts as run-to-run spread, and the "
            "interval for the mean of many runs holds only if the law does."
        )
        notes.append(Note("misfit-as-spread", "info", said))
    if scores[chosen] >= scores["constant"]:
        said = "In cross-validation no law beats the mean of the runs: mixtures seem not to matter."
        notes.append(Note("no-effect", "serious", said, dict(scores)))
    return tuple(notes)
