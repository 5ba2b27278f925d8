"""A format that emerges, detected by late few-shot scores in one study or shared leaps in two."""

from __future__ import annotations

import numpy as np
import pytest

from augury.errors import UsageError
from augury.forecast.emergence import (
    EmergenceFit,
    Truth,
    emergence_data,
    fit_emergence,
    shared_leap,
    simulate_study,
)

AMOUNTS = (30, 120, 480, 1900, 7500)


def asked(format_loss: float, *, elbow: float, last: float, seed: int) -> EmergenceFit:
    """A study whose task emerges by finetuning at `elbow`, with checkpoints down to `last`."""
    truth = Truth(elbow=elbow, shift=0.2, slope=1.0, run=3e-4, format_loss=format_loss)
    rng = np.random.default_rng(seed)
    losses = np.linspace(2.6, last, 11)
    table = simulate_study(truth, rng, losses=losses, amounts=AMOUNTS)
    return fit_emergence(emergence_data(table), laws="relu")


def noted(fit: EmergenceFit) -> list[str]:
    return [note.code for note in fit.notes]


def test_few_shot_scores_that_wait_for_their_format() -> None:
    waiting = asked(1.9, elbow=2.2, last=1.95, seed=0)
    note = next(n for n in waiting.notes if n.code == "few-shot-late")
    assert note.details["chance"] < 0.01
    # Finetuned models place the task's own elbow correctly; the format comes .3 nats later.
    assert note.details["finetuned_only"] == pytest.approx(2.2, abs=0.08)
    assert "prompt format" in note.message


def test_few_shot_scores_in_time() -> None:
    for seed in range(2):
        assert "few-shot-late" not in noted(asked(np.inf, elbow=2.2, last=1.95, seed=seed))


@pytest.mark.slow
def test_two_tasks_that_jump_together() -> None:
    """Their own elbows lie .25 nats apart, and both wait for one format."""
    fits = {
        "arithmetic": asked(1.98, elbow=2.35, last=1.8, seed=1),
        "law": asked(1.98, elbow=2.1, last=1.8, seed=2),
    }
    note = shared_leap(fits)
    assert note is not None
    assert note.severity == "warning"
    assert note.details["between"][0] < 1.98 < note.details["between"][1]
    assert note.details["finetuned"][0] > note.details["finetuned"][1] + 0.1
    assert "arithmetic and law" in note.message
    apart = {
        "arithmetic": asked(np.inf, elbow=2.35, last=1.8, seed=1),
        "law": asked(1.98, elbow=2.1, last=1.8, seed=2),
    }
    assert shared_leap(apart) is None
    with pytest.raises(UsageError, match="two or more"):
        shared_leap({"law": fits["law"]})
