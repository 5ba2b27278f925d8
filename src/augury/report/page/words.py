"""Numbers in words: rates, quantities and intervals, each with one unit and the same digits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

# An interval is useless for a decision if it spans this factor, or this many percentage points.
USELESS_FACTOR, USELESS_POINTS = 100.0, 0.60
# Units of rates: per cent down to a thousandth of a per cent, then smaller units.
RATE_UNITS = ((1e2, " %"), (1e6, " per million"), (1e9, " per billion"), (1e12, " per trillion"))
SMALLEST_SHOWN = 1e-3
# A width is rounded to two digits if its leading digits are below 3.55, else to one. This is the
# Particle Data Group's rule for errors, so rounding never changes an interval much.
TWO_DIGITS = 3.55
COUNT_UNITS = ((1e12, " trillion"), (1e9, " billion"), (1e6, " million"))
UNKNOWN = "unknown"
INPUT_NAMES = {
    "params": "parameters",
    "tokens": "tokens",
    "flops": "FLOPs",
    "loss": "nats per token",
    "step": "steps",
    "finetune_examples": "finetuning examples",
}


class IntervalText(NamedTuple):
    """A value and its interval as text, in one unit."""

    value: str
    low: str
    high: str

    @property
    def interval(self) -> str:
        """The interval as "LOW to HIGH"; "unknown" if neither end is known."""
        return self.low if self.low == self.high == UNKNOWN else f"{self.low} to {self.high}"


def number(x: float) -> str:
    """Format with three digits, as a reader would write it: 0.0305, 1.2e-06, 105,280."""
    if x != x or abs(x) == float("inf"):
        return UNKNOWN if x != x else "infinity"
    if x == int(x) and 1000 <= abs(x) < 1e6:
        return f"{x:,.0f}"
    if abs(x) >= 1e6:
        return count(x)
    if x == 0 or 1e-3 <= abs(x) < 999.5:
        return f"{x:.3g}"
    return f"{x:,.0f}" if abs(x) >= 999.5 else f"{x:.2g}"


def count(x: float) -> str:
    """Format a count: 105,280, 24 billion, 1.2e+22."""
    if 1e6 <= abs(x) < 1e16:
        for size, name in COUNT_UNITS:
            if abs(x) >= size * 0.9995:
                return f"{x / size:.3g}{name}"
    return f"{x:,.0f}" if 1000 <= abs(x) < 1e6 else f"{x:.3g}"


def place_text(inputs: Mapping[str, float]) -> str:
    """Describe a point in words: 105,280 parameters and 1.02 million tokens."""
    return " and ".join(f"{number(v)} {INPUT_NAMES.get(k, k)}" for k, v in inputs.items())


def rate(x: float) -> str:
    """Format a single rate, in a suitable unit."""
    return rate_interval(x, x, x).value


def rate_interval(value: float, low: float, high: float) -> IntervalText:
    """Format a rate with its interval: 43 % (39 % to 49 %), 3 per million (1 to 20 per million)."""
    known = [abs(x) for x in (value, low, high) if math.isfinite(x)]
    largest = max(known, default=1.0)
    factor, unit = next(
        ((size, name) for size, name in RATE_UNITS if largest * size >= _smallest_in(name)),
        RATE_UNITS[-1] if largest > 0 else RATE_UNITS[0],
    )
    return _with_digits(value, low, high, factor, unit)


def _smallest_in(unit: str) -> float:
    return SMALLEST_SHOWN if unit == " %" else 1.0


def interval_text(value: float, low: float, high: float) -> IntervalText:
    """Format a number with its interval, all with the same digits: 1.87 (1.70 to 1.95)."""
    known = [abs(x) for x in (value, low, high) if math.isfinite(x)]
    largest = max(known, default=0.0)
    if largest >= 1e16:
        return IntervalText(
            *(f"{x:.2g}" if math.isfinite(x) else number(x) for x in (value, low, high))
        )
    size, unit = next(((s, name) for s, name in COUNT_UNITS if abs(value) >= s), (1.0, ""))
    return _with_digits(value, low, high, 1 / size, unit)


def is_useless(low: float, high: float, *, is_rate: bool) -> bool:
    """Return whether an interval is too wide to decide anything: two decades, or 60 points."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return True
    if is_rate and high - low >= USELESS_POINTS:
        return True
    return low > 0 and high / low >= USELESS_FACTOR


def beyond_text(largest: float, asked: float, what: str = "model") -> str:
    """Describe the distance from the data: 1.6x larger than the largest model measured."""
    factor = asked / largest
    if factor <= 1 + 1e-9:
        return f"inside the range of the {what}s measured"
    times = f"{factor:,.0f}" if factor >= 100 else f"{factor:.2g}"
    return f"{times}x larger than the largest {what} measured"


def distance(ranges: float) -> str:
    """Describe the distance beyond the data, if no scale can be named."""
    if ranges <= 0:
        return "inside the range of the data"
    if ranges == float("inf"):
        return "beyond data that never varied along this scale"
    return f"beyond the data by {ranges:.2g} times their range (in logarithms)"


def _with_digits(value: float, low: float, high: float, factor: float, unit: str) -> IntervalText:
    """Format all three times `factor`, with the decimals that the interval's width justifies."""
    scaled = [x * factor for x in (value, low, high)]
    positive = [abs(x) for x in scaled if math.isfinite(x) and x != 0]
    if not positive or max(positive) / min(positive) >= USELESS_FACTOR:
        return IntervalText(*(_significant(x) + unit * math.isfinite(x) for x in scaled))
    width = abs(scaled[2] - scaled[1])
    if not 0 < width < math.inf:
        width = min(positive) / 10
    decimals = -math.floor(math.log10(width))
    if width * 10**decimals < TWO_DIGITS:
        decimals += 1
    if math.isfinite(value) and value:  # at least two digits of the value
        decimals = max(decimals, 1 - math.floor(math.log10(abs(scaled[0]))))
    decimals = min(
        decimals, 2 - math.floor(math.log10(max(positive)))
    )  # never more than three digits
    decimals = max(decimals, -math.floor(math.log10(min(positive))))

    def say(x: float) -> str:
        if not math.isfinite(x):
            return number(x)
        return f"{round(x, decimals):,.{max(decimals, 0)}f}{unit}"

    return IntervalText(*map(say, scaled))


def _significant(x: float) -> str:
    """Format two digits without an exponent: 0.0017, 23, 100."""
    if not math.isfinite(x):
        return number(x)
    if x == 0:
        return "0"
    decimals = min(max(1 - math.floor(math.log10(abs(x))), 0), 12)
    text = f"{x:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
