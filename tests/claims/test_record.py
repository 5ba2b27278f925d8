"""The record of claims is made with the current code, and a tenth of it is reproduced."""

from __future__ import annotations

import numpy as np
import pytest

from tests.claims.claims import CLAIMS
from tests.claims.record import DOCUMENT, document, recorded, standard_error, up_to_date


@pytest.mark.parametrize("name", CLAIMS)
def test_the_record_is_of_the_code_that_there_is(name: str) -> None:
    line = recorded().get(name)
    assert up_to_date(CLAIMS[name], line), "the code has changed: run `make claims`"
    assert line is not None
    assert CLAIMS[name].limits[0] <= line["figure"] <= CLAIMS[name].limits[1]


def test_the_document_shows_the_record() -> None:
    assert document() == DOCUMENT.read_text(encoding="utf-8"), "run `make claims`"


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMS)
def test_a_tenth_of_the_claim_comes_out_again(name: str) -> None:
    """With other seeds. Chance exceeds these limits for one tenth of 7 in 400."""
    claim, line = CLAIMS[name], recorded()[name]
    n = claim.n // 10
    share = claim.count(claim.seed + 1000, n)
    error = np.hypot(standard_error(line["figure"], n), line["standard_error"])
    assert abs(share - line["figure"]) <= 3.3 * error, (share, line["figure"])
