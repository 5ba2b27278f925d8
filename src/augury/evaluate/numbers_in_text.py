r"""Numbers as models write them: 9{,}500, -$5, 3/4, \frac{3}{4}, 1.6 \times 10^{-19}.

- A comma groups thousands only if one to three digits precede it and exactly three follow each:
  "1,250" is a number, "2,3,5" are three, and so are "1,25" two. So do `{,}`, `\,`, `_`, `'` and
  narrow blanks; an ordinary blank does not.
- A minus that follows a digit, a letter or a bracket is a hyphen: "3-5" ends in 5.
- a/b, \frac{a}{b} and 2 1/2 are one number each; dates (5/10/2024) are not.
- Percent and currency signs are ignored: 45% is 45.
"""

from __future__ import annotations

import re
from fractions import Fraction

# More characters than any answer has; a longer number, or one beyond the largest float, has no
# value.
LONGEST = 1000
LARGEST_EXPONENT = 400

_DIGITS = r"(?:(?<!\d,)\d{1,3}(?:,\d{3})+(?!\d|,\d)|\d+)(?:\.\d+)?|(?<![\d.])\.\d+"
_TIMES_TEN = (
    r"\s*(?:\\times|\\cdot|[×·*x])\s*10\s*(?:\^|\*\*)\s*(?:\{\s*(?P<braced>[-+]?\d+)\s*\}"
    r"|(?P<power>[-+]?\d+))"
)
_NUMBER = re.compile(
    rf"""
    (?:(?<![\w)\]}}.%])(?P<sign>[-+]))?[$€£]?
    (?:
        (?:(?P<whole>\d+)\s*)?\\[dt]?frac\s*
        (?:\{{\s*(?P<minus>-)?\s*(?P<over>{_DIGITS})\s*\}}\{{\s*(?P<under>{_DIGITS})\s*\}}
           |(?P<short_over>\d)\s*(?P<short_under>\d))
      | (?:(?<![\d/.,])(?P<units>\d+)[ ])?
        (?<![\d/.])(?P<top>{_DIGITS})\s?/\s?(?P<bottom>\d+)(?![\d/]|\.\d|,\d)
      | (?P<mantissa>{_DIGITS})(?:(?P<exponent>[eE][-+]?\d+)(?!\w)|{_TIMES_TEN})?
    )
    """,
    re.VERBOSE,
)
_NARROW = re.compile(r"(?<=\d)[_'\u00a0\u2009\u202f](?=\d{3}(?!\d))")
_SIGNS = " \t\n$€£%."


def numbers_in(text: str) -> list[Fraction | None]:
    """Return the numbers of a text in order; None for one without a value (1/0) or too large."""
    return [_value(found) for found in _NUMBER.finditer(plain_text(text))]


def number_in(text: str) -> Fraction | None:
    """Return the number that a text is, or None if it is something else."""
    plain = plain_text(text).strip(" \t\r\n").removesuffix(".")
    plain = re.sub(r"\s*\\?%$", "", plain.strip("$").strip())
    found = _NUMBER.fullmatch(plain.strip(_SIGNS) if plain.endswith(tuple("€£")) else plain)
    return None if found is None else _value(found)


def plain_text(text: str) -> str:
    """Normalise minus signs, grouping commas and currency signs."""
    for written, meant in (
        ("{,}", ","),
        ("\\!", ""),
        ("\\,", "\u2009"),
        ("\u2212", "-"),
        ("\\$", "$"),
        ("\\%", "%"),
    ):
        text = text.replace(written, meant)
    return _NARROW.sub("", text)


def _value(found: re.Match[str]) -> Fraction | None:
    if len(found.group()) > LONGEST:
        return None
    part = {name: value for name, value in found.groupdict().items() if value is not None}
    over = part.get("over") or part.get("short_over") or part.get("top")
    if over is None:
        power = part.get("exponent", "")[1:] or part.get("braced") or part.get("power") or "0"
        if abs(int(power)) > LARGEST_EXPONENT:
            return None
        value = _fraction(part["mantissa"]) * Fraction(10) ** int(power)
    else:
        under = _fraction(part.get("under") or part.get("short_under") or part["bottom"])
        if under == 0:
            return None
        value = int(part.get("whole") or part.get("units") or 0) + _fraction(over) / under
    try:
        float(value)
    except OverflowError:
        return None
    return -value if (part.get("sign") == "-") != ("minus" in part) else value


def _fraction(digits: str) -> Fraction:
    return Fraction(digits.replace(",", ""))
