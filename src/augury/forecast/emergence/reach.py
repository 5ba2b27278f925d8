"""Convert a loss to the parameters, tokens or FLOPs it needs, by a fitted loss law.

Every draw of the point of emergence is paired with a draw of the loss law, so that the interval
contains the uncertainty of both. The laws are inverted numerically: any law of the loss in params
and tokens works, provided that more of either does not raise the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from augury.errors import UsageError
from augury.fitting import Fit
from augury.forecast.emergence.moved_fit import MovedFit
from augury.forecast.emergence.moved_status import MovedStatus
from augury.forecast.emergence.point import Definition, distance_of
from augury.forecast.emergence.result import EmergenceFit, EmergenceStatus
from augury.forecast.emergence.search import Floats

# Halvings of the search interval: 3e-6 in logarithms for FLOPs, the widest.
HALVINGS = 26
# Shapes tried along the compute-optimal path: tokens per parameter from e^-3 to e^10.
SHAPES = np.linspace(-3.0, 10.0, 53)
# Search range of parameters, tokens and FLOPs.
RANGE = {"params": (1e2, 1e16), "tokens": (1e4, 1e19), "flops": (1e6, 1e34)}
# Number of pairs of draws.
DRAWS = 400


@dataclass(frozen=True)
class Reach:
    """The scale needed for the ability to appear.

    Attributes:
        of: "params", "tokens" or "flops".
        value: median, infinite if more than half of the draws never reach it.
        interval: (low, high) at `level`; high is infinite if it may never be reached.
        level: such as 0.9.
        never: probability that it is out of reach: the loss stays above the point at any scale (up
            to 1e16 parameters, 1e19 tokens, 1e34 FLOPs).
        given: quantities held fixed, such as {"tokens": 2e12}; empty on the compute-optimal path.
        params, tokens: medians along the compute-optimal path, or NaN.
    """

    of: str
    value: float
    interval: tuple[float, float]
    level: float
    never: float
    given: dict[str, float]
    params: float = float("nan")
    tokens: float = float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON: no infinities."""

        def number(x: float) -> float | None:
            return float(x) if np.isfinite(x) else None

        return {
            "value": number(self.value),
            "interval": [number(x) for x in self.interval],
            "level": self.level,
            "never": self.never,
            "given": dict(self.given),
            "params": number(self.params),
            "tokens": number(self.tokens),
        }

    def __str__(self) -> str:
        low, high = self.interval
        at = "".join(f" at {v:.3g} {k}" for k, v in self.given.items())
        never = f"; out of reach with probability {self.never:.0%}" if self.never > 0.005 else ""
        if not np.isfinite(low):
            return f"No number of {self.of}{at} reaches it{never}"
        value = f"{self.value:.3g} {self.of}" if np.isfinite(self.value) else f"No {self.of}"
        ends = f"{low:.3g}, {high:.3g}" if np.isfinite(high) else f"{low:.3g}, no upper limit"
        return f"{value}{at}, {self.level:.0%} [{ends}]{never}"


def in_params(
    fit: EmergenceFit | MovedFit,
    loss: Fit,
    tokens: float,
    *,
    definition: Definition = "elbow",
    distance: float | None = None,
) -> Reach:
    """Find the parameters at which the ability appears when training on `tokens`.

    Args:
        fit: a fit on the loss scale.
        loss: a fit with draws, on the same validation set: of a law in params and tokens
            ("chinchilla"), or in params alone ("power") for models trained on `tokens`.
        tokens: pretraining tokens.
        definition, distance: as in `emergence_point`.

    Raises:
        UsageError: the fits do not match.
    """
    return _along("params", "tokens", tokens, fit, loss, definition, distance)


def in_tokens(
    fit: EmergenceFit | MovedFit,
    loss: Fit,
    params: float,
    *,
    definition: Definition = "elbow",
    distance: float | None = None,
) -> Reach:
    """Find the pretraining tokens at which it appears in a model of `params`; see `in_params`."""
    return _along("tokens", "params", params, fit, loss, definition, distance)


def in_flops(
    fit: EmergenceFit | MovedFit,
    loss: Fit,
    *,
    definition: Definition = "elbow",
    distance: float | None = None,
) -> Reach:
    """Find the FLOPs (6 N D) at which it appears on the compute-optimal path; see `in_params`."""
    points, parameters = _pairs(fit, loss, distance_of(definition, distance))

    def best(log_flops: Floats) -> tuple[Floats, Floats]:
        """Return the lowest loss at each draw's FLOPs, and log(tokens / params) there."""
        ratio = SHAPES[None, :]
        log_params = 0.5 * (log_flops[:, None] - np.log(6.0) - ratio)
        wide = {k: v[:, None] for k, v in parameters.items()}
        losses = loss.law(wide, params=np.exp(log_params), tokens=np.exp(log_params + ratio))
        at = np.argmin(losses, axis=1)
        rows = np.arange(len(at))
        return losses[rows, at], SHAPES[at]

    log_flops = _bisected(lambda x: best(x)[0], points, "flops")
    reached = np.isfinite(log_flops)
    shape = best(np.where(reached, log_flops, np.log(RANGE["flops"][1])))[1]
    log_params = np.where(reached, 0.5 * (log_flops - np.log(6.0) - shape), np.inf)
    log_tokens = np.where(reached, log_params + shape, np.inf)
    return _summed("flops", log_flops, fit.level, {}, log_params, log_tokens)


def planned_losses(
    loss: Fit, params: float, tokens: float, *, count: int = 1000, seed: int = 0
) -> Floats:
    """Draw (count,) losses of one planned model, with the law's and the run's uncertainty.

    Pass them to `probability_emerged`.

    Args:
        loss: a fit in params and tokens with draws.
        params, tokens: size and tokens of the model.
        count: number of draws.
        seed: seed of the draws.
    """
    rng = np.random.default_rng(seed)
    parameters = _drawn(loss, rng, count)
    mean = loss.law(parameters, params=np.full(count, params), tokens=np.full(count, tokens))
    # Residuals of a loss fit are in log units (see `Fit.residuals`).
    return np.asarray(mean * np.exp(rng.choice(loss.residuals, count)))


def _along(
    of: str,
    given: str,
    amount: float,
    fit: EmergenceFit | MovedFit,
    loss: Fit,
    definition: Definition,
    distance: float | None,
) -> Reach:
    if not amount > 0:
        raise UsageError(f"{given} must be positive, not {amount}")
    takes = [{"params", "tokens"}, *([{"params"}] if of == "params" else [])]
    points, parameters = _pairs(fit, loss, distance_of(definition, distance), takes)

    def at(log_x: Floats) -> Floats:
        inputs = {of: np.exp(log_x), given: np.full(len(log_x), float(amount))}
        return loss.law(parameters, **{name: inputs[name] for name in loss.law.inputs})

    found = _bisected(at, points, of)
    blank = np.full(len(found), np.nan)
    return _summed(of, found, fit.level, {given: float(amount)}, blank, blank)


def _pairs(
    fit: EmergenceFit | MovedFit,
    loss: Fit,
    distance: float | None,
    takes: Sequence[set[str]] = ({"params", "tokens"},),
) -> tuple[Floats, dict[str, Floats]]:
    """Return (S,) losses at which it appears, randomly paired with the loss law's parameters."""
    if fit.data.scale != "loss":
        raise UsageError("a point in FLOPs needs no loss law: fit with scale='loss'")
    if fit.status in (EmergenceStatus.AT_CHANCE, MovedStatus.AT_CHANCE):
        raise UsageError(f"{fit.status}: nothing is known about the point. {fit.status.remedy}")
    if set(loss.law.inputs) not in takes:
        raise UsageError(
            f"the loss law must take params and tokens; '{loss.law}' takes "
            f"{', '.join(loss.law.inputs)}"
        )
    rng = np.random.default_rng(fit.seed)
    points = rng.choice(_losses(fit, distance), DRAWS, replace=False)
    return points, _drawn(loss, rng, DRAWS)


def _losses(fit: EmergenceFit | MovedFit, distance: float | None) -> Floats:
    """Return (S,) draws of the loss at which it appears."""
    if isinstance(fit, MovedFit):
        return fit.elbow_draws() if distance is None else fit.point_draws(distance)
    return -fit.point_draws(distance=distance)


def _drawn(loss: Fit, rng: np.random.Generator, count: int) -> dict[str, Floats]:
    if not len(loss.draws):
        raise UsageError("the loss fit has no draws: fit it with an uncertainty")
    rows = loss.draws[rng.integers(0, len(loss.draws), count)]
    names = list(loss.parameters)
    return {n: rows[:, names.index(n)] for n in loss.law.parameters}


def _bisected(at: Callable[[Floats], Floats], goal: Floats, of: str) -> Floats:
    """Return (S,) logs at which the falling `at` reaches each goal; inf if it never does."""
    low = np.full(len(goal), np.log(RANGE[of][0]))
    high = np.full(len(goal), np.log(RANGE[of][1]))
    never = ~(at(high) <= goal)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        reached = at(middle) <= goal
        high = np.where(reached, middle, high)
        low = np.where(reached, low, middle)
    return np.where(never, np.inf, high)


def _summed(
    of: str, found: Floats, level: float, given: dict[str, float], params: Floats, tokens: Floats
) -> Reach:
    tail = (1 - level) / 2
    with np.errstate(over="ignore"):
        low, value, high = np.exp(np.quantile(found, [tail, 0.5, 1 - tail], method="nearest"))
        own = [np.exp(np.quantile(x, 0.5, method="nearest")) for x in (params, tokens)]
    return Reach(
        of=of,
        value=float(value),
        interval=(float(low), float(high)),
        level=level,
        never=float(np.mean(~np.isfinite(found))),
        given=given,
        params=float(own[0]),
        tokens=float(own[1]),
    )
