"""Data: the one observation table, and how it is read, checked and written."""

from augury.data.read import parse_map, read_table
from augury.data.schema import BY_NAME, COLUMNS, KEY, Column
from augury.data.table import observations, run_ids, write_table

__all__ = [
    "BY_NAME",
    "COLUMNS",
    "KEY",
    "Column",
    "observations",
    "parse_map",
    "read_table",
    "run_ids",
    "write_table",
]
