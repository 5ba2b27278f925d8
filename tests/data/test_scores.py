"""A row's score, what its n counts, and the likelihood that fits it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.data.compute import params_for_flops, tokens_for_flops, training_flops
from augury.data.counts import rate
from augury.data.metrics import METRICS, find_metric, higher_is_better
from augury.data.scores import (
    add_value,
    counts_outcomes,
    scores_of,
    suited_likelihood,
    trials_of,
)
from augury.errors import DataError


def rows(**columns: object) -> pl.DataFrame:
    return pl.DataFrame(columns)


def test_a_score_comes_from_what_the_row_has() -> None:
    table = rows(value=[0.4, None, None, None], passes=[1.0, 1.0, None, None],
                 samples=[2.0, 4.0, None, None], logprob=[None, None, -1.0, None])  # fmt: skip
    assert add_value(table)["value"].to_list() == [0.4, 0.25, pytest.approx(np.exp(-1)), None]


def test_a_stopped_sampling_gives_the_unbiased_rate() -> None:
    table = rows(passes=[4.0, 1.0, 4.0], samples=[9.0, 50.0, 16.0], stop_passes=[4.0, 4.0, None])
    assert add_value(table)["value"].to_list() == [3 / 8, 1 / 50, 4 / 16]
    assert add_value(table)["value"][0] == rate(4, 9, 4)[0]


@pytest.mark.parametrize(
    ("table", "counted"),
    [
        (rows(value=[0.5, 0.7], n=[100, 100]), True),
        (rows(value=[0.5, 0.7], n=[100, 100], metric=["acc,none"] * 2), True),
        # F21a: bits per byte, F1 and a Brier score between 0 and 1 are not shares of n.
        (rows(value=[0.98, 0.94], n=[62, 62], metric=["bits_per_byte"] * 2), False),
        (rows(value=[0.5, 0.7], n=[100, 100], metric=["f1"] * 2), False),
        (rows(value=[0.5, 0.7], n=[100, 100], metric=["brier_score"] * 2), False),
        # For an unknown metric, the standard errors decide.
        (rows(value=[0.5], n=[100], metric=["odd"], stderr=[0.05]), True),
        (rows(value=[0.5], n=[100], metric=["odd"], stderr=[0.01]), False),
        # If one score is outside [0, 1], none is a share.
        (rows(value=[0.5, 70.0], n=[100, 100], metric=["odd"] * 2), False),
        # Exact probabilities of passing are not counts of their instances.
        (rows(value=[0.5], n=[1], metric=["pass"], logprob=[-0.69]), False),
        (rows(value=[0.5]), False),
    ],
)  # fmt: skip
def test_n_counts_trials_only_of_outcomes(table: pl.DataFrame, counted: bool) -> None:
    assert counts_outcomes(table).tolist() == [counted] * table.height
    assert (scores_of(table).trials > 0).tolist() == [counted] * table.height


@pytest.mark.parametrize(
    ("table", "name"),
    [
        (rows(passes=[1.0], samples=[2.0]), "binomial"),
        (rows(value=[0.5], n=[10]), "binomial"),
        (rows(value=[0.5], n=[10], metric=["acc"]), "binomial"),
        (rows(value=[0.5], n=[10], metric=["bleu"]), "gaussian"),
        (rows(value=[0.5]), "gaussian"),
        (rows(value=[50.0], n=[10]), "gaussian"),
        (rows(value=[0.5, 1e-3], n=[64, 64], metric=["pass"] * 2), "log-gaussian"),
        (rows(value=[0.5, 0.0], n=[64, 64], metric=["pass"] * 2), "gaussian"),
        (rows(value=[0.5], metric=["pass"], passes=[2.0], samples=[4.0]), "binomial"),
    ],
)  # fmt: skip
def test_the_likelihood_that_suits(table: pl.DataFrame, name: str) -> None:
    assert suited_likelihood(table) == name


def test_a_fit_and_a_study_choose_alike() -> None:
    """Exact pass rates: the Gaussian of their logarithms, in `augury fit` as in a study."""
    from augury.fitting.problem import problem_of
    from augury.laws import parse_law
    from augury.study.units.pass_rates import rate_likelihood

    law = parse_law("logistic-task")
    table = rows(loss=[3.0, 2.5, 2.0], value=[1e-4, 1e-2, 0.3], n=[64.0] * 3, metric=["pass"] * 3)
    chosen = problem_of(law, table).likelihood
    assert chosen == rate_likelihood(law, table)
    assert chosen.on_log


def test_trials_are_samples_where_there_are_any() -> None:
    assert trials_of(rows(passes=[1.0], samples=[4.0], n=[9])).tolist() == [4.0]
    assert trials_of(rows(value=[0.5], n=[9])).tolist() == [9.0]


def test_more_passes_than_samples_are_refused() -> None:
    with pytest.raises(DataError, match="row 2, column 'passes': more passes than samples"):
        scores_of(rows(passes=[1.0, 5.0], samples=[4.0, 4.0]))


def test_directions_are_known_and_never_guessed() -> None:
    assert higher_is_better("acc_norm,none") is True
    assert higher_is_better("match/accuracy") is True
    assert higher_is_better("word_perplexity,none") is False
    assert higher_is_better("bits_per_byte") is False
    assert higher_is_better("pass@10") is True
    assert higher_is_better("mystery") is None
    assert higher_is_better(None) is None
    assert all(name == name.lower() and find_metric(name) for name in METRICS)


@given(n=st.floats(1e3, 1e13), d=st.floats(1e3, 1e15))
def test_compute_and_back(n: float, d: float) -> None:
    c = training_flops(n, d)
    assert c == 6.0 * n * d
    assert tokens_for_flops(c, n) == pytest.approx(d, rel=1e-14)
    assert params_for_flops(c, d) == pytest.approx(n, rel=1e-14)
