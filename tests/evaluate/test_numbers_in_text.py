"""Numbers as in public GSM8K and MATH outputs; a comma does not always separate thousands."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.evaluate.checkers import checker
from augury.evaluate.numbers_in_text import number_in, numbers_in
from augury.evaluate.tasks import Instance

# Each text with its last number as a fraction, or None if it contains no number.
LAST = [
    ("so \\boxed{$9{,}500}", "9500"),
    ("\\boxed{\\$1{,}234{,}567.50}", "1234567.5"),
    ("10,\\!000 people", "10000"),
    ("it is 12\\,500 m", "12500"),
    ("it costs $1,250.", "1250"),
    ("1,000,000", "1000000"),
    ("12 345 678", "678"),
    ("12\u202f345\u202f678", "12345678"),
    ("12'345", "12345"),
    ("1_000_000", "1000000"),
    ("the primes are 2,3,5", "5"),
    ("the years 1999,2000", "2000"),
    ("(1,25)", "25"),
    ("12,1,250", "250"),
    ("1234,567", "567"),
    ("x = 0,5", "5"),
    ("#### -3", "-3"),
    ("#### \u22123", "-3"),
    ("a loss of -$5", "-5"),
    ("a loss of $-5", "-5"),
    ("pages 3-5", "5"),
    ("10-3", "3"),
    ("x-5", "5"),
    ("f(2)-5", "5"),
    ("x=-5", "-5"),
    ("10 - 3 = 7", "7"),
    ("+7", "7"),
    ("45%", "45"),
    ("45\\%", "45"),
    ("between 10% - 20%", "20"),
    ("3/4", "3/4"),
    ("-3/4", "-3/4"),
    ("so 1 / 3 of it", "1/3"),
    ("2 1/2 hours", "5/2"),
    ("\\frac{3}{4}", "3/4"),
    ("\\boxed{-\\dfrac{7}{12}}", "-7/12"),
    ("\\frac{-7}{12}", "-7/12"),
    ("\\frac34", "3/4"),
    ("2\\frac{1}{2}", "5/2"),
    ("on 5/10/2024", "2024"),
    ("\\frac{1{,}000}{3}", "1000/3"),
    ("1/0", None),
    ("1.6e-19", "16/100000000000000000000"),
    ("1.6 \\times 10^{-19} C", "16/100000000000000000000"),
    ("3\u00d710^5", "300000"),
    ("2 x 10**3", "2000"),
    ("2^{10} = 1{,}024", "1024"),
    (".5", "1/2"),
    ("version 1.2.3", "3"),
    ("42.", "42"),
    ("The answer is 42.00", "42"),
    ("1e999", None),
    ("9" * 5000, None),
    ("none at all", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "value"), LAST)
def test_the_last_number_of_a_text(text: str, value: str | None) -> None:
    found = numbers_in(text)
    last = found[-1] if found else None
    assert last == (None if value is None else Fraction(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$9{,}500", "9500"), ("1,000.0", "1000"), (" 99.1 ", "99.1"), ("$100", "100"),
        ("45 %", "45"), ("20€", "20"), ("7.", "7"), ("$42$", "42"), ("3/4", "3/4"),
        ("2,3,5", None), ("1 or 2", None), ("ten", None), ("nan", None), ("inf", None),
        ("5 apples", None), ("", None),
    ],
)  # fmt: skip
def test_a_text_that_is_a_number(text: str, value: str | None) -> None:
    assert number_in(text) == (None if value is None else Fraction(value))


@pytest.mark.parametrize(
    ("name", "reference", "text", "right"),
    [
        ("numeric:1e-6", "1e-12", "0", False),
        ("numeric:1e-6", "1.6e-19", "9.1e-31", False),
        ("numeric:0.01", "7.95e-13", "3.2e-13", False),
        ("numeric:0.01", "7.95e-13", "7.96e-13", True),
        ("numeric:1e-6", "0", "0.0", True),
        ("numeric:1e-6", "0", "1e-10", True),
        ("numeric:1e-6", "0", "1e-8", False),
        ("numeric:1e-6,1e-3", "0", "0.0009", True),
        ("numeric:1e-6,1e-3", "1e-4", "0", True),
        ("numeric:1e-6,0", "0", "1e-300", False),
        ("numeric", "1/3", "0.3333333", True),
        ("numeric", "\\frac{1}{3}", "0.33", False),
        # Larger than a float can distinguish.
        ("last-number", "12345678901234567891", "12345678901234567891", True),
        ("last-number", "12345678901234567891", "12345678901234567892", False),
        ("last-number", "\\frac{2}{6}", "it is 1/3", True),
        ("last-number", "2", "it is 1/2", False),
        ("last-number", "0.1", "0.10", True),
    ],
)
def test_a_number_is_compared(name: str, reference: str, text: str, right: bool) -> None:
    assert checker(name)(Instance("a", "", (reference,), {}), text) is right


@given(st.integers(-(10**12), 10**12), st.sampled_from([",", "{,}", "\u2009", ",\\!", "\u202f"]))
def test_any_whole_number_is_read_however_it_is_grouped(n: int, comma: str) -> None:
    written = f"{n:,}".replace(",", comma)
    assert numbers_in(f"so it is ${written}$.")[-1] == n
    assert number_in(written) == n


@given(st.lists(st.integers(0, 99), min_size=2, max_size=6))
def test_any_list_of_small_numbers_stays_a_list(numbers: list[int]) -> None:
    assert numbers_in(",".join(map(str, numbers))) == numbers


@given(st.text(alphabet="0123456789.,-+/ ex10^{}\\frac$%()", max_size=40))
def test_no_text_breaks_it(text: str) -> None:
    number_in(text)
    assert all(x is None or float(x) == float(x) for x in numbers_in(text))
