"""Laws of emergence: how the score rises past its elbow, and how finetuning moves the elbow.

They form one family. With x the progress of pretraining (minus the loss, or log10 FLOPs), D the
number of finetuning examples and z = x - e(D) the distance past the elbow,

    score = B + A(D) * rise(z)          e(D) = e_max + S * (1 - f(D)),  S >= 0

f runs from 0 at the low-data limit D_0 to 1 at the largest amount, and never falls: more finetuning
cannot push the elbow back. The point of emergence is e(D_0) = e_max + S. With f built from
(log D)^alpha and a ReLU this is k (log D)^alpha + C of Snell et al. 2024 (arXiv 2411.16035), with k
and C replaced by two observable elbows.

A member of the family is data, not code: it says which parameters are free and which are pinned.
One compiled function serves all members, on many studies in one call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

import numpy as np

from augury.errors import UsageError

Array = Any
"""A NumPy or JAX array."""

# A ReLU's corner is rounded over this share of the unit of scale (.4 nats or more). That is .002
# nats: a twentieth of the error of the best elbows measured so far, yet enough for gradients.
CORNER = 0.005
# A plateau this many times the largest observed rise counts as no plateau.
NO_PLATEAU = 1e4
# Prior standard deviation of the log of a base near 0.
RARE_SD = 1.5
SHIFTS = ("log-power", "power", "s-shaped")
# Prior mean and standard deviation of each parameter, in dimensionless coordinates: positions and
# shifts in the study's `unit`, the slope in height / unit, positive parameters as logs. The priors
# are wide: 90 % of the shift lies in .12 to 1.7 units, of alpha in .4 to 2.7, of the few-shot slope
# in a third to three times the finetuned one, of the plateau in .6 to 4.4 times the largest rise.
PRIORS: Mapping[str, tuple[float, float]] = {
    "end": (0.0, 0.5),  # the elbow at the largest amount, from the middle of the checkpoints
    "shift": (-0.8, 0.8),
    "slope": (0.7, 1.0),
    "base": (0.0, 1.0),
    "delta": (0.0, 1.0),  # the few-shot rows' own base over B
    "run": (-6.0, 1.5),  # noise between runs, see `density`
    "luck": (-4.5, 1.0),  # standard deviation of a run's own elbow, in units
    "subset": (-3.5, 1.0),  # standard deviation between subsets, of the elbow
    "alpha": (0.0, 0.6),
    "power": (0.1, 0.25),
    "middle": (0.6, 0.35),  # of an S-shaped shift, as a share of log(D / D_0)
    "width": (-1.8, 0.6),
    "tilt": (0.0, 0.7),
    "plateau": (0.5, 0.6),
    "corner": (-3.0, 0.7),
}
NAMES = tuple(PRIORS)
_PINNED = {"plateau": float(np.log(NO_PLATEAU)), "corner": float(np.log(CORNER))}


class Scales(NamedTuple):
    """The numbers of a study that scale the priors; every entry a float.

    `low`, `span`: smallest progress and its range. `unit`: the span, or .4 nats (one decade of
    FLOPs) if the span is smaller. `chance`, `chance_sd`: prior mean and standard deviation of the
    base; `rare`: 1 if the base is about 0, where the prior is on its log. `height`: largest score
    above the base. `limit`: progress that no model exceeds, a loss of 0.
    `log_low`, `log_high`: log D_0 and log of the largest amount.
    """

    low: Array
    span: Array
    unit: Array
    chance: Array
    chance_sd: Array
    rare: Array
    height: Array
    limit: Array
    log_low: Array
    log_high: Array


class Member(NamedTuple):
    """A law as arrays. mean, sd: (P,) priors, sd 0 if pinned. active: (P,) 1 if free.
    kind: (3,) 1 at its shift, in the order of `SHIFTS`.
    """

    mean: Array
    sd: Array
    active: Array
    kind: Array


@dataclass(frozen=True)
class EmergenceLaw:
    """One member of the family.

    Attributes:
        curve: "relu", or "saturating": a rounded elbow and a plateau. A one-slope ReLU is biased
            where curves flatten.
        shift: "log-power" (Snell et al.'s main model), "power" (their ablation), or "s-shaped":
            flat for few examples and flat again for many, as 53 public models show (data of
            Dominguez-Olmedo et al. 2024, arXiv 2407.07890).
        slopes: whether A varies with log D; on those models it halves between no finetuning and
            much of it.
        delta: whether few-shot rows have their own base (Snell et al.'s Delta) instead of sharing
            B.
    """

    curve: Literal["relu", "saturating"] = "relu"
    shift: Literal["log-power", "power", "s-shaped"] = "log-power"
    slopes: bool = False
    delta: bool = True

    @property
    def free(self) -> tuple[str, ...]:
        """The fitted parameters."""
        pinned = set() if self.curve == "saturating" else {"plateau", "corner"}
        pinned |= set() if self.slopes else {"tilt"}
        pinned |= set() if self.delta else {"delta"}
        own = {"log-power": {"alpha"}, "power": {"power"}, "s-shaped": {"middle", "width"}}
        for shift, names in own.items():
            pinned |= set() if shift == self.shift else names
        return tuple(name for name in NAMES if name not in pinned)

    @property
    def member(self) -> Member:
        """The law as data."""
        active = np.array([float(name in self.free) for name in NAMES])
        mean = [PRIORS[n][0] if n in self.free else _PINNED.get(n, PRIORS[n][0]) for n in NAMES]
        mean = [0.0 if n in ("tilt", "delta") else m for n, m in zip(NAMES, mean, strict=True)]
        sd = np.array([PRIORS[n][1] for n in NAMES]) * active
        return Member(
            np.array(mean), sd, active, np.array([float(s == self.shift) for s in SHIFTS])
        )

    def __str__(self) -> str:
        return next((n for n, law in LAWS.items() if law == self), repr(self))


def natural(coordinates: Array, member: Member, s: Scales) -> SimpleNamespace:
    """Map (..., P) standard-normal coordinates to parameters in natural units, (...) each.

    end, shift, corner, luck and subset are in progress; slope in score per progress; base, few_base
    (of few-shot rows) and plateau in score; run as in `density`.
    """
    import jax.numpy as jnp

    free = member.mean + member.sd * coordinates
    c = SimpleNamespace(**{name: free[..., j] for j, name in enumerate(NAMES)})
    # A base near 0 has its prior on the log scale: it cannot be negative.
    rare = s.chance * jnp.exp(RARE_SD * c.base)
    usual = s.chance + s.chance_sd * c.base
    base = jnp.where(s.rare > 0, rare, usual)
    own = jnp.where(s.rare > 0, rare * jnp.exp(c.delta), usual + 0.5 * s.chance_sd * c.delta)
    return SimpleNamespace(
        end=s.low + 0.5 * s.span + s.unit * c.end,
        shift=s.unit * jnp.exp(c.shift),
        slope=s.height / s.unit * jnp.exp(c.slope),
        base=base,
        few_base=own,
        run=jnp.exp(c.run),
        luck=s.unit * jnp.exp(c.luck),
        subset=s.unit * jnp.exp(c.subset),
        alpha=jnp.exp(c.alpha),
        power=c.power,
        middle=c.middle,
        width=jnp.exp(c.width),
        tilt=c.tilt,
        plateau=s.height * jnp.exp(c.plateau),
        corner=s.unit * jnp.exp(c.corner),
    )


def shift_fraction(p: SimpleNamespace, log_amount: Array, kind: Array, s: Scales) -> Array:
    """Return f, the share of the whole shift at an amount: 0 at D_0, 1 at the largest."""
    import jax.numpy as jnp

    span = s.log_high - s.log_low
    way = (log_amount - s.log_low) / span
    grown = jnp.log(log_amount / s.log_low)
    all_grown = jnp.log(s.log_high / s.log_low)
    log_power = jnp.expm1(p.alpha * grown) / jnp.expm1(p.alpha * all_grown)
    power = way * _growth(p.power * way * span) / _growth(p.power * span)

    def sigmoid(u: Array) -> Array:
        return jnp.tanh(0.5 * (u - p.middle) / p.width)

    s_shaped = (sigmoid(way) - sigmoid(0.0)) / (sigmoid(1.0) - sigmoid(0.0) + 1e-12)
    return kind[..., 0] * log_power + kind[..., 1] * power + kind[..., 2] * s_shaped


def elbow(p: SimpleNamespace, log_amount: Array, kind: Array, s: Scales) -> Array:
    """Return e(D) in progress: (n,) for (n,) logarithms of amounts."""
    return p.end + p.shift * (1.0 - shift_fraction(p, log_amount, kind, s))


def steepness(p: SimpleNamespace, log_amount: Array, s: Scales) -> Array:
    """Return A(D), the slope just past the elbow, score per unit of progress."""
    import jax.numpy as jnp

    return p.slope * jnp.exp(p.tilt * (s.log_high - log_amount) / (s.log_high - s.log_low))


def score_above_base(p: SimpleNamespace, past: Array, steep: Array) -> tuple[Array, Array]:
    """Return the score above the base, `past` the elbow, and its slope there: (n,) each."""
    import jax
    import jax.numpy as jnp

    lifted = steep * p.corner * jnp.logaddexp(0.0, past / p.corner)
    left = jnp.exp(-lifted / p.plateau)
    # By expm1: with a plateau that counts as none, 1 - left would lose all digits.
    return -p.plateau * jnp.expm1(-lifted / p.plateau), (
        left * steep * jax.nn.sigmoid(past / p.corner)
    )


def past_for(p: SimpleNamespace, distance: float, steep: Array) -> Array:
    """Return how far past its elbow a curve is `distance` above its base; inf if never.

    The inverse of the first value of `score_above_base`.
    """
    import jax.numpy as jnp

    left = 1.0 - distance / p.plateau
    lifted = -p.plateau * jnp.log(jnp.maximum(left, 1e-300))
    # past = corner * log(exp(u) - 1), written so that neither small nor large u overflows.
    u = lifted / (steep * p.corner)
    return jnp.where(left > 0, p.corner * (u + jnp.log(-jnp.expm1(-u))), jnp.inf)


def _growth(y: Array) -> Array:
    """Compute expm1(y) / y, through 0."""
    import jax.numpy as jnp

    small = jnp.abs(y) < 1e-6
    return jnp.where(
        small, 1.0 + 0.5 * y, jnp.expm1(jnp.where(small, 1.0, y)) / jnp.where(small, 1.0, y)
    )


LAWS: Mapping[str, EmergenceLaw] = {
    "relu": EmergenceLaw(),
    "relu-power": EmergenceLaw(shift="power"),
    "slopes": EmergenceLaw(slopes=True),
    "saturating": EmergenceLaw("saturating", slopes=True),
    "s-shaped": EmergenceLaw(shift="s-shaped", slopes=True),
    "full": EmergenceLaw("saturating", "s-shaped", slopes=True),
}
"""Laws by name. "relu" is the paper's; "full" has every bend that was seen in real data."""


def emergence_law(name: EmergenceLaw | str) -> EmergenceLaw:
    """Return a law by its name.

    Raises:
        UsageError: no law has that name.
    """
    if isinstance(name, EmergenceLaw):
        return name
    if name not in LAWS:
        raise UsageError(f"no emergence law is called '{name}'; there are: {', '.join(LAWS)}")
    return LAWS[name]
