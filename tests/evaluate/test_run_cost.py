"""The expected cost of a run, and a cap on tokens that ends it."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence
from pathlib import Path

import pytest

from augury.cli.progress import speed_text
from augury.errors import UsageError
from augury.evaluate import Progress, SampleRequest, pass_until
from augury.evaluate.backend import TokenUsage
from augury.evaluate.pass_counts import Method
from augury.evaluate.run_cost import plan_run
from augury.evaluate.run_plan import RunOptions
from tests.evaluate.table_model import TableModel
from tests.evaluate.test_passuntil import StoppedError, after, same, words


class CountingModel(TableModel):
    """Counts letters drawn and prompt letters read: both are billed."""

    def __init__(self) -> None:
        super().__init__()
        self.usage = TokenUsage()

    def sample(self, requests: Sequence[SampleRequest]) -> list[list[str]]:
        texts = super().sample(requests)
        drawn = sum(min(len(t) + 1, r.length) for r, own in zip(requests, texts, strict=True)
                    for t in own)  # fmt: skip
        read = sum(len(r.prompt) * r.samples for r in requests)
        self.usage.add(drawn, read, drawn + read)
        return texts


@pytest.mark.parametrize("method", ["tree", "independent"])
def test_a_plan_bounds_what_a_run_takes(method: Method) -> None:
    """Expected samples and tokens have the right size, and nothing exceeds the bound."""
    task = words(24)
    cost = plan_run(CountingModel(), task, RunOptions(method=method, max_samples=5_000))
    model = CountingModel()
    found = pass_until(model, task, method=method, max_samples=5_000)
    assert found.tokens.drawn is not None
    assert cost.tokens_expected is not None
    assert cost.samples_at_most == 24 * 5_000
    assert found.samples.sum() <= cost.samples_at_most
    assert found.tokens.drawn <= cost.tokens_at_most
    if method == "independent":  # a tree shares prefixes, more so with more draws
        spent = model.usage.paid
        assert spent is not None
        assert spent / 2 < cost.tokens_expected < spent * 2
    assert cost.tried_samples < cost.samples_expected <= cost.samples_at_most


def test_options_are_the_arguments_of_a_run() -> None:
    """The same names and the same defaults."""
    taken = inspect.signature(pass_until).parameters
    for field in dataclasses.fields(RunOptions):
        assert taken[field.name].default == field.default


def test_prices_are_of_tokens_read_and_drawn() -> None:
    task = words()
    asked = RunOptions(method="independent", max_samples=1_000)
    free = plan_run(CountingModel(), task, asked)
    assert (free.cost_at_most, free.cost_expected) == (None, None)
    read = plan_run(CountingModel(), task, asked, price_in=2e6)
    drawn = plan_run(CountingModel(), task, asked, price_out=1e6)
    # Prompts have one letter, texts at most five.
    assert read.cost_at_most == pytest.approx(2 * 12 * 1_000)
    assert read.cost_expected == pytest.approx(2 * read.samples_expected)
    assert drawn.cost_at_most == pytest.approx(5 * 12 * 1_000)
    assert drawn.tokens_expected == pytest.approx(drawn.cost_expected + drawn.samples_expected)
    small = dataclasses.replace(read, cost_expected=0.00369, cost_at_most=1061.44)
    assert "cost: 0.0037 expected, 1,061.44 at most" in str(small)
    with pytest.raises(UsageError, match="a price cannot be -1"):
        plan_run(CountingModel(), task, RunOptions(), price_in=-1.0)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["tree", "independent"])
@pytest.mark.parametrize("cap", [300, 3_000])
def test_a_cap_of_tokens_ends_a_run_and_a_stopped_one_alike(
    tmp_path: Path, method: Method, cap: int
) -> None:
    task = words()
    settings = {"method": method, "r": 50, "max_tokens_total": cap}
    whole = pass_until(CountingModel(), task, **settings)  # type: ignore[arg-type]
    assert whole.tokens.drawn is not None
    prompts = int(whole.samples.sum()) if method == "independent" else 0
    assert cap / 2 < whole.tokens.drawn + prompts <= cap + prompts
    assert whole.notes[-1].startswith("stopped at ")
    assert (whole.samples > 0).all(), "the cap is spread over all instances"
    with pytest.raises(StoppedError):
        pass_until(
            CountingModel(), task, study=tmp_path, progress=after(2), **settings  # type: ignore[arg-type]
        )  # fmt: skip
    again = pass_until(CountingModel(), task, study=tmp_path, **settings)  # type: ignore[arg-type]
    assert same(again, whole)
    assert (again.tokens, again.notes) == (whole.tokens, whole.notes)


def test_a_cap_that_is_not_reached_changes_nothing_of_the_result() -> None:
    capped = pass_until(TableModel(), words(), max_samples=500, max_tokens_total=10**9)
    free = pass_until(TableModel(), words(), max_samples=500)
    assert same(capped, free)
    assert capped.notes == free.notes


def test_progress_says_speed_and_the_time_that_is_left() -> None:
    first = Progress(0, 10, 0, 100, 500, expected_samples=10_000)
    now = Progress(3, 10, 7, 1_100, 5_500, expected_samples=61_100)
    assert speed_text(first, first, 0.0) == "0 passes, 100 samples"
    told = "7 passes, 1,100 samples, 500 tokens/s, 10 min left"
    assert speed_text(now, first, 10.0) == told
    silent = Progress(3, 10, 7, 1_100, None)
    assert speed_text(silent, first, 10.0) == "7 passes, 1,100 samples"
