"""The premise check in simulation: what it accepts, refuses or leaves open, and how often."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from augury.forecast.emergence import check_premise, emergence_data
from tests.moved_studies import SHAPES, moved_table

STUDIES = 200


def verdicts(by_size: float, ahead: tuple[float, float]) -> Counter[bool | None]:
    """Shares among the studies in which some scores have risen."""
    found: Counter[bool | None] = Counter()
    for k in range(STUDIES):
        rng = np.random.default_rng([k, 9])
        table = moved_table(rng, SHAPES[k % 3], ahead=ahead, by_size=by_size)[1]
        premise = check_premise(emergence_data(table))
        if premise.shares:
            found[premise.holds] += 1
    return found


@pytest.mark.claims
@pytest.mark.parametrize("ahead", [(0.05, 0.3), (-0.3, -0.1)])
def test_a_premise_that_holds_is_accepted(ahead: tuple[float, float]) -> None:
    """Size of the test: at most 5 % of the studies are not accepted, and none is refused."""
    found = verdicts(0.0, ahead)
    assert found[True] >= 0.95 * sum(found.values())
    assert found[False] == 0
    assert sum(found.values()) >= 0.4 * STUDIES


@pytest.mark.claims
@pytest.mark.parametrize("by_size", [0.4, -0.4])
def test_a_premise_that_is_broken_is_not_accepted(by_size: float) -> None:
    """Power: a doubling of the size moves the curve by .4 in the log of the reducible loss.

    With few-shot scores still at chance nearly all are caught; risen scores saturate, and a fifth
    passes: 22 and 25 % of 200 when this was written.
    """
    early, late = verdicts(by_size, (0.05, 0.3)), verdicts(by_size, (-0.3, -0.1))
    assert early[True] <= 0.05 * sum(early.values())
    assert late[True] <= 0.3 * sum(late.values())
    strong = verdicts(1.5 * by_size, (-0.3, -0.1))
    assert strong[True] <= 0.12 * sum(strong.values())
