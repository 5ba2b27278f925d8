"""A given distance above chance, by laws that are straight in the loss."""

from __future__ import annotations

import numpy as np
import pytest

from augury.forecast.emergence import (
    EmergenceStatus,
    emergence_data,
    emergence_point,
    fit_emergence_many,
)
from tests.emergence_studies import paper_like
from tests.moved_studies import moved_table

DISTANCE = 0.1
OFF = 0.2
BENT = 16


@pytest.mark.slow
def test_no_answer_is_far_off_where_scores_accelerate() -> None:
    """Scores that rise with ln(loss - floor): a straight rise gave points .2 to .9 nats too low.

    Where the rise is straight, the point is still answered.
    """
    bent = [moved_table(np.random.default_rng([k, 291])) for k in range(BENT)]
    straight = [paper_like(np.random.default_rng([k, 292])) for k in range(6)]
    studies = [emergence_data(table) for _, table, _ in bent] + [data for _, data in straight]
    fits = fit_emergence_many(studies)
    points = [emergence_point(f, "above", distance=DISTANCE) for f in fits[:BENT]]
    off = np.array([abs(p.value - true) for p, (true, _, _) in zip(points, bent, strict=True)])
    answered = np.array([p.status is EmergenceStatus.ANSWERED for p in points])
    before = np.array([f.status is EmergenceStatus.ANSWERED for f in fits[:BENT]])
    assert (off[before] > OFF).sum() >= 2, "the mistake is there to be made"
    assert not (off[answered] > OFF).any()
    told = [p for p in points if p.status is EmergenceStatus.STRAIGHT]
    assert {n.code for p in told for n in p.notes} >= {"straight-rise"}
    near = [emergence_point(f, "above", distance=0.03).status for f in fits[BENT:]]
    was = [f.status for f in fits[BENT:]]
    assert near.count(EmergenceStatus.ANSWERED) >= was.count(EmergenceStatus.ANSWERED) - 1
