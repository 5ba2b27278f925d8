"""Server answers changed at random: a text they contain, or a one-line error."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.server_answers import one

from augury.evaluate.http_answers import is_finite_logprob, is_logprob, token_count

# Each caused a traceback: log-probabilities that are lists, texts, missing or of another form.
FOUND = (52, 65, 68, 150, 182, 248, 262, 369, 434, 439, 534, 558)


@pytest.mark.parametrize("seed", [*FOUND, 10])
def test_an_answer_changed_anywhere_is_read_or_refused(tmp_path: Path, seed: int) -> None:
    """`python -m benchmarks.server_answers` tries ten thousand."""
    assert one(seed, tmp_path) in ("sampled", "measured", "scored", "refused in one line")


@pytest.mark.parametrize(
    ("value", "finite", "any_"),
    [
        (-0.5, True, True), (0, True, True), (1e-6, True, True), (float("-inf"), False, True),
        (0.5, False, False), (float("nan"), False, False), (True, False, False),
        ("-1", False, False), (None, False, False), ([-1], False, False),
    ],
)  # fmt: skip
def test_what_is_a_log_probability(value: object, finite: bool, any_: bool) -> None:
    assert (is_finite_logprob(value), is_logprob(value)) == (finite, any_)


@pytest.mark.parametrize(
    ("value", "count"),
    [(3, 3), (0, 0), (-1, None), (10**30, None), (True, None), ("3", None), (2.0, None)],
)
def test_what_is_a_count_of_tokens(value: object, count: int | None) -> None:
    assert token_count(value) == count
