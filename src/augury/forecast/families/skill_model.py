"""The skills model: its formula, its derivatives, and the search for its best parameters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from augury.fitting.space import Floats

Groups = NDArray[np.int64]
# Residuals beyond this count by their size, not its square, as in the published fit.
DELTA = 0.01
# Standard deviations of the weak priors, with NOISE as the scale of scores: slopes of skills, a
# family's skill levels, loadings, a family's offset on one benchmark, logit of the ceiling,
# logarithm of the bend. LEVEL leaves levels free. Chosen among about twenty, with the published
# splits in view (see docs/laws.md).
NOISE, SLOPE, FAMILY, LOADING, OWN, CEILING, BEND, LEVEL = 0.04, 1.0, 0.6, 1.0, 0.3, 1.0, 1.0, 100.0
CEILING_AT = 2.0
STEPS, PATIENCE, SETTLED = 60, 8, 1e-6


class Skills(NamedTuple):
    """Parameters, d skills, J benchmarks, F families.

    slope (3, d), family (F, d), loading (d, J), level (J,), own (F, J), ceiling (J,) as a logit,
    bend (J,) as a logarithm.
    """

    slope: Floats
    family: Floats
    loading: Floats
    level: Floats
    own: Floats
    ceiling: Floats
    bend: Floats

    def flat(self) -> Floats:
        return np.concatenate([np.ravel(part) for part in self])

    def like(self, flat: Floats) -> Skills:
        """Return parameters of the same shapes from a flat array."""
        ends = np.cumsum([part.size for part in self])
        parts = np.split(flat, ends[:-1])
        return Skills(*(p.reshape(own.shape) for p, own in zip(parts, self, strict=True)))


def scores_at(p: Skills, x: Floats, family: Groups, floor: Floats) -> Floats:
    """Return (n, J) scores: floor + (1 - floor) ceiling sigmoid(loadings . skills + level)^bend."""
    theta = x @ p.slope + p.family[family]
    share = expit(theta @ p.loading + p.level + p.own[family])
    return np.asarray(floor + (1.0 - floor) * expit(p.ceiling) * share ** np.exp(p.bend))


def fit_skill_model(
    x: Floats, family: Groups, y: Floats, floor: Floats, families: int, skills: int
) -> Skills:
    """Minimise the Huber loss under the weak priors with Levenberg-Marquardt.

    Args:
        x: (n, 3) standardised log parameters, log tokens, their product.
        family: (n,) family index below `families`.
        y: (n, J) scores; NaN where one was not measured.
        floor: (J,).
        families, skills: their numbers.
    """
    start, precision = _start(x, y, floor, families, skills)
    at = start.flat()
    middle = at.copy()
    wide = _entries_of(start, {"level", "ceiling"})
    middle[~wide] = 0.0  # levels and ceilings have their own prior mean
    known = np.isfinite(y)

    def cost(flat: Floats) -> float:
        off = np.abs(np.where(known, scores_at(start.like(flat), x, family, floor) - y, 0.0))
        huber = np.where(off < DELTA, 0.5 * off**2, DELTA * (off - 0.5 * DELTA))
        return float(huber.sum() + 0.5 * (precision * (flat - middle) ** 2).sum())

    damping, best = 1e-2, cost(at)
    for _ in range(STEPS):
        value, jacobian = _jacobian(start.like(at), x, family, floor)
        off = np.where(known, y - value, 0.0).ravel()
        weight = np.where(known.ravel(), np.minimum(1.0, DELTA / np.maximum(np.abs(off), 1e-12)), 0)
        gradient = jacobian.T @ (weight * off) - precision * (at - middle)
        curvature = (jacobian * weight[:, None]).T @ jacobian
        curvature[np.diag_indices(len(at))] += precision
        for _ in range(PATIENCE):
            stiff = damping * np.diag(np.diag(curvature) + 1e-9)
            moved = at + np.linalg.solve(curvature + stiff, gradient)
            new = cost(moved)
            if new < best:
                break
            damping *= 4.0
        else:
            break
        gain, at, best = best - new, moved, new
        damping = max(damping / 5.0, 1e-8)
        if gain < SETTLED * best:
            break
    return start.like(at)


def _start(
    x: Floats, y: Floats, floor: Floats, families: int, skills: int
) -> tuple[Skills, Floats]:
    """Return a start from a fixed seed (skills are exchangeable), and the priors' precision."""
    rng = np.random.default_rng(0)
    benchmarks = y.shape[1]
    slope = np.zeros((x.shape[1], skills))
    slope[0] = np.abs(rng.normal(0.0, 0.5, skills)) + 0.2
    slope[1] = 0.7 * slope[0]
    loading = np.abs(rng.normal(0.0, 0.7, (skills, benchmarks))) / np.sqrt(skills)
    share = np.clip((y - floor) / (1.0 - floor), 0.02, 0.98)
    level = np.nanmean(np.log(share / (1.0 - share)), axis=0)
    start = Skills(
        slope, np.zeros((families, skills)), loading, level, np.zeros((families, benchmarks)),
        np.full(benchmarks, CEILING_AT), np.zeros(benchmarks),
    )  # fmt: skip
    spread = (SLOPE, FAMILY, LOADING, LEVEL, OWN, CEILING, BEND)
    deviation = np.concatenate([
        np.full(part.size, sd) for part, sd in zip(start, spread, strict=True)
    ])  # fmt: skip
    return start, (NOISE / deviation) ** 2


def _entries_of(p: Skills, names: set[str]) -> NDArray[np.bool_]:
    """Return which entries of the flat parameters belong to the named parts."""
    return np.concatenate([
        np.full(part.size, name in names) for name, part in p._asdict().items()
    ])  # fmt: skip


def _jacobian(p: Skills, x: Floats, family: Groups, floor: Floats) -> tuple[Floats, Floats]:
    """Return (n, J) scores and their derivatives, (n J, P)."""
    n, benchmarks = len(x), len(floor)
    theta = x @ p.slope + p.family[family]
    share = expit(theta @ p.loading + p.level + p.own[family])
    ceiling, bend = expit(p.ceiling), np.exp(p.bend)
    above = (1.0 - floor) * ceiling * share**bend
    gain = above * bend * (1.0 - share)  # with respect to the logit
    belongs = np.eye(len(p.own))[family]  # (n, F)
    each = np.eye(benchmarks)
    parts = (
        np.einsum("nj,ni,kj->njik", gain, x, p.loading),
        np.einsum("nj,nf,kj->njfk", gain, belongs, p.loading),
        np.einsum("nj,nk,jl->njkl", gain, theta, each),
        np.einsum("nj,jl->njl", gain, each),
        np.einsum("nj,nf,jl->njfl", gain, belongs, each),
        np.einsum("nj,jl->njl", above * (1.0 - ceiling), each),
        np.einsum("nj,jl->njl", above * bend * np.log(np.maximum(share, 1e-300)), each),
    )
    return floor + above, np.concatenate([x.reshape(n * benchmarks, -1) for x in parts], axis=1)
