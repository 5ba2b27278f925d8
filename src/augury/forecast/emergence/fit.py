"""Fit emergence laws to one study, or to hundreds in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np

from augury.errors import FitError, UsageError
from augury.forecast.emergence.averaging import held_out, pseudo_weights
from augury.forecast.emergence.checks import contradicted, notes_on
from augury.forecast.emergence.density import Rows
from augury.forecast.emergence.formats import few_shot_lag_note
from augury.forecast.emergence.importance import KEPT, sample
from augury.forecast.emergence.laws import LAWS, EmergenceLaw, emergence_law
from augury.forecast.emergence.observations import EmergenceData, stacked
from augury.forecast.emergence.result import EmergenceFit, EmergenceStatus, LawFit
from augury.forecast.emergence.search import Floats, Peaks, peaks
from augury.forecast.emergence.thin import check_precision, too_thin
from augury.notes import Note

Uncertainty = Literal["importance", "laplace", "nuts"]
# The laws averaged by default. The power law, the paper's ablation, is worse: by name only.
AVERAGED = ("relu", "slopes", "saturating", "s-shaped", "full")


def fit_emergence(
    data: EmergenceData,
    *,
    laws: str | EmergenceLaw | Sequence[str | EmergenceLaw] = "average",
    uncertainty: Uncertainty = "importance",
    level: float = 0.9,
    seed: int = 0,
    throw: bool = False,
) -> EmergenceFit:
    """Fit how finetuning moves the elbow; `emergence_point` then extrapolates to no finetuning.

    Args:
        data: from `emergence_data`.
        laws: a law or its name ("relu", the paper's; "relu-power", "slopes", "saturating",
            "s-shaped", "full"), several to average, or "average": all but the power law, weighted
            by how well each predicts held-out checkpoints.
        uncertainty: "importance": adaptive importance sampling, a tenth of a second per law;
            "nuts": slower, a check on the former, with R-hat and effective sample size in the
            diagnostics; "laplace": a normal approximation, too narrow with few data.
        level: level of the intervals.
        seed: seed of all random numbers.
        throw: raise `FitError` if everything is at chance, instead of returning that status.

    Returns:
        An `EmergenceFit`.

    Raises:
        UsageError: an option does not exist or is out of range.
        FitError: only with `throw`.

    Source: Snell et al. 2024 (arXiv 2411.16035); noise model, links and averaging are ours.

    Examples:
        >>> study = augury.emergence_data(augury.read_table("sweep.csv"))
        >>> fitted = augury.fit_emergence(study, laws="relu", uncertainty="laplace")
        >>> print(fitted.status)
        answered
    """
    chosen = _chosen(laws)
    _checked(uncertainty, level)
    status, notes = too_thin(data)
    if throw and status is EmergenceStatus.AT_CHANCE:
        raise FitError(f"{status}. {status.remedy}")
    rows = stacked([data] * len(chosen), chosen)
    at, draws, found = _drawn(rows, counts=data.counts, uncertainty=uncertainty, seed=seed)
    fits = tuple(_law_fit(law, at, draws, found, k) for k, law in enumerate(chosen))
    scores, weights = np.empty((len(chosen), 0)), np.ones(len(chosen)) / len(chosen)
    if len(chosen) > 1 and len(data.checkpoints) > 2:
        scores = held_out(data, chosen, draws, seed=seed)
        weights = pseudo_weights(scores, np.random.default_rng(seed))
    fitted = EmergenceFit(
        data, fits, tuple(float(w) for w in weights), scores, status, (), uncertainty, level, seed
    )
    own, more = check_precision(
        data, fitted.point_draws(), fitted.elbow_draws(float(data.amount.max())), level
    )
    if status is EmergenceStatus.ANSWERED:
        status = own
        notes += more
    against, why = contradicted(fitted)
    if status is EmergenceStatus.ANSWERED:
        status = against
    notes += [*why, *notes_on(fitted), *_late(fitted)]
    return EmergenceFit(
        data, fits, fitted.weights, scores, status, tuple(notes), uncertainty, level, seed
    )


def fit_emergence_many(
    studies: Sequence[EmergenceData],
    *,
    law: str | EmergenceLaw = "relu",
    uncertainty: Literal["importance", "laplace"] = "importance",
    level: float = 0.9,
    seed: int = 0,
) -> list[EmergenceFit]:
    """Fit one law to many studies (tasks, ablations, simulations) in one batched call.

    Args:
        studies: all with counts, or all without.
        law: a law or its name; no averaging.
        uncertainty, level, seed: as in `fit_emergence`.

    Returns:
        One fit per study, in order, without the notes that need more fits.

    Raises:
        UsageError: there are no studies, or some have counts and some do not.
    """
    if not studies:
        raise UsageError("there are no studies to fit")
    own = emergence_law(law)
    _checked(uncertainty, level)
    counts = {s.counts for s in studies}
    if len(counts) > 1:
        raise UsageError("some studies have counts and some do not: fit the two kinds separately")
    rows = stacked(studies, [own] * len(studies))
    at, draws, found = _drawn(rows, counts=counts.pop(), uncertainty=uncertainty, seed=seed)
    out = []
    for k, data in enumerate(studies):
        status, notes = too_thin(data)
        fits = (_law_fit(own, at, draws, found, k),)
        one = EmergenceFit(
            data, fits, (1.0,), np.empty((1, 0)), status, tuple(notes), uncertainty, level, seed
        )
        if status is EmergenceStatus.ANSWERED:
            end = one.elbow_draws(float(data.amount.max()))
            status, more = check_precision(data, one.point_draws(), end, level)
            one = EmergenceFit(
                data,
                fits,
                (1.0,),
                one.scores,
                status,
                (*notes, *more),
                uncertainty,
                level,
                seed,
            )
        out.append(one)
    return out


def _chosen(laws: str | EmergenceLaw | Sequence[str | EmergenceLaw]) -> list[EmergenceLaw]:
    if laws == "average":
        return [LAWS[name] for name in AVERAGED]
    if isinstance(laws, str | EmergenceLaw):
        return [emergence_law(laws)]
    if not laws:
        raise UsageError("laws is empty: give at least one")
    return [emergence_law(law) for law in laws]


def _checked(uncertainty: str, level: float) -> None:
    if uncertainty not in ("importance", "laplace", "nuts"):
        raise UsageError(
            f"no uncertainty is called '{uncertainty}'; there are: importance, laplace, nuts"
        )
    if not 0 < level < 1:
        raise UsageError(f"level must lie between 0 and 1, not {level}")


def _drawn(
    rows: Rows, *, counts: bool, uncertainty: Uncertainty, seed: int
) -> tuple[Peaks, Floats, list[dict[str, float]]]:
    """Return peaks, (S, D, P) draws and diagnostics of every study."""
    if uncertainty == "nuts":
        from augury.forecast.emergence import nuts

        with ThreadPoolExecutor(1) as aside:
            compiled = aside.submit(nuts.sampler, rows, counts=counts)
            at, near, found = _drawn(rows, counts=counts, uncertainty="importance", seed=seed)
        z, told = nuts.chains(compiled.result(), rows, near, counts=counts, seed=seed)
        return at, z, [a | b for a, b in zip(found, told, strict=True)]
    at = peaks(rows, counts=counts)
    if uncertainty == "laplace":
        rng = np.random.default_rng(seed)
        root = np.linalg.cholesky(at.covariance)
        normal = rng.standard_normal((len(root), KEPT, root.shape[-1]))
        z = at.z[:, None] + np.einsum("spq,sdq->sdp", root, normal)
        return at, z * rows.law.active[:, None], [{} for _ in root]
    drawn = sample(rows, at, counts=counts, seed=seed)
    found = [
        {"effective_size": float(n), "evidence": float(e)}
        for n, e in zip(drawn.size, drawn.evidence, strict=True)
    ]
    return at, drawn.z, found


def _late(fitted: EmergenceFit) -> list[Note]:
    """Compare few-shot scores with the best law fitted to the finetuned rows alone."""
    data = fitted.data
    tuned = data.amount > 0
    if tuned.all() or fitted.status in (EmergenceStatus.AT_CHANCE, EmergenceStatus.TOO_FEW_AMOUNTS):
        return []
    law = fitted.fits[int(np.argmax(fitted.weights))].law
    rows = stacked([data], [law])
    rows = rows._replace(weight=rows.weight * (1.0 - rows.few))  # keeps the compiled size
    at, draws, found = _drawn(rows, counts=data.counts, uncertainty="importance", seed=fitted.seed)
    fits = (_law_fit(law, at, draws, found, 0),)
    none = np.empty((1, 0))
    alone = EmergenceFit(
        data, fits, (1.0,), none, fitted.status, (), "importance", fitted.level, fitted.seed
    )
    return few_shot_lag_note(alone, data)


def _law_fit(
    law: EmergenceLaw, at: Peaks, draws: Floats, found: list[dict[str, float]], k: int
) -> LawFit:
    return LawFit(law, at.z[k], float(at.density[k]), float(at.agree[k]), draws[k], found[k])
