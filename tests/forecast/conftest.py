"""Fixtures shared by several test files."""

from __future__ import annotations

import pytest

from augury.forecast.emergence import EmergenceFit, emergence_data, fit_emergence
from tests.emergence_studies import study


@pytest.fixture(scope="session")
def fitted() -> EmergenceFit:
    return fit_emergence(emergence_data(study()), laws="relu")
