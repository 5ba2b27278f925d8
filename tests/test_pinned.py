"""Numbers that a refactoring must not change, compared with tests/pinned.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.pinned_numbers import PINNED

RECORD = json.loads((Path(__file__).parent / "pinned.json").read_text())
# Relative: another order of summation moves the end of an optimiser, whose tolerance is 1e-13 in
# the objective and so 1e-6 in a parameter; draws follow.
TOLERANCE = 2e-5
# Entries that were recorded again, with the reason.
REASONS: dict[str, str] = {
    **dict.fromkeys(
        ("fit_losses", "fit_scores", "fit_broken_power", "fit_notes", "predict", "chain"),
        "the same optimum and covariance; draws move the law's curve as its tangent says, and no "
        "longer its parameters: intervals inside the data are up to five times narrower",
    ),
    "backtest": "the same forecasts; their intervals follow the curve, and 1.0 in place of .875 of "
    "the errors lie within, at three quarters of the width",
    "pass_rates": "`average` is the mean of two lines that wander, and bend or level off, as "
    "ladders do: its skill rose from .16 to .25 on the scorecard, and the lines that level off "
    "moved this forecast by 5 %; the others as they were",
    "pass_until": "the same counts; a journal's lines have the tokens drawn and read, and samples "
    "are kept (f730f50); the journal itself is pinned, not whichever file of lines is found first",
}


def compare(found: Any, expected: Any, where: str) -> None:
    """Fail on the first difference."""
    if isinstance(expected, dict):
        assert set(found) == set(expected), where
        for key, value in expected.items():
            compare(found[key], value, f"{where} {key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for i, value in enumerate(expected):
            compare(found[i], value, f"{where} {i}")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=TOLERANCE, abs=1e-12), where
    else:
        assert found == expected, where


@pytest.mark.slow
@pytest.mark.parametrize("name", PINNED)
def test_pinned(name: str) -> None:
    compare(PINNED[name](), RECORD[name], name)
