"""Named simple forecasts that the others have to beat, all with honest t intervals.

Each gives quantiles at `LEVELS`, (K, m), in the unit of the target. A line is least squares over
the log of the scale, on a link of the score; its interval is for a new point.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from benchmarks.scorecard.cases import Case, Floats

LEVELS = np.round(np.arange(0.05, 0.96, 0.05), 2)
# A score of 0 or 1 has no logit: it is moved this far inside. Rates have no lower limit.
EDGE = 1e-6
LEAST_RATE = 1e-300
Link = tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]
IDENTITY: Link = (lambda y: y, lambda v: v)
LOG: Link = (np.log, np.exp)
LOGIT: Link = (lambda y: np.asarray(logit(np.clip(y, EDGE, 1 - EDGE))),
               lambda v: np.asarray(expit(v)))  # fmt: skip
LOGIT_OF_RATE: Link = (lambda y: np.asarray(logit(np.clip(y, LEAST_RATE, 1 - EDGE))), LOGIT[1])
LOGLOG: Link = (lambda y: -np.log(-np.log(np.clip(y, LEAST_RATE, 1 - EDGE))),
                lambda v: np.exp(-np.exp(-np.clip(v, -7.0, 700.0))))  # fmt: skip


def own_link(case: Case) -> Link:
    return LOG if case.scale == "log" else IDENTITY


def constant(case: Case) -> Floats:
    """The mean of the observed values."""
    design, at = np.ones((len(case.y), 1)), np.ones((len(case.at), 1))
    return _line(design, at, case.y, own_link(case))


def last_value(case: Case) -> Floats:
    """The last value, with a random walk in the log of the scale from there."""
    to, back = own_link(case)
    places = np.unique(case.x)
    y = np.array([to(case.y[case.x == x]).mean() for x in places])
    gaps = np.diff(np.log(places))
    variance = float(np.sum(np.diff(y) ** 2) / np.sum(gaps))
    ahead = np.sqrt(variance * np.log(case.at / places[-1]))
    return back(y[-1] + stats.t.ppf(LEVELS, len(gaps))[:, None] * ahead)


def line(case: Case) -> Floats:
    """The straight line that skill is relative to: over log scale, in the score's own unit.

    For pass rates, it is the published line of log(-log p).
    """
    return _over(case, LOGLOG if case.kind == "pass rate" else own_link(case))


def line_last_four(case: Case) -> Floats:
    """A line through the four largest scales."""
    order = np.argsort(case.x)
    keep = order[case.x[order] >= np.unique(case.x)[-4:][0]]
    return _over(case, own_link(case), keep)


def line_of_logit(case: Case) -> Floats:
    return _over(case, LOGIT_OF_RATE if case.kind == "pass rate" else LOGIT)


def line_of_loglog(case: Case) -> Floats:
    return _over(case, LOGLOG)


def plane(case: Case) -> Floats:
    """Least squares in log params and log tokens together."""
    names = [n for n in ("params", "tokens") if _varies(case, n)]
    if len(names) < 2 or len(case.y) < 5:
        return line(case)
    design = np.column_stack(
        [np.ones(len(case.y)), *(np.log(case.past[n].to_numpy().astype(float)) for n in names)]
    )
    at = np.column_stack(
        [np.ones(len(case.at)), *(np.log(case.future[n].to_numpy().astype(float)) for n in names)]
    )
    return _line(design, at, case.y, own_link(case))


def average(case: Case) -> Floats:
    """Equal-weight mean of the quantiles of the simple forecasts."""
    parts = [last_value(case), line(case), line_last_four(case)]
    if case.kind == "loss":
        parts.append(plane(case))
    elif case.kind != "one curve":
        parts.append(line_of_logit(case))
        parts.append(line_of_loglog(case))
    to, back = own_link(case)
    return back(np.mean([to(p) for p in parts], axis=0))


def _varies(case: Case, name: str) -> bool:
    return (
        name in case.past.columns
        and case.past[name].null_count() + case.future[name].null_count() == 0
        and case.past[name].n_unique() > 1
    )


def _over(case: Case, link: Link, keep: np.ndarray | None = None) -> Floats:
    keep = np.arange(len(case.y)) if keep is None else keep
    design = np.column_stack([np.ones(len(keep)), np.log(case.x[keep])])
    at = np.column_stack([np.ones(len(case.at)), np.log(case.at)])
    return _line(design, at, case.y[keep], link)


def _line(design: Floats, at: Floats, y: Floats, link: Link) -> Floats:
    """Quantiles of a new point of a least-squares fit on a link."""
    to, back = link
    v = to(y)
    best = np.linalg.lstsq(design, v, rcond=None)[0]
    free = max(len(v) - design.shape[1], 1)
    off = v - design @ best
    spread = 1.0 + np.einsum("qi,ij,qj->q", at, np.linalg.pinv(design.T @ design), at)
    sd = np.sqrt(off @ off / free * spread)
    return back(at @ best + stats.t.ppf(LEVELS, free)[:, None] * sd)


BASELINES: dict[str, Callable[[Case], Floats]] = {
    "constant": constant,
    "last value": last_value,
    "line": line,
    "line, last four": line_last_four,
    "line of logit": line_of_logit,
    "line of log(-log)": line_of_loglog,
    "plane": plane,
    "simple average": average,
}


def baselines_of(case: Case) -> dict[str, Callable[[Case], Floats]]:
    """Baselines that apply to a kind of question."""
    skip: set[str] = set()
    if case.kind in ("loss", "one curve"):
        skip = {"line of logit", "line of log(-log)"}
    if case.kind == "pass rate":
        skip = {"line of log(-log)"}
    if case.kind in ("trend ahead", "one curve", "pass rate"):
        skip |= {"plane"}
    return {name: f for name, f in BASELINES.items() if name not in skip}
