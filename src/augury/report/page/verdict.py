"""A forecast in words: the verdict first, then its distance and the results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from augury.report.page.story import StoryVerdict
from augury.report.page.words import (
    USELESS_FACTOR,
    beyond_text,
    count,
    interval_text,
    is_useless,
    place_text,
    rate_interval,
)

ORDERS = ("no", "one order", "two orders", "three orders", "four orders", "five orders",
          "six orders", "seven orders", "eight orders", "nine orders")  # fmt: skip
# Training a model closer than this factor to a measured one would say little.
WORTH_TRAINING = 1.3


def rate_verdict(
    task: str,
    place: Mapping[str, float],
    value: float,
    interval: tuple[float, float],
    level: float,
    *,
    measured: Mapping[str, float] | None = None,
    held: Sequence[bool] = (),
    failure: tuple[str, str] = ("", ""),
    verb: str = "pass",
) -> StoryVerdict:
    """Summarise the forecast of a rate.

    Args:
        task: as a sentence names it.
        place: the point of the forecast.
        value, interval, level: the forecast, for one new run.
        measured: the largest value measured of each scale.
        held: for each run measured afterwards, whether it lies in the interval.
        failure: status and remedy of a fit that failed.
        verb: "pass" or "score": what a model does.
    """
    where = place_text(place)
    details = []
    scale = next((s for s in ("params", "tokens", "flops") if s in place and s in (measured or {})),
                 None)  # fmt: skip
    if scale is not None and measured is not None:
        what = "model" if scale == "params" else f"number of {scale}"
        details.append(f"That is {beyond_text(measured[scale], place[scale], what)}.")
    if held:
        missed = len(held) - sum(held)
        details.append(
            f"Measured afterwards: {sum(held)} of {len(held)} runs inside the interval"
            + (f"; for {missed} the forecast failed." if missed else ".")
        )
    status, remedy = failure
    if status:
        return StoryVerdict(
            f"No forecast of {task} at {where}: {status}.",
            ((remedy,) if remedy else ()) + tuple(details),
            useful=False,
            about=task,
        )
    low, high = interval
    said = rate_interval(value, low, high)
    if is_useless(low, high, is_rate=True):
        known = f"the {level:.0%} interval is {said.interval}"
        if low > 0 and high / low >= USELESS_FACTOR:
            orders = round(math.log10(high / low))
            known += (
                f", {ORDERS[orders] if orders < len(ORDERS) else f'{orders} orders'} of magnitude"
            )
        lead = f"No useful forecast of {task} at {where}: {known}."
        lead += f" {_what_would_help(scale, place, measured)}"
        return StoryVerdict(lead, tuple(details), useful=False, about=task)
    sure = f"({level:.0%} interval: {said.interval})"
    lead = (
        f"At {where}, a new model will pass {task} {said.value} of the time {sure}."
        if verb == "pass"
        else f"At {where}, a new model will score {said.value} on {task} {sure}."
    )
    return StoryVerdict(lead, tuple(details), about=task)


def value_verdict(
    what: str,
    place: Mapping[str, float],
    value: float,
    interval: tuple[float, float],
    level: float,
    *,
    unit: str = "",
    unknown: str = "",
    details: Sequence[str] = (),
    about: str = "",
) -> StoryVerdict:
    """Summarise a forecast of a law; one without an interval is no forecast.

    Args:
        what: as a sentence names it.
        place: the point of the forecast.
        value, interval, level: the forecast.
        unit: of the value, as it follows the number.
        unknown: why there is no interval, if there is none.
        details, about: of the verdict.
    """
    where = place_text(place)
    if not all(map(math.isfinite, interval)):
        lead = f"No forecast of {what} at {where}: it has no interval ({unknown})."
        return StoryVerdict(lead, tuple(details), useful=False, about=about)
    said = interval_text(value, *interval)
    lead = f"At {where}, {what} will be {said.value}{unit} ({level:.0%} interval: {said.interval})."
    return StoryVerdict(lead, tuple(details), about=about)


def spread_details(
    value: float, mean: tuple[float, float], share: float | None, *, is_rate: bool = False
) -> tuple[str, ...]:
    """Say how much of a new run's interval is run-to-run spread, and the interval without it.

    Args:
        value: the forecast.
        mean: its interval for the mean of many runs.
        share: of the squared width that is run-to-run spread; None if unknown: nothing is said.
        is_rate: whether to write rates.
    """
    from augury.forecast.prediction import run_share_text

    if share is None:
        return ()
    said = (rate_interval if is_rate else interval_text)(value, *mean)
    return (
        f"Of this interval, {run_share_text(share)}; for the mean of many runs it is "
        f"{said.interval}.",
    )


def _what_would_help(
    scale: str | None, place: Mapping[str, float], measured: Mapping[str, float] | None
) -> str:
    if scale == "params" and measured is not None:
        between = math.sqrt(measured[scale] * place[scale])
        if between > WORTH_TRAINING * measured[scale]:
            return (
                f"Train a model of about {count(float(f'{between:.1g}'))} parameters to narrow it."
            )
    return "Measure more models, or more seeds of each, to narrow it."
