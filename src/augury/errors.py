"""The three kinds of error a user meets.

A mistake in the call (`UsageError`), a mistake in the data (`DataError`), and a fit that cannot be
trusted (`FitError`). The command line prints each as one line, without a traceback, exiting with 2.
"""

from __future__ import annotations


class AuguryError(Exception):
    """Base class of every error that Augury raises on purpose.

    Examples:
        >>> try:
        ...     augury.law("chinchila")
        ... except augury.AuguryError as error:
        ...     print(error)
        no law is called 'chinchila'; did you mean chinchilla or joint-chinchilla? ...
    """


class UsageError(AuguryError):
    """The call is wrong: an unknown law, an option out of range, a missing extra."""


class FitError(AuguryError):
    """The data cannot support the requested fit; the message lists what to check."""


class DataError(AuguryError):
    """A table is wrong. The message names file, row, column, value and what was expected.

    `row` counts data rows from 1, without the header, as in a spreadsheet.
    """

    def __init__(
        self,
        problem: str,
        *,
        source: str | None = None,
        row: int | None = None,
        column: str | None = None,
        value: object = None,
        expected: str | None = None,
    ) -> None:
        self.problem = problem
        self.source = source
        self.row = row
        self.column = column
        self.value = value
        self.expected = expected
        where = [
            part
            for part in (
                source,
                None if row is None else f"row {row}",
                None if column is None else f"column '{column}'",
            )
            if part
        ]
        text = f"{', '.join(where)}: {problem}" if where else problem
        if value is not None:
            text += f" (got {value!r})"
        if expected:
            text += f"; expected {expected}"
        super().__init__(text)
